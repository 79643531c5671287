"""What is bought is for the parcel as it is at that moment, whatever changes when, and whatever the clock says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.carriers.easypost_fake import Account, EasyPostFake
from tests.labels.desk import Told
from tests.labels.test_seeded_runs import Killed
from tiktok_erp.allocation.run import Asked, Offers, allocate
from tiktok_erp.carriers.easypost import EasyPost, ounces
from tiktok_erp.config.rules_file import load_rules_text
from tiktok_erp.errors import ErpError
from tiktok_erp.labels.easypost import OwnLabels
from tiktok_erp.labels.journal import Bought, LabelBuyer, Task
from tiktok_erp.labels.spool import why_held_back
from tiktok_erp.model.fingerprint import quote_fingerprint
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.secret import Secret
from tiktok_erp.model.shipment import Quote, Shipment
from tiktok_erp.store import database
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.store.print_jobs import load_pulls, load_to_print
from tiktok_erp.store.shipments import postal_address, recipient_address, sender_of
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

AT = "2026-11-18T12:00:00Z"
HOUSES = [
    ("1 Elm St", "Reno", "NV", "89501"),
    ("2 Oak Ave", "Dallas", "TX", "75201"),
    ("3 Ash Rd", "Boston", "MA", "02108"),
]
SENDER = (
    "{name: Warehouse, street1: 100 Main St, city: Ontario, state: CA, zip: '91761', country: US, phone: '9095550100'}"
)
CHEAPEST = (
    f"shop: {{name: s, ship_from: {SENDER}}}\n"
    "labels: {seller_shipping: easypost, settle_after: 0s}\n"
    "carriers:\n"
    "  - name: California by UPS\n    when: {state: [CA]}\n    use: {carrier: ups, service_level: ground}\n"
    "  - name: least\n    use: {cheapest: [{carrier: ups, service_level: ground},"
    " {carrier: usps, service_level: ground_advantage}]}\n"
)
RULES = load_rules_text(CHEAPEST)


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.drift = timedelta()

    def __call__(self) -> datetime:
        return REAL_NOW() + self.drift


REAL_NOW = database.utc_now
CLOCKED = ("allocation.run", "labels.journal", "labels.easypost", "store.labels", "store.shipments", "store.quarantine")


class Day:
    """One order of Seller Shipping in a database, EasyPost beside it, and what may happen to both."""

    def __init__(self, store: Store, server: EasyPostFake, http: HttpClient, clock: Clock) -> None:
        self.store, self.server, self.clock = store, server, clock
        self.account = server.account = Account()
        quick = RetryPolicy(attempts=2, first_wait_s=0.001)
        pace = Pace(start_rate=1e6, max_rate=1e6)
        self.source = EasyPost(Secret("EZAKfake"), server.api_url, http, pace, concurrency=2, retries=quick)
        self.rules = RULES
        self.told = Told()
        self.bought_wrong: list[str] = []
        with store.transaction():
            store.execute(
                "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, shipping_type, source,"
                " as_of, first_seen_at, synced_at, total_minor, currency) VALUES"
                " ('tiktok:1', 'tiktok', '1', 'AWAITING_SHIPMENT', 'open', 1, 'SELLER', 'api', ?1, ?1, ?1, 1500, 'USD')",
                (AT,),
            )
            store.execute(
                "INSERT INTO recipients (order_id, name, street1, city, state, zip, country, phone, is_masked)"
                " VALUES ('tiktok:1', 'Ann Lee', ?, ?, ?, ?, 'US', '5125550100', 0)",
                HOUSES[0],
            )
            store.execute(
                "INSERT INTO packages (package_id, channel, planned_at) VALUES ('P000001', 'tiktok', ?)", (AT,)
            )
            store.execute("INSERT INTO package_orders (package_id, order_id) VALUES ('P000001', 'tiktok:1')")
            store.execute("INSERT INTO skus (sku, weight_g) VALUES ('MUG', 200)")
            store.execute(
                "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state, package_id, channel_unit_id)"
                " VALUES ('u1', 'tiktok:1', 1, 'MUG', 's', 'AWAITING_SHIPMENT', 'open', 'P000001', 'c1')"
            )

    def move(self, house: int) -> None:
        """Write another address, as a sync does, with the time that the clock shows."""
        with open_store(self.store.path) as other, other.transaction():
            before = other.scalar("SELECT zip FROM recipients")
            if before == HOUSES[house][3]:
                return
            other.execute("UPDATE recipients SET street1 = ?, city = ?, state = ?, zip = ?", HOUSES[house])
            other.execute("UPDATE orders SET address_changed_at = ?", (to_text(self.clock()),))

    def weigh(self, weight_g: int) -> None:
        with open_store(self.store.path) as other, other.transaction():
            other.execute("UPDATE skus SET weight_g = ?", (weight_g,))

    def send_from(self, street: str) -> None:
        self.rules = load_rules_text(CHEAPEST.replace("100 Main St", street))

    def ask(self, asked: Asked) -> Offers | None:
        sender = postal_address(sender_of(self.rules, None))
        shipment = Shipment(asked.package_id, sender, recipient_address(asked.address), asked.parcel.weight_g or 0)
        return Offers("easypost", self.source.quotes(shipment), quote_fingerprint(shipment))

    def allocate(self, ask: Callable[[Asked], Offers | None] | None = None) -> None:
        allocate(
            self.store,
            self.rules,
            self.told,
            only=None,
            run_id=None,
            dry_run=False,
            no_wait=True,
            ask_prices=ask or self.ask,
        )

    def buy(self, at: Callable[[str], None] = lambda moment: None) -> None:
        """Buy what is due; `at` is called with the name of each moment that passes."""

        def read_back(order_ids: Sequence[str]) -> Collection[str]:
            at("read_back")
            return list(order_ids)

        vendor = Watched(self, at)
        buyer = LabelBuyer(self.store, vendor, self.rules, self.told, read_back, run_id=None, sleep=lambda s: None)
        buyer.buy(only=None, limit=None)

    def check_purchase(self, quote: Quote) -> None:
        """Called just before the bytes leave: what is bought must be for the parcel as it is now."""
        shipment = self.account.shipments[quote.quote_id.partition("/")[0]]
        with open_store(self.store.path) as other:
            zip_code = other.scalar("SELECT zip FROM recipients")
            weight = other.scalar("SELECT weight_g FROM skus")
        sender = sender_of(self.rules, None).street1
        bought = (shipment["to_address"]["zip"], shipment["parcel"]["weight"], shipment["from_address"]["street1"])
        if bought != (zip_code, ounces(weight), sender):
            self.bought_wrong.append(f"{bought} instead of {(zip_code, ounces(weight), sender)}")

    def on_the_way_to_paper(self) -> list[str]:
        """Return the ZIP codes of the labels that would be printed."""
        free = [row for row in load_to_print(self.store) if why_held_back(row) is None]
        return [self.account.shipments[row["quote_id"].partition("/")[0]]["to_address"]["zip"] for row in free]

    def zip_now(self) -> str:
        return str(self.store.scalar("SELECT zip FROM recipients"))


class Watched(OwnLabels):
    """Own labels, with a word at each moment in which something may change."""

    def __init__(self, day: Day, at: Callable[[str], None]) -> None:
        super().__init__(day.store, day.source, day.rules)
        self._day, self._at = day, at

    def quote(self, task: Task) -> tuple[Quote, ...]:
        found = super().quote(task)
        self._at("quoted")
        return found

    def purchase(self, task: Task, quote: Quote | None) -> Bought:
        assert quote is not None
        self._day.check_purchase(quote)
        self._at("sent")
        found = super().purchase(task, quote)
        self._at("bought")
        return found


@pytest.fixture(scope="module")
def fake() -> Iterator[EasyPostFake]:
    server = EasyPostFake(Account())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in CLOCKED:
        monkeypatch.setattr(f"tiktok_erp.{module}.utc_now", clock)
    return clock


@pytest.fixture
def day(fake: EasyPostFake, tmp_path: Path, clock: Clock) -> Iterator[Day]:
    with open_store(tmp_path / "shop.db", create=True) as store, HttpClient(answer_timeout_s=5) as http:
        store.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
        yield Day(store, fake, http, clock)


def test_prices_that_were_asked_for_the_old_address_buy_nothing(day: Day) -> None:
    moves = iter([1])

    def moving(asked: Asked) -> Offers | None:
        offers = day.ask(asked)
        for house in moves:
            day.move(house)
        return offers

    day.allocate(moving)
    day.buy()
    assert [sale["package_id"] for sale in day.account.purchases] == ["P000001"]
    assert day.bought_wrong == []
    assert day.on_the_way_to_paper() == ["75201"]


def test_an_address_that_never_rests_while_prices_are_asked_leaves_the_package_undecided(day: Day) -> None:
    houses = iter([1, 2, 0, 1, 2, 0])

    def moving(asked: Asked) -> Offers | None:
        offers = day.ask(asked)
        day.move(next(houses))
        return offers

    day.allocate(moving)
    assert day.store.scalar("SELECT count(*) FROM packages WHERE allocated_at IS NOT NULL") == 0
    assert [outcome.cause for outcome in day.told.of("skipped")] == ["changed_meanwhile"]
    day.allocate()
    day.buy()
    assert day.on_the_way_to_paper() == [day.zip_now()]


@pytest.mark.parametrize("drift", [timedelta(), timedelta(hours=-1), timedelta(days=-300), timedelta(days=2)])
def test_a_change_after_the_decision_is_seen_whatever_the_clock_says(day: Day, drift: timedelta) -> None:
    day.allocate()
    day.clock.drift = drift
    day.move(1)
    day.buy()
    assert day.account.purchases == []
    assert {outcome.cause for outcome in day.told.of("skipped")} == {"address_changed"}
    day.allocate()
    day.buy()
    assert day.bought_wrong == []
    assert day.on_the_way_to_paper() == ["75201"]


@pytest.mark.parametrize("moment", ["read_back", "quoted"])
def test_a_change_up_to_the_moment_of_buying_buys_nothing(day: Day, moment: str) -> None:
    day.allocate()
    day.store.execute("DELETE FROM quotes")  # so that it is asked anew
    day.clock.drift = timedelta(hours=-1)
    day.buy(lambda now: day.move(1) if now == moment else None)
    assert day.account.purchases == []
    assert day.store.scalar("SELECT count(*) FROM labels WHERE state IN ('sent', 'unknown', 'bought')") == 0


@pytest.mark.parametrize("drift", [timedelta(), timedelta(hours=-1)])
def test_a_label_whose_address_changed_since_is_pulled_and_not_printed(day: Day, drift: timedelta) -> None:
    day.allocate()
    day.buy()
    assert day.on_the_way_to_paper() == ["89501"]
    day.clock.drift = drift
    day.move(1)
    assert day.on_the_way_to_paper() == []
    assert [row["cause"] for row in load_pulls(day.store)] == ["address_changed"]


def test_a_label_that_leads_elsewhere_is_a_case_and_not_printed(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    day.allocate()

    def elsewhere(now: str) -> None:
        if now == "sent":
            shipment = next(one for one in day.account.shipments.values() if one["reference"] == "P000001")
            for one in day.account.shipments.values():
                one["to_address"] = {**shipment["to_address"], "zip": "10001-1234", "state": "NY"}

    day.buy(elsewhere)
    assert [outcome.cause for outcome in day.told.of("failed")] == ["other_address"]
    assert day.store.scalar("SELECT cause FROM v_quarantine") == "other_address"
    assert day.on_the_way_to_paper() == []


def test_what_a_source_writes_otherwise_is_no_contradiction(day: Day) -> None:
    day.allocate()

    def verified(now: str) -> None:
        if now == "sent":
            for one in day.account.shipments.values():
                one["to_address"] = {"name": "ANN LEE", "street1": "1 ELM STREET", "zip": "89501-0001", "state": "NV"}

    day.buy(verified)
    assert day.store.scalar("SELECT address_check FROM labels") == "match"
    assert day.on_the_way_to_paper() == ["89501-0001"]


CHANGES = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 2)),
    st.tuples(st.just("weigh"), st.sampled_from([200, 900])),
    st.tuples(st.just("send_from"), st.sampled_from(["100 Main St", "7 Side St"])),
)
MOMENTS = st.sampled_from(["asked", "decided", "read_back", "quoted", "sent", "bought", "day_over"])
DRIFTS = st.sampled_from([timedelta(), timedelta(hours=-1), timedelta(days=-40), timedelta(hours=3)])
EVENTS = st.lists(st.tuples(MOMENTS, CHANGES, DRIFTS), max_size=5)
FAULTS = st.sampled_from([{}, {"drop_after_buy": 0.5}, {"drop_before_buy": 0.5, "error_500_buy": 0.3}])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, faults=FAULTS, writes=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_purchase_is_for_the_parcel_of_that_moment(
    fake: EasyPostFake, monkeypatch: pytest.MonkeyPatch, clock: Clock, events: Any, faults: Any, writes: int, seed: int
) -> None:
    clock.drift = timedelta()
    with (
        TemporaryDirectory() as folder,
        open_store(Path(folder) / "shop.db", create=True) as store,
        HttpClient(answer_timeout_s=5) as http,
        monkeypatch.context() as patch,
    ):
        store.execute("PRAGMA synchronous = OFF")
        day = Day(store, fake, http, clock)
        day.account.faults = dict(faults)
        day.account.dice.seed(seed)
        left = list(events)

        def at(moment: str) -> None:
            for event in [event for event in left if event[0] == moment][:1]:
                left.remove(event)
                clock.drift = event[2]
                if event[1][0] == "send_from" and moment != "day_over":
                    continue  # the rules of a run that is under way do not change
                getattr(day, event[1][0])(event[1][1])

        def asking(asked: Asked) -> Offers | None:
            offers = day.ask(asked)
            at("asked")
            return offers

        execute, count = Store.execute, [writes]

        def counted(self: Store, sql: str, values: Sequence[object] = ()) -> int:
            if self is store and count[0] > 0:
                count[0] -= 1
                if count[0] == 0:
                    raise Killed
            return execute(self, sql, values)

        patch.setattr(Store, "execute", counted)
        for round_ in range(7):
            if round_ >= 4:
                day.account.faults = {}
            with suppress(ErpError, Killed):
                day.allocate(asking)
                at("decided")
                day.buy(at)
            at("day_over")
            assert set(day.on_the_way_to_paper()) <= {day.zip_now()}
        assert day.bought_wrong == []
        assert len(day.account.purchases) == 1  # never twice, and not blocked for good
        assert store.scalar("SELECT count(*) FROM labels WHERE state = 'bought'") == 1
