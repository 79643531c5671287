"""Decide which alerts open and close, which messages are due, and what they say. Pure: `run.py` reads and sends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.rule import Rules

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# Runs in a row failed; nothing was fetched during a stream; `alerts check` found the orders too old, or no database.
FAILING, SILENT, STALE, NO_STORE = "sync_failing", "sync_silent", "sync_stale", "store_unreadable"

# The fetch worked; some items may have failed.
SUCCESS_CODES = (0, 3)
# Our bug, sign-in, settings, channel, store. A wrong command line (2) or an interrupted run (130) says nothing.
FAILURE_CODES = (1, 4, 5, 6, 7)

# Whoever claimed a message and did not report within this time has died: sending is bounded far below it.
_CLAIM_HOLDS = timedelta(minutes=2)
# Once somebody was told, an address that keeps failing is left alone after so many times.
_TRIES = 10
# A copy from further in the future was made while the clock was wrong: its age is not known.
_CLOCK_DOUBT = timedelta(minutes=10)
_STREAM_WINDOW = timedelta(hours=1)
_LONGEST_ERROR = 80
_LONGEST_SHOP = 30


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `sync` that came to a decision; imports of files that worked are left out."""

    started_at: datetime
    exit_code: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open alert. `has_cause`: it could say why, not only that nothing comes."""

    at: datetime
    has_cause: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store knows. `runs` are newest first; `fetched_at` is the last fetch from the channel that worked.

    `filed_at` is the time of the newest export that was taken over. `stream_orders` are the orders placed within the hour before
    the newer of both; it only counts once that is older than `alerts.silent_after`.
    """

    now: datetime
    runs: Sequence[Run] = ()
    fetched_at: datetime | None = None
    filed_at: datetime | None = None
    stream_orders: int = 0
    open_alerts: Mapping[str, Opened] = field(default_factory=dict)
    max_age: timedelta | None = None  # None: nobody asked with `alerts check`

    @property
    def as_of(self) -> datetime | None:
        """As of when the orders are true, wherever they came from."""
        return max((time for time in (self.fetched_at, self.filed_at) if time is not None), default=None)

    @property
    def age(self) -> timedelta | None:
        """How old the orders are; None when that is not known."""
        if self.as_of is None or self.as_of - self.now > _CLOCK_DOUBT:
            return None
        return max(self.now - self.as_of, timedelta(0))

    def is_stale(self, max_age: timedelta) -> bool:
        """Tell whether the orders are older than `max_age`; an unknown age is."""
        return self.age is None or self.age > max_age


@dataclass(frozen=True, slots=True)
class Change:
    """Alerts to open, each with the facts its text is made of, and kinds to close."""

    opens: tuple[tuple[str, Mapping[str, object]], ...] = ()
    closes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opens or self.closes)


def stream_window(facts: Facts, rules: Rules) -> tuple[datetime, datetime] | None:
    """Return the hour in which orders are to be counted, or None while the orders are fresh enough."""
    if facts.as_of is None or facts.age is None or facts.age <= rules.alerts.silent_after:
        return None
    return facts.as_of - _STREAM_WINDOW, facts.as_of


