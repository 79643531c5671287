"""Hundreds of seeded days on which everything goes wrong: what a source sold is what is held, once, and never cancelled.

The journal runs in this process against EasyPost's fake, whose connection drops, fails and lies; the run is
ended at a random write as if by `kill -9`, the clock jumps, and orders are cancelled in between.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake
from tiktok_erp.carriers.easypost import EasyPost
from tiktok_erp.errors import ErpError
from tiktok_erp.labels.easypost import OwnLabels
from tiktok_erp.labels.journal import LabelBuyer
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Labels, Rules, ShipFrom, Shop, shipped_channels
from tiktok_erp.model.secret import Secret
from tiktok_erp.store import database
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

AT = "2026-11-18T06:00:00Z"
SENDER = ShipFrom("Warehouse", "100 Main St", "Ontario", "CA", "91761", phone="9095550100")
RULES = Rules(
    shop=Shop(ship_from=SENDER),
    labels=Labels(settle_after=timedelta(0)),
    channels=shipped_channels(is_us=False),  # own labels of any carrier: what is bought is not the point here
)
RUNS = 320
PACKAGES = 5
FAULTS = {
    "drop_before_buy": 0.15,
    "drop_after_buy": 0.2,
    "error_500_buy": 0.1,
    "html_buy": 0.1,
    "drop_create": 0.1,
    "short_file": 0.1,
}


class Killed(BaseException):
    """The process ended here."""


class Mute:
    wants_fields = False

    def item(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


@pytest.fixture(scope="module")
def fake() -> Iterator[EasyPostFake]:
    server = EasyPostFake(Account())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def make(store: Store) -> None:
    """Write packages that wait for a label."""
    for number in range(1, PACKAGES + 1):
        store.execute(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, shipping_type, source, as_of,"
            " first_seen_at, synced_at) VALUES (?1, 'tiktok', ?2, 'AWAITING_SHIPMENT', 'open', 1, 'SELLER', 'api', ?3, ?3, ?3)",
            (f"tiktok:{number}", str(number), AT),
        )
        store.execute(
            "INSERT INTO recipients (order_id, name, street1, city, state, zip, country, is_masked)"
            " VALUES (?, 'Ann Lee', '1 Elm St', 'Reno', 'NV', '89501', 'US', 0)",
            (f"tiktok:{number}",),
        )
        store.execute(
            "INSERT INTO packages (package_id, channel, planned_at, weight_g, carrier, service_level, because, allocated_at)"
            " VALUES (?, 'tiktok', ?2, 120, 'usps', 'ground_advantage', 'rule', ?2)",
            (f"P{number}", AT),
        )
        store.execute(
            "INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)", (f"P{number}", f"tiktok:{number}")
        )


def run(store: Store, fake: EasyPostFake, http: HttpClient, read_back: object) -> None:
    quick = RetryPolicy(attempts=2, first_wait_s=0.001)
    source = EasyPost(
        Secret("EZAKfake"), fake.api_url, http, Pace(start_rate=1e6, max_rate=1e6), concurrency=3, retries=quick
    )
    buyer = LabelBuyer(
        store, OwnLabels(store, source, RULES), RULES, Mute(), read_back, run_id=None, sleep=lambda s: None
    )  # type: ignore[arg-type]
    buyer.buy(only=None, limit=None)


@pytest.mark.parametrize("seed", range(RUNS))
def test_what_was_sold_is_held_once(
    seed: int, fake: EasyPostFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    account = fake.account = Account(dice=random.Random(seed), faults=dict(FAULTS))
    cancelled: dict[str, int] = {}  # order -> how much had been sold when the channel first told of it
    writes = dice.randint(1, 60) if seed % 2 else 0
    drift = timedelta()

    def ticking() -> object:
        return real_now() + drift

    real_now = database.utc_now
    for module in ("tiktok_erp.labels.journal", "tiktok_erp.store.labels"):
        monkeypatch.setattr(f"{module}.utc_now", ticking)

    with open_store(tmp_path / "shop.db", create=True) as store, HttpClient(answer_timeout_s=5) as http:
        with store.transaction():
            make(store)
        execute = Store.execute

        def counted(self: Store, sql: str, values: Sequence[object] = ()) -> int:
            nonlocal writes
            if writes > 0:
                writes -= 1
                if writes == 0:
                    raise Killed
            return execute(self, sql, values)

        def read_back(order_ids: Sequence[str]) -> Collection[str]:
            nonlocal drift
            drift = timedelta(seconds=dice.choice((0, 0, 3600, -3600, 86400)))
            for order_id in order_ids:
                if dice.random() < 0.1:
                    cancelled.setdefault(order_id, len(account.purchases))
                    execute(
                        store, "UPDATE orders SET base_state = 'cancelled', is_open = 0 WHERE order_id = ?", (order_id,)
                    )
            return list(order_ids)

        monkeypatch.setattr(Store, "execute", counted)
        for attempt in range(7):
            account.faults = dict(FAULTS) if attempt < 4 else {}
            with suppress(ErpError, Killed):
                run(store, fake, http, read_back)
        held = {
            (row["package_id"], row["tracking_number"])
            for row in store.query("SELECT package_id, tracking_number FROM labels WHERE state = 'bought'")
        }
        sold = {(sale["package_id"], sale["tracking_number"]) for sale in account.purchases}
        assert held == sold
        assert sold or len(cancelled) == PACKAGES
        assert not [
            name for name, count in Counter(sale["package_id"] for sale in account.purchases).items() if count > 1
        ]
        for order_id, before in cancelled.items():
            package = "P" + order_id.partition(":")[2]
            assert package not in {sale["package_id"] for sale in account.purchases[before:]}
        waiting = store.query("SELECT 1 FROM labels WHERE state IN ('sent', 'unknown')")
        assert not waiting
