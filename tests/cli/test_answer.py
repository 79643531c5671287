"""`orders answer` against the simulated shop: an answer is given once, and what it changes follows at once."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import stamina

from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.channels.tiktok_reasons import REJECT_REASONS
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import ChannelDown, ChannelRefused, Interrupted, NotSent, OutcomeUnknown
from tiktok_erp.model.credentials import TikTokCredentials
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, open_store, utc_now
from tiktok_erp.store.packages import find_packages
from tiktok_erp.store.packings import save_packing
from tiktok_erp.sync.answer import APPROVE, REJECT, Answer, CancelAnswerer
from tiktok_erp.sync.run import OrderWriter, sync_channel
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace

PACKED = REJECT_REASONS["packed"]


class Told:
    """A report that keeps everything."""

    wants_fields = True

    def __init__(self) -> None:
        self.items: list[Outcome] = []
        self.warnings: list[str] = []

    def item(self, outcome: Outcome) -> None:
        self.items.append(outcome)

    def say(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None

    def results(self) -> list[tuple[str, str | None]]:
        return [(outcome.result, outcome.cause) for outcome in self.items if "answer" in outcome.fields]


class Killed(BaseException):
    """The process is gone."""


class Desk:
    """A seller's database and the client of a simulated shop in which buyers ask to cancel."""

    def __init__(self, store: Store, shop: TikTokShop, simulator: Any) -> None:
        self.store = store
        self.shop = shop
        self.simulator = simulator
        self.answers: list[tuple[str, str]] = []
        self.fate: Callable[[Callable[[], str]], str] = lambda send: send()
        self._send = shop.answer_cancellation
        shop.answer_cancellation = self._answer  # type: ignore[method-assign]

    def _answer(self, cancel_id: str, *, approve: bool, reason: str, idempotency_key: str) -> str:
        def send() -> str:
            request_id = self._send(cancel_id, approve=approve, reason=reason, idempotency_key=idempotency_key)
            self.answers.append((cancel_id, idempotency_key))
            return request_id

        return self.fate(send)

    def ask(self, count: int = 1, *, units: int = 1) -> list[str]:
        """Let buyers of orders that wait to be shipped ask to cancel; return our order ids."""
        world = self.simulator.shop
        with world.lock:
            now = world.advance()
            chosen = [
                order
                for order in world.orders.values()
                if order.status == "AWAITING_SHIPMENT"
                and not order.cancel_requested
                and not order.is_platform_fulfilled
                and len(order.units) >= units
            ][:count]
            for order in chosen:
                world.buyer_cancels(order, "no_longer_needed", now)
        assert len(chosen) == count
        return [f"tiktok:{order.id}" for order in chosen]

    def read_back(self, order_ids: Sequence[str]) -> frozenset[str]:
        writer = OrderWriter(self.store, Rules(), Told(), run_id=None)
        return writer.write_raw(self.shop.fetch_orders([order_id.partition(":")[2] for order_id in order_ids]))

    def sync(self) -> None:
        sync_channel(self.store, self.shop, Rules(), Told(), run_id=None)

    def answer(self, word: str, *order_ids: str, reason: str = PACKED, dry_run: bool = False) -> Told:
        told = Told()
        answerer = CancelAnswerer(
            self.store,
            self.shop,
            told,
            Answer(word, reason if word == REJECT else ""),
            run_id=None,
            read_back=self.read_back,
            reasons=REJECT_REASONS,
            dry_run=dry_run,
        )
        due = answerer.find(order_ids)
        answerer.tell_labels(due)
        if dry_run:
            answerer.tell_plan(due)
        else:
            answerer.send(due)
        return told

    def status(self, order_id: str) -> str:
        with self.simulator.shop.lock:
            return str(self.simulator.shop.orders[order_id.partition(":")[2]].status)

    def grant(self, order_id: str, *, granted: bool = True) -> None:
        """Play somebody who answers in Seller Center."""
        world = self.simulator.shop
        with world.lock:
            request = world.pending_request(world.orders[order_id.partition(":")[2]])
            world.answer_request(request, granted=granted, at=world.advance())

    def outbox(self) -> list[tuple[Any, ...]]:
        rows = self.store.query("SELECT state, attempts, error_code FROM outbox WHERE kind = 'answer_cancel'")
        return [tuple(row) for row in rows]

    def one(self, sql: str, *values: object) -> tuple[Any, ...]:
        return tuple(self.store.query_one(sql, values) or ())


