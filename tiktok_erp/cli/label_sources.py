"""Which sources of labels a command works with, connected."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktok_erp.cli.session import Session
    from tiktok_erp.labels.journal import ReadBack, Vendor


def source_of(row: sqlite3.Row) -> str:
    """Return the name of the source that sells the label of a package."""
    return "tiktok" if row["shipping_type"] == "TIKTOK" else "easypost"


def vendors(session: Session, names: Collection[str]) -> list[Vendor]:
    """Return the sources of these names (`tiktok`, `easypost`), the channel's own first.

    Raises SignInError for one that is not set up.
    """
    found: list[Vendor] = []
    if "tiktok" in names:
        from tiktok_erp.labels.tiktok import TikTokLabels

        found.append(TikTokLabels(session.store, session.shop(), session.rules(), session.read_back))
    if "easypost" in names:
        from tiktok_erp.labels.easypost import OwnLabels

        found.append(OwnLabels(session.store, session.label_source(), session.rules()))
    return found


def channel_reader(session: Session) -> ReadBack:
    """Return what reads orders again before money is spent; without an account the last export is all there is."""
    if session.settings().tiktok_is_set():
        return session.read_back
    return _as_exported


def _as_exported(order_ids: Sequence[str]) -> frozenset[str]:
    return frozenset(order_ids)
