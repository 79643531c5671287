"""A shop's closed history, as long as one likes: a real day, played by the commands and closed, is copied in SQL.

Each copy has ids of its own and a day of its own within the year before. Triggers and foreign keys rest meanwhile, as the rows that they
would write are copied as well; the file afterwards passes `check`.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tiktok_erp.store.label_files import LabelFiles

TEMPLATE_ORDERS = 120
# The first command that needs the tracking list of own labels names it.
_DAY = (
    ("init", "--quiet"),
    ("sync", "--quiet"),
    ("stock", "import", "--from-channel", "tiktok", "--quiet"),
    ("reserve-stock", "--quiet"),
    ("allocate", "--no-wait", "--quiet"),
    ("print-labels", "--quiet"),
    ("print-labels", "--from", "tracking.csv", "--quiet"),
    ("upload-tracking", "--quiet"),
    ("sync", "--quiet"),
    ("reserve-stock", "--quiet"),
)
# What a shop has a few of, and what is dropped when it is old. Every other table grows for ever.
BOUNDED = frozenset(
    (
        *("meta", "migrations", "cursors", "skus", "listings", "holds", "raw_dictionaries", "claims"),
        *(
            "stock",
            "safety_stock",
            "channel_safety_stock",
            "sku_components",
            "shipping_providers",
            "api_calls",
            "restocking",
        ),
        *("sqlite_sequence", "sqlite_stat1", "sqlite_stat4"),
    )
)
# In order of their references.
_GROWING = (
    "runs",
    "orders",
    "packages",
    "package_orders",
    "overrides",
    "units",
    "unit_components",
    "order_events",
    "cancellations",
    "commissions",
    "recipients",
    "raw_answers",
    "batches",
    "packings",
    "print_jobs",
    "quotes",
    "labels",
    "scan_forms",
    "scan_form_labels",
    "live_sessions",
    "stock_moves",
    "reservations",
    "reservation_parts",
    "outbox",
    "quarantine",
    "alerts",
)
_COUNTED = (
    "run_id",
    "event_id",
    "batch_id",
    "job_id",
    "label_id",
    "form_id",
    "session_id",
    "move_id",
    "outbox_id",
    "case_id",
    "alert_id",
)
_COUNTED_APART = 100_000  # more rows than any table of the day has
_PACKAGES_APART = 1_000
_YEAR_S = 365 * 24 * 3600
_TIMES = ("since", "until", "at", "held_until", "wait_until", "ship_by", "answer_by")
_MADE_UNIQUE = ("idempotency_key", "channel_package_id", "tracking_number", "cancel_id", "source_form_id")

# What ends a day for good, in place of weeks of waiting for the carrier.
_CLOSE = """
UPDATE orders SET base_state = 'closed', status = 'COMPLETED', is_open = 0, cancel_requested = 0 WHERE base_state <> 'cancelled';
UPDATE orders SET is_open = 0, cancel_requested = 0, delivered_at = coalesce(delivered_at, synced_at);
UPDATE units SET state = 'shipped', status = 'COMPLETED' WHERE state NOT IN ('shipped', 'cancelled');
UPDATE reservations SET state = 'shipped', ended_from = 'held', ended_at = held_at WHERE state = 'held';
UPDATE reservations SET state = 'released', ended_from = 'short', ended_at = held_at WHERE state = 'short';
UPDATE packages SET scanned_at = coalesce(scanned_at, planned_at), delivered_at = coalesce(delivered_at, planned_at)
  WHERE cancelled_at IS NULL;
UPDATE package_orders SET uploaded_at = coalesce(uploaded_at, (SELECT planned_at FROM packages p WHERE p.package_id = package_orders.package_id));
UPDATE labels SET printed_at = bought_at WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL;
UPDATE cancellations SET is_pending = 0, status = 'CANCELLATION_REQUEST_COMPLETE';
UPDATE outbox SET state = 'dropped' WHERE state NOT IN ('done', 'refused');
DELETE FROM claims;
INSERT INTO quarantine (package_id, order_id, cause, detail, next_step, since, resolved_at)
  SELECT package_id, order_id, 'no_weight', 'unknown', 'weigh it', uploaded_at, uploaded_at FROM package_orders LIMIT 10;
UPDATE quarantine SET resolved_at = coalesce(resolved_at, since);
INSERT INTO packings (package_id, station, packed_at) SELECT package_id, 'north', bought_at FROM labels WHERE state = 'bought'
  ON CONFLICT DO NOTHING;
INSERT INTO labels (package_id, state, source, carrier, service_level, error_code, intent_at)
  SELECT package_id, 'refused', 'easypost', 'ups', 'ground', 'no_service', planned_at FROM packages LIMIT 5;
INSERT INTO labels (package_id, state, source, carrier, service_level, intent_at, bought_at, voided_at, refund_status, sent_at)
  SELECT package_id, 'voided', 'easypost', 'ups', 'ground', planned_at, planned_at, planned_at, 'refunded', planned_at FROM packages LIMIT 5;
INSERT INTO quotes (package_id, source, carrier, service_level, cost_minor, currency, quote_id, weight_g, quoted_at)
  SELECT package_id, 'easypost', 'ups', 'ground', 700, 'USD', 'shp_1', 200, planned_at FROM packages LIMIT 20
  ON CONFLICT DO NOTHING;
