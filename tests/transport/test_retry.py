"""What is repeated, how often, and what a server's `Retry-After` means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.errors import ChannelDown, ChannelRefused, ChannelThrottled, OutcomeUnknown
from tiktok_erp.transport.retry import parse_retry_after, with_retries

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


def test_a_wish_for_very_long_is_cut(slept: list[float]) -> None:
    with_retries(Call(throttled(86400.0)), is_down)
    assert slept == [60.0]


def test_without_a_wish_the_waits_grow(slept: list[float]) -> None:
    with pytest.raises(ChannelDown):
        with_retries(Call(*[down() for _attempt in range(9)]), is_down)
    assert len(slept) == 5
    for index, wait in enumerate(slept):
        assert 0.5 * 2**index <= wait <= 0.5 * 2**index + 0.5
    assert sum(slept) < timedelta(minutes=2).total_seconds()
