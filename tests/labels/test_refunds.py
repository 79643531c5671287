"""What becomes of the money of labels that were taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.labels.desk import Desk, Told
from tiktok_erp.labels.refunds import RefundCount, follow_refunds
from tiktok_erp.labels.void import void_labels
from tiktok_erp.store.quarantine import load_cases


@pytest.fixture
def voided(desk: Desk) -> str:
    """A package whose label was taken back two days ago."""
    package = desk.buy()
    desk.store.execute("UPDATE labels SET bought_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')")
    void_labels(desk.store, lambda name: desk.client, Told(), [package], dry_run=False, even_if_told=False)
    age(desk)
    return package


def age(desk: Desk, hours: int = 48) -> None:
    """Let the last question be so long ago."""
    desk.store.execute(
        "UPDATE labels SET refund_read_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)", (f"-{hours} hours",)
    )


def follow(desk: Desk, **options: Any) -> tuple[RefundCount, Told]:
    told = Told()
    return follow_refunds(desk.store, lambda name: desk.client, told, run_id=None, **options), told


def status(desk: Desk) -> list[str]:
    return [row["refund_status"] for row in desk.store.query("SELECT refund_status FROM v_labels ORDER BY label_id")]


def test_a_refund_that_is_open_stays_open_and_is_asked_about_once_an_hour(desk: Desk, voided: str) -> None:
    count, told = follow(desk)
    assert (count, told.items, told.warnings) == (RefundCount(asked=1, open=1), [], [])
    assert follow(desk)[0] == RefundCount(asked=0, open=1)
    age(desk, hours=2)
    assert follow(desk)[0].asked == 1
    assert desk.account.calls["refund"] == 1


def test_nobody_asks_again_just_after_it_was_asked_for(desk: Desk) -> None:
    package = desk.buy()
    desk.store.execute("UPDATE labels SET bought_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')")
    void_labels(desk.store, lambda name: desk.client, Told(), [package], dry_run=False, even_if_told=False)
    assert follow(desk)[0] == RefundCount(asked=0, open=1)


def test_a_granted_refund_is_told_once(desk: Desk, voided: str) -> None:
    desk.account.refund_word = "refunded"
    count, told = follow(desk)
    assert (count.refunded, count.open) == (1, 0)
    (line,) = told.items
    assert (line.kind, line.result, line.ids["package_id"]) == ("label", "done", voided)
    assert "4.20 USD" in (line.text or "")
    age(desk)
    assert follow(desk)[0] == RefundCount()
    assert status(desk) == ["refunded"]


@pytest.mark.parametrize("word", ["rejected", "not_applicable"])
def test_a_refused_refund_is_a_case_that_does_not_hold_up_the_package(desk: Desk, voided: str, word: str) -> None:
    desk.account.refund_word = word
    count, told = follow(desk)
    assert (count.rejected, count.open) == (1, 0)
    (line,) = told.items
    assert (line.result, line.cause, line.is_new) == ("failed", "refund_rejected", True)
    (case,) = load_cases(desk.store)
    assert (case["cause"], case["package_id"], case["order_id"]) == ("refund_rejected", None, "tiktok:1")
    assert voided in case["detail"] and "4.20 USD" in case["detail"]
    assert voided in case["next_step"]
    state = desk.store.scalar("SELECT state FROM v_packages WHERE package_id = ?", (voided,))
    assert state != "quarantined"
    age(desk)
    assert follow(desk)[0] == RefundCount()


def test_a_word_that_nobody_knows_is_told_and_asked_about_again(desk: Desk, voided: str) -> None:
    desk.account.refund_word = "in_review"
    count, told = follow(desk)
    assert (count.asked, count.open, status(desk)) == (1, 1, ["in_review"])
    assert "in_review" in told.warnings[0]
    age(desk)
    assert follow(desk)[0].asked == 1
    assert load_cases(desk.store) == []


def test_in_passing_a_few_are_asked_about_the_longest_unasked_first(desk: Desk) -> None:
    packages = [desk.buy() for number in range(3)]
    desk.store.execute("UPDATE labels SET bought_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')")
    void_labels(desk.store, lambda name: desk.client, Told(), packages, dry_run=False, even_if_told=False)
    age(desk)
    desk.store.execute("UPDATE labels SET refund_read_at = '2026-11-01T00:00:00Z' WHERE package_id = ?", (packages[2],))
    count, _told = follow(desk, not_asked_for=timedelta(days=1), at_most=1)
    assert (count.asked, count.open) == (1, 3)
    asked = desk.store.query("SELECT package_id FROM labels ORDER BY refund_read_at DESC LIMIT 1")
    assert [row["package_id"] for row in asked] == [packages[2]]


def test_a_shipment_that_the_source_does_not_show_leaves_the_refund_open(desk: Desk, voided: str) -> None:
    desk.account.shipments.clear()
    count, told = follow(desk)
    assert (count, status(desk), told.items) == (RefundCount(asked=1, open=1), ["submitted"], [])


def test_labels_that_were_bought_elsewhere_are_asked_about_nowhere(desk: Desk) -> None:
    package = desk.buy()
    desk.store.execute("UPDATE labels SET source = 'file'")
    void_labels(desk.store, lambda name: desk.client, Told(), [package], dry_run=False, even_if_told=False)
    age(desk)
    assert follow(desk)[0] == RefundCount()
