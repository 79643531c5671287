"""Addresses: what is cleaned, what is a PO box or a military post, and what stops an own label."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.address import Address, clean, clean_address, find_fault, is_military, is_po_box

WHOLE = Address("Ada Example", "12 Elm Row", None, "New York", "NY", "10001", "US", "2125550100")
ZIP_CODES = {"10001": frozenset({"NY"}), "90210": frozenset({"CA"}), "59221": frozenset({"MT", "ND"})}


def fault(address: Address, *, skip: frozenset[str] = frozenset()) -> str | None:
    found = find_fault(
        clean_address(address), home="US", states_of_zip=lambda code: ZIP_CODES.get(code, frozenset()), skip=skip
    )
    return None if found is None else found.cause


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  12   Elm\tRow ", "12 Elm Row"),
        ("１２３　Ｍａｉｎ", "123 Main"),
        ("12 Elm\x00 Row\x07", "12 Elm Row"),
        ("12\u200b Elm\u202e Row\ufeff", "12 Elm Row"),
        ("12\u00a0Elm Row", "12 Elm Row"),
        ("12 Elm\nApt 4", "12 Elm Apt 4"),
        ("\u3000 \t", None),
        (None, None),
        ("José Łukasz", "José Łukasz"),
    ],
)
def test_what_a_label_cannot_show_is_cleaned(text: str | None, shown: str | None) -> None:
    assert clean(text) == shown


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("street", "expected"),
    [
        ("PO Box 12", True),
        ("P.O. Box 12", True),
        ("p o box #7", True),
        ("POB 12", True),
        ("Post Office Box 9", True),
        ("Apt 4 P.O.Box 7", True),
        ("Ｐ．Ｏ． Ｂｏｘ ９", True),
        ("Box 55", True),
        ("General Delivery", True),
        ("12 Boxwood Rd", False),
        ("400 Polo Box Ln", False),
        ("PMB 12, 100 Main St", False),
        ("10 Po Boxer St", False),
        ("12 Elm Row", False),
        ("4*** B***", None),
        (None, None),
    ],
)
def test_a_po_box_is_told_from_a_street(street: str | None, expected: bool | None) -> None:
    assert is_po_box(clean_address(replace(WHOLE, street1=street))) is expected


def test_a_po_box_in_the_second_line_is_one() -> None:
    assert is_po_box(replace(WHOLE, street2="PO Box 4")) is True


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": "AE", "city": "APO", "street1": "PSC 3 Box 4"}, True),
        ({"state": "Armed Forces Pacific", "city": "FPO", "street1": "Unit 100 Box 4"}, True),
        ({"state": "NY", "city": "APO"}, True),
        ({"state": "NV", "city": "Reno", "street1": "Unit 5 Box 12"}, False),
        ({"state": None, "city": "A** Y***", "street1": None}, None),
    ],
    ids=str,
)
def test_a_military_post_is_known_by_state_or_city(facts: dict[str, str | None], expected: bool | None) -> None:
    address = replace(WHOLE, **facts)
    assert is_military(address) is expected
    if expected:
        assert not is_po_box(address)


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({}, None),
        ({"zip": "10001-1234"}, None),
        ({"zip": "100011234"}, None),
        ({"state": "New York"}, None),
        ({"zip": "99999"}, None),  # a ZIP that the data does not have may be a new one
        ({"zip": "59221", "state": "ND"}, None),
        ({"zip": "90210"}, "zip_not_in_state"),
        ({"zip": "1001"}, "bad_zip"),
        ({"zip": "SW1A 1AA"}, "bad_zip"),
        ({"state": "Nirvana"}, "bad_state"),
        ({"state": None}, "incomplete_address"),
        ({"name": "\u200b"}, "incomplete_address"),
        ({"street1": None, "street2": "Apt 4"}, "incomplete_address"),
        ({"zip": None}, "incomplete_address"),
        ({"street1": "4*** E** R**"}, "masked_address"),
        ({"name": "A** E******"}, "masked_address"),
        ({"street1": None, "city": None, "zip": None}, "no_address"),
        ({"city": "上海"}, "not_latin"),
        ({"street1": "ул. Ленина 4"}, "not_latin"),
        ({"country": "GB", "state": None, "zip": "SW1A 1AA"}, None),
        ({"country": None}, None),
    ],
    ids=str,
)
def test_each_fault_has_its_cause(facts: dict[str, str | None], cause: str | None) -> None:
    assert fault(replace(WHOLE, **facts)) == cause


def test_a_fault_that_was_overridden_leaves_the_next_one() -> None:
    address = replace(WHOLE, zip="90210", city="上海")
    assert fault(address) == "zip_not_in_state"
    assert fault(address, skip=frozenset({"zip_not_in_state"})) == "not_latin"


def test_no_fault_repeats_the_address() -> None:
    for changed in ({"zip": "90210"}, {"state": "Nirvana"}, {"street1": "4*** E** R**"}, {"zip": "1001"}):
        found = find_fault(
            replace(WHOLE, **changed), home="US", states_of_zip=lambda code: ZIP_CODES.get(code, frozenset())
        )
        assert found is not None
        said = found.detail + found.next_step
        assert not any(part in said for part in ("Ada", "Elm", "New York", "90210", "1001", "2125550100"))
