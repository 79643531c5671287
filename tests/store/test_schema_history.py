"""A file made by the first version, brought up to date, has the same schema as a new one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import open_store
from tiktok_erp.store.labels import load_candidates, load_unsettled
from tiktok_erp.store.print_jobs import load_pulls

FIRST_VERSION = Path(__file__).parents[1] / "golden" / "schema-1.sql"


def first_version_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_VERSION.read_text("utf-8"))
        connection.execute("INSERT INTO migrations VALUES (1, 'first', '2026-11-22T00:00:00Z')")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def schema_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: _plain(sql) for name, sql in rows}


def _plain(sql: str) -> str:
    """Comments may be mended without a migration; a migration lays lines differently, and quotes a table it renames."""
    words = " ".join(re.sub(r"--[^\n]*", "", sql).split()).replace('"', "")
    return re.sub(r" ?([(),]) ?", r"\1", words)


def test_migrating_from_the_first_version_and_creating_afresh_give_the_same_schema(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    first_version_file(old)
    with open_store(old), open_store(new, create=True):
        pass
    assert len(schema_of(old)) > 50
    assert schema_of(old) == schema_of(new)


def test_what_an_older_file_holds_is_held_and_told_by_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    first_version_file(path)
    at = "2026-11-18T12:00:00Z"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, source, as_of, first_seen_at,"
            " synced_at) VALUES ('tiktok:1', 'tiktok', '1', 'AWAITING_SHIPMENT', 'open', 1, 'api', ?, ?, ?)",
            (at, at, at),
        )
        connection.executemany(
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state)"
            " VALUES (?, 'tiktok:1', ?, 'MUG', '1', 'AWAITING_SHIPMENT', ?)",
            [("u1", 1, "open"), ("u2", 2, "shipped"), ("u3", 3, "open")],
        )
        connection.execute(
            "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at) VALUES ('MUG', 'main', 'counted', 2, 'x', ?)",
            (at,),
        )
        connection.executemany(
            "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at) VALUES (?, 'MUG', 'main', ?, ?)",
            [("u1", "held", at), ("u2", "held", at), ("u3", "short", at)],
        )
        connection.execute("UPDATE reservations SET state = 'shipped', ended_at = ? WHERE unit_id = 'u2'", (at,))
        connection.commit()
    with open_store(path) as store:
        breaches = {check.name: [row[0] for row in find_breaches(store, check)] for check in CHECKS}
        assert {name: rows for name, rows in breaches.items() if rows} == {"open_units_have_a_package": ["u1", "u3"]}
        row = store.query_one("SELECT on_hand, reserved, counted_at FROM stock")
        assert tuple(row or ()) == (1, 1, at)
        moves = store.query("SELECT kind, quantity, reserved FROM stock_moves ORDER BY move_id")
        assert [tuple(move) for move in moves] == [("counted", 2, 0), ("shipped", -1, 0), ("reserved", 0, 1)]
        store.execute("UPDATE reservations SET state = 'released', ended_at = ? WHERE unit_id IN ('u1', 'u2')", (at,))
        assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (2, 0)


def test_decisions_of_an_older_file_are_made_again_and_its_labels_are_settled_as_before(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    first_version_file(path)
    early, at, late = "2026-11-18T11:00:00Z", "2026-11-18T12:00:00Z", "2026-11-18T13:00:00Z"
    labels = {"P2": ("bought", at), "P3": ("bought", late), "P4": ("sent", None), "P5": ("intent", None)}
    with closing(sqlite3.connect(path)) as connection:
        for number in range(1, 6):
            connection.execute(
                "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, source, as_of,"
                " first_seen_at, synced_at, address_changed_at, shipping_type) VALUES (?1, 'tiktok', ?1, 'AWAITING_SHIPMENT',"
                " 'open', 1, 'api', ?2, ?2, ?2, ?3, 'TIKTOK')",
                (f"o{number}", at, at if number in (2, 3) else None),
            )
            connection.execute(
                "INSERT INTO packages (package_id, channel, planned_at, carrier, because, allocated_at)"
                " VALUES (?, 'tiktok', ?2, 'usps', 'rule', ?2)",
                (f"P{number}", at),
            )
            connection.execute(
                "INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)", (f"P{number}", f"o{number}")
            )
        connection.executemany(
            "INSERT INTO labels (package_id, state, source, intent_at, sent_at, bought_at) VALUES (?, ?, 'tiktok', ?, ?, ?)",
            [
                (package_id, state, early, None if state == "intent" else early, bought_at)
                for package_id, (state, bought_at) in labels.items()
            ],
        )
        connection.commit()
    with open_store(path) as store:
        decided = store.query("SELECT package_id FROM packages WHERE allocated_at IS NOT NULL ORDER BY 1")
        assert [row[0] for row in decided] == ["P2", "P3", "P4"]
        assert [row["package_id"] for row in load_unsettled(store)] == ["P4"]
        assert [(row["package_id"], row["cause"]) for row in load_pulls(store)] == [("P2", "address_changed")]
        obstacles = {row["package_id"]: row["obstacle"] for row in load_candidates(store, only=["P1", "P5"])}
        assert set(obstacles.values()) == {"not_allocated"}
