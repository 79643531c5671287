"""The SQL about packages: planning, what the channel says of them, decisions, and what each stage finds due."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.order_change import OrderChange, Shipment
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.store.database import Store
from tiktok_erp.store.identity import save_label_addresses
from tiktok_erp.store.open_work import OPEN_PACKAGES
from tiktok_erp.store.quarantine import open_case, resolve_cases

# Said beside a narrower state, or the index of live labels is not used and every statement reads all labels.
_IS_LIVE = "state IN ('intent', 'sent', 'unknown', 'bought')"


def free_package_ids(store: Store) -> Iterator[str]:
    """Yield package ids that were never given. Use within the transaction that saves them."""
    number = int(store.scalar("SELECT coalesce(max(CAST(substr(package_id, 2) AS INTEGER)), 0) FROM packages"))
    while True:
        number += 1
        yield f"P{number:06d}"


def save_new_packages(store: Store, changes: Sequence[OrderChange], planned_at: datetime) -> None:
    """Write the packages that `changes` plan and tie them to their orders. Call inside a transaction, after the orders."""
    now = to_text(planned_at)
    rows = [(package_id, change.facts.channel, now) for change in changes for package_id in change.new_packages]
    if rows:
        store.execute_many("INSERT INTO packages (package_id, channel, planned_at) VALUES (?, ?, ?)", rows)
        store.execute_many(
            "INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)",
            [(package_id, change.order_id) for change in changes for package_id in change.new_packages],
        )


def save_shipments(store: Store, changes: Sequence[OrderChange], run_id: int | None) -> list[tuple[str, str]]:
    """Write what the channel knows of packages; return (package id, cause) of cases that this opened.

    Call inside a transaction, after the units.
    """
    failed = []
    for change in changes:
        for package_id, channel_id in change.channel_packages:
            store.execute(
                "UPDATE package_orders SET channel_package_id = ? WHERE package_id = ? AND order_id = ?",
                (channel_id, package_id, change.order_id),
            )
        for shipment in change.shipments:
            if _save_shipment(store, change.order_id, shipment, run_id):
                failed.append((shipment.package_id, "other_tracking_number"))
            if shipment.adopt and _tell_other_parcel(store, change.order_id, shipment, run_id):
                failed.append((shipment.package_id, "in_other_parcel"))
        for package_id in change.cancelled_packages:
            _cancel_if_empty(store, package_id, to_text(change.facts.cancelled_at or change.facts.as_of))
    _close_left_out(store)
    return failed


def _save_shipment(store: Store, order_id: str, shipment: Shipment, run_id: int | None) -> bool:
    uploaded_at = to_text(shipment.uploaded_at)
    store.execute(
        "UPDATE package_orders SET channel_package_id = coalesce(?, channel_package_id), uploaded_at = coalesce(uploaded_at, ?)"
        " WHERE package_id = ? AND order_id = ?",
        (shipment.channel_package_id, uploaded_at, shipment.package_id, order_id),
    )
    store.execute(
        "UPDATE packages SET scanned_at = coalesce(scanned_at, ?), delivered_at = coalesce(delivered_at, ?) WHERE package_id = ?",
        (
            to_text(shipment.scanned_at) if shipment.scanned_at else None,
            to_text(shipment.delivered_at) if shipment.delivered_at else None,
            shipment.package_id,
        ),
    )
    if shipment.adopt and shipment.tracking_number:
        _adopt_number(store, shipment, uploaded_at)
    elif shipment.tracking_number:
        # A label of the channel whose document did not tell its number.
        store.execute(
            f"UPDATE labels SET tracking_number = ? WHERE package_id = ? AND {_IS_LIVE} AND state = 'bought' AND tracking_number IS NULL",
            (shipment.tracking_number, shipment.package_id),
        )
    if shipment.contradicts is None:
        return False
    return open_case(
        store,
        cause="other_tracking_number",
        detail=f"our label says {shipment.contradicts}, the channel says {shipment.tracking_number}",
        next_step="compare the parcel with both numbers and correct the wrong one in Seller Center",
        package_id=shipment.package_id,
        order_id=order_id,
        run_id=run_id,
    )


def _tell_other_parcel(store: Store, order_id: str, shipment: Shipment, run_id: int | None) -> bool:
    """Open a case where the channel put an order into a parcel that we bought for others: nobody would pack it."""
    other = store.query_one(
        f"SELECT package_id FROM labels WHERE channel_package_id = ? AND package_id <> ? AND {_IS_LIVE} AND source = 'tiktok'"
        " ORDER BY label_id LIMIT 1",
        (shipment.channel_package_id, shipment.package_id),
    )
    if other is None:
        return False
    return open_case(
        store,
        cause="in_other_parcel",
        detail=tr("TikTok has put this order into the parcel of {package}, whose label was bought", package=other[0]),
        next_step=tr("pack it together with {package}; if that has left, write to TikTok's support", package=other[0]),
        package_id=shipment.package_id,
        order_id=order_id,
        run_id=run_id,
    )


def _close_left_out(store: Store) -> None:
    """Close the cases of labels that did not ship all of their package, where nothing of it waits any more."""
    rows = store.query(
        "SELECT DISTINCT package_id FROM quarantine q WHERE q.cause = 'left_out' AND q.resolved_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM units u WHERE u.package_id = q.package_id AND u.state = 'open')"
    )
    for row in rows:
        resolve_cases(store, package_id=row["package_id"], causes=["left_out"])


def load_order_ids(store: Store, package_ids: Sequence[str]) -> list[str]:
    """Return the orders of these packages."""
    rows = store.query(
        "SELECT DISTINCT po.order_id FROM json_each(?) j JOIN package_orders po ON po.package_id = j.value ORDER BY 1",
        (json.dumps(list(package_ids)),),
    )
    return [row[0] for row in rows]


def _adopt_number(store: Store, shipment: Shipment, at: str) -> None:
    """Keep the number of a package that somebody shipped without us, as a label with nothing to print."""
    carrier = carrier_code(shipment.provider_name) if shipment.provider_name else None
    store.execute(
        f"UPDATE labels SET state = 'refused', error_code = 'shipped_elsewhere' WHERE package_id = ? AND {_IS_LIVE} AND state = 'intent'",
        (shipment.package_id,),
    )
    changed = store.execute(
        f"UPDATE labels SET tracking_number = ?, carrier = coalesce(?, carrier) WHERE package_id = ? AND {_IS_LIVE}"
        " AND state = 'bought' AND source = 'channel'",
        (shipment.tracking_number, carrier, shipment.package_id),
    )
    if not changed:
        store.execute(
            # What the channel sold to somebody else counts against the caps; of an own label only its number came here.
            "INSERT INTO labels (package_id, state, source, carrier, tracking_number, channel_package_id, intent_at, bought_at,"
            " sent_at, on_request) SELECT ?1, 'bought', 'channel', ?2, ?3, ?4, ?5, ?5, iif(is_sold, ?5, NULL), is_sold FROM"
            " (SELECT EXISTS (SELECT 1 FROM package_orders po JOIN orders o USING (order_id) WHERE po.package_id = ?1"
            "  AND o.shipping_type = 'TIKTOK') AS is_sold)",
            (shipment.package_id, carrier, shipment.tracking_number, shipment.channel_package_id, at),
        )
        save_label_addresses(store, shipment.package_id)


def _cancel_if_empty(store: Store, package_id: str, at: str) -> None:
    """Cancel a package that holds nothing any more; other orders may still be in it."""
    cancelled = store.execute(
        "UPDATE packages SET cancelled_at = ? WHERE package_id = ? AND cancelled_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM units u WHERE u.package_id = packages.package_id AND u.state <> 'cancelled')",
        (at, package_id),
    )
    if not cancelled:
        return
    store.execute(
        f"UPDATE labels SET state = 'refused', error_code = 'order_cancelled' WHERE package_id = ? AND {_IS_LIVE} AND state = 'intent'",
        (package_id,),
    )
    store.execute(
        "UPDATE quarantine SET resolved_at = ? WHERE package_id = ? AND resolved_at IS NULL",
        (at, package_id),
    )


# What rules and people may ask of a package, folded over its orders. A value that differs between them is unknown.
_PARCELS = """
SELECT p.package_id, p.channel, p.planned_at, p.carrier, p.service_level, p.because, p.allocated_at, p.wait_until,
  json_group_array(o.order_id) AS order_ids, min(o.currency) AS currency, count(DISTINCT o.currency) AS currencies,
  CASE WHEN count(o.total_minor) = count(*) THEN sum(o.total_minor) END AS total_minor,
  CASE WHEN count(DISTINCT r.state) = 1 THEN min(r.state) END AS state,
  CASE WHEN count(DISTINCT r.country) = 1 THEN min(r.country) END AS country,
  CASE WHEN count(DISTINCT r.zip) = 1 THEN min(r.zip) END AS zip,
  min(r.name) AS name, min(r.street1) AS street1, min(r.street2) AS street2, min(r.city) AS city, min(r.phone) AS phone,
  min(r.full_address) AS full_address, max(r.is_masked) AS is_masked, count(r.order_id) AS recipients,
  CASE WHEN count(DISTINCT o.shipping_type) = 1 THEN min(o.shipping_type) END AS shipping_type,
  CASE WHEN count(DISTINCT o.fulfillment_type) = 1 THEN min(o.fulfillment_type) END AS fulfillment_type,
  max(o.is_presale) AS is_presale, max(o.is_sample) AS is_sample, max(o.buyer_note) AS buyer_note,
  min(o.buyer_id) AS buyer_id, min(coalesce(o.placed_at, o.first_seen_at)) AS placed_at,
  min(o.delivery_option) AS delivery_option, min(o.channel_warehouse_id) AS warehouse, min(o.ship_by) AS ship_by,
  CASE WHEN count(*) = 1 THEN max(o.weight_g) END AS order_weight_g,
  (SELECT json_group_array(v.cause) FROM overrides v WHERE v.order_id = min(o.order_id)
     AND NOT EXISTS (SELECT 1 FROM package_orders x WHERE x.package_id = p.package_id
       AND NOT EXISTS (SELECT 1 FROM overrides w WHERE w.order_id = x.order_id AND w.cause = v.cause))) AS overrides,
  (SELECT min(h.because) FROM holds h JOIN package_orders x USING (order_id) WHERE x.package_id = p.package_id) AS seller_hold
