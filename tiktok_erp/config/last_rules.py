"""The last good rules, kept in a file beside the database: what stays in force while rules.yaml is broken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.errors import RulesError, SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.rule import Rules
from tiktok_erp.private_files import write_private


def kept_path(database: Path) -> Path:
    """Return where the last good rules of one database are kept."""
    return database.with_name(f"{database.stem}.last-rules.yaml")


def load_or_last_good(path: Path, kept: Path) -> tuple[Rules, SettingsError | None]:
    """Return the rules in force, and what is wrong with the file at `path` when they are the last good ones.

    Good rules are kept at `kept`. Raises SettingsError or RulesError when there are none to fall back on.
    """
    try:
        rules = load_rules(path)
    except SettingsError as error:
        try:
            good = load_rules(kept)
        except (RulesError, SettingsError):
            raise error from None
        if isinstance(error, RulesError):
            error.next_step = tr("correct the lines above, then run `tiktok-erp rules check`")
        return good, error
    with suppress(OSError):  # it is a help for later; a full disk is told by whoever must write
        _keep(path, kept)
    return rules, None


def _keep(path: Path, kept: Path) -> None:
    text = path.read_bytes()
    if kept.exists() and kept.read_bytes() == text:
        return
    write_private(kept, text)  # addresses of alerts hold passwords
