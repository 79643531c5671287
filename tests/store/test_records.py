"""What the modules of the store keep: raw answers, runs, cursors, cases, the outbox, label documents, the label journal."""

from __future__ import annotations

import json
import random
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiktok_erp.errors import LabelFileError, StaleData, StoreError
from tiktok_erp.model.money import Money
from tiktok_erp.store import labels, outbox
from tiktok_erp.store.database import Store
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.packages import find_orders, find_packages, free_package_ids
from tiktok_erp.store.quarantine import load_cases, open_case, resolve_cases
from tiktok_erp.store.raw import RawPacker
from tiktok_erp.store.runs import end_run, load_as_of, load_cursor, require_fresh, save_cursor, start_run

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
TEXT = "2026-11-18T12:00:00Z"


# Raw answers


def keep(store: Store, order_id: str, raw: bytes) -> None:
    with store.transaction():
        RawPacker(store).save([(order_id, raw)], TEXT)


def test_a_raw_answer_comes_back_word_for_word(store: Store, rows: Any) -> None:
    rows.order()

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(st.binary(max_size=3000), st.text(max_size=500).map(str.encode)))
    def play(raw: bytes) -> None:
        keep(store, "tiktok:1", raw)
        assert RawPacker(store).load("tiktok:1") == raw

    play()
    assert RawPacker(store).load("tiktok:2") is None
    assert store.scalar("SELECT count(*) FROM raw_answers") == 1


def test_an_order_takes_little_room(store: Store, rows: Any) -> None:
    rows.order()
    words = ("order_type", "paid_time", "recipient_address", "line_items", "display_status", "AWAITING_SHIPMENT")
    dice = random.Random(7)
    raw = json.dumps({word: f"{word} {dice.randrange(10**18)}" for word in words}).encode()
    keep(store, "tiktok:1", raw)
    assert len(store.scalar("SELECT body FROM raw_answers")) < len(raw)


def test_an_answer_whose_dictionary_is_gone_says_so(store: Store, rows: Any) -> None:
    rows.order()
    rows.add("raw_dictionaries", dictionary_id=7)
    rows.add("raw_answers", dictionary_id=7)
    store.execute("PRAGMA foreign_keys = OFF")
    store.execute("DELETE FROM raw_dictionaries")
    with pytest.raises(StoreError, match="dictionary"):
        RawPacker(store).load("tiktok:1")


def test_answers_packed_with_an_older_dictionary_are_still_read(store: Store, rows: Any) -> None:
    import zlib

    rows.order()
    packer = zlib.compressobj(3, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, b"older words")
    rows.add("raw_dictionaries", dictionary_id=7, body=b"older words")
    rows.add("raw_answers", dictionary_id=7, body=packer.compress(b"some older words") + packer.flush())
    assert RawPacker(store).load("tiktok:1") == b"some older words"


# Runs and cursors


def test_a_run_that_was_killed_has_no_end(store: Store) -> None:
    first, second = start_run(store, "sync"), start_run(store, "allocate")
    end_run(store, second, exit_code=3, done=5, failed=1, error=None)
    found = {row["run_id"]: tuple(row)[1:] for row in store.query("SELECT * FROM v_runs")}
    assert found[first][2:4] == (None, None)
    assert (found[second][0], *found[second][3:]) == ("allocate", 3, 5, 1, None)


def test_a_cursor_never_forgets_where_it_was(store: Store) -> None:
    assert load_cursor(store, "tiktok", "orders") is None
    assert load_as_of(store, "tiktok", "orders") is None
    save_cursor(store, "tiktok", "orders", cursor=AT, as_of=AT)
    later = AT + timedelta(hours=1)
    save_cursor(store, "tiktok", "orders", cursor=None, as_of=later)
    assert (load_cursor(store, "tiktok", "orders"), load_as_of(store, "tiktok", "orders")) == (AT, later)
    assert load_cursor(store, "tiktok", "listings") is None


@pytest.mark.parametrize(
    ("age", "stale_ok", "fresh"), [(9, False, True), (10, False, True), (11, False, False), (11, True, True)]
)
def test_old_orders_are_refused_unless_the_seller_insists(store: Store, age: int, stale_ok: bool, fresh: bool) -> None:
    save_cursor(store, "tiktok", "orders", cursor=AT, as_of=AT)
    now, limit = AT + timedelta(minutes=age), timedelta(minutes=10)
    if fresh:
        require_fresh(store, "tiktok", at_most=limit, now=now, stale_ok=stale_ok, file_counts=False)
        return
    with pytest.raises(StaleData) as caught:
        require_fresh(store, "tiktok", at_most=limit, now=now, stale_ok=stale_ok, file_counts=False)
    assert caught.value.exit_code == 6
    assert "11" in caught.value.what


