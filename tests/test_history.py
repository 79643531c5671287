"""A command of the day's work costs what is open, whatever the years before left: 20,000 closed orders, counted without a clock."""

from __future__ import annotations

import re
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.history import BOUNDED, add_history, play_template
from tests.steps import Counted, Scan, counted_steps, scans_of
from tiktok_erp.store.database import open_store
from tiktok_erp.store.labels import iterate_labels
from tiktok_erp.store.orders import iterate_orders

CLOSED_ORDERS = 20_000
# `?` stands for an order or a package of the day, `B1` for what was printed, `TERMINAL` for a person who looks.
# `AGAIN`: how much a sync reads once more depends on how long ago the last one was, so its steps are not compared.
DAY = (
    "sync",
    "stock import --from-channel tiktok",
    "stock set CND-CDR 500",
    "stock adjust CND-CDR 3 --because found",
    "stock import skus.csv",
    "stock show",
    "stock show CND-CDR",
    "stock why CND-CDR",
    "live start evening",
    "reserve-stock",
    "reserve-stock",
    "orders list TERMINAL",
    "orders list --state open",
    "orders list --state opne",
    "orders list --state held --json",
    "status",
    "status TERMINAL",
    "allocate --dry-run",
    "allocate --no-wait",
    "allocate",
    "quarantine",
    "rules explain ?",
    "orders hold ? --because looking",
    "orders release ?",
    "orders retry ?",
    "print-labels --plan",
    "print-labels --limit 10",
    "print-labels",
    "print-labels --plan",
    "print-labels",
    "labels list TERMINAL",
    "labels reprint B1",
    "labels reconcile",
    "labels scan-form",
    "labels void PACKAGE",
    "pack",
    "upload-tracking --plan",
    "print-labels --from tracking.csv",
    "upload-tracking",
    "upload-tracking",
    "handover kit",
    "resume kit AGAIN",
    "sync AGAIN",
    "run",
    "orders list TERMINAL",
    "orders show ?",
    "orders evidence ?",
    "orders list --cancel-requested",
    "orders list --not-scanned",
    "live list TERMINAL",
    "live stop",
    "alerts check",
    "doctor",
    "undo RUN",
    "undo NONE",
)

# What the guard lets through: the statement begins so, and why it ends soon.
READ_IN_PART = {
    "SELECT coalesce(max(CAST(substr(package_id": "the largest number stands at the index's end",
    "SELECT max((SELECT coalesce(max(batch_id)": "the largest number stands at the table's end",
    "SELECT EXISTS (SELECT 1 FROM reservation_parts)": "the first row answers",
    "SELECT EXISTS (SELECT 1 FROM unit_components)": "the first row answers",
    "SELECT EXISTS (SELECT 1 FROM listings) OR EXISTS (SELECT 1 FROM units)": "the first row answers",
    "SELECT * FROM v_runs ORDER BY run_id DESC LIMIT": "the last few",
    "SELECT run_id, command FROM runs WHERE command IN": "the last few",
    "SELECT coalesce((SELECT label_id FROM labels WHERE intent_at <": "back to the labels of a week ago",
    "SELECT order_id FROM orders INDEXED BY orders_by_placing WHERE is_open = 0": "as many as are shown",
    "SELECT 1 FROM orders LIMIT 1": "the first row answers",
    "SELECT v.*, (SELECT on_request FROM labels WHERE label_id = v.label_id) AS on_request FROM v_labels v"
    " ORDER BY label_id DESC": "as many as are shown",
    "SELECT * FROM v_live_sessions WHERE session_id IN": "as many as are shown",
}


