"""Carrier rules: what a rule covers, what it says to do, what postage costs, and all rules as one table. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tiktok_erp.model.condition import Band, Condition, all_hold, band_condition, list_condition
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel


class Choice(NamedTuple):
    """A carrier and one of its service levels."""

    carrier: str
    service_level: str

    def __str__(self) -> str:
        return f"{self.carrier} {self.service_level}"


@dataclass(frozen=True, slots=True)
class Use:
    """Which of `choices` to take: the first that is possible (`order`), the `cheapest`, or the `fastest`.

    `max_cost` bounds what `fastest` may cost. Cheapest and fastest compare live prices where the label source gives them,
    else those of the `rates` table.
    """

    choices: tuple[Choice, ...]
    by: str = "order"
    max_cost: Money | None = None

    @property
    def needs_prices(self) -> bool:
        """Whether the choice depends on what each costs."""
        return self.by != "order"


@dataclass(frozen=True, slots=True)
class Extras:
    """What a rule adds to the packages it covers, whoever carries them."""

    box: str | None = None
    ship_from: str | None = None  # a name in `senders`
    signature: str | None = None  # standard, adult
    insurance: Money | None = None
    tags: tuple[str, ...] = ()
    print_note: str | None = None  # on the packing slip

    def over(self, earlier: Extras) -> Extras:
        """Return both: what is told here goes before what an earlier rule told; tags and notes add up."""
        return Extras(
            self.box or earlier.box,
            self.ship_from or earlier.ship_from,
            self.signature or earlier.signature,
            self.insurance or earlier.insurance,
            tuple(dict.fromkeys((*earlier.tags, *self.tags))),
            " / ".join(note for note in (earlier.print_note, self.print_note) if note) or None,
        )


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Covered:
    """The rule covers the package."""


@dataclass(frozen=True, slots=True)
class Missed:
    """The rule does not cover the package: `condition` asked for something else than `seen`."""

    condition: str
    seen: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the rule covers the package depends on a fact that is not known, or (`seen`) that cannot be compared."""

    condition: str
    seen: str = ""


Verdict = Covered | Missed | Unknown
_COVERED = Covered()


