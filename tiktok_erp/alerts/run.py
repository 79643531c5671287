"""Raise alerts, send them, and give the all-clear. Reads, plans (`plan.py`), writes, sends (`send.py`).

A message is claimed in the database before it is sent and recorded after, so that two processes never send the same one
and one that died is taken over.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.alerts.plan import (
    FAILURE_CODES,
    NO_STORE,
    STALE,
    SUCCESS_CODES,
    Alert,
    Due,
    Facts,
    Message,
    Opened,
    Run,
    Situation,
    after_alarm,
    after_clear,
    end_of_day,
    length_text,
    plan_alerts,
    plan_messages,
    read_alert,
    render_alarm,
    render_clear,
    render_test,
    stream_window,
)
from tiktok_erp.checked_json import parse_json
from tiktok_erp.errors import ErpError, SettingsError, StaleData, StoreError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.alerts import (
    adopt_alert,
    claim_alert,
    close_alert,
    count_due_orders,
    count_placed_orders,
    load_alert,
    load_as_of_orders,
    load_decided_runs,
    load_open_alerts,
    load_unfinished_alerts,
    open_alert,
    save_delivery,
)
from tiktok_erp.store.database import Store, open_store, utc_now

if TYPE_CHECKING:
    from tiktok_erp.alerts.send import Delivery
    from tiktok_erp.config.settings import Settings

_SEND_TIMEOUT_S = 15.0
# The text tells how often in a row, as far back as somebody would count.
_RUNS_READ = 50


def after_sync(store: Store, rules: Rules, settings: Settings, report: Report) -> None:
    """Raise and clear alerts after a recorded run of `sync`. Never raises an error of its own: `report` hears of it."""
    try:
        raise_and_clear(store, rules, settings, report, now=utc_now())
    except ErpError as error:
        report.warn(tr("alerts could not be looked after: {reason}", reason=error.what))
    except Exception as error:
        # Whatever is wrong with an alarm, the orders that came in are good.
        report.warn(tr("alerts could not be looked after: {reason}", reason=type(error).__name__))


def raise_and_clear(
    store: Store,
    rules: Rules,
    settings: Settings,
    report: Report,
    *,
    now: datetime,
    max_age: timedelta | None = None,
) -> Facts:
    """Open and close alerts, then send what is due; return the facts that decided.

    With `max_age` orders that are older raise an alert as well. Without anything to do it costs four small queries.
    Raises StoreError when the database cannot be read or written.
    """
    facts = load_facts(store, rules, now, max_age)
    if plan_alerts(facts, rules):
        with store.transaction():
            facts = load_facts(store, rules, now, max_age)  # another process may have been faster
            change = plan_alerts(facts, rules)
            for kind in change.closes:
                close_alert(store, kind, now)
            for kind, told in change.opens:
                open_alert(store, kind, json.dumps(told, ensure_ascii=False), now)
    _send_due(store, rules, settings, report, facts)
    return facts


def load_facts(store: Store, rules: Rules, now: datetime, max_age: timedelta | None = None) -> Facts:
    """Return what decides about alerts."""
    fetched_at, filed_at = load_as_of_orders(store)
    runs = load_decided_runs(
        store,
        successes=SUCCESS_CODES,
        failures=FAILURE_CODES,
        fetched_at=fetched_at,
        limit=max(_RUNS_READ, rules.sync.alert_after_failures),
    )
    opened = {}
    for kind, row in load_open_alerts(store).items():
        alert = read_alert(dict(row))
        opened[kind] = Opened(alert.opened_at, has_cause="exit_code" in alert.facts)
    facts = Facts(
        now=now,
        runs=[Run(from_text(row["started_at"]), row["exit_code"], row["error"] or "") for row in runs],
        fetched_at=fetched_at,
        filed_at=filed_at,
        open_alerts=opened,
        max_age=max_age,
    )
    window = stream_window(facts, rules)
    return facts if window is None else replace(facts, stream_orders=count_placed_orders(store, *window))


def _send_due(store: Store, rules: Rules, settings: Settings, report: Report, facts: Facts) -> None:
    addresses = len(rules.alerts.to)
    if not addresses or not _plan_messages(store, addresses, facts.now):
        return
    with store.transaction():
        messages = _plan_messages(store, addresses, facts.now)
        for due in messages:
            for alert in due.alerts:
                claim_alert(store, alert.alert_id, facts.now, is_clear=due.is_clear)
    situation = Situation(
        rules.shop.name,
        rules.shop.zone,
        facts.now,
        facts,
        count_due_orders(store, end_of_day(facts.now, rules.shop.zone)),
    )
    deadline = time.monotonic() + _SEND_TIMEOUT_S
    for due in messages:
        message = render_clear(due.alerts, situation) if due.is_clear else render_alarm(due.alerts[0], situation)
        deliveries = _send(
            rules, settings, message, due.addresses, report, timeout_s=max(1.0, deadline - time.monotonic())
        )
        _record(store, due, frozenset(delivery.number for delivery in deliveries if delivery.is_sent), facts.now)


def _plan_messages(store: Store, addresses: int, now: datetime) -> list[Due]:
    return plan_messages([read_alert(dict(row)) for row in load_unfinished_alerts(store)], addresses, now)


def _send(
    rules: Rules,
    settings: Settings,
    message: Message,
    numbers: Sequence[int],
    report: Report,
    *,
    timeout_s: float = _SEND_TIMEOUT_S,
) -> list[Delivery]:
    from tiktok_erp.alerts.send import send  # brings in apprise

    deliveries = send(
        {number: rules.alerts.to[number - 1] for number in numbers}, settings, message, timeout_s=timeout_s
    )
    sent = sum(delivery.is_sent for delivery in deliveries)
    if sent:
        report.warn(
            tr("alert sent to {sent} of {count} addresses: {title}", sent=sent, count=len(numbers), title=message.title)
        )
    for delivery in deliveries:
        if not delivery.is_sent:
            report.warn(
                tr(
                    "the alert did not reach address {number} of alerts.to ({service}): {problem}; it is tried again",
                    number=delivery.number,
                    service=delivery.service,
                    problem=delivery.problem,
                )
            )
    return deliveries


def _record(store: Store, due: Due, told: frozenset[int], now: datetime) -> None:
    settle = after_clear if due.is_clear else after_alarm
    with store.transaction():
        for claimed in due.alerts:
            row = load_alert(store, claimed.alert_id)
            if row is not None:
                alert = settle(read_alert(dict(row)), told, due.addresses, now)
                save_delivery(store, alert.alert_id, alert.detail, _times(alert))


def _times(alert: Alert) -> Mapping[str, datetime | None]:
    return {
        "claimed_at": alert.claimed_at,
        "sent_at": alert.sent_at,
        "clear_claimed_at": alert.clear_claimed_at,
        "clear_sent_at": alert.clear_sent_at,
    }


def addresses_digest(rules: Rules) -> str:
    """Return what names the addresses of the rules without showing them: some hold a password."""
    return hashlib.sha256("\n".join(rules.alerts.to).encode()).hexdigest()[:16]


def send_test(rules: Rules, settings: Settings, now: datetime, *, dry_run: bool = False) -> list[Delivery]:
    """Send a test message to every address, or with `dry_run` only see whether each is understood.

    Raises SettingsError when there is no address.
    """
    entries = dict(enumerate(rules.alerts.to, start=1))
    if not entries:
        raise SettingsError(
            tr("no address for alerts is set"),
            subject="alerts.to",
            next_step=tr("write addresses under `alerts: {to: [...]}` in rules.yaml; the README shows some"),
            cause="no_alert_address",
        )
    from tiktok_erp.alerts.send import check_addresses, send

    if dry_run:
        return check_addresses(entries, settings)
    return send(entries, settings, render_test(Situation(rules.shop.name, rules.shop.zone, now)))


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """Whether anybody would be alarmed, by which services (schemes of the addresses), and which alerts are open since when.

    `untold` are the open alerts of which nobody has heard: no address is set, or none took the message.
    """

    addresses: int
    services: tuple[str, ...]
    open_alerts: Mapping[str, datetime]
    untold: tuple[str, ...]


def alert_status(store: Store, rules: Rules) -> AlertStatus:
    """Return what `status` and `doctor` show about alerts. Does not import apprise."""
    from tiktok_erp.alerts.send import scheme_of

    opened = load_open_alerts(store)
    return AlertStatus(
        addresses=len(rules.alerts.to),
        services=tuple(scheme_of(entry) for entry in rules.alerts.to),
        open_alerts={kind: from_text(row["opened_at"]) for kind, row in opened.items()},
        untold=tuple(kind for kind, row in opened.items() if row["sent_at"] is None),
    )


def default_max_age(rules: Rules) -> timedelta:
    """Return how old orders may be before `alerts check` alarms: five rounds, and no less than five minutes."""
    return max(timedelta(minutes=5), 5 * rules.sync.every)


def check_freshness(
    path: Path,
    rules: Rules,
    settings: Settings,
    report: Report,
    *,
    now: datetime,
    max_age: timedelta,
    dry_run: bool = False,
) -> Facts:
    """Alarm when the orders in the database at `path` are older than `max_age`, or when it cannot be used at all.

    Returns the facts when they are fresh, after the all-clear that is due. Raises StaleData when they are not; StoreError
    or SettingsError when the database is locked, unusable or missing: then a note beside the database, or in the folder of
    the user's state, remembers that the alarm went out.
    """
    facts: Facts | None = None
    try:
        with open_store(path) as store:
            facts = load_facts(store, rules, now, max_age)
            if not dry_run:
                with _note(path) as note:
                    if note is not None:
                        _adopt(store, note)
                facts = raise_and_clear(store, rules, settings, report, now=now, max_age=max_age)
    except (StoreError, SettingsError) as error:
        if not dry_run and (facts is None or facts.is_stale(max_age)):
            _alarm_without_store(path, rules, settings, report, error, now)
        if facts is None:
            raise
    if facts.is_stale(max_age):
        raise StaleData(
            tr("the orders were never fetched, or nobody knows when")
            if facts.age is None
            else tr(
                "the orders are {age} old; at most {limit} are allowed",
                age=length_text(facts.age),
                limit=length_text(max_age),
            ),
            subject=path.name,
            next_step=tr(
                "check that cron or `sync --watch` runs, then run `tiktok-erp sync`; `tiktok-erp status` tells more"
            ),
        )
    return facts


def _alarm_without_store(
    path: Path, rules: Rules, settings: Settings, report: Report, error: ErpError, now: datetime
) -> None:
    addresses = len(rules.alerts.to)
    if not addresses:
        return
    with _note(path, create=True) as note:
        alert = note.load() if note is not None else None
        if alert is None:
            alert = Alert(0, NO_STORE, now, {"exit_code": 7, "error": error.what})
        due = plan_messages([replace(alert, claimed_at=None)], addresses, now)
        if not due:
            return
        if note is not None:
            note.save(replace(alert, claimed_at=now))
        message = render_alarm(alert, Situation(rules.shop.name, rules.shop.zone, now))
        deliveries = _send(rules, settings, message, due[0].addresses, report)
        told = frozenset(delivery.number for delivery in deliveries if delivery.is_sent)
        if note is not None:
            note.save(after_alarm(replace(alert, claimed_at=now), told, due[0].addresses, now))


def _adopt(store: Store, note: _Note) -> None:
    """Take an alarm over that was raised while the database could not be used, so that its all-clear is not forgotten."""
    alert = note.load()
    if alert is not None and alert.sent_at is not None:
        # Without its cause, which is over: if something else is wrong, that is still to be told.
        whom = replace(alert, facts={})
        with store.transaction():
            adopt_alert(store, STALE, whom.detail, alert.opened_at, alert.sent_at)
    note.remove()


class _Note:
    """The alarm that was raised while the database could not be used, in a small locked file."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    def load(self) -> Alert | None:
        """Return the alert that is noted, or None."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        try:
            row = parse_json(os.read(self._handle, 100_000))
            return read_alert(row)
        except (ValueError, LookupError, TypeError):
            return None

    def save(self, alert: Alert) -> None:
        """Write `alert` down."""
        row = {
            **{name: to_text(value) if value is not None else None for name, value in _times(alert).items()},
            "alert_id": alert.alert_id,
            "kind": alert.kind,
            "opened_at": to_text(alert.opened_at),
            "closed_at": None,
            "detail": alert.detail,
        }
        data = json.dumps(row).encode()
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, data)
        os.ftruncate(self._handle, len(data))
        os.fsync(self._handle)

    def remove(self) -> None:
        """Forget it."""
        self._path.unlink(missing_ok=True)


@contextmanager
def _note(db: Path, *, create: bool = False) -> Iterator[_Note | None]:
    """Yield the note about the database `db`, locked; None where there is none, or with `create` no place for one."""
    opened = _open_note(db, create=create)
    if opened is None:
        yield None
        return
    path, handle = opened
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # whoever holds it is sending, which is bounded
        yield _Note(path, handle)
    finally:
        os.close(handle)


def _open_note(db: Path, *, create: bool) -> tuple[Path, int] | None:
    """Open the note beside the database or, where that folder is missing or closed, in the folder of the user's state."""
    name = hashlib.sha256(os.fsencode(db.absolute())).hexdigest()[:16]
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tiktok-erp"
    places = (db.with_name(f".{db.name}.alert"), state / f"{name}.alert")
    for path in places:
        with suppress(OSError):
            return path, os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    if create:
        with suppress(OSError):
            return places[0], os.open(places[0], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with suppress(OSError):
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            return places[1], os.open(places[1], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    return None
