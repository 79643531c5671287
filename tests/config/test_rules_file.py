"""rules.yaml: the shipped file, every kind of fault with its line, the remarks, and the ways a file can be unreadable."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, replace
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.config.rules_file import (
    DEFAULT_RULES,
    RulesCheck,
    check_rules,
    check_rules_text,
    default_rules_text,
    load_rules,
    load_rules_or_defaults,
    load_rules_text,
)
from tiktok_erp.errors import RulesError, SettingsError
from tiktok_erp.model.condition import Band
from tiktok_erp.model.money import Money
from tiktok_erp.model.rule import Handover, Pickup, Rules, WorkDays

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"rules\.yaml:(\d+):(\d+): (.+)")


def faults(text: str) -> list[str]:
    check = check_rules_text(text)
    assert check.rules is None or not check.faults
    return list(check.faults)


def only_fault(text: str) -> tuple[int, str]:
    """Return line and text of the one fault in `text`."""
    found = faults(text)
    assert len(found) == 1, found
    match = PLACE.fullmatch(found[0])
    assert match is not None, found[0]
    return int(match[1]), match[3]


def notes_of(text: str) -> tuple[str, ...]:
    """Return the remarks on `text` but those on whose labels TikTok takes, which have tests of their own."""
    return tuple(note for note in load_rules_text(text).notes if "own_labels_by" not in note)


def only_note(text: str) -> tuple[int, str]:
    notes = notes_of(text)
    assert len(notes) == 1, notes
    match = PLACE.fullmatch(notes[0])
    assert match is not None, notes[0]
    return int(match[1]), match[3]


def rule(when: str, use: str = "{carrier: ups, service_level: ground}") -> str:
    """Return a rules file whose first rule has `when` in line 3 and `use` in line 4, and a rule for everything else."""
    return (
        f"carriers:\n  - name: first\n    when: {when}\n    use: {use}\n"
        "  - name: everything else\n    use: {carrier: usps, service_level: ground_advantage}\n"
    )


def test_the_rules_at_the_top_of_the_project_are_the_shipped_ones() -> None:
    assert (ROOT / "rules.yaml").read_bytes() == DEFAULT_RULES.read_bytes()


def test_the_shipped_rules_have_neither_faults_nor_remarks() -> None:
    check = check_rules(DEFAULT_RULES)
    assert (check.faults, check.notes) == ((), ())


def test_a_section_that_is_left_out_has_its_shipped_value() -> None:
    shipped = load_rules_text(default_rules_text())
    bare = load_rules_text("alerts: {to: []}\n")
    for section in fields(Rules):
        if section.compare and section.name not in ("shop", "tests"):
            assert getattr(bare, section.name) == getattr(shipped, section.name), section.name
    assert replace(shipped.shop, ship_from=None) == bare.shop


def test_a_key_that_is_left_out_has_its_shipped_value() -> None:
    rules = load_rules_text("combine: {wait: 30m}\nlabels: {}\n")
    assert rules.combine.wait == timedelta(minutes=30)
    assert rules.combine.max_orders == 20
    assert (rules.labels.settle_after, rules.labels.document_wait) == (timedelta(seconds=20), timedelta(seconds=90))


def test_every_key_of_the_commented_example_is_read_without_a_remark() -> None:
    check = check_rules(ROOT / "examples" / "rules-commented.yaml")
    assert (check.faults, check.notes) == ((), ())


def test_the_commented_example_reaches_every_section() -> None:
    text = (ROOT / "examples" / "rules-commented.yaml").read_text(encoding="utf-8")
    for section in fields(Rules):
        if section.name not in ("notes", "table"):
            assert f"\n{section.name}:" in text


def test_the_shipped_values_are_read_as_what_they_are() -> None:
    rules = load_rules_text(default_rules_text())
    assert rules.sync.every == timedelta(seconds=60)
    assert rules.deadlines.late_rate_limit_percent == Decimal(5)
    assert rules.deadlines.penalty == (Money(50, "USD"), Money(200, "USD"))
    assert rules.pickups[0] == Pickup("usps", time(16, 40), WorkDays((0, 1, 2, 3, 4)))
    assert rules.spending.max_cost_per_day == Money(1_000_000, "USD")
    assert rules.labels.seller_shipping == "file"
    assert rules.shop.ship_from is not None
    assert rules.shop.ship_from.zip == "91761"
    assert rules.channels["tiktok"].carrier_names["dhl_ecommerce"] == "DHL eCommerce"
    assert rules.boxes == ()


def test_boxes_keep_their_order() -> None:
    rules = load_rules_text("boxes: [{name: S, weight_g: 12}, {name: M, weight_g: 140}]\n")
    assert [box.weight_g for box in rules.boxes] == [12, 140]


def test_words_of_the_seller_add_to_the_known_ones() -> None:
    rules = load_rules_text(
        "channels: {tiktok: {carrier_names: {my_courier: My Courier}}}\n"
        "seller_center: {status_words: {Verzonden: IN_TRANSIT}}\n"
    )
    assert rules.channels["tiktok"].carrier_names["my_courier"] == "My Courier"
    assert rules.channels["tiktok"].carrier_names["usps"] == "USPS"
    assert rules.seller_center.status_words["Verzonden"] == "IN_TRANSIT"
    assert rules.seller_center.status_words["运输中"] == "IN_TRANSIT"


def test_what_begins_the_decimals_of_an_export_can_be_said() -> None:
    marks = [
        load_rules_text(f"seller_center: {{{text}}}\n").seller_center.decimal_mark
        for text in ("decimals: comma", "decimals: dot", "")
    ]
    assert marks == [",", ".", None]


def test_a_carrier_that_a_channel_has_a_name_for_may_be_used_with_service_levels_of_ones_own() -> None:
    text = "channels: {tiktok: {carrier_names: {my_courier: My Courier}}}\n" + rule(
        "{state: CA}", "{carrier: my_courier, service_level: same_day}"
    )
    assert load_rules_text(text).carriers[0].choices == (("my_courier", "same_day"),)


def test_a_kit_is_wanted_only_with_a_folder() -> None:
    assert load_rules_text("handover: {people: 3}\n").handover == Handover(None, timedelta(minutes=5), 3)
    assert load_rules_text("handover: {dir: kit, every: 10m}\n").handover == Handover("kit", timedelta(minutes=10), 1)


def test_one_value_is_as_good_as_a_list_of_one() -> None:
    assert (
        load_rules_text(rule("{state: CA, sku: A-*}")).carriers
        == load_rules_text(rule("{state: [CA], sku: [A-*]}")).carriers
    )


def test_a_bare_off_is_the_word_off_for_own_labels() -> None:
    assert load_rules_text("labels: {seller_shipping: off}\n").labels.seller_shipping == "off"


def test_states_may_be_written_small_and_regions_abroad_in_their_own_words() -> None:
    assert load_rules_text(rule("{state: ca}")).carriers[0].conditions[0].wanted == frozenset({"CA"})
    abroad = load_rules_text(rule("{country: GB, state: Kent}")).carriers[0].conditions[1]
    assert abroad.wanted == frozenset({"KENT"})


def test_opaque_sections_are_kept_as_they_are() -> None:
    rules = load_rules_text('privacy: {keep_recipients: 90d, places: ["a", 1, 0.5, true, null]}\n')
    assert rules.privacy == {"keep_recipients": "90d", "places": ["a", 1, Decimal("0.5"), True, None]}


def test_days_are_read_as_ranges_and_lists() -> None:
    assert load_rules_text("deadlines: {days: business_days}").deadlines.days == WorkDays((0, 1, 2, 3, 4), True)
    assert load_rules_text("deadlines: {days: [mon, wed-fri]}").deadlines.days == WorkDays((0, 2, 3, 4))
    assert load_rules_text("deadlines: {days: sat-mon}").deadlines.days == WorkDays((0, 5, 6))


def test_the_facts_of_an_example_are_ordinary_unless_it_says_otherwise() -> None:
    text = (
        "tests:\n  - name: x\n    package: {order_total: 8 USD, gift: true, creator: ~}\n    expect: {cause: no_rule}\n"
    )
    parcel = load_rules_text(text).tests[0].parcel
    assert (parcel.channel, parcel.country, parcel.is_sample, parcel.has_gift) == ("tiktok", "US", False, True)
    assert (parcel.creator, parcel.buyer_note, parcel.weight_g) == (None, "", None)


SHAPE = "is a group of keys"


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        # keys
        ("shop:\n  nmae: x\n", 2, "unknown key `nmae` in `shop`; did you mean `name`?"),
        ("alerts: {to: []}\ncarrier: []\n", 2, "unknown section `carrier`; did you mean `carriers`?"),
        ("handover: {dir: kit,\n  people: 0}\n", 2, "`handover.people`"),
        ("handover: {folder: kit}\n", 1, "unknown key `folder` in `handover`"),
        (
            "sync: {every: 60s,\n  zzz: 1}\n",
            2,
            "possible here: alert_after_failures, cancellations_every, creators_every, every, overlap",
        ),
        ("sync: {every: 60s}\nsync: {every: 5m}\n", 2, "`sync` is already set in line 1"),
        ("sync:\n  every: 60s\n  every: 5m\n", 3, "`every` is already set in line 2"),
        (rule("{weigth_g: {up_to: 450}}"), 3, "did you mean `weight_g`?"),
        (rule("{weight_g: {upto: 450}}"), 3, "did you mean `up_to`?"),
        ("sync:\n  <<: {every: 60s}\n", 2, "`<<` are not read here"),
        ("privacy: {a: 1, a: 2}\n", 1, "`a` is already set"),
        ("channels: {tiktk: {}}\n", 1, "did you mean `tiktok`?"),
        # shapes
        ("sync: [60s]\n", 1, SHAPE),
        ("sync:\nfreshness: {buy: 10m}\n", 1, "`sync` is empty"),
        ("sync: {every: }\n", 1, "`sync.every` is empty"),
        ("sync: {every: [60s]}\n", 1, "is a single value, not a list"),
        ("sync: {every: {a: 60s}}\n", 1, "is a single value, not a group"),
        ("carriers: {name: x}\n", 1, "`carriers` is a list"),
        ("carriers:\n  - everything by post\n", 2, SHAPE),
        ("listings: []\n", 1, SHAPE),
        ("- a\n- b\n", 1, "made of sections"),
        ("just words\n", 1, "made of sections"),
        ("sync: {every: !seconds 60}\n", 1, "tags such as `!seconds`"),
        ("sync: !!set {every, overlap}\n", 1, SHAPE),
        ("privacy: &a {b: *a}\n", 1, "contains itself"),
        ("privacy: {b: &a [*a]}\n", 1, "contains itself"),
        ("deadlines: {days: &a [*a]}\n", 1, "contains itself"),
        # YAML's traps
        (rule("{state: [NO]}"), 3, 'YAML reads NO as false; write "NO"'),
        (rule("{state: [CA, on]}"), 3, 'YAML reads on as true; write "on"'),
        (rule("{country: NO}"), 3, "YAML reads NO as false"),
        (rule("{state: CA}", "{carrier: off, service_level: ground}"), 4, "YAML reads off as false"),
        (rule("{weight_g: {up_to: 010}}"), 3, "YAML reads 010 as 8; write plain digits"),
        (rule("{weight_g: {up_to: 1_000}}"), 3, "YAML reads 1_000 as 1000"),
        (rule("{weight_g: {up_to: 0x1F}}"), 3, "YAML reads 0x1F as 31"),
        ("pickups: {usps: {at: 16:40}}\n", 1, 'YAML reads 16:40 as 1000; write "16:40"'),
        (rule("{zip: [902]}"), 3, 'a ZIP code is text; write "902"'),
        (rule("{zip: [02139]}"), 3, 'a ZIP code is text; write "02139"'),
        (rule("{warehouse: 7068517275539719942}"), 3, 'write "7068517275539719942"'),
        (rule("{sku: 2026-01-31}"), 3, "YAML reads 2026-01-31 as a date"),
        (rule("{sku: 1.5}"), 3, "YAML reads 1.5 as a number"),
        (rule("{sku: ~}"), 3, "YAML reads ~ as nothing"),
        ("sync: {alert_after_failures: !!int three}\n", 1, "YAML reads three as a number"),
        ("labels: {quote_first: !!bool maybe}\n", 1, "is true or false"),
        ("privacy: {a: no}\n", 1, "YAML reads no as false"),
        ("carriers:\n  - name: 2026\n    use: {carrier: ups, service_level: ground}\n", 2, 'write "2026"'),
        # money
        ("spending: {max_cost_per_label: 25}\n", 1, "25 is no amount of money; write `25 USD`"),
        ("spending: {max_cost_per_label: 25.5}\n", 1, "write `25.5 USD`"),
        ("spending: {max_cost_per_label: $25}\n", 1, "write `25 USD`"),
        ("spending: {max_cost_per_label: 25 usd}\n", 1, "is no amount of money"),
        ("spending: {max_cost_per_label: -25 USD}\n", 1, "is no amount of money"),
        ("spending: {max_cost_per_label: 25.005 USD}\n", 1, "USD has no such fraction"),
        ("spending: {max_cost_per_label: 25.5 JPY}\n", 1, "JPY has no such fraction"),
        ("spending: {max_cost_per_label: 25 USX}\n", 1, "there is no currency USX"),
        ("spending: {max_cost_per_label: 0 USD}\n", 1, "must be more than 0"),
        ("spending: {max_cost_per_label: 25 EUR}\n", 1, "all caps must be in one currency"),
        ("deadlines: {penalty: [2 USD, 1 USD]}\n", 1, "the smaller amount comes first"),
        ("deadlines: {penalty: [1 USD, 2 EUR]}\n", 1, "both amounts must be in one currency"),
        ("deadlines: {penalty: [1 USD, 2 USD, 3 USD]}\n", 1, "the least and the most"),
        ("deadlines: {penalty: []}\n", 1, "is an empty list"),
        # times, shares, numbers
        ("sync: {every: 60}\n", 1, "60 is no length of time; write 60s, 60m, 60h"),
        ("sync: {every: 1h30m}\n", 1, "is no length of time"),
        ("sync: {every: 0s}\n", 1, "must be at least 1s"),
        ("deadlines: {late_rate_limit: 5}\n", 1, "write 5%"),
        ("deadlines: {late_rate_limit: 0.05}\n", 1, "is no percentage"),
        ("deadlines: {late_rate_limit: 101%}\n", 1, "is no percentage"),
        ("safety_stock: [{sku: A, keep: 120%}]\n", 1, "is no percentage"),
        ("safety_stock: [{sku: A, keep: some}]\n", 1, "a share such as 20%"),
        ("safety_stock: [{sku: A, keep: -1}]\n", 1, "must be at least 0"),
        ("safety_stock: [{sku: A}]\n", 1, "`safety_stock` lacks `keep`"),
        ("safety_stock:\n  - {sku: A, keep: 1}\n  - {sku: A, keep: 2}\n", 3, "already has a rule in line 2"),
        ('pickups: {usps: {at: "25:00"}}\n', 1, "is no time of day"),
        ("pickups: {usps: {days: mon-fri}}\n", 1, "lacks `at`"),
        ('pickups: {upss: {at: "16:40"}}\n', 1, "did you mean `ups`?"),
        ("deadlines: {days: mon-fry}\n", 1, "did you mean `mon-fri`?"),
        ("combine: {max_orders: 21}\n", 1, "must be at most 20"),
        ("combine: {max_orders: 0}\n", 1, "must be at least 1"),
        ("combine: {max_orders: 2.5}\n", 1, "is a whole number"),
        ('combine: {max_orders: "20"}\n', 1, "write it without quotes"),
        ("labels: {quote_first: maybe}\n", 1, "is true or false"),
        ('labels: {quote_first: "true"}\n', 1, "without quotes"),
        ("channels: {tiktok: {start_rate: 0}}\n", 1, "must be more than 0"),
        ("channels: {tiktok: {start_rate: 50}}\n", 1, "max_rate is below start_rate"),
        ("boxes: [{name: S}]\n", 1, "lacks `weight_g`"),
        # words
        ("shop: {kind: crossborder}\n", 1, "did you mean `cross_border`?"),
        ("shop: {time_zone: Los Angeles}\n", 1, "did you mean `America/Los_Angeles`?"),
        ("labels: {seller_shipping: easy_post}\n", 1, "did you mean `easypost`?"),
        ("printing: {language: de}\n", 1, "possible here: en, zh"),
        (
            "seller_center: {status_words: {Verzonden: in transit}}\n",
            1,
            "`seller_center.status_words.Verzonden` cannot be `in transit`; did you mean `IN_TRANSIT`?",
        ),
        (rule("{state: California}"), 3, "is no US state; write its two letters; did you mean `CA`?"),
        (rule("{state: Californa}"), 3, "did you mean `CA`?"),
        (rule("{state: XX}"), 3, "XX is no US state"),
        (rule("{country: USA}"), 3, "did you mean `US`?"),
        (rule("{country: UK}"), 3, "did you mean `GB`?"),
        (rule("{zip: 935-900}"), 3, "is no start of a ZIP code"),
        (rule("{zip: 90-1000}"), 3, "is no start of a ZIP code"),
        (rule("{channel: tictoc}"), 3, "did you mean `tiktok`?"),
        (rule("{shipping_type: seller}"), 3, "did you mean `SELLER`?"),
        (rule("{state: CA}", "{carrier: USPS, service_level: ground}"), 4, "did you mean `usps`?"),
        (rule("{state: CA}", "{carrier: usps, service_level: ground}"), 4, "usps has no service level `ground`"),
        (rule("{state: CA}", "{carrier: ups, service_level: Next Day Air}"), 4, "did you mean `next_day_air`?"),
        (rule("{state: CA}", "{carrier: ups}"), 4, "lacks `service_level`"),
        (rule("{state: CA}", "{carrier: uniuni, service_level: Next Day}"), 4, "small letters"),
        ("channels: {tiktok: {carrier_names: {My Courier: x}}}\n", 1, "small letters"),
        # rules
        ("carriers:\n  - name: x\n", 2, "`carriers` lacks `use`"),
        ("carriers:\n  - use: {carrier: ups, service_level: ground}\n", 2, "`carriers` lacks `name`"),
        (
            "carriers:\n  - {name: x, when: {state: CA}, use: {carrier: ups, service_level: ground}}\n"
            "  - {name: x, use: {carrier: ups, service_level: ground}}\n",
            3,
            "the name `x` is already used in line 2",
        ),
        (rule("{order_total: 10 USD}"), 3, "is a range; write {under: 10 USD}"),
        (rule("{weight_g: {}}"), 3, "is a range; write {up_to: 450}"),
        (rule("{weight_g: {under: 10, up_to: 10}}"), 3, "has both `under` and `up_to`"),
        (rule("{weight_g: {over: 10, at_least: 10}}"), 3, "has both `over` and `at_least`"),
        (rule("{weight_g: {over: 10, under: 11}}"), 3, "nothing can be over 10 under 11"),
        (rule("{weight_g: {at_least: 10, up_to: 9}}"), 3, "nothing can be"),
        (rule("{order_total: {under: 0 USD}}"), 3, "nothing can be under 0.00 USD"),
        (rule("{order_total: {over: 1 USD, under: 2 EUR}}"), 3, "both ends must be in one currency"),
        (rule("{hours_left: {over: 1.5, under: 1.5}}"), 3, "nothing can be"),
        (rule("{state: []}"), 3, "is an empty list"),
        (rule(""), 3, "`carriers.when` is empty"),
        # sender
        ("shop:\n  ship_from: {name: A, street1: B, city: C, state: CA, zip: 91761}\n", 2, 'write "91761"'),
        ('shop:\n  ship_from: {name: A, street1: B, city: C, state: CA, zip: "917"}\n', 2, "is no ZIP code"),
        ('shop:\n  ship_from: {name: A, city: C, state: CA, zip: "91761"}\n', 2, "lacks `street1`"),
        # examples
        ("tests:\n  - {name: a, package: {}, expect: {}}\n", 2, "either a carrier or the cause"),
        ("tests:\n  - {name: a, expect: {cause: no_rule}}\n", 2, "lacks `package`"),
        ("tests:\n  - {name: a, package: {weight: 1}, expect: {cause: no_rule}}\n", 2, "did you mean `weight_g`?"),
        # not YAML
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("sync:\n\tevery: 60s\n", 2, "a tab; YAML is indented with spaces"),
        ("sync: {every: 60s\n", 2, "this is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "this is not YAML"),
        ("sync: *nowhere\n", 1, "this is not YAML"),
        ("sync:\n  every: \x07\n", 2, "a control character"),
    ],
)
def test_every_kind_of_fault_names_its_line(text: str, line: int, part: str) -> None:
    found_line, found = only_fault(text)
    assert part in found
    assert found_line == line


def test_a_fault_names_its_column() -> None:
    assert faults("sync: {every: 60}\n")[0].startswith("rules.yaml:1:15: ")


def test_all_faults_are_reported_at_once_and_in_the_order_of_the_file() -> None:
    text = "sync: {every: 60}\nfreshness: {bye: 1m}\n" + rule("{state: [NO]}", "{carrier: upss, service_level: x}")
    with pytest.raises(RulesError) as caught:
        load_rules_text(text)
    lines = [int(fault.split(":")[1]) for fault in caught.value.faults]
    assert lines == [1, 2, 5, 6]
    assert caught.value.exit_code == 5
    assert caught.value.subject == "rules.yaml"


def test_alert_addresses_and_the_sender_are_not_repeated_in_faults() -> None:
    found = faults(
        "alerts: {to: [my-secret-address, 5550100]}\n"
        "shop: {ship_from: {name: x, street1: y, city: z, state: CA, zip: '91761', phone: 9095550100}}\n"
    )
    assert len(found) == 3
    assert not any("secret" in fault or "5550100" in fault for fault in found)


def test_nothing_of_a_file_with_a_fault_is_used() -> None:
    check = check_rules_text("sync: {every: 5m}\nfreshness: {buy: 10}\n")
    assert check.rules is None


@pytest.mark.parametrize("separator", ["\r\n", "\n"])
def test_line_ends_of_either_kind_are_read(separator: str) -> None:
    assert load_rules_text(default_rules_text().replace("\n", separator)).sync.every == timedelta(seconds=60)


# remarks


def test_the_retired_first_class_is_read_as_ground_advantage_with_a_remark() -> None:
    text = rule("{state: CA}", "{carrier: usps, service_level: first_class}")
    line, note = only_note(text)
    assert line == 4
    assert "`ground_advantage`" in note
    assert load_rules_text(text).carriers[0].choices == (("usps", "ground_advantage"),)


def test_a_missing_rule_for_everything_is_remarked_on() -> None:
    text = "carriers:\n  - {name: a, when: {state: CA}, use: {carrier: ups, service_level: ground}}\n"
    assert "no rule covers everything" in only_note(text)[1]


def test_a_file_without_carrier_rules_is_told_that_the_shipped_ones_apply() -> None:
    assert "the shipped carrier rules apply" in only_note("sync: {every: 5m}\n")[1]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{state: [CA, NY]}", "{state: CA}"),
        ("{state: CA}", "{state: CA, weight_g: {up_to: 450}}"),
        ("{weight_g: {up_to: 450}}", "{weight_g: {under: 451, over: 100}}"),
        ("{order_total: {under: 10 USD}}", "{order_total: {up_to: 9.99 USD}}"),
        ("{gift: true}", "{gift: true, sample: false}"),
    ],
)
def test_a_rule_that_can_never_be_reached_is_remarked_on(earlier: str, later: str) -> None:
    text = (
        f"carriers:\n  - {{name: a, when: {earlier}, use: {{carrier: ups, service_level: ground}}}}\n"
        f"  - {{name: b, when: {later}, use: {{carrier: fedex, service_level: ground}}}}\n"
        "  - {name: c, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    line, note = only_note(text)
    assert line == 3
    assert note == "`b` is never reached, line 2 covers it"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{state: CA}", "{state: [CA, NY]}"),
        ("{state: CA, gift: true}", "{state: CA}"),
        ("{weight_g: {under: 450}}", "{weight_g: {up_to: 450}}"),
        ("{weight_g: {over: 100, up_to: 450}}", "{weight_g: {up_to: 450}}"),
        ("{gift: true}", "{gift: false}"),
    ],
)
def test_a_rule_that_can_be_reached_is_not_remarked_on(earlier: str, later: str) -> None:
    text = (
        f"carriers:\n  - {{name: a, when: {earlier}, use: {{carrier: ups, service_level: ground}}}}\n"
        f"  - {{name: b, when: {later}, use: {{carrier: fedex, service_level: ground}}}}\n"
        "  - {name: c, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    assert notes_of(text) == ()


def test_bands_that_reach_into_each_other_are_remarked_on() -> None:
    text = (
        "carriers:\n  - {name: a, when: {weight_g: {up_to: 450}}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: b, when: {weight_g: {at_least: 450, up_to: 900}}, use: {carrier: fedex, service_level: ground}}\n"
        "  - {name: c, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    line, note = only_note(text)
    assert line == 3
    assert "overlaps the range in line 2" in note


def test_bands_that_only_touch_are_not_remarked_on() -> None:
    text = (
        "carriers:\n  - {name: a, when: {weight_g: {up_to: 450}}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: b, when: {weight_g: {over: 450}}, use: {carrier: fedex, service_level: ground}}\n"
        "  - {name: c, when: {state: CA}, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    notes = [note.split(": ", 1)[1] for note in notes_of(text)]
    assert notes == [
        "no rule covers everything: what none of them covers is quarantined",
        "`c` is never reached: the rules above cover every `weight_g`",
    ]


def test_a_gap_between_bands_is_remarked_on_where_no_rule_covers_everything() -> None:
    text = (
        "carriers:\n  - {name: a, when: {order_total: {under: 10 USD}}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: b, when: {order_total: {over: 10 USD}}, use: {carrier: fedex, service_level: ground}}\n"
    )
    notes = notes_of(text)
    assert [note.split(": ", 1)[1] for note in notes] == [
        "no rule covers everything: what none of them covers is quarantined",
        "no rule covers `order_total at_least 10.00 USD up_to 10.00 USD`",
    ]


def own_label_notes(text: str) -> list[str]:
    return [note for note in load_rules_text(text).notes if "own_labels_by" in note]


def test_rules_that_own_labels_on_tiktok_pass_over_are_remarked_on() -> None:
    (note,) = own_label_notes(rule("{state: CA}"))
    assert note.startswith("rules.yaml:") and "`everything else` is passed over" in note


@pytest.mark.parametrize(
    "rest",
    [
        "labels: {seller_shipping: off}\n",
        "channels: {tiktok: {own_labels_by: any}}\n",
        "channels: {tiktok: {own_labels_by: [ups, usps]}}\n",
        "shop: {ship_from: {name: W, street1: 1 Low Rd, city: Leeds, state: W, zip: LS1, country: GB}}\n",
    ],
)
def test_where_no_own_label_of_usps_is_refused_nothing_is_remarked_on(rest: str) -> None:
    assert own_label_notes(rest + rule("{state: CA}")) == []


def test_nothing_is_remarked_on_below_a_rule_for_all_own_labels_on_tiktok() -> None:
    assert own_label_notes(rule("{channel: tiktok, shipping_type: SELLER}")) == []


@pytest.mark.parametrize(
    ("value", "taken", "closed"),
    [
        ("any", ("usps", "ups"), ()),
        ("[any]", ("usps",), ()),
        ("[ups, fedex]", ("ups", "fedex"), ("usps", "dhl")),
        ("ups", ("ups",), ("usps", "fedex")),
        ("[not usps]", ("ups", "uniuni", "my_own"), ("usps",)),
        ("not usps", ("ups",), ("usps",)),
    ],
)
def test_whose_labels_a_channel_takes_is_data(value: str, taken: tuple[str, ...], closed: tuple[str, ...]) -> None:
    policy = load_rules_text(f"channels: {{tiktok: {{own_labels_by: {value}}}}}\n").channels["tiktok"].own_labels_by
    assert all(policy.takes(carrier) for carrier in taken)
    assert not any(policy.takes(carrier) for carrier in closed)


@pytest.mark.parametrize("value", ["[]", "[upss]", "[ups, not usps]", "[not uspz]"])
def test_a_policy_that_cannot_be_read_is_a_fault(value: str) -> None:
    assert len(faults(f"channels: {{tiktok: {{own_labels_by: {value}}}}}\n")) == 1


def test_only_tiktok_and_only_in_the_united_states_refuses_labels_as_shipped() -> None:
    assert not Rules().takes_own_label("tiktok", "usps")
    assert all(Rules().takes_own_label(channel, "usps") for channel in ("shopify", "ebay", "amazon"))


def test_amounts_in_several_currencies_are_remarked_on() -> None:
    line, note = only_note(rule("{order_total: {under: 10 EUR}}") + "deadlines: {penalty: 1 USD}\n")
    assert (line, "EUR, USD" in note) == (3, True)


def test_the_example_sender_on_labels_of_ones_own_is_remarked_on() -> None:
    text = default_rules_text().replace("seller_shipping: file", "seller_shipping: easypost")
    assert "still the example's" in only_note(text)[1]


def test_labels_of_ones_own_without_a_sender_are_remarked_on() -> None:
    text = "labels: {seller_shipping: easypost}\n" + rule("{state: CA}")
    assert "add `ship_from`" in only_note(text)[1]


def test_caps_under_which_nothing_can_be_bought_are_remarked_on() -> None:
    text = "spending: {max_cost_per_run: 10 USD}\n" + rule("{state: CA}")
    assert "nothing can be bought" in only_note(text)[1]


# files


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_rules(tmp_path / "rules.yaml")
    assert not isinstance(caught.value, RulesError)
    assert "tiktok-erp init" in caught.value.next_step


def test_a_missing_file_gives_the_shipped_rules_where_that_is_enough(tmp_path: Path) -> None:
    rules = load_rules_or_defaults(tmp_path / "rules.yaml")
    assert rules == load_rules_text(default_rules_text())
    assert "there is no rules.yaml" in rules.notes[0]


def test_a_broken_file_is_never_replaced_by_the_shipped_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("sync: {every: 60}\n", encoding="utf-8")
    with pytest.raises(RulesError):
        load_rules_or_defaults(path)


def test_a_directory_is_no_rules_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_rules(tmp_path)


def test_faults_carry_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sync: {every: 60}\n", encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_rules(path)
    assert caught.value.faults[0].startswith("mine.yaml:1:15: ")


def test_a_file_in_another_encoding_is_told_where_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes("alerts: {to: []}\nshop: {name: 美妆}\n".encode("gbk"))
    assert check_rules(path).faults == ("rules.yaml:2:14: this is not UTF-8 text; save the file as UTF-8",)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + default_rules_text().encode())
    assert load_rules(path).sync.every == timedelta(seconds=60)


def test_lists_far_too_deep_are_a_fault() -> None:
    assert "too deep" in only_fault("privacy: {a: " + "[" * 4000 + "]" * 4000 + "}\n")[1]


def test_a_file_far_too_large_is_a_fault() -> None:
    assert "too large" in only_fault("# " + "x" * 2_000_000)[1]


def test_aliases_that_stand_for_more_than_anybody_could_write_are_refused() -> None:
    lines = ["privacy:", "  a0: &a0 [x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "aliases that stand for far too much" in only_fault("\n".join(lines) + "\n")[1]


def test_aliases_within_reason_are_read() -> None:
    text = "privacy:\n  a: &a [x, y]\n  b: [*a, *a]\n"
    assert load_rules_text(text).privacy == {"a": ["x", "y"], "b": [["x", "y"], ["x", "y"]]}


def test_without_the_c_parser_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    text = rule("{state: [NO]}") + "sync: {every: 60}\n"
    with_c: RulesCheck = check_rules_text(text)
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert check_rules_text(text) == with_c
    assert load_rules_text(default_rules_text()) == load_rules_text((ROOT / "rules.yaml").read_text(encoding="utf-8"))
    assert "a tab" in only_fault("sync:\n\tevery: 60s\n")[1]
    assert "a control character" in only_fault("sync:\n  every: \x07\n")[1]


def test_yaml_is_only_imported_when_there_is_a_file_to_read() -> None:
    import subprocess

    code = "import sys, tiktok_erp.config.rules_file; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.text(st.characters(codec="utf-8"), max_size=200) | st.text("{}[]:,-&*!|>'\"%@ \n\tabc019", max_size=60))
def test_any_text_is_either_rules_or_has_faults_with_places(text: str) -> None:
    check = check_rules_text(text)
    assert (check.rules is None) == bool(check.faults)
    assert all(PLACE.match(fault) for fault in check.faults)


SCALARS = st.sampled_from(
    ["NO", "010", "16:40", "1_000", "~", '"x"', "10 USD", "5%", "60s", "x", "-1", "1.5", "[]", "{}", "[a, b]", "{a: b}"]
)
KEYS = re.findall(r"[a-z_0-9]+(?=:)", default_rules_text())


@given(st.dictionaries(st.sampled_from(sorted(set(KEYS))), st.sampled_from(sorted(set(KEYS))), max_size=4), SCALARS)
def test_no_value_in_any_place_is_a_crash(renamed: dict[str, str], value: str) -> None:
    text = default_rules_text()
    for old, new in renamed.items():
        text = re.sub(rf"\b{old}: [^,}}\n]*", f"{new}: {value}", text)
    check = check_rules_text(text)
    assert (check.rules is None) == bool(check.faults)


def test_a_band_is_kept_as_it_was_written() -> None:
    condition = load_rules_text(rule("{order_total: {at_least: 10 USD, under: 30.50 USD}}")).carriers[0].conditions[0]
    assert condition.wanted == Band(at_least=1000, under=3050, currency="USD")
