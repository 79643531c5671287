"""Which orders leave in one package, and how long they wait for each other."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.allocation.combine_plan import CombinePlan, OpenOrder, Waiting, plan_combining, wait_until
from tiktok_erp.model.rule import Combine, Pickup, WorkDays

NOON = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)  # Wednesday, 12:00 in Los Angeles
PACIFIC = ZoneInfo("America/Los_Angeles")
WEEKDAYS = WorkDays((0, 1, 2, 3, 4))


def order(number: int, package: int, key: object = "a", **facts: object) -> OpenOrder:
    usual = {
        "stays": True,
        "may_grow": False,
        "paid_at": NOON,
        "ship_by": NOON + timedelta(days=2),
    }
    return OpenOrder(f"tiktok:{number}", f"P{package:06d}", key, **(usual | facts))  # type: ignore[arg-type]


def test_packages_of_one_buyer_go_into_the_earliest() -> None:
    plan = plan_combining([order(3, 9), order(1, 4), order(2, 7), order(4, 5, "b")], Combine())
    assert [(one.survivor, one.absorbed) for one in plan.combinations] == [("P000004", ("P000007", "P000009"))]


def test_the_millionth_package_is_younger_than_the_one_before() -> None:
    plan = plan_combining([order(1, 1_000_000), order(2, 999_999)], Combine())
    assert plan.combinations[0].survivor == "P999999"


def test_what_nothing_can_be_said_of_goes_alone() -> None:
    assert plan_combining([order(1, 1, None), order(2, 2, None)], Combine()).combinations == ()


def test_a_package_holds_no_more_orders_than_allowed() -> None:
    plan = plan_combining([order(number, number) for number in range(1, 8)], Combine(max_orders=3))
    assert [len(one.absorbed) + 1 for one in plan.combinations] == [3, 3]


def test_an_order_that_cannot_go_joins_nobody_and_leaves_those_that_can() -> None:
    together = [order(1, 1), order(2, 1, stays=False), order(3, 1)]
    plan = plan_combining([*together, order(4, 2, stays=False)], Combine())
    assert (plan.leaving, plan.combinations) == ((("P000001", "tiktok:2"),), ())


def test_a_package_of_which_nothing_can_go_stays_as_it_is() -> None:
    assert plan_combining([order(1, 1, stays=False), order(2, 1, stays=False)], Combine()).leaving == ()


def test_orders_that_went_to_different_addresses_since_go_apart() -> None:
    plan = plan_combining([order(1, 1), order(2, 1), order(3, 1, "elsewhere")], Combine())
    assert plan.leaving == (("P000001", "tiktok:3"),)


def test_only_what_was_named_is_touched() -> None:
    plan = plan_combining([order(1, 1), order(2, 2)], Combine(), only=frozenset({"P000002"}))
    assert plan.combinations == ()


@pytest.mark.parametrize(
    ("orders", "waits"),
    [
        ([order(1, 1)], False),
        ([order(1, 1, may_grow=True)], True),
        ([order(1, 1), order(2, 2)], True),
        ([order(1, 1, None, may_grow=True)], False),
    ],
    ids=["alone", "may get company", "has company", "of unknown buyer"],
)
def test_only_what_may_get_company_waits(orders: list[OpenOrder], waits: bool) -> None:
    assert bool(plan_combining(orders, Combine()).waiting) is waits


UPS = Pickup("ups", time(17, 30), WEEKDAYS)


@pytest.mark.parametrize(
    ("waiting", "pickup", "expected"),
    [
        (Waiting(NOON, None, False), None, NOON + timedelta(hours=3)),
        (Waiting(NOON, NOON + timedelta(days=2), False), None, NOON + timedelta(hours=3)),
        (Waiting(NOON, NOON + timedelta(hours=8), False), None, NOON + timedelta(hours=2)),
        (Waiting(NOON, NOON + timedelta(hours=5), False), None, NOON - timedelta(hours=1)),
        # The last pickup before a deadline on Wednesday 17:29 is Tuesday's.
        (Waiting(NOON, NOON + timedelta(hours=5, minutes=29), False), UPS, datetime(2026, 11, 18, 1, 30, tzinfo=UTC)),
        (Waiting(NOON, NOON + timedelta(days=2), True), None, None),
        (Waiting(None, NOON + timedelta(days=2), False), None, None),
    ],
    ids=["the wait", "a far deadline", "the margin", "the margin is over", "the pickup", "full", "no time of payment"],
)
def test_a_package_waits_until_the_earliest_of_its_reasons_to_go(
    waiting: Waiting, pickup: Pickup | None, expected: datetime | None
) -> None:
    assert wait_until(waiting, Combine(), pickup, PACIFIC) == expected


def test_a_pickup_falls_on_no_weekend_and_no_holiday() -> None:
    thanksgiving = datetime(2026, 11, 26, 23, 0, tzinfo=PACIFIC)
    daily = Pickup("ups", time(17, 30), WorkDays((0, 1, 2, 3, 4), without_holidays=True))
    until = wait_until(Waiting(thanksgiving - timedelta(hours=1), thanksgiving, False), Combine(), daily, PACIFIC)
    assert until == datetime(2026, 11, 25, 17, 30, tzinfo=PACIFIC)
    sunday = datetime(2026, 11, 22, 23, 0, tzinfo=PACIFIC)
    until = wait_until(Waiting(sunday, sunday, False), Combine(), UPS, PACIFIC)
    assert until == datetime(2026, 11, 20, 17, 30, tzinfo=PACIFIC)


ORDERS = st.lists(
    st.builds(
        OpenOrder,
        order_id=st.integers(1, 40).map(lambda number: f"tiktok:{number}"),
        package_id=st.integers(1, 25).map(lambda number: f"P{number:06d}"),
        key=st.sampled_from(["a", "b", None]),
        stays=st.booleans(),
        may_grow=st.booleans(),
        paid_at=st.sampled_from([None, NOON]),
        ship_by=st.sampled_from([None, NOON + timedelta(days=1)]),
    ),
    max_size=30,
    unique_by=lambda order: order.order_id,
)


@given(ORDERS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_order_of_the_orders_changes_nothing(orders: list[OpenOrder], dice: object, most: int) -> None:
    shuffled = list(orders)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_combining(orders, Combine(max_orders=most)) == plan_combining(shuffled, Combine(max_orders=most))


def apply(orders: list[OpenOrder], plan: CombinePlan) -> list[OpenOrder]:
    """Do to a list of orders what `run.py` does to the store."""
    leaving = dict.fromkeys(plan.leaving)
    new_homes = {order_id: f"P{900 + number:06d}" for number, (_package, order_id) in enumerate(leaving)}
    into = {package: one.survivor for one in plan.combinations for package in one.absorbed}

    def home(one: OpenOrder) -> str:
        return new_homes.get(one.order_id) or into.get(one.package_id, one.package_id)

    return [
        OpenOrder(one.order_id, home(one), one.key, one.stays, one.may_grow, one.paid_at, one.ship_by) for one in orders
    ]


@given(ORDERS, st.integers(1, 5))
def test_no_plan_puts_together_what_does_not_belong_or_loses_an_order(orders: list[OpenOrder], most: int) -> None:
    plan = plan_combining(orders, Combine(max_orders=most))
    before = {one.order_id: one.package_id for one in orders}
    after: dict[str, list[OpenOrder]] = {}
    for one in apply(orders, plan):
        after.setdefault(one.package_id, []).append(one)
    for members in after.values():
        came = {before[one.order_id] for one in members}
        if len(came) > 1:
            assert len(members) <= max(most, *(list(before.values()).count(package) for package in came))
            assert len({one.key for one in members}) == 1
            assert all(one.stays for one in members)
    assert sum(map(len, after.values())) == len(orders)


@given(ORDERS, st.integers(1, 5))
def test_what_was_carried_out_leaves_nothing_to_do(orders: list[OpenOrder], most: int) -> None:
    rules = Combine(max_orders=most)
    left = apply(orders, CombinePlan(plan_combining(orders, rules).leaving, (), {}))
    plan = plan_combining(left, rules)
    assert plan.leaving == ()
    plan = plan_combining(apply(left, plan), rules)
    assert (plan.leaving, plan.combinations) == ((), ())
