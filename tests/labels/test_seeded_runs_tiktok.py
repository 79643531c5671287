"""Hundreds of seeded days in the simulated shop: what TikTok sold is what is held, once, and nothing that was not allowed.

Answers are lost after the purchase, documents come late or broken, orders are cancelled between look and purchase, and the
run is ended at a random write as if by `kill -9`. The shop's own book says what a correct client never does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import ErpError
from tiktok_erp.labels.journal import LabelBuyer
from tiktok_erp.labels.tiktok import TikTokLabels
from tiktok_erp.model.credentials import TikTokCredentials
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Labels, Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.simulator.server import Simulator, SimulatorOptions
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.run import OrderWriter
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

RULES = Rules(labels=Labels(settle_after=timedelta(0), document_wait=timedelta(seconds=2)))
RUNS = 300
FAULTS = {
    "purchase_answer_lost": 0.3,
    "cancelled_at_purchase": 0.1,
    "cancelled_after_list": 0.1,
    "cancel_request_after_list": 0.1,
    "pdf_truncated": 0.1,
    "document_expired": 0.1,
}


class Killed(BaseException):
    """The process ended here."""


class Mute:
    wants_fields = False

    def item(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


def client(simulator: Simulator, http: HttpClient, folder: Path) -> TikTokShop:
    credentials = TikTokCredentials(
        simulator.app_key,
        Secret(simulator.app_secret),
        Secret(simulator.cipher),
        api_url=simulator.api_url,
        auth_url=simulator.auth_url,
    )
    access, refresh = Secret(simulator.access_token), Secret(simulator.refresh_token)
    tokens = TokenFile(folder / "tokens.json", access_token=access, refresh_token=refresh)
    quick = RetryPolicy(attempts=3, first_wait_s=0.001)
    return TikTokShop(credentials, tokens, http, Pace(start_rate=1e6, max_rate=1e6), retries=quick)


def killed_at(write: int) -> Callable[[Store, str, Sequence[object]], int]:
    """Return an `execute` that ends the process at its n-th call; 0 is never."""
    execute, left = Store.execute, write

    def counted(self: Store, sql: str, values: Sequence[object] = ()) -> int:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return execute(self, sql, values)

    return counted


@pytest.mark.parametrize("seed", range(RUNS))
def test_what_tiktok_sold_is_held_once(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    faults = ",".join(f"{name}:{share}" for name, share in FAULTS.items())
    options = SimulatorOptions(orders=6, seed=seed, carrier="tiktok", rate_limit=0, document_seconds=0, faults=faults)
    with (
        Simulator(options) as simulator,
        open_store(tmp_path / "shop.db", create=True) as store,
        HttpClient(answer_timeout_s=5) as http,
    ):
        shop = client(simulator, http, tmp_path)

        def read_back(order_ids: Sequence[str]) -> Collection[str]:
            numbers = [order_id.partition(":")[2] for order_id in order_ids]
            return OrderWriter(store, RULES, Mute(), run_id=None).write_raw(shop.fetch_orders(numbers))

        with suppress(ErpError):
            read_back([f"tiktok:{number}" for number in simulator.shop.orders])
        store.execute(
            "UPDATE packages SET carrier = 'usps', service_level = 'ground_advantage', because = 'rule', weight_g = 120,"
            " allocated_at = '2099-01-01T00:00:00Z'"
        )
        with monkeypatch.context() as patch:
            patch.setattr(Store, "execute", killed_at(dice.randint(1, 90) if seed % 2 else 0))
            for _attempt in range(6):
                vendor = TikTokLabels(store, shop, RULES, read_back, sleep=lambda seconds: None)
                buyer = LabelBuyer(store, vendor, RULES, Mute(), read_back, run_id=None, sleep=lambda seconds: None)
                with suppress(ErpError, Killed):
                    buyer.buy(only=None, limit=None)
        book = simulator.ledger()
        sold = {(entry["order_ids"][0], entry["package_id"], entry["tracking_number"]) for entry in book["purchases"]}
        held = {
            tuple(row)
            for row in store.query(
                "SELECT o.channel_order_id, l.channel_package_id, l.tracking_number FROM labels l JOIN package_orders po"
                " USING (package_id) JOIN orders o USING (order_id) WHERE l.source = 'tiktok' AND l.state = 'bought'"
            )
        }
        assert held == sold
        assert book["violations"] == []
        assert max(Counter(order for order, _package, _number in sold).values(), default=1) == 1