@pytest.mark.parametrize("file_counts", [True, False])
def test_a_fresh_export_counts_where_every_order_is_looked_at_again(store: Store, file_counts: bool) -> None:
    with store.transaction():
        save_cursor(store, "tiktok", "orders", cursor=None, as_of=AT - timedelta(hours=2))
        save_cursor(store, "tiktok", "orders_file", cursor=None, as_of=AT - timedelta(minutes=2))

    def look() -> None:
        require_fresh(store, "tiktok", at_most=timedelta(minutes=10), now=AT, stale_ok=False, file_counts=file_counts)

    if file_counts:
        look()
    else:
        with pytest.raises(StaleData, match="120 minutes"):
            look()


def test_orders_that_were_never_fetched_are_not_fresh(store: Store) -> None:
    with pytest.raises(StaleData, match="never fetched"):
        require_fresh(store, "tiktok", at_most=timedelta(days=9), now=AT, stale_ok=False, file_counts=False)
    require_fresh(store, "tiktok", at_most=timedelta(days=9), now=AT, stale_ok=True, file_counts=False)


# Cases


def case(**values: Any) -> dict[str, Any]:
    return {"cause": "no_rule", "detail": "d", "next_step": "n", "package_id": "P000001"} | values


def test_a_case_is_new_once_and_is_kept_up_to_date(store: Store, rows: Any) -> None:
    rows.one_of_each()
    assert open_case(store, **case()) is True
    since = load_cases(store)[0]["since"]
    assert open_case(store, **case(detail="now 1340 g")) is False
    assert [(row["detail"], row["since"]) for row in load_cases(store)] == [("now 1340 g", since)]


def test_a_case_that_comes_back_is_new_again(store: Store, rows: Any) -> None:
    rows.one_of_each()
    open_case(store, **case())
    assert resolve_cases(store, package_id="P000001") == 1
    assert open_case(store, **case()) is True
    assert len(load_cases(store)) == 1


def test_cases_of_package_order_and_cause_are_told_apart(store: Store, rows: Any) -> None:
    rows.one_of_each()
    rows.package(2, "tiktok:1")
    for values in ({}, {"cause": "no_address"}, {"package_id": "P000002"}, {"order_id": "tiktok:1"}):
        assert open_case(store, **case(**values)) is True
    assert resolve_cases(store, package_id="P000001", causes=["no_address"]) == 1
    assert resolve_cases(store, order_id="tiktok:1") == 1
    assert [(row["package_id"], row["cause"]) for row in load_cases(store)] == [
        ("P000001", "no_rule"),
        ("P000002", "no_rule"),
    ]


# The outbox


def intend(store: Store, key: str = "tracking/1") -> int:
    return outbox.intend(
        store, kind="mark_shipped", subject="tiktok:1", idempotency_key=key, payload={"b": 1, "a": "é"}
    )


def test_the_same_effect_is_intended_once(store: Store) -> None:
    assert intend(store) == intend(store)
    assert intend(store, "tracking/2") != intend(store)
    assert store.scalar("SELECT count(*) FROM outbox") == 2


def test_an_effect_that_was_settled_is_not_begun_again(store: Store) -> None:
    entry = intend(store)
    outbox.mark_sent(store, entry)
    outbox.settle(store, entry, "done", request_id="r1", warning="late")
    intend(store)
    row = outbox.load_entry(store, "tracking/1")
    assert row is not None
    assert (row["state"], row["attempts"], row["request_id"], row["warning"]) == ("done", 1, "r1", "late")
    assert row["done_at"] is not None
    assert json.loads(row["payload"]) == {"a": "é", "b": 1}


def test_a_write_that_surely_never_left_may_be_sent_again(store: Store) -> None:
    entry = intend(store)
    outbox.mark_sent(store, entry)
    outbox.settle(store, entry, "intent")
    outbox.mark_sent(store, entry)
    outbox.settle(store, entry, "unknown", error_code="36009007")
    row = outbox.load_entry(store, "tracking/1")
    assert row is not None
    assert (row["state"], row["attempts"], row["done_at"], row["error_code"]) == ("unknown", 2, None, "36009007")
    assert outbox.load_entry(store, "tracking/2") is None


# Label documents


