"""Learn which parcels the carrier has: a package search of what changed since the last look. Reads, writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from tiktok_erp.channels.base import PackageState
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.runs import load_cursor, save_cursor
from tiktok_erp.store.scans import load_oldest_unscanned, save_scans

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

RESOURCE = "packages"
_OVERLAP = timedelta(minutes=5)
# TikTok reference, section 4.3: in transit, and delivered.
_SCANNED = frozenset({"FULFILLING", "COMPLETED"})
_DELIVERED = frozenset({"COMPLETED"})


def follow_packages(store: Store, shop: TikTokShop) -> int:
    """Write which packages the carrier has scanned or delivered; return how many were news.

    The search tells when a package last changed, not when it was scanned: that time is what is kept, and it may be late.
    A package in a word that we do not know stays as it is.
    """
    oldest = load_oldest_unscanned(store)
    if oldest is None:
        return 0
    start = load_cursor(store, shop.name, RESOURCE) or oldest
    until = shop.now()
    news = 0
    for page in shop.search_packages(min(start, until) - _OVERLAP, until):
        with store.transaction():
            news += save_scans(store, shop.name, list(_facts(page)))
    with store.transaction():
        save_cursor(store, shop.name, RESOURCE, cursor=until, as_of=utc_now())
    return news


def _facts(page: Iterable[PackageState]) -> Iterable[tuple[str, str, bool]]:
    for package in page:
        if package.status in _SCANNED and package.updated_at is not None:
            yield package.package_id, package.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"), package.status in _DELIVERED