def plan_alerts(facts: Facts, rules: Rules) -> Change:
    """Return which alerts open and which close: one outage is one alarm.

    `sync_failing` is about the channel: only a fetch that works closes it, an imported file does not. `sync_silent` and
    `sync_stale` are about the age of the orders, so that a fresh export closes them, but not while runs keep failing. They
    do not open beside each other or while runs fail; `sync_failing` opens beside them if they could not say why.
    """
    opened = facts.open_alerts
    failures = _streak(facts.runs)
    is_failing = len(failures) >= rules.sync.alert_after_failures or (FAILING in opened and not _works(facts.runs))
    opens: list[tuple[str, Mapping[str, object]]] = []
    closes: list[str] = []
    if is_failing:
        is_told = any(kind == FAILING or alert.has_cause for kind, alert in opened.items())
        if not is_told:
            opens.append((FAILING, _failing(failures)))
        return Change(tuple(opens))

    if FAILING in opened:
        closes.append(FAILING)
    is_silent = stream_window(facts, rules) is not None and facts.stream_orders >= rules.alerts.stream_orders
    if SILENT in opened:
        if _is_fresh_since(facts, opened[SILENT].at, rules.alerts.silent_after):
            closes.append(SILENT)
    elif is_silent and STALE not in opened:
        opens.append((SILENT, _last_failure(failures)))
    if STALE in opened:
        if _is_fresh_since(facts, opened[STALE].at, facts.max_age):
            closes.append(STALE)
    elif facts.max_age is not None and facts.is_stale(facts.max_age) and SILENT not in opened and not opens:
        opens.append((STALE, _last_failure(failures)))
    return Change(tuple(opens), tuple(closes))


def _works(runs: Sequence[Run]) -> bool:
    """Tell whether the newest decided run was a success."""
    return any(run.exit_code in SUCCESS_CODES for run in runs[:1])


def _streak(runs: Sequence[Run]) -> list[Run]:
    """Return the failures since the last success, newest first."""
    failures = []
    for run in runs:
        if run.exit_code in SUCCESS_CODES:
            break
        if run.exit_code in FAILURE_CODES:
            failures.append(run)
    return failures


def _failing(failures: Sequence[Run]) -> Mapping[str, object]:
    return {"count": len(failures), "since": to_text(failures[-1].started_at), **_last_failure(failures)}


def _last_failure(failures: Sequence[Run]) -> Mapping[str, object]:
    return {"exit_code": failures[0].exit_code, "error": failures[0].error} if failures else {}


def _is_fresh_since(facts: Facts, opened_at: datetime, limit: timedelta | None) -> bool:
    if facts.age is None or facts.as_of is None:
        return False
    return facts.age <= limit if limit is not None else facts.as_of >= opened_at


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of `alerts`. Addresses are numbered as in `alerts.to`, from 1."""

    alert_id: int
    kind: str
    opened_at: datetime
    facts: Mapping[str, Any]
    is_open: bool = True
    told: frozenset[int] = frozenset()
    tries: int = 0
    claimed_at: datetime | None = None
    sent_at: datetime | None = None
    cleared: frozenset[int] = frozenset()
    clear_tries: int = 0
    clear_claimed_at: datetime | None = None
    clear_sent_at: datetime | None = None

    @property
    def detail(self) -> str:
        """The JSON text of what has no column."""
        delivery = {
            "told": sorted(self.told),
            "tries": self.tries,
            "cleared": sorted(self.cleared),
            "clear_tries": self.clear_tries,
        }
        return json.dumps({**self.facts, **delivery}, ensure_ascii=False)


def read_alert(row: Mapping[str, Any]) -> Alert:
    """Make an alert of a row of the table."""
    try:
        detail = json.loads(row["detail"])
    except ValueError:
        detail = None
    facts = dict(detail) if isinstance(detail, dict) else {"error": row["detail"]}
    told, tries = facts.pop("told", ()), facts.pop("tries", 0)
    cleared, clear_tries = facts.pop("cleared", ()), facts.pop("clear_tries", 0)
    return Alert(
        alert_id=row["alert_id"],
        kind=row["kind"],
        opened_at=from_text(row["opened_at"]),
        facts=facts,
        is_open=row["closed_at"] is None,
        told=frozenset(told),
        tries=tries,
        claimed_at=_time(row["claimed_at"]),
        sent_at=_time(row["sent_at"]),
        cleared=frozenset(cleared),
        clear_tries=clear_tries,
        clear_claimed_at=_time(row["clear_claimed_at"]),
        clear_sent_at=_time(row["clear_sent_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is to be sent now: the alarm of one alert, or the all-clear of several."""

    alerts: tuple[Alert, ...]
    is_clear: bool
    addresses: tuple[int, ...]


