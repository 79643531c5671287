"""The SQL behind `orders evidence`: everything that happened to one order, in order of time. No personal data."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tiktok_erp.store.database import Store


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `what` is a stable word, `detail` says more, `by` is whose clock told the time."""

    at: str
    what: str
    detail: str = ""
    by: str = "here"
    package_id: str | None = None
    request_id: str | None = None
    run_id: int | None = None


# What happens within one second is told in this order; other words come first.
_ORDER = (
    *(
        "placed",
        "paid",
        "first_seen",
        "package_planned",
        "stock",
        "carrier_chosen",
        "label_intended",
        "label_asked_for",
    ),
    *("label_held", "label_printed", "label_on_paper", "packed", "call_written_down", "call_sent", "call_answered"),
    *("channel_knows_the_number", "dispatched", "carrier_says", "scanned", "carrier_has_it", "delivered", "last_seen"),
)

_BY_CHANNEL = (
    ("placed_at", "placed"),
    ("paid_at", "paid"),
    ("held_until", "hold_ends"),
    ("cancel_requested_at", "cancel_requested"),
    ("rts_at", "dispatched"),
    ("collected_at", "scanned"),
    ("delivered_at", "delivered"),
    ("cancelled_at", "cancelled"),
    ("rts_sla_at", "ready_to_ship_by"),
    ("tts_sla_at", "hand_over_by"),
    ("shipping_due_at", "cancelled_unless_shipped_by"),
    ("collection_due_at", "cancelled_unless_scanned_by"),
)


def load_evidence(store: Store, order_id: str) -> list[Moment]:
    """Return everything that is known of one order's way, oldest first."""
    row = store.query_one("SELECT * FROM orders WHERE order_id = ?", (order_id,))
    if row is None:
        return []
    moments = [*_of_order(store, row), *_of_packages(store, order_id), *_of_labels(store, order_id)]
    moments += [*_of_calls(store, order_id), *_of_cases(store, order_id)]
    return in_order(moments)


def in_order(moments: Iterable[Moment]) -> list[Moment]:
    """Return moments by time, and within a second as things follow from each other."""
    place = {what: number for number, what in enumerate(_ORDER)}
    return sorted(moments, key=lambda moment: (moment.at, place.get(moment.what, -1), moment.package_id or ""))


def _of_order(store: Store, row: sqlite3.Row) -> Iterator[Moment]:
    for column, what in _BY_CHANNEL:
        if row[column]:
            yield Moment(row[column], what, by="channel")
    yield Moment(row["first_seen_at"], "first_seen", f"source {row['source']}")
    yield Moment(row["synced_at"], "last_seen", f"status {row['status']}")
    for event in store.query("SELECT * FROM order_events WHERE order_id = ?", (row["order_id"],)):
        yield Moment(event["at"], event["kind"], event["detail"] or "", by="channel", run_id=event["run_id"])
    for hold in store.query("SELECT since FROM holds WHERE order_id = ?", (row["order_id"],)):
        yield Moment(hold["since"], "held_by_seller")
    for override in store.query("SELECT cause, at, run_id FROM overrides WHERE order_id = ?", (row["order_id"],)):
        yield Moment(override["at"], "decided_by_seller", override["cause"], run_id=override["run_id"])
    for piece in store.query(
        "SELECT r.state, min(r.held_at) AS at, count(*) AS pieces FROM reservations r JOIN units u USING (unit_id)"
        " WHERE u.order_id = ? GROUP BY r.state",
        (row["order_id"],),
    ):
        yield Moment(piece["at"], "stock", f"{piece['pieces']} {piece['state']}")


