"""SQL for where every search for work begins, so that it costs what is open and not what the years before left.

Each names the partial index that holds the open rows: without statistics, or with old ones, SQLite may prefer to walk the
whole table in the order that is asked for. A statement whose condition does not fit the index is refused when it is prepared.
"""

from __future__ import annotations

_CANCELLED_FOR = "30 days"  # how long a parcel whose order was cancelled may still lie here, label and all

# The packages of orders that still promise something.
OPEN_PACKAGES = (
    "SELECT oo.package_id FROM orders oi INDEXED BY orders_open CROSS JOIN package_orders oo ON oo.order_id = oi.order_id"
    " WHERE oi.is_open = 1"
)
# The packages that the carrier does not have.
UNSCANNED_PACKAGES = (
    "SELECT un.package_id FROM packages un INDEXED BY packages_unscanned"
    " WHERE un.scanned_at IS NULL AND un.delivered_at IS NULL AND un.cancelled_at IS NULL"
)
# Those that may still lie here: what was cancelled of late among them.
PACKAGES_HERE = (
    f"{UNSCANNED_PACKAGES} UNION ALL SELECT ca.package_id FROM packages ca INDEXED BY packages_cancelled_late"
    f" WHERE ca.cancelled_at >= strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-{_CANCELLED_FOR}')"
    " AND ca.carrier IS NOT NULL AND ca.merged_into IS NULL AND ca.scanned_at IS NULL AND ca.delivered_at IS NULL"
)