def plan_messages(alerts: Sequence[Alert], addresses: int, now: datetime) -> list[Due]:
    """Return the messages that nobody sends at the moment and that some of the `addresses` have not had.

    The all-clear goes to those who had the alarm. Alerts that end together have one all-clear.
    """
    everybody = frozenset(range(1, addresses + 1))
    due: list[Due] = []
    ended: list[Alert] = []
    together: frozenset[int] = frozenset()
    for alert in alerts:
        if alert.is_open:
            waiting = everybody - alert.told
            gave_up = bool(alert.told) and alert.tries >= _TRIES
            if waiting and not gave_up and not _is_held(alert.claimed_at, now):
                due.append(Due((alert,), is_clear=False, addresses=tuple(sorted(waiting))))
            continue
        waiting = _alarmed(alert, everybody, now) & everybody - alert.cleared
        if waiting and alert.clear_tries < _TRIES and not _is_held(alert.clear_claimed_at, now):
            ended.append(alert)
            together |= waiting
    if ended:
        due.append(Due(tuple(ended), is_clear=True, addresses=tuple(sorted(together))))
    return due


def _alarmed(alert: Alert, everybody: frozenset[int], now: datetime) -> frozenset[int]:
    if alert.sent_at is not None:
        return alert.told or everybody
    # Whoever claimed it died while sending: perhaps it arrived, and an alarm without an end is worse than an end alone.
    died = alert.claimed_at is not None and not _is_held(alert.claimed_at, now)
    return everybody if died else frozenset()


def _is_held(claimed_at: datetime | None, now: datetime) -> bool:
    return claimed_at is not None and abs(now - claimed_at) < _CLAIM_HOLDS


def after_alarm(alert: Alert, told: frozenset[int], asked: Sequence[int], now: datetime) -> Alert:
    """Return `alert` as it is after its alarm went to `asked` and reached `told`. What is still waiting can be claimed again."""
    return replace(
        alert,
        told=alert.told | told,
        tries=alert.tries + 1,
        sent_at=alert.sent_at or (now if told else None),
        claimed_at=alert.claimed_at if told >= frozenset(asked) else None,
    )


def after_clear(alert: Alert, told: frozenset[int], asked: Sequence[int], now: datetime) -> Alert:
    """Return `alert` as it is after its all-clear went to `asked` and reached `told`."""
    return replace(
        alert,
        cleared=alert.cleared | told,
        clear_tries=alert.clear_tries + 1,
        clear_sent_at=alert.clear_sent_at or (now if told else None),
        clear_claimed_at=alert.clear_claimed_at if told >= frozenset(asked) else None,
    )


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out. `kind` is apprise's word: failure, success or info."""

    kind: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Situation:
    """The shop at the moment of sending. `due_today` counts open orders; None: not known."""

    shop: str
    zone: ZoneInfo
    now: datetime
    facts: Facts | None = None
    due_today: int | None = None


def end_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the shop's day ends."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)


def render_alarm(alert: Alert, situation: Situation) -> Message:
    """Return the alarm: its first 140 characters say what failed, since when, and what waits. No personal data."""
    at = _clock(situation, alert.opened_at)
    code = alert.facts.get("exit_code")
    if alert.kind == FAILING:
        since = _clock(situation, from_text(alert.facts["since"])) if "since" in alert.facts else at
        title = tr(
            "{shop}: sync failed {count} times since {time}",
            shop=_shortened(situation.shop, _LONGEST_SHOP),
            count=alert.facts.get("count", 0),
            time=since,
        )
    elif alert.kind == SILENT:
        title = tr(
            "{shop}: no orders fetched during a stream, {time}", shop=_shortened(situation.shop, _LONGEST_SHOP), time=at
        )
    elif alert.kind == NO_STORE:
        title = tr(
            "{shop}: the database cannot be used, {time}", shop=_shortened(situation.shop, _LONGEST_SHOP), time=at
        )
    else:
        title = tr(
            "{shop}: orders are not being fetched, {time}", shop=_shortened(situation.shop, _LONGEST_SHOP), time=at
        )
    lines = [_state_of_orders(situation), tr("Cause: {cause}", cause=_cause(code, alert.kind))]
    error = str(alert.facts.get("error") or "")
    if error:
        lines.append(_shortened(error, _LONGEST_ERROR))
    lines.append(tr("Next: {step}", step=_next_step(code, alert.kind)))
    return Message("failure", title, "\n".join(lines))


