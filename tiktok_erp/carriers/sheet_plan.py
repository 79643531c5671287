"""Where a sheet with several labels may be cut. Pure: sees only which rows and columns are inked.

Sheets are printed in rows and columns of equal size, so the white gutters are looked for near the lines of such a grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tiktok_erp.model.label_area import Box

GRIDS = ((1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 2), (2, 4), (4, 2))  # rows, columns; fewest cells first
_NEAR = 0.08  # of the sheet: how far from the grid's line a gutter may be
_NARROWEST = 2  # units


def plan_cuts(rows: Sequence[bool], columns: Sequence[bool]) -> Iterator[tuple[Box, ...]]:
    """Yield ways to cut a sheet, as boxes in the unit of the profiles, row by row.

    `rows` and `columns` say of each whether anything is inked. Grids of the sheet come before grids of its inked part.
    """
    seen: set[tuple[Box, ...]] = set()
    for of_ink in (False, True):
        for down, across in GRIDS:
            tops, lefts = _lines(rows, down, of_ink), _lines(columns, across, of_ink)
            if tops is None or lefts is None:
                continue
            cells = tuple(
                (float(left), float(top), float(right), float(bottom))
                for top, bottom in pairwise(tops)
                for left, right in pairwise(lefts)
            )
            if cells not in seen:
                seen.add(cells)
                yield cells


def _lines(profile: Sequence[bool], count: int, of_ink: bool) -> list[int] | None:
    """Return the edges of `count` parts, each cut in the middle of the widest gutter near its line; None without one."""
    first, last = 0, len(profile)
    if of_ink:
        inked = [index for index, value in enumerate(profile) if value]
        if not inked:
            return None
        first, last = inked[0], inked[-1] + 1
    lines = [0]
    for part in range(1, count):
        line, reach = first + (last - first) * part / count, _NEAR * (last - first)
        gutters = [
            (end - start, (start + end) // 2)
            for start, end in _gutters(profile)
            if start < line + reach and end > line - reach
        ]
        width, middle = max(gutters, default=(0, 0))
        if width < _NARROWEST or middle <= lines[-1]:
            return None
        lines.append(middle)
    return [*lines, len(profile)]


def _gutters(profile: Sequence[bool]) -> Iterator[tuple[int, int]]:
    start = None
    for index, value in enumerate((*profile, True)):
        if not value and start is None:
            start = index
        elif value and start is not None:
            yield start, index
            start = None
