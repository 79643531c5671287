"""What conditions answer, above all at their ends and where a fact is not known."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.carrier_rule import CarrierRule, Covered, Missed, RuleTable, Unknown, one_choice
from tiktok_erp.model.condition import Band, Condition, band_condition, flag_condition, list_condition
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel, country_code
from tiktok_erp.model.rule import Rules


def parcel(**facts: object) -> Parcel:
    return Parcel(package_id="P000001", **facts)  # type: ignore[arg-type]


def dollars(cents: int) -> Parcel:
    return parcel(order_total=Money(cents, "USD"))


@pytest.mark.parametrize(
    ("band", "inside", "outside"),
    [
        (Band(under=1000, currency="USD"), [0, 999], [1000, 1001]),
        (Band(up_to=1000, currency="USD"), [0, 1000], [1001]),
        (Band(over=1000, currency="USD"), [1001, 99_999], [0, 1000]),
        (Band(at_least=1000, currency="USD"), [1000, 99_999], [0, 999]),
        (Band(at_least=1000, under=3000, currency="USD"), [1000, 2999], [999, 3000]),
        (Band(over=1000, up_to=3000, currency="USD"), [1001, 3000], [1000, 3001]),
    ],
)
def test_the_words_of_a_money_band_say_which_end_is_inside(band: Band, inside: list[int], outside: list[int]) -> None:
    answer = band_condition("order_total", band).answer
    assert [answer(dollars(cents)) for cents in inside] == [True] * len(inside)
    assert [answer(dollars(cents)) for cents in outside] == [False] * len(outside)


def test_the_words_of_a_weight_band_say_which_end_is_inside() -> None:
    answer = band_condition("weight_g", Band(over=0, up_to=450)).answer
    assert [answer(parcel(weight_g=grams)) for grams in (0, 1, 450, 451)] == [False, True, True, False]


def test_hours_keep_their_fractions_at_both_ends() -> None:
    answer = band_condition("hours_left", Band(over=Decimal("1.5"), under=Decimal(6))).answer
    hours = ("1.5", "1.51", "5.99", "6", "-3")
    assert [answer(parcel(hours_left=Decimal(text))) for text in hours] == [False, True, True, False, False]


def test_an_amount_in_another_currency_is_not_compared() -> None:
    answer = band_condition("order_total", Band(under=1000, currency="USD")).answer
    assert answer(parcel(order_total=Money(1, "EUR"))) is None


CONDITIONS: list[Condition] = [
    band_condition("order_total", Band(under=1000, currency="USD")),
    band_condition("weight_g", Band(under=1000)),
    band_condition("item_count", Band(under=10)),
    band_condition("hours_left", Band(under=Decimal(10))),
    *[
        list_condition(key, ["A"])
        for key in ("state", "country", "zip", "sku", "all_skus", "channel", "shipping_type", "fulfillment_type")
    ],
    *[list_condition(key, ["A"]) for key in ("delivery_option", "creator", "warehouse")],
    *[flag_condition(key, True) for key in ("presale", "sample", "gift", "has_note")],
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.key)
def test_a_fact_that_is_not_known_is_neither_a_yes_nor_a_no(condition: Condition) -> None:
    assert condition.answer(parcel()) is None
    assert condition.seen(parcel()) == ""


@pytest.mark.parametrize(
    ("state", "country", "expected"),
    [
        ("CA", "US", True),
        ("ca", "US", True),
        ("California", "US", True),
        ("  new  york ", "US", False),
        ("NY", None, False),
        ("", "US", None),
        ("Kalifornien", "US", None),
        ("Kalifornien", None, None),
        ("Ontario", "CA", False),
    ],
)
def test_a_state_is_understood_by_code_and_by_name(state: str, country: str | None, expected: bool | None) -> None:
    assert list_condition("state", ["CA"]).answer(parcel(state=state, country=country)) is expected


@pytest.mark.parametrize(
    ("country", "expected"), [("US", True), ("United States", True), ("USA", True), ("GB", False), ("Elsewhere", None)]
)
def test_a_country_is_understood_by_code_and_by_name(country: str, expected: bool | None) -> None:
    assert list_condition("country", ["US"]).answer(parcel(country=country)) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("90012", True),
        ("90012-1234", True),
        ("93599", True),
        ("93600", False),
        ("89999", False),
        ("02139", True),
        ("02239", False),
        ("787**", None),
        ("2139", None),  # a spreadsheet took the leading zero
        ("", None),
    ],
)
def test_a_zip_code_is_matched_by_its_start(code: str, expected: bool | None) -> None:
    assert list_condition("zip", ["900-935", "021"]).answer(parcel(zip=code, country="US")) is expected


def test_one_sku_is_enough_for_sku_and_all_are_needed_for_all_skus() -> None:
    mixed = parcel(skus=("MUG-RED", "SHIRT-1"))
    assert list_condition("sku", ["MUG-*"]).answer(mixed) is True
    assert list_condition("all_skus", ["MUG-*"]).answer(mixed) is False
    assert list_condition("all_skus", ["MUG-*", "SHIRT-?"]).answer(mixed) is True


def test_brackets_in_a_sku_are_plain_characters() -> None:
    answer = list_condition("sku", ["A[1]*"]).answer
    assert answer(parcel(skus=("A[1]-RED",))) is True
    assert answer(parcel(skus=("A1-RED",))) is False


def test_tags_are_never_unknown_and_ignore_case() -> None:
    answer = list_condition("tags", ["Fragile"]).answer
    assert answer(parcel(tags=("fragile", "new"))) is True
    assert answer(parcel()) is False


def test_a_creator_is_named_with_or_without_the_at_sign() -> None:
    answer = list_condition("creator", ["@Mia.Lives"]).answer
    assert [answer(parcel(creator=name)) for name in ("mia.lives", "@MIA.LIVES", "someone", "")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_empty_note_is_known_to_be_none() -> None:
    answer = flag_condition("has_note", True).answer
    assert [answer(parcel(buyer_note=note)) for note in ("please hurry", " ", "")] == [True, False, False]


def test_a_certain_no_outweighs_what_is_not_known() -> None:
    rule = one_choice(
        "light ones to California",
        "ups",
        "ground",
        (band_condition("weight_g", Band(up_to=450)), list_condition("state", ["CA"])),
    )
    assert rule.verdict(parcel(state="NY")) == Missed("state", "NY")
    assert rule.verdict(parcel(state="CA")) == Unknown("weight_g")
    assert rule.verdict(parcel(state="CA", weight_g=450)) == Covered()


def test_a_verdict_shows_an_amount_that_it_could_not_compare() -> None:
    rule = one_choice("r", "ups", "ground", (band_condition("order_total", Band(under=1000, currency="USD")),))
    assert rule.verdict(parcel(order_total=Money(500, "EUR"))) == Unknown("order_total", "5.00 EUR")


def test_a_verdict_shows_no_more_than_the_region_of_a_zip_code_and_nothing_of_a_note() -> None:
    asked = one_choice("r", "ups", "ground", (list_condition("zip", ["021"]),))
    assert asked.verdict(parcel(zip="90210", country="US")) == Missed("zip", "902")
    noted = one_choice("r", "ups", "ground", (flag_condition("has_note", False),))
    assert noted.verdict(parcel(buyer_note="leave it with my neighbour")) == Missed("has_note", "true")


def test_conditions_say_what_they_want() -> None:
    texts = [
        str(band_condition("order_total", Band(at_least=1000, under=2550, currency="USD"))),
        str(list_condition("state", ["NY", "CA"])),
        str(flag_condition("gift", True)),
    ]
    assert texts == ["order_total at_least 10.00 USD under 25.50 USD", "state CA, NY", "gift true"]


NUMBERS = st.integers(min_value=0, max_value=3000)
ENDS = st.fixed_dictionaries({}, optional={"at_least": NUMBERS, "up_to": NUMBERS}).filter(bool) | st.fixed_dictionaries(
    {}, optional={"over": NUMBERS, "under": NUMBERS}
).filter(bool)
RULE_LISTS = st.lists(
    st.tuples(
        st.none() | ENDS.map(lambda ends: band_condition("weight_g", Band(**ends))),
        st.none() | st.sets(st.sampled_from(["CA", "NY", "TX"]), min_size=1).map(lambda s: list_condition("state", s)),
        st.none() | st.booleans().map(lambda flag: flag_condition("gift", flag)),
    ),
    max_size=8,
).map(
    lambda entries: tuple(
        one_choice(f"rule {place}", "ups", "ground", tuple(one for one in entry if one is not None))
        for place, entry in enumerate(entries)
    )
)
PARCELS = st.builds(
    Parcel,
    package_id=st.just("P1"),
    weight_g=st.none() | NUMBERS,
    state=st.none() | st.sampled_from(["CA", "NY", "TX", "WA", "California", "nowhere"]),
    has_gift=st.none() | st.booleans(),
)


@given(RULE_LISTS, st.lists(PARCELS, max_size=6))
def test_the_table_agrees_with_the_verdict_of_every_rule(rules: tuple[CarrierRule, ...], parcels: list[Parcel]) -> None:
    table = RuleTable(rules)
    for one in parcels * 2:  # the second time from what was remembered
        verdicts = [(rule, rule.verdict(one)) for rule in rules]
        expected = [(rule, verdict == Covered()) for rule, verdict in verdicts if not isinstance(verdict, Missed)]
        assert list(table.candidates(one)) == expected


@pytest.mark.parametrize(("text", "code"), [("us", "US"), ("UK", "GB"), ("United  States", "US"), ("Freedonia", None)])
def test_countries_are_found_by_code_and_name(text: str, code: str | None) -> None:
    assert country_code(text) == code


def test_secrets_and_addresses_do_not_show_in_the_text_of_the_rules() -> None:
    from tiktok_erp.model.rule import Alerts, ShipFrom, Shop

    sender = ShipFrom("Ann Example", "1 Side St", "Ontario", "CA", "91761", phone="9095550199")
    shown = repr(Rules(shop=Shop(ship_from=sender), alerts=Alerts(("mailto://me:secret@mail.example",))))
    assert not any(word in shown for word in ("secret", "Ann Example", "Side St", "9095550199"))
