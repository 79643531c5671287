"""A real database file, and rows to put into it that are whole unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.store.database import Store, open_store

AT = "2026-11-18T12:00:00Z"
_WHOLE: dict[str, dict[str, Any]] = {
    "runs": {"command": "sync", "process_id": 1, "started_at": AT},
    "orders": {
        "order_id": "tiktok:1",
        "channel": "tiktok",
        "channel_order_id": "1",
        "status": "AWAITING_SHIPMENT",
        "base_state": "open",
        "is_open": 1,
        "source": "api",
        "as_of": AT,
        "shipping_type": "TIKTOK",
        "first_seen_at": AT,
        "synced_at": AT,
    },
    "units": {
        "unit_id": "tiktok:11",
        "order_id": "tiktok:1",
        "position": 1,
        "sku": "MUG",
        "channel_sku_id": "1729",
        "status": "AWAITING_SHIPMENT",
        "state": "open",
    },
    "packages": {"package_id": "P000001", "channel": "tiktok", "planned_at": AT},
    "package_orders": {"package_id": "P000001", "order_id": "tiktok:1"},
    "labels": {"package_id": "P000001", "state": "intent", "source": "tiktok", "intent_at": AT},
    "scan_forms": {"source": "easypost", "carrier": "usps", "day": "2026-11-18", "state": "intent", "intent_at": AT},
    "scan_form_labels": {"label_id": 1, "form_id": 1},
    "stock_moves": {"sku": "MUG", "warehouse": "main", "kind": "counted", "quantity": 5, "because": "test", "at": AT},
    "reservation_parts": {"unit_id": "tiktok:11", "sku": "TEA", "quantity": 2, "is_counted": 0},
    "reservations": {"unit_id": "tiktok:11", "sku": "MUG", "warehouse": "main", "state": "held", "held_at": AT},
    "outbox": {
        "kind": "mark_shipped",
        "subject": "tiktok:1",
        "idempotency_key": "tracking/1",
        "payload": "{}",
        "state": "intent",
        "intent_at": AT,
    },
    "quarantine": {"package_id": "P000001", "cause": "no_rule", "detail": "d", "next_step": "n", "since": AT},
    "recipients": {"order_id": "tiktok:1", "is_masked": 0},
    "skus": {"sku": "MUG"},
    "listings": {"channel": "tiktok", "listing_id": "1729", "sku": "MUG"},
    "stock": {"sku": "CUP", "warehouse": "main", "on_hand": 1},
    "safety_stock": {"sku": "MUG", "warehouse": "main", "quantity": 1},
    "channel_safety_stock": {"channel": "tiktok", "sku": "MUG", "warehouse": "main", "quantity": 1},
    "sku_components": {"sku": "SET", "component": "MUG", "quantity": 2, "mapped_at": AT},
    "unit_components": {"unit_id": "tiktok:11", "sku": "MUG", "channel_sku_id": "1730", "quantity": 2},
    "live_sessions": {"name": "friday", "started_at": AT},
    "batches": {"directory": "out/B01", "created_at": AT},
    "restocking": {"unit_id": "tiktok:11"},
    "claims": {"package_id": "P000001", "station": "north", "batch_id": 1, "until": AT},
    "packings": {"package_id": "P000001", "station": "north", "packed_at": AT},
    "open_boxes": {"package_id": "P000001", "station": "north", "opened_at": AT},
    "print_jobs": {"batch_id": 1, "printer": "zebra", "first": 1, "last": 100, "state": "sent", "sent_at": AT},
    "quotes": {
        "package_id": "P000001",
        "source": "easypost",
        "carrier": "usps",
        "service_level": "ground_advantage",
        "cost_minor": 420,
        "currency": "USD",
        "quote_id": "shp_1/rate_1",
        "weight_g": 120,
        "quoted_at": AT,
    },
    "cursors": {"channel": "tiktok", "resource": "orders", "as_of": AT},
    "migrations": {"number": 99, "name": "later", "applied_at": AT},
    "meta": {"key": "shop", "value": "1"},
    "shipping_providers": {
        "channel": "tiktok",
        "delivery_option_id": "7",
        "provider_id": "8",
        "name": "USPS",
        "fetched_at": AT,
    },
    "order_events": {"order_id": "tiktok:1", "kind": "cancel_requested", "at": AT, "seen_at": AT},
    "cancellations": {
        "channel": "tiktok",
        "cancel_id": "40",
        "order_id": "tiktok:1",
        "status": "CANCELLATION_REQUEST_PENDING",
        "is_pending": 1,
        "fetched_at": AT,
    },
    "commissions": {
        "channel": "tiktok",
        "order_id": "tiktok:1",
        "channel_sku_id": "1729",
        "creator": "glow.example",
        "content_type": "LIVE",
        "content_id": "7",
        "quantity": 1,
        "is_on_units": 0,
        "fetched_at": AT,
    },
    "api_calls": {"at": AT, "channel": "tiktok", "endpoint": "/order", "outcome": "ok", "latency_ms": 300},
    "alerts": {"kind": "sync_failing", "detail": "d", "opened_at": AT},
    "holds": {"order_id": "tiktok:1", "because": "asked", "since": AT},
    "overrides": {"order_id": "tiktok:1", "cause": "po_box", "because": "asked", "at": AT},
    "raw_dictionaries": {"dictionary_id": 1, "body": b"words"},
    "raw_answers": {"order_id": "tiktok:1", "dictionary_id": 1, "body": b"{}", "fetched_at": AT},
}


class Rows:
    """Writes single rows, each whole but for what a test changes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, table: str, **values: Any) -> int:
        """Insert one row of `table` and return its rowid (0 where the table has none)."""
        row = _WHOLE[table] | values
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        return self.store.insert(sql, tuple(row.values()))

    def order(self, number: int = 1, **values: Any) -> str:
        """Insert an order and return its id."""
        order_id = f"tiktok:{number}"
        self.add("orders", **({"order_id": order_id, "channel_order_id": str(number)} | values))
        return order_id

    def package(self, number: int = 1, *order_ids: str, **values: Any) -> str:
        """Insert a package of these orders and return its id."""
        package_id = f"P{number:06d}"
        self.add("packages", **({"package_id": package_id} | values))
        for order_id in order_ids:
            self.add("package_orders", package_id=package_id, order_id=order_id)
        return package_id

    def one_of_each(self) -> None:
        """Insert one row of every table that others refer to."""
        self.order()
        self.package(1, "tiktok:1")
        self.add("units", package_id="P000001")
        self.add("stock_moves")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database as `init` makes it: made once, since writing the schema takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "shop.db"
    with open_store(path, create=True):
        pass
    return path.read_bytes()


@pytest.fixture
def store(tmp_path: Path, empty_database: bytes) -> Iterator[Store]:
    path = tmp_path / "shop.db"
    path.write_bytes(empty_database)
    with open_store(path) as opened:
        opened.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
        yield opened


@pytest.fixture
def rows(store: Store) -> Rows:
    return Rows(store)


@pytest.fixture
def whole_rows() -> dict[str, dict[str, Any]]:
    return _WHOLE
