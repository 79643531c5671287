"""Tracking numbers against the published vectors of the carriers reference, section 6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.tracking_number import barcode_matches, check

USPS = ("9400111206206406260787", "9405803699300124287899", "9400100208303109505657", "92748931507708513018050063")
UPS = ("1Z5R89390357567127", "1Z879E930346834440", "1ZXX3150YW44070023", "1Z12345E6605272234", "1Z999AA10123456784")
FEDEX = ("986578788855", "799531274483", "123456789012", "041441760228964", "568283610012000")
FEDEX_34 = "1001921334250001000300779017972697"
FNC1 = b"\x1d"


def gs1_check_digit(digits: str) -> str:
    """Counted anew here, from the left, so that the module's own arithmetic does not confirm itself."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += int(digit) * (3 if place % 2 == 0 else 1)
    return str(-total % 10)


@pytest.mark.parametrize(
    ("carrier", "number"),
    [*(("usps", n) for n in USPS), *(("ups", n) for n in UPS), *(("fedex", n) for n in FEDEX), ("fedex", FEDEX_34)],
)
def test_published_numbers_are_valid_for_their_carrier(carrier: str, number: str) -> None:
    result = check(number, carrier)
    assert (result.verdict, result.ok, result.detail) == ("valid", True, "")
    assert carrier in result.detected_carriers


@pytest.mark.parametrize(
    ("carrier", "number"),
    [
        ("usps", "9434611206206407667131"),
        ("ups", "1Z1111111111111111"),
        ("fedex", "996578788855"),
        ("fedex", "568283610012732"),
        ("ups", "1Z12345E0205271688"),
        ("usps", "9400100000000000000000"),
        ("usps", "9205500000000000000000"),
    ],
)
def test_published_wrong_numbers_and_false_samples_fail_their_check_digit(carrier: str, number: str) -> None:
    result = check(number, carrier)
    assert (result.verdict, result.ok) == ("bad_check_digit", False)
    assert result.detail


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("420787459400111206206406260787", "9400111206206406260787"),
        ("420 78745-1234 9400 1112 0620 6406 2607 87", "9400111206206406260787"),
        ("4207874592748931507708513018050063", "92748931507708513018050063"),
        ("420787451234" + "92748931507708513018050063", "92748931507708513018050063"),
        ("9400 1112 0620 6406 2607 87", "9400111206206406260787"),
        ("9400-1112-0620-6406-2607-87", "9400111206206406260787"),
    ],
)
def test_zip_prefix_spaces_and_hyphens_are_dropped_from_a_usps_number(written: str, bare: str) -> None:
    result = check(written, "usps")
    assert (result.verdict, result.normalised) == ("valid", bare)


def test_a_lower_case_ups_number_is_the_same_number() -> None:
    assert check("1z5r89390357567127", "ups").normalised == "1Z5R89390357567127"


def test_the_number_inside_a_fedex_barcode_is_the_tracking_number() -> None:
    assert check(FEDEX_34, "fedex").normalised == "779017972697"
    assert check("9611020987654312345672", "fedex").normalised == "987654312345672"


def test_the_twenty_digit_form_counts_with_and_without_91() -> None:
    plain = "0307179000052348374"
    assert check(plain + gs1_check_digit(plain), "usps").verdict == "valid"
    assert check(plain + gs1_check_digit("91" + plain), "usps").verdict == "valid"


def test_fedex_ground_economy_numbers_are_fedex_s_although_the_post_has_the_same_form() -> None:
    assert check("9261292700768711948021", "fedex").verdict == "valid"
    assert check("61299998820821171811", "fedex").verdict == "valid"


@pytest.mark.parametrize(
    ("number", "verdict"),
    [("RB123456785US", "valid"), ("RB123456786US", "bad_check_digit"), ("LX123456785CN", "valid")],
)
def test_postal_numbers_of_two_letters_and_a_country_are_checked(number: str, verdict: str) -> None:
    assert check(number, "usps").verdict == verdict
    assert check(number, None).verdict == verdict


@pytest.mark.parametrize(
    ("carrier", "number", "others"),
    [
        ("ups", "9400111206206406260787", ("usps",)),
        ("usps", "1Z5R89390357567127", ("ups",)),
        ("usps", "986578788855", ("fedex",)),
        ("fedex", "9400111206206406260787", ("usps",)),
    ],
)
def test_another_carrier_s_number_is_named_as_such(carrier: str, number: str, others: tuple[str, ...]) -> None:
    result = check(number, carrier)
    assert (result.verdict, result.ok, result.detected_carriers) == ("other_carrier", False, others)


@pytest.mark.parametrize("number", ["", "123", "x" * 51, "94001112 0620640626078!", "９４００１１１２０６２０", "a b"])
def test_the_platform_s_own_form_comes_first(number: str) -> None:
    for carrier in ("usps", "gofo", None):
        assert check(number, carrier).verdict == "bad_format"


@pytest.mark.parametrize("carrier", ["usps", "ups", "fedex"])
def test_a_carrier_with_rules_has_no_numbers_of_other_forms(carrier: str) -> None:
    assert check("GFUS01028374651", carrier).verdict == "bad_format"
    assert check("576461413038785752", carrier).verdict == "bad_format"


@pytest.mark.parametrize(
    "number", ["GFUS01028374651", "986578788855", "996578788855", "UUS58Q1234567890123", "a-b_c.d/e"]
)
def test_a_carrier_without_published_check_digit_is_checked_for_its_form_only(number: str) -> None:
    result = check(number, "gofo")
    assert (result.verdict, result.ok, result.normalised) == ("unchecked", True, number)
    assert "gofo" in result.detail


