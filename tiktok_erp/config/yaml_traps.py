"""Characters in rules.yaml that look right to a person and are something else to YAML: each with its place. Pure.

Keyboards for Chinese, word processors and web pages put them there: full-width colons and commas, curly quotes, no-break
spaces, marks that nobody sees. And a `#` behind a space, which begins a comment where a SKU goes on for its reader.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from tiktok_erp.messages import tr

_UNSEEN = re.compile("[\u200b\u200c\u200d\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad]")
_HARD_SPACE = re.compile("[\u00a0\u2007\u202f]")
_WIDE_SPACE = re.compile("[\u2000-\u2006\u2008-\u200a\u205f\u3000]")
_INDENT = re.compile(r"[\s\u200b\ufeff]*")
_KEY = re.compile(
    r"(?P<before>(?:^\s*(?:[-－–—•]\s*)*|[{,，｛]\s*))(?P<key>[^\s:：{}\[\],，#\"'][^:：{}\[\],，#\"']{0,60})(?P<colon>：)"
)
_DASH = re.compile(r"^\s*(?P<mark>[－–—•‐‑−])\s*\S")
_WIDE_HASH = re.compile(r"^\s*(?P<mark>＃)")
_AT_START = r"(?:^\s*(?:-\s+)?|[:：]\s+|[:：](?=[“”„«‘’＂＇])|[\[{,，［｛]\s*|-\s+)"
# A text may begin with a quotation: only quotes around the whole of it, or one that nothing closes, are meant for YAML.
_QUOTE = re.compile(_AT_START + r"(?P<mark>[“”„«‘’＂＇])[^“”„«»‘’＂＇,\]}]*(?:[“”»‘’＂＇\"']\s*)?(?=$|[,，\]}])")
_BRACKET = re.compile(_AT_START + r"(?P<mark>[［｛])")
_NEXT_KEY = re.compile(r"\s*[\w-]+\s*[:：]")
_WIDE_VALUE = re.compile(r"[!-~\uff01-\uff5e .]*[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a％][!-~\uff01-\uff5e .]*")
_BLOCK = re.compile(r"(?:^|[:\-]\s)\s*[|>][+-]?[1-9]?[+-]?\s*$")
_COMMENT = re.compile(r"(?P<gap>[ \t]+)(?P<comment>#.*)$")
_MOST_SHOWN = 8
_PLAIN_OF = {"，": ",", "、": ",", "；": ",", "］": "]", "｝": "}", "［": "[", "｛": "{"}


@dataclass(frozen=True, slots=True)
class Trap:
    """A character that is not what it looks like. `line` and `column` count from 1."""

    line: int
    column: int
    what: str


def find_traps(text: str) -> list[Trap]:
    """Return the traps of a rules file outside quotes, comments and blocks of text, in the order of the file."""
    if text.isascii():
        return []
    return [trap for number, bare in _bare_lines(text) if not bare.isascii() for trap in _traps_of(number, bare)]


def _bare_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with what stands in quotes or in a comment blanked out; blocks of text are left out."""
    block: int | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        indent = len(line) - len(line.lstrip(" "))
        if block is not None and (not line.strip() or indent > block):
            continue
        bare = bare_line(line.rstrip("\r"))
        block = indent if _BLOCK.search(bare) else None
        yield number, bare


def bare_line(line: str, *, keep_comment: bool = False) -> str:
    """Return a line whose quoted texts, and comment unless it is kept, are blanked out; every column stays where it was."""
    out: list[str] = []
    index = 0
    is_value_start = True
    while index < len(line):
        mark = line[index]
        if mark == "#" and (not out or out[-1] in " \t") and (not out or not keep_comment):
            break
        if mark in "\"'" and is_value_start:
            end = _end_of_quote(line, index)
            out.append(mark + " " * (end - index - 2) + (mark if end - index > 1 else ""))
            index = end
            is_value_start = False
            continue
        out.append(mark)
        is_value_start = mark in ":：-[{,，［｛" or (is_value_start and mark.isspace())
        index += 1
    return "".join(out)


def _end_of_quote(line: str, start: int) -> int:
    mark = line[start]
    index = start + 1
    while index < len(line):
        if line[index] == "\\" and mark == '"':
            index += 2
        elif line[index] == mark:
            if mark == "'" and line[index + 1 : index + 2] == "'":
                index += 2
                continue
            return index + 1
        else:
            index += 1
    return len(line)


