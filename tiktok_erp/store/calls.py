"""The SQL about the calls of a channel's API: how many were answered lately, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store

TOTAL = "total"
KEPT = timedelta(days=7)
_LOOKED_AT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class EndpointQuality:
    """How the calls of one endpoint went.

    A refusal is an answer: `success_rate` (0 to 1) leaves out what was throttled or failed. The latencies are of the
    answered calls, in milliseconds (nearest rank); None when there was none.
    """

    endpoint: str
    calls: int
    success_rate: float
    throttled: int
    failed: int
    median_ms: int | None
    p95_ms: int | None


def save_calls(store: Store, rows: Sequence[tuple[datetime, str, str, int]], *, channel: str = "tiktok") -> None:
    """Write calls as (at, endpoint, outcome, latency in ms), and forget those a week older than the newest.

    `outcome` is ok, refused (answered, and no), throttled or failed (no whole answer).
    """
    if not rows:
        return
    with store.transaction():
        store.execute_many(
            "INSERT INTO api_calls (at, channel, endpoint, outcome, latency_ms) VALUES (?, ?, ?, ?, ?)",
            [(to_text(at), channel, endpoint, outcome, latency_ms) for at, endpoint, outcome, latency_ms in rows],
        )
        store.execute("DELETE FROM api_calls WHERE at < ?", (to_text(max(row[0] for row in rows) - KEPT),))


def load_quality(store: Store, now: datetime, *, channel: str = "tiktok") -> tuple[EndpointQuality, ...]:
    """Return how the calls of the last 24 hours went, one entry an endpoint; the last is `TOTAL`. Empty without calls."""
    # Equal latencies are folded first: ranking a few thousand groups takes a tenth of ranking every call.
    rows = store.query(
        "WITH folded AS MATERIALIZED ("
        "  SELECT endpoint, outcome, latency_ms, count(*) AS calls FROM api_calls"
        "  WHERE channel = ?1 AND at > ?2 AND at <= ?3 GROUP BY 1, 2, 3),"
        " doubled AS (SELECT 0 AS is_total, *, outcome IN ('ok', 'refused') AS is_answered FROM folded UNION ALL"
        "  SELECT 1, ?4, outcome, latency_ms, calls, outcome IN ('ok', 'refused') FROM folded),"
        " ranked AS (SELECT *, sum(calls) OVER (PARTITION BY is_total, endpoint, is_answered ORDER BY latency_ms"
        "  RANGE UNBOUNDED PRECEDING) AS up_to,"
        "  sum(calls) OVER (PARTITION BY is_total, endpoint, is_answered) AS places FROM doubled)"
        " SELECT endpoint, sum(calls) AS calls, sum(is_answered * calls) AS answered,"
        "  sum((outcome = 'throttled') * calls) AS throttled, sum((outcome = 'failed') * calls) AS failed,"
        "  min(CASE WHEN is_answered AND up_to >= (places + 1) / 2 THEN latency_ms END) AS median_ms,"
        "  min(CASE WHEN is_answered AND up_to >= (95 * places + 99) / 100 THEN latency_ms END) AS p95_ms"
        " FROM ranked GROUP BY is_total, endpoint ORDER BY is_total, endpoint",
        (channel, to_text(now - _LOOKED_AT), to_text(now), TOTAL),
    )
    return tuple(
        EndpointQuality(
            endpoint=row["endpoint"],
            calls=row["calls"],
            success_rate=row["answered"] / row["calls"],
            throttled=row["throttled"],
            failed=row["failed"],
            median_ms=row["median_ms"],
            p95_ms=row["p95_ms"],
        )
        for row in rows
    )
