"""The SQL about labels: the purchase journal, what is due, what is held, and what is still to print."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.shipment import Quote
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.identity import LIVE, find_outdated, save_label_addresses
from tiktok_erp.store.open_work import OPEN_PACKAGES

# Why an allocated package without a label is not bought now; the first that holds. NULL: it is due.
_OBSTACLE = """
CASE
  WHEN p.cancelled_at IS NOT NULL OR max(o.base_state = 'cancelled') THEN 'order_cancelled'
  WHEN max(o.base_state = 'unknown')
    OR EXISTS (SELECT 1 FROM units u WHERE u.package_id = p.package_id AND u.state = 'unknown') THEN 'unknown_status'
  WHEN max(o.base_state = 'closed') THEN 'already_shipped'
  WHEN max(o.base_state IN ('unpaid', 'held') OR coalesce(o.held_until, '') > strftime('%Y-%m-%dT%H:%M:%SZ', 'now')) THEN 'on_hold'
  WHEN max(o.cancel_requested) THEN 'cancel_requested'
  WHEN max(coalesce(o.fulfillment_type, '') NOT IN ('', 'FULFILLMENT_BY_SELLER')) THEN 'fulfilled_by_channel'
  WHEN max(coalesce(o.shipping_type, '') NOT IN ('TIKTOK', 'SELLER') AND o.source = 'api') THEN 'unknown_shipping_type'
  WHEN p.allocated_at IS NULL THEN 'not_allocated'
  WHEN max(o.address_version <> po.decided_address_version) THEN 'address_changed'
  WHEN p.package_id IN (SELECT value FROM json_each(?2)) THEN 'decision_outdated'
  WHEN max(o.shipping_type = 'SELLER') AND EXISTS (SELECT 1 FROM json_each(?3) c WHERE c.value = p.channel || ' ' || p.carrier)
    THEN 'carrier_not_taken'
  WHEN EXISTS (SELECT 1 FROM units u JOIN reservations r USING (unit_id)
               WHERE u.package_id = p.package_id AND r.state = 'short') THEN 'short'
  WHEN ?1 AND EXISTS (SELECT 1 FROM quarantine q WHERE q.package_id = p.package_id AND q.resolved_at IS NULL
                      AND q.since >= (SELECT max(o2.synced_at) FROM package_orders po2 JOIN orders o2 USING (order_id)
                                     WHERE po2.package_id = p.package_id)) THEN 'quarantined'
END
"""
_CANDIDATES = f"""
SELECT p.package_id, p.carrier, p.service_level, p.because, p.weight_g, p.allocated_at, l.label_id, l.state AS label_state,
  min(o.ship_by) AS ship_by, min(o.order_id) AS order_id, min(o.channel_order_id) AS channel_order_id, count(*) AS orders,
  json_group_array(o.order_id) AS order_ids, json_group_array(o.channel_order_id) AS channel_order_ids, l.quote_id,
  CASE WHEN count(DISTINCT coalesce(o.shipping_type, '')) = 1 THEN min(o.shipping_type) END AS shipping_type,
  min(po.channel_package_id) AS channel_package_id, count(DISTINCT coalesce(po.channel_package_id, '')) AS channel_packages,
  (SELECT json_group_array(u.channel_unit_id) FROM units u WHERE u.package_id = p.package_id AND u.state = 'open') AS unit_ids,
  (SELECT count(*) FROM units u JOIN package_orders x ON x.order_id = u.order_id WHERE x.package_id = p.package_id
     AND (u.state <> 'open' OR u.package_id IS NOT p.package_id)) AS other_units,
  (SELECT count(*) FROM units u JOIN package_orders x ON x.order_id = u.order_id WHERE x.package_id = p.package_id
     AND u.state = 'open' AND u.package_id IS NOT p.package_id) AS units_elsewhere,
  {_OBSTACLE} AS obstacle
