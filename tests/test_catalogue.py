"""Every message has its Chinese text, and the compiled catalogue is the one in the repository."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo

from tiktok_erp import messages

_REMEDY = "run `python -m tests.catalogue` and fill in what it prints"


def _load_tool() -> ModuleType:
    # By path: `tests` is no package when pytest itself is the command.
    spec = importlib.util.spec_from_file_location("catalogue_tool", Path(__file__).with_name("catalogue.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


catalogue = _load_tool()


@pytest.fixture(scope="module")
def said() -> object:
    return catalogue.extract()


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    return catalogue.read_catalogue()


def _texts(chinese: Catalog) -> dict[str, str]:
    return {str(message.id): str(message.string or "") for message in chinese if message.id}


def test_the_code_has_messages_from_every_folder_that_speaks(said) -> None:
    folders = {name.split("/")[1] for files in said.files.values() for name in files}
    assert {"cli", "config", "store", "sync", "stock", "allocation", "labels", "tracking", "channels"} <= folders


def test_every_message_is_a_literal(said) -> None:
    assert said.unreadable == ()


def test_the_catalogue_holds_exactly_the_messages_of_the_code(said, chinese: Catalog) -> None:
    assert set(_texts(chinese)) == set(said.files), _REMEDY


def test_every_message_has_a_translation(chinese: Catalog) -> None:
    assert [text for text, translation in _texts(chinese).items() if not translation.strip()] == [], _REMEDY


def test_no_translation_is_fuzzy_or_obsolete(chinese: Catalog) -> None:
    assert [message.id for message in chinese if message.fuzzy and message.id] == []
    assert list(chinese.obsolete) == []


def test_a_translation_is_filled_from_the_same_names(chinese: Catalog) -> None:
    different = [
        text
        for text, translation in _texts(chinese).items()
        if translation and catalogue.placeholders(text) != catalogue.placeholders(translation)
    ]
    assert different == []


def test_commands_and_names_in_backticks_stay_as_they_are(chinese: Catalog) -> None:
    def quoted(text: str) -> list[str]:
        return sorted(text.split("`")[1::2])

    different = [
        text for text, translation in _texts(chinese).items() if translation and quoted(text) != quoted(translation)
    ]
    assert different == []


def test_the_compiled_catalogue_is_made_from_the_translations(chinese: Catalog) -> None:
    kept = read_mo(io.BytesIO(catalogue.PO_FILE.with_suffix(".mo").read_bytes()))
    fresh = read_mo(io.BytesIO(catalogue.compiled(chinese)))
    assert _texts(kept) == _texts(fresh), _REMEDY


def test_bringing_the_catalogue_up_to_date_twice_changes_nothing(said, chinese: Catalog, tmp_path: Path) -> None:
    once = catalogue.updated(chinese, said)
    (tmp_path / "again.po").write_bytes(catalogue.po_text(once))
    twice = catalogue.updated(catalogue.read_catalogue(tmp_path / "again.po"), said)
    assert catalogue.po_text(twice) == catalogue.po_text(once)


def test_the_program_speaks_chinese() -> None:
    messages.use_language("zh")
    try:
        assert messages.tr("error: {text}", text="?") == "错误：?"
    finally:
        messages.use_language("en")


@pytest.mark.parametrize(
    ("source", "texts", "unreadable"),
    [
        ('tr("one " "and two")', {"one and two"}, ()),
        ('tr("one" if late else "two")', {"one", "two"}, ()),
        ('STEPS = {1: deferred("one")}\ntr(STEPS[1])', {"one"}, ()),
        ('tr(f"one {two}")', set(), ("pkg/a.py:1",)),
        ('tr("one" + two)', set(), ("pkg/a.py:1",)),
        ("deferred(text)", set(), ("pkg/a.py:1",)),
        ("tr()", set(), ("pkg/a.py:1",)),
    ],
)
def test_messages_are_found_in_code(tmp_path: Path, source: str, texts: set[str], unreadable: tuple[str, ...]) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "a.py").write_text(source, "utf-8")
    found = catalogue.extract(package)
    assert (set(found.files), found.unreadable) == (texts, unreadable)


def test_a_reworded_message_loses_its_translation_and_the_others_keep_theirs() -> None:
    old = Catalog(locale="zh")
    old.add("kept", "保留")
    old.add("old words", "旧的")
    new = catalogue.updated(old, catalogue.Messages({"kept": ("a.py",), "new words": ("a.py",)}, ()))
    assert _texts(new) == {"kept": "保留", "new words": ""}