def test_a_ups_number_of_the_older_kind_is_accepted_unchecked() -> None:
    assert check("H1234567890", "ups").verdict == "unchecked"


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        ("9400111206206406260787", "valid"),
        ("1Z5R89390357567127", "valid"),
        ("986578788855", "valid"),
        ("9434611206206407667131", "bad_check_digit"),
        ("1Z1111111111111111", "bad_check_digit"),
        ("GFUS01028374651", "unchecked"),
        ("996578788855", "unchecked"),
    ],
)
def test_without_a_carrier_only_an_unmistakable_form_can_be_wrong(number: str, verdict: str) -> None:
    assert check(number, None).verdict == verdict


@given(
    body=st.text("0123456789", min_size=19, max_size=19) | st.text("0123456789", min_size=23, max_size=23),
    prefix=st.sampled_from(["91", "92", "93", "94", "95"]),
    place=st.integers(min_value=0),
    step=st.integers(min_value=1, max_value=9),
)
def test_one_wrong_digit_in_a_usps_number_is_always_caught(body: str, prefix: str, place: int, step: int) -> None:
    number = prefix + body + gs1_check_digit(prefix + body)
    assert check(number, "usps").verdict == "valid"
    index = place % len(number)
    mutated = number[:index] + str((int(number[index]) + step) % 10) + number[index + 1 :]
    assert not check(mutated, "usps").ok


@given(text=st.text(max_size=60), carrier=st.sampled_from([None, "usps", "ups", "fedex", "gofo"]))
def test_any_text_gets_an_answer(text: str, carrier: str | None) -> None:
    result = check(text, carrier)
    assert result.ok == (result.verdict in ("valid", "unchecked"))
    assert bool(result.detail) == (result.verdict != "valid")


@pytest.mark.parametrize(
    "payload",
    [
        b"9400111206206406260787",
        b"420787459400111206206406260787",
        b"4207874512349400111206206406260787",
        FNC1 + b"42078745" + FNC1 + b"9400111206206406260787",
        b"420787451234" + FNC1 + b"9400111206206406260787",
        b"]C1" + b"42078745" + FNC1 + b"9400111206206406260787",
        b"(420)78745(94)00111206206406260787",
        b"9400 1112 0620 6406 2607 87",
    ],
)
def test_every_form_of_a_usps_barcode_matches_its_number(payload: bytes) -> None:
    assert barcode_matches(payload, "9400111206206406260787") is True


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (FEDEX_34.encode(), "779017972697"),
        (b"9611020987654312345672", "987654312345672"),
        (b"1Z5R89390357567127", "1Z5R89390357567127"),
        (b"1Z5R89390357567127", "1z 5r8 939 03 5756 7127"),
        (b"42078745" + FNC1 + b"92748931507708513018050063", "92748931507708513018050063"),
        (b"GFUS01028374651", "GFUS01028374651"),
        (b"9400111206206406260787", "420787459400111206206406260787"),
    ],
)
def test_a_barcode_matches_the_number_it_carries(payload: bytes, number: str) -> None:
    assert barcode_matches(payload, number) is True


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (b"42078745" + FNC1 + b"9405803699300124287899", "9400111206206406260787"),
        (b"1Z879E930346834440", "1Z5R89390357567127"),
        (b"1Z879E930346834440", "9400111206206406260787"),
        (FEDEX_34.encode(), "986578788855"),
        (b"799531274483", "986578788855"),
        (b"GFUS01028374652", "GFUS01028374651"),
    ],
)
def test_a_barcode_with_another_tracking_number_contradicts(payload: bytes, number: str) -> None:
    assert barcode_matches(payload, number) is False


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"42078745",
        b"420787451234",
        b"986578788855",
        b"https://www.tiktok.com/shop/9405803699300124287899",
        b"[)>\x1e01\x1d96787450000\x1d840\x1d003\x1dUPSN",
        b"576461413038785752",
        b"P000123",
        b"\xff\xd8\xff",
        "包裹".encode(),
    ],
)
def test_other_codes_on_a_label_prove_nothing(payload: bytes) -> None:
    assert barcode_matches(payload, "9400111206206406260787") is None


def test_without_a_number_there_is_nothing_to_compare() -> None:
    assert barcode_matches(b"9400111206206406260787", "") is None


@given(payload=st.binary(max_size=80))
def test_any_payload_gets_an_answer(payload: bytes) -> None:
    assert barcode_matches(payload, "9400111206206406260787") in (True, False, None)


@pytest.mark.parametrize(
    ("number", "carrier", "verdict"),
    [
        ("92748901790175543400811852", "ups", "valid"),
        ("42078704" + "92748901790175543400811852", "ups", "valid"),
        ("92748901790175543400811860", "ups", "bad_check_digit"),
        ("92748901790175543400811860", "ups_mail_innovations", "bad_check_digit"),
        ("92748901790175543400811852", "ups_mail_innovations", "valid"),
        ("801184000000000123", "ups", "unchecked"),
        ("801184000000000123", "ups_mail_innovations", "unchecked"),
        ("9400111206206406260787", "ups", "other_carrier"),
        ("9400111206206406260787", "dhl_ecommerce", "valid"),
        ("9400111206206406260788", "pitney_bowes", "bad_check_digit"),
        ("GM60511234500000001", "dhl_ecommerce", "unchecked"),
    ],
)
def test_a_parcel_that_the_post_delivers_has_a_number_of_the_post(number: str, carrier: str, verdict: str) -> None:
    assert check(number, carrier).verdict == verdict
