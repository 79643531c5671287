"""Scenarios of sync drawn from a seed: a simulated shop in which things go wrong, and what its own books say afterwards.

A clock of its own makes hours pass between two syncs and seconds pass with every request. What the simulator shows to
the client is written down version by version, so that an order may be compared although it changed while it was read.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import stamina

from tiktok_erp.channels.base import OrderPage, OrderSearch, RawOrder
from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.errors import ChannelDown, SignInError
from tiktok_erp.model.credentials import TikTokCredentials, TokenPair
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import ChannelRules, Rules, Sync
from tiktok_erp.model.secret import Secret
from tiktok_erp.simulator import orders as simulator_orders
from tiktok_erp.simulator.calls import Call
from tiktok_erp.simulator.entities import AFTER_SHIPPING, Order
from tiktok_erp.simulator.server import Simulator, SimulatorOptions
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Encoded, is_unknown_status, seller_sku
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.run import sync_channel
from tiktok_erp.transport.client import HttpAnswer, HttpClient
from tiktok_erp.transport.pace import Pace

START = datetime(2026, 11, 22, 18, tzinfo=UTC).timestamp()
DAY_S = 86400.0
NEVER = timedelta(days=3650)
ATTEMPTS = 4

# The least and the greatest probability of each fault that sync can meet.
FAULTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "page_shift": (0.2, 1.0),
        "arrivals_between_pages": (0.2, 1.0),
        "out_of_order_pages": (0.1, 0.6),
        "duplicate_rows": (0.1, 0.8),
        "shuffled_rows": (0.1, 1.0),
        "update_time_outside": (0.1, 0.8),
        "html_ok": (0.02, 0.08),
        "html_502": (0.02, 0.08),
        "unavailable": (0.02, 0.08),
        "internal_error": (0.05, 0.05),
        "throttle_burst": (0.02, 0.15),
        "truncated_json": (0.02, 0.1),
        "stalled_answer": (0.03, 0.1),
        "slow_answer": (0.03, 0.1),
        "token_revoked": (0.02, 0.08),
        "connection_dropped": (0.02, 0.08),
        "clock_skew": (1.0, 1.0),
        "clock_4min_ahead": (1.0, 1.0),
        "clock_4min_behind": (1.0, 1.0),
        "unknown_status": (0.02, 0.2),
        "unknown_fields": (0.05, 0.5),
        "unknown_enum": (0.05, 0.3),
        "seller_sku_missing": (0.1, 0.5),
        "cancelled_after_list": (0.1, 0.6),
        "cancel_request_after_list": (0.1, 0.6),
        "giant_combine_group": (1.0, 1.0),
    }
)
# These are facts of an order or of the shop: they stay when everything else calms down.
_LASTING = ("unknown_status", "unknown_fields", "unknown_enum", "seller_sku_missing")
_DELAYS = ("stalled_answer", "slow_answer")
# With this scale a slow answer takes 0.1 s and a stalled one 0.2 s: one in time, one too late.
_SCALE_OF_DELAYS = 50.0
_PATIENCE_S = 0.15

_BASE_STATES = {
    "UNPAID": "unpaid",
    "ON_HOLD": "held",
    "AWAITING_SHIPMENT": "open",
    "PARTIALLY_SHIPPING": "open",
    "CANCELLED": "cancelled",
    **dict.fromkeys(AFTER_SHIPPING, "closed"),
}
# What two reads of the same thing may differ in.
_AGES = {"fetched_at", "seen_at", "synced_at", "as_of"}
_TABLES = (
    "orders", "units", "packages", "package_orders", "labels", "recipients", "order_events", "cancellations",
    "commissions", "listings", "quarantine", "reservations",
)  # fmt: skip


class Replica:
    """The channel's search as one of several copies answers it: rows may be shown late, or once more as they were.

    A change is not found for `lag_s` seconds, in one order of three; `late` keeps which these were.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.stale_share = scenario.stale_share
        self.lag_s = scenario.lag_s
        self.late: set[str] = set()
        self._dice = random.Random(f"replica/{scenario.seed}")
        self._first: dict[str, tuple[int, Encoded]] = {}
        self._filter, self._show = simulator_orders._filtered, simulator_orders._show

    def filtered(self, call: Call, rows: list[Order]) -> list[Order]:
        """Return what the search finds so far. In place of `orders._filtered`."""
        found = self._filter(call, rows)
        late = {row.id for row in found if row.updated_at > call.now - self.lag_s and int(row.id) % 3 == 0}
        self.late |= late
        return [row for row in found if row.id not in late]

    def show(self, shop: Shop, orders: list[Order], call: Call) -> list[Encoded]:
        """Return the rows of a page and perhaps an older version of one of them. In place of `orders._show`."""
        times = [order.updated_at for order in orders]
        texts = self._show(shop, orders, call)
        if orders and self._dice.random() < self.stale_share:
            # Of two versions of one second nobody can tell which is the older one.
            known = [
                (at, *self._first[order.id]) for order, at in zip(orders, times, strict=True) if order.id in self._first
            ]
            texts += [text for at, first_at, text in known if first_at < at][:2]
        for order, updated_at, text in zip(orders, times, texts, strict=False):
            self._first.setdefault(order.id, (updated_at, text))
        return texts


