"""Imports point one way. Reads the syntax trees, so that imports inside functions and for type checkers count as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tiktok_erp"

BASE = frozenset({"errors", "messages"})
SHARED_FILES = frozenset(
    {"checked_json", "pdf", "private_files", "table_file"}
)  # file formats that several edges read or write
STAGES = frozenset({"sync", "stock", "allocation", "labels", "tracking", "alerts", "handover"})
# The kit for an outage is the day's paper once more: it prints with what labels print with, in their order.
PAPER = frozenset({"draw", "merge", "fonts", "plan"})
EDGES = frozenset({"store", "channels", "carriers", "config", "transport", "printers"})

# What a part may import beside itself. `plan` stands for every stage's plan.py, `draw` for the drawing modules of labels.
ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "messages": frozenset(),
    "checked_json": frozenset(),
    "private_files": frozenset(),
    "pdf": BASE | {"model", "private_files"},
    "table_file": BASE | {"model"},
    "model": BASE,
    "plan": BASE | {"model"},
    "draw": BASE | SHARED_FILES | {"model"},
    "signals": frozenset(),
    "store": BASE | SHARED_FILES | {"model"},
    "transport": BASE | {"model"},
    "config": BASE | SHARED_FILES | {"model", "signals"},
    "channels": BASE | SHARED_FILES | {"model", "transport"},
    "carriers": BASE | SHARED_FILES | {"model", "transport"},
    "printers": BASE | SHARED_FILES | {"model"},
    **{stage: BASE | SHARED_FILES | EDGES | {"model", "plan", "draw", "signals"} for stage in STAGES},
    "simulator": frozenset(),
}
PURE = ("plan", "model")
# A pure module decides; it has no clock, no files, no connection and no dice.
IMPURE_MODULES = frozenset(
    {"pathlib", "sqlite3", "httpx", "time", "os", "sys", "io", "socket", "random", "subprocess", "threading", "uuid"}
)
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "open", "utc_now", "getenv"})


class Arrow(NamedTuple):
    source: str
    target: str
    line: int


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (full module name, line) of every import in `tree`, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                keep = node.level - 1 if is_package else node.level
                parts = module.split(".")
                base = ".".join(parts[: len(parts) - keep] + ([node.module] if node.module else []))
            else:
                base = node.module or ""
            if base in ("tiktok_erp", ""):
                for alias in node.names:
                    yield f"{base}.{alias.name}".lstrip("."), node.lineno
            else:
                for alias in node.names:
                    yield f"{base}.{alias.name}", node.lineno


def part_of(module: str) -> str:
    """Return the part of the table that `module` of ours belongs to."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return "cli" if parts[-1] == "__main__" else "root"
    if parts[1] in STAGES and len(parts) > 2:
        if parts[2] == "plan":
            return "plan"
        if parts[1] == "labels" and parts[2] in ("draw", "merge", "fonts", "paper"):
            return "draw"
    return parts[1]


def folder_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def is_allowed(source: str, target: str) -> bool:
    origin, goal = part_of(source), part_of(target)
    if origin == "cli":
        return True
    if folder_of(source) == "handover" and target.split(".")[1:2] == ["labels"]:
        wanted = target.split(".")[2:3]
        return bool(wanted) and wanted[0] in (PAPER if origin == "handover" else {"plan"})
    if goal == "root":  # `from tiktok_erp import __version__` and the like
        return origin != "simulator"
    if origin in STAGES or origin in ("plan", "draw"):
        # A stage never looks into another one, not even into its plan.
        if folder_of(target) in STAGES and folder_of(target) != folder_of(source):
            return False
        if origin in STAGES and goal == origin:
            return True
        if origin == "draw" and goal == "draw":
            return True
        return goal in ALLOWED[origin]
    return goal == origin or goal in ALLOWED[origin]


def all_modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def all_arrows() -> list[Arrow]:
    arrows = []
    for path in all_modules():
        name = module_name(path)
        tree = ast.parse(path.read_text("utf-8"))
        for target, line in imported(tree, name, is_package=path.name == "__init__.py"):
            if target == "tiktok_erp" or target.startswith("tiktok_erp."):
                arrows.append(Arrow(name, target, line))
    return arrows


