"""Who gets a piece, and what each listing may show: nothing is promised twice, whatever order things come in."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.stock.plan import ListingState, PromisedUnit, plan_push, plan_reservations

SKUS = ("CUP", "MUG", "TEA")
PLACES = ("east", "main", "west")

stock = st.dictionaries(
    st.tuples(st.sampled_from(SKUS[:2]), st.sampled_from(PLACES)),
    st.integers(0, 4).flatmap(lambda on_hand: st.tuples(st.just(on_hand), st.integers(0, on_hand))),
    max_size=6,
)
skus_of_units = st.lists(
    st.tuples(st.sampled_from(SKUS), st.sampled_from([None, *PLACES, "elsewhere"]), st.booleans()), max_size=20
)


def unit(number: int, sku: str = "MUG", preferred: str | None = None, *, was_short: bool = False) -> PromisedUnit:
    return PromisedUnit(f"u{number}", f"tiktok:{number}", sku, preferred, was_short)


@given(skus_of_units, stock)
def test_never_more_is_held_than_is_free(
    asked: list[tuple[str, str | None, bool]], counted: dict[tuple[str, str], tuple[int, int]]
) -> None:
    units = [unit(number, sku, place, was_short=was) for number, (sku, place, was) in enumerate(asked)]
    planned = plan_reservations(units, counted)
    held = Counter((entry.sku, entry.warehouse) for entry in planned if entry.state == "held")
    for key, pieces in held.items():
        on_hand, reserved = counted[key]
        assert reserved + pieces <= on_hand
    counted_skus = {sku for sku, _place in counted}
    assert [entry.unit_id for entry in planned] == [entry.unit_id for entry in units if entry.sku in counted_skus]
    assert all((entry.sku, entry.warehouse) in counted for entry in planned)


@given(skus_of_units, stock)
def test_a_unit_is_short_only_when_no_piece_is_left_and_the_earlier_one_never_loses(
    asked: list[tuple[str, str | None, bool]], counted: dict[tuple[str, str], tuple[int, int]]
) -> None:
    units = [unit(number, sku, place) for number, (sku, place, _was) in enumerate(asked)]
    for sku in SKUS:
        words = [entry.state for entry in plan_reservations(units, counted) if entry.sku == sku]
        free = sum(on_hand - reserved for (name, _place), (on_hand, reserved) in counted.items() if name == sku)
        assert words == ["held"] * min(free, len(words)) + ["short"] * max(0, len(words) - free)


@given(skus_of_units, stock, st.randoms(use_true_random=False))
def test_the_order_of_the_stock_does_not_matter(
    asked: list[tuple[str, str | None, bool]],
    counted: dict[tuple[str, str], tuple[int, int]],
    dice: random.Random,
) -> None:
    units = [unit(number, sku, place) for number, (sku, place, _was) in enumerate(asked)]
    turned = list(counted.items())
    dice.shuffle(turned)
    assert plan_reservations(units, dict(turned)) == plan_reservations(units, counted)


@given(skus_of_units, stock)
def test_planning_again_after_writing_plans_only_the_shortages(
    asked: list[tuple[str, str | None, bool]], counted: dict[tuple[str, str], tuple[int, int]]
) -> None:
    units = [unit(number, sku, place) for number, (sku, place, _was) in enumerate(asked)]
    planned = plan_reservations(units, counted)
    written = dict(counted)
    for entry in planned:
        if entry.state == "held":
            on_hand, reserved = written[entry.sku, entry.warehouse]
            written[entry.sku, entry.warehouse] = (on_hand, reserved + 1)
    short = {entry.unit_id for entry in planned if entry.state == "short"}
    again = plan_reservations([entry for entry in units if entry.unit_id in short], written)
    assert {entry.state for entry in again} <= {"short"}


def test_a_piece_comes_from_the_orders_own_warehouse_first_then_by_name() -> None:
    counted = {("MUG", "west"): (1, 0), ("MUG", "east"): (1, 0), ("MUG", "main"): (1, 0)}
    units = [unit(1, preferred="west"), unit(2, preferred="west"), unit(3), unit(4, preferred="east")]
    assert [(entry.warehouse, entry.state) for entry in plan_reservations(units, counted)] == [
        ("west", "held"),
        ("east", "held"),
        ("main", "held"),
        ("east", "short"),
    ]


def test_a_unit_of_an_uncounted_sku_is_neither_held_nor_short() -> None:
    assert plan_reservations([unit(1, "NEW")], {("MUG", "main"): (1, 0)}) == ()


def test_a_counted_nothing_is_short() -> None:
    (entry,) = plan_reservations([unit(1, was_short=True)], {("MUG", "main"): (0, 0)})
    assert (entry.state, entry.warehouse, entry.was_short) == ("short", "main", True)


def test_units_may_come_from_a_generator() -> None:
    assert len(plan_reservations((unit(number) for number in range(3)), {("MUG", "main"): (2, 0)})) == 3


# What listings show


def listing(
    number: int, offer: int | None = 10, *, sku: str = "MUG", shown: int | None = 0, reserved: int = 0, **values: object
) -> ListingState:
    offers = () if offer is None else (("main", offer),)
    state = ListingState(f"{number:04d}", "88", sku, offers, reserved, shown, ("7",))
    return replace(state, **values)  # type: ignore[arg-type]


sku_offers = st.dictionaries(
    st.sampled_from(SKUS), st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 50)), unique_by=lambda x: x[0])
)
listing_shapes = st.lists(
    st.tuples(
        st.sampled_from(SKUS),
        st.lists(st.sampled_from(["main", "W1", "W2"]), unique=True, max_size=3),
        st.one_of(st.none(), st.integers(0, 60)),
    ),
    max_size=10,
)


def states(
    shapes: list[tuple[str, list[str], int | None]], offers: dict[str, list[tuple[str, int]]]
) -> list[ListingState]:
    return [
        ListingState(f"{number:04d}", "88", sku, tuple(sorted(offers.get(sku, []))), 0, shown, tuple(warehouses))
        for number, (sku, warehouses, shown) in enumerate(shapes)
    ]


@given(listing_shapes, sku_offers)
def test_the_listings_of_a_sku_share_its_stock_to_the_last_piece(
    shapes: list[tuple[str, list[str], int | None]], offers: dict[str, list[tuple[str, int]]]
) -> None:
    entries = states(shapes, offers)
    plan = plan_push(entries)
    wanted = dict(plan.wanted)
    for sku in SKUS:
        counted = [entry for entry in entries if entry.sku == sku and entry.offers]
        if counted:
            offered = sum(quantity for _place, quantity in counted[0].offers)
            assert sum(wanted[entry.listing_id] for entry in counted) == offered
    assert set(wanted) == {entry.listing_id for entry in entries if entry.offers}


@given(listing_shapes, sku_offers, st.randoms(use_true_random=False))
def test_the_order_of_the_listings_does_not_matter(
    shapes: list[tuple[str, list[str], int | None]],
    offers: dict[str, list[tuple[str, int]]],
    dice: random.Random,
) -> None:
    entries = states(shapes, offers)
    turned = list(entries)
    dice.shuffle(turned)
    assert plan_push(turned) == plan_push(entries)


@given(listing_shapes, sku_offers)
def test_every_change_lists_every_warehouse_of_its_listing_and_no_other(
    shapes: list[tuple[str, list[str], int | None]], offers: dict[str, list[tuple[str, int]]]
) -> None:
    entries = {entry.listing_id: entry for entry in states(shapes, offers)}
    for change in plan_push(list(entries.values())).changes:
        names = [name for name, _quantity in change.per_warehouse]
        assert names == (list(entries[change.listing_id].warehouses) or [""])
        assert sum(quantity for _name, quantity in change.per_warehouse) == change.wanted
        assert all(quantity >= 0 for _name, quantity in change.per_warehouse)


@given(listing_shapes, sku_offers)
def test_planning_again_after_the_push_changes_nothing(
    shapes: list[tuple[str, list[str], int | None]], offers: dict[str, list[tuple[str, int]]]
) -> None:
    entries = states(shapes, offers)
    pushed = {change.listing_id: change for change in plan_push(entries).changes}
    after = [
        replace(
            entry,
            shown=pushed[entry.listing_id].wanted,
            shown_per_warehouse=pushed[entry.listing_id].per_warehouse,
        )
        if entry.listing_id in pushed
        else entry
        for entry in entries
    ]
    again = plan_push(after)
    assert (again.changes, again.surprise) == ((), None)


def test_a_listing_of_an_uncounted_sku_is_left_alone() -> None:
    plan = plan_push([listing(1, None, sku="NEW", shown=7)])
    assert (plan.wanted, plan.changes, plan.uncounted) == ((), (), ("NEW",))


def test_a_quantity_never_passes_the_channels_limit() -> None:
    (change,) = plan_push([listing(1, 250_000)]).changes
    assert change.wanted == 99_999


def test_stock_lies_in_the_warehouse_of_the_same_id_and_else_in_the_first() -> None:
    entry = listing(1, warehouses=("W1", "W2"), offers=(("W2", 3), ("main", 4)))
    (change,) = plan_push([entry]).changes
    assert change.per_warehouse == (("W1", 4), ("W2", 3))


def test_the_same_total_in_another_warehouse_is_a_change() -> None:
    entry = listing(1, warehouses=("W1", "W2"), offers=(("W1", 3), ("W2", 4)), shown=7)
    assert plan_push([replace(entry, shown_per_warehouse=(("W1", 3), ("W2", 4)))]).changes == ()
    (change,) = plan_push([replace(entry, shown_per_warehouse=(("W1", 7), ("W2", 0)))]).changes
    assert change.per_warehouse == (("W1", 3), ("W2", 4))


def test_the_biggest_cut_is_pushed_first() -> None:
    entries = [
        listing(1, 50, sku="A", shown=40),
        listing(2, 5, sku="B", shown=40),
        listing(3, 30, sku="C", shown=40),
        listing(4, 9, sku="D", shown=None),
    ]
    changes = plan_push(entries).changes
    assert [change.listing_id for change in changes] == ["0002", "0003", "0004", "0001"]


# A push that would surprise


def shelf(count: int, offer: int, shown: int, *, reserved: int = 0, first: int = 0) -> list[ListingState]:
    return [
        listing(first + number, offer, sku=f"S{first + number}", shown=shown, reserved=reserved)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("entries", "surprise"),
    [
        (shelf(3, 0, 40) + shelf(7, 40, 40, first=50), (3, 3, 10)),
        (shelf(2, 0, 40) + shelf(8, 40, 40, first=50), None),
        (shelf(10, 0, 40) + shelf(90, 40, 40, first=50), None),  # a tenth may sell out
        (shelf(11, 0, 40) + shelf(89, 40, 40, first=50), (11, 11, 100)),
        (shelf(6, 15, 40) + shelf(4, 40, 40, first=50), (0, 6, 10)),
        (shelf(5, 15, 40) + shelf(5, 40, 40, first=50), None),
        (shelf(10, 20, 40), None),  # cut by exactly half
        (shelf(10, 0, 40, reserved=40), None),  # reservations explain it
        (shelf(10, 0, 40, reserved=39), (10, 10, 10)),
        (shelf(10, 90, 40), None),  # more than before is no surprise
        (shelf(10, 5, 0), None),
        ([], None),
    ],
    ids=str,
)
def test_a_push_that_empties_or_halves_the_shop_waits_for_a_person(
    entries: list[ListingState], surprise: tuple[int, int, int] | None
) -> None:
    assert plan_push(entries).surprise == surprise


def test_listings_whose_quantity_nobody_told_are_no_surprise() -> None:
    assert plan_push([replace(entry, shown=None) for entry in shelf(10, 0, 0)]).surprise is None