FROM packages p
JOIN package_orders po USING (package_id)
JOIN orders o USING (order_id)
LEFT JOIN labels l ON l.package_id = p.package_id AND l.state IN {LIVE}
"""

_SPENT = (
    "SELECT coalesce(sum(CASE WHEN cost_minor >= 0 AND currency = ? THEN cost_minor ELSE ? END), 0) FROM labels"
    " WHERE (source NOT IN ('file', 'channel') OR on_request = 1) AND state IN ('sent', 'unknown', 'bought')"
)
# `v_labels`, and which labels are printed on request only.
_WITH_REQUEST = "SELECT v.*, (SELECT on_request FROM labels WHERE label_id = v.label_id) AS on_request FROM v_labels v"


def load_candidates(
    store: Store, *, only: Sequence[str] | None = None, rules: Rules | None = None
) -> list[sqlite3.Row]:
    """Return packages without a sent or bought label, most urgent first, with `obstacle` where one is not due.

    Without `only` just those of open orders with a decision, or those of these package ids. A package with an open case whose
    orders have not changed since is only due when it is named. With `rules` the decisions are compared with what the packages
    are now, and with the carriers whose own labels a channel does not take; whoever spends money says them.
    """
    outdated = find_outdated(store, rules, only) if rules is not None else []
    where = "coalesce(l.state, 'intent') = 'intent'"
    closed = list(rules.closed_own_labels()) if rules is not None else []
    values: tuple[object, ...] = (only is None, json.dumps(outdated), json.dumps(closed))
    if only is None:
        # An intent that a run left counts whatever became of its order.
        where += (
            f" AND p.package_id IN ({OPEN_PACKAGES} UNION ALL SELECT package_id FROM labels INDEXED BY labels_unsettled"
            " WHERE state IN ('intent', 'sent', 'unknown') AND state = 'intent')"
            " AND p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL"
        )
    else:
        where += " AND p.package_id IN (SELECT value FROM json_each(?4))"
        values = (*values, json.dumps(list(only)))
    return store.query(
        f"{_CANDIDATES} WHERE {where} GROUP BY p.package_id ORDER BY ship_by IS NULL, ship_by, p.carrier, p.package_id",
        values,
    )


# Refusals of a label source that another carrier or service may not meet.
REFUSALS = ("no_service", "address_refused", "refused", "label_too_dear")


def save_refused_choice(store: Store, package_id: str, carrier: str, service_level: str) -> None:
    """Write for what the last label of a package was refused. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET carrier = ?, service_level = ? WHERE label_id ="
        " (SELECT max(label_id) FROM labels WHERE package_id = ? AND state = 'refused')",
        (carrier, service_level, package_id),
    )


def intend(store: Store, made_for: Mapping[str, str | None], *, source: str, run_id: int | None) -> None:
    """Write a purchase intent for each package that has none. Call inside a transaction, before anything is sent.

    `made_for` holds by package the fingerprint of what is to be bought.
    """
    now = to_text(utc_now())
    # An intent that was never sent is used again, whichever source and whatever parcel it was meant for.
    store.execute_many(
        "UPDATE labels SET source = ?, made_for = ? WHERE package_id = ? AND state = 'intent'",
        [(source, what, package_id) for package_id, what in made_for.items()],
    )
    store.execute_many(
        "INSERT INTO labels (package_id, state, source, intent_at, run_id, made_for) SELECT ?, 'intent', ?, ?, ?, ?"
        f" WHERE NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = ?1 AND l.state IN {LIVE})",
        [(package_id, source, now, run_id, what) for package_id, what in made_for.items()],
    )


def mark_sent(store: Store, package_id: str, run_id: int | None, *, made_for: str | None) -> bool:
    """Turn the intent of a package into `sent`. Call inside a transaction that is committed before anything is sent.

    False when there is no intent (somebody else took it), or when it was for something else than `made_for`.
    """
    changed = store.execute(
        "UPDATE labels SET state = 'sent', sent_at = ?, run_id = ?, on_request = 0 WHERE package_id = ? AND state = 'intent'"
        " AND made_for IS ?",
        (to_text(utc_now()), run_id, package_id, made_for),
    )
    if changed:
        save_label_addresses(store, package_id)
    return changed == 1


