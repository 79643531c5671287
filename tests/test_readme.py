"""README.md tells the truth: its examples run and print what it shows, and its tables are those of the code."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tiktok_erp import errors

ROOT = Path(__file__).parent.parent


def _load(name: str) -> ModuleType:
    # By path: `tests` is no package when pytest itself is the command.
    spec = importlib.util.spec_from_file_location(f"{name}_tool", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


readme = _load("readme")
TEXT = readme.README.read_text("utf-8")
BLOCKS = readme.blocks(TEXT)
EXAMPLES = readme.examples(TEXT)
HEADINGS = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> list[str]:
    return readme.run([example.command for example in EXAMPLES], tmp_path_factory.mktemp("readme"))


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=[f"line {example.line}" for example in EXAMPLES])
def test_an_example_prints_what_the_readme_shows(number: int, printed: list[str]) -> None:
    example = EXAMPLES[number]
    assert readme.fits(example.expected, printed[number]), (
        f"README.md:{example.line}: {example.command}\nshows\n{example.expected}\nprints\n{printed[number]}\n"
        "run `python -m tests.readme` if the new output is right"
    )


def test_every_one_of_the_five_commands_is_shown_at_work() -> None:
    shown = "\n".join(example.command for example in EXAMPLES)
    for command in ("sync", "reserve-stock", "allocate", "print-labels", "upload-tracking"):
        assert re.search(rf"tiktok-erp {command}\b", shown)


def test_start_holds_two_commands_of_one_line() -> None:
    start = [block for block in BLOCKS if block.section == "Start"]
    assert [block.language for block in start] == ["sh", "sh"]
    assert ["\n" in block.text for block in start] == [False, False]
    assert "tiktok-erp demo" in start[0].text
    assert "pytest" in start[1].text


def test_start_comes_first_and_the_way_without_an_account_second() -> None:
    assert HEADINGS[:2] == ["Start", "Without an API account"]


def test_the_way_without_an_account_names_every_stage_and_no_credentials() -> None:
    commands = "\n".join(block.text for block in BLOCKS if block.section == "Without an API account")
    assert "TIKTOK_SHOP_" not in commands
    for part in ("sync --from", "stock import", "allocate", "print-labels --from", "upload-tracking --to"):
        assert part in commands


# Commands and options


def _command() -> Any:
    import typer

    from tiktok_erp.cli.app import app

    return typer.main.get_command(app)


def _options(command: Any) -> set[str]:
    return {
        name for option in command.params for name in (*option.opts, *option.secondary_opts) if name.startswith("--")
    }


def _invocations(text: str) -> Iterator[list[str]]:
    """Yield the words of every `tiktok-erp ...` in code, up to the end of that command."""
    code = [block.text for block in readme.blocks(text)]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", prose)
    for piece in code:
        for call in re.findall(r"(?:^|[\s`/(])tiktok-erp[ \t]+([^|;&<>)`\n]+)", piece):
            yield call.split()


GLOBAL = {"--db", "--rules", "--lang", "--help"}


def _unknown_in(words: list[str]) -> list[str]:
    """Return the command and the options of one invocation that `--help` does not know."""
    words = list(words)
    while words and words[0] in GLOBAL and len(words) > 1:
        words = words[2:]
    command = _command()
    if not words or words[0] == "COMMAND":
        return []
    name = words.pop(0)
    if name not in command.commands:
        return [name]
    command = command.commands[name]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [option for option in options if option not in _options(command) | GLOBAL]


SHELL_TEXTS = {
    "README.md": TEXT,
    "evening.sh": "```sh\n" + (ROOT / "examples" / "evening.sh").read_text("utf-8") + "```\n",
    "crontab.example": "```sh\n" + (ROOT / "examples" / "crontab.example").read_text("utf-8") + "```\n",
    "rules-commented.yaml": (ROOT / "examples" / "rules-commented.yaml").read_text("utf-8"),
}


@pytest.mark.parametrize("name", SHELL_TEXTS)
def test_every_command_and_option_that_is_named_exists(name: str) -> None:
    calls = list(_invocations(SHELL_TEXTS[name]))
    assert calls
    assert [call for call in calls if _unknown_in(call)] == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    calls = list(
        _invocations("`tiktok-erp sink` and\n```sh\na | tiktok-erp sync --form x\ntiktok-erp --db x rules tset\n```\n")
    )
    assert [_unknown_in(call) for call in calls] == [["--form"], ["tset"], ["sink"]]


def test_every_command_is_mentioned() -> None:
    command = _command()
    names = [
        f"{name} {below}" if below else name
        for name, entry in command.commands.items()
        for below in (getattr(entry, "commands", None) or [""])
    ]
    assert [name for name in names if f"`{name}" not in TEXT and f"tiktok-erp {name}" not in TEXT] == []


# Tables


def _table(first_header: str) -> list[list[str]]:
    """Return the rows of the table whose first header cell is this."""
    lines = TEXT.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_exit_codes_are_those_of_the_error_classes() -> None:
    causes: dict[int, set[str]] = defaultdict(set)
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.ErpError):
            causes[error.exit_code].add(error.cause)
    assert {int(row[0]): set(_words(row[2])) for row in _table("code")} == {0: set()} | causes


def test_the_views_have_the_columns_that_the_readme_promises() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript((ROOT / "tiktok_erp" / "store" / "schema.sql").read_text("utf-8"))
    views = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    rows = _table("view")
    assert {_words(row[0])[0] for row in rows} == views
    for row in rows:
        view = _words(row[0])[0]
        real = {column[1] for column in connection.execute(f"SELECT * FROM pragma_table_info('{view}')")}
        without_remarks = re.sub(r"\([^)]*\)", "", row[2])
        assert set(_words(without_remarks)) <= real
    connection.close()


def test_the_sections_of_the_rules_are_all_named() -> None:
    from tiktok_erp.config import rules_file

    named = [word for row in _table("section") for word in _words(row[0])]
    assert sorted(named) == sorted(rules_file._SECTIONS)


def test_every_setting_is_one_that_the_code_reads() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tiktok_erp").rglob("*.py"))
    settings = {word for row in _table("setting") for word in _words(row[0])}
    assert settings
    assert [name for name in sorted(settings) if f'"{name}"' not in code] == []


def test_every_error_with_a_remedy_is_one_that_the_tool_prints() -> None:
    messages = _load("catalogue").extract().files
    rows = _table("it says")
    assert len(rows) > 10

    def is_printed(shown: str) -> bool:
        pattern = ".*".join(re.escape(part) for part in shown.split("..."))
        return any(re.fullmatch(pattern, message, flags=re.DOTALL) for message in messages)

    assert [row[0] for row in rows if not is_printed(row[0])] == []


def test_links_inside_the_page_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^##+ (.*)$", TEXT, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert links
    assert set(links) <= anchors


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"examples/[\w.-]*\w", TEXT)) | {"LICENSE", "CHANGELOG.md", "rules.yaml"}
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("expected", "actual", "is_fit"),
    [
        ("3 orders", "3 orders", True),
        ("3 orders", "4 orders", False),
        ("at ...: done", "at 2026-01-31: done", True),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...", "b\nc", False),
        ("", "an error", False),
    ],
)
def test_an_output_fits_where_only_dots_differ(expected: str, actual: str, is_fit: bool) -> None:
    assert readme.fits(expected, actual) is is_fit
