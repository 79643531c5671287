"""Tokens that were renewed, in a file of mode 0600 beside the database; written whole or not at all, before their first use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tiktok_erp.errors import SettingsError, SignInError
from tiktok_erp.messages import tr
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.secret import Secret


class TokenFile:
    """The tokens of one app and seller. The pair from the environment counts until a newer one was stored for it.

    The file remembers, as a hash, which pair of the environment its own descends from: a fresh consent in the
    environment wins over everything stored before.
    """

    def __init__(self, path: Path, *, access_token: Secret, refresh_token: Secret) -> None:
        self._path = path
        self._given = TokenPair(access_token, refresh_token)
        self._origin = _fingerprint(refresh_token or access_token)
        self._lock = threading.Lock()
        self._pair = self._stored() or self._given

    def current(self) -> Secret:
        """Return the access token to use now; empty when there is only a refresh token."""
        return self._pair.access_token

    def is_ending(self, now: datetime) -> bool:
        """Tell whether the access token is known to be dead at `now`."""
        ends = self._pair.access_expires_at
        return ends is not None and ends <= now

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        """Replace `stale`: with what another process stored meanwhile, else with the answer of `exchange`.

        One process at a time asks, since a refresh token may be good for one answer only. The new pair is on disk
        before it is returned; the pair before it is kept beside it.
        """
        with self._lock, self._exclusive():
            stored = self._stored()
            if stored is not None and stored.access_token and stored.access_token != stale:
                self._pair = stored
                return stored.access_token
            old = stored or self._given
            if not old.refresh_token:
                raise SignInError(
                    tr("the access token has expired and there is no refresh token"),
                    subject="TIKTOK_SHOP_REFRESH_TOKEN",
                    next_step=tr("set TIKTOK_SHOP_REFRESH_TOKEN, or let the seller give consent again"),
                )
            fresh = exchange(old.refresh_token)
            self._write(fresh, before=old)
            self._pair = fresh
            return fresh.access_token

    def remember(self, key: str, value: str) -> None:
        """Keep a fact that belongs to these credentials, such as the shop's id; not a secret."""
        with self._lock, self._exclusive():
            content = self._read() or {"origin": self._origin}
            content["facts"] = _facts(content) | {key: value}
            self._replace(content)

    def recall(self, key: str) -> str | None:
        """Return a fact that `remember` kept for these same credentials."""
        content = self._read()
        value = _facts(content).get(key) if content else None
        return value if isinstance(value, str) else None

    def _stored(self) -> TokenPair | None:
        content = self._read()
        if content is None or "access_token" not in content:
            return None
        return TokenPair(
            Secret(str(content["access_token"])),
            Secret(str(content.get("refresh_token", ""))),
            _moment(content.get("access_expires_at")),
            _moment(content.get("refresh_expires_at")),
        )

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SettingsError(
                tr("the token file cannot be read ({reason})", reason=type(error).__name__),
                subject=str(self._path),
                next_step=tr(
                    "remove the file; set the tokens of a fresh consent in the environment if it held newer ones"
                ),
            ) from error
        if not isinstance(content, dict) or content.get("origin") != self._origin:
            return None
        return content

    def _write(self, pair: TokenPair, *, before: TokenPair) -> None:
        content = self._read() or {}
        content |= {
            "origin": self._origin,
            "access_token": pair.access_token.reveal(),
            "refresh_token": pair.refresh_token.reveal(),
            "access_expires_at": to_text(pair.access_expires_at) if pair.access_expires_at else None,
            "refresh_expires_at": to_text(pair.refresh_expires_at) if pair.refresh_expires_at else None,
            # Whether a used refresh token stays good is not documented (TikTok reference, section 1.2).
            "before": {"access_token": before.access_token.reveal(), "refresh_token": before.refresh_token.reveal()},
        }
        self._replace(content)

    def _replace(self, content: dict[str, Any]) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        handle = os.open(self._path.with_name(self._path.name + ".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _fingerprint(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16]


def _facts(content: dict[str, Any]) -> dict[str, Any]:
    facts = content.get("facts")
    return facts if isinstance(facts, dict) else {}


def _moment(value: object) -> datetime | None:
    try:
        return from_text(value) if isinstance(value, str) else None
    except ValueError:
        return None