@dataclass(slots=True)
class Days:
    """The same day on an empty history and on a long one."""

    empty: Any
    long: Any
    counted: dict[tuple[int, str], list[Counted]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def days(
    tmp_path_factory: pytest.TempPathFactory, simulated: Callable[..., AbstractContextManager[Any]]
) -> Iterator[Days]:
    folder = tmp_path_factory.mktemp("history")
    with ExitStack() as stack:

        def open_shop(name: str, seed: int) -> Any:
            (folder / name).mkdir()
            return stack.enter_context(simulated(folder / name, orders=120, seed=seed, document_seconds=0))

        template = play_template(open_shop("template", 9))
        both = Days(open_shop("empty", 10), open_shop("long", 10))
        for shop in (both.empty, both.long):
            shop.call("init", "--quiet")
            _look_back_at_syncs(shop.folder.db)
        add_history(both.long.folder.db, template, CLOSED_ORDERS)
        for shop in (both.empty, both.long):
            for number, command in enumerate(DAY):
                both.counted.setdefault((number, command), []).append(_play(shop, command))
        yield both


def _look_back_at_syncs(path: Path) -> None:
    """What is read of past runs, up to a number of them, is there to read on the first day as well."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO runs (command, process_id, started_at, ended_at, exit_code) VALUES ('sync', 1, ?1, ?1, 0)",
            [("2026-01-01T00:00:00Z",)] * 60,
        )
        connection.commit()


def _play(shop: Any, command: str) -> Counted:
    words = command.split()
    folder = shop.folder
    with closing(sqlite3.connect(folder.db)) as connection:
        connection.execute("DELETE FROM api_calls")  # how often a shop was asked depends on its speed
        connection.commit()
    if "skus.csv" in words:
        (folder.path / "skus.csv").write_text("sku,quantity\nCND-CDR,400\nNEVER-SEEN,3\n")
    if "tracking.csv" in words:
        shop.write_tracking_list()
    found = {
        "?": "SELECT max(order_id) FROM orders WHERE base_state = 'open'",
        "B1": "SELECT 'B' || max(batch_id) || '-001' FROM batches",
        "PACKAGE": "SELECT max(package_id) FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL",
        "RUN": "SELECT max(run_id) FROM runs WHERE command = 'allocate'",
        "NONE": "SELECT max(run_id) + 100 FROM runs",
    }
    arguments = [
        folder.value(found[word]) if word in found else word for word in words if word not in ("TERMINAL", "AGAIN")
    ]
    boxes = "SELECT tracking_number FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL ORDER BY label_id DESC LIMIT 3"
    stdin = "\n".join(folder.column(boxes)) if words == ["pack"] else None
    expected = (2,) if words[-1] in ("NONE", "opne") else (0, 3)
    with counted_steps() as counted:
        shop.call(*map(str, arguments), stdin=stdin, expect=expected, on_terminal="TERMINAL" in words)
    return counted


def test_a_command_takes_no_more_steps_after_a_year_than_on_the_first_day(days: Days) -> None:
    """A tenth more, where what it looks back at (a week of cancellations, 50 pushes) is not there yet on the first day."""
    steps = {
        command: (empty.steps, long.steps)
        for (_number, command), (empty, long) in days.counted.items()
        if "AGAIN" not in command and abs(long.steps - empty.steps) > max(empty.steps, 10_000) / 10
    }
    assert steps == {}


@pytest.mark.parametrize("statistics", ["none", "of the first day", "of the long file"])
def test_no_command_of_the_day_walks_a_table_that_grows_for_ever(days: Days, statistics: str, tmp_path: Path) -> None:
    walked = {}
    with closing(_with_statistics(days, statistics, tmp_path / "copy.db")) as connection:
        for (_number, command), counted in days.counted.items():
            for sql, values in [item for one in counted for item in one.statements.items()]:
                if _is_a_search(sql) and (scans := _unbounded(connection, sql, values)):
                    walked[sql] = (command, scans)
    assert walked == {}


def test_what_the_guard_lets_through_is_still_asked(days: Days) -> None:
    asked = {sql.strip() for counted in days.counted.values() for one in counted for sql in one.statements}
    assert [start for start in READ_IN_PART if not any(sql.startswith(start) for sql in asked)] == []


def test_the_guard_finds_a_walk_behind_an_alias_a_view_and_a_trigger(days: Days) -> None:
    with closing(sqlite3.connect(days.long.folder.db)) as connection:
        connection.execute("CREATE TEMP TRIGGER slow AFTER UPDATE ON holds BEGIN UPDATE units SET is_gift = 1; END")
        for sql, table in (
            ("SELECT * FROM packages p WHERE EXISTS (SELECT 1 FROM labels l WHERE l.state IN ('sent', 'x'))", "labels"),
            ("SELECT count(*) FROM v_orders WHERE state = 'open'", "orders"),
            ("SELECT count(*) FROM stock_moves", "stock_moves"),
            ("UPDATE holds SET because = ''", "units"),
        ):
            assert table in {scan.table for scan in _unbounded(connection, sql, ())}, sql
        assert _unbounded(connection, "SELECT * FROM orders WHERE is_open = 1", ()) == set()


def test_the_step_count_grows_with_what_a_statement_walks(days: Days) -> None:
    def steps(shop: Any) -> int:
        with counted_steps() as counted, open_store(shop.folder.db) as store:
            store.query("SELECT package_id FROM labels WHERE state = 'refused'")
        return counted.steps

    assert steps(days.long) > 10 * steps(days.empty)


def test_the_long_file_keeps_every_promise(days: Days) -> None:
    checked = days.long.call("check", "--json", expect=(0, 3)).lines
    assert [line["check"] for line in checked if line.get("result") == "failed"] == []


@pytest.mark.parametrize("rows_of", [iterate_orders, iterate_labels])
def test_a_list_of_everything_holds_a_few_rows_at_once(days: Days, rows_of: Callable[..., Any]) -> None:
    with open_store(days.long.folder.db) as store:
        tracemalloc.start()
        try:
            count = sum(1 for row in rows_of(store))
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count > CLOSED_ORDERS / 2
    assert peak < 4_000_000


def test_a_terminal_shows_open_orders_first_and_tells_how_to_see_the_rest(days: Days) -> None:
    shown = _plain(days.long.call("orders", "list", on_terminal=True).stdout)
    lines = [line for line in shown.splitlines() if line.strip().startswith("tiktok:")]
    assert len(lines) == 50
    states = [
        next(word for word in line.split() if word in ("unpaid", "held", "open", "closed", "cancelled"))
        for line in lines
    ]
    is_over = [state in ("closed", "cancelled") for state in states]
    assert is_over == sorted(is_over)
    assert "older orders that are over: `--all`" in shown


def test_a_pipe_and_a_filter_list_everything(days: Days) -> None:
    count = days.long.folder.value("SELECT count(*) FROM orders")
    assert len(days.long.call("orders", "list").stdout.splitlines()) == count + 1
    closed = days.long.folder.value("SELECT count(*) FROM orders WHERE base_state = 'closed'")
    assert days.long.call("orders", "list", "--state", "closed", on_terminal=True).stdout.count("tiktok:") == closed
    labels = days.long.folder.value("SELECT count(*) FROM labels")
    assert days.long.call("labels", "list", "--json").summary["done"] == labels


def test_a_terminal_shows_the_labels_that_matter_and_tells_how_to_see_the_rest(days: Days) -> None:
    shown = _plain(days.long.call("labels", "list", on_terminal=True).stdout)
    assert sum(line.strip().startswith("P1") for line in shown.splitlines()) == 50
    assert "older labels: `--all`" in shown


def test_a_state_that_there_is_not_is_refused_with_a_guess(days: Days) -> None:
    refused = days.empty.call("orders", "list", "--state", "opne", expect=2)
    assert refused.stdout == ""
    assert "did you mean `open`?" in refused.stderr


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _is_a_search(sql: str) -> bool:
    return sql.split()[0] in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE") and not sql.strip().startswith(
        tuple(READ_IN_PART)
    )


def _unbounded(connection: sqlite3.Connection, sql: str, values: Any) -> set[Scan]:
    partial = {
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE%INDEX% WHERE %'")
    }
    return {
        scan for scan in scans_of(connection, sql, values) if scan.table not in BOUNDED and scan.index not in partial
    }


def _with_statistics(days: Days, which: str, path: Path) -> sqlite3.Connection:
    """Return a copy of the long file with the statistics that somebody's ANALYZE left, now or on the first day."""
    connection = sqlite3.connect(path)
    with closing(sqlite3.connect(days.long.folder.db)) as source:
        source.backup(connection)
    if which == "none":
        return connection
    connection.execute("ANALYZE")
    if which == "of the first day":
        with closing(sqlite3.connect(":memory:")) as first:
            with closing(sqlite3.connect(days.empty.folder.db)) as source:
                source.backup(first)
            first.execute("ANALYZE")
            rows = first.execute("SELECT tbl, idx, stat FROM sqlite_stat1").fetchall()
        connection.execute("DELETE FROM sqlite_stat1")
        connection.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return sqlite3.connect(path)  # statistics are read when a file is opened
