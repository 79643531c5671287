"""The kit's files are written whatever the texts hold: it is made in the hour when nothing else works."""

from __future__ import annotations

import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tiktok_erp.channels.seller_center_tracking import SplitRow, write_split_orders
from tiktok_erp.handover.list_file import write_list
from tiktok_erp.handover.pages import ListRow

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTILE = ("\x00", "\x1b[2J", "\x0b", "\ud800", "\uffff", "\u202e", "🎁", "=1+1", "x" * 40_000)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:6]))
def test_a_list_and_the_split_orders_are_written_with_any_text(tmp_path, text):
    row = object.__new__(ListRow)
    for field in fields(ListRow):
        object.__setattr__(row, field.name, "")
    for name, value in {"package_id": "P000001", "items": f"1 x {text}", "place": text, "step": "pack"}.items():
        object.__setattr__(row, name, value)
    write_list(tmp_path / "list.xlsx", 1, [row])
    sheet = load_workbook(tmp_path / "list.xlsx").active
    assert sheet["A2"].value == "P000001"
    assert sheet["B2"].data_type != "f"
    write_split_orders(tmp_path / "split.xlsx", [SplitRow(**{field.name: text for field in fields(SplitRow)})])
    assert load_workbook(tmp_path / "split.xlsx").active is not None


def test_the_kit_is_made_and_says_whose_texts_could_not_be_written(folder):
    hostile = "A\x00B\x1b[2J\x0b\u202e=1+1\n\u200bz"
    folder.write_rules()
    folder.call("sync", "--from", str(EXAMPLES / "seller-center-export.csv"), "--quiet")
    folder.call("stock", "import", str(EXAMPLES / "sku-sheet.csv"), "--quiet")
    folder.call("reserve-stock", "--quiet")
    folder.call("allocate", "--no-wait", "--quiet", expect=(0, 3))
    with sqlite3.connect(folder.db) as connection:
        connection.execute("UPDATE orders SET buyer_note = ?1, seller_note = ?1", (hostile,))
        connection.execute("UPDATE recipients SET name = ?1, street1 = ?1", (hostile,))
        connection.execute("UPDATE skus SET name = ?1, shelf = ?1", (hostile,))
        connection.execute(
            "UPDATE units SET product_name = ?, sku = sku || ? WHERE sku LIKE 'LIP%'", (hostile, hostile)
        )
    made = folder.run("handover", "kit", "--people", "2")
    assert "characters that no file can hold (P0" in made.stderr
    assert (folder.path / "kit" / "START-HERE.html").exists()
    told = folder.run("orders", "show", folder.value("SELECT order_id FROM orders WHERE is_open = 1 LIMIT 1")).stdout
    assert "\x1b" not in told and "<U+001B>" in told
    listed = folder.run("stock", "show").stdout.splitlines()
    assert all(line.count("\t") == listed[0].count("\t") for line in listed)
