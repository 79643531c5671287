"""Scan forms: every parcel on one form and no more, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.labels.desk import Desk, Told
from tiktok_erp.carriers.easypost import EasyPost
from tiktok_erp.errors import ChannelDown
from tiktok_erp.labels.plan import FormKey, plan_forms
from tiktok_erp.labels.scan_forms import FormMaker, FormOptions
from tiktok_erp.labels.void import void_labels
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.store.database import Store
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy


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


def make(
    desk: Desk, *package_ids: str, store: Any = None, client: Any = None, **options: Any
) -> tuple[FormMaker, Told]:
    """Run once; no ids are everything due."""
    told = Told()
    maker = FormMaker(
        store or desk.store,
        lambda name: client or desk.client,
        Rules(),
        told,
        FormOptions(desk.out, **options),
        run_id=None,
    )
    maker.run(list(package_ids) or None, lambda forms, parcels: True)
    return maker, told


def test_all_parcels_of_a_carrier_and_day_are_on_one_form_whose_file_is_written(desk: Desk) -> None:
    ids = [desk.buy() for number in range(3)]
    maker, told = make(desk)
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
    make(desk)
    calls = dict(desk.account.calls)
    _maker, told = make(desk)
    assert (desk.account.calls, told.items) == (calls, [])
    second = desk.buy()
    make(desk)
    assert desk.on_forms() == [[first], [second]]


def test_days_and_senders_have_forms_of_their_own_in_one_file_a_carrier(desk: Desk) -> None:
    monday, tuesday = desk.buy(), desk.buy(bought_at="2026-11-19T18:00:00Z")
    late = desk.buy(bought_at="2026-11-20T02:00:00Z")  # still the 19th in Los Angeles
    elsewhere = desk.buy(ship_from="east")
    make(desk)
    assert desk.on_forms() == [[monday], [elsewhere], [tuesday, late]]
    assert desk.files() == ["scan-form-usps.pdf"]


def test_a_carrier_without_forms_is_told_and_the_others_go_on(desk: Desk) -> None:
    ups, usps = desk.buy("ups"), desk.buy()
    maker, told = make(desk)
    (failure,) = told.of("failed")
    assert (failure.fields["carrier"], failure.cause, failure.fields["package_ids"]) == ("ups", "refused", [ups])
    assert desk.on_forms() == [[usps]]
    assert (maker.count.made, maker.count.failed) == (1, 1)


def test_what_was_refused_is_asked_for_again_only_by_name(desk: Desk) -> None:
    ups = desk.buy("ups")
    make(desk)
    maker, told = make(desk)
    assert (maker.count.refused_before, told.items) == (1, [])
    make(desk, ups)
    assert desk.account.calls["scan_form"] == 2


def test_a_carrier_that_was_not_meant_is_left_alone(desk: Desk) -> None:
    desk.buy("ups")
    usps = desk.buy()
    _maker, told = make(desk, carrier="usps")
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
    _maker, told = make(desk)
    assert told.items == []
    _maker, told = make(desk, package)
    assert [outcome.cause for outcome in told.of("skipped")] == [cause]
    assert desk.account.forms == []
    assert desk.states() == []


def test_only_named_packages_are_put_on_a_form_and_naming_them_again_writes_its_document_again(desk: Desk) -> None:
    named, other = desk.buy(), desk.buy()
    make(desk, named)
    (desk.out / "scan-form-usps.pdf").unlink()
    make(desk, named)
    assert desk.on_forms() == [[named]]
    assert desk.files() == ["scan-form-usps.pdf"]
    assert desk.account.calls["form_file"] == 1
    make(desk)
    assert desk.on_forms() == [[named], [other]]


def test_a_dry_run_asks_nobody_and_writes_nothing(desk: Desk) -> None:
    package = desk.buy()
    calls = dict(desk.account.calls)
    _maker, told = make(desk, dry_run=True)
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
    maker, told = make(desk)
    assert (maker.count.made, maker.count.unknown, told.of("failed")) == (1, 0, [])
    assert desk.on_forms() == [[package]]
    assert desk.files() == ["scan-form-usps.pdf"]


@pytest.mark.parametrize("fault", ["drop_after_form", "drop_before_form"])
def test_where_the_source_does_not_tell_no_second_form_is_asked_for_until_a_person_says_so(
    desk: Desk, fault: str
) -> None:
    desk.buy()
    desk.account.script = [fault]
    _maker, told = make(desk)
    (failure,) = told.of("failed")
    assert failure.cause == "outcome_unknown"
    assert "--again" in (failure.next_step or "")
    _maker, told = make(desk)
    assert (told.of("failed"), [line.cause for line in told.of("skipped")]) == ([], ["outcome_unknown"])
    assert told.warnings
    assert desk.states() == ["unknown"]
    assert desk.account.calls["scan_form"] == 1
    desk.account.forms.clear()  # the person saw that there is none, or threw it away
    make(desk, again=True)
    assert desk.states() == ["failed", "made"]
    assert desk.files() == ["scan-form-usps.pdf"]


def test_asking_again_asks_first_whether_the_source_tells_by_now(desk: Desk) -> None:
    desk.buy()
    desk.account.script = ["drop_after_form"]
    make(desk)
    for shipment in desk.account.shipments.values():
        shipment["scan_form"] = desk.account.scan_forms[0]
    make(desk, again=True)
    assert (desk.states(), desk.account.calls["scan_form"]) == (["made"], 1)


def test_asking_again_for_one_package_leaves_the_other_forms_in_doubt(desk: Desk) -> None:
    first, _second = desk.buy(), desk.buy(bought_at="2026-11-19T18:00:00Z")
    desk.account.faults = {"drop_before_form": 1.0}
    make(desk)
    desk.account.faults = {}
    make(desk, first, again=True)
    assert desk.states() == ["failed", "unknown", "made"]
    assert desk.on_forms() == [[first]]


def test_a_form_of_other_parcels_is_not_taken_for_ours(desk: Desk) -> None:
    desk.buy()
    desk.account.script = ["drop_before_form"]
    make(desk)
    for shipment in desk.account.shipments.values():
        shipment["scan_form"] = {"id": "sf_9", "tracking_codes": ["9400100000000000000009"], "form_url": None}
    make(desk)
    assert desk.states() == ["unknown"]


@pytest.mark.parametrize("commits", range(1, 6))
@pytest.mark.parametrize("shows", ["shipment", "nowhere"])
def test_killed_after_any_write_it_never_asks_for_a_second_form(desk: Desk, commits: int, shows: str) -> None:
    ids = [desk.buy(), desk.buy()]
    desk.account.shows_forms = shows
    with pytest.raises(Killed):
        make(desk, store=Dying(desk.store, commits))
    make(desk)
    if desk.states()[-1] == "unknown":  # killed between the note that it leaves and its leaving
        assert (commits, desk.account.forms) == (2, [])
        make(desk, again=True)
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
        make(desk, client=Source())
    assert desk.states() == ["sent"]
    make(desk)
    assert desk.on_forms() == [ids]
    assert (desk.states(), desk.files()) == (["made"], ["scan-form-usps.pdf"])


def test_a_form_that_is_still_being_made_is_fetched_by_a_later_run(desk: Desk) -> None:
    desk.buy()
    desk.account.form_is_slow, desk.account.shows_forms = True, "shipment"
    _maker, told = make(desk)
    assert [line.cause for line in told.of("skipped")] == ["document_not_ready"]
    assert desk.files() == []
    make(desk)
    assert desk.files() == ["scan-form-usps.pdf"]
    assert desk.account.calls["scan_form"] == 1


def test_a_source_that_is_out_of_reach_stops_the_run_and_the_next_one_makes_the_form(desk: Desk) -> None:
    package = desk.buy()
    with HttpClient() as http:
        pace = Pace(start_rate=1000, max_rate=1000)
        quick = RetryPolicy(attempts=2, first_wait_s=0.001)
        away = EasyPost(Secret("EZAKfake"), "http://127.0.0.1:9/v2", http, pace, retries=quick)
        with pytest.raises(ChannelDown):
            make(desk, client=away)
    assert desk.states() == ["failed"]
    make(desk)
    assert desk.on_forms() == [[package]]


def test_a_parcel_that_the_form_does_not_name_is_told(desk: Desk) -> None:
    package = desk.buy()
    desk.store.execute("UPDATE labels SET tracking_number = '9400100000000000000009'")
    _maker, told = make(desk)
    assert [text for text in told.warnings if package in text]


def test_voiding_a_label_that_is_on_a_form_says_so(desk: Desk) -> None:
    package = desk.buy()
    make(desk)
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