@pytest.fixture(scope="module")
def http_client() -> Iterator[HttpClient]:
    with HttpClient(answer_timeout_s=5) as client:
        yield client


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


OpenDesk = Callable[..., Desk]


@pytest.fixture
def open_desk(tmp_path: Path, http_client: HttpClient) -> Iterator[OpenDesk]:
    from tiktok_erp.simulator.server import Simulator, SimulatorOptions

    with ExitStack() as stack:

        def start(**options: Any) -> Desk:
            simulator = stack.enter_context(Simulator(SimulatorOptions(**{"orders": 30, "rate_limit": 0} | options)))
            credentials = TikTokCredentials(
                app_key=simulator.app_key,
                app_secret=Secret(simulator.app_secret),
                cipher=Secret(simulator.cipher),
                api_url=simulator.api_url,
                auth_url=simulator.auth_url,
            )
            tokens = TokenFile(
                tmp_path / "tokens.json",
                access_token=Secret(simulator.access_token),
                refresh_token=Secret(simulator.refresh_token),
            )
            shop = TikTokShop(credentials, tokens, http_client, Pace(start_rate=1000, max_rate=1000))
            store = stack.enter_context(open_store(tmp_path / "shop.db", create=True))
            store.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
            return Desk(store, shop, simulator)

        yield start


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk()