def revive_sent(store: Store, package_id: str, run_id: int | None) -> bool:
    """Turn an intent whose earlier purchase happened after all into `sent`: it is for what it was sent for then."""
    return (
        store.execute(
            "UPDATE labels SET state = 'sent', sent_at = ?, run_id = ?, on_request = 0 WHERE package_id = ? AND state = 'intent'",
            (to_text(utc_now()), run_id, package_id),
        )
        == 1
    )


def save_quote(store: Store, package_id: str, quote: Quote) -> None:
    """Write what is about to be bought into the purchase intent: after a crash it tells what to ask the source for.

    Call inside a transaction that is committed before anything is sent.
    """
    store.execute(
        "UPDATE labels SET quote_id = ?, cost_minor = ?, currency = ?, carrier = ?, service_level = ?"
        " WHERE package_id = ? AND state = 'intent'",
        (quote.quote_id, quote.cost.minor, quote.cost.currency, quote.carrier, quote.service_level, package_id),
    )


def save_purchase(
    store: Store,
    package_id: str,
    *,
    channel_package_id: str | None,
    cost: Money | None,
    carrier: str | None,
    service_level: str | None,
    tracking_number: str | None = None,
    request_id: str,
) -> None:
    """Write what the purchase answered; the label stays `sent` until its document is safe. Call inside a transaction.

    What the answer does not tell stays as it was known before.
    """
    store.execute(
        "UPDATE labels SET channel_package_id = coalesce(?, channel_package_id), cost_minor = coalesce(?, cost_minor),"
        " currency = coalesce(?, currency), carrier = coalesce(?, carrier), service_level = coalesce(?, service_level),"
        " tracking_number = coalesce(?, tracking_number), request_id = ?"
        " WHERE package_id = ? AND state IN ('sent', 'unknown')",
        (
            channel_package_id,
            cost.minor if cost is not None else None,
            cost.currency if cost is not None else None,
            carrier,
            service_level,
            tracking_number,
            request_id,
            package_id,
        ),
    )
    if channel_package_id is not None:
        store.execute(
            "UPDATE package_orders SET channel_package_id = ? WHERE package_id = ?", (channel_package_id, package_id)
        )


def save_state(store: Store, package_id: str, state: str, *, error_code: str | None = None) -> None:
    """Write that a sent purchase is `unknown`, was `refused`, or never left (`intent`). Call inside a transaction."""
    store.execute(
        "UPDATE labels SET state = ?1, error_code = ?2, sent_at = CASE WHEN ?1 = 'intent' THEN NULL ELSE sent_at END"
        " WHERE package_id = ?3 AND state IN ('intent', 'sent', 'unknown')",
        (state, error_code, package_id),
    )


def save_document(
    store: Store,
    package_id: str,
    *,
    tracking_number: str | None,
    sha256: str | None,
    pages: int | None,
    barcode: str | None,
    is_told: bool,
    at: datetime,
    address_check: str | None = None,
) -> None:
    """Write that a bought label's document is safe (or, with no sha256, lost). Call inside a transaction.

    `is_told`: the channel sold it, so that it knows the tracking number. `address_check`: whether the address that the
    source says is on it is the order's; None where it does not say.
    """
    store.execute(
        "UPDATE labels SET state = 'bought', tracking_number = coalesce(?, tracking_number), sha256 = ?, pages = ?,"
        " barcode = ?, address_check = ?, bought_at = ? WHERE package_id = ? AND state IN ('sent', 'unknown')",
        (tracking_number, sha256, pages, barcode, address_check, to_text(at), package_id),
    )
    if is_told:
        store.execute(
            "UPDATE package_orders SET uploaded_at = coalesce(uploaded_at, ?) WHERE package_id = ?",
            (to_text(at), package_id),
        )
    store.execute(
        "UPDATE packages SET carrier = coalesce((SELECT l.carrier FROM labels l WHERE l.package_id = packages.package_id"
        " AND l.state = 'bought'), carrier), service_level = coalesce((SELECT l.service_level FROM labels l WHERE"
        " l.package_id = packages.package_id AND l.state = 'bought'), service_level) WHERE package_id = ?",
        (package_id,),
    )


