"""What is repeated, how often, and what a server's `Retry-After` means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.errors import ChannelDown, ChannelRefused, ChannelThrottled, OutcomeUnknown
from tiktok_erp.transport.retry import LONGEST_WAIT_S, RetryPolicy, parse_retry_after, with_retries

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every wait between two attempts, none of them really waited for."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture
def quick() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6):
        yield


def down() -> ChannelDown:
    return ChannelDown("down", subject="", next_step="")


def throttled(seconds: float | None) -> ChannelThrottled:
    return ChannelThrottled("slow down", subject="", next_step="", retry_after_s=seconds)


class Call:
    """Fails with the given errors, one after another, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def is_down(error: Exception) -> bool:
    return isinstance(error, ChannelDown)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("8.5", 8.5),
        ("\t8.50 ", 8.5),
        (".5", 0.5),
        ("3.", 3.0),
        ("-0.5", None),
        ("+5", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("0x10", None),
        ("1_000", None),
        ("5 s", None),
        ("8,5", None),
        ("\u0665", None),
        ("9" * 400, 365 * 86400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 365 * 86400.0),
        ("Sun, 22 Nov 2026 09:30:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 09:30:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 09:30:30 +0000", 30.0),
        ("Sunday, 22-Nov-26 09:31:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("\u00b2", None),
        ("Sun, 99 Nov 2026 09:30:30 GMT", None),
    ],
)
def test_every_form_of_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (None, 241.0),
        ("", 241.0),
        ("just now", 241.0),
        ("Sun, 22 Nov 2026 09:34:00 GMT", 1.0),
        ("Sun, 22 Nov 2026 09:35:00 GMT", 0.0),
    ],
)
def test_a_moment_is_read_by_the_clock_of_the_server(date: str | None, seconds: float) -> None:
    assert parse_retry_after("Sun, 22 Nov 2026 09:34:01 GMT", NOW, date=date) == seconds


def test_a_number_without_end_stays_a_number_that_can_be_shown() -> None:
    assert parse_retry_after("9" * 500, NOW) == 365 * 86400


@given(st.text())
def test_no_header_breaks_the_reading(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


def test_what_succeeds_later_is_repeated(quick: None) -> None:
    call = Call(down(), down())
    assert with_retries(call, is_down) == "done"
    assert call.count == 3


def test_the_last_error_comes_out_as_it_is(quick: None) -> None:
    errors = [down() for _attempt in range(9)]
    call = Call(*errors)
    with pytest.raises(ChannelDown) as caught:
        with_retries(call, is_down)
    assert caught.value is errors[5]
    assert call.count == 6


def test_what_may_not_be_repeated_is_tried_once(quick: None) -> None:
    refusal = ChannelRefused("no", subject="", next_step="", code=21011044)
    call = Call(refusal)
    with pytest.raises(ChannelRefused):
        with_retries(call, is_down)
    assert call.count == 1


def test_the_decision_is_made_anew_for_each_error(quick: None) -> None:
    unknown = OutcomeUnknown("?", subject="", next_step="")
    call = Call(throttled(None), unknown)
    with pytest.raises(OutcomeUnknown):
        with_retries(call, lambda error: isinstance(error, ChannelThrottled))
    assert call.count == 2


def test_the_servers_own_wish_is_waited_for(slept: list[float]) -> None:
    with_retries(Call(throttled(7.0)), is_down)
    assert slept == [7.0]


def test_a_wish_for_no_wait_is_repeated_too(slept: list[float]) -> None:
    call = Call(throttled(0.0))
    assert with_retries(call, is_down) == "done"
    assert call.count == 2
    assert sum(slept) <= 1.0


def test_the_longest_wish_that_is_sat_out(slept: list[float]) -> None:
    with_retries(Call(throttled(LONGEST_WAIT_S)), is_down)
    assert slept == [LONGEST_WAIT_S]


def test_a_wish_for_longer_comes_out_at_once(slept: list[float]) -> None:
    call = Call(throttled(3600.0))
    with pytest.raises(ChannelThrottled) as caught:
        with_retries(call, is_down, RetryPolicy(total_s=86400.0))
    assert caught.value.retry_after_s == 3600.0
    assert (call.count, slept) == (1, [])


def test_no_wait_begins_that_would_pass_the_total(slept: list[float]) -> None:
    call = Call(*[throttled(50.0) for _attempt in range(9)])
    with pytest.raises(ChannelThrottled):
        with_retries(call, is_down, RetryPolicy(total_s=49.0))
    assert (call.count, slept) == (1, [])


def test_without_a_wish_the_waits_grow(slept: list[float]) -> None:
    with pytest.raises(ChannelDown):
        with_retries(Call(*[down() for _attempt in range(9)]), is_down)
    assert len(slept) == 5
    for index, wait in enumerate(slept):
        assert 0.4 * 2**index <= wait <= 0.4 * 2**index + 0.4
    assert sum(slept) < 15.0


def test_a_small_wish_does_not_shorten_the_waits(slept: list[float]) -> None:
    with pytest.raises(ChannelThrottled):
        with_retries(Call(*[throttled(1.0) for _attempt in range(9)]), is_down)
    assert slept[0] == 1.0
    assert slept[4] >= 6.4


def test_a_caller_chooses_tries_and_waits(slept: list[float]) -> None:
    call = Call(*[down() for _attempt in range(9)])
    with pytest.raises(ChannelDown):
        with_retries(call, is_down, RetryPolicy(attempts=3, total_s=10.0, first_wait_s=0.001))
    assert call.count == 3
    assert sum(slept) <= 0.005


def test_faults_at_random_practically_never_end_a_run() -> None:
    per_request = 0.05 ** RetryPolicy().attempts
    assert 1 - (1 - per_request) ** 10_000 < 0.001
