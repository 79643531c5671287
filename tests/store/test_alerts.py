"""The SQL about alerts and the facts behind them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.alerts import (
    adopt_alert,
    claim_alert,
    close_alert,
    count_due_orders,
    count_placed_orders,
    load_alerts,
    load_as_of_orders,
    load_decided_runs,
    load_open_alerts,
    load_unfinished_alerts,
    open_alert,
    save_delivery,
)
from tiktok_erp.store.database import Store

NOW = datetime(2026, 11, 21, 22, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def run(store: Store, minutes: int, exit_code: int | None, command: str = "sync") -> None:
    store.execute(
        "INSERT INTO runs (command, process_id, started_at, exit_code) VALUES (?, 1, ?, ?)",
        (command, to_text(NOW + minutes * MINUTE), exit_code),
    )


def codes(store: Store, fetched_at: datetime | None, limit: int = 9) -> list[int]:
    rows = load_decided_runs(store, successes=(0, 3), failures=(1, 6), fetched_at=fetched_at, limit=limit)
    return [row["exit_code"] for row in rows]


def add_order(store: Store, number: int, placed_at: datetime | None, **changes: object) -> None:
    values = {
        "order_id": f"tiktok:{number}",
        "channel": "tiktok",
        "channel_order_id": str(number),
        "status": "AWAITING_SHIPMENT",
        "base_state": "open",
        "is_open": 1,
        "placed_at": to_text(placed_at) if placed_at else None,
        "ship_by": to_text(NOW - MINUTE),
        "source": "api",
        "as_of": to_text(NOW),
        "first_seen_at": to_text(NOW),
        "synced_at": to_text(NOW),
        **changes,
    }
    store.insert(
        f"INSERT INTO orders ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
    )


def test_runs_without_a_decision_and_of_other_commands_are_left_out(store: Store) -> None:
    for minutes, code in enumerate([0, 6, None, 130, 2, 1]):
        run(store, minutes, code)
    run(store, 9, 6, "allocate")
    assert codes(store, NOW) == [1, 6, 0]
    assert codes(store, NOW, limit=2) == [1, 6]


def test_a_run_that_worked_after_the_last_fetch_took_over_a_file(store: Store) -> None:
    run(store, 0, 0)
    run(store, 1, 6)
    run(store, 2, 0)
    assert codes(store, NOW) == [6, 0]
    assert codes(store, NOW + 2 * MINUTE) == [0, 6, 0]
    assert codes(store, None) == [6]


def test_the_ages_of_fetched_and_imported_orders_are_apart(store: Store) -> None:
    assert load_as_of_orders(store) == (None, None)
    store.execute("INSERT INTO cursors VALUES ('tiktok', 'orders_file', NULL, ?)", (to_text(NOW),))
    store.execute("INSERT INTO cursors VALUES ('tiktok', 'listings', NULL, ?)", (to_text(NOW + MINUTE),))
    assert load_as_of_orders(store) == (None, NOW)


def test_orders_count_by_when_they_were_placed_or_else_first_seen(store: Store) -> None:
    add_order(store, 1, NOW - 59 * MINUTE)
    add_order(store, 2, NOW - 61 * MINUTE)
    add_order(store, 3, None)
    assert count_placed_orders(store, NOW - 60 * MINUTE, NOW) == 2


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"base_state": "held"}, 0),
        ({"is_open": 0, "base_state": "closed"}, 0),
        ({"fulfillment_type": "FULFILLMENT_BY_TIKTOK"}, 0),
        ({"ship_by": "2026-11-21T22:10:00Z"}, 0),
        ({"ship_by": None}, 0),
    ],
)
def test_orders_that_must_leave_today_are_those_that_we_ship(
    store: Store, changes: dict[str, object], count: int
) -> None:
    add_order(store, 1, NOW, **changes)
    assert count_due_orders(store, NOW) == count


def test_one_alert_of_a_kind_is_open_at_a_time(store: Store) -> None:
    open_alert(store, "sync_failing", "{}", NOW)
    open_alert(store, "sync_failing", "{}", NOW + MINUTE)
    open_alert(store, "sync_stale", "{}", NOW)
    assert {kind: row["opened_at"] for kind, row in load_open_alerts(store).items()} == {
        "sync_failing": to_text(NOW),
        "sync_stale": to_text(NOW),
    }
    close_alert(store, "sync_failing", NOW + MINUTE)
    open_alert(store, "sync_failing", "{}", NOW + 2 * MINUTE)
    assert [row["kind"] for row in load_alerts(store, 9)] == ["sync_failing", "sync_stale", "sync_failing"]


def test_an_alert_is_unfinished_until_those_who_heard_of_it_heard_of_its_end(store: Store) -> None:
    open_alert(store, "sync_failing", "{}", NOW)
    (row,) = load_unfinished_alerts(store)
    claim_alert(store, row["alert_id"], NOW, is_clear=False)
    close_alert(store, "sync_failing", NOW)
    (row,) = load_unfinished_alerts(store)
    assert row["claimed_at"] == to_text(NOW)
    times = {"claimed_at": NOW, "sent_at": NOW, "clear_claimed_at": NOW, "clear_sent_at": NOW}
    save_delivery(store, row["alert_id"], "{}", times)
    assert load_unfinished_alerts(store) == []


def test_an_alert_that_reached_nobody_is_finished_when_it_closes(store: Store) -> None:
    open_alert(store, "sync_failing", "{}", NOW)
    close_alert(store, "sync_failing", NOW)
    assert load_unfinished_alerts(store) == []


def test_an_alert_from_outside_is_adopted_once(store: Store) -> None:
    for _number in range(2):
        adopt_alert(store, "sync_stale", "{}", NOW, NOW)
    close_alert(store, "sync_stale", NOW)
    adopt_alert(store, "sync_stale", "{}", NOW, NOW)
    (row,) = load_alerts(store, 9)
    assert row["sent_at"] == to_text(NOW)
