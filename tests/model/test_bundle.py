"""What a SKU is picked as."""

from __future__ import annotations

from tiktok_erp.model.bundle import leads_back, pieces_of

OWN = {"SET": {"MUG": 2, "TEA": 1}, "BIG": {"SET": 2, "TEA": 1}}


def test_a_single_sku_is_picked_as_itself() -> None:
    assert pieces_of("MUG", OWN) == {"MUG": 1}


def test_bundles_within_bundles_are_taken_apart_and_summed() -> None:
    assert pieces_of("SET", OWN) == {"MUG": 2, "TEA": 1}
    assert pieces_of("BIG", OWN) == {"MUG": 4, "TEA": 3}


def test_the_sellers_own_mapping_goes_before_the_channels_word() -> None:
    assert pieces_of("SET", OWN, [("CUP", 5)]) == {"MUG": 2, "TEA": 1}
    assert pieces_of("DUO", OWN, [("CUP", 2), ("SET", 1), ("CUP", 1)]) == {"CUP": 3, "MUG": 2, "TEA": 1}


def test_a_set_that_is_counted_as_it_is_stays_one_piece() -> None:
    told = [("CUP", 2)]
    assert pieces_of("DUO", OWN, told, frozenset({"DUO"})) == {"DUO": 1}
    assert pieces_of("DUO", OWN, told, frozenset({"DUO", "CUP"})) == {"CUP": 2}
    assert pieces_of("DUO", OWN, told, frozenset()) == {"CUP": 2}


def test_a_circle_is_found_before_it_is_written_and_harmless_if_it_is() -> None:
    assert leads_back("MUG", ["BIG"], OWN)
    assert leads_back("SET", ["SET"], OWN)
    assert not leads_back("BIG", ["SET", "CUP"], OWN)
    assert pieces_of("A", {"A": {"B": 1}, "B": {"A": 1, "C": 2}}) == {"A": 1, "C": 2}