class Killed(BaseException):
    """The process is gone."""


class Clock:
    """The machine's time, which passes only when somebody lets it. Threads may share it."""

    def __init__(self) -> None:
        self._at = START
        self._lock = threading.Lock()

    def time(self) -> float:
        return self._at

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._at += max(0.0, seconds)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._at, UTC).replace(microsecond=0)


class Network:
    """The two HTTP clients of a test process: loading certificates takes longer than a scenario."""

    def __init__(self) -> None:
        self.patient = HttpClient(answer_timeout_s=20.0)
        self.hasty = HttpClient(answer_timeout_s=_PATIENCE_S)

    def close(self) -> None:
        for client in (self.patient, self.hasty):
            client.__exit__(None, None, None)


class Line:
    """An HTTP client over which every request takes time; from request `last` on the process is gone."""

    def __init__(self, http: HttpClient, clock: Clock, latency_s: float, last: int | None) -> None:
        self._http = http
        self._clock = clock
        self._latency_s = latency_s
        self._left = last
        self._change = threading.Condition()
        self._under_way = 0
        self._is_cut = False

    def send(self, method: str, url: str, **options: Any) -> HttpAnswer:
        with self._change:
            if self._left is not None:
                self._left -= 1
            if self._is_cut or (self._left is not None and self._left < 0):
                raise Killed
            self._under_way += 1
        try:
            self._clock.sleep(self._latency_s / 2)
            answer = self._http.send(method, url, **options)
            self._clock.sleep(self._latency_s / 2)
        finally:
            with self._change:
                self._under_way -= 1
                self._change.notify_all()
        return answer

    def cut(self) -> None:
        """End the process: its threads send nothing more, and what is under way has come to its end."""
        with self._change:
            self._is_cut = True
            self._change.wait_for(lambda: not self._under_way)


class Tokens:
    """The newest token pair, in memory."""

    def __init__(self, access: str, refresh: str) -> None:
        self._pair = TokenPair(Secret(access), Secret(refresh), None, None)

    def current(self) -> Secret:
        return self._pair.access_token

    def ends_at(self) -> datetime | None:
        return None

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        self._pair = exchange(self._pair.refresh_token)
        return self._pair.access_token

    def end_renewals(self) -> None: ...


class Watched(TikTokShop):
    """The real client; `delivered` keeps the newest change of each order that it handed to the sync."""

    delivered: dict[str, datetime]
    in_detail: set[str]

    def find_orders(self, search: OrderSearch, page_token: str = "") -> OrderPage:
        page = super().find_orders(search, page_token)
        self._keep(page.orders)
        return page

    def fetch_orders(self, channel_order_ids: Sequence[str]) -> list[RawOrder]:
        orders = super().fetch_orders(channel_order_ids)
        self._keep(orders)
        self.in_detail.update(order.order_id for order in orders)
        return orders

    def _keep(self, orders: Sequence[RawOrder]) -> None:
        for order in orders:
            assert order.updated_at is not None
            self.delivered[order.order_id] = max(order.updated_at, self.delivered.get(order.order_id, order.updated_at))


