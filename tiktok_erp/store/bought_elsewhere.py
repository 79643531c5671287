"""The SQL about labels that this database did not buy: by another machine, before a restore, in Seller Center."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.money import Money
from tiktok_erp.store.database import Store, utc_now

_LIVE = "state IN ('intent', 'sent', 'unknown', 'bought')"
# A parcel that the carrier has needs no paper any more.
_ON_ITS_WAY_OUT = "p.scanned_at IS NULL AND p.delivered_at IS NULL AND p.cancelled_at IS NULL"


@dataclass(frozen=True, slots=True)
class ElsewhereCount:
    """Labels of parcels that have not left which this database did not buy and has not printed; some without a price."""

    labels: int
    without_cost: int


@dataclass(frozen=True, slots=True)
class OpenParcel:
    """A package of own labels that has not left, as a label source's purchases are compared with it.

    `unit_ids` are told where its orders leave in several packages. `label_state` is None without a live label.
    """

    package_id: str
    order_ids: tuple[str, ...]
    unit_ids: tuple[str, ...]
    buyer: str
    name: str
    zip: str
    label_state: str | None
    source: str | None
    tracking_number: str | None
    quote_id: str | None


def load_open_parcels(store: Store) -> list[OpenParcel]:
    """Return the packages of own labels that the carrier does not have yet."""
    rows = store.query(
        "SELECT p.package_id, json_group_array(o.order_id) AS order_ids, max(coalesce(o.buyer_id, '')) AS buyer,"
        " max(coalesce(r.name, '')) AS name, max(coalesce(r.zip, '')) AS zip, l.state AS label_state, l.source,"
        " l.tracking_number, l.quote_id, (SELECT json_group_array(coalesce(u.channel_unit_id, u.unit_id)) FROM units u"
        "   WHERE u.package_id = p.package_id) AS unit_ids,"
        " EXISTS (SELECT 1 FROM package_orders x JOIN units u ON u.order_id = x.order_id WHERE x.package_id = p.package_id"
        "   AND u.package_id <> p.package_id) AS is_part"
        " FROM packages p INDEXED BY packages_unscanned CROSS JOIN package_orders po ON po.package_id = p.package_id"
        " CROSS JOIN orders o ON o.order_id = po.order_id LEFT JOIN recipients r ON r.order_id = o.order_id"
        f" LEFT JOIN labels l ON l.package_id = p.package_id AND l.{_LIVE} WHERE {_ON_ITS_WAY_OUT}"
        " GROUP BY p.package_id HAVING max(coalesce(o.shipping_type, '') = 'TIKTOK') = 0 ORDER BY p.package_id"
    )
    return [
        OpenParcel(
            row["package_id"],
            tuple(json.loads(row["order_ids"])),
            tuple(json.loads(row["unit_ids"])) if row["is_part"] else (),
            row["buyer"],
            row["name"],
            row["zip"],
            row["label_state"],
            row["source"],
            row["tracking_number"],
            row["quote_id"],
        )
        for row in rows
    ]


def load_oldest_open(store: Store) -> datetime | None:
    """Return when the oldest order that we still have to ship was placed: no label of it can be older."""
    text = store.scalar("SELECT min(placed_at) FROM orders WHERE is_open = 1")
    return from_text(text) if text else None


def load_newest_purchase(store: Store, source: str) -> datetime | None:
    """Return when the newest purchase from `source` in the journal was sent, None when there is none."""
    text = store.scalar(
        "SELECT sent_at FROM labels INDEXED BY labels_by_source WHERE source = ? AND sent_at IS NOT NULL ORDER BY label_id DESC LIMIT 1",
        (source,),
    )
    return from_text(text) if text else None


def find_by_shipment(store: Store, shipment_id: str) -> sqlite3.Row | None:
    """Return the label of a shipment of a label source that was bought or is being bought here."""
    return store.query_one(
        "SELECT * FROM labels WHERE quote_id >= ?1 || '/' AND quote_id < ?1 || '0'"
        " AND state IN ('sent', 'unknown', 'bought', 'voided') ORDER BY label_id DESC LIMIT 1",
        (shipment_id,),
    )


def save_bought_elsewhere(
    store: Store,
    package_id: str,
    *,
    source: str,
    quote_id: str,
    carrier: str,
    service_level: str,
    tracking_number: str,
    cost: Money | None,
    at: datetime,
    run_id: int | None,
) -> None:
    """Write a label that a source sold to somebody else for this package; nothing else is bought for it.

    Call inside a transaction, for a package without a live label, but for an intent that was never sent.
    """
    now = to_text(utc_now())
    store.execute(
        "UPDATE labels SET state = 'refused', error_code = 'bought_elsewhere' WHERE package_id = ? AND state = 'intent'",
        (package_id,),
    )
    store.execute(
        "INSERT INTO labels (package_id, state, source, carrier, service_level, tracking_number, cost_minor, currency, quote_id,"
        " intent_at, sent_at, bought_at, run_id, on_request) VALUES (?, 'bought', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        (
            package_id,
            source,
            carrier,
            service_level,
            tracking_number,
            cost.minor if cost is not None else None,
            cost.currency if cost is not None else None,
            quote_id,
            now,
            to_text(at),
            now,
            run_id,
        ),
    )


def save_seller(store: Store, package_id: str, *, source: str, quote_id: str, cost: Money | None, at: datetime) -> None:
    """Write which source sold a label of which only the number was known. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET source = ?, quote_id = ?, cost_minor = ?, currency = ?, sent_at = ?, on_request = 1"
        " WHERE package_id = ? AND state = 'bought' AND source = 'channel'",
        (
            source,
            quote_id,
            cost.minor if cost is not None else None,
            cost.currency if cost is not None else None,
            to_text(at),
            package_id,
        ),
    )