def save_own_label(
    store: Store,
    package_id: str,
    *,
    carrier: str | None,
    tracking_number: str,
    sha256: str | None,
    pages: int | None,
    barcode: str | None,
    run_id: int | None,
    at: datetime,
) -> None:
    """Write a label that the seller bought elsewhere. Call inside a transaction; the schema refuses a second live one."""
    now = to_text(at)
    store.execute(
        "UPDATE labels SET state = 'refused', error_code = 'bought_elsewhere' WHERE package_id = ? AND state = 'intent'",
        (package_id,),
    )
    store.execute(
        "INSERT INTO labels (package_id, state, source, carrier, tracking_number, sha256, pages, barcode, intent_at,"
        " bought_at, run_id) VALUES (?, 'bought', 'file', ?, ?, ?, ?, ?, ?, ?, ?)",
        (package_id, carrier, tracking_number, sha256, pages, barcode, now, now, run_id),
    )
    # It was bought for what the list said that was made of the decision; without one, for what the order says now.
    store.execute(
        "UPDATE package_orders SET label_address_version = CASE WHEN (SELECT p.allocated_at FROM packages p"
        " WHERE p.package_id = package_orders.package_id) IS NOT NULL THEN decided_address_version ELSE"
        " (SELECT o.address_version FROM orders o WHERE o.order_id = package_orders.order_id) END WHERE package_id = ?",
        (package_id,),
    )
    if carrier is not None:
        # The level that the rule chose belongs to the rule's carrier.
        store.execute(
            "UPDATE packages SET service_level = CASE WHEN carrier = ?1 THEN service_level END, carrier = ?1,"
            " because = coalesce(because, 'label bought elsewhere') WHERE package_id = ?2",
            (carrier, package_id),
        )


def add_document(store: Store, package_id: str, *, sha256: str, pages: int, barcode: str | None) -> None:
    """Give a bought label that is a bare number its document. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET sha256 = ?, pages = ?, barcode = ? WHERE package_id = ? AND state = 'bought' AND sha256 IS NULL",
        (sha256, pages, barcode, package_id),
    )


def mark_void_sent(store: Store, package_id: str) -> None:
    """Write that a bought label is about to be taken back. Call inside a transaction, before anything is sent."""
    store.execute(
        "UPDATE labels SET void_sent_at = ? WHERE package_id = ? AND state = 'bought'", (to_text(utc_now()), package_id)
    )


def end_void(store: Store, package_id: str, refund_status: str | None) -> None:
    """Write that a label was not taken back and is good again. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET void_sent_at = NULL, refund_status = ? WHERE package_id = ? AND state = 'bought'",
        (refund_status, package_id),
    )


