"""The SQL behind the status screen. Every query starts from what is open, so that a million old orders cost nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.model.print_job import BatchNotOnPaper
from tiktok_erp.model.runway import Runway
from tiktok_erp.model.safety_stock import Live
from tiktok_erp.store.behind import why_behind
from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere
from tiktok_erp.store.calls import EndpointQuality, load_quality
from tiktok_erp.store.database import Store
from tiktok_erp.store.live import load_runways
from tiktok_erp.store.open_work import OPEN_PACKAGES
from tiktok_erp.store.print_jobs import load_not_on_paper

# What people know by name; sweeps and refusals have cursors as well.
RESOURCES = ("orders", "orders_file", "listings", "creators", "cancellations")
_RUNWAYS = 6
ALERT_ADDRESSES = "alert_addresses"


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at the shop. Counts of packages are of open orders; `overdue` counts the channel's own deadlines only."""

    shop: str | None
    orders: dict[str, int]
    packages: dict[str, int]
    kept_back: int  # by the seller or a rule's `hold`; counted among `packages` too
    overdue: int
    overdue_estimated: int
    due_next_day: int
    no_deadline: int
    cancel_requests: int
    answer_by: str | None
    to_print: int
    not_on_paper: tuple[BatchNotOnPaper, ...]
    to_upload: int
    unsettled: int
    queued: int
    queued_since: str | None
    quarantine: tuple[sqlite3.Row, ...]
    short: tuple[sqlite3.Row, ...]
    runways: tuple[Runway, ...]  # what is short or sold out first
    as_of: dict[str, str]
    last_runs: tuple[sqlite3.Row, ...]
    connection: tuple[EndpointQuality, ...]
    alert_addresses: int
    open_alerts: dict[str, str]
    bought_elsewhere: int  # labels that are printed on request only
    behind: str | None  # restored, older_file


