"""A database with labels that were bought from EasyPost's fake, in one process, and what a stage tells of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.carriers.easypost_fake import Account, EasyPostFake
from tiktok_erp.carriers.easypost import EasyPost
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.secret import Secret
from tiktok_erp.model.shipment import PostalAddress, Shipment
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

AT = "2026-11-18T18:00:00Z"
SENDER = PostalAddress("Warehouse", "100 Main St", "Ontario", "CA", "91761", phone="9095550100")
BUYER = PostalAddress("Ann Lee", "179 N Harbor Dr", "Redondo Beach", "CA", "90277")


class Told:
    """Keeps what is told."""

    wants_fields = True

    def __init__(self) -> None:
        self.items: list[Outcome] = []
        self.warnings: list[str] = []

    def item(self, outcome: Outcome) -> None:
        self.items.append(outcome)

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None: ...

    def of(self, result: str) -> list[Outcome]:
        return [outcome for outcome in self.items if outcome.result == result]


class Desk:
    """A database with labels bought from EasyPost, which stands beside it."""

    def __init__(self, folder: Path, store: Store, server: EasyPostFake, client: EasyPost) -> None:
        self.out = folder / "out"
        self.out.mkdir()
        self.store, self.account, self.client = store, server.account, client
        self.packages = 0

    def buy(self, carrier: str = "usps", *, bought_at: str = AT, ship_from: str | None = None) -> str:
        """Buy a label for a new package and return the package's id."""
        self.packages += 1
        package_id, order_id = f"P{self.packages:06d}", f"tiktok:{self.packages}"
        sender = SENDER if ship_from is None else PostalAddress(ship_from, "1 Side St", "Reno", "NV", "89501")
        quotes = self.client.quotes(Shipment(package_id, sender, BUYER, weight_g=120))
        quote = next(quote for quote in quotes if quote.carrier == carrier)
        label = self.client.buy(quote.quote_id, subject=package_id)
        self.store.execute(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, source, as_of, first_seen_at,"
            " synced_at) VALUES (?1, 'tiktok', ?2, 'AWAITING_SHIPMENT', 'open', 1, 'api', ?3, ?3, ?3)",
            (order_id, str(self.packages), AT),
        )
        self.store.execute(
            "INSERT INTO packages (package_id, channel, planned_at, ship_from) VALUES (?, 'tiktok', ?, ?)",
            (package_id, AT, ship_from),
        )
        self.store.execute("INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)", (package_id, order_id))
        self.store.execute(
            "INSERT INTO labels (package_id, state, source, carrier, tracking_number, quote_id, cost_minor, currency, intent_at,"
            " sent_at, bought_at) VALUES (?, 'bought', 'easypost', ?, ?, ?, 420, 'USD', ?, ?, ?)",
            (package_id, carrier, label.tracking_number, quote.quote_id, AT, AT, bought_at),
        )
        return package_id

    def on_forms(self) -> list[list[str]]:
        """Return the packages on each form that EasyPost made."""
        return [
            [self.account.shipments[one]["options"]["invoice_number"] for one in form] for form in self.account.forms
        ]

    def states(self) -> list[str]:
        return [row["state"] for row in self.store.query("SELECT state FROM scan_forms ORDER BY form_id")]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir())


@contextmanager
def opened_desk(folder: Path) -> Iterator[Desk]:
    """Give a desk; fails at its end when EasyPost saw something that must not be."""
    server = EasyPostFake(Account())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with open_store(folder / "shop.db", create=True) as store, HttpClient() as http:
            store.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
            quick = RetryPolicy(attempts=2, first_wait_s=0.001)
            pace = Pace(start_rate=1000, max_rate=1000)
            yield Desk(folder, store, server, EasyPost(Secret("EZAKfake"), server.api_url, http, pace, retries=quick))
        assert server.account.violations == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