FROM packages p
JOIN package_orders po USING (package_id)
JOIN orders o USING (order_id)
LEFT JOIN recipients r USING (order_id)
"""
_NOT_LABELLED = (
    "NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id AND l.state IN ('sent', 'unknown', 'bought'))"
)


def load_parcels(store: Store, *, only: Sequence[str] | None = None) -> list[sqlite3.Row]:
    """Return one row per package that waits for a decision, earliest deadline first; `only` narrows to these package ids.

    A package counts when all its orders are open and past their hold: before, the channel hides the address.
    """
    where = "p.allocated_at IS NULL AND p.cancelled_at IS NULL AND p.package_id IN "
    where += f"({OPEN_PACKAGES})" if only is None else "(SELECT value FROM json_each(?))"
    values = () if only is None else (json.dumps(list(only)),)
    return store.query(
        _PARCELS + f" WHERE {where} AND {_NOT_LABELLED}"
        " GROUP BY p.package_id HAVING max(o.base_state <> 'open' OR coalesce(o.held_until, '') > strftime('%Y-%m-%dT%H:%M:%SZ', 'now')) = 0"
        " ORDER BY ship_by IS NULL, ship_by, p.package_id",
        values,
    )


def load_parcels_of(store: Store, package_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the rows of these packages, whatever has become of them, in the order of their ids."""
    return store.query(
        _PARCELS
        + " WHERE p.package_id IN (SELECT value FROM json_each(?)) GROUP BY p.package_id ORDER BY p.package_id",
        (json.dumps(list(package_ids)),),
    )


