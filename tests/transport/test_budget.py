"""The budget that processes share: where its file lies, what is in it, and what a broken one does (nothing)."""

from __future__ import annotations

import fcntl
import os
import random
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.errors import ChannelThrottled
from tiktok_erp.transport.budget import Allowance, FileBudget, budget_path, machine_clock
from tiktok_erp.transport.pace import Pace


class Clock:
    """The clock of one machine: all its processes see it, and each moves it on by sleeping."""

    def __init__(self) -> None:
        self.now = 50_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(seconds, 1e-6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pace-shop"


def process(path: Path, clock: Clock, *, start: float = 10.0, most: float = 10.0) -> Pace:
    """Return what another process that uses the same file has."""
    return Pace(start_rate=start, max_rate=most, path=path, clock=clock, sleep=clock.sleep)


def sent_at(subject: Pace, clock: Clock, count: int, endpoint: str = "/orders") -> list[float]:
    times = []
    for _request in range(count):
        subject.wait(endpoint)
        times.append(clock.now)
    return times


def rate_of(times: list[float]) -> float:
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    return 1 / gaps[len(gaps) // 2]


def fresh() -> Allowance:
    return Allowance(10.0, raised_at=0.0, seen_at=0.0)


# One budget for all


def test_what_one_process_sent_counts_for_the_other(path: Path, clock: Clock) -> None:
    one, other = process(path, clock), process(path, clock)
    sent_at(one, clock, 7)
    times = sent_at(other, clock, 4)
    assert times[:3] == [50_000.0] * 3
    assert times[3] >= 50_001.0


def test_another_endpoint_has_a_budget_of_its_own(path: Path, clock: Clock) -> None:
    sent_at(process(path, clock), clock, 10)
    sent_at(process(path, clock), clock, 10, "/packages")
    assert clock.slept == []


def test_a_refusal_slows_the_other_processes_too(path: Path, clock: Clock) -> None:
    one, other = process(path, clock), process(path, clock)
    other.wait("/orders")
    one.slow_down("/orders", 7.0)
    times = sent_at(other, clock, 8)
    assert times[0] >= 50_007.0
    assert rate_of(times) == pytest.approx(5.0, rel=0.05)


def test_processes_refused_at_once_halve_the_rate_once(path: Path, clock: Clock) -> None:
    everyone = [process(path, clock, start=16.0, most=16.0) for _process in range(8)]
    for one in everyone:
        one.wait("/orders")
    for one in everyone:
        clock.now += 0.3  # the last answers come after the pause
        one.slow_down("/orders", 1.0)
    assert rate_of(sent_at(everyone[0], clock, 8)) == pytest.approx(8.0, rel=0.05)


def test_a_pause_declared_while_another_waits_for_its_turn_is_obeyed(path: Path, clock: Clock) -> None:
    one = process(path, clock)

    def sleep(seconds: float) -> None:
        if not clock.slept:
            one.slow_down("/orders", 20.0)
        clock.sleep(seconds)

    other = Pace(start_rate=10.0, max_rate=10.0, path=path, clock=clock, sleep=sleep)
    sent_at(other, clock, 11)
    assert clock.now >= 50_020.0


def test_a_run_that_starts_later_goes_on_where_the_rate_has_crept_to(path: Path, clock: Clock) -> None:
    process(path, clock, start=16.0, most=40.0).slow_down("/orders", 1.0)
    clock.now += 1.0 + 3 * 5.0
    times = sent_at(process(path, clock, start=16.0, most=40.0), clock, 30)
    assert len([at for at in times if at < times[0] + 1]) == 11  # 8 * 1.1^3 = 10.6


def test_a_pause_that_nobody_sits_out_stops_the_next_run_before_it_asks(path: Path, clock: Clock) -> None:
    process(path, clock).slow_down("/orders", 3600.0)
    clock.now += 60.0
    with pytest.raises(ChannelThrottled) as caught:
        process(path, clock).wait("/orders")
    assert caught.value.retry_after_s == pytest.approx(3540.0)


def test_each_process_keeps_to_its_own_cap(path: Path, clock: Clock) -> None:
    sent_at(process(path, clock, start=40.0, most=40.0), clock, 40)
    times = sent_at(process(path, clock, start=4.0, most=4.0), clock, 13)
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[4:], strict=False))


def test_a_low_cap_does_not_stay_when_its_process_is_gone(path: Path, clock: Clock) -> None:
    sent_at(process(path, clock, start=40.0, most=40.0), clock, 1)
    sent_at(process(path, clock, start=4.0, most=4.0), clock, 9)
    clock.now += 2.0
    times = sent_at(process(path, clock, start=40.0, most=40.0), clock, 40)
    assert times[-1] - times[0] < 0.5