def _of_packages(store: Store, order_id: str) -> Iterator[Moment]:
    for row in store.query(
        "SELECT p.*, po.uploaded_at, po.channel_package_id, k.packed_at, k.station FROM package_orders po"
        " JOIN packages p USING (package_id) LEFT JOIN packings k USING (package_id) WHERE po.order_id = ?",
        (order_id,),
    ):
        name = row["package_id"]
        yield Moment(row["planned_at"], "package_planned", package_id=name)
        if row["allocated_at"]:
            choice = f"{row['carrier']} {row['service_level'] or ''}: {row['because']}"
            yield Moment(row["allocated_at"], "carrier_chosen", choice, package_id=name)
        if row["packed_at"]:
            yield Moment(row["packed_at"], "packed", row["station"], package_id=name)
        if row["uploaded_at"]:
            known_as = f"package {row['channel_package_id']}" if row["channel_package_id"] else ""
            yield Moment(row["uploaded_at"], "channel_knows_the_number", known_as, package_id=name)
        if row["scanned_at"]:
            yield Moment(row["scanned_at"], "carrier_has_it", by="channel", package_id=name)
        if row["delivered_at"]:
            yield Moment(row["delivered_at"], "delivered", by="channel", package_id=name)
        if row["cancelled_at"]:
            into = f"merged into {row['merged_into']}" if row["merged_into"] else ""
            yield Moment(row["cancelled_at"], "package_cancelled", into, package_id=name)


def _of_labels(store: Store, order_id: str) -> Iterator[Moment]:
    for row in store.query(
        "SELECT l.* FROM package_orders po JOIN labels l USING (package_id) WHERE po.order_id = ?", (order_id,)
    ):
        name, run_id = row["package_id"], row["run_id"]
        known = " ".join(part for part in (row["source"], row["carrier"], row["tracking_number"]) if part)
        yield Moment(row["intent_at"], "label_intended", row["source"], package_id=name, run_id=run_id)
        if row["sent_at"]:
            yield Moment(row["sent_at"], "label_asked_for", row["source"], package_id=name, run_id=run_id)
        if row["bought_at"]:
            yield Moment(
                row["bought_at"], "label_held", known, package_id=name, request_id=row["request_id"], run_id=run_id
            )
        if row["printed_at"]:
            place = f"batch {row['batch_id']}, position {row['position']}" if row["position"] else ""
            yield Moment(row["printed_at"], "label_printed", place, package_id=name)
        if row["on_paper_at"] and row["on_paper_at"] != row["printed_at"]:
            yield Moment(row["on_paper_at"], "label_on_paper", package_id=name)
        if row["voided_at"]:
            yield Moment(row["voided_at"], "label_voided", row["refund_status"] or "", package_id=name)


def _of_calls(store: Store, order_id: str) -> Iterator[Moment]:
    for row in store.query(
        "SELECT * FROM outbox WHERE subject = ? AND kind <> 'set_quantity' ORDER BY outbox_id", (order_id,)
    ):
        payload = json.loads(row["payload"])
        number = " ".join(str(payload[name]) for name in ("carrier", "tracking_number") if payload.get(name))
        before = f"in place of {payload['before']}" if payload.get("before") else ""
        about = " ".join(part for part in (row["kind"], number, before) if part)
        name, run_id = row["package_id"], row["run_id"]
        yield Moment(row["intent_at"], "call_written_down", about, package_id=name, run_id=run_id)
        if row["sent_at"]:
            yield Moment(
                row["sent_at"], "call_sent", f"{about}, attempt {row['attempts']}", package_id=name, run_id=run_id
            )
        if row["done_at"]:
            end = " ".join(part for part in (row["state"], row["error_code"]) if part)
            yield Moment(
                row["done_at"], "call_answered", f"{about}: {end}", package_id=name, request_id=row["request_id"], run_id=run_id
            )  # fmt: skip


def _of_cases(store: Store, order_id: str) -> Iterator[Moment]:
    for row in store.query(
        "SELECT * FROM quarantine WHERE case_id IN (SELECT case_id FROM quarantine WHERE order_id = ?1 UNION SELECT q.case_id"
        " FROM package_orders po CROSS JOIN quarantine q ON q.package_id = po.package_id WHERE po.order_id = ?1)",
        (order_id,),
    ):
        yield Moment(row["since"], "case_opened", row["cause"], package_id=row["package_id"], run_id=row["run_id"])
        if row["resolved_at"]:
            yield Moment(row["resolved_at"], "case_closed", row["cause"], package_id=row["package_id"])
