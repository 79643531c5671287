"""Times: aware UTC in the program, one form of text in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.moment import from_text, parse_duration, to_text

MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


@given(MOMENTS)
def test_a_stored_time_comes_back_to_the_second(moment: datetime) -> None:
    assert from_text(to_text(moment)) == moment.replace(microsecond=0)


@given(MOMENTS, MOMENTS)
def test_stored_times_sort_as_the_times_do(one: datetime, other: datetime) -> None:
    early, late = sorted([one.replace(microsecond=0), other.replace(microsecond=0)])
    assert to_text(early) <= to_text(late)
    assert (to_text(early) == to_text(late)) == (early == late)


def test_a_time_of_another_zone_is_stored_in_utc() -> None:
    pacific = timezone(timedelta(hours=-8))
    assert to_text(datetime(2026, 1, 31, 22, 30, 0, tzinfo=pacific)) == "2026-02-01T06:30:00Z"


def test_a_time_without_a_zone_cannot_be_stored() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        to_text(datetime(2026, 1, 31))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31 09:30:00Z",
        "2026-01-31T09:30:00+00:00",
        "2026-01-31T09:30:00.5Z",
        "2026-1-31T9:30:00Z",
        "2026-02-30T09:30:00Z",
        " 2026-01-31T09:30:00Z",
    ],
)
def test_any_other_form_of_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", timedelta(seconds=60)),
        ("5m", timedelta(minutes=5)),
        ("3h", timedelta(hours=3)),
        ("2d", timedelta(days=2)),
        (" 24 h ", timedelta(hours=24)),
        ("0s", timedelta()),
    ],
)
def test_a_length_of_time_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 min", "-5m", "1.5h", "5M", "1h30m", "9" * 20 + "d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_duration(text)
