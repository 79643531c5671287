"""Which days count: weekdays, and where told so the US federal holidays left out. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from tiktok_erp.model.rule import Pickup, WorkDays

_FARTHEST_BACK = 14  # days; no carrier pauses for longer


def is_work_day(day: date, days: WorkDays) -> bool:
    """Tell whether `day` counts."""
    return day.weekday() in days.weekdays and not (days.without_holidays and day in _federal_holidays(day.year))


@lru_cache(maxsize=16)
def _federal_holidays(year: int) -> frozenset[date]:
    import holidays

    # The observed days of the next year may fall into this one.
    return frozenset(holidays.country_holidays("US", years=(year, year + 1)))


def last_pickup(pickup: Pickup, before: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the last time the carrier collects up to `before`, or None where none is near."""
    local = before.astimezone(zone)
    for back in range(_FARTHEST_BACK):
        day = local.date() - timedelta(days=back)
        moment = datetime.combine(day, pickup.at, zone)
        if moment <= local and is_work_day(day, pickup.days):
            return moment.astimezone(before.tzinfo)
    return None


def due_after(start: datetime, length: timedelta, days: WorkDays, zone: tzinfo) -> datetime:
    """Return when `length` of days that count has passed since `start`; the others, by the shop's calendar, do not count."""
    if days == WorkDays():
        return start + length
    moment, left = start, length
    while True:
        local = moment.astimezone(zone)
        midnight = datetime.combine(local.date() + timedelta(days=1), time(0), zone).astimezone(start.tzinfo)
        if is_work_day(local.date(), days):
            if left <= midnight - moment:
                return moment + left
            left -= midnight - moment
        moment = midnight
