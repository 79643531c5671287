"""The rules of one seller as frozen dataclasses: what rules.yaml says once it was read and found whole. Pure.

The defaults here are those of the shipped rules.yaml; `config/rules_file.py` reads the file into these classes. The
conditions of a carrier rule become closures when the rule is built, so that asking 100,000 packages stays cheap, and
every answer can name the condition that decided it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel, country_code
from tiktok_erp.model.us_states import US_STATE_NAMES, state_code

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# True: it holds. False: it does not. None: a fact that the answer depends on is not known.
Answer = Callable[[Parcel], "bool | None"]
Fact = Callable[[Parcel], Hashable]

CHANNELS = ("tiktok", "shopify", "ebay", "amazon")

# Our words for the carriers' published services (carriers reference, sections 4 and 5). A carrier that is not listed
# here is known once a channel has a display name for it; its service levels are then the seller's own words.
SERVICE_LEVELS: Mapping[str, tuple[str, ...]] = {
    "usps": (
        "ground_advantage",
        "priority_mail",
        "priority_mail_express",
        "media_mail",
        "library_mail",
        "bound_printed_matter",
        "parcel_select",
    ),
    "ups": (
        "ground",
        "ground_saver",
        "3_day_select",
        "2nd_day_air",
        "2nd_day_air_am",
        "next_day_air_saver",
        "next_day_air",
        "next_day_air_early",
    ),
    "fedex": (
        "ground",
        "home_delivery",
        "ground_economy",
        "express_saver",
        "2day",
        "2day_am",
        "standard_overnight",
        "priority_overnight",
        "first_overnight",
    ),
    "dhl": ("express_worldwide", "express_9_00", "express_10_30", "express_12_00"),
    "dhl_ecommerce": ("ground", "expedited", "expedited_max"),
}

# USPS retired First-Class Package in July 2023; the post office itself reads the old name as Ground Advantage.
RETIRED_SERVICE_LEVELS: Mapping[tuple[str, str], str] = {
    ("usps", "first_class"): "ground_advantage",
    ("usps", "first_class_package"): "ground_advantage",
}

# Display names as each channel's forms spell them (TikTok reference, section 4.5; channels reference, section 6).
CARRIER_NAMES: Mapping[str, Mapping[str, str]] = {
    "tiktok": {
        "usps": "USPS",
        "ups": "UPS",
        "fedex": "FedEx",
        "dhl": "DHL",
        "dhl_ecommerce": "DHL eCommerce",
        "uniuni": "UniUni",
        "speedx": "Speedx",
        "gofo": "Gofo",
        "veho": "Veho",
        "lasership": "LaserShip",
        "osm_worldwide": "OSM Worldwide",
        "gls_us": "GLS US",
        "asendia_us": "Asendia US",
        "cainiao_us": "Cainiao US",
        "amazon_shipping": "Amazon shipping + Amazon MCF",
    },
    "shopify": {"usps": "USPS", "ups": "UPS", "fedex": "FedEx", "dhl": "DHL Express"},
    "ebay": {"usps": "USPS", "ups": "UPS", "fedex": "FedEx", "dhl": "DHL"},
    "amazon": {"usps": "USPS", "ups": "UPS", "fedex": "FedEx", "dhl": "DHL"},
}

ORDER_STATUSES = (
    "UNPAID",
    "ON_HOLD",
    "AWAITING_SHIPMENT",
    "PARTIALLY_SHIPPING",
    "AWAITING_COLLECTION",
    "IN_TRANSIT",
    "DELIVERED",
    "COMPLETED",
    "CANCELLED",
)

# Seller Center's exports translate the status words, although headers stay English (TikTok reference, section 8.1).
STATUS_WORDS: Mapping[str, str] = {
    "待发货": "AWAITING_SHIPMENT",
    "待揽收": "AWAITING_COLLECTION",
    "运输中": "IN_TRANSIT",
    "已送达": "DELIVERED",
    "已完成": "COMPLETED",
    "已取消": "CANCELLED",
    "เสร็จสมบูรณ์": "COMPLETED",
    "ยกเลิกแล้ว": "CANCELLED",
}


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
    """One line of `when`: the fact it asks for, what it wants, and the closures that answer and show."""

    key: str
    wanted: Band | frozenset[str] | bool
    answer: Answer = field(compare=False, repr=False)
    fact: Fact = field(compare=False, repr=False)  # all that `answer` looks at
    seen: Callable[[Parcel], str] = field(compare=False, repr=False)  # the fact as text; "" when unknown

    def __str__(self) -> str:
        if isinstance(self.wanted, Band):
            return f"{self.key} {self.wanted}"
        if isinstance(self.wanted, bool):
            return f"{self.key} {str(self.wanted).lower()}"
        return f"{self.key} {', '.join(sorted(self.wanted))}"


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
}


def band_condition(key: str, band: Band) -> Condition:
    """Return the condition that `key` (`order_total`, `weight_g`, `item_count`, `hours_left`) lies inside `band`."""
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
}
_LIST_FACTS: Mapping[str, Fact] = {
    "state": operator.attrgetter("state", "country"),
    "country": operator.attrgetter("country"),
    "zip": operator.attrgetter("zip", "country"),
    "sku": operator.attrgetter("skus"),
    "all_skus": operator.attrgetter("skus"),
    "tags": operator.attrgetter("tags"),
    **_WORDS,
}


def list_condition(key: str, wanted: Iterable[str]) -> Condition:
    """Return the condition that the fact `key` is one of `wanted`; for `zip`, prefixes and ranges (`900-935`)."""
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
    else:
        answer = _word_answer(_WORDS[key], words, _FOLDS.get(key, str))
    return Condition(key, words, answer, _LIST_FACTS[key], shown or (lambda parcel: _text(_WORDS[key](parcel))))


_FLAGS: Mapping[str, Callable[[Parcel], bool | None]] = {
    "presale": operator.attrgetter("is_presale"),
    "sample": operator.attrgetter("is_sample"),
    "gift": operator.attrgetter("has_gift"),
    "has_note": lambda parcel: None if parcel.buyer_note is None else bool(parcel.buyer_note.strip()),
}


def flag_condition(key: str, wanted: bool) -> Condition:
    """Return the condition that `presale`, `sample`, `gift` or `has_note` is `wanted`."""
    read = _FLAGS[key]

    def answer(parcel: Parcel) -> bool | None:
        seen = read(parcel)
        return None if seen is None else seen is wanted

    return Condition(key, wanted, answer, read, lambda parcel: _text(read(parcel)).lower())


BAND_CONDITIONS = ("order_total", *_NUMBERS)
LIST_CONDITIONS = ("state", "country", "zip", "sku", "all_skus", "tags", *_WORDS)
FLAG_CONDITIONS = tuple(_FLAGS)


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
    """`when` all `conditions` hold, use this carrier and service level. Without conditions it covers every package."""

    name: str
    carrier: str
    service_level: str
    conditions: tuple[Condition, ...] = ()

    def verdict(self, parcel: Parcel) -> Verdict:
        """Return whether the rule covers `parcel`, and if not, which condition decided that and what it saw."""
        unknown: Condition | None = None
        for condition in self.conditions:
            answer = condition.answer(parcel)
            if answer is False:
                return Missed(condition.key, condition.seen(parcel))
            if answer is None and unknown is None:
                unknown = condition
        return _COVERED if unknown is None else Unknown(unknown.key, unknown.seen(parcel))


class _Asked:
    """One fact that rules ask for: which of them each of its values leaves standing, remembered by value."""

    __slots__ = ("_asking", "_everything", "fact", "remembered")

    def __init__(self, key: str, rules: Sequence[CarrierRule]) -> None:
        pairs = [(1 << place, one) for place, rule in enumerate(rules) for one in rule.conditions if one.key == key]
        self._asking = [(bit, condition.answer) for bit, condition in pairs]
        self._everything = (1 << len(rules)) - 1
        self.fact = pairs[0][1].fact
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
        keys = dict.fromkeys(condition.key for rule in rules for condition in rule.conditions)
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
    return (
        CarrierRule(
            "small orders by post",
            "usps",
            "ground_advantage",
            (band_condition("order_total", Band(under=1000, currency="USD")),),
        ),
        CarrierRule("California by UPS", "ups", "ground", (list_condition("state", ["CA"]),)),
        CarrierRule(
            "from 30 dollars by Priority Mail",
            "usps",
            "priority_mail",
            (band_condition("order_total", Band(at_least=3000, currency="USD")),),
        ),
        CarrierRule("everything else", "usps", "ground_advantage"),
    )


@dataclass(frozen=True, slots=True)
class ShipFrom:
    """The sender on own labels."""

    name: str = field(repr=False)
    street1: str = field(repr=False)
    city: str = field(repr=False)
    state: str
    zip: str = field(repr=False)
    country: str = "US"
    phone: str = field(default="", repr=False)
    street2: str = field(default="", repr=False)
    company: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Shop:
    """Who sells. `kind` is `local` or `cross_border`; the channel's own word outweighs it."""

    name: str = "beauty-us"
    kind: str = "local"
    time_zone: str = "America/Los_Angeles"
    ship_from: ShipFrom | None = None  # None: not told; own labels need it

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone, for what a person reads."""
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class Sync:
    """How often to fetch, how far to look back over the last fetch, and after how many failures to alert.

    `sweep_every`: how often to look for what the search by change may have missed, `sweep_back` far by time of the order.
    Products, creators and cancellations have a pace of their own.
    """

    every: timedelta = timedelta(seconds=60)
    overlap: timedelta = timedelta(minutes=5)
    alert_after_failures: int = 3
    sweep_every: timedelta = timedelta(minutes=15)
    sweep_back: timedelta = timedelta(hours=24)
    products_every: timedelta = timedelta(hours=6)
    creators_every: timedelta = timedelta(hours=1)
    cancellations_every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old data may be when it is spent or published on."""

    buy: timedelta = timedelta(minutes=10)
    push: timedelta = timedelta(minutes=3)
    upload: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class WorkDays:
    """The days that count. `weekdays` has Monday as 0; `without_holidays` leaves US federal holidays out as well."""

    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    without_holidays: bool = False


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Deadlines for orders whose own fields tell none, and what lateness costs."""

    ship_within: timedelta = timedelta(hours=24)
    presale_within: timedelta = timedelta(hours=72)
    tracking_within: timedelta = timedelta(hours=48)
    late_rate_limit_percent: Decimal = Decimal(5)
    penalty: tuple[Money, Money] = (Money(50, "USD"), Money(200, "USD"))  # least and most for one late order
    days: WorkDays = WorkDays()


@dataclass(frozen=True, slots=True)
class Pickup:
    """When a carrier collects, in the shop's time zone."""

    carrier: str
    at: time
    days: WorkDays = WorkDays()


