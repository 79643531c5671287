"""One API call as the business sees it: checked parameters in, data or an ApiError out."""

from __future__ import annotations

import base64
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")
PAGE_TOKEN_LIFE_S = 3600

# Codes that more than one endpoint uses (reference, sections 3.2-3.4).
BAD_PARAMETER = 36009004
BAD_INPUT = 21001001
NOT_YOURS = 21008111


class ApiError(Exception):
    """A refusal: the code and HTTP status that the client gets to see."""

    def __init__(
        self, code: int, message: str, *, status: int = 200, retry_after: str | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.data = data


class ConnectionLost(Exception):
    """Close the connection without an answer."""


def bad_parameter(message: str) -> ApiError:
    """Return the gateway's refusal of a parameter."""
    return ApiError(BAD_PARAMETER, message, status=400)


@dataclass(slots=True)
class Call:
    """One authorised call; `query` holds decoded values, `now` is the shop's second."""

    method: str
    path: str
    template: str
    params: dict[str, str]
    query: dict[str, list[str]]
    body: dict[str, Any]
    request_id: str
    now: int
    base_url: str

    def text(self, name: str, default: str = "") -> str:
        """Return a query value."""
        return self.query.get(name, [default])[0]

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Return a query value that must be one of `allowed`."""
        word = self.text(name) or default
        if word not in allowed:
            raise bad_parameter(f"Invalid parameter: {name} must be one of {', '.join(allowed)}")
        return word

    def page_size(self, most: int, default: int, code: int = BAD_PARAMETER) -> int:
        """Return the page size, within 1..most."""
        text = self.text("page_size") or str(default)
        if not text.isdecimal() or not 1 <= int(text) <= most:
            status = 400 if code == BAD_PARAMETER else 200
            raise ApiError(code, f"Invalid parameter: page_size must be between 1 and {most}", status=status)
        return int(text)

    def body_text(self, name: str, default: str = "") -> str:
        """Return a string of the body."""
        value = self.body.get(name, default)
        if value is None:
            return default
        if not isinstance(value, str):
            raise bad_parameter(f"Invalid parameter: {name} must be a string")
        return value

    def body_number(self, name: str) -> int | None:
        """Return an integer of the body, None when absent, null or 0 (absent and 0 mean the same on this wire)."""
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad_parameter(f"Invalid parameter: {name} must be an integer")
        return value or None

    def body_flag(self, name: str) -> bool | None:
        """Return a boolean of the body."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, bool):
            raise bad_parameter(f"Invalid parameter: {name} must be a boolean")
        return value

    def body_texts(self, name: str) -> list[str]:
        """Return a list of strings of the body; absent and null are empty."""
        return texts(self.body.get(name), name)

    def body_objects(self, name: str) -> list[dict[str, Any]]:
        """Return a list of objects of the body; absent and null are empty."""
        return objects(self.body.get(name), name)

    def body_object(self, name: str) -> dict[str, Any]:
        """Return an object of the body; absent and null are empty."""
        value = self.body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise bad_parameter(f"Invalid parameter: {name} must be an object")
        return value


def texts(value: Any, name: str) -> list[str]:
    """Return `value` as a list of strings, or refuse the parameter `name`."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise bad_parameter(f"Invalid parameter: {name} must be a list of strings")
    return value


def objects(value: Any, name: str) -> list[dict[str, Any]]:
    """Return `value` as a list of objects, or refuse the parameter `name`."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise bad_parameter(f"Invalid parameter: {name} must be a list of objects")
    return value


def text_of(value: dict[str, Any], name: str) -> str:
    """Return a string member of an object in the body; absent and null are empty."""
    member = value.get(name)
    if member is None:
        return ""
    if not isinstance(member, str):
        raise bad_parameter(f"Invalid parameter: {name} must be a string")
    return member


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk of pages stands: after the row with this key, or after so many rows."""

    key: tuple[Any, ...] | None = None  # None: before the first row
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a page token stands for. `until` and `resume`: this page was overtaken by the next one and ends there."""

    asked: str
    start: Place
    window_end: int
    expires_at: int
    by_offset: bool = False
    until: Place | None = None
    resume: Place | None = None


@dataclass(slots=True)
class Pages:
    """Page tokens: opaque, bound to the search they came from, good for an hour."""

    seed: int
    cursors: dict[str, Cursor] = field(default_factory=dict)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.seed}/pages")

    def cursor(self, call: Call) -> Cursor | None:
        """Return where the caller wants to go on; refuse tokens that are unknown, old, or of another search."""
        token = call.text("page_token")
        if not token:
            return None
        cursor = self.cursors.get(token)
        if cursor is None or cursor.expires_at < call.now:
            raise bad_parameter("Invalid parameter: page_token is invalid or expired")
        if cursor.asked != _asked(call):
            raise bad_parameter("Invalid parameter: page_token belongs to another search; keep all other parameters")
        return cursor

    def cut(
        self,
        call: Call,
        rows: list[Row],
        size: int,
        key: Callable[[Row], tuple[Any, ...]],
        *,
        descending: bool,
        window_end: int = 0,
        step_back: Callable[[], bool] = lambda: False,
        swap: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Row], str]:
        """Return one page of `rows` and the token of the next one, empty at the end.

        `step_back` may say that the next page is to repeat this page's last row, `swap` that the next page comes first.
        """
        now = self.cursor(call) or Cursor(_asked(call), Place(), window_end, 0)
        ordered = _Ordered(rows, key, descending)

        def go_on(start: Place, until: Place | None = None, resume: Place | None = None) -> str:
            expires_at = call.now + PAGE_TOKEN_LIFE_S
            return self._token(replace(now, start=start, until=until, resume=resume, expires_at=expires_at))

        begin = ordered.index(now.start, now.by_offset)
        if now.until is not None and now.resume is not None:
            stop = ordered.index(now.until, now.by_offset)
            end = min(begin + size, stop)
            if end < stop:
                return ordered.rows[begin:end], go_on(ordered.place(end), now.until, now.resume)
            is_last = ordered.index(now.resume, now.by_offset) >= len(rows)
            return ordered.rows[begin:end], "" if is_last else go_on(now.resume)
        end = begin + size
        page = ordered.rows[begin:end]
        if end >= len(rows):
            return page, ""
        if swap():
            far = min(end + size, len(rows))
            return ordered.rows[end:far], go_on(now.start, ordered.place(end), ordered.place(far))
        again = len(page) > 1 and step_back()
        return page, go_on(ordered.place(end - again))

    def count_rows_from_here(self, token: str) -> None:
        """Let the walk of this token go on by offset: rows that come or go before it make it skip or repeat."""
        self.cursors[token] = replace(self.cursors[token], by_offset=True)

    def _token(self, cursor: Cursor) -> str:
        # The signs that must be percent-encoded are there every time, so that no client gets away with forgetting.
        text = list(base64.b64encode(self.dice.randbytes(37)).decode())
        text[5], text[19] = "+", "/"
        token = "".join(text)
        self.cursors[token] = cursor
        if len(self.cursors) > 5000:
            self.cursors = {
                name: kept for name, kept in self.cursors.items() if kept.expires_at >= cursor.expires_at - 3000
            }
        return token


class _Ordered(Generic[Row]):
    """The rows of a search in their order, and the places between them."""

    def __init__(self, rows: list[Row], key: Callable[[Row], tuple[Any, ...]], descending: bool) -> None:
        self._key = key
        self._rising = sorted(rows, key=key)
        self._descending = descending
        self.rows = self._rising[::-1] if descending else self._rising

    def index(self, place: Place, by_offset: bool) -> int:
        """Return the index of the first row after `place`."""
        if by_offset:
            return min(place.offset, len(self.rows))
        if place.key is None:
            return 0
        if self._descending:
            return len(self.rows) - bisect_left(self._rising, place.key, key=self._key)
        return bisect_right(self._rising, place.key, key=self._key)

    def place(self, index: int) -> Place:
        """Return the place before the row at `index`, which is not the first one."""
        return Place(self._key(self.rows[index - 1]), index)


def _asked(call: Call) -> str:
    ignored = {"page_token", "sign", "timestamp", "app_key", "access_token"}
    query = sorted((name, values) for name, values in call.query.items() if name not in ignored)
    return f"{call.path} {query} {sorted(call.body.items(), key=str)}"