@given(st.integers(1, 6), st.integers(1, 30), st.randoms(use_true_random=False))
def test_processes_in_any_order_keep_to_one_rate(processes: int, rate: int, chance: random.Random) -> None:
    clock = Clock()
    with _directory() as directory:
        everyone = [process(directory / "f", clock, start=rate, most=rate) for _process in range(processes)]
        times = []
        for _request in range(3 * rate):
            times += sent_at(chance.choice(everyone), clock, 1)
            clock.now += chance.choice([0.0, 0.0, 0.01, 0.4])
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[rate:], strict=False))


def test_more_endpoints_than_the_file_has_pages_are_paced_all_the_same(path: Path, clock: Clock) -> None:
    subject = process(path, clock, start=2.0, most=2.0)
    for number in range(140):
        sent_at(subject, clock, 2, f"/orders/{number}")
    assert clock.slept == []
    clock.now += 60.0
    times = sent_at(subject, clock, 4, "/orders/139")
    assert times[2] - times[0] >= 1.0


# What is in the file


def test_the_file_names_no_endpoint_and_is_the_owners_alone(path: Path, clock: Clock) -> None:
    sent_at(process(path, clock), clock, 3, "/orders/576461413038785752")
    assert b"576461413038785752" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def damaged(content: bytes, kind: str) -> bytes:
    return {
        "empty": b"",
        "text": b"not a budget at all\n" * 4000,
        "zeros": bytes(len(content)),
        "cut": content[: len(content) - 100],
        "short": content[:50],
        "torn": content[: len(content) - 2048] + b"\xff" * 2048,
        "flipped": bytes(255 - byte for byte in content),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "zeros", "cut", "short", "torn", "flipped"])
def test_a_damaged_file_counts_as_empty_and_serves_again(path: Path, clock: Clock, kind: str) -> None:
    process(path, clock).slow_down("/orders", 50.0)
    path.write_bytes(damaged(path.read_bytes(), kind))
    sent_at(process(path, clock), clock, 10)
    assert clock.slept == []
    assert sent_at(process(path, clock), clock, 1)[0] >= 50_001.0


@given(st.binary(max_size=9000), st.integers(0, 128 * 4096))
def test_no_content_breaks_or_blocks(noise: bytes, offset: int) -> None:
    clock = Clock()
    with _directory() as directory:
        path = directory / "f"
        sent_at(process(path, clock), clock, 5)
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(noise)
        sent_at(process(path, clock), clock, 5)
    assert clock.slept == []


def test_a_file_that_is_removed_is_made_anew(path: Path, clock: Clock) -> None:
    subject = process(path, clock)
    sent_at(subject, clock, 10)
    path.unlink()
    sent_at(subject, clock, 7)
    sent_at(process(path, clock), clock, 3)
    assert clock.slept == []
    assert sent_at(process(path, clock), clock, 1)[0] >= 50_001.0


def test_a_place_in_a_file_that_was_lost_is_asked_for_anew(path: Path, clock: Clock) -> None:
    others: list[float] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds + 0.01)
        if not others:
            path.unlink()
            others.extend(sent_at(process(path, clock, start=40.0, most=40.0), clock, 12))

    subject = Pace(start_rate=10.0, max_rate=10.0, path=path, clock=clock, sleep=sleep)
    assert sent_at(subject, clock, 11)[-1] - others[-10] >= 1.0


def test_a_place_that_was_dropped_is_asked_for_anew(path: Path, clock: Clock) -> None:
    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        with FileBudget(path).change("/orders", fresh) as allowance:
            allowance.forget_times(clock.now)

    sent_at(Pace(start_rate=10.0, max_rate=10.0, path=path, clock=clock, sleep=sleep), clock, 11)
    with FileBudget(path).change("/orders", fresh) as allowance:
        assert allowance.count == 1


# Clocks


def test_the_clock_is_the_same_for_all_and_does_not_follow_the_wall() -> None:
    before = machine_clock()
    assert before <= machine_clock() < before + 5.0
    assert machine_clock() < 1e9  # no wall clock: it counts from the start of the machine


def test_times_of_an_earlier_boot_are_dropped_and_the_rate_stays(path: Path, clock: Clock) -> None:
    with FileBudget(path, boot=b"earlier.").change("/orders", fresh) as allowance:
        allowance.rate = 5.0
        allowance.raised_at = allowance.paused_until = clock.now + 3000.0
        allowance.seen_at = clock.now - 10.0
        for _send in range(20):
            allowance.add_send(clock.now + 40.0)
    times = sent_at(process(path, clock), clock, 6)
    assert times[:5] == [50_000.0] * 5
    assert 50_001.0 <= times[5] < 50_001.1


@pytest.mark.parametrize("back", [2.0, 3600.0, 49_000.0])
def test_times_of_the_future_are_dropped(path: Path, clock: Clock, back: float) -> None:
    subject = process(path, clock)
    sent_at(subject, clock, 10)
    subject.slow_down("/orders", 60.0)
    clock.now -= back
    sent_at(process(path, clock), clock, 5)
    assert clock.slept == []


