"""The kit of a stream's day, made and made again; and the outage drill, 100 times."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import _simulated
from tests.handover.drill import play

Row = tuple[str, str, str, str]


def kit(folder: Path, orders: int = 2800) -> list[Row]:
    """Make the kit for three people, then again unchanged: before a label is bought, all of them bought, all printed."""
    rows: list[Row] = []
    with _simulated(folder, orders=orders, seed=3, carrier="tiktok", document_seconds=0) as shop:
        shop.folder.planted = set()
        shop.allocated()
        rows += _twice(shop, "to buy")
        with shop.folder.start("print-labels", "--yes", "--max-cost", "100000 USD", "--quiet") as buying:
            assert buying.wait() in (0, 3)
        with closing(sqlite3.connect(shop.folder.db)) as connection:
            printed = connection.execute(
                "SELECT label_id, printed_at, batch_id, position FROM labels WHERE printed_at IS NOT NULL"
            ).fetchall()
            connection.execute("UPDATE labels SET printed_at = NULL, batch_id = NULL, position = NULL")
            connection.commit()
            rows += _twice(shop, "labels in the kit")
            connection.executemany(
                "UPDATE labels SET printed_at = ?2, batch_id = ?3, position = ?4 WHERE label_id = ?1", printed
            )
            connection.commit()
        rows += _twice(shop, "labels printed")
        size = sum(path.stat().st_size for path in (folder / "kit").rglob("*") if path.is_file())
        rows.append((f"   size of a kit of {orders} orders", f"{size / 1e6:.1f} MB", "", ""))
    return rows


def _twice(shop: Any, what: str) -> list[Row]:
    count = shop.folder.value("SELECT count(*) FROM v_orders WHERE state IN ('open', 'closed')")
    first, again = (_timed(shop) for run in range(2))
    return [
        (f"handover of {count} orders, {what}: first", f"{first[0]:.1f} s", f"{first[1]:.1f} s of processor", ""),
        ("   again, nothing changed", f"{again[0]:.1f} s", f"{again[1]:.1f} s of processor", "a few seconds"),
    ]


def _timed(shop: Any) -> tuple[float, float]:
    before, started = os.times(), time.perf_counter()
    with shop.folder.start("handover", "kit", "--people", "3", "--quiet") as process:
        assert process.wait() == 0
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, used


def outage(folder: Path, seeds: int = 100, orders: int = 500) -> list[Row]:
    """Play the outage drill of `tests/handover/drill.py` for every seed; the first that fails ends it."""
    done: Counter[str] = Counter()
    started = time.perf_counter()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            mode = "packages-first" if seed % 5 == 4 else "us-local"
            done += play(Path(scratch), _simulated, seed=seed, orders=orders, mode=mode)
        print(f"outage {seed + 1} of {seeds}", file=sys.stderr)
    figures = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
    return [
        (f"outage drill, {orders} orders", f"{seeds} seeds", f"{time.perf_counter() - started:.0f} s", "all agree"),
        ("   " + figures, "", "", ""),
    ]