INSERT INTO scan_forms (source, carrier, day, state, source_form_id, sha256, intent_at, sent_at, made_at, written_at)
  SELECT 'easypost', 'usps', substr(planned_at, 1, 10), 'made', 'sf_1', '00', planned_at, planned_at, planned_at, planned_at
  FROM packages LIMIT 1;
INSERT INTO scan_form_labels (label_id, form_id) SELECT label_id, (SELECT max(form_id) FROM scan_forms) FROM labels
  WHERE state = 'bought' AND void_sent_at IS NULL LIMIT 20;
INSERT INTO print_jobs (batch_id, printer, first, last, state, sent_at, ended_at)
  SELECT batch_id, 'zebra', 1, 50, 'done', created_at, created_at FROM batches;
INSERT INTO live_sessions (name, started_at, ended_at) SELECT 'stream', min(planned_at), min(planned_at) FROM packages;
INSERT INTO alerts (kind, detail, opened_at, claimed_at, sent_at, closed_at, clear_claimed_at, clear_sent_at)
  SELECT 'sync_failing', '', at, at, at, at, at, at FROM (SELECT min(planned_at) AS at FROM packages);
INSERT INTO overrides (order_id, cause, because, at) SELECT order_id, 'no_weight', 'weighed', synced_at FROM orders LIMIT 3
  ON CONFLICT DO NOTHING;
INSERT INTO unit_components (unit_id, sku, channel_sku_id, quantity) SELECT unit_id, 'CND-CDR', '', 2 FROM units LIMIT 5
  ON CONFLICT DO NOTHING;
"""


def play_template(shop: Any) -> Path:
    """Play a day in a simulated shop's folder, close all of it, and return its database."""
    for command in _DAY:
        if "tracking.csv" in command:
            shop.write_tracking_list()
        shop.call(*command, expect=(0, 3))
    with closing(sqlite3.connect(shop.folder.db)) as connection:
        connection.executescript(_CLOSE)
        connection.commit()
    path: Path = shop.folder.db
    return path


def add_history(target: Path, template: Path, orders: int, *, analyze: bool = False) -> None:
    """Copy the template's day into `target` until so many closed orders are there; `analyze` leaves statistics, too.

    Stock stays as it is: of what was never counted, as many pieces came as went.
    """
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("ATTACH ? AS day", (str(template),))
        per_day = connection.execute("SELECT count(*) FROM day.orders").fetchone()[0]
        copies = -(-orders // per_day)
        with _without_triggers(connection):
            connection.execute("INSERT OR IGNORE INTO main.raw_dictionaries SELECT * FROM day.raw_dictionaries")
            for table in _GROWING:
                connection.execute(_copying(connection, table), {"copies": copies, "apart_s": _YEAR_S // copies})
            # Goods came in as often as they went out.
            connection.execute(
                "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at, reserved) SELECT m.sku, m.warehouse,"
                " 'received', -sum(m.quantity), 'goods of a year', max(m.at), -sum(m.reserved) FROM stock_moves m"
                " WHERE m.move_id > ? GROUP BY 1, 2",
                (_COUNTED_APART,),
            )
        if analyze:
            connection.execute("ANALYZE")
        connection.execute("DETACH day")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(LabelFiles(template).folder, LabelFiles(target).folder, dirs_exist_ok=True)


@contextmanager
def _without_triggers(connection: sqlite3.Connection) -> Iterator[None]:
    triggers = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
    connection.execute("BEGIN")
    for name, _sql in triggers:
        connection.execute(f"DROP TRIGGER main.{name}")
    yield
    for _name, sql in triggers:
        connection.execute(sql)
    connection.execute("COMMIT")


def _copying(connection: sqlite3.Connection, table: str) -> str:
    columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
    values = ", ".join(_of_copy(column, table) for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return (
        "WITH RECURSIVE copy (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copy WHERE k < :copies)"
        f" INSERT INTO main.{table} ({names}) SELECT {values} FROM copy CROSS JOIN day.{table} t ORDER BY copy.k"
    )


def _of_copy(column: str, table: str) -> str:
    """Return the SQL of one column's value in copy `k`: ids and times are moved, all else is as it was."""
    value = f't."{column}"'
    if column in _COUNTED:
        return f"{value} + k * {_COUNTED_APART}"
    if column in ("package_id", "merged_into"):
        return f"'P' || nullif(printf('%06d', CAST(substr({value}, 2) AS INTEGER) + k * {_PACKAGES_APART}), '000000')"
    if column in ("order_id", "unit_id", "reference") or (table, column) == ("outbox", "subject"):
        return (
            f"CASE WHEN {value} GLOB 'tiktok:*' THEN 'tiktok:' || (100000 + k) || substr({value}, 14) ELSE {value} END"
        )
    if column in ("channel_order_id", "channel_unit_id"):
        return f"(100000 + k) || substr({value}, 7)"
    if column in _MADE_UNIQUE:
        return f"{value} || printf('%06d', k)"
    if column in _TIMES or column.endswith("_at"):
        return f"strftime('%Y-%m-%dT%H:%M:%SZ', {value}, '-' || (k * :apart_s) || ' seconds')"
    return value
