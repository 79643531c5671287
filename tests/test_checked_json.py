"""JSON from outside never ends in anything but what it says, or a ValueError."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tiktok_erp.checked_json import parse_json

PACKAGE = Path(__file__).parents[1] / "tiktok_erp"
# What these read is written by this tool, into its own database.
OWN = {"store", "labels", "tracking", "allocation", "sync", "stock"}
OF_THE_DATABASE = {"cli/stock_story.py", "cli/output.py", "cli/order_story.py", "cli/live.py", "cli/orders.py"} | {
    "handover/run.py",
    "alerts/plan.py",
}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, b"\xff", b"", "nul", b"[" * 100_000])
def test_whatever_is_wrong_with_it_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_json(text)


def test_nothing_else_reads_json_from_outside() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("simulator/") or name == "checked_json.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load"):
                found.add(name)
    assert {name for name in found if name.split("/")[0] not in OWN} <= OF_THE_DATABASE