def iterate_package_ids(store: Store, since: datetime) -> Iterator[str]:
    """Yield the packages that were planned since, but for those that hold nothing."""
    for row in store.iterate(
        "SELECT p.package_id FROM packages p WHERE p.planned_at >= ? AND EXISTS"
        " (SELECT 1 FROM package_orders po WHERE po.package_id = p.package_id) ORDER BY p.package_id",
        (to_text(since),),
    ):
        yield row[0]


def load_package_units(store: Store, package_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the units of these packages that are not cancelled, with their SKU's weight, size, shelf and reservation.

    The seller's own weight of a SKU goes before the channel's, which has the packing of a single piece in it; so does the
    size.
    """
    return store.query(
        "SELECT u.*, coalesce(k.weight_g, g.weight_g) AS weight_g, k.shelf, k.name AS sku_name, k.tags,"
        " CASE WHEN k.length_mm IS NULL THEN g.length_mm ELSE k.length_mm END AS length_mm,"
        " CASE WHEN k.length_mm IS NULL THEN g.width_mm ELSE k.width_mm END AS width_mm,"
        " CASE WHEN k.length_mm IS NULL THEN g.height_mm ELSE k.height_mm END AS height_mm,"
        " r.state AS reservation FROM json_each(?) j"
        " JOIN units u ON u.package_id = j.value LEFT JOIN skus k ON k.sku = u.sku"
        " LEFT JOIN packages p ON p.package_id = u.package_id"
        " LEFT JOIN listings g ON g.channel = p.channel AND g.listing_id = u.channel_sku_id"
        " LEFT JOIN reservations r ON r.unit_id = u.unit_id WHERE u.state <> 'cancelled'"
        " ORDER BY u.package_id, u.order_id, u.position",
        (json.dumps(list(package_ids)),),
    )


def load_refused_choices(store: Store, package_ids: Collection[str]) -> dict[str, frozenset[tuple[str, str]]]:
    """Return, by package of these, the carrier and service level of each label that its source refused."""
    refused: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in store.iterate(
        "SELECT l.package_id, l.carrier, l.service_level FROM json_each(?) j CROSS JOIN labels l ON l.package_id = j.value"
        " WHERE l.state = 'refused' AND l.carrier IS NOT NULL AND l.service_level IS NOT NULL"
        " AND coalesce(l.error_code, '') NOT IN ('shipped_elsewhere', 'order_cancelled', 'bought_elsewhere', 'dropped')",
        (json.dumps(sorted(package_ids)),),
    ):
        refused[row[0]].add((row[1], row[2]))
    return {package_id: frozenset(choices) for package_id, choices in refused.items()}


def load_buyer_history(store: Store, buyer_ids: Collection[str]) -> dict[str, list[str]]:
    """Return, by buyer, when each of their orders that were not cancelled was placed, sorted. Reads all orders."""
    history: dict[str, list[str]] = defaultdict(list)
    for row in store.iterate(
        "SELECT o.buyer_id, coalesce(o.placed_at, o.first_seen_at) FROM orders o WHERE o.base_state NOT IN ('cancelled', 'unpaid')"
        " AND o.buyer_id IN (SELECT value FROM json_each(?)) ORDER BY 2",
        (json.dumps(sorted(buyer_ids)),),
    ):
        history[row[0]].append(row[1])
    return history


def save_allocation(store: Store, decision: Mapping[str, object]) -> None:
    """Write a decision: the columns of `packages` by their names, `package_id` among them. Call inside a transaction."""
    columns = [column for column in decision if column != "package_id"]
    store.execute(
        f"UPDATE packages SET {', '.join(f'{column} = :{column}' for column in columns)} WHERE package_id = :package_id",
        dict(decision),
    )


def withdraw_allocations(store: Store, package_ids: Sequence[str] | None = None) -> list[str]:
    """Take back decisions where no label was bought yet, of these packages or of all whose address changed since.

    Return the ids of the packages that had one. Call inside a transaction.
    """
    if package_ids is None:
        which = (
            "p.package_id IN (SELECT po.package_id FROM orders o INDEXED BY orders_open CROSS JOIN package_orders po"
            " ON po.order_id = o.order_id WHERE o.is_open = 1 AND o.address_version <> po.decided_address_version)"
        )
        values: tuple[str, ...] = ()
    else:
        which, values = "p.package_id IN (SELECT value FROM json_each(?))", (json.dumps(list(package_ids)),)
    rows = store.query(
        f"SELECT p.package_id FROM packages p WHERE p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL AND {which}"
        f" AND {_NOT_LABELLED}",
        values,
    )
    ids = [row[0] for row in rows]
    store.execute_many(
        "UPDATE packages SET allocated_at = NULL WHERE package_id = ?", [(package_id,) for package_id in ids]
    )
    return ids


def withdraw_refused(store: Store, causes: Sequence[str]) -> list[str]:
    """Take back decisions whose label was refused where the rule has a next choice; their cases of `causes` are closed.

    Return the package ids. Call inside a transaction.
    """
    rows = store.query(
        f"SELECT p.package_id FROM packages p WHERE p.package_id IN ({OPEN_PACKAGES})"
        " AND EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id AND l.state = 'refused'"
        " AND coalesce(l.error_code, '') <> 'dropped'"
        " AND l.carrier = p.carrier AND l.service_level = p.service_level) AND p.fallbacks <> '[]'"
        f" AND p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL AND {_NOT_LABELLED}"
    )
    ids = [row[0] for row in rows]
    for package_id in ids:
        store.execute("UPDATE packages SET allocated_at = NULL WHERE package_id = ?", (package_id,))
        resolve_cases(store, package_id=package_id, causes=causes)
    return ids


def withdraw_not_taken(store: Store, is_closed: Callable[[str, str], bool]) -> list[str]:
    """Take back decisions for own labels of carriers that the channel does not take: `is_closed(channel, carrier)`.

    Return the package ids. Call inside a transaction.
    """
    rows = store.query(
        "SELECT DISTINCT p.package_id, o.channel, p.carrier FROM packages p JOIN package_orders po USING (package_id)"
        " JOIN orders o USING (order_id) WHERE p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL"
        f" AND o.is_open = 1 AND o.shipping_type = 'SELLER' AND p.carrier IS NOT NULL AND {_NOT_LABELLED}"
    )
    ids = [row["package_id"] for row in rows if is_closed(row["channel"], row["carrier"])]
    store.execute_many("UPDATE packages SET allocated_at = NULL WHERE package_id = ?", [(one,) for one in ids])
    return ids


def load_choice(store: Store, package_id: str) -> tuple[str | None, str | None]:
    """Return carrier and service level of a package; None where there is none yet."""
    row = store.query_one("SELECT carrier, service_level FROM packages WHERE package_id = ?", (package_id,))
    return (None, None) if row is None else (row["carrier"], row["service_level"])


def load_fallbacks(store: Store, package_id: str) -> list[str]:
    """Return what comes next when the label of a package is refused, as `carrier service_level`."""
    text = store.scalar("SELECT fallbacks FROM packages WHERE package_id = ?", (package_id,))
    return [" ".join(choice) for choice in json.loads(text or "[]")]


def load_view(store: Store, package_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Return the `v_packages` rows of these packages, keyed by package id."""
    rows = store.query(
        "SELECT v.* FROM json_each(?) j JOIN v_packages v ON v.package_id = j.value", (json.dumps(list(package_ids)),)
    )
    return {row["package_id"]: row for row in rows}


def package_outcome(
    store: Store,
    package_id: str,
    result: str,
    *,
    with_fields: bool,
    order_id: str | None = None,
    cause: str | None = None,
    next_step: str | None = None,
    text: str | None = None,
    is_new: bool = True,
    extra: Mapping[str, object] | None = None,
) -> Outcome:
    """Return what became of a package, with its `v_packages` row and `extra` where somebody reads fields."""
    row = load_view(store, [package_id]).get(package_id) if with_fields else None
    return Outcome(
        "package",
        {"package_id": package_id} | ({"order_id": order_id} if order_id else {}),
        result,
        cause=cause,
        next_step=next_step,
        fields=(dict(row) if row else {}) | dict(extra or {}),
        text=text,
        is_new=is_new,
    )


def find_packages(store: Store, name: str) -> list[str]:
    """Return the ids of the packages that `name` means: a package id, our order id, or the channel's order id."""
    rows = store.query("SELECT package_id FROM packages WHERE package_id = ?", (name,)) or store.query(
        "SELECT po.package_id FROM package_orders po JOIN orders o USING (order_id)"
        " WHERE o.order_id = ?1 OR o.channel_order_id = ?1 ORDER BY po.package_id",
        (name,),
    )
    return [row[0] for row in rows]


def find_orders(store: Store, name: str) -> list[str]:
    """Return the ids of the orders that `name` means: our order id, the channel's order id, or a package id."""
    rows = store.query(
        "SELECT order_id FROM orders WHERE order_id = ?1 OR channel_order_id = ?1", (name,)
    ) or store.query("SELECT order_id FROM package_orders WHERE package_id = ? ORDER BY order_id", (name,))
    return [row[0] for row in rows]
