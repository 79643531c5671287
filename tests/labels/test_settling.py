"""Settling a purchase without an answer: by what the order shows, and never by what it leaves open."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.channels.base import RawOrder
from tiktok_erp.channels.tiktok_orders import read_order
from tiktok_erp.labels.journal import LabelBuyer
from tiktok_erp.labels.tiktok import TikTokLabels
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Labels, Rules
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.run import OrderWriter

AT = "2026-11-18T06:00:00Z"
RULES = Rules(labels=Labels(settle_after=timedelta(0), document_wait=timedelta(0)))


class Mute:
    wants_fields = False

    def item(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


class Shop:
    """A channel whose documents are never ready."""

    name = "tiktok"

    def fetch_document(self, channel_package_id: str) -> None:
        return None


def order(status: str, **told_of_unit: Any) -> RawOrder:
    unit = {"id": "57", "sku_id": "1729", "seller_sku": "MUG", "display_status": status, **told_of_unit}
    body = json.dumps({"id": "576", "status": status, "shipping_type": "TIKTOK", "line_items": [unit]}).encode()
    digest = hashlib.blake2b(body, digest_size=8).digest()
    return RawOrder("576", body, digest, partial(read_order, body, as_of=datetime(2026, 11, 18, 6, tzinfo=UTC)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with one package whose purchase was sent long ago and never answered."""
    with open_store(tmp_path / "shop.db", create=True) as opened:
        OrderWriter(opened, RULES, Mute(), run_id=None).write_raw([order("AWAITING_SHIPMENT")])
        opened.execute(
            "INSERT INTO labels (package_id, state, source, intent_at, sent_at)"
            " VALUES ('P000001', 'unknown', 'tiktok', ?, ?)",
            (AT, AT),
        )
        yield opened


def buyer(store: Store, now: RawOrder | None) -> LabelBuyer:
    """Return a buyer to whom the channel shows the order as `now`."""

    def read_back(order_ids: Sequence[str]) -> Collection[str]:
        return OrderWriter(store, RULES, Mute(), run_id=None).write_raw([now] if now else [])

    vendor = TikTokLabels(store, Shop(), RULES, read_back)  # type: ignore[arg-type]
    return LabelBuyer(store, vendor, RULES, Mute(), read_back, run_id=None)


def settle(store: Store, now: RawOrder | None) -> tuple[Any, ...]:
    """Reconcile while the channel shows the order as `now`, and return the label's state and channel package."""
    buyer(store, now).reconcile()
    return tuple(store.query("SELECT state, channel_package_id FROM labels")[0])


def test_a_purchase_that_the_order_does_not_show_never_happened(store: Store) -> None:
    assert settle(store, order("AWAITING_SHIPMENT")) == ("intent", None)


def test_a_purchase_that_the_order_shows_is_kept_with_its_package(store: Store) -> None:
    assert settle(store, order("AWAITING_COLLECTION", package_id="1153")) == ("unknown", "1153")


def test_an_order_that_left_without_naming_its_package_leaves_the_purchase_in_doubt(store: Store) -> None:
    assert settle(store, order("AWAITING_COLLECTION")) == ("unknown", None)


def test_no_word_about_the_order_leaves_the_purchase_in_doubt(store: Store) -> None:
    assert settle(store, None) == ("unknown", None)


def test_an_intent_of_a_killed_run_is_dropped_when_its_package_must_not_be_sent(store: Store) -> None:
    store.execute("UPDATE labels SET state = 'intent', sent_at = NULL")
    store.execute("UPDATE orders SET base_state = 'cancelled'")
    buyer(store, None).buy(only=["P000001"], limit=None)
    assert [tuple(row) for row in store.query("SELECT state, error_code FROM labels")] == [("refused", "dropped")]


def test_what_was_sent_is_never_dropped(store: Store) -> None:
    store.execute("UPDATE orders SET base_state = 'cancelled'")
    buyer(store, None).buy(only=["P000001"], limit=None)
    assert [row["state"] for row in store.query("SELECT state FROM labels")] == ["unknown"]