def keep_for_request(store: Store, package_id: str) -> None:
    """Write that somebody else bought the live label of a package. Call inside a transaction."""
    store.execute(
        f"UPDATE labels SET on_request = 1 WHERE package_id = ? AND {_LIVE}",
        (package_id,),
    )


def count_bought_elsewhere(store: Store) -> ElsewhereCount:
    """Return how many labels wait for somebody who asks for them."""
    row = store.query_one(
        "SELECT count(*), coalesce(sum(l.cost_minor IS NULL), 0) FROM packages p INDEXED BY packages_unscanned"
        f" CROSS JOIN labels l ON l.package_id = p.package_id AND l.{_LIVE} AND l.state = 'bought' AND l.on_request = 1"
        f" AND l.printed_at IS NULL WHERE {_ON_ITS_WAY_OUT}"
    )
    return ElsewhereCount(*(row or (0, 0)))


def load_to_adopt(store: Store, *, only: Sequence[str] | None = None) -> list[sqlite3.Row]:
    """Return labels of parcels that have not left which are printed on request only, with what is needed to fetch them.

    `only` narrows to these packages; a label that was printed before is not among them.
    """
    where, values = "", ()
    if only is not None:
        where = " AND p.package_id IN (SELECT value FROM json_each(?))"
        values = (json.dumps(list(only)),)  # type: ignore[assignment]
    return store.query(
        "SELECT l.*, p.weight_g, min(o.order_id) AS order_id, min(o.channel_order_id) AS channel_order_id,"
        " min(coalesce(l.channel_package_id, po.channel_package_id)) AS platform_package_id,"
        " max(coalesce(o.shipping_type, '') = 'TIKTOK') AS is_platform"
        " FROM packages p INDEXED BY packages_unscanned CROSS JOIN labels l ON l.package_id = p.package_id AND"
        f" l.{_LIVE} AND l.state = 'bought' AND l.on_request = 1 AND l.printed_at IS NULL AND l.void_sent_at IS NULL"
        " CROSS JOIN package_orders po ON po.package_id = p.package_id CROSS JOIN orders o ON o.order_id = po.order_id"
        f" WHERE {_ON_ITS_WAY_OUT}{where} GROUP BY l.label_id ORDER BY p.package_id",
        values,
    )


def save_adopted(
    store: Store, package_id: str, *, sha256: str, pages: int, barcode: str | None, tracking_number: str | None
) -> None:
    """Give a label that was bought elsewhere its document. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET sha256 = ?, pages = ?, barcode = ?, tracking_number = coalesce(tracking_number, ?)"
        " WHERE package_id = ? AND state = 'bought' AND on_request = 1",
        (sha256, pages, barcode, tracking_number, package_id),
    )