def render_clear(alerts: Sequence[Alert], situation: Situation) -> Message:
    """Return the all-clear of one or more alerts."""
    since = min(alert.opened_at for alert in alerts)
    title = tr(
        "{shop}: all clear, the orders are up to date again, {time}",
        shop=_shortened(situation.shop, _LONGEST_SHOP),
        time=_clock(situation, situation.now),
    )
    body = [_state_of_orders(situation), tr("The alert was of {time}.", time=_clock(situation, since))]
    return Message("success", title, "\n".join(body))


def render_test(situation: Situation) -> Message:
    """Return the message of `alerts test`."""
    return Message(
        "info",
        tr("{shop}: test message of tiktok-erp", shop=_shortened(situation.shop, _LONGEST_SHOP)),
        tr("Alerts of this shop arrive here. Sent {time}.", time=_clock(situation, situation.now)),
    )


def _state_of_orders(situation: Situation) -> str:
    facts = situation.facts
    if facts is None:
        return tr("How old the orders are is not known.")
    if facts.age is None:
        age = tr("Orders were never fetched") if facts.as_of is None else tr("The age of the orders is not known")
    else:
        age = tr("Orders are {age} old", age=length_text(facts.age))
    if situation.due_today is None:
        return tr("{age}.", age=age)
    return tr("{age}, {count} due today.", age=age, count=situation.due_today)


def length_text(length: timedelta) -> str:
    """Return a length of time as a person says it: 40 s, 12 min, 3 h, 2 d."""
    seconds = int(length.total_seconds())
    if seconds < 120:
        return tr("{count} s", count=seconds)
    minutes = seconds // 60
    if minutes < 120:
        return tr("{count} min", count=minutes)
    if minutes < 48 * 60:
        return tr("{count} h", count=minutes // 60)
    return tr("{count} d", count=minutes // (24 * 60))


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _clock(situation: Situation, moment: datetime) -> str:
    local = moment.astimezone(situation.zone)
    is_today = local.date() == situation.now.astimezone(situation.zone).date()
    return f"{local:%H:%M} {local.tzname()}" if is_today else f"{local:%m-%d %H:%M} {local.tzname()}"


def _cause(code: object, kind: str) -> str:
    if kind == NO_STORE or code == 7:
        return tr("the database cannot be used")
    if code == 4:
        return tr("the channel refuses the sign-in")
    if code == 5:
        return tr("settings or rules are wrong")
    if code == 6:
        return tr("the channel does not answer")
    if code == 1:
        return tr("a fault in tiktok-erp itself")
    return tr("`sync` does not run, or does not end")


def _next_step(code: object, kind: str) -> str:
    if kind == NO_STORE or code == 7:
        return tr("run `tiktok-erp status` on the machine that syncs; it says what is wrong with the database")
    if code == 4:
        return tr("run `tiktok-erp doctor` and sign in again; until then `tiktok-erp sync --from FILE`")
    if code == 5:
        return tr("run `tiktok-erp rules check` and `tiktok-erp doctor`")
    if code == 6:
        return tr("check the network and `tiktok-erp doctor`; until then `tiktok-erp sync --from FILE`")
    if code == 1:
        return tr("run `tiktok-erp sync` and `tiktok-erp check`; until then `tiktok-erp sync --from FILE`")
    return tr("check that the machine is on and that cron or `sync --watch` runs; run `tiktok-erp sync`")
