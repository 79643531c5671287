"""The whole command `upload-tracking` at a limited rate: seconds against what the rate makes possible."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.benchmarks.fetch import environment
from tests.benchmarks.files import spend
from tiktok_erp.simulator.numbers import ups_number, usps_number
from tiktok_erp.simulator.server import Simulator, SimulatorOptions

Row = tuple[str, str, str, str]
_HELD = """
SELECT min(o.channel_order_id), p.carrier FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)
WHERE p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL AND NOT o.cancel_requested GROUP BY p.package_id
"""


def upload(folder: Path, orders: int = 2800, rate: int = 20, latency_ms: int = 50) -> list[Row]:
    """Tell the numbers of a spike, one order a call; the bound is the number of calls by the rate."""
    own = folder / "upload"
    own.mkdir()
    limits = f"{{start_rate: {rate}, max_rate: {rate}, concurrency: 16}}"
    options = SimulatorOptions(
        orders=orders, carrier="seller", rate_limit=rate, latency_ms=latency_ms, seed=4, own_usps=True
    )
    with Simulator(options) as shop:
        around = environment(shop, own)
        spend(own, "init", environment=around)
        rules = own / "rules.yaml"
        shipped = rules.read_text("utf-8").splitlines()
        rules.write_text(
            "\n".join(f"  tiktok: {limits}" if "own_labels_by" in line else line for line in shipped) + "\n"
        )
        for command in (("sync",), ("reserve-stock", "--no-push"), ("allocate", "--no-wait")):
            spend(own, *command, environment=around)
        _write_list(own)
        spend(own, "print-labels", "--from", "tracking.csv", environment=around)
        spent = spend(own, "upload-tracking", environment=around)
        told = len(shop.ledger()["shipments"])
        calls = _calls(own / "shop.db")
    bound = told / rate
    return [
        (
            f"H4 upload-tracking, {told} orders at {rate}/s, {latency_ms} ms away, start to exit",
            f"{spent.seconds:.1f} s, {calls['throttled']} refused, {calls['reads']} reads, {spent.peak_mb:.0f} MB",
            f"{spent.seconds / bound:.2f} x {told} calls by the rate ({bound:.1f} s)",
            "<= 1.1 x",
        )
    ]


def _write_list(own: Path) -> None:
    with (
        closing(sqlite3.connect(own / "shop.db")) as connection,
        (own / "tracking.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["order_id", "carrier", "tracking_number"])
        for serial, (order_id, carrier) in enumerate(connection.execute(_HELD), start=1):
            writer.writerow([order_id, carrier, ups_number(serial) if carrier == "ups" else usps_number(serial)])


def _calls(db: Path) -> Counter[str]:
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute("SELECT endpoint, outcome, count(*) FROM api_calls GROUP BY 1, 2").fetchall()
    counted: Counter[str] = Counter()
    for endpoint, outcome, count in rows:
        counted["reads"] += count if endpoint.startswith("/order/") and not endpoint.endswith("/search") else 0
        counted["throttled"] += count if outcome == "throttled" else 0
    return counted
