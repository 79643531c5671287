"""The pace of one process, on a clock that only the test moves."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.errors import ChannelThrottled
from tiktok_erp.transport.pace import LONGEST_PAUSE_S, Pace


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
    sent_at(pace(clock), clock, 10)
    assert clock.slept == []


@given(
    rate=st.floats(0.2, 2000.0),
    idle=st.lists(st.one_of(st.just(0.0), st.floats(0.0, 3.0)), min_size=2, max_size=150),
)
def test_no_second_sees_more_requests_than_the_rate(rate: float, idle: list[float]) -> None:
    clock = Clock()
    subject = pace(clock, start=rate, most=rate)
    times = []
    for seconds in idle:
        clock.now += seconds
        times += sent_at(subject, clock, 1)
    assert most_in_a_second(times) <= math.ceil(rate)


def test_a_rate_beyond_what_is_remembered_is_held_too() -> None:
    clock = Clock()
    times = sent_at(pace(clock, start=1000.0, most=1000.0), clock, 2500)
    assert most_in_a_second(times) <= 1000
    assert times[-1] - times[0] <= 2500 / 1000 * 1.03


def test_rest_saves_nothing_up_beyond_one_second() -> None:
    clock = Clock()
    subject = pace(clock, start=10.0, most=10.0)
    sent_at(subject, clock, 40)
    clock.now += 60.0
    assert most_in_a_second(sent_at(subject, clock, 40)) == 10


def test_the_pages_of_a_stream_are_sent_close_to_the_bound() -> None:
    clock = Clock()
    times = sent_at(pace(clock, start=10.0, most=10.0), clock, 28)
    # Goal H1: 1.7 times the bound, which is (28 - 10) / 10 s and 0.3 s of latency; the start of a process is in it too.
    assert times[-1] - times[0] + 0.3 <= 1.3 * 2.1


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
    assert gaps == pytest.approx([1 / 4.0] * 8, rel=0.05)


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


def test_a_late_refusal_of_what_left_before_the_last_one_is_no_news() -> None:
    clock = Clock()
    subject = pace(clock, start=16.0, most=16.0)
    subject.wait("/orders")
    slow_thread = threading.Thread(target=lambda: subject.slow_down("/orders", 1.0))
    slow_thread.start()
    slow_thread.join()
    clock.now += 2.0  # our own answer took longer than the pause
    subject.slow_down("/orders", 1.0)
    gaps = [later - earlier for earlier, later in pairwise(sent_at(subject, clock, 20))]
    assert gaps[5] == pytest.approx(1 / 8.0, rel=0.05)


def test_a_refusal_of_what_left_after_the_last_one_halves_again() -> None:
    clock = Clock()
    subject = pace(clock, start=16.0, most=16.0)
    for _refusal in range(2):
        subject.wait("/orders")
        subject.slow_down("/orders", 1.0)
    gaps = [later - earlier for earlier, later in pairwise(sent_at(subject, clock, 10))]
    assert gaps[5] == pytest.approx(1 / 4.0, rel=0.05)


def test_a_pause_that_nobody_sits_out_is_an_error_at_once() -> None:
    clock = Clock()
    subject = pace(clock)
    subject.slow_down("/orders", 1800.0)
    clock.now += 300.0
    with pytest.raises(ChannelThrottled, match="25 minutes") as caught:
        subject.wait("/orders")
    assert caught.value.retry_after_s == pytest.approx(1500.0)
    assert clock.slept == []


def test_a_pause_without_end_is_tried_again_after_an_hour() -> None:
    clock = Clock()
    subject = pace(clock)
    subject.slow_down("/orders", math.inf)
    clock.now += LONGEST_PAUSE_S
    subject.wait("/orders")
    assert clock.slept == []


def test_a_laptop_that_slept_through_a_pause_does_not_wait_for_it_again() -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        clock.now += 3600.0

    subject = Pace(start_rate=5.0, max_rate=5.0, clock=clock, sleep=sleep)
    subject.slow_down("/orders", 60.0)
    subject.wait("/orders")
    assert sum(clock.slept) <= 5.0


def test_a_request_that_woke_up_late_counts_from_when_it_left() -> None:
    clock = Clock()

    late_by = [0.5, 0.0, 0.0]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds + late_by.pop(0))

    times = sent_at(Pace(start_rate=2.0, max_rate=2.0, clock=clock, sleep=sleep), clock, 5)
    assert times[4] - times[2] >= 1.0


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


def test_the_rate_creeps_by_the_time_that_passed() -> None:
    clock = Clock()
    subject = Pace(start_rate=16.0, max_rate=16.0, creep_after_s=30.0, clock=clock, sleep=clock.sleep)
    subject.slow_down("/orders", 1.0)
    clock.now += 1.0 + 2 * 30.0
    assert len([at for at in sent_at(subject, clock, 30) if at < 1061.5]) == 10  # 8 * 1.1 * 1.1 = 9.7


def test_a_pause_is_no_time_without_a_refusal() -> None:
    clock = Clock()
    subject = pace(clock, start=16.0, most=16.0)
    subject.slow_down("/orders", 50.0)
    gaps = [later - earlier for earlier, later in pairwise(sent_at(subject, clock, 10))]
    assert gaps[5] == pytest.approx(1 / 8.0, rel=0.05)


def test_years_without_a_request_do_no_harm() -> None:
    clock = Clock()
    subject = pace(clock, start=8.0, most=16.0)
    subject.slow_down("/orders", 1.0)
    clock.now += 3e8
    assert most_in_a_second(sent_at(subject, clock, 40)) == 16


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
    # 40 requests at 5 a second, the first 5 at once: a thread's sleep only ever moves the shared clock further.
    assert len(times) == 40
    assert clock.now - 1000.0 >= (40 - 5) / 5.0