def impurities(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [
        f"imports {target} (line {line})"
        for target, line in imported(tree, "tiktok_erp.model.x")
        if target.split(".")[0] in IMPURE_MODULES
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = (
                called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            )
            if name in IMPURE_CALLS:
                found.append(f"calls {name}() (line {node.lineno})")
    return found


def test_no_import_points_the_wrong_way() -> None:
    wrong = [arrow for arrow in all_arrows() if not is_allowed(arrow.source, arrow.target)]
    assert not wrong, "\n".join(f"{arrow.source}:{arrow.line} imports {arrow.target}" for arrow in wrong)


def test_every_part_of_the_package_is_in_the_table() -> None:
    parts = {part_of(module_name(path)) for path in all_modules()}
    assert parts - {"root", "cli"} <= set(ALLOWED)


def test_the_reading_finds_arrows_from_every_part() -> None:
    arrows = all_arrows()
    assert len(arrows) > 200
    sources = {part_of(arrow.source) for arrow in arrows}
    assert sources >= (
        set(ALLOWED)
        - {"errors", "messages", "simulator", "checked_json", "private_files", "pdf", "table_file", "signals"}
    ) | {"cli"}


@pytest.mark.parametrize(
    "path", [path for path in all_modules() if part_of(module_name(path)) in PURE], ids=module_name
)
def test_what_decides_has_no_clock_no_files_and_no_connection(path: Path) -> None:
    assert impurities(path.read_text("utf-8")) == []


def test_there_is_a_plan_in_every_stage() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/plan.py")} == STAGES


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("tiktok_erp.sync.run", "tiktok_erp.stock.run"),
        ("tiktok_erp.sync.run", "tiktok_erp.stock.plan"),
        ("tiktok_erp.handover.run", "tiktok_erp.labels.run"),
        ("tiktok_erp.handover.run", "tiktok_erp.tracking.plan"),
        ("tiktok_erp.handover.plan", "tiktok_erp.labels.draw"),
        ("tiktok_erp.labels.draw", "tiktok_erp.store.labels"),
        ("tiktok_erp.labels.plan", "tiktok_erp.labels.run"),
        ("tiktok_erp.stock.plan", "tiktok_erp.store.stock"),
        ("tiktok_erp.model.money", "tiktok_erp.store.database"),
        ("tiktok_erp.store.orders", "tiktok_erp.channels.base"),
        ("tiktok_erp.channels.tiktok", "tiktok_erp.store.orders"),
        ("tiktok_erp.channels.tiktok", "tiktok_erp.config.tokens"),
        ("tiktok_erp.transport.client", "tiktok_erp.channels.base"),
        ("tiktok_erp.store.orders", "tiktok_erp.cli.output"),
        ("tiktok_erp.simulator.server", "tiktok_erp.errors"),
        ("tiktok_erp.simulator.server", "tiktok_erp"),
        ("tiktok_erp.errors", "tiktok_erp.messages"),
    ],
)
def test_a_wrong_arrow_is_refused(source: str, target: str) -> None:
    assert not is_allowed(source, target)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("def f():\n    from tiktok_erp.store.orders import x", "tiktok_erp.store.orders.x"),
        ("if TYPE_CHECKING:\n    import tiktok_erp.store", "tiktok_erp.store"),
        ("from tiktok_erp import store", "tiktok_erp.store"),
        ("from ..store import orders", "tiktok_erp.store.orders"),
        ("from .. import store", "tiktok_erp.store"),
    ],
)
def test_every_way_to_write_an_import_is_seen(text: str, target: str) -> None:
    assert target in [name for name, line in imported(ast.parse(text), "tiktok_erp.sync.plan")]


@pytest.mark.parametrize(
    "text",
    [
        "import sqlite3",
        "from pathlib import Path",
        "def f():\n    import httpx",
        "x = datetime.now(UTC)",
        "x = open('a')",
        "x = date.today()",
    ],
)
def test_an_impure_line_is_seen(text: str) -> None:
    assert impurities(text)
