"""What looks right in rules.yaml and is something else to YAML: told with its place and what to write."""

from __future__ import annotations

import pytest

from tiktok_erp.config.rules_file import check_rules, check_rules_text, default_rules_text

RULES = """carriers:
  - name: a
    when: {when}
    use: {{carrier: ups, service_level: ground}}
  - name: everything else
    use: {{carrier: usps, service_level: ground_advantage}}
"""
SENDER = """shop:
  name: x
  ship_from:
    name: A
    street1: {street}
    city: Ontario
    state: CA
    zip: "91761"
    phone: "9095550100"
"""


def when(condition: str) -> str:
    return RULES.format(when=condition)


def faults(text: str) -> list[str]:
    return list(check_rules_text(text).faults)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (when("\n      sku: TINT #05"), "4:17"),
        (when("\n      sku: TINT  #05"), "4:18"),
        (when("\n      sku: TINT # 05"), "4:17"),
        (when("\n      sku: TINT\t#05"), "4:17"),
        (when("\n      sku: #05"), "4:12"),
        (when("\n      sku: TINT #rose"), "4:17"),
        (when("\n      sku:\n        - TINT #05\n        - LIP"), "5:16"),
        (when("{sku: TINT #05}"), "3:22"),
        (when("{sku: [TINT #05, LIP]}"), "3:23"),
        (when("\n      sku: [LIP,\n        TINT #05]"), "5:14"),
        ("shop:\r\n  name: TINT #05\r\n", "2:14"),
        ("seller_center:\n  headers:\n    Qty #: Quantity\n", "3:9"),
        ("safety_stock:\n  - sku: MUG #2\n    keep: 5\n", "2:14"),
        (SENDER.format(street="1 Main St #4"), "5:24"),
    ],
)
def test_a_hash_that_swallows_the_rest_of_a_value_is_a_fault(text: str, place: str) -> None:
    first = faults(text)[0]
    assert first.startswith(f"rules.yaml:{place}: ")
    assert "# begins a comment here" in first


def test_it_is_said_what_to_write_but_not_what_is_private() -> None:
    assert 'write "TINT #05"' in faults(when("\n      sku: TINT #05"))[0]
    assert "Main" not in faults(SENDER.format(street="1 Main St #4"))[0]


@pytest.mark.parametrize(
    "text",
    [
        default_rules_text(),
        when("\n      sku: TINT # the small one"),
        when("\n      sku: TINT  #the small one"),
        when("\n      sku: TINT # 5 shades of it"),
        when("\n      sku: TINT   # shade 05"),
        when("\n      sku: 'TINT #05' #05"),
        when('{sku: ["TINT #05", LIP]} #both'),
        when("\n      sku: LIP-#05"),
        "sync:\n  every: 60s #fast\n",
        "handover:  #a kit\n  dir: kit # beside the database\n",
        "shop:\n  name: x    # 注释：“x”，y\n",
        "shop:\n  name: 小店：好，“双11”！\n",
        "shop:\n  name: “双11”小店\n",
        "shop: {name: 慢，稳, kind: local}\n",
        "shop:\n  name: 【新】Kira’s 小店０５\n",
        when("{sku: [\"A，B\", '“C”']}"),
        "handover:\n  dir: |\n    a：b，“c”\n",
        "\ufeffshop: {name: x}\n",
        "shop:\r\n  name: x\r\n",
    ],
)
def test_honest_comments_and_honest_text_are_no_fault(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("sync:\n  every：60s\n", "2:8", "`every: `"),
        (when("{order_total: {under：10 USD}}"), "3:31", "`under: `"),
        (when("{sku: [A，B]}"), "3:19", "write ,"),
        (when("{sku: [A、B]}"), "3:19", "write ,"),
        ("shop: {name: x， kind: local}\n", "1:15", "write ,"),
        (when("{sku: ［A, B］}"), "3:17", "write ["),
        (when("\n      sku: “TINT”"), "4:12", 'write a plain "'),
        (when("\n      sku: ‘TINT’"), "4:12", 'write a plain "'),
        (when("\n      sku: ＂TINT＂"), "4:12", 'write a plain "'),
        (when("\n      sku:“TINT”"), "4:11", 'write a plain "'),
        (when("\n\u00a0     sku: A"), "4:1", "plain space"),
        (when("\n      sku:\u00a0A"), "4:11", "plain space"),
        (when("\n      sku: LIP\u00a0ROSE"), "4:15", "plain space"),
        ("shop:\n\u3000name: x\n", "2:1", "plain space"),
        (when("\n      sku: A\u200b"), "4:13", "U+200B"),
        ("shop:\n  name: x\n\ufeffsync: {every: 60s}\n", "3:1", "U+FEFF"),
        ("safety_stock:\n  - {sku: '*', keep: ２０%}\n", "2:22", "write 20%"),
        (when("{sku: ＴＩＮＴ}"), "3:17", "write TINT"),
        ("safety_stock:\n  － {sku: '*', keep: 5}\n", "2:3", "write -"),
        ("safety_stock:\n  – {sku: '*', keep: 5}\n", "2:3", "write -"),
        ("＃ a note\nshop: {name: x}\n", "1:1", "write #"),
        (when("\n\tsku: A"), "4:1", "spaces"),
    ],
)
def test_a_character_that_only_looks_right_is_a_fault_that_says_what_to_write(text: str, place: str, told: str) -> None:
    first = faults(text)[0]
    assert first.startswith(f"rules.yaml:{place}: ")
    assert told in first


def test_a_byte_order_mark_and_windows_line_ends_of_a_file_are_nothing(tmp_path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + default_rules_text().replace("\n", "\r\n").encode())
    assert check_rules(path).faults == ()
