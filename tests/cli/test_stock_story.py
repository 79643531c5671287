"""Why so much is kept back, in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tiktok_erp.cli.stock_story import kept_back_text
from tiktok_erp.model.safety_stock import KeptBack, SafetyRule, Speed
from tiktok_erp.store.stock import _as_json

AUTO = SafetyRule("*", is_auto=True, live=True, channel="tiktok")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (
            AUTO.explain(500, Speed(90, 80, 120), 5),
            "kept back 160: 40.0 sold a minute at the busiest x 120 s unseen x 2",
        ),
        (AUTO.explain(500, None, 5), "kept back 100: too little was sold to tell a speed, so 20 % of what is free"),
        (SafetyRule("A", units=5).explain(9), "kept back 5: a fixed number (rule for A; main)"),
        (SafetyRule("A", percent=Decimal(50), at_most=3).explain(9), ", but from 0 to 3 (rule for A; main)"),
        (SafetyRule("A", percent=Decimal(50), at_least=7).explain(9), ", but at least 7 (rule for A; main)"),
        (KeptBack(0, "none", None, None), "kept back 0: no rule says more"),
        (AUTO.explain(500, None, 5), "(rule for *, tiktok, in a stream; main)"),
    ],
)
def test_the_reason_has_its_figures(kept: KeptBack, words: str) -> None:
    row = {"quantity": kept.quantity, "basis": _as_json(kept.basis()), "warehouse": "main", "channel": None}
    assert words in kept_back_text(row)
