"""What people type as carriers print it: no house number changes, and what would need a guess stops."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiktok_erp.model.address import Address, clean, clean_address, fit_lines, line_length, phone_of
from tiktok_erp.model.plain_text import latin

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u30fc"
APOSTROPHES = "'\u2018\u2019\u02bc\u02bb\u2032\u00b4\uff07"


@pytest.mark.parametrize("dash", DASHES)
def test_every_dash_between_numbers_stays_a_dash(dash: str) -> None:
    assert latin(f"39{dash}15 Bell Blvd") == latin(clean(f"39{dash}15 Bell Blvd") or "") == "39-15 Bell Blvd"


@pytest.mark.parametrize("apostrophe", APOSTROPHES)
def test_every_apostrophe_becomes_the_plain_one(apostrophe: str) -> None:
    assert latin(clean(f"O{apostrophe}Neil") or "") == "O'Neil"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1234½ Elm St", "1234 1/2 Elm St"),
        ("12 ½ Elm St", "12 1/2 Elm St"),
        ("12 1/2 Elm St", "12 1/2 Elm St"),
        ("12 1\u20442 Elm St", "12 1/2 Elm St"),
        ("7¼ Oak", "7 1/4 Oak"),
        ("7⅓ Oak", "7 1/3 Oak"),
        ("12² Elm", "12 2 Elm"),
        ("１２－３　Ｍａｉｎ", "12-3 Main"),
        ("١٢ Elm", "12 Elm"),
        ("Mia \U0001f338 Rose", "Mia Rose"),
        ("Mia\U0001f338Rose", "Mia Rose"),
        ("Ş. Łukasz Çığ, Straße 5, Ørsted, Ñuñoa", "S. Lukasz Cig, Strasse 5, Orsted, Nunoa"),
        ("Apt №5", "Apt No 5"),
        ("2º ﬁne & co", "2o fine & co"),
        ("12\u200b\u200d\u202c Elm\x00\u00a0Row", "12 Elm Row"),
    ],
)
def test_what_can_be_made_plain_is(text: str, plain: str) -> None:
    assert latin(text) == latin(clean(text) or "") == plain


@pytest.mark.parametrize(
    "text", ["上海", "ул. Ленина 4", "شارع", "39\u202215 Elm", "12\U0001f33834 Elm", "39\u00ad15", "121\u20442 Elm"]
)
def test_what_would_need_a_guess_is_not_made_plain(text: str) -> None:
    assert latin(text) is None
    assert latin(clean(text) or "") is None


def digits(text: str) -> list[str]:
    """Return the digits in their order, those of fractions and other numbers as they are written out."""
    return re.findall(r"[0-9]", unicodedata.normalize("NFKC", text).translate({}))


HOUSE = st.text(
    st.sampled_from("0123456789 -/ABé½¼⅓²①１２３" + DASHES + APOSTROPHES + "#&.,º№\u200b\u00a0\U0001f338"), max_size=14
)


@given(HOUSE)
@settings(max_examples=300)
def test_no_digit_of_a_house_number_changes_its_place(text: str) -> None:
    plain = latin(text)
    assert plain is None or digits(plain) == digits(text)


@given(HOUSE)
@settings(max_examples=300)
def test_no_two_numbers_are_glued_together(text: str) -> None:
    plain = latin(text)
    apart = re.findall(r"[0-9]+", re.sub(r"[^0-9]", " ", re.sub(r"\u200b", "", text)))
    if plain is not None and not re.search("[½¼⅓²①１２３]", text):
        assert re.findall(r"[0-9]+", plain) == apart


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_making_plain_twice_changes_nothing(text: str) -> None:
    plain = latin(text)
    assert plain is None or (latin(plain) == plain and plain.isascii())


@given(st.lists(st.text(st.sampled_from("abc 12é-"), max_size=40).map(str.strip).filter(bool), min_size=1, max_size=2))
def test_lines_that_are_broken_anew_lose_nothing_and_keep_within_what_was_measured(lines: list[str]) -> None:
    length = line_length(lines)
    assert length is not None
    broken = fit_lines(lines, length)
    assert len(broken) <= 2 and max(len(latin(line) or line) for line in broken) <= length
    assert (latin(" ".join(broken)) or "").split() == (latin(" ".join(lines)) or "").split()


WHOLE = Address("Ada Example", "12 Elm Row", None, "New York", "NY", "10001", "US", "2125550100")


@pytest.mark.parametrize(
    "phone",
    ["(+1)2125550100", "+1 212 555 0100", "212-555-0100", "+0012125550100", "(+1)12125550100", "２１２５５５０１００"],
)
def test_a_telephone_number_that_can_be_called_is_one(phone: str) -> None:
    assert phone_of(clean_address(Address(country="US", phone=phone)), "US") is not None


@pytest.mark.parametrize(
    "phone",
    [
        "(+1)213-***-1234",
        "213-XXX-1234",
        "213xxx1234",
        "(+1)213••••123",
        "213●●●1234",
        "",
        None,
        "213555",
        "213-555-CALL",
        "0000000000",
        "(***)****",
    ],
)
def test_a_masked_or_short_telephone_number_is_none(phone: str | None) -> None:
    assert phone_of(clean_address(Address(country="US", phone=phone)), "US") is None


def test_an_extension_is_left_out() -> None:
    assert phone_of(Address(country="US", phone="212-555-0100 ext. 12"), "US") == "212-555-0100"


@pytest.mark.parametrize(
    ("country", "state", "city", "code", "expected"),
    [
        ("Puerto Rico", None, "Ponce", "730", ("PR", "Ponce", "00730")),
        ("Puerto Rico", "San Juan", None, "00901", ("PR", "San Juan", "00901")),
        ("PR", "PR", "Ponce", "00730", ("PR", "Ponce", "00730")),
        ("Guam", "", "Hagatna", "96910", ("GU", "Hagatna", "96910")),
        ("U.S. Virgin Islands", "St. Thomas", "Charlotte Amalie", "802", ("VI", "Charlotte Amalie", "00802")),
        ("AS", None, "Pago Pago", "96799", ("AS", "Pago Pago", "96799")),
        ("Northern Mariana Islands", None, "Saipan", "96950", ("MP", "Saipan", "96950")),
        ("Palau", None, "Koror", "96940", ("PW", "Koror", "96940")),
        ("Germany", None, "APO", "9012", ("AE", "APO", "09012")),
        ("US", None, "FPO AP", "96601", ("AP", "FPO AP", "96601")),
        ("US", "MA", "Boston", "2139", ("MA", "Boston", "02139")),
        ("US", "NJ", "Edison", "88171234", ("NJ", "Edison", "08817-1234")),
        ("US", "NY", "New York", "1001", ("NY", "New York", "1001")),
    ],
)
def test_territories_and_posts_of_the_forces_are_addresses_of_the_united_states(
    country: str, state: str | None, city: str | None, code: str, expected: tuple[str, str, str]
) -> None:
    address = clean_address(Address("A", "1 Elm", None, city, state, code, country))
    assert (address.country, address.state, address.city, address.zip) == ("US", *expected)
    assert clean_address(address) == address


def test_the_emirates_are_no_post_of_the_forces() -> None:
    assert clean_address(Address("A", "1 Elm", None, "Dubai", None, None, "AE")).country == "AE"
