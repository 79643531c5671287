"""Text as people type it, in the characters that carriers print. Pure. What cannot be made plain without a guess stays as it is.

A house number must come through unchanged: `39‑15` is another house than `3915`, and `12½` another than `121/2`.
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d\u2796\u2500\u2501"
_APOSTROPHES = "\u2018\u2019\u201a\u201b\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb\u2032\u2035\u0060\u00b4\u055a\ua78b\ua78c\uff07\uff40\u1fbd\u1fbf"
_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb\uff02"
_SLASHES = "\u2215\u29f8\uff0f"
_SIGNS = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_QUOTES, '"'),
    **dict.fromkeys(_SLASHES, "/"),
    **{"\u3001": ",", "\u3002": ".", "\u2116": "No ", "\u2105": "c/o"},
}
_SIGN_TABLE = str.maketrans(_SIGNS)
# Letters that no decomposition makes plain.
_LETTERS = str.maketrans(
    {
        **{"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D"},
        **{"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H"},
        **{"ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "ə": "e", "Ə": "E", "ĸ": "k", "ɨ": "i", "ƒ": "f"},
    }
)
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_SOFT_HYPHEN = "\u00ad"
_FRACTION_SLASH = "\u2044"
# Japanese keyboards write the long vowel's sign where others have a dash.
_LONG_VOWEL = re.compile(r"(?<=[0-9A-Za-z])[\u30fc\uff70](?=[0-9A-Za-z])")
_UNSURE_SOFT = re.compile(rf"(?<!\d){_SOFT_HYPHEN}+|{_SOFT_HYPHEN}+(?!\d)")
_FRACTION = re.compile(rf"(?<![\d{_FRACTION_SLASH}])(\d){_FRACTION_SLASH}(?=\d+(?![\d{_FRACTION_SLASH}]))")
_MARK_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s?[^\x00-\x7f]+\s?(?=\d)")


def fold(text: str) -> str:
    """Return `text` in one spelling of each character, single blanks: full-width ones narrow, dashes `-`, `½` as ` 1/2`.

    Accents and foreign letters stay. Control, zero-width and directional characters go. A soft hyphen between digits, and
    a fraction slash behind several digits, could be read in two ways and stay.
    """
    text = _LONG_VOWEL.sub("-", text.translate(_SIGN_TABLE))
    folded = "".join(_folded(letter) for letter in unicodedata.normalize("NFC", text))
    folded = unicodedata.normalize("NFC", folded.translate(_SIGN_TABLE))
    folded = _LONG_VOWEL.sub("-", folded)
    folded = _FRACTION.sub(r"\1/", _UNSURE_SOFT.sub("", folded))
    return " ".join(folded.split())


def _folded(letter: str) -> str:
    if letter.isascii() and letter.isprintable():
        return letter
    if letter in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85":
        return " "
    if letter == _SOFT_HYPHEN:
        return letter
    category = unicodedata.category(letter)
    if category in _INVISIBLE:
        return " " if category in ("Zl", "Zp") else ""
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    plain = unicodedata.normalize("NFKC", letter)
    if category == "No" and plain != letter:  # ½, ², ①: a number of its own, not part of the one before it
        return f" {plain.replace(_FRACTION_SLASH, '/')} "
    return "".join("" if unicodedata.category(one) in _INVISIBLE else one for one in plain)


def latin(text: str) -> str | None:
    """Return `text` in the letters that carriers print: accents dropped, emoji and other signs left out.

    None where it has letters or numbers that cannot be made plain (Chinese, Cyrillic), or a sign between two digits whose
    loss would change a number.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    marked = unicodedata.normalize("NFKD", fold(text).translate(_LETTERS)).translate(_SIGN_TABLE)
    plain = "".join(letter for letter in marked if unicodedata.category(letter)[0] != "M").translate(_LETTERS)
    if _MARK_BETWEEN_DIGITS.search(plain):
        return None
    kept = "".join(letter if letter.isascii() or unicodedata.category(letter)[0] in "LN" else " " for letter in plain)
    return " ".join(kept.split()) if kept.isascii() else None
