"""Several real processes on one budget, by the clock of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tiktok_erp.transport.budget import machine_clock
from tiktok_erp.transport.pace import Pace

RATE = 30
PROCESSES = 4
SECONDS = 4

# Each waits for the common start, then asks as fast as it may, and tells when it was allowed to: not when it was able to
# note it, since a busy machine may halt it in between.
SENDER = """
import sys, time
from pathlib import Path
from tiktok_erp.transport.budget import machine_clock
from tiktok_erp.transport.pace import Pace

pace = Pace(start_rate=float(sys.argv[2]), max_rate=float(sys.argv[2]), path=Path(sys.argv[1]))
print("ready", flush=True)
end = float(sys.stdin.readline())
while machine_clock() < end:
    pace.wait("/orders")
    print(pace._sent_at()["/orders"])
"""

# Takes the lock, leaves half a page behind, and never ends.
HOLDER = """
import fcntl, os, sys, time

handle = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(handle, fcntl.LOCK_EX)
for page in range(128):
    os.pwrite(handle, b"half a page" * 180, page * 4096)
print("locked", flush=True)
time.sleep(60)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def run_until(processes: Sequence[subprocess.Popen[str]], end: float) -> list[list[float]]:
    """Let the senders go until `end` and return the times of each."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{end}\n")
        process.stdin.flush()
    return [[float(line) for line in process.communicate(timeout=60)[0].split()] for process in processes]


def test_processes_together_keep_to_the_rate_and_are_served_in_turn(tmp_path: Path) -> None:
    senders = [start(SENDER, tmp_path / "pace", RATE) for _process in range(PROCESSES)]
    times = run_until(senders, machine_clock() + SECONDS)
    together = sorted(moment for sender in times for moment in sender)
    assert all(later - earlier >= 1.0 for earlier, later in zip(together, together[RATE:], strict=False))
    # A busy machine may serve half of what it is allowed to.
    assert len(together) >= RATE * SECONDS / 2
    # After the first burst, which whoever is first may take whole, all are served equally.
    later_on = [len([moment for moment in sender if moment >= together[0] + 0.95]) for sender in times]
    assert min(later_on) >= 0.5 * sum(later_on) / PROCESSES


def test_a_killed_process_gives_the_lock_back_and_what_it_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "pace"
    Pace(start_rate=5.0, max_rate=5.0, path=path).wait("/orders")
    holder = start(HOLDER, path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    slept: list[float] = []
    pace = Pace(start_rate=5.0, max_rate=5.0, path=path, sleep=slept.append)
    for _request in range(5):
        pace.wait("/orders")  # would wait for ever for a lock that was not given back
    assert slept == []
    assert path.read_bytes()[:-1].count(b"erppace1") == 1


@pytest.mark.parametrize("after_s", [0.05, 0.12])
def test_processes_killed_at_any_instant_leave_a_file_that_serves(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "pace"
    senders = [start(SENDER, path, 1e9) for _process in range(2)]
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write(f"{machine_clock() + 60}\n")
        sender.stdin.flush()
    time.sleep(after_s)
    for sender in senders:
        os.kill(sender.pid, signal.SIGKILL)
    for sender in senders:
        sender.communicate()
    slept: list[float] = []
    Pace(start_rate=1e9, max_rate=1e9, path=path, sleep=slept.append).wait("/orders")
    assert sum(slept) < 0.5


def test_a_refusal_of_one_process_holds_the_others_back(tmp_path: Path) -> None:
    path = tmp_path / "pace"
    senders = [start(SENDER, path, RATE) for _process in range(2)]
    Pace(start_rate=RATE, max_rate=RATE, path=path).slow_down("/orders", 0.4)
    resumes_at = machine_clock() + 0.4
    times = run_until(senders, resumes_at + 2)
    together = sorted(moment for sender in times for moment in sender)
    assert together[0] >= resumes_at - 0.1
    assert 2 <= len(together) <= RATE / 2 * 2 + 4
