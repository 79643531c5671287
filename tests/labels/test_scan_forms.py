"""Scan forms: every parcel on one form and no more, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake
from tiktok_erp.carriers.easypost import EasyPost
from tiktok_erp.errors import ChannelDown
from tiktok_erp.labels.plan import FormKey, plan_forms
from tiktok_erp.labels.scan_forms import FormMaker, FormOptions
from tiktok_erp.labels.void import void_labels
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.model.shipment import PostalAddress, Shipment
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

AT = "2026-11-18T18:00:00Z"
SENDER = PostalAddress("Warehouse", "100 Main St", "Ontario", "CA", "91761", phone="9095550100")
BUYER = PostalAddress("Ann Lee", "179 N Harbor Dr", "Redondo Beach", "CA", "90277")


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """A store whose process ends right after its n-th transaction is committed."""

    def __init__(self, store: Store, after: int) -> None:
        self._store, self._left = store, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._store.transaction():
            yield
        self._left -= 1
        if self._left == 0:
            raise Killed


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

    def make(self, *package_ids: str, store: Any = None, client: Any = None, **options: Any) -> tuple[FormMaker, Told]:
        """Run once; no ids are everything due."""
        told = Told()
        maker = FormMaker(
            store or self.store,
            lambda name: client or self.client,
            Rules(),
            told,
            FormOptions(self.out, **options),
            run_id=None,
        )
        maker.run(list(package_ids) or None, lambda forms, parcels: True)
        return maker, told

    def on_forms(self) -> list[list[str]]:
        """Return the packages on each form that EasyPost made."""
        return [[self.account.shipments[one]["reference"] for one in form] for form in self.account.forms]

    def states(self) -> list[str]:
        return [row["state"] for row in self.store.query("SELECT state FROM scan_forms ORDER BY form_id")]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    server = EasyPostFake(Account())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with open_store(tmp_path / "shop.db", create=True) as store, HttpClient() as http:
            quick = RetryPolicy(attempts=2, first_wait_s=0.001)
            pace = Pace(start_rate=1000, max_rate=1000)
            yield Desk(tmp_path, store, server, EasyPost(Secret("EZAKfake"), server.api_url, http, pace, retries=quick))
        assert server.account.violations == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_all_parcels_of_a_carrier_and_day_are_on_one_form_whose_file_is_written(desk: Desk) -> None:
    ids = [desk.buy() for number in range(3)]
    maker, told = desk.make()
    assert desk.on_forms() == [ids]
    assert desk.files() == ["scan-form-usps.pdf"]
    assert (desk.out / "scan-form-usps.pdf").read_bytes().startswith(b"%PDF")
    (line,) = told.items
    assert (line.kind, line.result, line.fields["package_ids"]) == ("scan_form", "done", ids)
    assert (maker.count.made, maker.count.parcels) == (1, 3)
    (row,) = desk.store.query("SELECT * FROM v_scan_forms")
    assert (row["state"], row["carrier"], row["day"], row["source_form_id"]) == ("made", "usps", "2026-11-18", "sf_1")


def test_a_second_run_asks_for_nothing_and_later_labels_get_a_form_of_their_own(desk: Desk) -> None:
    first = desk.buy()
    desk.make()
    calls = dict(desk.account.calls)
    _maker, told = desk.make()
    assert (desk.account.calls, told.items) == (calls, [])
    second = desk.buy()
    desk.make()
    assert desk.on_forms() == [[first], [second]]


def test_days_and_senders_have_forms_of_their_own_in_one_file_a_carrier(desk: Desk) -> None:
    monday, tuesday = desk.buy(), desk.buy(bought_at="2026-11-19T18:00:00Z")
    late = desk.buy(bought_at="2026-11-20T02:00:00Z")  # still the 19th in Los Angeles
    elsewhere = desk.buy(ship_from="east")
    desk.make()
    assert desk.on_forms() == [[monday], [elsewhere], [tuesday, late]]
    assert desk.files() == ["scan-form-usps.pdf"]


def test_a_carrier_without_forms_is_told_and_the_others_go_on(desk: Desk) -> None:
    ups, usps = desk.buy("ups"), desk.buy()
    maker, told = desk.make()
    (failure,) = told.of("failed")
    assert (failure.fields["carrier"], failure.cause, failure.fields["package_ids"]) == ("ups", "refused", [ups])
    assert desk.on_forms() == [[usps]]
    assert (maker.count.made, maker.count.failed) == (1, 1)


def test_what_was_refused_is_asked_for_again_only_by_name(desk: Desk) -> None:
    ups = desk.buy("ups")
    desk.make()
    maker, told = desk.make()
    assert (maker.count.refused_before, told.items) == (1, [])
    desk.make(ups)
    assert desk.account.calls["scan_form"] == 2


def test_a_carrier_that_was_not_meant_is_left_alone(desk: Desk) -> None:
    desk.buy("ups")
    usps = desk.buy()
    _maker, told = desk.make(carrier="usps")
    assert desk.on_forms() == [[usps]]
    assert told.of("failed") == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("UPDATE packages SET scanned_at = '2026-11-19T08:00:00Z'", "scanned"),
        ("UPDATE packages SET delivered_at = '2026-11-19T08:00:00Z'", "scanned"),
        ("UPDATE orders SET base_state = 'cancelled'", "order_cancelled"),
        ("UPDATE packages SET cancelled_at = '2026-11-19T08:00:00Z'", "order_cancelled"),
        ("UPDATE orders SET cancel_requested = 1", "cancel_requested"),
        ("UPDATE labels SET void_sent_at = '2026-11-19T08:00:00Z'", "voided"),
        ("UPDATE labels SET barcode = 'contradiction'", "barcode_contradiction"),
        ("UPDATE labels SET source = 'tiktok'", "no_scan_form"),
        ("UPDATE labels SET state = 'voided', voided_at = '2026-11-19T08:00:00Z'", "no_label"),
    ],
)
def test_what_must_not_be_on_a_form_is_on_none_and_told_by_name(desk: Desk, change: str, cause: str) -> None:
    package = desk.buy()
    desk.store.execute(change)
    _maker, told = desk.make()
    assert told.items == []
    _maker, told = desk.make(package)
    assert [outcome.cause for outcome in told.of("skipped")] == [cause]
    assert desk.account.forms == []
    assert desk.states() == []


def test_only_named_packages_are_put_on_a_form_and_naming_them_again_writes_its_document_again(desk: Desk) -> None:
    named, other = desk.buy(), desk.buy()
    desk.make(named)
    (desk.out / "scan-form-usps.pdf").unlink()
    desk.make(named)
    assert desk.on_forms() == [[named]]
    assert desk.files() == ["scan-form-usps.pdf"]
    assert desk.account.calls["form_file"] == 1
    desk.make()
    assert desk.on_forms() == [[named], [other]]


def test_a_dry_run_asks_nobody_and_writes_nothing(desk: Desk) -> None:
    package = desk.buy()
    calls = dict(desk.account.calls)
    _maker, told = desk.make(dry_run=True)
    assert [(line.result, line.fields["package_ids"]) for line in told.items] == [("planned", [package])]
    assert (desk.account.calls, desk.states(), desk.files()) == (calls, [], [])


def test_nothing_is_asked_for_when_the_person_says_no(desk: Desk) -> None:
    desk.buy()
    maker = FormMaker(desk.store, lambda name: desk.client, Rules(), Told(), FormOptions(desk.out), run_id=None)
    asked: list[tuple[int, int]] = []
    maker.run(None, lambda forms, parcels: bool(asked.append((forms, parcels))))
    assert asked == [(1, 1)]
    assert (desk.account.forms, desk.states()) == ([], [])


@pytest.mark.parametrize("shows", ["shipment", "batch"])
def test_a_lost_answer_is_settled_by_reading_a_parcel_of_the_form(desk: Desk, shows: str) -> None:
    package = desk.buy()
    desk.account.shows_forms, desk.account.script = shows, ["drop_after_form"]
    maker, told = desk.make()
    assert (maker.count.made, maker.count.unknown, told.of("failed")) == (1, 0, [])
    assert desk.on_forms() == [[package]]
    assert desk.files() == ["scan-form-usps.pdf"]


@pytest.mark.parametrize("fault", ["drop_after_form", "drop_before_form"])
def test_where_the_source_does_not_tell_no_second_form_is_asked_for_until_a_person_says_so(
    desk: Desk, fault: str
) -> None:
    desk.buy()
    desk.account.script = [fault]
    _maker, told = desk.make()
    (failure,) = told.of("failed")
    assert failure.cause == "outcome_unknown"
    assert "--again" in (failure.next_step or "")
    _maker, told = desk.make()
    assert (told.of("failed"), [line.cause for line in told.of("skipped")]) == ([], ["outcome_unknown"])
    assert told.warnings
    assert desk.states() == ["unknown"]
    assert desk.account.calls["scan_form"] == 1
    desk.account.forms.clear()  # the person saw that there is none, or threw it away
    desk.make(again=True)
    assert desk.states() == ["failed", "made"]
    assert desk.files() == ["scan-form-usps.pdf"]


def test_asking_again_asks_first_whether_the_source_tells_by_now(desk: Desk) -> None:
    desk.buy()
    desk.account.script = ["drop_after_form"]
    desk.make()
    for shipment in desk.account.shipments.values():
        shipment["scan_form"] = desk.account.scan_forms[0]
    desk.make(again=True)
    assert (desk.states(), desk.account.calls["scan_form"]) == (["made"], 1)


def test_asking_again_for_one_package_leaves_the_other_forms_in_doubt(desk: Desk) -> None:
    first, _second = desk.buy(), desk.buy(bought_at="2026-11-19T18:00:00Z")
    desk.account.faults = {"drop_before_form": 1.0}
    desk.make()
    desk.account.faults = {}
    desk.make(first, again=True)
    assert desk.states() == ["failed", "unknown", "made"]
    assert desk.on_forms() == [[first]]


def test_a_form_of_other_parcels_is_not_taken_for_ours(desk: Desk) -> None:
    desk.buy()
    desk.account.script = ["drop_before_form"]
    desk.make()
    for shipment in desk.account.shipments.values():
        shipment["scan_form"] = {"id": "sf_9", "tracking_codes": ["9400100000000000000009"], "form_url": None}
    desk.make()
    assert desk.states() == ["unknown"]


@pytest.mark.parametrize("commits", range(1, 6))
@pytest.mark.parametrize("shows", ["shipment", "nowhere"])
def test_killed_after_any_write_it_never_asks_for_a_second_form(desk: Desk, commits: int, shows: str) -> None:
    ids = [desk.buy(), desk.buy()]
    desk.account.shows_forms = shows
    with pytest.raises(Killed):
        desk.make(store=Dying(desk.store, commits))
    desk.make()
    if desk.states()[-1] == "unknown":  # killed between the note that it leaves and its leaving
        assert (commits, desk.account.forms) == (2, [])
        desk.make(again=True)
    assert desk.on_forms() == [ids]
    assert desk.files() == ["scan-form-usps.pdf"]
    assert desk.states()[-1] == "made"


def test_killed_while_the_source_answers_it_reads_what_became_of_the_form(desk: Desk) -> None:
    class Source:
        def __getattr__(self, name: str) -> Any:
            return getattr(desk.client, name)

        def make_form(self, quote_ids: Any, *, subject: str) -> None:
            desk.client.make_form(quote_ids, subject=subject)
            raise Killed

    ids = [desk.buy(), desk.buy()]
    desk.account.shows_forms = "shipment"
    with pytest.raises(Killed):
        desk.make(client=Source())
    assert desk.states() == ["sent"]
    desk.make()
    assert desk.on_forms() == [ids]
    assert (desk.states(), desk.files()) == (["made"], ["scan-form-usps.pdf"])


def test_a_form_that_is_still_being_made_is_fetched_by_a_later_run(desk: Desk) -> None:
    desk.buy()
    desk.account.form_is_slow, desk.account.shows_forms = True, "shipment"
    _maker, told = desk.make()
    assert [line.cause for line in told.of("skipped")] == ["document_not_ready"]
    assert desk.files() == []
    desk.make()
    assert desk.files() == ["scan-form-usps.pdf"]
    assert desk.account.calls["scan_form"] == 1


def test_a_source_that_is_out_of_reach_stops_the_run_and_the_next_one_makes_the_form(desk: Desk) -> None:
    package = desk.buy()
    with HttpClient() as http:
        pace = Pace(start_rate=1000, max_rate=1000)
        quick = RetryPolicy(attempts=2, first_wait_s=0.001)
        away = EasyPost(Secret("EZAKfake"), "http://127.0.0.1:9/v2", http, pace, retries=quick)
        with pytest.raises(ChannelDown):
            desk.make(client=away)
    assert desk.states() == ["failed"]
    desk.make()
    assert desk.on_forms() == [[package]]


def test_a_parcel_that_the_form_does_not_name_is_told(desk: Desk) -> None:
    package = desk.buy()
    desk.store.execute("UPDATE labels SET tracking_number = '9400100000000000000009'")
    _maker, told = desk.make()
    assert [text for text in told.warnings if package in text]


def test_voiding_a_label_that_is_on_a_form_says_so(desk: Desk) -> None:
    package = desk.buy()
    desk.make()
    told = Told()
    desk.store.execute("UPDATE labels SET bought_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')")
    void_labels(desk.store, lambda name: desk.client, told, [package], dry_run=False, even_if_told=False)
    assert [text for text in told.warnings if "scan form" in text]


def test_forms_hold_at_most_so_many_labels_and_input_order_plays_no_part() -> None:
    usps, ups = FormKey("easypost", "usps", "2026-11-18", None), FormKey("easypost", "ups", "2026-11-18", None)
    labels = [(usps, 5), (usps, 1), (ups, 2), (usps, 3), (usps, 4)]
    assert plan_forms(labels, most=3) == [(ups, [2]), (usps, [1, 3, 4]), (usps, [5])]
    assert plan_forms(reversed(labels), most=3) == plan_forms(labels, most=3)
    assert plan_forms([]) == []
