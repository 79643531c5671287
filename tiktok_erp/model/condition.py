"""Conditions of carrier rules: what they ask of a package, as closures that also say what they saw. Pure.

A condition becomes a closure when its rule is built, so that asking 100,000 packages stays cheap, and every answer can
name the condition that decided it. Three answers: yes, no, and that a fact is not known; "not known" is never read as no.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel, country_code
from tiktok_erp.model.us_states import US_STATE_NAMES, state_code

# True: it holds. False: it does not. None: a fact that the answer depends on is not known.
Answer = Callable[[Parcel], "bool | None"]
Fact = Callable[[Parcel], Hashable]


@dataclass(frozen=True, slots=True)
class Band:
    """A range of numbers; the names say which end is inside. Money is in minor units of `currency`."""

    over: int | Decimal | None = None
    at_least: int | Decimal | None = None
    under: int | Decimal | None = None
    up_to: int | Decimal | None = None
    currency: str = ""

    def lowest(self) -> tuple[int | Decimal | float, int]:
        """Return the lower end, and 1 where that end itself is outside; ends of whole numbers are always inside."""
        if self.over is not None:
            return (self.over + 1, 0) if isinstance(self.over, int) else (self.over, 1)
        return (-math.inf if self.at_least is None else self.at_least, 0)

    def highest(self) -> tuple[int | Decimal | float, int]:
        """Return the upper end, and -1 where that end itself is outside; ends of whole numbers are always inside."""
        if self.under is not None:
            return (self.under - 1, 0) if isinstance(self.under, int) else (self.under, -1)
        return (math.inf if self.up_to is None else self.up_to, 0)

    def is_empty(self) -> bool:
        """Return whether no number can be inside."""
        (low, low_open), (high, high_open) = self.lowest(), self.highest()
        return low > high or (low == high and (low_open, high_open) != (0, 0))

    def __str__(self) -> str:
        ends = (("over", self.over), ("at_least", self.at_least), ("under", self.under), ("up_to", self.up_to))
        return " ".join(f"{name} {self._number(value)}" for name, value in ends if value is not None)

    def _number(self, value: int | Decimal) -> str:
        return str(Money(int(value), self.currency)) if self.currency else str(value)


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of `when`: the fact it asks for, what it wants, and the closures that answer and show.

    `any`, `all` and `not` have `parts` instead of a fact of their own: each part is a group whose conditions must all hold.
    """

    key: str
    wanted: Band | frozenset[str] | bool
    answer: Answer = field(compare=False, repr=False)
    fact: Fact = field(compare=False, repr=False)  # all that `answer` looks at
    seen: Callable[[Parcel], str] = field(compare=False, repr=False)  # the fact as text; "" when unknown
    parts: tuple[tuple[Condition, ...], ...] = ()

    def __str__(self) -> str:
        if self.parts:
            return f"{self.key} ({' | '.join(', '.join(map(str, group)) for group in self.parts)})"
        if isinstance(self.wanted, Band):
            return f"{self.key} {self.wanted}"
        if isinstance(self.wanted, bool):
            return f"{self.key} {str(self.wanted).lower()}"
        return f"{self.key} {', '.join(sorted(self.wanted))}"

    @property
    def fact_keys(self) -> tuple[str, ...]:
        """The names of the facts that the answer depends on, sorted."""
        if not self.parts:
            return (self.key,)
        return tuple(sorted({key for group in self.parts for one in group for key in one.fact_keys}))

    def leaves(self) -> list[Condition]:
        """Return the conditions that ask for a fact of their own: itself, or those of its parts."""
        return [leaf for group in self.parts for one in group for leaf in one.leaves()] if self.parts else [self]

    def undecided(self, parcel: Parcel) -> Condition:
        """Return the condition whose unknown fact leaves this one without an answer."""
        for group in self.parts:
            for one in group:
                if one.answer(parcel) is None:
                    return one.undecided(parcel)
        return self


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _band_answer(read: Callable[[Parcel], int | Decimal | None], band: Band) -> Answer:
    (low, low_open), (high, high_open) = band.lowest(), band.highest()
    if not low_open and not high_open:

        def closed(parcel: Parcel) -> bool | None:
            seen = read(parcel)
            return None if seen is None else low <= seen <= high

        return closed
    above = operator.lt if low_open else operator.le
    below = operator.lt if high_open else operator.le

    def half_open(parcel: Parcel) -> bool | None:
        seen = read(parcel)
        return None if seen is None else above(low, seen) and below(seen, high)

    return half_open


def _money_answer(band: Band) -> Answer:
    low, high, currency = band.lowest()[0], band.highest()[0], band.currency

    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.order_total
        if seen is None or seen.currency != currency:
            return None
        return low <= seen.minor <= high

    return answer


def _order_total(parcel: Parcel) -> tuple[int, str] | None:
    total = parcel.order_total
    return None if total is None else (total.minor, total.currency)