def test_an_approval_cancels_the_order_and_stock_and_package_follow_at_once(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    with desk.store.transaction():
        desk.store.execute(
            "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at)"
            " SELECT DISTINCT sku, 'main', 'counted', 50, 'test', '2026-11-18T12:00:00Z' FROM units"
        )
        desk.store.execute(
            "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at)"
            " SELECT unit_id, sku, 'main', 'held', '2026-11-18T12:00:00Z' FROM units WHERE order_id = ?",
            (order_id,),
        )
    told = desk.answer(APPROVE, order_id)
    assert told.results() == [("done", None)]
    assert desk.status(order_id) == "CANCELLED"
    assert desk.one("SELECT state, cancel_requested, answer_by FROM v_orders WHERE order_id = ?", order_id) == (
        "cancelled",
        0,
        None,
    )
    units = desk.store.query("SELECT state, should_restock, cancelled_by FROM units WHERE order_id = ?", (order_id,))
    assert {tuple(unit) for unit in units} == {("cancelled", 1, "BUYER")}
    assert desk.one("SELECT sum(reserved) FROM stock") == (0,)
    assert desk.one(
        "SELECT v.state FROM v_packages v JOIN package_orders po USING (package_id) WHERE po.order_id = ?", order_id
    ) == ("cancelled",)
    kinds = [row[0] for row in desk.store.query("SELECT kind FROM order_events WHERE order_id = ?", (order_id,))]
    assert sorted(kinds) == ["cancel_requested", "cancelled"]
    assert desk.outbox() == [("done", 1, None)]


def test_a_rejection_lets_the_order_stand(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    assert desk.answer(REJECT, order_id).results() == [("done", None)]
    assert desk.status(order_id) == "AWAITING_SHIPMENT"
    assert desk.one("SELECT state, cancel_requested FROM v_orders WHERE order_id = ?", order_id) == ("open", 0)
    assert desk.one("SELECT is_pending, status FROM cancellations WHERE order_id = ?", order_id) == (
        0,
        "CANCELLATION_REQUEST_CANCEL",
    )


def test_a_request_that_sync_has_not_seen_yet_is_answered(desk: Desk) -> None:
    desk.sync()
    (order_id,) = desk.ask()
    assert desk.answer(REJECT, order_id).results() == [("done", None)]


def test_requests_of_several_orders_are_answered_the_most_urgent_first(desk: Desk) -> None:
    order_ids = desk.ask(3)
    desk.sync()
    told = desk.answer(REJECT, *reversed(order_ids))
    assert told.results() == [("done", None)] * 3
    answer_by = [outcome.fields["cancel_id"] for outcome in told.items]
    assert answer_by == sorted(cancel_id for cancel_id, _key in desk.answers)


@pytest.mark.parametrize("word", [APPROVE, REJECT])
def test_the_same_answer_again_sends_nothing(desk: Desk, word: str) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    desk.answer(word, order_id)
    assert desk.answer(word, order_id).results() == [("skipped", "already_answered")]
    assert len(desk.answers) == 1


@pytest.mark.parametrize(("first", "second"), [(APPROVE, REJECT), (REJECT, APPROVE)])
def test_another_answer_than_the_one_given_fails_and_says_which_was_given(desk: Desk, first: str, second: str) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    desk.answer(first, order_id)
    told = desk.answer(second, order_id)
    assert told.results() == [("failed", "answered_otherwise")]
    assert ("granted" if first == APPROVE else "rejected or withdrawn") in (told.items[-1].text or "")
    assert len(desk.answers) == 1


def test_an_order_without_a_request_fails(desk: Desk) -> None:
    desk.sync()
    order_id = desk.one("SELECT order_id FROM orders WHERE base_state = 'open' AND cancel_requested = 0")[0]
    assert desk.answer(APPROVE, order_id).results() == [("failed", "no_cancel_request")]
    assert desk.answers == []


def test_what_the_seller_cancelled_was_no_request(desk: Desk) -> None:
    desk.sync()
    world = desk.simulator.shop
    order_id = desk.one("SELECT order_id FROM orders WHERE base_state = 'open' AND cancel_requested = 0")[0]
    with world.lock:
        order = world.orders[order_id.partition(":")[2]]
        world.cancel(
            order, order.live_units, role="SELLER", reason="seller_cancel_reason_out_of_stock", at=world.advance()
        )
    assert desk.answer(APPROVE, order_id).results() == [("failed", "no_cancel_request")]


def test_an_answer_that_somebody_else_gives_meanwhile_counts_when_it_is_the_same(desk: Desk) -> None:
    order_id, other_id = desk.ask(2)
    desk.sync()

    def late(send: Callable[[], str]) -> str:
        desk.grant(order_id if desk.status(order_id) != "CANCELLED" else other_id)
        return send()

    desk.fate = late
    assert desk.answer(APPROVE, order_id).results() == [("done", None)]
    assert desk.answer(REJECT, other_id).results() == [("failed", "answered_otherwise")]
    assert desk.outbox() == [("done", 1, None), ("refused", 1, "CANCELLATION_REQUEST_COMPLETE")]


def lost(times: int, *, is_done: bool) -> Callable[[Callable[[], str]], str]:
    """The answer of the channel is lost so many times, after it did its work or before."""
    left = [times]

    def fate(send: Callable[[], str]) -> str:
        if left[0] == 0:
            return send()
        left[0] -= 1
        if is_done:
            send()
        raise OutcomeUnknown("no answer", subject="1", next_step="again")

    return fate


@pytest.mark.parametrize("word", [APPROVE, REJECT])
def test_a_lost_answer_is_settled_by_reading_the_request_back(desk: Desk, word: str) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    desk.fate = lost(1, is_done=True)
    assert desk.answer(word, order_id).results() == [("done", None)]
    assert (len(desk.answers), desk.outbox()) == (1, [("done", 1, None)])


def test_an_answer_that_never_arrived_is_sent_again_with_the_same_key(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    desk.fate = lost(2, is_done=False)
    assert desk.answer(APPROVE, order_id).results() == [("done", None)]
    assert desk.outbox() == [("done", 3, None)]
    ((cancel_id, key),) = desk.answers
    assert key == desk.one("SELECT idempotency_key FROM outbox")[0] == f"answer-cancel-{cancel_id}-approve"


def test_an_answer_that_never_gets_through_stays_in_doubt_and_a_later_sync_settles_it(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    desk.fate = lost(3, is_done=False)
    assert desk.answer(APPROVE, order_id).results() == [("failed", "outcome_unknown")]
    assert desk.outbox() == [("unknown", 3, None)]
    desk.fate = lambda send: send()
    assert desk.answer(REJECT, order_id).results() == [("failed", "answer_on_its_way")]
    assert desk.answers == []
    desk.grant(order_id)
    desk.store.execute("DELETE FROM cursors WHERE resource = 'cancellations'")
    desk.sync()
    assert desk.outbox() == [("done", 3, None)]


@pytest.mark.parametrize("word", [APPROVE, REJECT])
@pytest.mark.parametrize("is_done", [False, True])
def test_killed_before_or_after_the_send_the_answer_is_given_once(desk: Desk, word: str, is_done: bool) -> None:
    (order_id,) = desk.ask()
    desk.sync()

    def killed(send: Callable[[], str]) -> str:
        if is_done:
            send()
        raise Killed

    desk.fate = killed
    with pytest.raises(Killed):
        desk.answer(word, order_id)
    assert desk.outbox() == [("sent", 1, None)]
    desk.fate = lambda send: send()
    assert desk.answer(word, order_id).results() == [("done", None)]
    assert len(desk.answers) == 1
    assert desk.outbox() == [("done", 1 if is_done else 2, None)]


@pytest.mark.parametrize("place", ["_intend", "_settle", "_confirm"])
def test_killed_between_any_two_steps_the_answer_is_given_once(
    desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order_id,) = desk.ask()
    desk.sync()

    def killed(*values: object, **named: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CancelAnswerer, place, killed)
        with pytest.raises(Killed):
            desk.answer(APPROVE, order_id)
    result = desk.answer(APPROVE, order_id).results()
    assert result == [("skipped", "already_answered") if place == "_confirm" else ("done", None)]
    assert (len(desk.answers), desk.status(order_id)) == (1, "CANCELLED")


def test_a_reason_that_the_channel_does_not_know_is_its_to_refuse(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    told = desk.answer(REJECT, order_id, reason="we like you too much")
    assert told.results() == [("failed", "refused")]
    assert "25001014" in (told.items[-1].text or "")
    assert desk.outbox() == [("refused", 1, "25001014")]
    assert desk.answer(REJECT, order_id).results() == [("done", None)]


def test_what_surely_was_not_sent_stops_the_run_and_is_sent_by_the_next(desk: Desk) -> None:
    first, second = desk.ask(2)
    desk.sync()

    def fate(send: Callable[[], str]) -> str:
        if desk.answers:
            raise NotSent("no network", subject="1", next_step="again")
        return send()

    desk.fate = fate
    with pytest.raises(NotSent):
        desk.answer(REJECT, first, second)
    assert [row[0] for row in desk.outbox()] == ["done", "intent"]
    desk.fate = lambda send: send()
    assert sorted(desk.answer(REJECT, first, second).results()) == [("done", None), ("skipped", "already_answered")]
    assert len(desk.answers) == 2


def test_somebody_who_stops_a_run_finds_told_what_was_answered_and_goes_on(desk: Desk) -> None:
    first, second = desk.ask(2)
    desk.sync()

    def fate(send: Callable[[], str]) -> str:
        if desk.answers:
            raise KeyboardInterrupt
        return send()

    desk.fate = fate
    with pytest.raises(Interrupted):
        desk.answer(APPROVE, first, second)
    assert sorted(
        row[0] for row in desk.store.query("SELECT state FROM v_orders WHERE order_id IN (?, ?)", (first, second))
    ) == [
        "cancelled",
        "open",
    ]
    desk.fate = lambda send: send()
    assert sorted(desk.answer(APPROVE, first, second).results()) == [("done", None), ("skipped", "already_answered")]
    assert len(desk.answers) == 2


def test_a_lock_of_the_channel_is_waited_out(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    refusals = [ChannelRefused("lock", subject="1", next_step="again", code=25001028)]

    def fate(send: Callable[[], str]) -> str:
        if refusals:
            raise refusals.pop()
        return send()

    desk.fate = fate
    assert desk.answer(REJECT, order_id).results() == [("done", None)]


def test_a_label_that_is_already_held_is_told_before_the_order_is_cancelled(desk: Desk) -> None:
    (order_id,) = desk.ask()
    desk.sync()
    package_id = desk.one("SELECT package_id FROM package_orders WHERE order_id = ?", order_id)[0]
    desk.store.execute(
        "INSERT INTO labels (package_id, state, source, carrier, tracking_number, intent_at, bought_at) VALUES"
        " (?, 'bought', 'file', 'usps', '9400190321704571000083', '2026-11-18T12:00:00Z', '2026-11-18T12:00:00Z')",
        (package_id,),
    )
    assert desk.answer(REJECT, order_id, dry_run=True).warnings == []
    told = desk.answer(APPROVE, order_id)
    (warning,) = told.warnings
    assert package_id in warning and "usps 9400190321704571000083" in warning and "void the label" in warning
    assert told.items[-1].fields["labels"] == [
        {"package_id": package_id, "state": "bought", "carrier": "usps", "tracking_number": "9400190321704571000083"}
    ]
    assert desk.one("SELECT state FROM v_packages WHERE package_id = ?", package_id) == ("labelled",)


def test_a_dry_run_writes_nothing_here_or_there(desk: Desk) -> None:
    desk.sync()
    (order_id,) = desk.ask()
    before = list(desk.store._connection.iterdump())
    told = desk.answer(APPROVE, order_id, dry_run=True)
    assert told.results() == [("planned", None)]
    assert told.items[0].fields["answer_by"]
    assert list(desk.store._connection.iterdump()) == before
    assert desk.answers == []


def test_an_order_that_the_channel_does_not_tell_of_fails(desk: Desk) -> None:
    assert desk.answer(APPROVE, "tiktok:576000000000000001").results() == [("failed", "not_told")]


def test_keys_of_two_requests_never_mix(desk: Desk) -> None:
    for cancel_id in ("40", "401"):
        outbox.intend(
            desk.store,
            kind="answer_cancel",
            subject="tiktok:1",
            idempotency_key=Answer(APPROVE).key(cancel_id),
            payload={},
        )
    assert len(outbox.load_entries(desk.store, "answer-cancel-40-")) == 1
    assert Answer(REJECT, "a").key("40") != Answer(REJECT, "b").key("40")
    assert len(Answer(REJECT, "x" * 500).key("4" * 19)) <= 128


@pytest.mark.parametrize("word", [APPROVE, REJECT])
@pytest.mark.parametrize("seed", range(4))
def test_with_a_channel_that_stumbles_every_answer_is_given_once(open_desk: OpenDesk, word: str, seed: int) -> None:
    faults = (
        "html_ok:0.15,truncated_json:0.15,connection_dropped:0.1,internal_error:0.2,html_502:0.1,token_revoked:0.05"
    )
    desk = open_desk(faults=faults, seed=seed)
    order_ids = desk.ask(4)
    results: list[tuple[str, str | None]] = []
    for _attempt in range(30):
        try:
            results = desk.answer(word, *order_ids).results()
        except ChannelDown:
            continue
        if {result for result, _cause in results} <= {"done", "skipped"}:
            break
    assert {result for result, _cause in results} <= {"done", "skipped"}
    assert {desk.status(order_id) for order_id in order_ids} == {
        "CANCELLED" if word == APPROVE else "AWAITING_SHIPMENT"
    }
    assert not any(desk.simulator.ledger()["orders"][order_id[7:]]["cancel_request"] for order_id in order_ids)
    assert [entry[0] for entry in desk.outbox()] == ["done"] * 4
    assert desk.simulator.shop.dice.hits.total() > 0


# The command


def requests(shop: Any, count: int = 1) -> list[str]:
    world = shop.simulator.shop
    with world.lock:
        now = world.advance()
        chosen = [
            order
            for order in world.orders.values()
            if order.status == "AWAITING_SHIPMENT" and not order.cancel_requested and not order.is_platform_fulfilled
        ][:count]
        for order in chosen:
            world.buyer_cancels(order, "no_longer_needed", now)
    return [order.id for order in chosen]


def test_the_command_takes_ids_from_a_list_and_answers_each_once(open_shop: Callable[..., Any]) -> None:
    shop = open_shop()
    asked = requests(shop, 2)
    shop.run("sync", "--quiet")
    listed = shop.run("orders", "list", "--cancel-requested", "--json")
    assert {line["channel_order_id"] for line in listed.of("order")} >= set(asked)
    shown = shop.run("orders", "show", asked[0])
    assert re.search(r"time left to answer: 4[78] h", shown.stdout)
    assert "cancel_requested" in shown.stdout
    answered = shop.run("orders", "answer", "-", "reject", "--reason", "agreed", "--json", stdin=listed.stdout)
    assert {line["result"] for line in answered.of("order")} == {"done"}
    assert answered.summary["answered"] == len(listed.of("order"))
    again = shop.run("orders", "answer", asked[0], "reject")
    assert "answered so before" in again.stdout
    other = shop.run("orders", "answer", asked[0], "approve", expect=3)
    assert "rejected or withdrawn before" in other.stderr
    assert shop.run("orders", "answer", "-", "approve", stdin="").stdout == ""
    assert not any(shop.ledger()["orders"][order_id]["cancel_request"] for order_id in asked)


def test_a_rejection_without_a_reason_is_sent_only_where_a_reason_is_known_to_be_true(
    open_shop: Callable[..., Any],
) -> None:
    shop = open_shop()
    packed, waiting = requests(shop, 2)
    shop.run("sync", "--quiet")
    with open_store(shop.folder.db) as store, store.transaction():
        for package_id in find_packages(store, packed):
            save_packing(store, package_id, "north", utc_now())
    answered = shop.run("orders", "answer", "-", "reject", "--json", stdin=f"{packed}\n{waiting}\n", expect=3)
    results = {line["channel_order_id"]: line for line in answered.of("order")}
    assert (results[packed]["result"], results[waiting]["cause"]) == ("done", "no_reason")
    assert "packed, delivered, invalid, agreed" in results[waiting]["next_step"]
    payloads = shop.folder.column("SELECT payload FROM outbox WHERE kind = 'answer_cancel'")
    assert [json.loads(payload)["reason"] for payload in payloads] == [PACKED]
    assert shop.ledger()["orders"][waiting]["cancel_request"]


def test_a_missing_scope_is_named(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(scopes="seller.authorization.info,seller.order.info")
    (order_id,) = requests(shop)
    shop.run("sync", "--quiet")
    refused = shop.run("orders", "answer", order_id, "approve", expect=4)
    assert "seller.return_refund.basic" in refused.stderr


def test_wrong_use_is_told_before_anything_is_asked(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=5)
    shop.run("sync", "--quiet")
    calls = shop.ledger()["calls"]
    shop.run("orders", "answer", "1", "perhaps", expect=2)
    shop.run("orders", "answer", "1", "approve", "--reason", "because", expect=2)
    assert "unknown_id" in shop.run("orders", "answer", "1", "reject", "--json", expect=3).stdout
    assert shop.ledger()["calls"] == calls


@pytest.mark.parametrize(("typed", "status"), [("n", "AWAITING_SHIPMENT"), ("y", "CANCELLED")])
def test_on_a_terminal_an_approval_asks_first(open_shop: Callable[..., Any], typed: str, status: str) -> None:
    shop = open_shop(orders=30)
    (order_id,) = requests(shop)
    shop.run("sync", "--quiet")
    ours, theirs = os.openpty()
    with shop.folder.start("orders", "answer", order_id, "approve", stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1000)
        assert b"back? This cannot be taken back." in shown
        os.write(ours, typed.encode() + b"\n")
        process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert shop.ledger()["orders"][order_id]["status"] == status


def test_an_answer_waits_for_another_one_and_then_sends_nothing_twice(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=30)
    (order_id,) = requests(shop)
    shop.run("sync", "--quiet")
    with (shop.folder.path / ".shop.db.orders-answer.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        processes = [shop.folder.start("orders", "answer", order_id, "approve", "--json") for _start in range(2)]
        for process in processes:
            assert process.stderr is not None
            assert "waits for it" in process.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            processes[0].wait(1)
        assert shop.ledger()["orders"][order_id]["status"] == "AWAITING_SHIPMENT"
    results = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        results += [line["result"] for line in map(json.loads, stdout.splitlines()) if "answer" in line]
    assert sorted(results) == ["done", "skipped"]
    assert shop.folder.column("SELECT attempts FROM outbox WHERE kind = 'answer_cancel'") == [1]