@pytest.mark.parametrize("ahead", [500.0, 1e12, float("inf"), float("nan")])
def test_a_queue_that_cannot_be_is_dropped(path: Path, clock: Clock, ahead: float) -> None:
    with FileBudget(path).change("/orders", fresh) as allowance:
        for _send in range(20):
            allowance.add_send(clock.now + ahead)
    sent_at(process(path, clock), clock, 5)
    assert clock.slept == []


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_cannot_be_is_dropped(path: Path, clock: Clock, rate: float) -> None:
    with FileBudget(path).change("/orders", fresh) as allowance:
        allowance.rate = rate
    times = sent_at(process(path, clock), clock, 11)
    assert times[9] == 50_000.0
    assert 50_001.0 <= times[10] < 50_001.1


# No file


@pytest.fixture
def unusable(path: Path, request: pytest.FixtureRequest) -> Path:
    kind = request.param
    if kind == "directory":
        path.mkdir()
    elif kind == "no folder":
        return path / "deeper" / "file"
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (path.parent / "elsewhere").write_bytes(b"precious")
        path.symlink_to(path.parent / "elsewhere")
    return path


@pytest.mark.parametrize("unusable", ["directory", "no folder", "pipe", "link"], indirect=True)
def test_without_a_file_the_process_keeps_a_budget_of_its_own(unusable: Path, clock: Clock) -> None:
    subject = process(unusable, clock)
    times = sent_at(subject, clock, 11)
    assert times[9] == 50_000.0
    assert times[10] >= 50_001.0
    subject.slow_down("/orders", 9.0)
    assert sent_at(subject, clock, 1)[0] >= times[10] + 9.0


def test_nothing_is_written_through_a_link(path: Path, clock: Clock) -> None:
    other = path.parent / "elsewhere"
    other.write_bytes(b"precious")
    path.symlink_to(other)
    sent_at(process(path, clock), clock, 3)
    assert other.read_bytes() == b"precious"


def test_a_lock_that_is_never_given_back_is_not_waited_for(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(TimeoutError), FileBudget(path, longest_lock_s=0.02).change("/orders", fresh):
            pass
    finally:
        os.close(handle)


def test_threads_exclude_each_other(path: Path) -> None:
    budget = FileBudget(path)

    def count() -> None:
        for _time in range(50):
            with budget.change("/orders", fresh) as allowance:
                allowance.rate += 1.0

    threads = [threading.Thread(target=count) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with budget.change("/orders", fresh) as allowance:
        assert allowance.rate == 10.0 + 200


# Where it lies


def test_the_state_directory_of_the_environment_is_taken(tmp_path: Path) -> None:
    path = budget_path("a1b2-7495", {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)})
    assert path is not None
    assert path.parent == tmp_path / "state" / "tiktok_erp"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("state", ["", "relative/state"])
def test_else_the_one_below_the_home_directory(tmp_path: Path, state: str) -> None:
    path = budget_path("a1b2-7495", {"XDG_STATE_HOME": state, "HOME": str(tmp_path)})
    assert path is not None
    assert path.parent == tmp_path / ".local" / "state" / "tiktok_erp"


def test_else_one_of_the_user_among_the_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, so that no directory can be made in it")
    path = budget_path("a1b2-7495", {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)})
    assert path is not None
    assert path.parent == tmp_path / f"tiktok_erp-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_directory_that_others_could_write_is_closed(tmp_path: Path) -> None:
    directory = tmp_path / f"tiktok_erp-{os.getuid()}"
    directory.mkdir()
    directory.chmod(0o777)
    assert budget_path("shop", {"HOME": os.devnull, "TMPDIR": str(tmp_path)}) is not None
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_link_that_somebody_laid_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / f"tiktok_erp-{os.getuid()}").symlink_to(tmp_path / "trap")
    assert budget_path("shop", {"HOME": os.devnull, "TMPDIR": str(tmp_path)}) is None


def test_without_any_directory_there_is_no_file(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": os.devnull, "HOME": os.devnull, "TMPDIR": os.devnull}
    assert budget_path("a1b2-7495", environment) is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "店铺", "x" * 500, ".", "a\0b"])
def test_every_name_gives_a_file_in_the_directory(tmp_path: Path, name: str, clock: Clock) -> None:
    path = budget_path(name, {"XDG_STATE_HOME": str(tmp_path)})
    assert path is not None
    sent_at(process(path, clock), clock, 1)
    assert [entry.name for entry in (tmp_path / "tiktok_erp").iterdir()] == [path.name]


def test_different_names_give_different_files(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "a b", "x" * 500, "x" * 501, ""]
    assert len({budget_path(name, {"XDG_STATE_HOME": str(tmp_path)}) for name in names}) == len(names)


@contextmanager
def _directory() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