_NUMBERS: Mapping[str, Callable[[Parcel], int | Decimal | None]] = {
    "weight_g": operator.attrgetter("weight_g"),
    "item_count": operator.attrgetter("item_count"),
    "hours_left": operator.attrgetter("hours_left"),
    "repeat_orders": operator.attrgetter("repeat_orders"),
}


def band_condition(key: str, band: Band) -> Condition:
    """Return the condition that `key`, one of BAND_CONDITIONS, lies inside `band`."""
    if key == "order_total":
        return Condition(key, band, _money_answer(band), _order_total, lambda parcel: _text(parcel.order_total))
    read = _NUMBERS[key]
    return Condition(key, band, _band_answer(read, band), read, lambda parcel: _text(read(parcel)))


def _state_answer(wanted: frozenset[str]) -> Answer:
    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.state
        if not seen:
            return None
        if seen in wanted:
            return True
        if seen in US_STATE_NAMES:
            return False
        code = state_code(seen)
        if code is not None:
            return code in wanted
        # A region abroad is no US state, whatever it is called; at home an unreadable word could be any of them.
        if parcel.country and country_code(parcel.country) not in (None, "US"):
            return seen.strip().upper() in wanted
        return None

    return answer


def _country_answer(wanted: frozenset[str]) -> Answer:
    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.country
        if not seen:
            return None
        if seen in wanted:
            return True
        code = country_code(seen)
        return None if code is None else code in wanted

    return answer


def _zip_answer(wanted: frozenset[str]) -> Answer:
    prefixes = tuple(sorted(entry for entry in wanted if "-" not in entry))
    ranges = [tuple(entry.split("-", 1)) for entry in sorted(wanted) if "-" in entry]

    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.zip.strip().upper() if parcel.zip else ""
        if not seen or "*" in seen:
            return None
        # A US ZIP that a spreadsheet read as a number has lost its leading zeros and would match another region.
        if len(seen) < 5 and (not parcel.country or country_code(parcel.country) == "US"):
            return None
        return seen.startswith(prefixes) or any(low <= seen[: len(low)] <= high for low, high in ranges)

    return answer


