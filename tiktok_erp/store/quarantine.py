"""The SQL about quarantine cases: what cannot go on by itself, why, and what the seller does next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now


def open_case(
    store: Store,
    *,
    cause: str,
    detail: str,
    next_step: str,
    package_id: str | None = None,
    order_id: str | None = None,
    run_id: int | None = None,
) -> bool:
    """Record a case and return True if it is new; an open case with the same cause is brought up to date instead."""
    touched = store.execute(
        "UPDATE quarantine SET detail = ?, next_step = ? WHERE coalesce(package_id, '') = ? AND coalesce(order_id, '') = ?"
        " AND cause = ? AND resolved_at IS NULL",
        (detail, next_step, package_id or "", order_id or "", cause),
    )
    if touched:
        return False
    store.execute(
        "INSERT INTO quarantine (order_id, package_id, cause, detail, next_step, since, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (order_id, package_id, cause, detail, next_step, to_text(utc_now()), run_id),
    )
    return True


def resolve_cases(
    store: Store, *, package_id: str | None = None, order_id: str | None = None, causes: Iterable[str] | None = None
) -> int:
    """Close the open cases of a package or an order, all of them or those with one of `causes`; return how many."""
    where, values = ["resolved_at IS NULL"], [to_text(utc_now())]
    if package_id is not None:
        where.append("package_id = ?")
        values.append(package_id)
    if order_id is not None:
        where.append("order_id = ?")
        values.append(order_id)
    if causes is not None:
        chosen = sorted(causes)
        where.append(f"cause IN ({', '.join('?' * len(chosen))})")
        values.extend(chosen)
    return store.execute(f"UPDATE quarantine SET resolved_at = ? WHERE {' AND '.join(where)}", values)


def load_cases(store: Store) -> list[sqlite3.Row]:
    """Return the open cases, oldest first within each cause."""
    return store.query("SELECT * FROM v_quarantine ORDER BY cause, since, package_id, order_id")
