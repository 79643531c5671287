"""Text of others does no harm on a screen or in a file."""

from __future__ import annotations

import io

import pytest

from tiktok_erp.cli.output import Output
from tiktok_erp.model.foreign_text import LONGEST_CELL, csv_cell, file_text, screen_text

HOSTILE = ("\x1b[2J", "\x9b31m", "\x00", "\r", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800", "\x7f", "\u2028")


@pytest.mark.parametrize("sign", HOSTILE, ids=ascii)
def test_a_sign_that_steers_a_screen_is_shown_as_its_number(sign):
    for tell in ("say", "warn"):
        stdout, stderr = io.StringIO(), io.StringIO()
        getattr(Output(as_json=False, quiet=False, stdout=stdout, stderr=stderr), tell)(f"note {sign} of a buyer")
        written = stdout.getvalue() + stderr.getvalue()
        assert sign[0] not in written
        assert f"<U+{ord(sign[0]):04X}>" in written


def test_json_stays_exact():
    stdout = io.StringIO()
    Output(as_json=True, quiet=False, stdout=stdout).json_line({"note": "a\u202eb"})
    assert "\u202e" in stdout.getvalue()


def test_usual_text_stays_as_it_is_on_a_screen():
    text = "Größe 口红\t🎁\n[red] it's"
    assert screen_text(text) == text


@pytest.mark.parametrize("text", ["\x00", "\x1b", "\ud800", "\uffff"], ids=ascii)
def test_what_a_file_cannot_hold_is_replaced(text):
    assert file_text(f"a{text}b") == "a\ufffdb"


def test_a_cell_is_never_longer_than_a_workbook_holds():
    assert file_text("x" * 40_000) == "x" * LONGEST_CELL
    assert len(file_text("🎁" * 40_000).encode("utf-16-le")) <= LONGEST_CELL * 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-"], ids=ascii)
def test_a_cell_of_a_csv_is_no_formula(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("cell", [-5, -1.5, 0, "5769000000000000123", "LIP-ROSE", "a=b"])
def test_numbers_and_ids_stay_exact_in_a_csv(cell):
    assert csv_cell(cell) == str(cell)
