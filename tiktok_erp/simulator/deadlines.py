"""Business-day deadlines of a US order, 23:59:59 Pacific (TikTok reference, section 7). Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


@cache
def federal_holidays(year: int) -> frozenset[date]:
    """Return the eleven US federal holidays of a year, as observed (Saturday: the day before, Sunday: the day after)."""
    last_of_may = date(year, 5, 31)
    fixed = [date(year, 1, 1), date(year, 6, 19), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
    shift = {5: -1, 6: 1}
    observed = [day + timedelta(days=shift.get(day.weekday(), 0)) for day in fixed]
    floating = [
        _nth_weekday(year, 1, 0, 3),
        _nth_weekday(year, 2, 0, 3),
        last_of_may - timedelta(days=last_of_may.weekday()),
        _nth_weekday(year, 9, 0, 1),
        _nth_weekday(year, 10, 0, 2),
        _nth_weekday(year, 11, 3, 4),
    ]
    return frozenset(observed + floating)


def is_business_day(day: date) -> bool:
    """Return whether carriers work that day."""
    # New Year's Day on a Saturday is observed in the year before.
    return day.weekday() < 5 and day not in federal_holidays(day.year) and day not in federal_holidays(day.year + 1)


@cache
def _add_business_days(day: date, count: int) -> date:
    while count > 0:
        day += timedelta(days=1)
        count -= is_business_day(day)
    return day


def end_of_business_day(moment: int, days: int) -> int:
    """Return the Unix second of 23:59:59 Pacific, `days` business days after the Pacific day of `moment` (day 0)."""
    day = _add_business_days(datetime.fromtimestamp(moment, PACIFIC).date(), days)
    return int(datetime.combine(day, time(23, 59, 59), PACIFIC).timestamp())
