"""The sections `safety_stock`, `live` and `split` of rules.yaml."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tiktok_erp.config.rules_file import check_rules_text, load_rules_text
from tiktok_erp.model.safety_stock import Live, SafetyRule


def read(*rules: str) -> tuple[SafetyRule, ...]:
    return load_rules_text("safety_stock:\n" + "".join(f"  - {rule}\n" for rule in rules)).safety_stock


def test_every_key_is_read() -> None:
    (rule,) = read(
        '{sku: "MUG-*", keep: auto, factor: 1.5, otherwise: 10%, at_least: 1, at_most: 90, channel: tiktok, warehouse: east, live: true}'
    )
    assert rule == SafetyRule(
        "MUG-*",
        is_auto=True,
        factor=Decimal("1.5"),
        otherwise=Decimal(10),
        at_least=1,
        at_most=90,
        channel="tiktok",
        warehouse="east",
        live=True,
    )


def test_units_and_shares_are_read_as_before() -> None:
    assert read('{sku: "A", keep: 5}', '{sku: "*", keep: 20%}') == (
        SafetyRule("A", units=5),
        SafetyRule("*", percent=Decimal(20)),
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{sku: A, keep: autos}", "or auto"),
        ("{sku: A, keep: 5, factor: 2}", "keep: auto"),
        ("{sku: A, keep: 5%, otherwise: 2%}", "keep: auto"),
        ("{sku: A, keep: auto, factor: 0}", "above 0"),
        ("{sku: A, keep: auto, factor: -1}", "above 0"),
        ("{sku: A, keep: auto, factor: 1e9}", "above 0"),
        ("{sku: A, keep: auto, factor: much}", "above 0"),
        ("{sku: A, keep: 5, at_least: 9, at_most: 3}", "below"),
        ("{sku: A, keep: 5, at_least: -1}", "at least 0"),
        ("{sku: A, keep: 5, channel: tictoc}", "tiktok"),
        ("{sku: A, keep: 5, live: perhaps}", "true or false"),
        ("{sku: A, keep: 5, lives: true}", "did you mean `live`"),
    ],
)
def test_a_fault_is_told_with_its_line(rule: str, words: str) -> None:
    (fault,) = check_rules_text(f"safety_stock:\n  - {rule}\n").faults
    assert fault.startswith("rules.yaml:2:")
    assert words in fault


def test_the_same_sku_may_have_a_rule_per_channel_warehouse_and_stream() -> None:
    rules = (
        "{sku: A, keep: 1, live: true}",
        "{sku: A, keep: 2, warehouse: east}",
        "{sku: A, keep: 3, channel: tiktok}",
        "{sku: A, keep: 4}",
    )
    assert len(read(*rules)) == 4
    (fault,) = check_rules_text("safety_stock:\n" + "".join(f"  - {rule}\n" for rule in (*rules, rules[1]))).faults
    assert "already has a rule in line 3" in fault


def test_a_rule_that_is_never_reached_is_noted() -> None:
    check = check_rules_text('safety_stock:\n  - {sku: "*", keep: 1, live: true}\n  - {sku: A, keep: 2}\n')
    assert not any("never reached" in note for note in check.notes)
    check = check_rules_text('safety_stock:\n  - {sku: "*", keep: 1}\n  - {sku: A, keep: 2, live: true}\n')
    assert any("never reached" in note for note in check.notes)


def test_live_and_split_have_defaults_and_are_checked() -> None:
    rules = load_rules_text("sync: {every: 60s}\n")
    assert (rules.live, rules.split) == (Live(), "never")
    rules = load_rules_text(
        "live: {look_back: 30m, quiet_after: 5m, platform_delay: 0s, enough_units: 9}\nsplit: allow\n"
    )
    assert rules.live == Live(timedelta(minutes=30), timedelta(minutes=5), timedelta(0), 9)
    assert rules.split == "allow"
    assert check_rules_text("split: perhaps\n").faults
    assert check_rules_text("live: {look_back: 0s}\n").faults
