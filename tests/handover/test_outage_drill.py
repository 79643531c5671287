"""The outage drill in small; `python -m tests.benchmarks outage` plays 100 seeds of 500 orders."""

from __future__ import annotations

import pytest

from tests.handover.drill import play


@pytest.mark.parametrize(("seed", "options"), [(1, {}), (7, {"mode": "packages-first"})], ids=str)
def test_after_an_outage_both_books_agree_and_nothing_was_shipped_twice(tmp_path, simulated, seed, options):
    done = play(tmp_path / "shop", simulated, seed=seed, orders=40, **options)
    assert done["packed"] + done["told_by_hand"] + done["bought_by_hand"] > 0
