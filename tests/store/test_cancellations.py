"""Cancellations as facts: the newest word counts, units learn what is said of them, answers in doubt are settled."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_erp.store import outbox
from tiktok_erp.store.cancellations import (
    load_labels_of,
    load_order_cancellations,
    load_orders_to_ask_about,
    load_pending,
    place_restocking,
    save_cancellations,
)
from tiktok_erp.store.database import Store, utc_now

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT = "2026-11-18T12:00:00Z"
PENDING, DONE, TURNED_DOWN = (
    "CANCELLATION_REQUEST_PENDING",
    "CANCELLATION_REQUEST_COMPLETE",
    "CANCELLATION_REQUEST_CANCEL",
)


def told(cancel_id: str = "40", status: str = PENDING, minutes: int | None = 0, **values: Any) -> dict[str, Any]:
    return {
        "channel": "tiktok",
        "cancel_id": cancel_id,
        "order_id": "tiktok:1",
        "kind": "BUYER_CANCEL",
        "status": status,
        "is_pending": status == PENDING,
        "role": "BUYER",
        "reason": "no_longer_needed",
        "created_at": NOW,
        "updated_at": None if minutes is None else NOW + timedelta(minutes=minutes),
        "should_restock": True,
        "channel_unit_ids": ("11",),
    } | values


def save(store: Store, *rows: dict[str, Any], fetched_at: datetime | None = None) -> None:
    with store.transaction():
        save_cancellations(store, rows, fetched_at or utc_now())


def order(rows: Any, state: str = "cancelled", **values: Any) -> None:
    rows.order()
    for number in (1, 2):
        rows.add(
            "units", unit_id=f"tiktok:1{number}", channel_unit_id=f"1{number}", position=number, state=state, **values
        )


def restocked(store: Store) -> list[tuple[Any, ...]]:
    rows = store.query("SELECT should_restock, cancelled_by, cancel_reason FROM units ORDER BY position")
    return [tuple(row) for row in rows]


SAID = (1, "BUYER", "no_longer_needed")
NOTHING = (None, None, None)


def test_a_cancellation_may_come_before_its_order(store: Store) -> None:
    save(store, told())
    (row,) = load_order_cancellations(store, "tiktok:1")
    assert (row["status"], row["is_pending"], row["should_restock"]) == (PENDING, 1, 1)


@pytest.mark.parametrize("versions", list(itertools.permutations([(PENDING, 0), (DONE, 5), (PENDING, 2)])))
def test_the_newest_word_counts_in_whatever_order_the_pages_come(store: Store, versions: Any) -> None:
    for status, minutes in versions:
        save(store, told(status=status, minutes=minutes))
    assert store.scalar("SELECT status FROM cancellations") == DONE


@pytest.mark.parametrize("minutes", [0, None])
def test_what_is_over_never_waits_again_for_an_answer(store: Store, minutes: int | None) -> None:
    save(store, told(status=DONE, minutes=minutes))
    save(store, told(status=PENDING, minutes=minutes))
    assert store.scalar("SELECT status FROM cancellations") == DONE


def test_only_the_units_it_names_learn_what_it_says(store: Store, rows: Any) -> None:
    order(rows)
    save(store, told(status=DONE))
    assert restocked(store) == [SAID, NOTHING]


def test_a_cancellation_that_names_no_units_speaks_of_all(store: Store, rows: Any) -> None:
    order(rows)
    save(store, told(status=DONE, channel_unit_ids=()))
    assert restocked(store) == [SAID, SAID]


@pytest.mark.parametrize("status", [PENDING, TURNED_DOWN, "BRAND_NEW"])
def test_a_request_that_took_no_effect_says_nothing_of_units(store: Store, rows: Any, status: str) -> None:
    order(rows)
    save(store, told(status=status))
    assert restocked(store) == [NOTHING, NOTHING]


def test_units_that_are_not_cancelled_learn_nothing(store: Store, rows: Any) -> None:
    order(rows, "open")
    save(store, told(status=DONE))
    assert restocked(store) == [NOTHING, NOTHING]


def test_an_order_that_comes_after_its_cancellation_learns_of_it(store: Store, rows: Any) -> None:
    save(store, told(status=DONE))
    order(rows)
    with store.transaction():
        place_restocking(store)
    assert restocked(store) == [SAID, NOTHING]


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_cancellations_of_a_unit_the_latest_that_took_effect_counts(
    store: Store, rows: Any, turned: bool
) -> None:
    order(rows)
    page = [
        told("40", TURNED_DOWN, 9, should_restock=True),
        told("41", DONE, 5, should_restock=False, role="SELLER", reason="out_of_stock"),
        told("42", DONE, 1, should_restock=True),
    ]
    save(store, *(reversed(page) if turned else page))
    assert restocked(store)[0] == (0, "SELLER", "out_of_stock")


def test_saving_the_same_again_touches_no_unit(store: Store, rows: Any) -> None:
    order(rows)
    page = [told("40", DONE, 5, should_restock=False), told("41", DONE, 1)]
    save(store, *page)
    changes = store.scalar("SELECT total_changes()")
    with store.transaction():
        place_restocking(store, ["tiktok:1"])
        place_restocking(store)
    assert store.scalar("SELECT total_changes()") == changes


def test_what_the_order_itself_said_stays_and_what_is_not_told_wipes_nothing_out(store: Store, rows: Any) -> None:
    order(rows, cancelled_by="SYSTEM", should_restock=0)
    save(store, told(status=DONE, should_restock=None))
    assert restocked(store)[0] == (0, "SYSTEM", "no_longer_needed")


def test_open_orders_whose_request_is_not_known_are_asked_about(store: Store, rows: Any) -> None:
    rows.order(1, cancel_requested=1)
    rows.order(2, cancel_requested=1)
    rows.order(3)
    rows.order(4, cancel_requested=1, is_open=0, base_state="closed")
    save(store, told(), told("41", TURNED_DOWN, order_id="tiktok:2"))
    assert load_orders_to_ask_about(store, "tiktok") == ["2"]
    assert load_orders_to_ask_about(store, "ebay") == []


def test_requests_that_wait_come_the_most_urgent_first(store: Store) -> None:
    save(
        store,
        told("40", answer_by=NOW + timedelta(hours=9)),
        told("41", answer_by=None),
        told("42", answer_by=NOW + timedelta(hours=3)),
        told("43", DONE, answer_by=NOW),
    )
    assert [row["cancel_id"] for row in load_pending(store, ["tiktok:1", "tiktok:2"])] == ["42", "40", "41"]


# Answers


def sent(store: Store, answer: str, state: str, cancel_id: str = "40") -> int:
    with store.transaction():
        outbox_id = outbox.intend(
            store,
            kind="answer_cancel",
            subject="tiktok:1",
            idempotency_key=f"answer-cancel-{cancel_id}-{answer}",
            payload={"cancel_id": cancel_id, "answer": answer},
        )
        outbox.mark_sent(store, outbox_id)
        outbox.settle(store, outbox_id, state)
    return outbox_id


@pytest.mark.parametrize(
    ("answer", "state", "status", "becomes"),
    [
        ("approve", "sent", DONE, ("done", None)),
        ("approve", "unknown", "CANCELLATION_REQUEST_SUCCESS", ("done", None)),
        ("reject", "sent", TURNED_DOWN, ("done", None)),
        ("reject", "unknown", "CANCELLATION_REQUEST_CANCELLED", ("done", None)),
        ("reject", "sent", DONE, ("refused", DONE)),
        ("approve", "sent", TURNED_DOWN, ("refused", TURNED_DOWN)),
        ("approve", "sent", "BRAND_NEW", ("refused", "BRAND_NEW")),
        ("approve", "intent", TURNED_DOWN, ("dropped", TURNED_DOWN)),
        ("approve", "sent", PENDING, ("sent", None)),
        ("approve", "done", TURNED_DOWN, ("done", None)),
    ],
)
def test_an_answer_in_doubt_is_settled_by_how_its_request_ended(
    store: Store, answer: str, state: str, status: str, becomes: tuple[str, str | None]
) -> None:
    sent(store, answer, state)
    save(store, told(status=status))
    row = store.query_one("SELECT state, error_code, done_at FROM outbox")
    assert row is not None
    assert (row["state"], row["error_code"]) == becomes
    assert (row["done_at"] is None) == (becomes[0] == "sent")


def test_an_answer_to_another_request_stays_in_doubt(store: Store) -> None:
    sent(store, "approve", "sent", cancel_id="41")
    save(store, told(status=DONE))
    assert store.scalar("SELECT state FROM outbox") == "sent"
    assert [row["state"] for row in outbox.load_unsettled(store, "answer_cancel", ["tiktok:1"])] == ["sent"]
    assert outbox.load_unsettled(store, "answer_cancel", ["tiktok:2"]) == []


def test_labels_that_cost_money_are_found_and_intents_are_not(store: Store, rows: Any) -> None:
    rows.order(1)
    rows.order(2)
    rows.package(1, "tiktok:1", "tiktok:2")
    rows.package(2, "tiktok:1")
    rows.add("labels", package_id="P000001", state="bought", bought_at=AT, tracking_number="94")
    rows.add("labels", package_id="P000002")
    (label,) = load_labels_of(store, ["tiktok:1"])
    assert (label["package_id"], label["tracking_number"], label["orders"]) == ("P000001", "94", 2)


def test_unit_ids_are_kept_as_a_list(store: Store) -> None:
    save(store, told(channel_unit_ids=("11", "12")))
    assert json.loads(store.scalar("SELECT channel_unit_ids FROM cancellations")) == ["11", "12"]
