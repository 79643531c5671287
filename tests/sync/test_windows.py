"""Windows of time against a channel whose rows move while they are read, by page offsets or by keys."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.errors import ChannelDown
from tiktok_erp.sync.windows import Look, Window, WindowReader

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
WALKERS = 4
PAGES_OF_A_SPIKE = 28  # of 2,800 rows


@dataclass
class Page:
    names: list[str]
    times: list[datetime | None]
    total: int | None
    token: str
    server_time: datetime


class Channel:
    """Rows by time; before each answer one of them may change, which takes it to the end, or a new one may come."""

    def __init__(
        self,
        times: dict[str, datetime],
        *,
        size: int = 100,
        seed: int = 0,
        moves: float = 0.0,
        arrivals: float = 0.0,
        by_offset: bool = True,
        shuffles: float = 0.0,
        counts: bool = True,
        ties_stay: bool = True,
    ) -> None:
        self.times = dict(times)
        self.first = set(times)
        self.size = size
        self.dice = random.Random(seed)
        self.moves, self.arrivals, self.by_offset, self.shuffles = moves, arrivals, by_offset, shuffles
        self.counts = counts
        self.ties_stay = ties_stay
        self.clock = NOW
        self.asked: Counter[Window] = Counter()
        self.requests = 0
        self.lock = threading.Lock()

    def now(self) -> datetime:
        return self.clock

    def newest(self, window: Window) -> Page:
        return Channel.fetch(self, window, "", newest_first=True)

    def fetch(self, window: Window, token: str, *, newest_first: bool = False) -> Page:
        with self.lock:
            self.requests += 1
            self.asked[window] += 1
            self.clock += timedelta(seconds=1)
            if self.dice.random() < self.moves:
                self.times[self.dice.choice(sorted(self.times))] = self.clock
            if self.dice.random() < self.arrivals:
                self.times[f"new-{len(self.times)}"] = self.clock
            names = sorted(self.times)
            if not self.ties_stay:
                self.dice.shuffle(names)
            rows = sorted(
                (
                    (at, name)
                    for name in names
                    if (at := self.times[name])
                    and (window.start is None or window.start <= at)
                    and (window.end is None or at < window.end)
                ),
                key=lambda row: row if self.ties_stay else row[:1],
            )
            if newest_first:
                rows.reverse()
            if self.by_offset or not token:
                start = int(token or 0)
            else:
                at, name = token.split("|")
                start = next((n for n, row in enumerate(rows) if row > (datetime.fromisoformat(at), name)), len(rows))
            page = rows[start : start + self.size]
            following = ""
            if start + self.size < len(rows):
                following = str(start + self.size) if self.by_offset else f"{page[-1][0].isoformat()}|{page[-1][1]}"
            if self.dice.random() < self.shuffles:
                self.dice.shuffle(page)
            return Page(
                [name for at, name in page],
                [at for at, name in page],
                len(rows) if self.counts else None,
                following,
                self.clock,
            )


def reader(channel: Channel, walkers: int = WALKERS, *, newest_first: bool = True) -> WindowReader[Page]:
    def look(page: Page) -> Look:
        return Look(page.names, page.times, page.total, page.token, 0, page.server_time)

    return WindowReader(
        channel.fetch,
        look,
        fetch_newest=channel.newest if newest_first else None,
        walkers=lambda: walkers,
        now=channel.now,
        subject="orders",
    )


def spread(count: int, *, hours: float = 2, seed: int = 1) -> dict[str, datetime]:
    dice = random.Random(seed)
    span = hours * 3600
    return {f"o{n}": NOW - timedelta(seconds=int(dice.random() * span) + 10) for n in range(count)}


def read(
    channel: Channel, start: datetime | None = None, walkers: int = WALKERS, *, newest_first: bool = True
) -> set[str]:
    pages = reader(channel, walkers, newest_first=newest_first).read_up_to_now(start)
    return {name for page in pages for name in page.names}


@given(
    count=st.integers(0, 400),
    size=st.integers(5, 60),
    seed=st.integers(0, 10_000),
    moves=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    arrivals=st.sampled_from([0.0, 0.5, 1.0]),
    shuffles=st.sampled_from([0.0, 0.3]),
    by_offset=st.booleans(),
    newest_first=st.booleans(),
    walkers=st.integers(1, 6),
    hours=st.sampled_from([0.01, 2, 5000]),
)
def test_no_row_is_missed_however_the_pages_shift(
    count: int,
    size: int,
    seed: int,
    moves: float,
    arrivals: float,
    shuffles: float,
    by_offset: bool,
    newest_first: bool,
    walkers: int,
    hours: float,
) -> None:
    channel = Channel(
        spread(count, hours=hours, seed=seed),
        size=size,
        seed=seed,
        moves=moves if count else 0.0,
        arrivals=arrivals,
        shuffles=shuffles,
        by_offset=by_offset,
    )
    start = NOW - timedelta(hours=hours, minutes=5)
    assert channel.first <= read(channel, start, walkers, newest_first=newest_first)


def test_a_spike_takes_hardly_more_requests_than_it_has_pages() -> None:
    channel = Channel(spread(2800))
    assert channel.first <= read(channel, NOW - timedelta(hours=3))
    assert channel.requests <= PAGES_OF_A_SPIKE + 2 * WALKERS


def test_a_first_read_since_ever_takes_hardly_more_requests_than_it_has_pages() -> None:
    channel = Channel(spread(2800))
    assert channel.first <= read(channel, None)
    assert channel.requests <= PAGES_OF_A_SPIKE + 2 * WALKERS


def test_a_spike_at_the_end_of_a_long_quiet_time_is_shared_out_too() -> None:
    channel = Channel(spread(2000, hours=1) | {f"old{n}": NOW - timedelta(days=n + 1) for n in range(300)})
    assert channel.first <= read(channel, None)
    assert channel.requests <= 45


@pytest.mark.parametrize("count", [0, 1, 99, 100])
def test_what_fits_on_one_page_takes_one_request(count: int) -> None:
    channel = Channel(spread(count))
    assert channel.first <= read(channel, NOW - timedelta(hours=3))
    assert channel.requests == 1


def test_more_rows_of_one_second_than_a_page_holds_are_read() -> None:
    channel = Channel(dict.fromkeys([f"o{n}" for n in range(450)], NOW - timedelta(minutes=1)))
    assert channel.first <= read(channel, NOW - timedelta(hours=1))


@pytest.mark.parametrize("start", [None, NOW - timedelta(hours=3)])
def test_rows_of_one_second_in_an_order_of_their_own_on_each_page_are_all_read(start: datetime | None) -> None:
    for seed in range(30):
        dice = random.Random(seed)
        times = {f"o{n}": NOW - timedelta(seconds=600 + dice.randrange(60)) for n in range(1500)}
        channel = Channel(times, seed=seed, ties_stay=False)
        assert channel.first <= read(channel, start)
        assert channel.requests <= 180


def test_a_second_that_is_too_full_is_read_as_long_as_it_brings_new_rows() -> None:
    for seed in range(5):
        channel = Channel({f"o{n}": NOW - timedelta(seconds=600) for n in range(450)}, seed=seed, ties_stay=False)
        walk = reader(channel)
        assert channel.first <= {name for page in walk.read_up_to_now(None) for name in page.names}
        assert walk.never_listed == 0


def test_rows_of_an_open_window_may_come_by_in_different_attempts() -> None:
    class Hides(Channel):
        """Each walk through a window without an end passes over another row."""

        walks = 0

        def fetch(self, window: Window, token: str, *, newest_first: bool = False) -> Page:
            page = super().fetch(window, token, newest_first=newest_first)
            if window.end is not None:
                return page
            self.walks += not token
            kept = [row for row in zip(page.names, page.times, strict=True) if row[0] != f"o{self.walks}"]
            return Page(
                [name for name, at in kept], [at for name, at in kept], page.total, page.token, page.server_time
            )

    channel = Hides({f"o{n}": NOW + timedelta(minutes=5) for n in range(250)})
    walk = reader(channel)
    assert channel.first <= {name for page in walk.read_up_to_now(NOW) for name in page.names}
    assert channel.walks == 2
    assert walk.never_listed == 0


def test_a_channel_that_counts_nothing_is_read_page_after_page() -> None:
    channel = Channel(spread(950), counts=False)
    assert channel.first <= read(channel, None)
    assert channel.requests <= 13


def test_a_count_that_is_never_reached_is_told_and_ends() -> None:
    class Liar(Channel):
        def fetch(self, window: Window, token: str) -> Page:
            page = super().fetch(window, token)
            return Page(page.names, page.times, (page.total or 0) + 3, page.token, page.server_time)

    channel = Liar(spread(500))
    walk = reader(channel)
    assert channel.first <= {name for page in walk.read_up_to_now(None) for name in page.names}
    assert walk.never_listed
    assert channel.requests < 100


def test_a_first_page_in_the_wrong_order_is_not_taken_for_the_other_end_of_its_window() -> None:
    class Reversed(Channel):
        def newest(self, window: Window) -> Page:
            page = super().newest(window)
            return Page(page.names[::-1], page.times[::-1], page.total, page.token, page.server_time)

    for seed in range(20):
        channel = Reversed(spread(600, seed=seed), seed=seed, arrivals=1.0, moves=0.3)
        assert channel.first <= read(channel, NOW - timedelta(hours=3))


def test_what_changes_while_an_answer_is_on_its_way_is_read() -> None:
    class Slow(Channel):
        def newest(self, window: Window) -> Page:
            page = super().newest(window)
            if self.requests == 1:  # a row comes after the rows were listed, the answer leaves a minute later
                self.times["late"] = self.clock + timedelta(seconds=20)
                self.clock += timedelta(seconds=60)
                page.server_time = self.clock
            return page

    for hours in (1, 2):
        channel = Slow(spread(600, hours=hours))
        assert "late" in read(channel, NOW - timedelta(hours=3))


def test_tokens_that_go_round_are_noticed() -> None:
    class Round(Channel):
        def fetch(self, window: Window, token: str) -> Page:
            page = super().fetch(window, "")
            return Page(page.names, page.times, page.total, "again", page.server_time)

    with pytest.raises(ChannelDown, match="same page"):
        read(Round(spread(250)))


def test_what_a_walk_raises_is_raised_to_the_reader() -> None:
    class Down(Channel):
        def fetch(self, window: Window, token: str) -> Page:
            if self.requests == 6:
                raise ChannelDown("down", subject="", next_step="")
            return super().fetch(window, token)

    with pytest.raises(ChannelDown, match="down"):
        read(Down(spread(2800)))


@given(seconds=st.integers(0, 10_000), pieces=st.integers(1, 50))
def test_pieces_of_a_window_make_up_the_window(seconds: int, pieces: int) -> None:
    window = Window(NOW, NOW + timedelta(seconds=seconds))
    cut = window.cut(pieces)
    assert (cut[0].start, cut[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(cut))
    assert all(piece.start < piece.end for piece in cut if seconds and piece.start and piece.end)
