"""The SQL about what was tried before a stream: counts, paper, alerts, and whether somebody fetches by itself."""

from __future__ import annotations

from datetime import datetime

from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.store.database import Store

_ALERT_TRIED = "alert_tried"  # which addresses took a test message last, as a digest


def load_uncounted(store: Store) -> list[str]:
    """Return the SKUs that are for sale somewhere and were never counted, bundles left out."""
    rows = store.query(
        "SELECT DISTINCT g.sku FROM listings g WHERE coalesce(g.status, 'ACTIVATE') IN ('ACTIVATE', 'NORMAL')"
        " AND g.is_channel_bundle = 0 AND NOT EXISTS (SELECT 1 FROM stock s WHERE s.sku = g.sku)"
        " AND NOT EXISTS (SELECT 1 FROM sku_components c WHERE c.sku = g.sku) ORDER BY g.sku"
    )
    return [row[0] for row in rows]


def has_printed(store: Store, printer: str | None) -> bool:
    """Tell whether a label came out of this printer, as it said itself; None: whether any label is known to be on paper."""
    if printer is None:
        return bool(store.scalar("SELECT EXISTS (SELECT 1 FROM labels WHERE on_paper_at IS NOT NULL)"))
    return bool(
        store.scalar("SELECT EXISTS (SELECT 1 FROM print_jobs WHERE printer = ? AND state = 'done')", (printer,))
    )


def save_alert_tried(store: Store, digest: str) -> None:
    """Write that every address of this digest took a test message."""
    with store.transaction():
        store.set_meta(_ALERT_TRIED, digest)


def is_alert_tried(store: Store, digest: str) -> bool:
    """Tell whether the addresses of this digest took a test message, or an alert was ever delivered."""
    return store.meta(_ALERT_TRIED) == digest or bool(
        store.scalar("SELECT EXISTS (SELECT 1 FROM alerts WHERE sent_at IS NOT NULL)")
    )


def load_fetches(store: Store, since: datetime) -> list[datetime]:
    """Return when fetches that worked began since then, oldest first."""
    rows = store.query(
        "SELECT started_at FROM runs WHERE command = 'sync' AND exit_code IN (0, 3) AND started_at >= ? ORDER BY run_id",
        (to_text(since),),
    )
    return [from_text(row[0]) for row in rows]