def save_void(store: Store, package_id: str, refund_status: str) -> None:
    """Write that a label is void; its package waits for a decision again. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET state = 'voided', voided_at = ?1, refund_status = ?2, refund_read_at = ?1"
        " WHERE package_id = ?3 AND state = 'bought'",
        (to_text(utc_now()), refund_status, package_id),
    )
    store.execute("UPDATE packages SET allocated_at = NULL WHERE package_id = ?", (package_id,))


# As the index `labels_refund_open` has it. `elsewhere`: the label was bought elsewhere, and so is its refund.
_REFUND_OPEN = "l.state = 'voided' AND l.refund_status NOT IN ('refunded', 'rejected', 'not_applicable', 'elsewhere')"


def load_open_refunds(store: Store, *, asked_before: datetime) -> list[sqlite3.Row]:
    """Return voided labels whose refund has no end and was last asked about before then, the oldest answers first."""
    return store.query(
        "SELECT l.*, (SELECT min(order_id) FROM package_orders po WHERE po.package_id = l.package_id) AS order_id"
        f" FROM labels l INDEXED BY labels_refund_open WHERE {_REFUND_OPEN} AND coalesce(l.refund_read_at, '') <= ?"
        " ORDER BY coalesce(l.refund_read_at, ''), l.label_id",
        (to_text(asked_before),),
    )


def count_open_refunds(store: Store) -> int:
    """Return how many voided labels wait for their money."""
    return int(store.scalar(f"SELECT count(*) FROM labels l INDEXED BY labels_refund_open WHERE {_REFUND_OPEN}"))


def save_refund(store: Store, label_id: int, refund_status: str) -> None:
    """Write what the source says now about a voided label's refund. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET refund_status = ?, refund_read_at = ? WHERE label_id = ? AND state = 'voided'",
        (refund_status, to_text(utc_now()), label_id),
    )


def drop_intent(store: Store, package_id: str) -> None:
    """Write that what was never sent is not to be bought. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET state = 'refused', error_code = 'dropped' WHERE package_id = ? AND state = 'intent'",
        (package_id,),
    )


def load_unsettled(store: Store, source: str | None = None) -> list[sqlite3.Row]:
    """Return labels whose purchase was sent and is not finished, with their orders' ids; `source` narrows to one."""
    return store.query(
        "SELECT l.*, p.weight_g, min(o.order_id) AS order_id, min(o.channel_order_id) AS channel_order_id,"
        " json_group_array(o.order_id) AS order_ids, json_group_array(o.channel_order_id) AS channel_order_ids"
        " FROM labels l INDEXED BY labels_unsettled JOIN packages p USING (package_id) JOIN package_orders po USING (package_id)"
        " JOIN orders o USING (order_id) WHERE l.state IN ('intent', 'sent', 'unknown')"
        " AND l.state IN ('sent', 'unknown') AND l.source = coalesce(?, l.source)"
        " GROUP BY l.label_id ORDER BY l.label_id",
        (source,),
    )


def load_live(store: Store, package_id: str) -> sqlite3.Row | None:
    """Return the live label of a package, or None."""
    return store.query_one(f"SELECT * FROM labels WHERE package_id = ? AND state IN {LIVE}", (package_id,))


def load_known_ids(store: Store, ids: Sequence[str]) -> dict[str, bool]:
    """Return which of these order ids, channel package ids and tracking numbers are known, and whether a label is held."""
    rows = store.query(
        "WITH asked AS (SELECT DISTINCT value AS name FROM json_each(?)), known AS ("
        " SELECT a.name, po.package_id FROM asked a JOIN orders o ON o.channel_order_id = a.name"
        " LEFT JOIN package_orders po USING (order_id)"
        " UNION ALL SELECT a.name, po.package_id FROM asked a JOIN package_orders po ON po.channel_package_id = a.name"
        " UNION ALL SELECT a.name, l.package_id FROM asked a JOIN labels l ON l.tracking_number = a.name)"
        " SELECT k.name, max(l.label_id IS NOT NULL) AS is_labelled FROM known k"
        " LEFT JOIN labels l ON l.package_id = k.package_id AND l.state = 'bought' GROUP BY k.name",
        (json.dumps(list(ids)),),
    )
    return {row["name"]: bool(row["is_labelled"]) for row in rows}


