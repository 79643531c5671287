"""Promise 1 against a shop in which things go wrong: 520 scenarios, each compared with the shop's own books.

A failure names its seed; `play(seed, ...)` in `shops.py` plays it again. What the seed fixes is the shop, its faults and what
people do in it; which of two requests in flight is answered first is left to the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sync.shops import FAULTS, Network, draw, play

SCENARIOS = 520
AT_ONCE = 10


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.mark.parametrize("first", range(0, SCENARIOS, AT_ONCE))
def test_a_green_sync_is_complete_whatever_goes_wrong(
    first: int, tmp_path: Path, empty_database: bytes, network: Network
) -> None:
    for seed in range(first, first + AT_ONCE):
        path = tmp_path / f"{seed}.db"
        path.write_bytes(empty_database)
        play(seed, path, network)


def test_the_scenarios_hold_every_fault_and_shops_of_one_page_and_of_many() -> None:
    drawn = [draw(seed) for seed in range(SCENARIOS)]
    for name in FAULTS:
        assert sum(f"{name}:" in scenario.options.faults for scenario in drawn) >= 10, name
    for kind in ("request", "page", "write"):
        assert sum(kill is not None and kill[0] == kind for scenario in drawn for kill in scenario.kills) >= 10, kind
    pages = [scenario.options.orders / scenario.page_size for scenario in drawn]
    assert sum(count < 1 for count in pages) >= 50
    assert sum(count > 3 for count in pages) >= 50
    assert sum(scenario.options.minutes > 0 for scenario in drawn) >= 100