@dataclass(frozen=True, slots=True)
class CarrierRule:
    """`when` all `conditions` hold, do this. Without conditions it covers every package.

    One of `use`, `hold` and `quarantine` decides; the first rule that covers a package and decides wins. A rule that has
    none of them only adds its `extras`, and the search goes on. `then` are choices for when the label source has refused
    those of `use`.
    """

    name: str
    use: Use | None
    conditions: tuple[Condition, ...] = ()
    then: tuple[Choice, ...] = ()
    extras: Extras = NO_EXTRAS
    hold: str | None = None  # the reason
    quarantine: str | None = None  # the reason

    @property
    def decides(self) -> bool:
        """Whether the search for a rule ends here."""
        return self.use is not None or self.hold is not None or self.quarantine is not None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every carrier and service level the rule may come to."""
        return (*self.use.choices, *self.then) if self.use is not None else ()

    def verdict(self, parcel: Parcel) -> Verdict:
        """Return whether the rule covers `parcel`, and if not, which condition decided that and what it saw."""
        unknown: Condition | None = None
        for condition in self.conditions:
            answer = condition.answer(parcel)
            if answer is False:
                return Missed(condition.key, condition.seen(parcel))
            if answer is None and unknown is None:
                unknown = condition.undecided(parcel)
        return _COVERED if unknown is None else Unknown(unknown.key, unknown.seen(parcel))


def one_choice(name: str, carrier: str, service_level: str, conditions: tuple[Condition, ...] = ()) -> CarrierRule:
    """Return a rule with a single carrier and service level."""
    return CarrierRule(name, Use((Choice(carrier, service_level),)), conditions)


@dataclass(frozen=True, slots=True)
class Rate:
    """One line of the postage table: what a service level costs for parcels that meet all `conditions`."""

    choice: Choice
    cost: Money
    conditions: tuple[Condition, ...] = ()
    transit_days: int | None = None


class Price(NamedTuple):
    """What one choice costs for one parcel. `source` is `rates`, or the label source that was asked."""

    choice: Choice
    cost: Money
    transit_days: int | None
    source: str


@dataclass(frozen=True, slots=True)
class RateTable:
    """The `rates` of rules.yaml by service level: the first line that covers a parcel is its price."""

    rates: tuple[Rate, ...]
    _lines: dict[Choice, list[Rate]] = field(init=False, compare=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for rate in self.rates:
            self._lines.setdefault(rate.choice, []).append(rate)

    def price(self, choice: Choice, parcel: Parcel) -> Price | Unknown | None:
        """Return the price, or None where the table has none; Unknown when it depends on a fact that is not known."""
        for rate in self._lines.get(choice, ()):
            answer = all_hold(rate.conditions, parcel)
            if answer is None:
                asked = next(one for one in rate.conditions if one.answer(parcel) is None).undecided(parcel)
                return Unknown(asked.key, asked.seen(parcel))
            if answer:
                return Price(choice, rate.cost, rate.transit_days, "rates")
        return None


class _Asked:
    """Facts that conditions ask for together, mostly one: which rules each value leaves standing, remembered by value."""

    __slots__ = ("_asking", "_everything", "fact", "remembered")

    def __init__(self, fact_keys: tuple[str, ...], rules: Sequence[CarrierRule]) -> None:
        pairs = [
            (1 << place, one)
            for place, rule in enumerate(rules)
            for one in rule.conditions
            if one.fact_keys == fact_keys
        ]
        self._asking = [(bit, condition.answer) for bit, condition in pairs]
        self._everything = (1 << len(rules)) - 1
        # A single fact may stand in a group as well: those are asked for as tuples.
        self.fact = next((one.fact for _bit, one in pairs if not one.parts), pairs[0][1].fact)
        self.remembered: dict[Hashable, tuple[int, int]] = {}

    def learn(self, value: Hashable, parcel: Parcel) -> tuple[int, int]:
        """Return two sets of rules, a bit each: those that may cover `parcel` by this fact, and those that surely do."""
        may = sure = self._everything
        for bit, ask in self._asking:
            answer = ask(parcel)
            if answer is not True:
                sure &= ~bit
            if answer is False:
                may &= ~bit
        if len(self.remembered) >= _MOST_REMEMBERED:
            self.remembered.clear()
        self.remembered[value] = (may, sure)
        return may, sure


_MOST_REMEMBERED = 50_000  # values of one fact; a spike has 2,800 packages


class RuleTable:
    """The carrier rules by fact: each fact of a package is looked up once, not once a rule.

    So 200 rules are as quick as 20. What is looked up is what the closures of the conditions have answered.
    """

    __slots__ = ("_asked", "_everything", "_remembered", "_rules")

    def __init__(self, rules: Sequence[CarrierRule]) -> None:
        keys = dict.fromkeys(condition.fact_keys for rule in rules for condition in rule.conditions)
        every = [_Asked(key, rules) for key in keys]
        self._rules = tuple(rules)
        self._asked = [(asked.fact, asked.remembered.get, asked.learn) for asked in every]
        self._everything = (1 << len(rules)) - 1
        self._remembered: dict[tuple[int, int], tuple[tuple[CarrierRule, bool], ...]] = {}

    def candidates(self, parcel: Parcel) -> tuple[tuple[CarrierRule, bool], ...]:
        """Return, top to bottom, each rule that may cover `parcel`, and whether it surely does."""
        may = sure = self._everything
        for fact, recall, learn in self._asked:
            value = fact(parcel)
            by_fact = recall(value) or learn(value, parcel)
            may &= by_fact[0]
            sure &= by_fact[1]
        standing = self._remembered.get((may, sure))
        if standing is None:
            standing = tuple((rule, bool(sure >> bit & 1)) for bit, rule in enumerate(self._rules) if may >> bit & 1)
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[may, sure] = standing
        return standing


def shipped_carriers() -> tuple[CarrierRule, ...]:
    """Return the carrier policy of the shipped rules.yaml."""
    small = band_condition("order_total", Band(under=1000, currency="USD"))
    large = band_condition("order_total", Band(at_least=3000, currency="USD"))
    own = (list_condition("channel", ["tiktok"]), list_condition("shipping_type", ["SELLER"]))
    return (
        one_choice("labels of one's own on TikTok by UPS", "ups", "ground", own),
        one_choice("small orders by post", "usps", "ground_advantage", (small,)),
        one_choice("California by UPS", "ups", "ground", (list_condition("state", ["CA"]),)),
        one_choice("from 30 dollars by Priority Mail", "usps", "priority_mail", (large,)),
        one_choice("everything else", "usps", "ground_advantage"),
    )
