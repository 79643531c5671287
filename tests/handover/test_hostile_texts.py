"""The kit's files are written whatever the texts hold: it is made in the hour when nothing else works."""

from __future__ import annotations

from dataclasses import fields

import pytest
from openpyxl import load_workbook

from tiktok_erp.channels.seller_center_tracking import SplitRow, write_split_orders
from tiktok_erp.handover.list_file import write_list
from tiktok_erp.handover.pages import ListRow

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