def load_sharers(store: Store, package_id: str) -> list[str]:
    """Return the other packages that are the same package on the channel as this one."""
    rows = store.query(
        "SELECT DISTINCT x.package_id FROM package_orders po JOIN package_orders x"
        " ON x.channel_package_id = po.channel_package_id AND x.package_id <> po.package_id"
        " JOIN packages p ON p.package_id = x.package_id WHERE po.package_id = ? AND p.cancelled_at IS NULL ORDER BY 1",
        (package_id,),
    )
    return [row[0] for row in rows]


def load_twins(store: Store, package_id: str) -> list[str]:
    """Return the other packages with a held document that is of the same purchase or has the same number as this one's."""
    is_twin = "x.package_id <> l.package_id AND x.state = 'bought' AND x.sha256 IS NOT NULL"
    rows = store.query(
        f"SELECT x.package_id FROM labels l JOIN labels x ON x.tracking_number = l.tracking_number AND {is_twin}"
        f" WHERE l.package_id = ?1 AND l.state IN {LIVE} UNION"
        f" SELECT x.package_id FROM labels l JOIN labels x ON x.channel_package_id = l.channel_package_id AND {is_twin}"
        f" AND x.source = l.source WHERE l.package_id = ?1 AND l.state IN {LIVE} ORDER BY 1",
        (package_id,),
    )
    return [row[0] for row in rows]