def _traps_of(number: int, bare: str) -> Iterator[Trap]:
    found: dict[int, str] = {}

    def note(index: int, what: str) -> None:
        found.setdefault(index, what)

    for mark in _UNSEEN.finditer(bare):
        note(mark.start(), tr("a mark that nobody sees (U+{code}); take it out", code=f"{ord(mark[0]):04X}"))
    for mark in _HARD_SPACE.finditer(bare):
        note(mark.start(), tr("a no-break space; write a plain space"))
    indent = _INDENT.match(bare)
    for mark in _WIDE_SPACE.finditer(bare):
        if (indent is not None and mark.start() < indent.end()) or bare[mark.start() - 1 : mark.start()] in tuple(
            ":-,[{"
        ):
            note(mark.start(), tr("a wide space; write a plain space"))
    for key in _KEY.finditer(bare):
        note(
            key.start("colon"),
            tr("a full-width colon; write `{key}: ` with a plain colon and a space", key=key["key"].strip()),
        )
    for pattern, plain in ((_DASH, "-"), (_WIDE_HASH, "#")):
        line_start = pattern.match(bare)
        if line_start is not None:
            note(
                line_start.start("mark"),
                tr("{mark} is no plain {plain}; write {plain}", mark=line_start["mark"], plain=plain),
            )
    for mark in _QUOTE.finditer(bare):
        note(
            mark.start("mark"),
            tr('{mark} is no quote to YAML; write a plain " before and behind the text', mark=mark["mark"]),
        )
    for mark in _BRACKET.finditer(bare):
        note(
            mark.start("mark"),
            tr("{mark} is no plain {plain}; write {plain}", mark=mark["mark"], plain=_PLAIN_OF[mark["mark"]]),
        )
    for index in _in_flow(bare):
        note(index, tr("{mark} is no plain {plain}; write {plain}", mark=bare[index], plain=_PLAIN_OF[bare[index]]))
    for start, value in _values(bare):
        if _WIDE_VALUE.fullmatch(value):
            plain = unicodedata.normalize("NFKC", value)
            # Short ones only: a telephone number is not to be repeated.
            shown = plain if len(plain) <= _MOST_SHOWN else "0-9, A-Z, %"
            note(start, tr("full-width characters; write {plain}, or put the text in quotes", plain=shown))
    yield from (Trap(number, index + 1, what) for index, what in sorted(found.items()))


def _in_flow(bare: str) -> Iterator[int]:
    """Yield where a wide comma or bracket stands in place of a plain one: in a list, or before the next key of a group."""
    open_brackets: list[str] = []
    for index, mark in enumerate(bare):
        if mark in "[{［｛":
            open_brackets.append(mark)
        elif mark in "]}" and open_brackets:
            open_brackets.pop()
        elif mark in "］｝" and open_brackets:
            open_brackets.pop()
            yield index
        elif mark in "，、；" and open_brackets:
            is_list = open_brackets[-1] in "[［"
            if is_list or _NEXT_KEY.match(bare, index + 1):
                yield index


def _values(bare: str) -> Iterator[tuple[int, str]]:
    """Yield the plain values of a line with where they begin."""
    for part in re.finditer(r"[^\[\]{},:：，]+", bare):
        value = part[0].strip().removeprefix("- ")
        if value:
            yield part.start() + part[0].index(value), value


def swallowed(line: str, start: int, value: str) -> str | None:
    """Return the comment that seems to belong to `value`, a plain value that begins at index `start` of `line`; else None.

    ` #05` directly behind a value is one; ` # a note` and anything behind two spaces is a comment that is meant as one, but
    for a bare number with its `#`.
    """
    if not line.startswith(value, start):
        return None
    found = _COMMENT.fullmatch(line, start + len(value))
    return (
        found["comment"].rstrip() if found is not None and _belongs(found["gap"], found["comment"].rstrip()) else None
    )


def _belongs(gap: str, comment: str) -> bool:
    if re.fullmatch(r"#[0-9]\S*", comment):
        return True
    return (
        len(gap) == 1 and gap == " " and bool(re.match(r"#[^\s#!]", comment) or re.fullmatch(r"#\s?[0-9]\S*", comment))
    )


def find_swallowing(lines: list[str], first: int, last: int) -> Trap | None:
    """Return the last comment of these lines (indexes from 0) that seems to belong to what stands before it."""
    for index in range(min(last, len(lines) - 1), max(first, 0) - 1, -1):
        line = lines[index].rstrip("\r")
        bare = bare_line(line)
        found = _COMMENT.fullmatch(line, len(bare.rstrip()))
        if bare.strip() and found is not None and _belongs(found["gap"], found["comment"]):
            return Trap(
                index + 1,
                found.start("comment") + 1,
                tr("# begins a comment here, so nothing behind it is read; put the text with its # in quotes"),
            )
    return None
