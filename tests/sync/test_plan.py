"""What an order as the channel tells it changes: identity of units, packages of our own, and facts that never go back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiktok_erp.model.facts import OrderFacts, RecipientFacts, UnitFacts
from tiktok_erp.model.order_change import KnownOrder, KnownPackage, KnownUnit, OrderChange
from tiktok_erp.model.rule import Deadlines
from tiktok_erp.sync.plan import address_changed, is_news, plan_order

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORDER_ID = "tiktok:576"
OPEN, SHIPPED, CANCELLED = "AWAITING_SHIPMENT", "AWAITING_COLLECTION", "CANCELLED"


def unit(number: int | None, status: str = OPEN, *, sku: str = "1729", **values: Any) -> UnitFacts:
    channel_unit_id = None if number is None else str(number)
    return UnitFacts(channel_unit_id=channel_unit_id, channel_sku_id=sku, status=status, **values)


def facts(*units: UnitFacts, status: str = OPEN, source: str = "api", **values: Any) -> OrderFacts:
    return OrderFacts(
        channel="tiktok",
        channel_order_id="576",
        status=status,
        source=source,
        units=units,
        **({"as_of": NOON, "updated_at": NOON, "paid_at": NOON - 2 * HOUR} | values),
    )


def file_facts(*units: UnitFacts, **values: Any) -> OrderFacts:
    return facts(*units, source="file", **({"updated_at": None} | values))


def package_ids(first: int = 1) -> Iterator[str]:
    return (f"P{number:06d}" for number in count(first))


def plan(
    order: OrderFacts,
    known: KnownOrder | None = None,
    *,
    sku_of: dict[str, str] | None = None,
    first_package: int = 1,
    deadlines: Deadlines | None = None,
) -> OrderChange:
    return plan_order(
        order,
        b"digest",
        known,
        deadlines=deadlines or Deadlines(),
        sku_of=sku_of or {},
        free_package_ids=package_ids(first_package),
    )


def known(units: Sequence[KnownUnit] = (), packages: Sequence[KnownPackage] = (), **values: Any) -> KnownOrder:
    whole: dict[str, Any] = {
        "order_id": ORDER_ID,
        "updated_at": NOON - HOUR,
        "as_of": NOON - HOUR,
        "source": "api",
        "digest": b"before",
        "has_updated_address": False,
        "recipient": None,
    }
    return KnownOrder(units=tuple(units), packages=tuple(packages), **(whole | values))


def known_unit(number: int, package_id: str | None = "P000001", **values: Any) -> KnownUnit:
    whole: dict[str, Any] = {
        "unit_id": f"tiktok:{number}",
        "channel_unit_id": str(number),
        "channel_sku_id": "1729",
        "position": number,
        "state": "open",
        "package_id": package_id,
    }
    return KnownUnit(**(whole | values))


def known_package(number: int = 1, **values: Any) -> KnownPackage:
    whole: dict[str, Any] = {
        "package_id": f"P{number:06d}",
        "channel_package_id": None,
        "is_cancelled": False,
        "is_uploaded": False,
        "label_state": None,
        "label_source": None,
        "tracking_number": None,
    }
    return KnownPackage(**(whole | values))


def after(change: OrderChange, before: KnownOrder | None = None) -> KnownOrder:
    """Return the order as the store holds it once `change` was written."""
    units = {entry.unit_id: entry for entry in (before.units if before else ())}
    for entry in change.units:
        old = units.get(entry.unit_id)
        units[entry.unit_id] = KnownUnit(
            unit_id=entry.unit_id,
            channel_unit_id=entry.facts.channel_unit_id or (old.channel_unit_id if old else None),
            channel_sku_id=entry.facts.channel_sku_id,
            position=entry.position,
            state=entry.state,
            package_id=entry.package_id,
        )
    packages = {entry.package_id: entry for entry in (before.packages if before else ())}
    for package_id in change.new_packages:
        packages[package_id] = known_package(int(package_id[1:]))
    for package_id, channel_id in change.channel_packages:
        packages[package_id] = replace(packages[package_id], channel_package_id=channel_id)
    for shipment in change.shipments:
        package = replace(
            packages[shipment.package_id],
            channel_package_id=shipment.channel_package_id or packages[shipment.package_id].channel_package_id,
            is_uploaded=True,
        )
        if shipment.adopt and shipment.tracking_number:
            package = replace(
                package, label_state="bought", label_source="channel", tracking_number=shipment.tracking_number
            )
        packages[shipment.package_id] = package
    for package_id in change.cancelled_packages:
        packages[package_id] = replace(packages[package_id], is_cancelled=True, label_state=None)
    return known(
        units=sorted(units.values(), key=lambda entry: entry.position),
        packages=list(packages.values()),
        updated_at=change.facts.updated_at or (before.updated_at if before else None),
        as_of=change.facts.as_of,
        source=change.facts.source,
        digest=change.digest,
        has_updated_address=change.facts.has_updated_address,
        recipient=change.facts.recipient,
    )


def packing(change: OrderChange) -> dict[str, str | None]:
    return {entry.unit_id: entry.package_id for entry in change.units}


# Which version of an order counts


def test_an_order_that_nobody_knows_is_news() -> None:
    assert is_news(facts(), b"a", None)
    assert is_news(file_facts(), None, None)


@pytest.mark.parametrize(
    ("updated_at", "digest", "expected"),
    [
        (NOON, b"new", True),
        (NOON, b"before", False),  # word for word the same
        (NOON - HOUR, b"new", True),  # changed within the same second
        (NOON - HOUR - timedelta(seconds=1), b"new", False),  # an older version, seen late
        (None, b"new", True),
        (None, b"before", False),
    ],
)
def test_an_answer_of_the_api_counts_unless_it_is_older_or_the_same(
    updated_at: datetime | None, digest: bytes, expected: bool
) -> None:
    assert is_news(facts(updated_at=updated_at), digest, known()) is expected


def test_the_api_takes_over_what_a_file_told_even_when_it_says_the_same_again() -> None:
    assert is_news(facts(updated_at=NOON - HOUR), b"before", known(source="file"))


@pytest.mark.parametrize(("exported_at", "expected"), [(NOON - 2 * HOUR, False), (NOON - HOUR, False), (NOON, True)])
@pytest.mark.parametrize("source", ["api", "file"])
def test_a_file_counts_only_against_what_is_older_than_its_export(
    exported_at: datetime, expected: bool, source: str
) -> None:
    assert is_news(file_facts(as_of=exported_at), None, known(source=source)) is expected


# Identity of units


def test_units_of_the_api_are_named_by_the_channels_id() -> None:
    change = plan(facts(unit(11), unit(12)))
    assert [(entry.unit_id, entry.position) for entry in change.units] == [("tiktok:11", 1), ("tiktok:12", 2)]


def test_units_of_a_file_are_counted_by_sku() -> None:
    change = plan(file_facts(unit(None), unit(None, sku="1730"), unit(None)))
    assert [entry.unit_id for entry in change.units] == [
        f"{ORDER_ID}/1729/1",
        f"{ORDER_ID}/1730/1",
        f"{ORDER_ID}/1729/2",
    ]


def test_units_met_in_a_file_keep_their_ids_when_the_api_shows_them() -> None:
    before = after(plan(file_facts(unit(None), unit(None, sku="1730"), unit(None))))
    change = plan(facts(unit(21, sku="1730"), unit(11), unit(12)), before)
    assert [(entry.unit_id, entry.facts.channel_unit_id) for entry in change.units] == [
        (f"{ORDER_ID}/1730/1", "21"),
        (f"{ORDER_ID}/1729/1", "11"),
        (f"{ORDER_ID}/1729/2", "12"),
    ]
    assert change.new_packages == ()
    again = plan(facts(unit(12), unit(11), unit(21, sku="1730")), after(change, before))
    assert {entry.facts.channel_unit_id: entry.unit_id for entry in again.units} == {
        entry.facts.channel_unit_id: entry.unit_id for entry in change.units
    }


def test_units_met_through_the_api_are_found_again_in_a_file() -> None:
    before = after(plan(facts(unit(11), unit(12))))
    change = plan(file_facts(unit(None, SHIPPED), unit(None, SHIPPED), status=SHIPPED, as_of=NOON + HOUR), before)
    assert [entry.unit_id for entry in change.units] == ["tiktok:11", "tiktok:12"]


def test_a_unit_more_in_a_file_gets_an_id_of_its_own() -> None:
    before = after(plan(facts(unit(11))))
    change = plan(file_facts(unit(None), unit(None), as_of=NOON + HOUR), before)
    assert [(entry.unit_id, entry.position) for entry in change.units] == [("tiktok:11", 1), (f"{ORDER_ID}/1729/2", 2)]


def test_a_unit_that_the_channel_adds_comes_last() -> None:
    before = after(plan(facts(unit(11), unit(12))))
    change = plan(facts(unit(10), unit(11), unit(12)), before)
    assert [(entry.unit_id, entry.position) for entry in change.units] == [
        ("tiktok:10", 3),
        ("tiktok:11", 1),
        ("tiktok:12", 2),
    ]


@given(
    st.lists(st.sampled_from(["1729", "1730", "1731"]), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_no_unit_ever_gets_lost_or_doubled(skus: list[str], dice: random.Random, file_first: bool) -> None:
    from_api = facts(*[unit(100 + index, sku=sku) for index, sku in enumerate(skus)])
    from_file = file_facts(*[unit(None, sku=sku) for sku in sorted(skus)], as_of=NOON + HOUR)
    shuffled = list(from_api.units)
    dice.shuffle(shuffled)
    versions = [from_api, from_file, replace(from_api, units=tuple(shuffled)), from_file, from_api]
    order = after(plan(versions[1] if file_first else versions[0]))
    ids = {entry.unit_id for entry in order.units}
    assert len(ids) == len(skus)
    for version in versions:
        change = plan(version, order, first_package=9)
        order = after(change, order)
        assert {entry.unit_id for entry in order.units} == ids
        assert change.new_packages == ()
    channel_ids = {entry.channel_unit_id for entry in order.units}
    assert channel_ids == {str(100 + index) for index in range(len(skus))}


def test_a_sku_is_the_sellers_own_or_what_a_listing_says_or_the_channels_id() -> None:
    change = plan(facts(unit(1, seller_sku="MUG"), unit(2), unit(3, sku="1730")), sku_of={"1729": "CUP"})
    assert [entry.sku for entry in change.units] == ["MUG", "CUP", "1730"]


# States and deadlines


def test_an_unknown_status_is_kept_and_never_open() -> None:
    change = plan(facts(unit(1, "NEW_WORD"), status="NEW_WORD"))
    assert (change.base_state, change.units[0].state, change.facts.status) == ("unknown", "unknown", "NEW_WORD")
    assert change.new_packages == ("P000001",)
    assert change.shipments == ()


@pytest.mark.parametrize(
    ("status", "state"), [("UNPAID", "unpaid"), ("ON_HOLD", "held"), (OPEN, "open"), ("PARTIALLY_SHIPPING", "open")]
)
def test_a_package_is_planned_for_every_order_that_is_still_promised(status: str, state: str) -> None:
    change = plan(facts(unit(1, status), unit(2, status), status=status))
    assert change.base_state == state
    assert packing(change) == {"tiktok:1": "P000001", "tiktok:2": "P000001"}
    assert change.new_packages == ("P000001",)


@pytest.mark.parametrize("word", ["FULFILLMENT_BY_TIKTOK", "FULFILLMENT_BY_DILAYANI_TOKOPEDIA"])
@pytest.mark.parametrize("status", [OPEN, SHIPPED])
def test_an_order_that_the_channel_fulfils_gets_no_package(word: str, status: str) -> None:
    order = facts(unit(1, status, tracking_number="94001"), status=status, fulfillment_type=word)
    change = plan(order)
    assert (change.new_packages, change.shipments, packing(change)) == ((), (), {"tiktok:1": None})


def test_an_order_of_an_unknown_kind_of_fulfilment_stays_in_sight() -> None:
    assert plan(facts(unit(1), fulfillment_type="SOMETHING_NEW")).new_packages == ("P000001",)


def test_an_order_that_came_cancelled_gets_no_package() -> None:
    change = plan(facts(unit(1, CANCELLED), unit(2, OPEN), status=CANCELLED))
    assert (change.base_state, change.new_packages) == ("cancelled", ())
    assert [entry.state for entry in change.units] == ["cancelled", "cancelled"]


def test_the_channels_deadline_counts_and_is_marked_as_such() -> None:
    change = plan(
        facts(unit(1), rts_sla_at=NOON + 9 * HOUR, tts_sla_at=NOON + 8 * HOUR, cancel_sla_at=NOON + 99 * HOUR)
    )
    assert (change.ship_by, change.ship_by_source) == (NOON + 8 * HOUR, "channel")


def test_an_estimated_deadline_is_marked_as_such() -> None:
    change = plan(facts(unit(1)), deadlines=Deadlines(ship_within=24 * HOUR))
    assert (change.ship_by, change.ship_by_source) == (NOON + 22 * HOUR, "rules")


def test_a_deadline_that_nobody_knows_is_not_invented() -> None:
    change = plan(facts(unit(1, "UNPAID"), status="UNPAID", paid_at=None))
    assert (change.ship_by, change.ship_by_source) == (None, "unknown")


def test_the_hour_of_our_own_hold_is_part_of_the_plan() -> None:
    assert plan(facts(unit(1), is_on_hold_order=False)).held_until == NOON - HOUR
    assert plan(facts(unit(1), is_on_hold_order=True)).held_until is None


# Packages


def test_planning_the_same_order_again_changes_nothing() -> None:
    order = facts(unit(1), unit(2))
    first = plan(order)
    second = plan(order, after(first), first_package=2)
    assert packing(second) == packing(first)
    assert (second.new_packages, second.shipments, second.cancelled_packages) == ((), (), ())


def test_a_unit_that_came_later_joins_the_planned_package() -> None:
    change = plan(facts(unit(1), unit(2)), known([known_unit(1)], [known_package()]))
    assert packing(change) == {"tiktok:1": "P000001", "tiktok:2": "P000001"}


@pytest.mark.parametrize(
    "package",
    [
        known_package(label_state="bought", label_source="tiktok"),
        known_package(label_state="unknown", label_source="tiktok"),
        known_package(label_state="intent", label_source="tiktok"),
        known_package(is_uploaded=True),
        known_package(is_cancelled=True),
    ],
    ids=["bought", "unknown", "intent", "uploaded", "cancelled"],
)
def test_a_unit_that_came_too_late_gets_a_package_of_its_own(package: KnownPackage) -> None:
    change = plan(facts(unit(1), unit(2)), known([known_unit(1)], [package]), first_package=2)
    assert packing(change)["tiktok:2"] == "P000002"


def test_a_unit_whose_package_was_cancelled_is_packed_anew_when_it_is_open_again() -> None:
    before = known([known_unit(1, state="cancelled")], [known_package(is_cancelled=True)])
    change = plan(facts(unit(1)), before, first_package=2)
    assert (packing(change), change.new_packages) == ({"tiktok:1": "P000002"}, ("P000002",))


def test_an_order_shipped_without_us_is_adopted_by_its_planned_package() -> None:
    before = after(plan(facts(unit(1), unit(2))))
    told = {"channel_package_id": "1153", "tracking_number": "94001", "provider_name": "USPS"}
    order = facts(unit(1, SHIPPED, **told), unit(2, SHIPPED, **told), status=SHIPPED, rts_at=NOON - HOUR)
    change = plan(order, before, first_package=2)
    assert (change.base_state, change.new_packages, change.cancelled_packages) == ("closed", (), ())
    (shipment,) = change.shipments
    assert (shipment.package_id, shipment.channel_package_id, shipment.tracking_number, shipment.provider_name) == (
        "P000001",
        "1153",
        "94001",
        "USPS",
    )
    assert (shipment.adopt, shipment.contradicts) == (True, None)
    assert (shipment.uploaded_at, shipment.scanned_at, shipment.delivered_at) == (NOON - HOUR, None, None)


@pytest.mark.parametrize("label_state", [None, "intent"])
def test_an_order_that_somebody_ships_alone_leaves_its_company_behind(label_state: str | None) -> None:
    """What is bought for one of several orders must not look as if it was bought for all of them."""
    before = known([known_unit(1, "P000007")], [known_package(7, is_shared=True, label_state=label_state)])
    change = plan(facts(unit(1, SHIPPED, channel_package_id="1153", tracking_number="94001"), status=SHIPPED), before)
    (shipment,) = change.shipments
    assert change.new_packages == (shipment.package_id,) != ("P000007",)


def test_an_order_of_a_label_bought_for_several_stays_with_them() -> None:
    package = known_package(is_shared=True, label_state="bought", label_source="tiktok", tracking_number="94001")
    before = known([known_unit(1)], [package])
    change = plan(facts(unit(1, SHIPPED, channel_package_id="1153", tracking_number="94001"), status=SHIPPED), before)
    assert [shipment.package_id for shipment in change.shipments] == ["P000001"]


def test_an_order_first_seen_after_it_was_shipped_gets_a_package_all_the_same() -> None:
    change = plan(facts(unit(1, "IN_TRANSIT", tracking_number="94001"), status="IN_TRANSIT"))
    assert change.new_packages == ("P000001",)
    assert [(entry.package_id, entry.adopt, entry.scanned_at) for entry in change.shipments] == [
        ("P000001", True, NOON)
    ]


def test_an_order_that_left_in_several_packages_gets_as_many() -> None:
    order = facts(
        unit(1, SHIPPED, channel_package_id="1153", tracking_number="94001"),
        unit(2, SHIPPED, channel_package_id="1154", tracking_number="94002"),
        unit(3, SHIPPED, channel_package_id="1153", tracking_number="94001"),
        status=SHIPPED,
    )
    change = plan(order)
    boxes = packing(change)
    assert boxes["tiktok:1"] == boxes["tiktok:3"] != boxes["tiktok:2"]
    assert sorted(entry.tracking_number or "" for entry in change.shipments) == ["94001", "94002"]
    assert len(change.new_packages) == 2


def test_a_part_shipped_elsewhere_is_split_off() -> None:
    before = after(plan(facts(unit(1), unit(2), unit(3))))
    part = {"channel_package_id": "1153", "tracking_number": "94001"}
    order = facts(unit(1, SHIPPED, **part), unit(2), unit(3), status="PARTIALLY_SHIPPING")
    change = plan(order, before, first_package=2)
    assert change.base_state == "open"
    assert packing(change) == {"tiktok:1": "P000002", "tiktok:2": "P000001", "tiktok:3": "P000001"}
    assert [(entry.package_id, entry.adopt) for entry in change.shipments] == [("P000002", True)]
    rest = {"channel_package_id": "1154", "tracking_number": "94002"}
    later = facts(unit(1, SHIPPED, **part), unit(2, SHIPPED, **rest), unit(3, SHIPPED, **rest), status=SHIPPED)
    final = plan(later, after(change, before), first_package=3)
    assert packing(final) == packing(change)
    assert {entry.package_id: entry.tracking_number for entry in final.shipments} == {
        "P000001": "94002",
        "P000002": "94001",
    }
    assert final.new_packages == ()


def test_the_rest_of_an_order_ships_with_its_package_when_other_units_are_cancelled() -> None:
    before = after(plan(facts(unit(1), unit(2))))
    order = facts(unit(1, SHIPPED, tracking_number="94001"), unit(2, CANCELLED), status=SHIPPED)
    change = plan(order, before, first_package=2)
    assert (change.new_packages, change.base_state) == ((), "closed")
    assert [entry.package_id for entry in change.shipments] == ["P000001"]


@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_our_own_purchase_without_an_answer_is_left_alone(state: str) -> None:
    before = known([known_unit(1)], [known_package(label_state=state, label_source="tiktok")])
    order = facts(unit(1, SHIPPED, channel_package_id="1153", tracking_number="94001"), status=SHIPPED)
    change = plan(order, before, first_package=2)
    assert (change.shipments, change.new_packages, packing(change)) == ((), (), {"tiktok:1": "P000001"})


def test_an_intent_that_was_never_sent_gives_way_to_what_somebody_else_did() -> None:
    before = known([known_unit(1)], [known_package(label_state="intent", label_source="tiktok")])
    order = facts(unit(1, SHIPPED, channel_package_id="1153", tracking_number="94001"), status=SHIPPED)
    assert [(entry.package_id, entry.adopt) for entry in plan(order, before).shipments] == [("P000001", True)]


@pytest.mark.parametrize(
    ("source", "shown", "contradicts", "adopt"),
    [
        ("file", "94001", None, False),
        ("file", "94999", "94001", False),
        ("file", None, None, False),
        ("tiktok", "94999", "94001", False),
        ("channel", "94999", None, True),  # only ever what the channel told: it may correct itself
    ],
)
def test_another_number_than_our_labels_is_noticed(
    source: str, shown: str | None, contradicts: str | None, adopt: bool
) -> None:
    package = known_package(label_state="bought", label_source=source, tracking_number="94001", is_uploaded=True)
    order = facts(unit(1, SHIPPED, tracking_number=shown), status=SHIPPED)
    (shipment,) = plan(order, known([known_unit(1)], [package])).shipments
    assert (shipment.contradicts, shipment.adopt) == (contradicts, adopt)


def test_a_package_that_the_channel_has_already_is_linked_but_not_shipped() -> None:
    change = plan(facts(unit(1, channel_package_id="1153"), unit(2, channel_package_id="1153")))
    assert (change.channel_packages, change.shipments) == ((("P000001", "1153"),), ())
    assert change.base_state == "open"


def test_a_package_is_found_again_by_the_channels_id() -> None:
    before = known(
        [known_unit(1), known_unit(2, "P000002")],
        [known_package(1, channel_package_id="1154"), known_package(2, channel_package_id="1153")],
    )
    order = facts(
        unit(1, SHIPPED, channel_package_id="1154"), unit(2, SHIPPED, channel_package_id="1153"), status=SHIPPED
    )
    change = plan(order, before, first_package=3)
    assert {entry.package_id: entry.channel_package_id for entry in change.shipments} == {
        "P000001": "1154",
        "P000002": "1153",
    }


@pytest.mark.parametrize("state", [None, "intent"])
def test_a_package_with_nothing_left_to_ship_is_cancelled(state: str | None) -> None:
    before = known([known_unit(1), known_unit(2)], [known_package(label_state=state)])
    assert plan(facts(unit(1, CANCELLED), unit(2)), before).cancelled_packages == ()
    assert plan(facts(unit(1, CANCELLED), unit(2, CANCELLED)), before).cancelled_packages == ("P000001",)
    assert plan(facts(unit(1), unit(2), status=CANCELLED), before).cancelled_packages == ("P000001",)


@pytest.mark.parametrize("state", ["sent", "unknown", "bought"])
def test_a_package_whose_label_was_paid_for_is_never_cancelled_in_silence(state: str) -> None:
    before = known([known_unit(1)], [known_package(label_state=state, label_source="tiktok")])
    assert plan(facts(unit(1), status=CANCELLED), before).cancelled_packages == ()


def test_a_unit_that_the_answer_leaves_out_keeps_its_package_alive() -> None:
    before = known([known_unit(1), known_unit(2)], [known_package()])
    assert plan(facts(unit(1, CANCELLED)), before).cancelled_packages == ()


def test_scan_and_delivery_are_told_with_their_times() -> None:
    order = facts(unit(1, "DELIVERED"), status="DELIVERED", collected_at=NOON - 3 * HOUR, delivered_at=NOON - HOUR)
    (shipment,) = plan(order, known([known_unit(1)], [known_package(is_uploaded=True)])).shipments
    assert (shipment.scanned_at, shipment.delivered_at) == (NOON - 3 * HOUR, NOON - HOUR)


def test_one_scanned_package_does_not_make_the_other_scanned() -> None:
    order = facts(
        unit(1, "IN_TRANSIT", channel_package_id="1"), unit(2, SHIPPED, channel_package_id="2"), status=SHIPPED
    )
    scans = {entry.channel_package_id: entry.scanned_at for entry in plan(order).shipments}
    assert scans == {"1": NOON, "2": None}


# Addresses


def address(**values: str | None) -> RecipientFacts:
    whole: dict[str, Any] = {"street1": "400 Birch Way", "city": "Austin", "state": "TX", "zip": "78704"}
    return RecipientFacts(**(whole | values))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (address(), False),
        (address(street1="401 Birch Way"), True),
        (address(zip="78705"), True),
        (address(street1="400 BIRCH WAY"), False),
        (address(street1="4** B***"), False),  # masked since: says nothing
        (address(street1=None), False),
        (address(street2="Apt 2"), False),
        (None, False),
    ],
)
def test_only_a_readable_difference_is_another_address(new: RecipientFacts | None, expected: bool) -> None:
    assert address_changed(known(recipient=address()), facts(recipient=new)) is expected


def test_an_address_that_becomes_readable_is_no_other_one() -> None:
    masked = address(street1="4** B***", zip="78704")
    assert not address_changed(known(recipient=masked), facts(recipient=address()))
    assert address_changed(known(recipient=masked), facts(recipient=address(zip="90001")))


def test_the_channels_own_flag_counts_once() -> None:
    updated = facts(has_updated_address=True, recipient=address(street1="4***"))
    assert address_changed(known(), updated)
    assert not address_changed(known(has_updated_address=True), updated)


def test_a_new_order_has_no_changed_address() -> None:
    assert not plan(facts(unit(1), has_updated_address=True)).address_changed
    assert plan(facts(unit(1), has_updated_address=True), known([known_unit(1)], [known_package()])).address_changed


# Any history


histories = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([OPEN, SHIPPED, "IN_TRANSIT", "DELIVERED", CANCELLED, "ON_HOLD", "NEW_WORD"]),
            st.sampled_from(["A", "B"]),
        ),
        min_size=3,
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(histories, st.sampled_from([OPEN, "PARTIALLY_SHIPPING", SHIPPED, CANCELLED, "NEW_WORD"]), st.booleans())
def test_any_history_keeps_every_unit_to_be_shipped_in_one_live_package(
    history: list[list[tuple[str, str]]], status: str, tells_boxes: bool
) -> None:
    order: KnownOrder | None = None
    has_left = (SHIPPED, "IN_TRANSIT", "DELIVERED")
    for step, words in enumerate(history):
        units = [
            unit(number, word, channel_package_id=box if tells_boxes and word in has_left else None)
            for number, (word, box) in enumerate(words, start=1)
        ]
        change = plan(
            facts(*units, status=status if step == len(history) - 1 else OPEN),
            order,
            first_package=1 + 10 * step,
        )
        order = after(change, order)
        packages = {entry.package_id: entry for entry in order.packages}
        for entry in order.units:
            if entry.state in ("open", "shipped", "unknown"):
                assert entry.package_id is not None
                assert not packages[entry.package_id].is_cancelled
        again = plan(change.facts, order, first_package=999)
        assert again.new_packages == ()
        assert packing(again) == packing(change)
