"""The rules of one seller as frozen dataclasses: what rules.yaml says once it was read and found whole. Pure.

The defaults here are those of the shipped rules.yaml; `config/rules_file.py` reads the file into these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from tiktok_erp.model.carrier_rule import CarrierRule, RateTable, RuleTable, shipped_carriers
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.safety_stock import Live as Live
from tiktok_erp.model.safety_stock import SafetyRule as SafetyRule

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

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

    @property
    def is_example(self) -> bool:
        """Tell whether this is the place that the shipped rules have as an example, whoever is named there."""
        return (self.street1.strip().casefold(), self.zip[:5]) == ("100 main st", "91761")


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
class Addresses:
    """How long one street line may be on a carrier's label, in characters. A carrier that is not listed has no limit."""

    # USPS: carriers reference, section 5. UPS and FedEx: AddressLine and StreetLines of their shipping APIs.
    line_length: Mapping[str, int] = field(default_factory=lambda: {"usps": 50, "ups": 35, "fedex": 35})


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
class OwnLabels:
    """Whose labels a channel takes beside those it sells itself: of the carriers in `only` (None: of all), never of `without`."""

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def takes(self, carrier: str) -> bool:
        """Tell whether the channel takes a label of `carrier` that it did not sell."""
        return carrier not in self.without and (self.only is None or carrier in self.only)


# Since January 2026 TikTok refuses USPS labels that it did not sell, for all US sellers: notice to sellers of 2025-11-14 (to
# cross-border ones of 2025-10-27), no reversal found by November 2026 (TikTok reference, fact 18 and section 7).
US_OWN_LABELS: Mapping[str, OwnLabels] = {"tiktok": OwnLabels(without=frozenset({"usps"}))}


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """How hard one channel may be asked, and what it calls the carriers. Rates are requests a second per endpoint."""

    start_rate: float = 10.0
    max_rate: float = 20.0
    creep_after: timedelta = timedelta(seconds=5)  # without a refusal the rate grows by a tenth
    concurrency: int = 8
    ship_batch: int = 20  # packages in one Batch Ship call: its limit is not documented
    carrier_names: Mapping[str, str] = field(default_factory=dict)
    own_labels_by: OwnLabels = OwnLabels()


def shipped_channels(*, is_us: bool = True) -> dict[str, ChannelRules]:
    """Return each channel with the display names its forms are known to use, and the labels that it takes.

    `is_us`: the shop sells in the United States.
    """
    own = US_OWN_LABELS if is_us else {}
    return {
        channel: ChannelRules(carrier_names=dict(CARRIER_NAMES[channel]), own_labels_by=own.get(channel, OwnLabels()))
        for channel in CHANNELS
    }


def shipped_safety_stock() -> tuple[SafetyRule, ...]:
    """Return the shipped policy: in a stream by the speed of sales, else of 100 pieces that are free 80 are shown."""
    return (SafetyRule("*", live=True, is_auto=True), SafetyRule("*", percent=Decimal(20)))


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
class Handover:
    """The kit that `run --watch` keeps fresh: its folder, seen from the rules file, and for how many people. None: no kit."""

    folder: str | None = None
    every: timedelta = timedelta(minutes=5)
    people: int = 1


@dataclass(frozen=True, slots=True)
class SellerCenter:
    """What Seller Center's exports call the order statuses in the languages it was seen in.

    `headers` says which column of ours a header of a translated export stands for: the file's text -> the English header.
    `decimal_mark` begins the decimals of amounts, None where the file itself is to tell.
    """

    status_words: Mapping[str, str] = field(default_factory=lambda: dict(STATUS_WORDS))
    headers: Mapping[str, str] = field(default_factory=dict)
    decimal_mark: str | None = None


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
    safety_stock: tuple[SafetyRule, ...] = field(default_factory=shipped_safety_stock)
    live: Live = field(default_factory=Live)
    split: str = "never"  # never | allow: whether a package that is partly short may leave in parts
    spending: Spending = Spending()
    alerts: Alerts = Alerts()
    channels: Mapping[str, ChannelRules] = field(default_factory=shipped_channels)
    printing: Printing = Printing()
    handover: Handover = Handover()
    seller_center: SellerCenter = field(default_factory=SellerCenter)
    boxes: tuple[Box, ...] = ()
    addresses: Addresses = field(default_factory=Addresses)
    senders: Mapping[str, ShipFrom] = field(default_factory=dict)  # further senders; `ship_from` of a rule names one
    listings: Mapping[str, object] = field(default_factory=dict)
    rates: RateTable = field(default_factory=lambda: RateTable(()))
    privacy: Mapping[str, object] = field(default_factory=dict)
    tests: tuple[RuleTest, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    table: RuleTable = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", RuleTable(self.carriers))

    def takes_own_label(self, channel: str | None, carrier: str) -> bool:
        """Tell whether `channel` takes a label of `carrier` that it did not sell; an unknown channel may be any."""
        known = self.channels.get(channel or "tiktok")
        return known is None or known.own_labels_by.takes(carrier)

    def closed_own_labels(self) -> list[str]:
        """Return `channel carrier` for every carrier whose own labels a channel does not take."""
        carriers = set(SERVICE_LEVELS).union(*(rules.carrier_names for rules in self.channels.values()))
        return [
            f"{channel} {carrier}"
            for channel, rules in self.channels.items()
            for carrier in sorted(carriers)
            if not rules.own_labels_by.takes(carrier)
        ]

    @property
    def compares_prices(self) -> bool:
        """Whether a rule takes the cheapest or the fastest of several choices."""
        return any(rule.use is not None and rule.use.needs_prices for rule in self.carriers)