def load_left_out(store: Store, package_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return (package, order) where the channel shipped a part of what its label was bought for, and not that order's."""
    return store.query(
        "SELECT DISTINCT u.package_id, u.order_id FROM json_each(?) j JOIN labels l ON l.package_id = j.value"
        " AND l.state = 'bought' AND l.source = 'tiktok' JOIN units u ON u.package_id = l.package_id AND u.state = 'open'"
        " WHERE EXISTS (SELECT 1 FROM units s WHERE s.package_id = l.package_id AND s.state = 'shipped') ORDER BY 1, 2",
        (json.dumps(list(package_ids)),),
    )


def save_left_out(store: Store, package_id: str, order_id: str) -> None:
    """Write that the channel has not shipped an order with the label of its package. Call inside a transaction."""
    store.execute(
        "UPDATE package_orders SET uploaded_at = NULL, channel_package_id = NULL WHERE package_id = ? AND order_id = ?",
        (package_id, order_id),
    )


def spent_since(store: Store, since: datetime, *, highest: Money) -> int:
    """Return what the journal says was spent on purchases since `since`, in minor units of `highest`.

    A purchase whose price is not known (yet, or because somebody else made it), is in another currency or is below nothing
    counts as `highest`, the dearest label allowed; a number from a file cost us nothing here.
    """
    return int(store.scalar(_SPENT + " AND sent_at >= ?", (highest.currency, highest.minor, to_text(since))))


def spent_in_run(store: Store, run_id: int | None, *, highest: Money) -> int:
    """Return what one run spent so far, counted as `spent_since` does."""
    return int(store.scalar(_SPENT + " AND run_id = ?", (highest.currency, highest.minor, run_id)))


def load_print_facts(store: Store, package_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return per package what paper for packers needs: orders, deadline, notes and the buyer's name."""
    return store.query(
        "SELECT p.package_id, v.ship_by, v.carrier, v.service_level, v.tracking_number,"
        " json_group_array(o.order_id) AS order_ids, json_group_array(o.channel_order_id) AS channel_order_ids,"
        " max(o.ship_by_source = 'rules') AS is_estimated, group_concat(o.buyer_note, ' / ') AS buyer_note,"
        " group_concat(o.seller_note, ' / ') AS seller_note, max(o.buyer_id) AS buyer_id,"
        " max(r.name) AS name, max(r.city) AS city, max(r.state) AS state, p.print_note"
        " FROM json_each(?) j JOIN packages p ON p.package_id = j.value JOIN v_packages v ON v.package_id = p.package_id"
        " JOIN package_orders po ON po.package_id = p.package_id JOIN orders o USING (order_id)"
        " LEFT JOIN recipients r USING (order_id) GROUP BY p.package_id",
        (json.dumps(list(package_ids)),),
    )


def iterate_labels(store: Store, *, only: Sequence[str] | None = None) -> Iterator[sqlite3.Row]:
    """Yield `v_labels`, newest last; `only` narrows to these package ids."""
    if only is None:
        yield from store.iterate(f"{_WITH_REQUEST} ORDER BY label_id")
    else:
        yield from store.iterate(
            f"{_WITH_REQUEST} WHERE v.package_id IN (SELECT value FROM json_each(?)) ORDER BY v.label_id",
            (json.dumps(list(only)),),
        )


def load_first_labels(store: Store, count: int) -> list[sqlite3.Row]:
    """Return `count` rows of `v_labels`: those without an answer or not printed yet, oldest first, then the newest others."""
    rows = store.query(
        f"{_WITH_REQUEST} WHERE label_id IN (SELECT label_id FROM labels INDEXED BY labels_unsettled"
        " WHERE state IN ('intent', 'sent', 'unknown') UNION SELECT label_id FROM labels INDEXED BY labels_to_print"
        " WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL) ORDER BY label_id LIMIT ?",
        (count,),
    )
    known = {row["label_id"] for row in rows}
    newest = store.iterate(f"{_WITH_REQUEST} ORDER BY label_id DESC")
    return rows + list(islice((row for row in newest if row["label_id"] not in known), count - len(rows)))


# A carrier may use a number again once its parcel was delivered and its own promise has run out: USPS keeps an IMpb number
# unique for 120 days (Publication 199); FedEx begins anew without saying when.
NUMBER_REST = "-120 days"


def delivered_before(package: str, when: str) -> str:
    """Return a condition in SQL: all orders of a package were delivered so long before `when` that its number is free."""
    return (
        f"coalesce((SELECT max(coalesce(do.delivered_at, dp.delivered_at, '9999'))"
        f" FROM packages dp JOIN package_orders dpo USING (package_id) JOIN orders do USING (order_id)"
        f" WHERE dp.package_id = {package}), '9999') < strftime('%Y-%m-%dT%H:%M:%SZ', {when}, '{NUMBER_REST}')"
    )


def is_overridden(package: str, cause: str) -> str:
    """Return a condition in SQL: the seller goes on with a package in spite of `cause`."""
    return (
        "EXISTS (SELECT 1 FROM package_orders vpo JOIN overrides v USING (order_id)"
        f" WHERE vpo.package_id = {package} AND v.cause = '{cause}')"
    )


def load_users_of_number(store: Store, tracking_number: str, package_id: str, now: datetime) -> list[sqlite3.Row]:
    """Return other packages whose live label has this number, with whether they go to the same buyer and address.

    `is_free`: that parcel was delivered so long ago that the carrier may use its number again.
    """
    return store.query(
        "SELECT l.package_id, (SELECT count(*) FROM package_orders a JOIN orders oa USING (order_id)"
        " LEFT JOIN recipients ra USING (order_id), package_orders b JOIN orders ob ON ob.order_id = b.order_id"
        " LEFT JOIN recipients rb ON rb.order_id = b.order_id WHERE a.package_id = l.package_id AND b.package_id = ?2"
        " AND (oa.auto_combine_group_id = ob.auto_combine_group_id OR (oa.buyer_id = ob.buyer_id AND ra.zip = rb.zip)"
        " OR (ra.name = rb.name AND ra.street1 = rb.street1 AND ra.zip = rb.zip))) > 0 AS same_buyer,"
        f" {delivered_before('l.package_id', '?3')} AS is_free"
        f" FROM labels l WHERE l.tracking_number = ?1 AND l.state IN {LIVE} AND l.package_id <> ?2",
        (tracking_number, package_id, to_text(now)),
    )


def overrides_used_number(store: Store, package_id: str) -> bool:
    """Say whether the seller goes on with a package although another one has its number."""
    return bool(store.scalar(f"SELECT {is_overridden('?1', 'number_used')}", (package_id,)))