def load_overview(store: Store, now: datetime, next_day: datetime) -> Overview:
    """Return what the status screen shows."""
    at, later = to_text(now), to_text(next_day)
    orders = store.query(
        "SELECT CASE WHEN base_state = 'open' AND held_until > ? THEN 'held' ELSE base_state END AS state, count(*) AS orders"
        " FROM orders WHERE is_open = 1 GROUP BY 1",
        (at,),
    )
    packages = store.query(
        "SELECT v.state, count(*) AS packages FROM v_packages v WHERE v.package_id"
        f" IN ({OPEN_PACKAGES}) AND v.state <> 'cancelled' GROUP BY 1"
    )
    due = store.query_one(
        "SELECT coalesce(sum(ship_by < ?1 AND ship_by_source = 'channel'), 0) AS overdue,"
        " coalesce(sum(ship_by < ?1 AND ship_by_source = 'rules'), 0) AS estimated,"
        " coalesce(sum(ship_by >= ?1 AND ship_by < ?2), 0) AS next_day, coalesce(sum(ship_by IS NULL), 0) AS unknown,"
        " coalesce(sum(cancel_requested), 0) AS asked FROM orders WHERE is_open = 1 AND base_state = 'open'"
        " AND coalesce(fulfillment_type, '') IN ('', 'FULFILLMENT_BY_SELLER')",
        (at, later),
    )
    queue = store.query_one(
        "SELECT count(*) AS numbers, min(intent_at) AS since FROM outbox INDEXED BY outbox_unsettled"
        " WHERE state IN ('intent', 'sent', 'unknown') AND state = 'intent'"
        " AND kind IN ('mark_shipped', 'ship_package', 'correct_number')"
    )
    if due is None or queue is None:
        raise ValueError("an aggregate gave no row")
    return Overview(
        shop=store.meta("shop_name") or store.meta("shop"),
        orders={row["state"]: row["orders"] for row in orders},
        packages={row["state"]: row["packages"] for row in packages},
        kept_back=int(
            store.scalar(
                "SELECT count(DISTINCT p.package_id) FROM orders o INDEXED BY orders_open"
                " CROSS JOIN package_orders po ON po.order_id = o.order_id CROSS JOIN packages p ON p.package_id = po.package_id"
                " LEFT JOIN holds h ON h.order_id = o.order_id WHERE o.is_open = 1"
                " AND p.cancelled_at IS NULL AND (p.hold_because IS NOT NULL OR h.order_id IS NOT NULL)"
            )
        ),
        overdue=due["overdue"],
        overdue_estimated=due["estimated"],
        due_next_day=due["next_day"],
        no_deadline=due["unknown"],
        cancel_requests=due["asked"],
        answer_by=store.scalar(
            "SELECT min(c.answer_by) FROM orders o INDEXED BY orders_open CROSS JOIN cancellations c ON c.order_id = o.order_id"
            " WHERE o.is_open = 1 AND o.cancel_requested = 1 AND c.is_pending = 1"
        ),
        to_print=int(
            store.scalar(
                "SELECT count(*) FROM labels INDEXED BY labels_to_print WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL"
                " AND on_request = 0"
            )
        ),
        not_on_paper=tuple(load_not_on_paper(store)),
        to_upload=int(
            store.scalar(
                "SELECT count(*) FROM orders o INDEXED BY orders_open CROSS JOIN package_orders po ON po.order_id = o.order_id"
                " CROSS JOIN labels l ON l.package_id = po.package_id"
                " WHERE o.is_open = 1 AND o.base_state = 'open' AND coalesce(o.shipping_type, '') <> 'TIKTOK'"
                " AND po.uploaded_at IS NULL AND l.state = 'bought' AND l.tracking_number IS NOT NULL"
            )
        ),
        unsettled=int(
            store.scalar(
                "SELECT (SELECT count(*) FROM labels INDEXED BY labels_unsettled WHERE state IN ('intent', 'sent', 'unknown')"
                " AND state <> 'intent') + (SELECT count(*) FROM outbox INDEXED BY outbox_unsettled"
                " WHERE state IN ('intent', 'sent', 'unknown') AND state <> 'intent' AND kind <> 'set_quantity')"
                " + (SELECT count(*) FROM scan_forms WHERE state IN ('sent', 'unknown'))"
            )
        ),
        queued=queue["numbers"],
        queued_since=queue["since"],
        quarantine=tuple(
            store.query(
                "SELECT cause, count(*) AS cases, min(since) AS since FROM quarantine WHERE resolved_at IS NULL"
                " GROUP BY cause ORDER BY 2 DESC, 1"
            )
        ),
        short=tuple(
            store.query(
                "SELECT r.sku, count(*) AS units FROM reservations r INDEXED BY reservations_open"
                " WHERE r.state IN ('held', 'short') AND r.state = 'short' GROUP BY r.sku ORDER BY 2 DESC, 1"
            )
        ),
        runways=load_runways(store, Live().look_back, now)[:_RUNWAYS],
        as_of={
            f"{row['channel']} {row['resource']}": row["as_of"]
            for row in store.query("SELECT * FROM cursors")
            if row["resource"] in RESOURCES
        },
        last_runs=tuple(store.query("SELECT * FROM v_runs ORDER BY run_id DESC LIMIT 4")),
        connection=load_quality(store, now),
        alert_addresses=int(store.meta(ALERT_ADDRESSES) or 0),
        open_alerts={
            row["kind"]: row["opened_at"]
            for row in store.query("SELECT kind, opened_at FROM alerts WHERE closed_at IS NULL ORDER BY kind")
        },
        bought_elsewhere=count_bought_elsewhere(store).labels,
        behind=why_behind(store),
    )


# Kind of a `--json` line: its view, the ids that name a row of it, and a column that no line has by chance.
_ITEMS = {
    "package": ("v_packages", ("package_id",), "quarantine_cause"),
    "order": ("v_orders", ("order_id",), "synced_at"),
    "sku": ("v_stock", ("sku", "warehouse"), "available_to_sell"),
    "listing": ("v_listings", ("channel", "listing_id"), "pushed_at"),
}


def load_item(store: Store, kind: str, ids: Mapping[str, object], *, told: Mapping[str, object]) -> dict[str, object]:
    """Return the view's row about one item of a `--json` output, or nothing where `told` has it or no view knows it."""
    view, keys, proof = _ITEMS.get(kind, ("", (), ""))
    if not view or proof in told or any(key not in ids for key in keys):
        return {}
    condition = " AND ".join(f"{key} = ?" for key in keys)
    row = store.query_one(f"SELECT * FROM {view} WHERE {condition}", tuple(ids[key] for key in keys))
    return dict(row) if row is not None else {}