def glob_pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern whose `fullmatch` says whether a SKU fits one of `globs`: `*` any text, `?` one character.

    Brackets are plain characters, unlike in a shell: SKUs contain them.
    """
    parts = (re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") for glob in globs)
    return re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL)


def _sku_answer(wanted: frozenset[str], enough: Callable[[Iterable[object]], bool]) -> Answer:
    fits = glob_pattern(sorted(wanted)).fullmatch

    def answer(parcel: Parcel) -> bool | None:
        return enough(fits(sku) for sku in parcel.skus) if parcel.skus else None

    return answer


def _tags_answer(wanted: frozenset[str]) -> Answer:
    folded = frozenset(tag.casefold() for tag in wanted)
    return lambda parcel: any(tag.casefold() in folded for tag in parcel.tags)


def _live_session_answer(wanted: frozenset[str]) -> Answer:
    folded = frozenset(name.casefold() for name in wanted)

    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.live_sessions
        return None if seen is None else any(name.casefold() in folded for name in seen)

    return answer


def _note_answer(wanted: frozenset[str]) -> Answer:
    fits = glob_pattern(sorted(glob.casefold() for glob in wanted)).fullmatch

    def answer(parcel: Parcel) -> bool | None:
        seen = parcel.buyer_note
        return None if seen is None else fits(seen.strip().casefold()) is not None

    return answer


def _creator_key(name: str) -> str:
    return name.strip().removeprefix("@").casefold()


def _word_answer(read: Callable[[Parcel], str | None], wanted: frozenset[str], fold: Callable[[str], str]) -> Answer:
    folded = frozenset(fold(word) for word in wanted)

    def answer(parcel: Parcel) -> bool | None:
        seen = read(parcel)
        return None if seen is None else fold(seen) in folded

    return answer


_WORDS: Mapping[str, Callable[[Parcel], str | None]] = {
    key: operator.attrgetter(key)
    for key in ("channel", "shipping_type", "fulfillment_type", "delivery_option", "creator", "warehouse")
}
_FOLDS: Mapping[str, Callable[[str], str]] = {"delivery_option": str.casefold, "creator": _creator_key}
_SHOWN: Mapping[str, Callable[[Parcel], str]] = {
    "state": lambda parcel: _text(parcel.state),
    "country": lambda parcel: _text(parcel.country),
    "zip": lambda parcel: _text(parcel.zip)[:3],  # the region is enough; the whole code leads to a buyer
    "sku": lambda parcel: ", ".join(sorted(set(parcel.skus))),
    "all_skus": lambda parcel: ", ".join(sorted(set(parcel.skus))),
    "tags": lambda parcel: ", ".join(sorted(set(parcel.tags))),
    "live_session": lambda parcel: ", ".join(parcel.live_sessions or ()),
    "buyer_note": lambda parcel: "..." if parcel.buyer_note else "",  # the buyer's own words stay where they are
}
_LIST_FACTS: Mapping[str, Fact] = {
    "state": operator.attrgetter("state", "country"),
    "country": operator.attrgetter("country"),
    "zip": operator.attrgetter("zip", "country"),
    "sku": operator.attrgetter("skus"),
    "all_skus": operator.attrgetter("skus"),
    "tags": operator.attrgetter("tags"),
    "live_session": operator.attrgetter("live_sessions"),
    "buyer_note": operator.attrgetter("buyer_note"),
    **_WORDS,
}


def list_condition(key: str, wanted: Iterable[str]) -> Condition:
    """Return the condition that the fact `key` is one of `wanted`; for `zip`, prefixes and ranges (`900-935`).

    SKUs and the buyer's note are held against globs: `*` stands for any text.
    """
    words = frozenset(wanted)
    shown = _SHOWN.get(key)
    if key == "state":
        answer = _state_answer(words)
    elif key == "country":
        answer = _country_answer(words)
    elif key == "zip":
        answer = _zip_answer(words)
    elif key == "sku":
        answer = _sku_answer(words, any)
    elif key == "all_skus":
        answer = _sku_answer(words, all)
    elif key == "tags":
        answer = _tags_answer(words)
    elif key == "live_session":
        answer = _live_session_answer(words)
    elif key == "buyer_note":
        answer = _note_answer(words)
    else:
        answer = _word_answer(_WORDS[key], words, _FOLDS.get(key, str))
    return Condition(key, words, answer, _LIST_FACTS[key], shown or (lambda parcel: _text(_WORDS[key](parcel))))


_FLAGS: Mapping[str, Callable[[Parcel], bool | None]] = {
    "presale": operator.attrgetter("is_presale"),
    "sample": operator.attrgetter("is_sample"),
    "gift": operator.attrgetter("has_gift"),
    "has_note": lambda parcel: None if parcel.buyer_note is None else bool(parcel.buyer_note.strip()),
    "has_creator": lambda parcel: None if parcel.creator is None else bool(parcel.creator),
    "live": lambda parcel: None if parcel.live_sessions is None else bool(parcel.live_sessions),
    "military": operator.attrgetter("is_military"),
    "po_box": operator.attrgetter("is_po_box"),
    "residential": operator.attrgetter("is_residential"),
}


def flag_condition(key: str, wanted: bool) -> Condition:
    """Return the condition that the flag `key`, one of FLAG_CONDITIONS, is `wanted`."""
    read = _FLAGS[key]

    def answer(parcel: Parcel) -> bool | None:
        seen = read(parcel)
        return None if seen is None else seen is wanted

    return Condition(key, wanted, answer, read, lambda parcel: _text(read(parcel)).lower())


def all_hold(conditions: Sequence[Condition], parcel: Parcel) -> bool | None:
    """Return whether all `conditions` hold: one that does not outweighs one that is not known."""
    result: bool | None = True
    for condition in conditions:
        answer = condition.answer(parcel)
        if answer is False:
            return False
        if answer is None:
            result = None
    return result


def group_condition(key: str, groups: Sequence[Sequence[Condition]]) -> Condition:
    """Return the condition that `any` or `all` of the groups hold, or with `not` that the one group does not."""
    parts = tuple(tuple(group) for group in groups)

    def any_answer(parcel: Parcel) -> bool | None:
        answers = [all_hold(group, parcel) for group in parts]
        return True if True in answers else None if None in answers else False

    def all_answer(parcel: Parcel) -> bool | None:
        answers = [all_hold(group, parcel) for group in parts]
        return False if False in answers else None if None in answers else True

    def not_answer(parcel: Parcel) -> bool | None:
        answer = all_hold(parts[0], parcel)
        return None if answer is None else not answer

    leaves = {leaf.key: leaf for group in parts for one in group for leaf in one.leaves()}
    facts = tuple(leaves[name].fact for name in sorted(leaves))
    return Condition(
        key,
        True,
        {"any": any_answer, "all": all_answer, "not": not_answer}[key],
        lambda parcel: tuple(fact(parcel) for fact in facts),
        lambda parcel: ", ".join(f"{name} {_shown(leaves[name], parcel)}" for name in sorted(leaves)),
        parts,
    )


def _shown(leaf: Condition, parcel: Parcel) -> str:
    return leaf.seen(parcel) or ("?" if leaf.answer(parcel) is None else "-")


BAND_CONDITIONS = ("order_total", *_NUMBERS)
LIST_CONDITIONS = ("state", "country", "zip", "sku", "all_skus", "tags", "live_session", "buyer_note", *_WORDS)
FLAG_CONDITIONS = tuple(_FLAGS)
GROUP_CONDITIONS = ("any", "all", "not")
