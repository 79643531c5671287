"""State names as channels write them."""

from __future__ import annotations

import pytest

from tiktok_erp.model.us_states import US_STATE_NAMES, is_united_states, state_code


@pytest.mark.parametrize("code", sorted(US_STATE_NAMES))
def test_every_name_and_every_code_gives_the_code(code: str) -> None:
    assert state_code(US_STATE_NAMES[code].upper()) == code
    assert state_code(f" {code.lower()} ") == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Washington, D.C.", "DC"),
        ("U.S. Virgin Islands", "VI"),
        ("Virgin Islands (US)", "VI"),
        ("Armed Forces - Pacific", "AP"),
        ("Armed Forces (Middle East)", "AE"),
        ("new  york", "NY"),
    ],
)
def test_other_spellings_are_understood(text: str, code: str) -> None:
    assert state_code(text) == code


@pytest.mark.parametrize("text", ["", "C*********", "Ontario", "XX", "Calif"])
def test_anything_else_is_no_state(text: str) -> None:
    assert state_code(text) is None


def test_fifty_states_the_district_territories_and_military_codes_are_there() -> None:
    assert len(US_STATE_NAMES) == 50 + 1 + 8 + 3


@pytest.mark.parametrize("text", ["US", "usa", "U.S.A.", "United States", "UNITED STATES OF AMERICA", "美国"])
def test_the_united_states_are_recognised(text: str) -> None:
    assert is_united_states(text)


def test_other_countries_are_not() -> None:
    assert not is_united_states("Mexico")
    assert not is_united_states("")