def test_a_document_is_kept_once_under_its_hash(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path / "shop.db")
    sha256 = files.keep(b"%PDF-1.7 specimen")
    assert files.keep(b"%PDF-1.7 specimen") == sha256
    assert files.load(sha256) == b"%PDF-1.7 specimen"
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept == [tmp_path / "shop.labels" / sha256[:2] / f"{sha256}.pdf"]


def test_documents_are_for_their_owner_alone(tmp_path: Path) -> None:
    LabelFiles(tmp_path / "shop.db").keep(b"%PDF-1.7 specimen")
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shop.labels").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}


def test_a_document_that_was_half_written_is_written_again(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path / "shop.db")
    sha256 = files.keep(b"%PDF-1.7 specimen")
    files.path_of(sha256).write_bytes(b"%PDF")
    assert files.keep(b"%PDF-1.7 specimen") == sha256
    assert files.load(sha256) == b"%PDF-1.7 specimen"


def test_a_document_that_is_missing_or_changed_is_never_printed(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path / "shop.db")
    sha256 = files.keep(b"%PDF-1.7 specimen")
    files.path_of(sha256).write_bytes(b"%PDF-1.7 Specimen")
    with pytest.raises(LabelFileError) as changed:
        files.load(sha256)
    files.path_of(sha256).unlink()
    with pytest.raises(LabelFileError) as missing:
        files.load(sha256)
    assert (changed.value.cause, missing.value.cause) == ("label_changed", "label_missing")


def test_a_document_that_cannot_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "shop.labels").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        LabelFiles(tmp_path / "shop.db").keep(b"%PDF-1.7 specimen")
    assert "labels reconcile" in caught.value.next_step


# The label journal


@pytest.fixture
def journal(store: Store, rows: Any) -> Store:
    rows.one_of_each()
    store.execute("UPDATE packages SET carrier = 'usps', because = 'rule', allocated_at = ?", (TEXT,))
    return store


def live(store: Store) -> tuple[Any, ...]:
    row = labels.load_live(store, "P000001")
    assert row is not None
    return row["state"], row["sent_at"] is not None, row["cost_minor"], row["tracking_number"]


def buy(store: Store, cost_minor: int | None = 350) -> None:
    labels.intend(store, {"P000001": "what"}, source="tiktok", run_id=None)
    assert labels.mark_sent(store, "P000001", None, made_for="what")
    labels.save_purchase(
        store,
        "P000001",
        channel_package_id="1153",
        cost=Money(cost_minor, "USD") if cost_minor is not None else None,
        carrier="USPS",
        service_level="Ground Advantage",
        request_id="r",
    )


def test_an_intent_is_written_once_and_taken_once(journal: Store) -> None:
    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    assert journal.scalar("SELECT count(*) FROM labels") == 1
    assert labels.mark_sent(journal, "P000001", None, made_for="what")
    assert not labels.mark_sent(journal, "P000001", None, made_for="what")


def test_a_purchase_is_bought_once_its_document_is_safe(journal: Store) -> None:
    buy(journal)
    assert live(journal) == ("sent", True, 350, None)
    document = {"tracking_number": "94001", "sha256": "ab", "pages": 1, "barcode": "match"}
    labels.save_document(journal, "P000001", **document, is_told=True, at=AT)
    assert live(journal) == ("bought", True, 350, "94001")
    row = journal.query_one("SELECT carrier, service_level, uploaded_at, channel_package_id, because FROM v_packages")
    assert tuple(row or ()) == ("USPS", "Ground Advantage", TEXT, "1153", "rule")


def test_a_purchase_that_never_left_is_an_intent_again(journal: Store) -> None:
    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    labels.mark_sent(journal, "P000001", None, made_for="what")
    labels.save_state(journal, "P000001", "intent")
    assert live(journal) == ("intent", False, None, None)


def test_a_refused_purchase_makes_room_for_another(journal: Store) -> None:
    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    labels.mark_sent(journal, "P000001", None, made_for="what")
    labels.save_state(journal, "P000001", "refused", error_code="11021009")
    assert labels.load_live(journal, "P000001") is None
    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    assert journal.scalar("SELECT group_concat(state) FROM labels") == "refused,intent"