@dataclass(frozen=True, slots=True)
class Combine:
    """How long an order may wait for another one of the same buyer."""

    wait: timedelta = timedelta(hours=3)
    margin: timedelta = timedelta(hours=6)
    max_orders: int = 20


@dataclass(frozen=True, slots=True)
class Labels:
    """Where own labels come from (`file`, `easypost`, `off`), and how patient to be with the channel's documents."""

    seller_shipping: str = "file"
    quote_first: bool = False
    settle_after: timedelta = timedelta(seconds=20)
    document_wait: timedelta = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class SafetyRule:
    """Keep back `percent` of what is free, or `units` pieces, of every SKU that fits the glob `sku`."""

    sku: str
    percent: Decimal | None = None
    units: int = 0
    fits: Callable[[str], object] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fits", glob_pattern([self.sku]).fullmatch)

    def kept_back(self, free: int) -> int:
        """Return the pieces kept back of `free` (on hand, not reserved); a share is rounded down: the last unit can be sold.

        Of what is free, not of all that is on hand: when reserved pieces leave, nothing changes for what can be sold.
        """
        if self.percent is None:
            return self.units
        return int(max(0, free) * self.percent // 100)


_MAX_COST_PER_LABEL = Money(2500, "USD")
_MAX_COST_PER_RUN = Money(500_000, "USD")
_MAX_COST_PER_DAY = Money(1_000_000, "USD")


@dataclass(frozen=True, slots=True)
class Spending:
    """Caps. No purchase starts that could pass one."""

    max_cost_per_label: Money = _MAX_COST_PER_LABEL
    max_cost_per_run: Money = _MAX_COST_PER_RUN
    max_cost_per_day: Money = _MAX_COST_PER_DAY


@dataclass(frozen=True, slots=True)
class Alerts:
    """Where alarms go, as apprise URLs. They contain passwords, so they are left out of `repr`."""

    to: tuple[str, ...] = field(default=(), repr=False)
    # Nothing succeeded for so long, while orders came in at `stream_orders` an hour or more: a stream is unattended.
    silent_after: timedelta = timedelta(minutes=10)
    stream_orders: int = 30


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """How hard one channel may be asked, and what it calls the carriers. Rates are requests a second per endpoint."""

    start_rate: float = 10.0
    max_rate: float = 20.0
    creep_after: timedelta = timedelta(seconds=5)  # without a refusal the rate grows by a tenth
    concurrency: int = 8
    carrier_names: Mapping[str, str] = field(default_factory=dict)


def shipped_channels() -> dict[str, ChannelRules]:
    """Return each channel with the display names its forms are known to use."""
    return {channel: ChannelRules(carrier_names=dict(CARRIER_NAMES[channel])) for channel in CHANNELS}


@dataclass(frozen=True, slots=True)
class Printing:
    """Paper for packers: its language, and the fonts to draw with before those found on the system.

    `header_pages`: a page before each run of packages that are packed alike. `printers` print unless told otherwise.
    """

    language: str = "en"
    fonts: tuple[str, ...] = ()
    header_pages: bool = False
    printers: tuple[str, ...] = ()
    paper: str | None = None  # 4x6, letter, a4, a6; None: each label at its own size


@dataclass(frozen=True, slots=True)
class SellerCenter:
    """What Seller Center's exports call the order statuses in the languages it was seen in.

    `headers` says which column of ours a header of a translated export stands for: the file's text -> the English header.
    """

    status_words: Mapping[str, str] = field(default_factory=lambda: dict(STATUS_WORDS))
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Box:
    """A box or mailer. Sizes are outer ones; None means not told."""

    name: str
    weight_g: int
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    max_weight_g: int | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test of rules.yaml expects: a carrier (and service level, and rule), or the `cause` of no allocation."""

    carrier: str | None = None
    service_level: str | None = None
    rule: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One example in `tests`: a package, and what the rules must make of it."""

    name: str
    parcel: Parcel
    expect: Expectation


@dataclass(frozen=True, slots=True)
class Rules:
    """One rules.yaml, whole and checked. `notes` are remarks that do not stop work, each with `file:line:column`."""

    shop: Shop = Shop()
    sync: Sync = Sync()
    freshness: Freshness = Freshness()
    deadlines: Deadlines = Deadlines()
    pickups: tuple[Pickup, ...] = (
        Pickup("usps", time(16, 40), WorkDays((0, 1, 2, 3, 4))),
        Pickup("ups", time(17, 30), WorkDays((0, 1, 2, 3, 4))),
    )
    combine: Combine = Combine()
    labels: Labels = Labels()
    carriers: tuple[CarrierRule, ...] = field(default_factory=shipped_carriers)
    safety_stock: tuple[SafetyRule, ...] = (SafetyRule("*", percent=Decimal(20)),)
    spending: Spending = Spending()
    alerts: Alerts = Alerts()
    channels: Mapping[str, ChannelRules] = field(default_factory=shipped_channels)
    printing: Printing = Printing()
    seller_center: SellerCenter = field(default_factory=SellerCenter)
    boxes: tuple[Box, ...] = ()
    listings: Mapping[str, object] = field(default_factory=dict)
    rates: Mapping[str, object] = field(default_factory=dict)
    privacy: Mapping[str, object] = field(default_factory=dict)
    tests: tuple[RuleTest, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    table: RuleTable = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", RuleTable(self.carriers))

    @property
    def box_weight_g(self) -> int:
        """The weight of the box that is used unless told otherwise: the first one, 0 when none is configured."""
        return self.boxes[0].weight_g if self.boxes else 0

    def kept_back(self, sku: str, free: int) -> int:
        """Return how many pieces of `sku` are safety stock. The first rule that fits decides; without one it is 0."""
        for rule in self.safety_stock:
            if rule.fits(sku):
                return rule.kept_back(free)
        return 0