class Told:
    """A report that keeps which orders changed, and is where a process may be killed."""

    wants_fields = False

    def __init__(self, pages_to_live: int | None = None) -> None:
        self.changed: set[str] = set()
        self.failed: list[Outcome] = []
        self.warnings: list[str] = []
        self._pages_to_live = pages_to_live

    def item(self, outcome: Outcome) -> None:
        if outcome.result == "failed":
            self.failed.append(outcome)
        else:
            self.changed.add(str(outcome.ids["order_id"]))

    def say(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        if self._pages_to_live is not None:
            self._pages_to_live -= 1
            if self._pages_to_live < 0:
                raise Killed


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a seed draws."""

    seed: int
    options: SimulatorOptions
    rules: Rules = field(repr=False)
    latency_s: float
    page_size: int
    stale_share: float
    lag_s: float
    rounds: int
    pause_s: tuple[float, ...]
    kills: tuple[tuple[str, int] | None, ...]
    since_s: tuple[float | None, ...]

    @property
    def has_delays(self) -> bool:
        return any(name in self.options.faults for name in _DELAYS)


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed: the same one every time."""
    dice = random.Random(f"scenario/{seed}")
    sizes = (dice.randrange(0, 12), dice.randrange(20, 70), dice.randrange(150, 230), dice.randrange(230, 450))
    orders = dice.choices(sizes, (20, 72, 6, 2))[0]
    is_stream = dice.random() < 0.2
    if is_stream:  # orders pour in and change while long walks of small pages go on
        orders, names = dice.randrange(50, 110), ["page_shift", "arrivals_between_pages"]
        names += dice.sample(("shuffled_rows", "out_of_order_pages"), dice.randrange(3))
    else:
        kinds = [name for name in FAULTS if name not in _DELAYS and name != "internal_error"]
        names = dice.sample(kinds, dice.randrange(6))
    if dice.random() < 0.5:
        names.append("internal_error")
    if dice.random() < 0.12:
        names += dice.sample(_DELAYS, dice.randrange(1, 3))
    scale = _SCALE_OF_DELAYS if set(names) & set(_DELAYS) else dice.choice((1.0, 20.0, 300.0, 3600.0))
    minutes = dice.choice((0.0, 0.5, 1.0) if is_stream else (0.0, 0.0, 0.1, 0.5, 2.0)) * scale
    options = SimulatorOptions(
        orders=orders,
        minutes=minutes,
        seed=seed + 1,
        rate_limit=0,
        time_scale=scale,
        mode=dice.choice(("us-local", "us-local", "packages-first")),
        carrier=dice.choice(("tiktok", "seller", "mixed")),
        faults=",".join(f"{name}:{dice.uniform(*FAULTS[name]):.3f}" for name in names),
    )
    often, seldom = timedelta(0), timedelta(minutes=15)
    rules = Rules(
        sync=Sync(
            sweep_every=dice.choice((often, seldom, NEVER, NEVER)),
            products_every=dice.choice((often, timedelta(hours=6))),
            creators_every=dice.choice((often, timedelta(hours=1))),
            cancellations_every=dice.choice((often, timedelta(minutes=5))),
        ),
        channels={"tiktok": ChannelRules(start_rate=1000, max_rate=1000, concurrency=dice.choice((1, 3, 8)))},
    )
    rounds = dice.choice((1, 1, 2) if is_stream else (1, 1, 2, 3))
    kinds = ("request", "page", "write")
    return Scenario(
        seed=seed,
        options=options,
        rules=rules,
        latency_s=dice.choice((0.3, 1.0) if is_stream else (0.0, 0.05, 0.3, 1.0)),
        # Small pages make many of a small shop.
        page_size=10 if is_stream else dice.choice((10, 25, 100)) if orders < 150 else 100,
        stale_share=dice.choice((0.0, 0.0, 0.0, 0.2, 0.7)),
        lag_s=dice.choice((0.0, 0.0, 0.0, 60.0, 240.0)),
        rounds=rounds,
        pause_s=tuple(dice.choice((2.0, 60.0, 600.0, 5000.0, 40_000.0)) for _round in range(rounds)),
        kills=tuple(
            (dice.choice(kinds), dice.randrange(1, 25)) if dice.random() < 0.25 else None for _round in range(rounds)
        ),
        since_s=tuple(
            dice.choice((60.0, 600.0, 20_000.0)) if dice.random() < 0.2 else None for _round in range(rounds)
        ),
    )


def play(seed: int, path: Path, network: Network) -> None:
    """Play the scenario of a seed on the empty database at `path`. Raises AssertionError when a promise is broken."""
    scenario = draw(seed)
    try:
        with Play(scenario, path, network) as game:
            game.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{scenario}") from error


@dataclass(slots=True)
class Books:
    """The shop's orders as one moment shows them, and what was shown of them since."""

    at: float
    then: dict[str, dict[str, Any]]
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


class Play:
    """One scenario being played."""

    def __init__(self, scenario: Scenario, path: Path, network: Network) -> None:
        self.scenario = scenario
        self.dice = random.Random(f"life/{scenario.seed}")
        self.clock = Clock()
        self.path = path
        self.simulator = Simulator(scenario.options, clock=self.clock.time)
        self.shop = self.simulator.shop
        self.replica = Replica(scenario)
        self._http = network.hasty if scenario.has_delays else network.patient
        self._tokens = Tokens(self.simulator.access_token, self.simulator.refresh_token)
        self._books = Books(0.0, {})
        self._before: Books | None = None
        self._since_before: set[str] = set()
        self._is_whole = False
        self._error: Exception | None = None
        self._stack = ExitStack()
        self._served = self.shop.served
        self.shop.served = self._note_shown  # type: ignore[method-assign]

    def __enter__(self) -> Play:
        self._stack.enter_context(stamina.set_testing(True, attempts=100, cap=True))
        for module in ("tiktok_erp.sync.run", "tiktok_erp.sync.resources"):
            self._stack.enter_context(patch(f"{module}.utc_now", self.clock.now))
        for resource in ("ORDERS", "COMMISSIONS", "CANCELLATIONS"):
            size = min(self.scenario.page_size, 50) if resource == "CANCELLATIONS" else self.scenario.page_size
            self._stack.enter_context(patch(f"tiktok_erp.channels.tiktok.{resource}_A_PAGE", size))
        self._stack.enter_context(patch.object(simulator_orders, "_filtered", self.replica.filtered))
        self._stack.enter_context(patch.object(simulator_orders, "_show", self.replica.show))
        self._stack.enter_context(self.simulator)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self) -> None:
        """Sync, let life go on, sync again; at last in quiet. Every sync that succeeds must be complete."""
        scenario = self.scenario
        for number in range(scenario.rounds):
            if (kill := scenario.kills[number]) is not None:
                self._sync_killed(*kill)
            if (since_s := scenario.since_s[number]) is not None and self._is_whole:
                self._sync(since=self.clock.now() - timedelta(seconds=since_s))
                self._before = None  # it may have read what the next one need not
            for _attempt in range(ATTEMPTS):
                if self._sync():
                    break
            self._live(scenario.pause_s[number])
        self._calm_down()
        assert self._sync(), f"a quiet sync failed: {self._error}"
        self._compare_resources()
        if scenario.seed % 3 == 0:
            before = self._dump()
            assert self._sync(), f"a second quiet sync failed: {self._error}"
            assert self._dump() == before, "a sync of nothing new changed the database"

    # Syncs

    def _sync(self, *, since: datetime | None = None) -> bool:
        """Sync once; when it ends green, compare everything. Return whether it did."""
        told = Told()
        self._open_books()
        shop = self._client(last=None)
        with open_store(self.path) as store:
            store.execute("PRAGMA synchronous = OFF")
            try:
                sync_channel(store, shop, self._rules(), told, run_id=None, since=since)
            except (ChannelDown, SignInError) as error:
                self._line.cut()  # a thread that goes on would let time pass in the next sync
                self._error = error
                if isinstance(error, SignInError):
                    assert "token_revoked" in self.scenario.options.faults, error
                self._check_promises(store)
                return False
            assert not told.failed, told.failed
            self._check_promises(store)
            if since is None:
                self._check_complete(store, shop, told)
        return True

    def _sync_killed(self, kind: str, last: int) -> None:
        """Sync until the process dies: at a request, after a page, or within a transaction."""
        shop = self._client(last=last if kind == "request" else None)
        told = Told(pages_to_live=last % 4 if kind == "page" else None)
        self._before = None
        with open_store(self.path) as store:
            store.execute("PRAGMA synchronous = OFF")
            with _dying_writes(store, last if kind == "write" else None), suppress(Killed, ChannelDown, SignInError):
                sync_channel(store, shop, self._rules(), told, run_id=None)
        self._line.cut()

    def _client(self, last: int | None) -> Watched:
        simulator = self.simulator
        self._line = Line(self._http, self.clock, self.scenario.latency_s, last)
        credentials = TikTokCredentials(
            simulator.app_key,
            Secret(simulator.app_secret),
            Secret(simulator.cipher),
            simulator.api_url,
            simulator.auth_url,
        )
        pace = Pace(start_rate=1000, max_rate=1000, clock=self.clock.time, sleep=self.clock.sleep)
        shop = Watched(credentials, self._tokens, self._line, pace, clock=self.clock.time)  # type: ignore[arg-type]
        shop.delivered, shop.in_detail = {}, set()
        return shop

    def _rules(self) -> Rules:
        return self.scenario.rules

    # The shop's life

    def _live(self, pause_s: float) -> None:
        """Let time pass and people act: buyers cancel, sellers answer, parcels leave and are scanned, orders come."""
        dice, shop = self.dice, self.shop
        share = dice.choice((0.3, 1.0))
        self.clock.sleep(pause_s * share)
        with shop.lock:
            shop.advance()
            orders = list(shop.orders.values())
            for order in dice.sample(orders, min(len(orders), dice.randrange(12))):
                now = shop.now()
                request = shop.pending_request(order)
                if request is not None:
                    shop.answer_request(request, granted=dice.random() < 0.5, at=now)
                elif order.status == "AWAITING_SHIPMENT" and not order.is_platform_fulfilled and dice.random() < 0.5:
                    self._ship(order, now)
                elif order.status == "AWAITING_SHIPMENT" and len(order.live_units) > 1 and dice.random() < 0.5:
                    reason = "seller_cancel_reason_out_of_stock"
                    shop.cancel(order, order.open_units[:1], role="SELLER", reason=reason, at=now)
                elif order.status == "AWAITING_COLLECTION" and order.package_ids:
                    shop.collect(shop.packages[order.package_ids[-1]], now)
                else:
                    shop.buyer_cancels(order, "No longer needed", now)
            for _newcomer in range(dice.randrange(5)):
                shop.newcomer(shop.now())
        self.clock.sleep(pause_s * (1.0 - share) + dice.choice((0.0, 0.4, 3.0)))

    def _ship(self, order: Order, now: int) -> None:
        """Ship a whole order or, where packages are not planned first, perhaps a part of it."""
        shop = self.shop
        planned = shop.packages[order.package_ids[0]] if order.package_ids else None
        units = order.open_units
        if planned is None and len(units) > 1 and self.dice.random() < 0.4:
            units = units[:1]
        tag = "SPLIT" if len(units) < len(order.open_units) else "DEFAULT"
        package = shop.ship([order], units, now, tag=tag, planned=planned)
        shop.buy_label(package, shop.catalogue.services[0], now)

    def _calm_down(self) -> None:
        """End all faults and all change."""
        self.replica.stale_share = self.replica.lag_s = 0.0
        dice = self.simulator.dice
        for name in dice.probabilities:
            if name not in _LASTING:
                dice.probabilities[name] = 0.0
        self.simulator.gateway.limits.bursts.clear()
        rules = self.scenario.rules
        at_once = {name: timedelta(0) for name in ("products_every", "creators_every", "cancellations_every")}
        calm = replace(rules, sync=replace(rules.sync, **at_once))
        self.scenario = replace(self.scenario, latency_s=0.0, rules=calm)

    # The books

    def _note_shown(self, order: Order) -> None:
        self._served(order)
        self._books.shown[order.id].append(self._entry(order))

    def _open_books(self) -> None:
        with self.shop.lock:
            self.shop.advance()
            self.replica.late = set()
            self._books = Books(self.shop.clock(), {key: self._entry(order) for key, order in self.shop.orders.items()})

    def _entry(self, order: Order) -> dict[str, Any]:
        """Return what the database must say of an order, by the shop's own state."""
        shop, is_strange = self.shop, is_unknown_status(self.shop, order)
        word = "AWAITING_CUSTOMS_REVIEW" if is_strange else order.status
        units = []
        for unit in order.units:
            package = shop.packages.get(unit.package_id)
            is_shipped = package is not None and bool(package.shipped_at)
            status = word if is_strange and unit.status == "AWAITING_SHIPMENT" else unit.status
            number = package.shown_tracking_number if package is not None and is_shipped else ""
            units.append(
                (
                    unit.id,
                    unit.sku.id,
                    seller_sku(shop, unit.sku.id) or unit.sku.id,
                    unit.sale,
                    status,
                    _unit_state(status),
                    number or None,
                    unit.is_gift,
                )
            )
        return {
            "status": word,
            "base_state": _BASE_STATES.get(word, "unknown"),
            "updated_at": order.updated_at,
            "placed_at": order.created_at,
            "paid_at": order.paid_at or None,
            "cancel_requested": order.cancel_requested,
            "cancelled_at": order.cancelled_at or None,
            "ship_by": min(filter(None, (order.rts_sla, order.shipping_due)), default=None),
            "total": order.total,
            "shipping_type": order.shipping_type,
            "fulfillment_type": order.fulfillment_type,
            "group": order.group_id or None,
            "note": order.buyer_message.strip() or None,
            "split_or_combine": order.split_tag or None,
            "units": tuple(sorted(units)),
        }

    def _held(self, store: Store) -> dict[str, dict[str, Any]]:
        """Return what the database says, in the shape of `_entry`."""
        units: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for row in store.query("SELECT * FROM units"):
            units[row["order_id"]].append(
                (
                    row["channel_unit_id"],
                    row["channel_sku_id"],
                    row["sku"],
                    row["price_minor"],
                    row["status"],
                    row["state"],
                    row["tracking_number"],
                    bool(row["is_gift"]),
                )
            )
        return {
            row["channel_order_id"]: {
                "status": row["status"],
                "base_state": row["base_state"],
                "updated_at": _seconds(row["updated_at"]),
                "placed_at": _seconds(row["placed_at"]),
                "paid_at": _seconds(row["paid_at"]),
                "cancel_requested": bool(row["cancel_requested"]),
                "cancelled_at": _seconds(row["cancelled_at"]),
                "ship_by": _seconds(row["ship_by"]) if row["ship_by_source"] == "channel" else None,
                "total": row["total_minor"],
                "shipping_type": row["shipping_type"],
                "fulfillment_type": row["fulfillment_type"],
                "group": row["auto_combine_group_id"],
                "note": row["buyer_note"],
                "split_or_combine": row["split_or_combine"],
                "units": tuple(sorted(units[row["order_id"]])),
            }
            for row in store.query("SELECT * FROM orders")
        }

    # What must hold

    def _check_complete(self, store: Store, shop: Watched, told: Told) -> None:
        """Compare the database with all that the shop held when the sync began, and with the sync before."""
        books, held = self._books, self._held(store)
        with self.shop.lock:
            now = {key: self._entry(order) for key, order in self.shop.orders.items()}
        late = set(self.replica.late)  # shown by no search so far: the next sync has to find them
        missing = sorted(set(books.then) - set(held) - late)
        assert not missing, f"{len(missing)} of {len(books.then)} orders are missing: {missing[:3]}"
        invented = sorted(set(held) - set(now))
        assert not invented, f"orders that the shop never had: {invented[:3]}"
        for order_id in sorted(set(held) - late):
            row = held[order_id]
            versions = [*books.shown[order_id], now[order_id]]
            if order_id in books.then:
                versions.insert(0, books.then[order_id])
            assert row in versions, f"order {order_id} is {_differences(row, versions[-1])}"
        older = [
            order_id for order_id, at in shop.delivered.items() if held[order_id]["updated_at"] < int(at.timestamp())
        ]
        assert not older, f"a newer answer was not kept: {older[:3]}"
        if self._before is not None:
            self._check_nothing_was_left(told)
        self._before = books
        self._is_whole = store.scalar("SELECT cursor FROM cursors WHERE resource = 'orders'") is not None
        self._since_before = shop.in_detail | late

    def _check_nothing_was_left(self, told: Told) -> None:
        """What this sync changed must have changed in the shop since the one before began."""
        assert self._before is not None
        then = self._before.then
        with self.shop.lock:
            late = [
                order_id
                for order_id in (name.partition(":")[2] for name in told.changed)
                if then.get(order_id) == self._entry(self.shop.orders[order_id]) and order_id not in self._since_before
            ]
        assert not late, f"the sync before had left out {late[:3]}"

    def _check_promises(self, store: Store) -> None:
        for check in CHECKS:
            breaches = [row[0] for row in find_breaches(store, check)]
            assert not breaches, f"{check.name}: {breaches[:3]}"
        violations = self.shop.ledger.entries("violations")
        assert not violations, violations[:3]
        self._check_packages(store)
        cursor = store.scalar("SELECT cursor FROM cursors WHERE resource = 'orders'")
        assert cursor is None or _seconds(cursor) <= self.shop.now() + 1, f"the cursor is ahead: {cursor}"

    def _check_packages(self, store: Store) -> None:
        """An order has one box for what is still to ship and one for each shipment; its numbers are the channel's."""
        rows = store.query(
            "SELECT o.order_id, o.fulfillment_type, o.base_state,"
            " (SELECT count(*) FROM package_orders po JOIN packages p USING (package_id)"
            "   WHERE po.order_id = o.order_id AND p.cancelled_at IS NULL) AS live,"
            " (SELECT count(DISTINCT channel_package_id) FROM units u WHERE u.order_id = o.order_id"
            "   AND u.state = 'shipped') AS shipped,"
            " EXISTS (SELECT 1 FROM units u WHERE u.order_id = o.order_id AND u.state IN ('open', 'unknown')) AS to_ship"
            " FROM orders o"
        )
        for row in rows:
            expected = row["shipped"] + row["to_ship"]
            if row["fulfillment_type"] == "FULFILLMENT_BY_TIKTOK":
                expected = 0
            elif row["base_state"] == "cancelled":
                continue  # what was cancelled after it had left keeps its label
            assert row["live"] == expected, f"{row['order_id']} has {row['live']} packages, not {expected}"
        wrong = store.query(
            "SELECT u.order_id, u.tracking_number, l.tracking_number FROM units u"
            " LEFT JOIN labels l ON l.package_id = u.package_id AND l.state = 'bought'"
            " WHERE u.state = 'shipped' AND u.package_id IS NOT NULL AND u.tracking_number IS NOT l.tracking_number"
        )
        assert not wrong, f"a package has another number than its units: {[tuple(row) for row in wrong[:3]]}"

    def _compare_resources(self) -> None:
        with open_store(self.path) as store:
            self._compare_cancellations(store)
            self._compare_commissions(store)
            self._compare_listings(store)

    def _compare_cancellations(self, store: Store) -> None:
        pending = "CANCELLATION_REQUEST_PENDING"
        wanted = {
            row.id: (
                f"tiktok:{row.order_id}",
                row.kind,
                row.status,
                row.status == pending,
                row.updated_at,
                row.deadline if row.status == pending else None,
                tuple(sorted(row.unit_ids)),
            )
            for row in self.shop.cancellations.values()
        }
        found = {
            row["cancel_id"]: (
                row["order_id"],
                row["kind"],
                row["status"],
                bool(row["is_pending"]),
                _seconds(row["updated_at"]),
                _seconds(row["answer_by"]),
                tuple(sorted(_array(store, row["channel_unit_ids"]))),
            )
            for row in store.query("SELECT * FROM cancellations")
        }
        assert found == wanted, f"cancellations: {_differences(found, wanted)}"

    def _compare_commissions(self, store: Store) -> None:
        wanted: dict[tuple[str, ...], tuple[Any, ...]] = {}
        sold: dict[str, str] = {}
        # Orders of the last two days are looked at every time, older ones once a day.
        recent = self.shop.now() - 1.9 * DAY_S
        for order in self.shop.orders.values():
            content = order.content
            if content is None or not content.creator or not order.paid_at or order.created_at < recent:
                continue
            for sku_id in {unit.sku.id for unit in order.units if not unit.is_gift}:
                units = [unit for unit in order.units if unit.sku.id == sku_id and not unit.is_gift]
                live = [unit for unit in units if not unit.is_cancelled]
                earned = sum(unit.sale for unit in live) * content.commission_bp // 10_000
                key = (f"tiktok:{order.id}", sku_id, content.creator, content.kind, content.content_id)
                wanted[key] = (len(units), content.commission_bp, earned, not live)
                sold.update({unit.id: content.creator for unit in units})
        found = {
            tuple(row)[:5]: (*tuple(row)[5:8], bool(row[8]))
            for row in store.query(
                "SELECT c.order_id, channel_sku_id, creator, content_type, content_id, quantity, commission_rate_bp,"
                " estimated_commission_minor, is_fully_returned FROM commissions c JOIN orders o USING (order_id)"
                " WHERE unixepoch(o.placed_at) >= ?",
                (recent,),
            )
        }
        assert found == wanted, f"commissions: {_differences(found, wanted)}"
        named = {
            row[0]: row[1]
            for row in store.query(
                "SELECT channel_unit_id, creator FROM units JOIN orders o USING (order_id)"
                " WHERE creator IS NOT NULL AND unixepoch(o.placed_at) >= ?",
                (recent,),
            )
        }
        assert named == sold, f"creators of units: {_differences(named, sold)}"

    def _compare_listings(self, store: Store) -> None:
        wanted = {
            sku.id: (
                product.id,
                seller_sku(self.shop, sku.id),
                product.title,
                product.status,
                sum(sku.available.values()),
                sku.price,
                product.updated_at,
                (254, 178, 76),
            )
            for product in self.shop.catalogue.products.values()
            for sku in product.skus
        }
        rows = store.query("SELECT * FROM listings")
        found = {
            row["listing_id"]: (
                row["product_id"],
                row["seller_sku"],
                row["title"],
                row["status"],
                row["channel_quantity"],
                row["price_minor"],
                _seconds(row["changed_at"]),
                (row["length_mm"], row["width_mm"], row["height_mm"]),
            )
            for row in rows
        }
        assert found == wanted, f"listings: {_differences(found, wanted)}"
        # Told in thousandths of a pound.
        for row in rows:
            weight_g = self.shop.catalogue.skus[row["listing_id"]].weight_g
            assert abs(row["weight_g"] - weight_g) <= 1, f"listing {row['listing_id']} weighs {row['weight_g']} g"

    def _dump(self) -> dict[str, list[dict[str, Any]]]:
        with open_store(self.path) as store:
            return {
                table: [
                    {name: row[name] for name in row.keys() if name not in _AGES}  # noqa: SIM118 - a Row iterates values
                    for row in store.query(f"SELECT * FROM {table} ORDER BY 1, 2")
                ]
                for table in _TABLES
            }


@contextmanager
def _dying_writes(store: Store, last: int | None) -> Iterator[None]:
    """Let the process die at one of its next writes, in the middle of a transaction."""
    left = last
    write = store.execute_many

    def count(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                raise Killed
        write(sql, rows)

    with patch.object(store, "execute_many", count):
        yield


def _unit_state(word: str) -> str:
    if word in AFTER_SHIPPING:
        return "shipped"
    if word in ("UNPAID", "AWAITING_SHIPMENT"):
        return "open"
    return "cancelled" if word == "CANCELLED" else "unknown"


def _seconds(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp())


def _array(store: Store, text: str) -> list[str]:
    return [row[0] for row in store.query("SELECT value FROM json_each(?)", (text,))]


def _differences(found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> str:
    """Return the first few keys whose values differ, both values."""
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    return "; ".join(f"{key}: {found.get(key)}, not {wanted.get(key)}" for key in keys[:3])
