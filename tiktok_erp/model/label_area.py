"""How much of a page a label may take so that label paper holds it at 100 %. Pure.

A box is (left, top, right, bottom) in points from the upper left corner of the page as it is shown.
"""

from __future__ import annotations

Box = tuple[float, float, float, float]
Size = tuple[float, float]

FOUR_BY_SIX_PT: Size = (288.0, 432.0)
A6_PT: Size = (297.64, 419.53)
TOLERANCE_PT = 1.0  # half of it is lost on each side: less than a printer cannot reach
_COMMON: Size = (min(FOUR_BY_SIX_PT[0], A6_PT[0]), min(FOUR_BY_SIX_PT[1], A6_PT[1]))


def fits(size: Size, room: Size) -> bool:
    """Say whether something of this size goes into `room` at 100 %."""
    return size[0] <= room[0] + TOLERANCE_PT and size[1] <= room[1] + TOLERANCE_PT


def turned(size: Size) -> Size:
    """Return a size lying on its side."""
    return size[1], size[0]


def label_area(ink: Box | None, page: Size) -> Box:
    """Return the part of the page that stays when a label, inked at `ink`, goes to label paper; all of a blank page.

    It is as large as every label paper that holds the ink, upright or on its side, and lies around the ink. Ink that no
    label paper holds gets an area of the same shape, which is made smaller as a whole.
    """
    if ink is None:
        return (0.0, 0.0, *page)
    left, top, right, bottom = ink
    width, height = _room((right - left, bottom - top))
    (left, right), (top, bottom) = _span(left, right, width, page[0]), _span(top, bottom, height, page[1])
    return left, top, right, bottom


def _room(ink: Size) -> Size:
    upright = (_COMMON, FOUR_BY_SIX_PT, A6_PT)
    for size in (*upright, *map(turned, upright)):
        if fits(ink, size):
            return max(size[0], ink[0]), max(size[1], ink[1])
    width, height = min(
        (FOUR_BY_SIX_PT, turned(FOUR_BY_SIX_PT)), key=lambda size: max(ink[0] / size[0], ink[1] / size[1])
    )
    factor = max(ink[0] / width, ink[1] / height)
    return width * factor, height * factor


def _span(start: float, end: float, length: float, limit: float) -> tuple[float, float]:
    """Return `length` around the middle of `start` and `end`, moved rather than cut at the page's edges."""
    first = (start + end - length) / 2
    first = max(0.0, min(first, limit - length))
    return first, min(limit, first + length)
