"""Text leaves by named modules only, where what others wrote is made safe for screens and files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tiktok_erp

ROOT = Path(tiktok_erp.__file__).parent


def _calls(source: str) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}


def _users(name: str) -> set[str]:
    """Return the modules that call it, but the simulator's, which is a program of its own."""
    modules = {path: path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}
    return {
        module
        for path, module in modules.items()
        if not module.startswith("simulator/") and name in _calls(path.read_text("utf-8"))
    }


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        (
            "csv.writer",
            {
                "handover/run.py",
                "handover/returns.py",  # read back by print-labels
                "labels/lists.py",
                "cli/report.py",
                "cli/demo.py",
            },
        ),
        ("csv.DictWriter", set()),
        ("print", {"cli/output.py", "cli/auth.py"}),  # the prompt of a sign-in says our own words
        ("sys.stdout.write", set()),
        ("sys.stderr.write", set()),
        ("Console", {"cli/output.py", "cli/tables.py", "cli/status.py"}),
        ("typer.echo", {"cli/sync.py", "cli/rules.py"}),
        ("Workbook", {"handover/list_file.py", "channels/seller_center_tracking.py"}),
    ],
)
def test_text_leaves_by_named_modules_only(name, modules):
    assert _users(name) == modules


def test_a_planted_way_out_is_found():
    assert {"csv.writer", "print"} <= _calls("import csv\ncsv.writer(file)\nprint(1)")
