"""Text that others wrote, on its way to a screen or into a file that a spreadsheet program opens. Pure."""

from __future__ import annotations

import re
import unicodedata

LONGEST_CELL = 32_767  # characters (UTF-16 units) that a cell of XLSX holds
_KEPT_ON_SCREENS = frozenset("\n\t")
_JOINERS = frozenset("\u200c\u200d")  # within emoji and some scripts; alone they show nothing
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What XML 1.0 has no way to write, and lone surrogates, which UTF-8 has none for.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?")


def screen_text(text: str) -> str:
    """Return the text with every control, bidi and zero-width character made visible; tabs and line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def file_text(text: str) -> str:
    """Return the text as XLSX and UTF-8 can hold it: what cannot be written is replaced, what is too long is cut."""
    written = _UNWRITABLE.sub("\ufffd", text)
    if len(written) * 2 <= LONGEST_CELL:
        return written
    units = written.encode("utf-16-le")[: LONGEST_CELL * 2]
    return units.decode("utf-16-le", "ignore")


def csv_cell(cell: object) -> str:
    """Return a cell of a CSV that people open: no spreadsheet program takes it for a formula. Numbers stay numbers."""
    text = "" if cell is None else file_text(str(cell))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text


def _shown(sign: str) -> str:
    if sign in _KEPT_ON_SCREENS or unicodedata.category(sign) not in _HIDDEN:
        return sign
    return "" if sign in _JOINERS else f"<U+{ord(sign):04X}>"