def test_money_in_flight_counts_as_the_dearest_label_allowed(journal: Store) -> None:
    def spent() -> int:
        return labels.spent_since(journal, datetime(2020, 1, 1, tzinfo=UTC), highest=Money(2500, "USD"))

    labels.intend(journal, {"P000001": "what"}, source="tiktok", run_id=None)
    assert spent() == 0
    labels.mark_sent(journal, "P000001", None, made_for="what")
    assert spent() == 2500
    labels.save_state(journal, "P000001", "unknown")
    assert spent() == 2500
    journal.execute("UPDATE labels SET cost_minor = 350, currency = 'USD'")
    assert spent() == 350
    journal.execute("UPDATE labels SET cost_minor = 9900, currency = 'GBP'")
    assert spent() == 2500
    journal.execute("UPDATE labels SET cost_minor = -9900, currency = 'USD'")
    assert spent() == 2500
    journal.execute("UPDATE labels SET cost_minor = 350")
    assert labels.spent_since(journal, datetime(2999, 1, 1, tzinfo=UTC), highest=Money(2500, "USD")) == 0


def test_a_label_bought_elsewhere_costs_nothing_here(journal: Store) -> None:
    labels.save_own_label(
        journal,
        "P000001",
        carrier="ups",
        tracking_number="1Z",
        sha256=None,
        pages=None,
        barcode=None,
        run_id=None,
        at=AT,
    )
    assert labels.spent_since(journal, datetime(2020, 1, 1, tzinfo=UTC), highest=Money(2500, "USD")) == 0
    assert live(journal) == ("bought", False, None, "1Z")


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ("", None),
        ("UPDATE orders SET base_state = 'cancelled'", "order_cancelled"),
        ("UPDATE orders SET base_state = 'unknown'", "unknown_status"),
        ("UPDATE orders SET base_state = 'closed'", "already_shipped"),
        ("UPDATE orders SET base_state = 'unpaid'", "on_hold"),
        ("UPDATE orders SET base_state = 'held'", "on_hold"),
        ("UPDATE orders SET held_until = '2099-01-01T00:00:00Z'", "on_hold"),
        ("UPDATE orders SET held_until = '2020-01-01T00:00:00Z'", None),
        ("UPDATE orders SET cancel_requested = 1", "cancel_requested"),
        ("UPDATE orders SET fulfillment_type = 'FULFILLMENT_BY_TIKTOK'", "fulfilled_by_channel"),
        ("UPDATE orders SET fulfillment_type = 'SOMETHING_NEW'", "fulfilled_by_channel"),
        ("UPDATE orders SET fulfillment_type = 'FULFILLMENT_BY_SELLER'", None),
        ("UPDATE orders SET address_changed_at = '2026-11-18T12:00:01Z'", "address_changed"),
        # A clock that was set back says nothing about what came first.
        ("UPDATE orders SET address_changed_at = '2026-11-18T11:59:59Z'", "address_changed"),
    ],
)
def test_nothing_is_bought_for_an_order_in_doubt(journal: Store, change: str, obstacle: str | None) -> None:
    if change:
        journal.execute(change)
    assert [row["obstacle"] for row in labels.load_candidates(journal)] == [obstacle]
    assert [row["obstacle"] for row in labels.load_candidates(journal, only=["P000001"])] == [obstacle]


def test_nothing_is_bought_for_a_unit_that_is_short(journal: Store, rows: Any) -> None:
    rows.add("reservations", state="short")
    assert [row["obstacle"] for row in labels.load_candidates(journal)] == ["short"]


def test_one_order_in_doubt_stops_the_whole_package(journal: Store, rows: Any) -> None:
    rows.order(2, cancel_requested=1)
    rows.add("package_orders", order_id="tiktok:2")
    assert [row["obstacle"] for row in labels.load_candidates(journal)] == ["cancel_requested"]


@pytest.mark.parametrize("word", ["sent", "unknown", "bought"])
def test_a_package_with_a_label_under_way_is_no_candidate(journal: Store, rows: Any, word: str) -> None:
    rows.add("labels", state=word, sent_at=TEXT, bought_at=TEXT)
    assert labels.load_candidates(journal) == []
    assert labels.load_candidates(journal, only=["P000001"]) == []


# Finding by name


def test_package_ids_are_never_given_twice(store: Store, rows: Any) -> None:
    numbers = free_package_ids(store)
    assert [next(numbers), next(numbers)] == ["P000001", "P000002"]
    rows.package(999_999)
    assert next(free_package_ids(store)) == "P1000000"


@pytest.mark.parametrize("name", ["P000001", "tiktok:1", "1"])
def test_packages_and_orders_are_found_by_every_name(store: Store, rows: Any, name: str) -> None:
    rows.one_of_each()
    rows.order(2)
    assert find_packages(store, name) == ["P000001"]
    assert find_orders(store, name) == ["tiktok:1"]


def test_a_name_that_nothing_has_finds_nothing(store: Store, rows: Any) -> None:
    rows.one_of_each()
    assert find_packages(store, "2") == []
    assert find_orders(store, "P000002") == []
