"""Tracking numbers of own labels: a queue that outlasts an outage, batches, corrections, `undo`, and the story of an order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stamina

from tests.handover.seller_center import SellerCenter
from tiktok_erp.simulator.numbers import usps_number

OUTAGE = {"TIKTOK_SHOP_API_URL": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, simulated: Callable[..., Any]) -> Iterator[Any]:
    """A shop of Seller Shipping whose labels are held and whose carriers the channel told."""
    with simulated(tmp_path_factory.mktemp("held"), orders=40, seed=9, carrier="seller") as shop:
        shop.allocated()
        shop.write_tracking_list()
        shop.call("print-labels", "--from", "tracking.csv", "--quiet")
        yield shop


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, simulated: Callable[..., Any]) -> Iterator[Any]:
    """A shop of Seller Shipping whose numbers are all told. Who corrects one or has one scanned leaves it at that one."""
    with simulated(tmp_path_factory.mktemp("told"), orders=40, seed=9, carrier="seller") as shop:
        shop.allocated()
        shop.write_tracking_list()
        shop.call("print-labels", "--from", "tracking.csv", "--quiet")
        shop.call("upload-tracking", "--quiet")
        yield shop


def queued(shop: Any) -> list[str]:
    return shop.folder.column("SELECT subject FROM outbox WHERE state = 'intent' ORDER BY outbox_id")


def shipments(shop: Any) -> int:
    return len(shop.ledger()["shipments"])


def test_the_life_of_a_queue(held: Any) -> None:
    """One test, since each step needs the one before: an outage, a cancelled order, an undone run, a correction."""
    plan = held.call("upload-tracking", "--plan", "--json")
    planned = plan.of("package", result="planned")
    assert {line["call"] for line in planned} == {"mark_shipped"}
    assert (shipments(held), queued(held)) == (0, [])

    with stamina.set_testing(True, attempts=6):  # without the waits between the tries
        down = held.call("upload-tracking", environment=OUTAGE, expect=6)
    waiting = queued(held)
    assert len(waiting) == len(planned) > 10
    assert f"{len(waiting)} numbers wait in the queue" in down.stderr
    by_deadline = held.folder.column(
        "SELECT order_id FROM orders WHERE order_id IN (SELECT subject FROM outbox) ORDER BY ship_by IS NULL, ship_by, order_id"
    )
    assert waiting == by_deadline
    status = held.call("status", "--json").of("status")[0]
    assert status["queued"] == len(waiting)
    assert datetime.fromisoformat(status["queued_since"]) <= datetime.now(UTC)

    gone = waiting[-1].partition(":")[2]
    order = held.simulator.shop.orders[gone]
    now = int(datetime.now(UTC).timestamp())
    held.simulator.shop.cancel(order, order.live_units, role="BUYER", reason="changed mind", at=now)
    run_id = held.folder.value("SELECT max(run_id) FROM runs WHERE command = 'upload-tracking'")
    first = waiting[0]
    held.call("upload-tracking", first, "--quiet")
    assert shipments(held) == 1
    undone = held.call("undo", str(run_id), "--json", expect=3)
    assert len(undone.of("upload", result="done")) == len(waiting) - 1
    assert [line["order_id"] for line in undone.of("upload", result="failed", cause="told")] == [first]
    assert held.call("undo", str(run_id), "--json", expect=3).of("upload", result="done") == []

    left = held.call("upload-tracking", "--json")
    assert (shipments(held), len(left.of("package", result="skipped", cause="undone"))) == (1, len(waiting) - 1)
    told = held.call("upload-tracking", "-", "--json", stdin="\n".join(waiting), expect=3)
    assert shipments(held) == len(waiting) - 1
    assert [line["order_id"] for line in told.of("package", result="failed", cause="order_cancelled")] == [waiting[-1]]
    assert told.summary["proven"] == told.summary["told"] == len(waiting) - 2
    assert queued(held) == []
    assert held.ledger()["violations"] == []


def test_a_number_is_corrected_once_and_the_story_is_told_without_the_buyer(told: Any) -> None:
    first = told.folder.value("SELECT subject FROM outbox WHERE state = 'done' ORDER BY outbox_id LIMIT 1")
    number = usps_number(7_700_001)
    told.call("upload-tracking", "--correct", first, number, "--dry-run")
    assert told.ledger().get("tracking_updates", []) == []
    told.call("upload-tracking", "--correct", first, number)
    again = told.call("upload-tracking", "--correct", first, number, "--json")
    assert again.lines[0]["cause"] == "already_told"
    twice = told.call("upload-tracking", "--correct", first, usps_number(7_700_002), "--json", expect=3)
    assert twice.lines[0]["cause"] == "corrected_before"
    assert [entry["tracking_number"] for entry in told.ledger()["tracking_updates"]] == [number]
    assert told.disagreements() != []  # the first shipment's number is history in the shop's book
    assert told.folder.value("SELECT max(tracking_number) FROM units WHERE order_id = ?", first) == number

    story = told.call("orders", "evidence", first, "--json").of("evidence")
    words = [line["what"] for line in story]
    for earlier, later in (("placed", "package_planned"), ("label_held", "call_sent"), ("call_sent", "call_answered")):
        assert words.index(earlier) < words.index(later)
    answered = [line["request_id"] for line in story if line["what"] == "call_answered"]
    books = [entry["request_id"] for kind in ("shipments", "tracking_updates") for entry in told.ledger()[kind]]
    assert len(answered) == 2
    assert set(answered) <= set(books)
    told.call("orders", "evidence", first, "--offline")  # as text; the folder looks for what is private


def test_what_is_told_and_not_scanned_is_listed_until_the_carrier_has_it(told: Any) -> None:
    listed = told.call("orders", "list", "--not-scanned", "--json").of("package")
    assert len(listed) > 10
    assert all(line["hours_left"] > 0 and line["scan_by_source"] == "channel" for line in listed)
    package = told.simulator.shop.packages[listed[0]["channel_package_id"]]
    told.simulator.shop.collect(package, int(datetime.now(UTC).timestamp()) - 2)
    told.call("upload-tracking", "--follow")
    after = told.call("orders", "list", "--not-scanned", "--json").of("package")
    assert [line["package_id"] for line in after] == [line["package_id"] for line in listed[1:]]
    assert told.folder.value("SELECT scanned_at FROM packages WHERE package_id = ?", listed[0]["package_id"])


def test_packages_that_wait_on_the_channel_are_told_in_batches(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=40, seed=3, mode="packages-first", carrier="seller")
    shop.allocated()
    shop.write_tracking_list()
    shop.call("print-labels", "--from", "tracking.csv", "--quiet")
    told = shop.call("upload-tracking", "--json").summary
    assert (told["told"], told["failed"], told["waiting"]) == (shipments(shop), 0, 0)
    assert 10 < told["told"] <= told["proven"] + 1
    calls = shop.ledger()["calls"]
    batches = {name: count for name, count in calls.items() if name.endswith("/packages/ship")}
    assert sum(batches.values()) == -(-told["told"] // 20)
    assert shop.disagreements() == []


def test_an_answer_that_is_lost_is_settled_by_reading_the_order(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=30, seed=5, carrier="seller", faults="shipment_answer_lost:0.3,internal_error:0.05")
    shop.allocated()
    shop.write_tracking_list()
    shop.call("print-labels", "--from", "tracking.csv", "--quiet")
    shop.call("upload-tracking", "--quiet")
    assert shop.disagreements() == []
    assert shop.shipped() == shop.due()


def test_what_a_person_told_with_another_number_is_a_case_and_waits_no_longer(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=12, seed=5, carrier="seller")
    shop.allocated()
    order_id, *others = shop.write_tracking_list()
    shop.call("print-labels", "--from", "tracking.csv", "--quiet")
    assert SellerCenter(shop.simulator).tell(order_id, usps_number(7_700_003), "USPS") == ""
    told = shop.call("upload-tracking", "--json", expect=3)
    assert (told.summary["told"], told.summary["waiting"]) == (len(others), 0)
    assert shop.folder.column("SELECT cause FROM v_quarantine") == ["other_tracking_number"]
    writes = shop.ledger()["writes"]
    shop.call("upload-tracking", "--quiet")
    assert (shop.ledger()["writes"], queued(shop)) == (writes, [])
    shop.call("upload-tracking", "--correct", order_id, usps_number(7_700_004), "--quiet")
    assert shop.folder.column("SELECT cause FROM v_quarantine") == []


def test_reservations_labels_and_carriers_of_a_run_are_taken_back(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=30, seed=5)
    shop.call("sync", "--quiet")
    shop.call("stock", "import", "--from-channel", "tiktok", "--quiet")
    shop.call("run", "--quiet")
    run_id = shop.folder.value("SELECT run_id FROM runs WHERE command = 'run'")
    seen = shop.call("undo", str(run_id), "--dry-run", "--json", expect=(0, 3))
    assert seen.summary["planned"] > 0
    bought = len(shop.ledger()["purchases"])
    undone = shop.call("undo", str(run_id), "--json", expect=3)
    platform = undone.of("package", result="failed", cause="platform_label")
    assert len(platform) == bought
    assert all("Seller Center" in line["next_step"] for line in platform)
    assert undone.of("push", cause="pushed")
    labelled = "SELECT package_id FROM labels WHERE state = 'bought'"
    assert (
        shop.folder.value(
            f"SELECT count(*) FROM packages WHERE allocated_at IS NOT NULL AND package_id NOT IN ({labelled})"
        )
        == 0
    )
    assert shop.folder.column(
        f"SELECT unit_id FROM reservations JOIN units USING (unit_id) WHERE reservations.state = 'held'"
        f" AND package_id NOT IN ({labelled})"
    ) == []  # fmt: skip
    assert json.loads(shop.call("undo", "1", "--json", expect=3).stdout.splitlines()[0])["cause"] == "not_undoable"
    assert f"{run_id} (run)" in shop.call("undo", "9999", expect=2).stderr, "whoever mistypes sees what can be undone"
    shop.call("check")
