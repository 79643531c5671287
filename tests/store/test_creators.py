"""Which units a creator sold: as many as the commission says, once, whatever comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiktok_erp.store.creators import load_commissions, place_creators, save_commissions
from tiktok_erp.store.database import Store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def earned(creator: str = "glow.example", quantity: int = 1, **values: Any) -> dict[str, Any]:
    return {
        "channel": "tiktok",
        "order_id": "tiktok:1",
        "channel_sku_id": "1729",
        "creator": creator,
        "content_type": "LIVE",
        "content_id": "7",
        "quantity": quantity,
        "commission_rate_bp": 1550,
        "estimated_commission_minor": 310,
        "currency": "USD",
    } | values


def order(rows: Any, units: int = 2, **values: Any) -> None:
    rows.order()
    for number in range(1, units + 1):
        rows.add("units", unit_id=f"tiktok:1{number}", channel_unit_id=f"1{number}", position=number, **values)


def save(store: Store, *rows: dict[str, Any]) -> int:
    with store.transaction():
        save_commissions(store, rows, NOW)
        return place_creators(store)


def sold(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.query("SELECT creator, content_type, content_id FROM units ORDER BY position")]


GLOW = ("glow.example", "LIVE", "7")
NOBODY = (None, None, None)


def test_a_creator_gets_as_many_units_as_the_row_says(store: Store, rows: Any) -> None:
    order(rows, 3)
    save(store, earned(quantity=2))
    assert sold(store) == [GLOW, GLOW, NOBODY]


def test_several_creators_share_the_units_of_one_sku(store: Store, rows: Any) -> None:
    order(rows, 4)
    save(store, earned(quantity=2), earned("duo.example", 1, content_type="VIDEO", content_id="9"))
    assert sold(store) == [("duo.example", "VIDEO", "9"), GLOW, GLOW, NOBODY]
    assert store.scalar("SELECT creator FROM v_orders") == "several"


def test_one_creator_with_several_contents_has_a_unit_for_each(store: Store, rows: Any) -> None:
    order(rows, 3)
    save(store, earned(), earned(content_id="8"), earned(content_type="VIDEO", content_id="8"))
    assert sold(store) == [GLOW, ("glow.example", "LIVE", "8"), ("glow.example", "VIDEO", "8")]


def test_a_commission_waits_for_its_order(store: Store, rows: Any) -> None:
    assert save(store, earned()) == 0
    assert store.scalar("SELECT is_on_units FROM commissions") == 0
    order(rows, 1)
    with store.transaction():
        assert place_creators(store) == 1
    assert sold(store) == [GLOW]


def test_placing_may_be_told_which_orders(store: Store, rows: Any) -> None:
    order(rows, 1)
    with store.transaction():
        save_commissions(store, [earned()], NOW)
        assert place_creators(store, ["tiktok:2"]) == 0
        assert place_creators(store, ["tiktok:1"]) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_reading_the_same_rows_again_changes_nothing(store: Store, rows: Any, turned: bool) -> None:
    order(rows, 4)
    page = [earned(), earned("duo.example", 2), earned(content_type="VIDEO", content_id="9")]
    save(store, *page)
    before = sold(store)
    assert save(store, *(reversed(page) if turned else page)) == 0
    assert sold(store) == before
    store.execute("UPDATE commissions SET is_on_units = 0")
    with store.transaction():
        place_creators(store)
    assert sold(store) == before


def test_a_row_that_grows_takes_only_the_units_that_it_lacks(store: Store, rows: Any) -> None:
    order(rows, 3)
    save(store, earned(quantity=1))
    assert save(store, earned(quantity=2)) == 1
    assert sold(store) == [GLOW, GLOW, NOBODY]


def test_a_settled_commission_replaces_the_estimate_and_moves_no_unit(store: Store, rows: Any) -> None:
    order(rows, 1)
    save(store, earned())
    assert save(store, earned(actual_commission_minor=290, is_fully_returned=False)) == 0
    (row,) = load_commissions(store, "tiktok:1")
    assert (row["actual_commission_minor"], row["is_fully_returned"]) == (290, 0)
    assert store.scalar("SELECT commission_minor FROM v_orders") == 290


def test_a_gift_is_sold_by_nobody(store: Store, rows: Any) -> None:
    rows.order()
    rows.add("units", unit_id="tiktok:11", position=1, is_gift=1)
    rows.add("units", unit_id="tiktok:12", position=2)
    save(store, earned(quantity=2))
    assert sold(store) == [NOBODY, GLOW]


def test_units_of_other_skus_stay_untouched(store: Store, rows: Any) -> None:
    order(rows, 1, channel_sku_id="1730")
    assert save(store, earned()) == 1
    assert sold(store) == [NOBODY]


def test_a_lines_own_live_session_stays_and_its_creator_is_the_one_of_that_session(store: Store, rows: Any) -> None:
    rows.order()
    rows.add("units", unit_id="tiktok:11", position=1)
    rows.add("units", unit_id="tiktok:12", position=2, content_type="LIVE", content_id="7")
    save(store, earned(), earned("other.example", content_type="VIDEO", content_id="9"))
    assert sold(store) == [("other.example", "VIDEO", "9"), GLOW]


def test_a_unit_in_another_session_keeps_it_when_no_other_is_left(store: Store, rows: Any) -> None:
    order(rows, 1, content_type="LIVE", content_id="8")
    save(store, earned())
    assert sold(store) == [("glow.example", "LIVE", "8")]


def test_a_creator_that_a_file_told_is_kept_and_learns_its_content(store: Store, rows: Any) -> None:
    order(rows, 2, creator="glow.example")
    save(store, earned(quantity=2))
    assert sold(store) == [GLOW, GLOW]


def test_a_row_without_a_quantity_stands_for_one_unit(store: Store, rows: Any) -> None:
    order(rows, 2)
    save(store, earned(quantity=0, content_type="", content_id=""))
    assert sold(store) == [("glow.example", None, None), NOBODY]
