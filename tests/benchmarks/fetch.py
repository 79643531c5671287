"""The whole command `sync` against a slow shop: seconds against what the allowed rate makes possible, and its memory."""

from __future__ import annotations

import os
import sqlite3
import statistics
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.benchmarks.files import spend
from tests.benchmarks.ingest import Ingest
from tiktok_erp.simulator.server import Simulator, SimulatorOptions

Row = tuple[str, str, str, str]
LATENCY_S = 0.3
PAGE = 100


def fetch(folder: Path, orders: int = 2800, repeats: int = 5) -> list[Row]:
    """Fetch a spike into an empty database at 10 and at 50 requests a second, 300 ms away."""
    rows: list[Row] = []
    for rate, limit, goal in ((10, "the bound of the rate", "<= 1.7 x"), (50, "one answer", "<= 6 x")):
        pages = -(-orders // PAGE)
        # A second's worth may go at once; the rest follows at the rate, and the last answer takes its time.
        bound = LATENCY_S + max(0.0, (pages - rate) / rate) if rate == 10 else LATENCY_S
        seconds, calls = [], Counter[str]()
        options = SimulatorOptions(orders=orders, rate_limit=rate, latency_ms=int(LATENCY_S * 1000))
        with Simulator(options) as shop:
            for number in range(repeats):
                own = folder / f"{rate}-{number}"
                own.mkdir()
                (own / "rules.yaml").write_text(
                    f"channels: {{tiktok: {{start_rate: {rate}, max_rate: {rate}, concurrency: 16}}}}\n"
                )
                spent = spend(own, "sync", environment=environment(shop, own))
                seconds.append(spent.seconds)
                calls = _calls(own / "shop.db")
        median = statistics.median(seconds)
        rows.append(
            (
                f"H{1 if rate == 10 else 2} sync {orders} orders at {rate}/s, start to exit",
                f"{median:.2f} s, {calls['search']} searches for {pages} pages, {calls['throttled']} refused",
                f"{median / bound:.2f} x {limit} ({bound:.2f} s)",
                goal,
            )
        )
    return rows


def memory(folder: Path, history: int = 100_000) -> list[Row]:
    """Peak memory of a sync that brings 300 orders to an empty database and to one with a long history."""
    peaks = []
    for name, old in (("empty", 0), ("long", history)):
        own = folder / name
        own.mkdir()
        if old:
            bench = Ingest(own, old)
            bench.first_pass()
            next(own.glob("ingest-*.db")).rename(own / "shop.db")
            for rest in own.glob("ingest-*"):
                rest.unlink()
        with Simulator(SimulatorOptions(orders=300, seed=77, rate_limit=0)) as shop:
            peaks.append(spend(own, "sync", "--since", "3d", environment=environment(shop, own)).peak_mb)
    small, large = peaks
    return [
        (
            f"I3 memory of sync, history of {history} orders",
            f"{large:.0f} MB",
            f"{large - small:+.0f} MB against none",
            "<= 128 MB, growth <= 10 MB",
        )
    ]


def environment(shop: Simulator, folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TIKTOK_")},
        "TIKTOK_SHOP_API_URL": shop.api_url,
        "TIKTOK_SHOP_AUTH_URL": shop.auth_url,
        "TIKTOK_SHOP_APP_KEY": shop.app_key,
        "TIKTOK_SHOP_APP_SECRET": shop.app_secret,
        "TIKTOK_SHOP_ACCESS_TOKEN": shop.access_token,
        "TIKTOK_SHOP_REFRESH_TOKEN": shop.refresh_token,
        "TIKTOK_SHOP_CIPHER": shop.cipher,
        "XDG_STATE_HOME": str(folder / "state"),
    }


def _calls(db: Path) -> Counter[str]:
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute("SELECT endpoint, outcome, count(*) FROM api_calls GROUP BY 1, 2").fetchall()
    counted: Counter[str] = Counter()
    for endpoint, outcome, count in rows:
        counted["search"] += count if endpoint.endswith("/orders/search") and endpoint.startswith("/order/") else 0
        counted["throttled"] += count if outcome == "throttled" else 0
    return counted
