"""Read a search of the channel whole: its pages shift while orders change, so every window of time is proven complete.

A window of the past can only lose rows: an order that changes leaves it for a later one. Rows behind it then move up by
one, and a row between two pages is skipped unseen. The count that comes with every page tells of it: the time between
the two pages is read again. Where rows come in no order, the whole window is halved and read again, down to windows of
one page, which cannot shift. Windows are walked side by side: page after page in sequence takes four times as long as the
channel's own limit (performance notes, section 6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Generic, TypeVar

from tiktok_erp.errors import ChannelDown
from tiktok_erp.messages import tr
from tiktok_erp.sync.pool import Pool

# So often in vain; where each time brings rows that none brought before, or rows have left meanwhile, it goes on.
_ATTEMPTS = 3
_ROUNDS = 50
# The last rows of a page may have changed in the very moment of the answer and show a time that is not their place.
_ROWS_NOT_TRUSTED = 4
_PAGES_WORTH_CUTTING = 5
# So many times longer than the rows left over need at the page's own density: they are crowded at one end.
_MUCH = 8
_LONGEST_MEMORY = 200_000
_SECOND = timedelta(seconds=1)
_CLOCK_DOUBT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Window:
    """`[start, end)` in whole seconds; None leaves an end open."""

    start: datetime | None
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Tell whether a moment lies within."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)

    def cut(self, pieces: int) -> list[Window]:
        """Return up to `pieces` windows of equal length that make up this one; itself when it is open or too short."""
        if self.start is None or self.end is None:
            return [self]
        seconds = int((self.end - self.start).total_seconds())
        pieces = max(1, min(pieces, seconds))
        edges = [self.start + timedelta(seconds=seconds * number // pieces) for number in range(pieces)]
        return [Window(start, end) for start, end in zip(edges, [*edges[1:], self.end], strict=True)]


@dataclass(frozen=True, slots=True)
class Look:
    """What matters of one page: the rows' names, their times in page order, the count.

    `is_oldest_first` says that this order was asked for; else it is seen from the rows themselves.
    """

    names: Sequence[Hashable]
    times: Sequence[datetime | None]
    total: int | None
    next_token: str
    unreadable: int = 0
    server_time: datetime | None = None
    is_oldest_first: bool = True

    def is_last(self) -> bool:
        """Tell whether no page follows."""
        return not self.next_token

    def rest(self, window: Window) -> tuple[Window, Window | None] | None:
        """Return what of `window` the page leaves unread: where the next rows must be by its own density, and beyond.

        None when its rows are in no order.
        """
        told = self.in_order()
        if not told or window.end is None:
            return None
        edge = told[-1 - _ROWS_NOT_TRUSTED]
        left = max(0, (self.total or 0) - len(told))
        span = abs(told[-1] - told[0]) * left / len(told) * 1.1 + _SECOND
        span = timedelta(seconds=int(span.total_seconds()))
        if told[0] <= told[-1]:
            begin = max(filter(None, (window.start, edge)))
            if begin >= window.end:
                return None  # all of them lie behind the window: which end of it is unread cannot be told
            if begin + _MUCH * span >= window.end:
                return Window(begin, window.end), None
            return Window(begin, begin + span), Window(begin + span, window.end)
        end = min(window.end, edge + _SECOND)
        if window.start is not None and end - _MUCH * span <= window.start:
            return Window(window.start, end), None
        return Window(end - span, end), Window(window.start, end - span)

    def in_order(self) -> list[datetime]:
        """Return the times of the rows where they come in one order, else nothing."""
        told = [moment for moment in self.times if moment is not None]
        if len(told) <= _ROWS_NOT_TRUSTED or len(told) < len(self.times):
            return []
        if all(a <= b for a, b in pairwise(told)) and (self.is_oldest_first or told[0] < told[-1]):
            return told
        if not self.is_oldest_first and all(a >= b for a, b in pairwise(told)) and told[0] > told[-1]:
            return told
        return []


@dataclass(slots=True)
class _Cut:
    """Windows that share out what a page left unread, and `other`, which that page is taken to have shown whole.

    A page whose rows stand the other way round, or that another page overtook, shows the wrong end of its window. Rows of
    the past only become fewer: where the shares count fewer rows than are left, some may lie in `other`.
    """

    other: Window
    promised: int
    counted: int = 0
    waiting: int = 0

    def note(self, total: int) -> bool:
        """Add what one share counts; tell whether `other` must be read as well, now that all have counted."""
        self.counted += total
        self.waiting -= 1
        return self.waiting == 0 and self.counted < self.promised


@dataclass(slots=True)
class _Walk:
    """One window being read page after page. `gaps` are where rows may have slipped between two pages."""

    window: Window
    attempt: int = 1
    before: _Walk | None = None
    pages: int = 0
    expected: int | None = None
    counted: int | None = None
    left: int = 0
    unreadable: int = 0
    is_doubtful: bool = False
    edge: datetime | None = None
    cut: _Cut | None = None
    gaps: list[Window] = field(default_factory=list)
    seen: dict[Hashable, datetime | None] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def note(self, look: Look) -> None:
        self.pages += 1
        if self.pages == 1:
            self._carry_over(look.total)
        self.seen.update(zip(look.names, look.times, strict=True))
        self.unreadable += look.unreadable
        told = look.in_order()
        if look.total is not None:
            fewer = (self.counted or 0) - look.total
            if fewer > 0:
                self._mind_the_gap(told, fewer)
            self.counted = look.total
            self.expected = look.total if self.expected is None else self.expected
        self.edge = told[-1 - _ROWS_NOT_TRUSTED] if told else None

    def missing(self) -> int:
        # Of the rows that left while we read, each may have been seen or not, and may have hidden another one in a gap.
        return max(0, (self.expected or 0) - 2 * self.left - len(self.seen) - self.unreadable)

    def again(self) -> _Walk:
        """Return the same walk once more."""
        return _Walk(self.window, 1 if self.is_gaining else self.attempt + 1, before=self)

    @property
    def is_gaining(self) -> bool:
        """Whether this walk brought rows that the one before it, of the same window, did not, or had fewer to bring."""
        before = self.before
        if before is None:
            return False
        return len(self.seen) > len(before.seen) or (self.expected or 0) < (before.expected or 0)

    def halves(self) -> list[Window]:
        """Return smaller windows that make up this one; nothing where it cannot be cut."""
        begin = self.window.start or min(filter(None, self.seen.values()), default=None)
        if self.pages < 2 or begin is None or self.window.end is None or begin >= self.window.end:
            return []
        halves = Window(begin, self.window.end).cut(2)
        if len(halves) < 2:
            return []
        return halves if self.window.start else [Window(None, begin), *halves]

    def _carry_over(self, total: int | None) -> None:
        """Take over what the walk before saw, if no row can have left since: rows of the past only become fewer."""
        before = self.before
        if before is not None and not before.is_doubtful and before.expected == before.counted == total:
            self.seen.update(before.seen)

    def seen_outside(self, window: Window) -> int:
        """Return how many different rows have come by that lie outside of `window`."""
        return sum(at is not None and not window.holds(at) for at in self.seen.values())

    def _mind_the_gap(self, told: Sequence[datetime], fewer: int) -> None:
        """Rows left the window since the page before: as many behind it moved up, from this page to that one."""
        if self.edge is None or not told or told[0] < self.edge:
            self.is_doubtful = True
            return
        self.left += fewer
        self.gaps.append(Window(self.edge, told[0] + _SECOND))


Page = TypeVar("Page")


class WindowReader(Generic[Page]):
    """Reads windows of one search. `fetch` gets a window and a page token; `look` says what matters of its page.

    `fetch_newest` gets the first page of a window newest first: where orders pour in, its density tells how to cut the rest.

    `never_listed` counts rows that the channel counted and did not list, again and again.
    """

    def __init__(
        self,
        fetch: Callable[[Window, str], Page],
        look: Callable[[Page], Look],
        *,
        fetch_newest: Callable[[Window], Page] | None = None,
        walkers: Callable[[], int],
        now: Callable[[], datetime],
        subject: str,
    ) -> None:
        self._fetch = fetch
        self._fetch_newest = fetch_newest or (lambda window: fetch(window, ""))
        self._look = look
        self._walkers = walkers
        self._now = now
        self._subject = subject
        self._requests = 0
        self._most_requests = 0
        self._is_in_order = True
        self.never_listed = 0

    def read_up_to_now(self, start: datetime | None) -> Iterator[Page]:
        """Yield every page since `start` (None: since ever), up to what changes while reading."""
        seen: set[Hashable] = set()
        promised: int | None = None
        for _attempt in range(_ATTEMPTS):
            for page in self._read_rounds(start):
                yield page
                look = self._look(page)
                if promised is None:
                    promised = (look.total or 0) - look.unreadable
                if len(seen) < _LONGEST_MEMORY:
                    seen.update(look.names)
            # No row is ever deleted: all that the first page counted must have come by.
            if self.never_listed or len(seen) >= min(promised or 0, _LONGEST_MEMORY):
                return
            self._is_in_order = False

    def read(self, window: Window) -> Iterator[Page]:
        """Yield every page of a window whose rows stay what they are, or only become fewer."""
        yield from self._read_all([_Walk(window)])

    def _read_all(self, walks: Sequence[_Walk], *, read: Sequence[Page] = ()) -> Iterator[Page]:
        """Yield what was `read` before, then every page of these walks. The next pages are on their way before one is yielded."""
        walkers = self._walkers()
        pending = deque(walks)
        active = 0

        def fetch(job: tuple[_Walk, str]) -> Page:
            return self._fetch(job[0].window, job[1])

        with Pool(fetch, walkers) as pool:

            def ask() -> int:
                asked = 0
                while pending and active + asked < walkers:
                    pool.ask((pending.popleft(), ""))
                    asked += 1
                return asked

            active += ask()
            yield from read
            while active:
                (walk, _token), page = pool.answer()
                active -= 1
                look = self._noted(page, walk)
                pending.extend(_Walk(gap) for gap in walk.gaps)
                walk.gaps.clear()
                if walk.cut is not None and walk.pages == 1 and walk.cut.note(look.total or 0):
                    pending.append(_Walk(walk.cut.other))
                pieces = self._share_rest(walk, look, walkers - active - len(pending))
                if look.is_last():
                    pending.extend(self._after(walk))
                elif pieces:
                    pending.extend(pieces)
                else:
                    self._follow(walk, look)
                    pool.ask((walk, look.next_token))
                    active += 1
                active += ask()
                yield page

    def _read_rounds(self, start: datetime | None) -> Iterator[Page]:
        """Yield what lies before the channel's now as windows that are over, then what came meanwhile, and so on."""
        for _round in range(_ROUNDS):
            asked_at = self._now()
            end = asked_at + _CLOCK_DOUBT
            walk = _Walk(Window(start, end))
            page = self._fetch_newest(walk.window)
            look = replace(self._noted(page, walk), is_oldest_first=False)
            self._allow(look)
            if look.is_last():
                yield page
                if look.server_time is not None and look.server_time >= end:
                    continue  # our clock is far behind: by now it is known
                yield from self._repeat_open(walk)
                return
            # A slow answer is told the time at its end: what it does not list may have changed before that.
            answered_at = look.server_time or self._now()
            over = min(asked_at, answered_at) - _SECOND
            if start is not None and over <= start:
                yield page
                if start < answered_at - _SECOND:
                    continue  # a slow answer, or our clock is behind: by now it is known
                break  # more than a page in one second
            window = Window(start, over)
            pages_left = walk.missing() // max(1, len(look.names)) + 1
            shares = self._share(walk, look, window, min(self._walkers(), pages_left))
            yield from self._read_all(shares or [_Walk(window)], read=[page])
            start = over
        yield from self._repeat_open(_Walk(Window(start, None)), is_read=False)

    def _repeat_open(self, walk: _Walk, *, is_read: bool = True) -> Iterator[Page]:
        """Read a window that is still open, page after page, until it lists what it counts.

        No row leaves such a window: what an attempt before has seen need not come by again.
        """
        while not is_read or (walk.missing() and walk.attempt < _ATTEMPTS):
            walk = _Walk(walk.window, walk.attempt + 1 if is_read else 1, seen=dict(walk.seen))
            is_read = True
            token = ""
            while True:
                page = self._fetch(walk.window, token)
                yield page
                look = self._noted(page, walk)
                if look.is_last():
                    break
                self._follow(walk, look)
                token = look.next_token
        self.never_listed += walk.missing()

    def _noted(self, page: Page, walk: _Walk) -> Look:
        look = self._look(page)
        walk.note(look)
        self._requests += 1
        if self._requests == 1:
            self._allow(look)
        return look

    def _allow(self, look: Look) -> None:
        """Let the window of which `look` is the first page cost so many requests more, however often it must be cut."""
        pages = (look.total or 0) // max(1, len(look.names))
        self._most_requests = max(self._most_requests, self._requests + 29 + 10 * pages)

    def _follow(self, walk: _Walk, look: Look) -> None:
        if look.next_token in walk.tokens:
            raise ChannelDown(
                tr("the channel answers with the same page over and over"),
                subject=self._subject,
                next_step=tr("run this again later; the orders of the pages before are kept"),
            )
        walk.tokens.add(look.next_token)

    def _share_rest(self, walk: _Walk, look: Look, idle: int) -> list[_Walk]:
        """Return windows that share out what this walk has not read yet; nothing where that does not pay."""
        pages_left = walk.missing() // max(1, len(look.names))
        if look.is_last() or idle < 1 or pages_left < _PAGES_WORTH_CUTTING or walk.is_doubtful:
            return []
        shares = self._share(walk, look, walk.window, min(idle + 1, pages_left))
        return shares if len(shares) > 1 else []

    def _share(self, walk: _Walk, look: Look, window: Window, pieces: int) -> list[_Walk]:
        """Return windows that share out what the page leaves unread of `window`; nothing where it cannot be cut."""
        parts = look.rest(window) if self._is_in_order else None
        if parts is None:
            return []
        near, far = parts
        windows = [*near.cut(pieces), *([far] if far is not None else [])]
        shared = Window(
            None
            if any(piece.start is None for piece in windows)
            else min(piece.start for piece in windows if piece.start),
            max(piece.end for piece in windows if piece.end),
        )
        if shared == window:
            return [_Walk(piece) for piece in windows]
        other = Window(window.start, shared.start) if shared.end == window.end else Window(shared.end, window.end)
        cut = _Cut(other, (walk.expected or 0) - walk.seen_outside(shared), waiting=len(windows))
        return [_Walk(piece, cut=cut) for piece in windows]

    def _after(self, walk: _Walk) -> list[_Walk]:
        """Return what must be read again of a window that came to its end."""
        missing = walk.missing()
        if not missing and not walk.is_doubtful:
            return []
        halves = walk.halves() if self._requests < self._most_requests else []
        if halves:
            return [_Walk(half) for half in halves]
        if walk.attempt < _ATTEMPTS or (walk.is_gaining and self._requests < self._most_requests):
            return [walk.again()]
        self.never_listed += missing
        return []
