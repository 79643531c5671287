"""Each command of the day's work on a file with a long closed history, against the same work on an empty one.

Processor time, not seconds: other work on the machine moves it little. Both shops get the same orders and the same commands
in turn; a command that changes something is measured where it has its work to do, one that only reads several times.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import SimulatedShop, _simulated
from tests.history import add_history, play_template

Row = tuple[str, str, str, str]
ORDERS = 200_000
DAY_ORDERS = 120
READS = 3
GOAL = "<= 1.5 x, <= 1.3 x"

# Is repeated: it changes nothing, or nothing is left to do.
_READ = frozenset(
    (
        *("status", "orders list --state open", "orders list --cancel-requested", "quarantine", "stock show"),
        *("stock why CND-CDR", "allocate --dry-run", "print-labels --plan", "upload-tracking --plan", "live list"),
        *("alerts check", "labels reconcile", "labels scan-form --dry-run", "orders show ?", "rules explain ?"),
        *("allocate", "reserve-stock --no-push", "orders list --not-scanned"),
    )
)
_DAY = (
    "sync",
    "stock import --from-channel tiktok",
    "stock show",
    "stock why CND-CDR",
    "stock set CND-CDR 500",
    "stock adjust CND-CDR 3 --because found",
    "reserve-stock",
    "reserve-stock --no-push",
    "status",
    "orders list --state open",
    "orders list --cancel-requested",
    "allocate --dry-run",
    "allocate --no-wait",
    "allocate",
    "quarantine",
    "rules explain ?",
    "orders show ?",
    "print-labels --plan",
    "print-labels --yes",
    "labels reconcile",
    "labels scan-form --dry-run",
    "upload-tracking --plan",
    "upload-tracking",
    "orders list --not-scanned",
    "handover kit",
    "resume kit",
    "live list",
    "alerts check",
    "run --yes",
    # These take as long as the history is; their memory does not.
    "orders list --json",
    "labels list --json",
)

# A process counts the memory of the one that started it as its own, so a small one stands between.
_LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_utime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What one process used: user seconds of the processor, MB at its peak."""

    cpu_s: float
    peak_mb: float


def history(folder: Path, orders: int = ORDERS) -> list[Row]:
    """Measure a day on both files, and the memory of what lists or proves everything."""
    os.environ.setdefault("XDG_STATE_HOME", str(folder / "state"))
    with ExitStack() as stack:

        def open_shop(name: str, seed: int) -> SimulatedShop:
            (folder / name).mkdir()
            return stack.enter_context(_simulated(folder / name, orders=DAY_ORDERS, seed=seed, document_seconds=0))

        template = play_template(open_shop("template", 9))
        empty, long = open_shop("empty", 10), open_shop("long", 10)
        for shop in (empty, long):
            shop.call("init", "--quiet")
        add_history(long.folder.db, template, orders)
        size = long.folder.db.stat().st_size / 1e9
        rows: list[Row] = [(f"N1 {orders} closed orders, {size:.1f} GB", "user CPU, peak", "against none", GOAL)]
        for command in _DAY:
            uses: list[list[Used]] = [[], []]
            for _time in range(READS if command in _READ else 1):
                for shop, used in zip((empty, long), uses, strict=True):
                    used.append(_run(shop, command))
            before, after = (
                Used(statistics.median(one.cpu_s for one in used), statistics.median(one.peak_mb for one in used))
                for used in uses
            )
            rows.append(
                (
                    f"   {command}",
                    f"{before.cpu_s:.2f} -> {after.cpu_s:.2f} s, {before.peak_mb:.0f} -> {after.peak_mb:.0f} MB",
                    f"{after.cpu_s / before.cpu_s:.2f} x, {after.peak_mb / before.peak_mb:.2f} x",
                    "",
                )
            )
        return rows


def _run(shop: SimulatedShop, command: str) -> Used:
    order = shop.folder.value("SELECT max(order_id) FROM orders WHERE base_state = 'open'") if "?" in command else ""
    words = [order if word == "?" else word for word in command.split()]
    told = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, sys.executable, "-m", "tiktok_erp", *words],
        cwd=shop.folder.path,
        env=shop.folder.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    cpu_s, peak_mb, code = told.split()
    if int(code) not in (0, 3):
        raise RuntimeError(f"tiktok-erp {command}: exit code {code}")
    return Used(float(cpu_s), float(peak_mb))
