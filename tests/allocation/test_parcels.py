"""ZIP codes and the states that their routes reach."""

from __future__ import annotations

import pytest

from tiktok_erp.allocation.parcels import states_near_zip, states_of_zip


@pytest.mark.parametrize(
    ("code", "states"),
    [
        ("42223", {"KY", "TN"}),  # Fort Campbell
        ("59221", {"MT", "ND"}),
        ("71749", {"AR", "LA"}),
        ("81137", {"CO", "NM"}),
        ("97635", {"CA", "OR"}),
    ],
)
def test_a_zip_code_at_a_state_line_may_be_in_both_states(code: str, states: set[str]) -> None:
    assert states <= states_near_zip(code)
    assert len(states_of_zip(code)) == 1


@pytest.mark.parametrize(
    ("code", "states"), [("90210", {"CA"}), ("10001", {"NY"}), ("60601", {"IL"}), ("33101", {"FL"})]
)
def test_a_zip_code_in_the_middle_of_a_state_is_in_no_other(code: str, states: set[str]) -> None:
    assert states_near_zip(code) | states_of_zip(code) == states


def test_military_and_unknown_codes_are_next_to_nothing() -> None:
    assert states_near_zip("09012") == states_near_zip("99999") == frozenset()
