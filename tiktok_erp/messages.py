"""The one message catalogue. English text is the key; `locale/` holds the translations. No I/O but reading the catalogue.

Every text that a person reads goes through `tr`. `--json` field names and cause codes never do: scripts rely on them.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_LOCALE_DIR = Path(__file__).parent / "locale"
_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"
_borrowed: ContextVar[gettext.NullTranslations | None] = ContextVar("borrowed", default=None)

LANGUAGES = ("en", "zh")


def use_language(language: str) -> None:
    """Choose the language of every later `tr` call in this process. Raises ValueError for one that has no catalogue."""
    global _catalogue, _language
    _catalogue = _read(language)
    _language = language


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Let the block, and nothing that runs beside it, speak another language: paper has one of its own."""
    token = _borrowed.set(_read(language))
    try:
        yield
    finally:
        _borrowed.reset(token)


def _read(language: str) -> gettext.NullTranslations:
    if language not in LANGUAGES:
        raise ValueError(f"no catalogue for language {language!r}; there are {', '.join(LANGUAGES)}")
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation("tiktok_erp", _LOCALE_DIR, languages=[language])


def language() -> str:
    """Return the language now in use, `en` or `zh`."""
    return _language


def tr(text: str, /, **values: object) -> str:
    """Return `text` in the language in use, its `{names}` filled from `values`. `text` must be a literal."""
    translated = (_borrowed.get() or _catalogue).gettext(text)
    return translated.format(**values) if values else translated


def deferred(text: str, /) -> str:
    """Mark `text` for the catalogue without translating it yet: for tables that are built at import time."""
    return text
