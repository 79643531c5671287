"""Carrier rules and rates as the file has them: what each form is read as, what is a fault, and what is remarked on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tiktok_erp.config.rules_file import check_rules, check_rules_text, load_rules_text
from tiktok_erp.model.carrier_rule import Choice, Extras, Use
from tiktok_erp.model.money import Money

UPS = "{carrier: ups, service_level: ground}"
USPS = "{carrier: usps, service_level: priority_mail}"
PLACE = re.compile(r"rules\.yaml:(\d+):\d+: (.+)")


def rule(when: str, use: str = UPS) -> str:
    """Return a rules file whose first rule has `when` in line 3 and `use` in line 4, and a rule for everything else."""
    return f"carriers:\n  - name: first\n    when: {when}\n    use: {use}\n  - name: rest\n    use: {USPS}\n"


def notes(text: str) -> list[str]:
    return [note.split(": ", 1)[1] for note in load_rules_text(text).notes if "own_labels_by" not in note]


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (UPS, Use((Choice("ups", "ground"),))),
        (f"[{UPS}, {USPS}]", Use((Choice("ups", "ground"), Choice("usps", "priority_mail")))),
        (f"{{cheapest: [{UPS}, {USPS}]}}", Use((Choice("ups", "ground"), Choice("usps", "priority_mail")), "cheapest")),
        (f"{{fastest: {UPS}, max_cost: 9 USD}}", Use((Choice("ups", "ground"),), "fastest", Money(900, "USD"))),
        ("{carrier: usps, service_level: first_class}", Use((Choice("usps", "ground_advantage"),))),
        ("{carrier: usps, service_level: FIRST_CLASS}", Use((Choice("usps", "ground_advantage"),))),
    ],
)
def test_use_is_one_choice_a_list_or_a_comparison(use: str, expected: Use) -> None:
    assert load_rules_text(rule("{state: CA}", use)).carriers[0].use == expected


def test_a_rule_says_more_than_a_carrier() -> None:
    text = (
        "boxes: [{name: M, weight_g: 90}]\n"
        "senders: {east: {name: E, street1: 1 Dock, city: Edison, state: NJ, zip: '08817'}}\n"
        f"carriers: [{{name: a, use: {UPS}, then: [{USPS}], box: M, ship_from: east, signature: true,"
        " insurance: 50 USD, tag: [x, y], print_note: with care}]\n"
    )
    (found,) = load_rules_text(text).carriers
    assert found.then == (Choice("usps", "priority_mail"),)
    assert found.extras == Extras("M", "east", "standard", Money(5000, "USD"), ("x", "y"), "with care")


def test_groups_may_hold_groups() -> None:
    (condition,) = (
        load_rules_text(rule("{not: {any: [{state: CA}, {all: [{gift: true}, {sample: true}]}]}}"))
        .carriers[0]
        .conditions
    )
    assert str(condition) == "not (any (state CA | all (gift true | sample true)))"


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        (rule("{any: []}"), 3, "has a group without a condition"),
        (rule("{any: [{}]}"), 3, "has a group without a condition"),
        (rule("{any: {state: CA}}"), 3, "is a list"),
        (rule("{not: [{state: CA}]}"), 3, "is a group of keys"),
        (rule("{any: [{stat: CA}]}"), 3, "did you mean `state`?"),
        (rule("{any: [{state: [NO]}]}"), 3, 'write "NO"'),
        (rule("{po_box: maybe}"), 3, "is true or false"),
        (rule("{repeat_orders: 3}"), 3, "is a range; write {at_least: 1}"),
        (rule("{weight_g: {up_to: 1_000}}"), 3, "plain digits"),
        (rule("{weight_g: {up_to: 010}}"), 3, "YAML reads 010 as 8"),
        (rule("{state: CA}", "[]"), 4, "is an empty list"),
        (rule("{state: CA}", f"[{UPS}, {UPS}]"), 4, "`ups ground` is in the list twice"),
        (rule("{state: CA}", f"{{cheapest: [{UPS}], max_cost: 9 USD}}"), 4, "unknown key `max_cost`"),
        (rule("{state: CA}", f"{{fastest: [{UPS}], max_cost: 9}}"), 4, "write `9 USD`"),
        (rule("{state: CA}", "{cheapest: []}"), 4, "is an empty list"),
        (f"carriers:\n  - name: a\n    use: {UPS}\n    hold: why\n", 4, "one of `use`, `hold` and `quarantine`"),
        (f"carriers:\n  - name: a\n    hold: why\n    then: {UPS}\n", 4, "`then` follows a `use`"),
        ("carriers:\n  - name: a\n    when: {state: CA}\n", 2, "lacks `use`"),
        ("carriers:\n  - name: a\n    box: XL\n", 3, "there is no `XL` in `boxes`"),
        ("boxes: [{name: Large, weight_g: 1}]\ncarriers:\n  - name: a\n    box: Larg\n", 4, "did you mean `Large`?"),
        ("carriers:\n  - name: a\n    ship_from: east\n", 3, "there is no `east` in `senders`"),
        ("carriers:\n  - name: a\n    signature: perhaps\n", 3, "is true or false"),
        ("carriers:\n  - name: a\n    insurance: 0 USD\n", 3, "must be more than 0"),
        ("rates: {usps: 5 USD}\n", 1, "is a list"),
        ("rates:\n  - {carrier: ups, service_level: ground}\n", 2, "lacks `cost`"),
        (
            "rates: [{carrier: ups, service_level: ground, cost: 5 USD},\n"
            " {carrier: usps, service_level: priority_mail, cost: 5 EUR}]\n",
            1,
            "in one currency",
        ),
        ("addresses: {line_length: {ups: 0}}\n", 1, "must be at least 1"),
        ("addresses: {line_length: {upss: 30}}\n", 1, "did you mean `ups`?"),
    ],
)
def test_every_fault_names_its_line_and_what_to_write(text: str, line: int, part: str) -> None:
    found = [PLACE.fullmatch(fault) for fault in check_rules_text(text).faults]
    assert any(match is not None and int(match[1]) == line and part in match[2] for match in found), found


def test_a_rule_that_only_adds_hides_nothing_and_covers_nothing() -> None:
    text = f"carriers:\n  - {{name: a, tag: x}}\n  - {{name: b, when: {{state: CA}}, use: {UPS}}}\n"
    assert notes(text) == ["no rule covers everything: what none of them covers is quarantined"]


@pytest.mark.parametrize(
    ("carriers", "remark"),
    [
        (
            f"[{{name: a, use: {UPS}}}, {{name: b, when: {{any: [{{state: CA}}]}}, use: {USPS}}}]",
            "`b` is never reached, line 1",
        ),
        (
            f"[{{name: a, when: {{order_total: {{under: 9 USD}}}}, use: {UPS}}},"
            f" {{name: b, when: {{order_total: {{at_least: 9 USD}}}}, use: {USPS}}}, {{name: c, use: {UPS}}}]",
            "`c` is never reached: the rules above cover every `order_total`",
        ),
        (
            f"[{{name: a, when: {{fulfillment_type: FULFILLMENT_BY_TIKTOK}}, use: {UPS}}}, {{name: b, use: {USPS}}}]",
            "`a` is never reached: what TikTok ships itself",
        ),
        (
            f"[{{name: a, when: {{not: {{residential: true}}}}, use: {UPS}}}, {{name: b, use: {USPS}}}]",
            "`a` asks whether an address is residential",
        ),
    ],
)
def test_a_rule_that_cannot_fire_is_remarked_on(carriers: str, remark: str) -> None:
    assert any(remark in note for note in notes(f"carriers: {carriers}\n")), notes(f"carriers: {carriers}\n")


def test_groups_with_different_content_do_not_cover_each_other() -> None:
    text = (
        f"carriers: [{{name: a, when: {{any: [{{state: CA}}]}}, use: {UPS}}},"
        f" {{name: b, when: {{any: [{{state: NY}}]}}, use: {USPS}}}, {{name: c, use: {UPS}}}]\n"
    )
    assert notes(text) == []


def test_ranges_that_leave_a_gap_do_not_cover_everything_together() -> None:
    text = (
        f"carriers: [{{name: a, when: {{weight_g: {{under: 9}}}}, use: {UPS}}},"
        f" {{name: b, when: {{weight_g: {{over: 9}}}}, use: {USPS}}}, {{name: c, use: {UPS}}}]\n"
    )
    assert notes(text) == []


HOSTILE = {
    "far too large": b"a: b\n" * 10_000_000,
    "not UTF-8": bytes(range(256)) * 2000,
    "far too deep": b"carriers: " + b"[" * 300_000,
    "stand for far too much": b"a0: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 40)),
    "contains itself": b"carriers:\n  - {name: x, when: {any: &a [{state: CA}, {any: *a}]}, use: {carrier: ups}}\n",
    "is a group of keys": b"sync: !!python/object/apply:os.system [true]\n",
    "unknown section": b"".join(b"k%d: 1\n" % n for n in range(30_000)),
}


@pytest.mark.parametrize("part", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(HOSTILE[part])
    check = check_rules(path)
    assert check.rules is None
    assert part in check.faults[0]
