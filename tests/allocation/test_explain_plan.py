"""What `rules explain` says is what `allocate` does, for whatever rules and packages."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiktok_erp.allocation.explain_plan import explain, result_of
from tiktok_erp.allocation.plan import Allocation, Held, NotAllocated, plan_allocation
from tiktok_erp.config.rules_file import load_rules_text
from tiktok_erp.model.carrier_rule import CarrierRule, Choice, Extras, Rate, RateTable, Use
from tiktok_erp.model.condition import (
    Band,
    Condition,
    band_condition,
    flag_condition,
    group_condition,
    list_condition,
)
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Rules

CHOICES = [
    Choice("usps", "ground_advantage"),
    Choice("ups", "ground"),
    Choice("fedex", "2day"),
    Choice("uniuni", "std"),
]

LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.integers(0, 4000).map(lambda cents: band_condition("order_total", Band(under=cents + 1, currency="USD"))),
    st.integers(0, 900).map(lambda grams: band_condition("weight_g", Band(at_least=grams))),
    st.integers(0, 3).map(lambda count: band_condition("repeat_orders", Band(at_least=count))),
    st.sets(st.sampled_from(["CA", "NY", "PR"]), min_size=1).map(lambda states: list_condition("state", states)),
    st.sampled_from(["presale", "gift", "military", "po_box", "residential", "live", "has_note"]).flatmap(
        lambda key: st.booleans().map(lambda wanted: flag_condition(key, wanted))
    ),
    st.sampled_from(["*fragile*", "?"]).map(lambda glob: list_condition("buyer_note", [glob])),
)
GROUPS = st.lists(st.lists(LEAVES, min_size=1, max_size=2), min_size=1, max_size=3)
CONDITIONS = st.one_of(
    LEAVES,
    st.tuples(st.sampled_from(["any", "all"]), GROUPS).map(lambda pair: group_condition(*pair)),
    st.lists(LEAVES, min_size=1, max_size=2).map(lambda group: group_condition("not", [group])),
)
USES = st.builds(
    Use,
    st.lists(st.sampled_from(CHOICES), min_size=1, max_size=3, unique=True).map(tuple),
    st.sampled_from(["order", "cheapest", "fastest"]),
    st.sampled_from([None, Money(700, "USD")]),
)

# Choices are the subject there, not whose labels TikTok takes.
ANY_LABELS = "channels: {tiktok: {own_labels_by: any}}\n"


@st.composite
def rule_files(draw: st.DrawFn) -> Rules:
    rules = []
    for number in range(draw(st.integers(1, 6))):
        conditions = tuple({one.key: one for one in draw(st.lists(CONDITIONS, max_size=3))}.values())
        kind = draw(st.sampled_from(["use", "use", "hold", "quarantine", "add"]))
        then = tuple(draw(st.lists(st.sampled_from(CHOICES), max_size=1)))
        rules.append(
            CarrierRule(
                f"rule {number}",
                draw(USES) if kind == "use" else None,
                conditions,
                then if kind == "use" else (),
                Extras(tags=(f"t{number}",)) if kind == "add" else Extras(),
                "why" if kind == "hold" else None,
                "why" if kind == "quarantine" else None,
            )
        )
    rates = draw(
        st.lists(
            st.builds(
                Rate,
                st.sampled_from(CHOICES),
                st.integers(100, 2000).map(lambda minor: Money(minor, "USD")),
                st.lists(LEAVES, max_size=1).map(tuple),
                st.sampled_from([None, 2, 5]),
            ),
            max_size=5,
        )
    )
    return Rules(carriers=tuple(rules), rates=RateTable(tuple(rates)))


MAYBE = st.sampled_from([None, True, False])
PARCELS = st.builds(
    Parcel,
    package_id=st.just("P000001"),
    channel=st.sampled_from(["tiktok", None]),
    order_total=st.sampled_from([None, Money(500, "USD"), Money(3500, "USD"), Money(500, "EUR")]),
    weight_g=st.sampled_from([None, 100, 800, 40_000]),
    state=st.sampled_from([None, "CA", "NY", "PR", "AE"]),
    country=st.just("US"),
    shipping_type=st.sampled_from([None, "TIKTOK", "SELLER"]),
    is_presale=MAYBE,
    has_gift=MAYBE,
    buyer_note=st.sampled_from([None, "", "x", "very FRAGILE things"]),
    repeat_orders=st.sampled_from([None, 0, 2]),
    live_sessions=st.sampled_from([None, (), ("77",)]),
    is_military=MAYBE,
    is_po_box=MAYBE,
    is_residential=MAYBE,
    has_phone=MAYBE,
    longest_line=st.sampled_from([None, 20, 40, 60]),
    hours_left=st.sampled_from([None, Decimal(3)]),
    refused=st.sets(st.sampled_from(CHOICES), max_size=2).map(frozenset),
    overrides=st.sets(st.sampled_from(["held_by_rule", "quarantined_by_rule", "po_box", "no_phone"]), max_size=2).map(
        frozenset
    ),
)


@given(rule_files(), PARCELS)
@settings(max_examples=600)
def test_explaining_agrees_with_allocating(rules: Rules, parcel: Parcel) -> None:
    decision = plan_allocation(parcel, rules)
    explained = explain(parcel, rules)
    assert explained.decision == decision
    assert [answer.rule for answer in explained.answers] == [rule.name for rule in rules.carriers]
    deciding = [answer for answer in explained.answers if answer.decides]
    assert len(deciding) <= 1
    if isinstance(decision, Allocation | Held):
        assert [answer.rule for answer in deciding] == [decision.because]
        assert deciding[0].answer == "covers"
    elif decision.cause == "no_rule":
        assert deciding == []
    else:
        assert len(deciding) == 1
    ended = [answer.decides for answer in explained.answers].index(True) if deciding else len(explained.answers)
    assert all(answer.answer in ("misses", "passed_over", "adds") for answer in explained.answers[:ended])


@given(rule_files(), PARCELS)
@settings(max_examples=300)
def test_each_package_gets_one_carrier_or_one_cause(rules: Rules, parcel: Parcel) -> None:
    carrier, service_level, rule, cause = result_of(plan_allocation(parcel, rules))
    assert (carrier is None) == (service_level is None) == (cause is not None)
    if carrier is not None:
        chosen = next(one for one in rules.carriers if one.name == rule)
        assert (carrier, service_level) in chosen.choices
        assert (carrier, service_level) not in parcel.refused


@given(rule_files(), PARCELS)
@settings(max_examples=300)
def test_an_own_label_never_goes_where_its_carrier_does_not(rules: Rules, parcel: Parcel) -> None:
    decision = plan_allocation(parcel, rules)
    if not isinstance(decision, Allocation) or parcel.shipping_type == "TIKTOK":
        return
    if decision.carrier in ("ups", "fedex"):
        assert not (parcel.is_po_box and "po_box" not in parcel.overrides)
        assert parcel.state != "PR" and not parcel.is_military
        assert parcel.has_phone is not False or "no_phone" in parcel.overrides


def test_an_explanation_names_the_condition_that_failed_and_what_it_saw() -> None:
    rules = load_rules_text(
        "carriers:\n"
        "  - {name: a, when: {any: [{state: CA}, {weight_g: {over: 900}}]}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: b, when: {not: {gift: true}}, tag: plain}\n"
        "  - {name: c, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    parcel = Parcel(package_id="P1", state="NY", country="US", weight_g=120, has_gift=False, shipping_type="TIKTOK")
    answers = explain(parcel, rules).answers
    assert [(one.answer, one.condition, one.seen, one.decides) for one in answers] == [
        ("misses", "any (state CA | weight_g over 900)", "state NY, weight_g 120", False),
        ("adds", None, None, False),
        ("covers", None, None, True),
    ]


@pytest.mark.parametrize(
    ("use", "rates", "expected"),
    [
        ("{cheapest: [A, B]}", "[RA 9, RB 6]", "B"),
        ("{cheapest: [A, B]}", "[RA 6, RB 6]", "A"),
        ("{cheapest: [A, B]}", "[RB 6]", "B"),
        ("{fastest: [A, B]}", "[RA 9 2, RB 6 4]", "A"),
        ("{fastest: [A, B], max_cost: 8 USD}", "[RA 9 2, RB 6 4]", "B"),
        ("{fastest: [A, B], max_cost: 5 USD}", "[RA 9 2, RB 6 4]", "no_price"),
        ("{cheapest: [A, B]}", "[]", "no_price"),
        ("{fastest: [A, B]}", "[RA 9, RB 6]", "no_price"),
    ],
)
def test_the_cheapest_and_the_fastest_of_a_list(use: str, rates: str, expected: str) -> None:
    a, b = "{carrier: ups, service_level: ground}", "{carrier: usps, service_level: priority_mail}"
    lines = []
    for entry in rates.strip("[]").split(", ") if rates != "[]" else []:
        name, cost, *days = entry.split()
        choice = (a if name == "RA" else b).strip("{}")
        lines.append(f"{{{choice}, cost: {cost} USD{f', transit_days: {days[0]}' if days else ''}}}")
    text = use.replace("A,", f"{a},").replace("B]", f"{b}]")
    rules = load_rules_text(f"carriers: [{{name: all, use: {text}}}]\nrates: [{', '.join(lines)}]\n" + ANY_LABELS)
    parcel = Parcel(package_id="P1", state="NY", country="US", shipping_type="SELLER", has_phone=True)
    decision = plan_allocation(parcel, rules)
    if isinstance(decision, NotAllocated):
        assert decision.cause == expected
    else:
        assert isinstance(decision, Allocation)
        assert decision.carrier == {"A": "ups", "B": "usps"}[expected]


def test_a_price_that_depends_on_an_unknown_weight_is_no_price() -> None:
    rules = load_rules_text(
        "carriers: [{name: all, use: {cheapest: [{carrier: ups, service_level: ground}]}}]\n"
        "rates: [{carrier: ups, service_level: ground, when: {weight_g: {up_to: 900}}, cost: 9 USD}]\n"
    )
    decision = plan_allocation(Parcel(package_id="P1", shipping_type="SELLER"), rules)
    assert isinstance(decision, NotAllocated) and decision.cause == "unknown_weight"


def test_where_tiktok_chooses_a_missing_price_stops_nothing() -> None:
    rules = load_rules_text("carriers: [{name: all, use: {cheapest: [{carrier: ups, service_level: ground}]}}]\n")
    decision = plan_allocation(Parcel(package_id="P1", shipping_type="TIKTOK"), rules)
    assert isinstance(decision, Allocation)
    assert "TikTok Shipping chooses the carrier itself" in decision.notes[0]


def test_a_list_of_preference_takes_the_first_that_can_go_there() -> None:
    rules = load_rules_text(
        "carriers: [{name: all, use: [{carrier: ups, service_level: ground}, {carrier: usps, service_level: priority_mail}]}]\n"
        + ANY_LABELS
    )
    to_a_box = Parcel(package_id="P1", state="NY", country="US", shipping_type="SELLER", is_po_box=True, has_phone=True)
    decision = plan_allocation(to_a_box, rules)
    assert isinstance(decision, Allocation) and decision.carrier == "usps"
    only_ups = load_rules_text("carriers: [{name: all, use: {carrier: ups, service_level: ground}}]\n")
    decision = plan_allocation(to_a_box, only_ups)
    assert isinstance(decision, NotAllocated) and decision.cause == "po_box"


def test_what_no_first_choice_can_take_goes_by_then() -> None:
    rules = load_rules_text(
        "carriers: [{name: all, use: {carrier: ups, service_level: ground}, then: {carrier: usps, service_level: priority_mail}}]\n"
        + ANY_LABELS
    )
    to_a_box = Parcel(package_id="P1", state="NY", country="US", shipping_type="SELLER", is_po_box=True, has_phone=True)
    decision = plan_allocation(to_a_box, rules)
    assert isinstance(decision, Allocation) and decision.carrier == "usps"
    home = Parcel(package_id="P1", state="NY", country="US", shipping_type="SELLER", has_phone=True)
    decision = plan_allocation(home, rules)
    assert isinstance(decision, Allocation)
    assert (decision.carrier, decision.fallbacks) == ("ups", (Choice("usps", "priority_mail"),))


def test_a_list_leaves_out_what_the_channel_does_not_take() -> None:
    rules = load_rules_text(
        "carriers: [{name: all, use: [{carrier: usps, service_level: priority_mail}, {carrier: ups, service_level: ground}]}]\n"
    )
    own = Parcel(package_id="P1", channel="tiktok", state="NY", country="US", shipping_type="SELLER", has_phone=True)
    decision = plan_allocation(own, rules)
    assert isinstance(decision, Allocation) and decision.carrier == "ups"
