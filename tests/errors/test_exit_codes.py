"""Each class of error carries the exit code that scripts rely on, a stable cause, and a next step for the seller."""

from __future__ import annotations

import ast
import sqlite3
from pathlib import Path

import pytest

from tiktok_erp import errors
from tiktok_erp.errors import ErpError

PACKAGE = Path(errors.__file__).parent
# 1 our bug, 2 bad usage, 3 some items failed, 4 sign-in, 5 settings or rules, 6 channel down, 7 store, 130 interrupted.
EXIT_CODES = {
    "ErpError": 1,
    "UsageError": 2,
    "InputFileError": 2,
    "SomeItemsFailed": 3,
    "ChannelRefused": 3,
    "DatabaseBehind": 5,
    "LabelFileError": 3,
    "PrinterError": 3,
    "SignInError": 4,
    "SettingsError": 5,
    "RulesError": 5,
    "OtherShop": 5,
    "ChannelDown": 6,
    "ChannelThrottled": 6,
    "OutcomeUnknown": 6,
    "StaleData": 6,
    "NotSent": 6,
    "StoreError": 7,
    "StoreLocked": 7,
    "StoreTooNew": 7,
    "StoreRefused": 1,
    "Interrupted": 130,
}
CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ErpError)]


def make(kind: type[ErpError]) -> ErpError:
    if kind is errors.ChannelRefused:
        return errors.ChannelRefused("what", subject="order 1", next_step="do this", code=21011044, request_id="r")
    return kind("what", subject="order 1", next_step="do this")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_its_exit_code(kind: type[ErpError]) -> None:
    assert make(kind).exit_code == EXIT_CODES[kind.__name__]


def test_no_class_is_only_in_this_list() -> None:
    assert {kind.__name__ for kind in CLASSES} == set(EXIT_CODES)


def test_only_the_documented_exit_codes_are_used() -> None:
    assert {kind.exit_code for kind in CLASSES} == {1, 2, 3, 4, 5, 6, 7, 130}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_says_what_happened_to_what_and_what_to_do(kind: type[ErpError]) -> None:
    error = make(kind)
    assert str(error) == "what (order 1)"
    assert (error.what, error.subject, error.next_step) == ("what", "order 1", "do this")


def test_causes_are_stable_words_of_their_own() -> None:
    causes = [kind.cause for kind in CLASSES]
    assert len(set(causes)) == len(causes)
    assert all(cause.isidentifier() and cause == cause.lower() for cause in causes)


def test_a_cause_can_be_narrower_than_its_class() -> None:
    error = errors.SignInError("what", subject="", next_step="", cause="scope_missing")
    assert (error.cause, errors.SignInError.cause) == ("scope_missing", "sign_in")
    assert str(error) == "what"


def test_no_module_raises_the_base_of_all_errors() -> None:
    raising = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                called = node.exc.func
                if isinstance(called, ast.Name) and called.id == "ErpError":
                    raising.append(f"{path.name}:{node.lineno}")
    assert raising == []


def test_no_error_is_raised_without_a_next_step() -> None:
    names = {kind.__name__ for kind in CLASSES}
    checked, without = 0, []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
                continue
            checked += 1
            keywords = {keyword.arg for keyword in node.keywords}
            if not {"subject", "next_step"} <= keywords:
                without.append(f"{path.name}:{node.lineno}")
    assert checked > 50
    assert without == []


def test_the_library_of_the_store_knows_no_error_that_this_list_lacks() -> None:
    found = {name for name, value in vars(sqlite3).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert found == {
        "Warning",
        "Error",
        "InterfaceError",
        "DatabaseError",
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    }
