"""Tokens that were renewed or signed in for, in a file of mode 0600 beside the database; written whole or not at all, before their first use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiktok_erp.checked_json import parse_json
from tiktok_erp.config.renewals import Renewals
from tiktok_erp.config.token_files import TokenFiles, is_passing
from tiktok_erp.errors import SettingsError, SignInError, StoreError
from tiktok_erp.messages import tr
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.secret import Secret
from tiktok_erp.private_files import Room, open_lock, read_private, write_private
from tiktok_erp.signals import undisturbed

if TYPE_CHECKING:
    from tiktok_erp.config.settings import Settings

# A code lives 30 minutes (TikTok reference, section 1.2); the seller may have taken a while to reach the page.
_STATE_LIFE = timedelta(hours=2)
_CONSENTS_KEPT = 4
# A database that was away for so many renewals still finds its way: 16 hours of tokens that live a minute.
_MARKS_KEPT = 1000
# More than a pair of tokens with all that an answer says of it: the largest seen is 3 KB.
_ROOM_FOR_A_PAIR = 32 * 1024


class TokenFile:
    """The tokens of one database. The pair from the environment counts until a newer one was stored for it.

    The file holds one entry for each consent, newest first. An entry remembers, as hashes (`marks`), every pair that
    leads to its own: those of the environment and those that were renewed. So a pair in the environment that the file
    has never seen is a fresh consent and wins; one that it knows is an old one. Without tokens in the environment the
    newest stored pair counts. `files` knows the token files of other databases, which may live from the same consent.
    """

    def __init__(
        self, path: Path, *, access_token: Secret, refresh_token: Secret, files: TokenFiles | None = None
    ) -> None:
        self.path = path
        self._files = files
        self._given = TokenPair(access_token, refresh_token)
        self._mark = _mark_of(self._given)
        self._lock = threading.Lock()
        self._renewals = Renewals()
        stored = self._stored()
        self.is_stored = stored is not None
        self._pair = stored or self._given
        if files is not None and self.is_stored:
            with suppress(OSError):  # before a renewal it has to be there
                files.enlist(path)  # the list may have been deleted

    @property
    def pair(self) -> TokenPair:
        """The pair in use, with what is known about its consent."""
        return self._pair

    @property
    def is_empty(self) -> bool:
        """Whether there is no token at all: neither stored nor in the environment."""
        return not (self._pair.access_token or self._pair.refresh_token)

    def current(self) -> Secret:
        """Return the access token to use now; empty when there is only a refresh token."""
        return self._pair.access_token

    def ends_at(self) -> datetime | None:
        """Return when the access token dies; None when nobody told."""
        return self._pair.access_expires_at

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        """Replace `stale`: with what another process or another database stored meanwhile, else with the answer of `exchange`.

        One process at a time asks, since a refresh token may be good for one answer only. Room on the disk is taken before
        it is sent, and the new pair is there before it is returned; the pair before it is kept beside it. Raises
        StoreError when there is no room: nothing was sent.
        """
        with self._lock, self._all_databases(), self._exclusive():
            self._finish_broken_off()
            stored = self._stored()
            if stored is not None and stored.access_token and stored.access_token != stale:
                self._pair = stored
                return stored.access_token
            old = stored or self._given
            elsewhere = self._renewed_elsewhere(old)
            if elsewhere is not None:
                pair, marks = elsewhere
                with undisturbed():
                    self._replace(self._renewed(self._read(), pair, before=old, marks=marks))
                self._pair, self.is_stored = pair, True
                return pair.access_token
            if not old.refresh_token:
                raise SignInError(
                    tr("the access token has expired and there is no refresh token"),
                    subject="TIKTOK_SHOP_REFRESH_TOKEN",
                    next_step=tr("run `tiktok-erp auth login`, or set TIKTOK_SHOP_REFRESH_TOKEN"),
                )
            fresh = self._renewals.run(lambda: self._exchanged(old, exchange))
            self._pair, self.is_stored = fresh, True
            return fresh.access_token

    def end_renewals(self) -> None:
        """Wait for a renewal that is under way and let no other one begin: a process that ends in between would lose it."""
        self._renewals.end()

    def _exchanged(self, old: TokenPair, exchange: Callable[[Secret], TokenPair]) -> TokenPair:
        """Return the answer of `exchange`, written into room that was there before it was asked for."""
        content, room = self._take_room()
        try:
            fresh = _told_before(exchange(old.refresh_token), old)
        except BaseException:
            room.give_back()
            raise
        try:
            room.fill(_encoded(self._renewed(content, fresh, before=old)))
        except OSError as error:  # what got into the room stays: it is looked for before the next renewal
            raise self._unwritable(error) from error
        return fresh

    def _take_room(self) -> tuple[dict[str, Any], Room]:
        """Return what the file holds and room for more. Raises StoreError when there is none."""
        content = self._read()
        if not self.path.exists():
            self._replace(content)  # a name in a folder may need room as well
        elif self._files is not None:
            self._enlist()
        try:
            return content, Room(self.path, len(_encoded(content)) + _ROOM_FOR_A_PAIR)
        except OSError as error:
            raise self._unwritable(error) from error

    def _finish_broken_off(self) -> None:
        """Take over the pair of a run that was killed when it had written it and not yet renamed its file."""
        left = _left_beside(self.path)
        try:
            content = parse_json(read_private(left))
        except (OSError, ValueError):
            return
        own = self._own(content) if isinstance(content, dict) else None
        mark = _mark_of(self._stored() or self._given)
        if own is not None and "access_token" in own and mark in _marks(own) and _mark_of(_pair_in(own)) != mark:
            try:
                left.replace(self.path)
            except OSError as error:
                raise self._unwritable(error) from error

    def log_in(self, pair: TokenPair) -> None:
        """Store the pair of a new consent: from now on it counts instead of every pair that was used here before."""
        with self._lock, self._exclusive():
            known = [mark for consent in _consents(self._read()) for mark in _marks(consent)]
            marks = _longer(known, self._mark, _mark_of(pair))
            self._replace({"consents": [{"marks": marks} | _written(pair, before=self._stored() or self._given)]})
            self._pair, self.is_stored = pair, True

    def expect_state(self, state: str, now: datetime) -> None:
        """Remember the `state` of a consent link that is being shown, so that another process may take its answer."""
        with self._lock, self._exclusive():
            content = self._read()
            content["states"] = _living_states(content, now) | {state: to_text(now)}
            self._replace(content)

    def expects_state(self, state: str, now: datetime) -> bool:
        """Tell whether `state` belongs to a consent link that was shown lately and not used since."""
        return state in _living_states(self._read(), now)

    def remember(self, key: str, value: str) -> None:
        """Keep a fact that belongs to these credentials, such as the shop's id; not a secret."""
        with self._lock, self._exclusive():
            content = self._read()
            own = self._own(content) or {"marks": _longer([], self._mark)}
            self._put(content, own, own | {"facts": _facts(own) | {key: value}})

    def recall(self, key: str) -> str | None:
        """Return a fact that `remember` kept for these same credentials."""
        own = self._own(self._read())
        value = _facts(own).get(key) if own else None
        return value if isinstance(value, str) else None

    def _own(self, content: dict[str, Any]) -> dict[str, Any] | None:
        """Return the entry that the pair of the environment leads to."""
        consents = _consents(content)
        if self._mark is None:
            return next((consent for consent in consents if "access_token" in consent), None)
        return next((consent for consent in consents if self._mark in _marks(consent)), None)

    def _stored(self) -> TokenPair | None:
        own = self._own(self._read())
        return None if own is None or "access_token" not in own else _pair_in(own)

    def _renewed_elsewhere(self, old: TokenPair) -> tuple[TokenPair, list[str]] | None:
        """Return the newest pair that `old` led to in another database, with the marks that led to it."""
        mark = _mark_of(old)
        found: list[tuple[TokenPair, list[str]]] = []
        for text in self._other_contents():
            with suppress(ValueError):
                content = parse_json(text)
                found += [
                    (pair, _marks(consent))
                    for consent in _consents(content if isinstance(content, dict) else {})
                    if mark in _marks(consent) and "access_token" in consent
                    if (pair := _pair_in(consent)).access_token != old.access_token
                ]
        # A pair that led to another one of them is spent.
        spent = {mark for pair, marks in found for mark in marks if mark != _mark_of(pair)}
        living = [entry for entry in found if _mark_of(entry[0]) not in spent] or found
        return max(living, key=lambda entry: _life(entry[0]), default=None)

    def _other_contents(self) -> list[bytes]:
        """Return what the token files of this user's other databases hold, and what a killed run left beside each.

        One that is gone or not ours to read is left out. Raises StoreError when one cannot be read just now.
        """
        contents = []
        try:
            for other in self._files.others(self.path) if self._files else ():
                for read, path in ((Path.read_bytes, other), (read_private, _left_beside(other))):
                    try:
                        contents.append(read(path))
                    except OSError as error:
                        if is_passing(error):
                            raise
        except OSError as error:
            raise self._unwritable(error) from error
        return contents

    def _read(self) -> dict[str, Any]:
        try:
            content = parse_json(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SettingsError(
                tr("the token file cannot be read ({reason})", reason=type(error).__name__),
                subject=str(self.path),
                next_step=tr("remove the file; if it held newer tokens than the settings, run `tiktok-erp auth login`"),
            ) from error
        return content if isinstance(content, dict) else {}

    def _renewed(
        self, content: dict[str, Any], pair: TokenPair, *, before: TokenPair, marks: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return `content` with `pair` in it. `marks` lead to it as well."""
        own = self._own(content) or {}
        known = _longer([*_marks(own), *marks], self._mark, _mark_of(pair))
        return _with_first(content, own, own | {"marks": known} | _written(pair, before=before))

    def _put(self, content: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> None:
        self._replace(_with_first(content, old, new))

    def _replace(self, content: dict[str, Any]) -> None:
        try:
            write_private(self.path, _encoded(content))
        except OSError as error:
            raise self._unwritable(error) from error
        self._enlist()

    def _enlist(self) -> None:
        try:
            if self._files is not None:
                self._files.enlist(self.path)
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def _all_databases(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                if self._files is not None:
                    stack.enter_context(self._files.exclusive())
            except OSError as error:
                raise self._unwritable(error) from error
            yield

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            handle = open_lock(self.path.with_name(self.path.name + ".lock"))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            tr("the token file cannot be written ({reason})", reason=error.strerror or type(error).__name__),
            subject=error.filename if isinstance(error.filename, str) else str(self.path),
            next_step=tr("free space on the disk, or make the folder writable; then run `tiktok-erp auth status`"),
        )


def open_tokens(database: Path, settings: Settings, *, state: Path | None = None) -> TokenFile:
    """Return the token file of one database, beside it: `shop.db` keeps its tokens in `shop.db.tokens`.

    `state` is this user's directory for what databases share; None: this one stands alone.
    """
    return TokenFile(
        database.with_name(database.name + ".tokens"),
        access_token=Secret(settings.get("TIKTOK_SHOP_ACCESS_TOKEN")),
        refresh_token=Secret(settings.get("TIKTOK_SHOP_REFRESH_TOKEN")),
        files=None if state is None else TokenFiles(state / "tokens"),
    )


def _left_beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _with_first(content: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return `content` with the consent `old` replaced by `new`, the newest of all."""
    others = [consent for consent in _consents(content) if consent != old]
    states = {"states": content["states"]} if "states" in content else {}
    return {"consents": [new, *others][:_CONSENTS_KEPT]} | states


def _mark_of(pair: TokenPair) -> str | None:
    secret = pair.refresh_token or pair.access_token
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16] if secret else None


def _life(pair: TokenPair) -> float:
    return pair.access_expires_at.timestamp() if pair.access_expires_at else 0.0


def _longer(marks: list[str], *more: str | None) -> list[str]:
    """Return `marks` with `more` as the newest of them."""
    fresh = [mark for mark in more if mark is not None]
    return list(dict.fromkeys([*(mark for mark in marks if mark not in fresh), *fresh]))[-_MARKS_KEPT:]


def _consents(content: dict[str, Any]) -> list[dict[str, Any]]:
    if "origin" in content:  # the form of the first version: one consent
        return [{**content, "marks": [content["origin"]]}]
    consents = content.get("consents")
    return [consent for consent in consents if isinstance(consent, dict)] if isinstance(consents, list) else []


def _marks(consent: dict[str, Any]) -> list[str]:
    marks = consent.get("marks")
    return [mark for mark in marks if isinstance(mark, str)] if isinstance(marks, list) else []


def _written(pair: TokenPair, *, before: TokenPair) -> dict[str, Any]:
    """Return `pair` as the file has it, and the pair before it."""
    return {
        "access_token": pair.access_token.reveal(),
        "refresh_token": pair.refresh_token.reveal(),
        "access_expires_at": to_text(pair.access_expires_at) if pair.access_expires_at else None,
        "refresh_expires_at": to_text(pair.refresh_expires_at) if pair.refresh_expires_at else None,
        "granted_scopes": None if pair.granted_scopes is None else list(pair.granted_scopes),
        "seller_name": pair.seller_name,
        "region": pair.region,
        "open_id": pair.open_id,
        # Whether a used refresh token stays good is not documented (TikTok reference, section 1.2).
        "before": {"access_token": before.access_token.reveal(), "refresh_token": before.refresh_token.reveal()},
    }


def _told_before(pair: TokenPair, before: TokenPair) -> TokenPair:
    """Return a renewed pair with what only the answers before it told about the consent."""
    return TokenPair(
        pair.access_token,
        pair.refresh_token,
        pair.access_expires_at,
        pair.refresh_expires_at or before.refresh_expires_at,
        before.granted_scopes if pair.granted_scopes is None else pair.granted_scopes,
        pair.seller_name or before.seller_name,
        pair.region or before.region,
        pair.open_id or before.open_id,
    )


def _pair_in(consent: dict[str, Any]) -> TokenPair:
    scopes = consent.get("granted_scopes")
    return TokenPair(
        Secret(str(consent["access_token"])),
        Secret(str(consent.get("refresh_token", ""))),
        _moment(consent.get("access_expires_at")),
        _moment(consent.get("refresh_expires_at")),
        tuple(str(scope) for scope in scopes) if isinstance(scopes, list) else None,
        str(consent.get("seller_name") or ""),
        str(consent.get("region") or ""),
        str(consent.get("open_id") or ""),
    )


def _facts(consent: dict[str, Any]) -> dict[str, Any]:
    facts = consent.get("facts")
    return facts if isinstance(facts, dict) else {}


def _living_states(content: dict[str, Any], now: datetime) -> dict[str, str]:
    states = content.get("states")
    if not isinstance(states, dict):
        return {}
    moments = {state: _moment(at) for state, at in states.items()}
    return {state: to_text(at) for state, at in moments.items() if at is not None and now - at < _STATE_LIFE}


def _moment(value: object) -> datetime | None:
    try:
        return from_text(value) if isinstance(value, str) else None
    except ValueError:
        return None
