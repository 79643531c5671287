"""Groups of conditions, and the facts that were added to what a package may be asked."""

from __future__ import annotations

from itertools import product

import pytest

from tiktok_erp.model.condition import (
    Band,
    Condition,
    all_hold,
    band_condition,
    flag_condition,
    group_condition,
    list_condition,
)
from tiktok_erp.model.parcel import Parcel


def parcel(**facts: object) -> Parcel:
    return Parcel(package_id="P000001", **facts)  # type: ignore[arg-type]


PRESALE, GIFT = flag_condition("presale", True), flag_condition("gift", True)
THREE = (True, False, None)


@pytest.mark.parametrize(("presale", "gift"), list(product(THREE, THREE)))
def test_groups_answer_yes_no_and_unknown_as_logic_wants(presale: bool | None, gift: bool | None) -> None:
    one = parcel(is_presale=presale, has_gift=gift)
    anything = True if True in (presale, gift) else None if None in (presale, gift) else False
    everything = False if False in (presale, gift) else None if None in (presale, gift) else True
    assert group_condition("any", [[PRESALE], [GIFT]]).answer(one) is anything
    assert group_condition("all", [[PRESALE], [GIFT]]).answer(one) is everything
    assert all_hold([PRESALE, GIFT], one) is everything
    nothing = group_condition("not", [[PRESALE, GIFT]]).answer(one)
    assert nothing is (None if everything is None else not everything)


def test_a_group_names_the_fact_that_leaves_it_open() -> None:
    deep = group_condition("not", [[group_condition("any", [[PRESALE], [band_condition("weight_g", Band(over=9))]])]])
    assert deep.undecided(parcel(is_presale=False)).key == "weight_g"
    assert deep.fact_keys == ("presale", "weight_g")


def test_a_group_looks_at_all_the_facts_of_its_parts() -> None:
    group = group_condition("any", [[PRESALE], [GIFT, list_condition("state", ["CA"])]])
    facts = {group.fact(parcel(is_presale=a, has_gift=b, state=c)) for a, b, c in product(THREE, THREE, ("CA", "NY"))}
    assert len(facts) == 18


def test_groups_that_want_different_things_are_different() -> None:
    assert group_condition("any", [[PRESALE]]) != group_condition("any", [[GIFT]])
    assert group_condition("any", [[PRESALE]]) == group_condition("any", [[flag_condition("presale", True)]])


@pytest.mark.parametrize(
    ("condition", "facts", "answer"),
    [
        (list_condition("buyer_note", ["*fragile*"]), {"buyer_note": "Very FRAGILE, thanks"}, True),
        (list_condition("buyer_note", ["*fragile*"]), {"buyer_note": ""}, False),
        (list_condition("buyer_note", ["*fragile*"]), {}, None),
        (list_condition("live_session", ["Friday night"]), {"live_sessions": ("757", "friday night")}, True),
        (list_condition("live_session", ["757"]), {"live_sessions": ()}, False),
        (list_condition("live_session", ["757"]), {}, None),
        (flag_condition("live", True), {"live_sessions": ("757",)}, True),
        (flag_condition("live", False), {"live_sessions": ()}, True),
        (flag_condition("has_creator", True), {"creator": "mia"}, True),
        (flag_condition("has_creator", True), {"creator": ""}, False),
        (flag_condition("military", True), {"is_military": True}, True),
        (flag_condition("po_box", True), {}, None),
        (flag_condition("residential", True), {}, None),
        (band_condition("repeat_orders", Band(at_least=2)), {"repeat_orders": 2}, True),
        (band_condition("repeat_orders", Band(at_least=2)), {}, None),
    ],
    ids=str,
)
def test_what_a_package_may_be_asked(condition: Condition, facts: dict[str, object], answer: bool | None) -> None:
    assert condition.answer(parcel(**facts)) is answer


def test_the_buyers_words_are_not_shown() -> None:
    note = list_condition("buyer_note", ["*fragile*"])
    assert "secret" not in note.seen(parcel(buyer_note="my secret"))
