"""Choose, string by string, a font that can show it: Chinese names on packers' paper must never print as boxes.

Edge: looks for TrueType fonts on this machine and registers them with reportlab. Only TrueType outlines can be
embedded; the OpenType builds of Noto Sans CJK and Source Han cannot (`reference/carriers.md`, section 7.3).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr

FONT_DIRECTORIES = (
    Path("~/.local/share/fonts"),
    Path("~/.fonts"),
    Path("~/Library/Fonts"),
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("/System/Library/Fonts"),
    Path("/Library/Fonts"),
    Path("C:/Windows/Fonts"),
    Path("/mnt/c/Windows/Fonts"),
)
# In order of preference: Chinese with Latin first, then Han alone, then Latin and Cyrillic alone.
FONT_FILES = (
    "wqy-microhei.ttc",
    "lxgwwenkai-regular.ttf",
    "notosanssc-regular.ttf",
    "msyh.ttc",
    "simhei.ttf",
    "simsun.ttc",
    "arial unicode.ttf",
    "stheiti light.ttc",
    "songti.ttc",
    "wqy-zenhei.ttc",
    "droidsansfallbackfull.ttf",
    "droidsansfallback.ttf",
    "notosanssc[wght].ttf",
    "notosanssc-variablefont_wght.ttf",
    "dejavusans.ttf",
    "arial.ttf",
    "liberationsans-regular.ttf",
)

_LATIN = "Helvetica"
_LATIN_BOLD = "Helvetica-Bold"
_NOT_EMBEDDED = "STSong-Light"  # Adobe's name for the reader's own Chinese font
_REPLACEMENT = "?"
_JOINERS = frozenset("\u200b\u200c\u200d\u2060\ufeff\u20e3")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0000, 0xE0200)


@dataclass(frozen=True, slots=True)
class TextRun:
    """A piece of text that one font can show."""

    font: str
    text: str


class PaperFonts:
    """The fonts for one printed paper, and the record of what they could not show.

    `paths` (printing.fonts) come first; a path may end in `#N` for the N-th font of a collection. Then the known font
    files in `directories`. Files are opened only when a text needs them. Raises SettingsError for a path of `paths`
    that is no TrueType font.
    """

    def __init__(self, paths: Sequence[Path] = (), *, directories: Sequence[Path] = FONT_DIRECTORIES) -> None:
        self.missing: set[str] = set()
        self.has_unembedded_font = False
        self._loaded: list[tuple[str, Mapping[int, int]]] = [_given_font(path) for path in paths]
        self._candidates = _known_files(directories)
        self._runs: dict[tuple[str, bool], tuple[TextRun, ...]] = {}

    def runs(self, text: str, *, bold: bool = False) -> tuple[TextRun, ...]:
        """Return `text` as runs of one font each, left to right; what no font has has become `?` and is in `missing`.

        Line breaks and tabs become spaces. There is a bold face for Latin letters only.
        """
        key = (text, bold)
        known = self._runs.get(key)
        if known is None:
            known = self._runs[key] = self._choose(_printable(text), _LATIN_BOLD if bold else _LATIN)
        return known

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Return how wide `text` is at `size`, in points."""
        return sum(pdfmetrics.stringWidth(run.text, run.font, size) for run in self.runs(text, bold=bold))

    def _choose(self, text: str, latin: str) -> tuple[TextRun, ...]:
        if _is_latin(text):
            return (TextRun(latin, text),) if text else ()
        wanted = {ord(letter) for letter in text}
        for name, glyphs in self._fonts():
            if wanted <= glyphs.keys():
                return (TextRun(name, text),)
        runs: list[TextRun] = []
        for letter in text:
            font, shown = self._font_for(letter, latin)
            if runs and runs[-1].font == font:
                runs[-1] = TextRun(font, runs[-1].text + shown)
            else:
                runs.append(TextRun(font, shown))
        return tuple(runs)

    def _font_for(self, letter: str, latin: str) -> tuple[str, str]:
        """Return the font that shows `letter`, and what it shows."""
        if _is_latin(letter):
            return latin, letter
        for name, glyphs in self._fonts():
            if ord(letter) in glyphs:
                return name, letter
        if _is_simplified_chinese(letter):
            self.has_unembedded_font = True
            return _reader_font(), letter
        self.missing.add(letter)
        return latin, _REPLACEMENT

    def _fonts(self) -> Iterator[tuple[str, Mapping[int, int]]]:
        """Yield the fonts in order of preference, opening the next file only when it is asked for."""
        yield from self._loaded
        while self._candidates:
            font = _opened(self._candidates.pop(0), 0)
            if font is not None:
                self._loaded.append(font)
                yield font


def _known_files(directories: Sequence[Path]) -> list[Path]:
    """Return the known font files below `directories`, in order of preference."""
    found: dict[str, Path] = {}
    for directory in directories:
        for folder, subfolders, files in os.walk(directory.expanduser()):
            subfolders.sort()
            for file in sorted(files):
                if file.lower() in FONT_FILES:
                    found.setdefault(file.lower(), Path(folder, file))
    return [found[file] for file in FONT_FILES if file in found]


def _given_font(path: Path) -> tuple[str, Mapping[int, int]]:
    file, mark, number = str(path).rpartition("#")
    is_numbered = bool(mark) and number.isdecimal()
    font = _opened(Path(file).expanduser(), int(number)) if is_numbered else _opened(path.expanduser(), 0)
    if font is None:
        raise SettingsError(
            tr("this file is not a TrueType font that can be embedded"),
            subject=str(path),
            next_step=tr("name another font file in printing.fonts, such as wqy-microhei.ttc"),
        )
    return font


def _opened(path: Path, number: int) -> tuple[str, Mapping[int, int]] | None:
    """Register the font with reportlab; return its name and its glyph numbers by code point, None if it is unusable."""
    name = f"{path}#{number}"
    if name not in pdfmetrics.getRegisteredFontNames():
        try:
            pdfmetrics.registerFont(TTFont(name, str(path), subfontIndex=number))
        except (TTFError, OSError, ValueError, LookupError, ArithmeticError):
            return None
    font: Any = pdfmetrics.getFont(name)
    glyphs: Mapping[int, int] = font.face.charToGlyph
    return name, glyphs


def _reader_font() -> str:
    if _NOT_EMBEDDED not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(_NOT_EMBEDDED))
    return _NOT_EMBEDDED


def _printable(text: str) -> str:
    """Return `text` composed, on one line, without the characters that only change how others look."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(" " if letter in "\r\n\t\v\f\u2028\u2029" else letter for letter in composed if _is_shown(letter))


def _is_shown(letter: str) -> bool:
    code = ord(letter)
    is_selector = 0xFE00 <= code <= 0xFE0F or code in _SKIN_TONES or code in _TAGS
    is_control = unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in "\r\n\t\v\f"
    return not (is_selector or is_control or letter in _JOINERS)


def _is_latin(text: str) -> bool:
    """Say whether the built-in Latin fonts, which have Windows' Western alphabet, can show `text`."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _is_simplified_chinese(letter: str) -> bool:
    try:
        letter.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
