"""The adaptive token bucket, on a clock that only the test moves."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.transport.pace import Pace


class Clock:
    """A clock that sleeping moves on; it keeps every sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += max(seconds, 1e-6)  # no real sleep is shorter


def pace(clock: Clock, *, start: float = 10.0, most: float = 20.0) -> Pace:
    return Pace(start_rate=start, max_rate=most, clock=clock, sleep=clock.sleep)


def sent_at(subject: Pace, clock: Clock, count: int, endpoint: str = "/orders") -> list[float]:
    times = []
    for _request in range(count):
        subject.wait(endpoint)
        times.append(clock.now)
    return times


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for other in times if start <= other < start + 1.0) for start in times)


def test_the_first_requests_go_at_once() -> None:
    clock = Clock()
    sent_at(pace(clock), clock, 9)
    assert clock.slept == []


@given(st.floats(0.5, 50.0), st.integers(2, 120))
def test_no_second_sees_more_requests_than_the_rate_in_force(rate: float, count: int) -> None:
    clock = Clock()
    times = sent_at(pace(clock, start=rate, most=rate), clock, count)
    # A bucket that starts full may add what it held to what it is given in that second.
    assert most_in_a_second(times) <= max(1.0, rate - 1) + rate + 1
    later = [moment for moment in times if moment >= times[0] + 2]
    if later:
        assert most_in_a_second(later) <= rate + 1


def test_a_steady_sender_keeps_to_the_rate() -> None:
    clock = Clock()
    times = sent_at(pace(clock, start=4.0, most=4.0), clock, 41)
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(4.0, rel=0.15)


def test_the_start_rate_never_passes_the_highest_rate() -> None:
    clock = Clock()
    times = sent_at(pace(clock, start=100.0, most=2.0), clock, 12)
    assert times[-1] - times[1] >= 4.5


def test_a_refusal_pauses_its_endpoint_and_halves_its_rate() -> None:
    clock = Clock()
    subject = pace(clock, start=8.0, most=8.0)
    subject.wait("/orders")
    subject.slow_down("/orders", 3.0)
    refused_at = clock.now
    times = sent_at(subject, clock, 9)
    assert times[0] >= refused_at + 3.0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[2] == pytest.approx(1 / 4.0, rel=0.05)


def test_another_endpoint_does_not_pay_for_it() -> None:
    clock = Clock()
    subject = pace(clock)
    subject.slow_down("/orders", 60.0)
    subject.wait("/packages")
    assert clock.slept == []


def test_one_burst_of_refusals_halves_the_rate_once() -> None:
    clock = Clock()
    subject = pace(clock, start=16.0, most=16.0)
    for _refusal in range(8):
        subject.slow_down("/orders", 1.0)
    times = sent_at(subject, clock, 20)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[5] == pytest.approx(1 / 8.0, rel=0.05)


def test_the_longest_pause_asked_for_counts() -> None:
    clock = Clock()
    subject = pace(clock)
    begun = clock.now
    subject.slow_down("/orders", 30.0)
    subject.slow_down("/orders", 1.0)
    subject.wait("/orders")
    assert clock.now >= begun + 30.0


def test_the_rate_never_falls_to_nothing() -> None:
    clock = Clock()
    subject = pace(clock, start=1.0, most=1.0)
    for _refusal in range(30):
        subject.slow_down("/orders", 0.1)
        clock.now += 0.2
    clock.slept.clear()
    sent_at(subject, clock, 3)
    assert max(clock.slept) <= 6.0


def test_the_rate_creeps_up_again_but_not_past_the_highest() -> None:
    clock = Clock()
    subject = pace(clock, start=8.0, most=10.0)
    subject.slow_down("/orders", 1.0)
    sent_at(subject, clock, 600)
    recovered = sent_at(subject, clock, 30)
    assert (len(recovered) - 1) / (recovered[-1] - recovered[0]) == pytest.approx(10.0, rel=0.1)


def test_threads_share_one_rate() -> None:
    lock = threading.Lock()
    times: list[float] = []
    clock = Clock()

    def sleep(seconds: float) -> None:
        with lock:
            clock.now += max(seconds, 1e-6)

    subject = Pace(start_rate=5.0, max_rate=5.0, clock=clock, sleep=sleep)

    def send() -> None:
        for _request in range(10):
            subject.wait("/orders")
            with lock:
                times.append(clock.now)

    threads = [threading.Thread(target=send) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 40 requests at 5 a second, the first 4 at once: a thread's sleep only ever moves the shared clock further.
    assert len(times) == 40
    assert clock.now - 1000.0 >= (40 - 4) / 5.0
