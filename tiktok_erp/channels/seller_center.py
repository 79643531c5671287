"""The manual twin of the TikTok client: the files that Seller Center gives and takes. Edge.

`read_order_export` gives the same facts as the API, `write_tracking_template` tells the same tracking numbers.
"""

from __future__ import annotations

from tiktok_erp.channels.seller_center_orders import read_order_export
from tiktok_erp.channels.seller_center_tracking import (
    TrackingRow,
    fill_tracking_template,
    read_tracking_template,
    write_tracking_template,
)

__all__ = [
    "TrackingRow",
    "fill_tracking_template",
    "read_order_export",
    "read_tracking_template",
    "write_tracking_template",
]
