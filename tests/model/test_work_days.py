"""Which days count, and when a length of days that count is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tiktok_erp.model.rule import WorkDays
from tiktok_erp.model.work_days import due_after, is_work_day

PACIFIC = ZoneInfo("America/Los_Angeles")
BUSINESS = WorkDays((0, 1, 2, 3, 4), without_holidays=True)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        (date(2026, 11, 25), True),
        (date(2026, 11, 26), False),  # Thanksgiving
        (date(2026, 11, 28), False),  # a Saturday
        (date(2026, 7, 3), False),  # Independence Day, observed
        (date(2021, 12, 31), False),  # New Year's Day of 2022, observed in the year before
    ],
)
def test_weekends_and_federal_holidays_do_not_count(day: date, counts: bool) -> None:
    assert is_work_day(day, BUSINESS) is counts


def pacific(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=PACIFIC).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "length", "days", "due"),
    [
        (pacific(24, 9), DAY, WorkDays(), pacific(25, 9)),
        (pacific(24, 9), DAY, BUSINESS, pacific(25, 9)),
        (pacific(25, 9), DAY, BUSINESS, pacific(27, 9)),  # over Thanksgiving
        (pacific(27, 9), DAY, BUSINESS, pacific(30, 9)),  # over a weekend
        (pacific(28, 9), timedelta(hours=2), BUSINESS, pacific(30, 2)),  # paid on a Saturday
        (pacific(24, 23, 30), timedelta(hours=1), BUSINESS, pacific(25, 0, 30)),
    ],
)
def test_only_days_that_count_pass(start: datetime, length: timedelta, days: WorkDays, due: datetime) -> None:
    assert due_after(start, length, days, PACIFIC) == due


def test_the_calendar_is_the_shops_own() -> None:
    late_on_friday = pacific(27, 20)  # Saturday in UTC
    assert due_after(late_on_friday, timedelta(hours=2), BUSINESS, PACIFIC) == pacific(27, 22)
    assert due_after(late_on_friday, timedelta(hours=2), BUSINESS, UTC) == datetime(2026, 11, 30, 2, tzinfo=UTC)
