"""A hot SKU sells out on two channels with two minutes of blindness; the table in README.md plays more evenings."""

from __future__ import annotations

import importlib
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType

from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.safety_stock import SafetyRule

EVENINGS = range(12)


def _load(name: str) -> ModuleType:
    # By path: `tests` is no package when pytest itself is the command.
    root = Path(__file__).parents[2]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(name)


stream = _load("tests.benchmarks.stream")


def oversold(*rules: SafetyRule) -> list[int]:
    return [stream.play(rules, seed).oversold for seed in EVENINGS]


def test_auto_sells_nothing_twice_where_a_flat_share_does() -> None:
    assert oversold(SafetyRule("*", is_auto=True)) == [0] * len(EVENINGS)
    assert min(oversold(SafetyRule("*", percent=Decimal(20)))) > 0


def test_the_shipped_rules_notice_the_stream_by_themselves_and_sell_nothing_twice() -> None:
    assert oversold(*Rules().safety_stock) == [0] * len(EVENINGS)
    assert load_rules(stream.SHIPPED).safety_stock == Rules().safety_stock
