"""The SQL about what the seller decides against the rules: orders kept back, and causes that are overridden."""

from __future__ import annotations

import sqlite3

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now


def hold_order(store: Store, order_id: str, because: str) -> bool:
    """Keep an order back; False when it already is (the reason is then the new one). Call inside a transaction."""
    if store.execute("UPDATE holds SET because = ? WHERE order_id = ?", (because, order_id)):
        return False
    store.execute("INSERT INTO holds VALUES (?, ?, ?)", (order_id, because, to_text(utc_now())))
    return True


def release_order(store: Store, order_id: str) -> bool:
    """Let an order go on; False when nobody kept it back. Call inside a transaction."""
    return store.execute("DELETE FROM holds WHERE order_id = ?", (order_id,)) > 0


def override(store: Store, order_id: str, cause: str, because: str, run_id: int | None) -> None:
    """Record that the seller goes on in spite of `cause`, and why. Call inside a transaction."""
    store.execute(
        "INSERT INTO overrides VALUES (?, ?, ?, ?, ?) ON CONFLICT (order_id, cause) DO UPDATE SET because = excluded.because,"
        " at = excluded.at, run_id = excluded.run_id",
        (order_id, cause, because, to_text(utc_now()), run_id),
    )


def load_decisions(store: Store, order_id: str) -> list[sqlite3.Row]:
    """Return what the seller has decided about an order: `cause` (`hold` for one kept back), `because` and `at`."""
    return store.query(
        "SELECT 'hold' AS cause, because, since AS at FROM holds WHERE order_id = ?1"
        " UNION ALL SELECT cause, because, at FROM overrides WHERE order_id = ?1 ORDER BY at, cause",
        (order_id,),
    )
