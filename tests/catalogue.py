"""The Chinese catalogue: `python -m tests.catalogue` brings it up to date with the messages in the code.

Every literal that goes through `tr` or `deferred` is a message. Translations that are there stay; a message that is new
gets an empty one and is printed, to be filled in in `tiktok_erp.po`; then the tool is run again and compiles the rest.
"""

from __future__ import annotations

import ast
import io
import re
import string
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).parent.parent / "tiktok_erp"
PO_FILE = PACKAGE / "locale" / "zh" / "LC_MESSAGES" / "tiktok_erp.po"
_MARKERS = ("tr", "deferred")
_CARRIERS = (ast.Name, ast.Attribute, ast.Subscript)  # what may bring a `deferred` text to `tr`
_FIXED = datetime(2026, 1, 1, tzinfo=UTC)
_HEADER_LINES_TO_DROP = re.compile(
    rb'^"(Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team'
    rb"|Generated-By): .*\n",
    re.MULTILINE,
)
_HEADER = """\
# Messages of tiktok_erp in Simplified Chinese.
# `python -m tests.catalogue` adds and removes messages and compiles this file; translations are written here by hand."""


@dataclass(frozen=True, slots=True)
class Messages:
    """What the code says: each text with the files that say it, and the calls whose text cannot be read."""

    files: Mapping[str, tuple[str, ...]]
    unreadable: tuple[str, ...]  # `file:line`


def extract(package: Path = PACKAGE) -> Messages:
    """Return every message of the package. `tr` may also be given a name that carries a `deferred` text."""
    files: dict[str, list[str]] = {}
    unreadable: list[str] = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package.parent).as_posix()
        for call, marker in _calls(ast.parse(path.read_text("utf-8"))):
            texts = list(_literals(call.args[0])) if call.args else []
            if None in texts or not texts:
                if not (marker == "tr" and call.args and isinstance(call.args[0], _CARRIERS)):
                    unreadable.append(f"{name}:{call.lineno}")
                continue
            for text in texts:
                files.setdefault(str(text), []).append(name)
    return Messages(
        {text: tuple(dict.fromkeys(where)) for text, where in sorted(files.items())}, tuple(sorted(unreadable))
    )


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _MARKERS:
                yield node, name


def _literals(node: ast.expr) -> Iterator[str | None]:
    """Yield the texts an argument may be; None for a part that is known only when the program runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)
    else:
        yield None


def read_catalogue(path: Path = PO_FILE) -> Catalog:
    """Return the catalogue as it stands in the file; an empty one where there is no file."""
    if not path.exists():
        return Catalog(locale="zh", domain="tiktok_erp")
    with path.open("rb") as file:
        return read_po(file, locale="zh", domain="tiktok_erp", abort_invalid=True)


def updated(old: Catalog, messages: Messages) -> Catalog:
    """Return a catalogue of exactly these messages, each with the translation it had."""
    new = Catalog(locale="zh", domain="tiktok_erp", header_comment=_HEADER, fuzzy=False)
    for text, files in messages.files.items():
        before = old.get(text)
        translation = before.string if before is not None and not before.fuzzy else ""
        new.add(text, translation, locations=[(name, 0) for name in files])
    return new


def po_text(catalogue: Catalog) -> bytes:
    """Return the catalogue as the PO file holds it: sorted, and without dates, so that a second run changes nothing."""
    written = io.BytesIO()
    write_po(written, catalogue, sort_output=True, include_lineno=False, width=120)
    return _HEADER_LINES_TO_DROP.sub(b"", written.getvalue())


def compiled(catalogue: Catalog) -> bytes:
    """Return the catalogue in the form that the program reads."""
    catalogue.creation_date = catalogue.revision_date = _FIXED  # or every run would make another file
    written = io.BytesIO()
    write_mo(written, catalogue)
    return written.getvalue()


def placeholders(text: str) -> set[str]:
    """Return the names in braces that a text is filled with."""
    return {name for literal, name, spec, conversion in string.Formatter().parse(text) if name is not None}


def main() -> int:
    """Bring the PO and the MO file up to date. 1 when something is left to translate."""
    messages = extract()
    for place in messages.unreadable:
        print(f"{place}: the text of a message is not a literal", file=sys.stderr)
    PO_FILE.parent.mkdir(parents=True, exist_ok=True)
    before = read_catalogue()
    catalogue = updated(before, messages)
    gone = {str(m.id): str(m.string) for m in before if m.id and m.id not in messages.files}
    PO_FILE.write_bytes(po_text(catalogue))
    # From the file, so that the two can be compared at any time.
    PO_FILE.with_suffix(".mo").write_bytes(compiled(read_catalogue()))
    missing = [str(message.id) for message in catalogue if message.id and not message.string]
    for text in missing:
        print(f"to translate: {text!r}", file=sys.stderr)
        for like in get_close_matches(text, gone, n=1):
            print(f"  before: {like!r}\n          {gone[like]!r}", file=sys.stderr)
    print(f"{len(messages.files)} messages, {len(missing)} to translate in {PO_FILE.relative_to(PACKAGE.parent)}")
    return 1 if missing or messages.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
