"""`run`: the five stages in order; what stops one of them blocks only what depends on it."""

from __future__ import annotations

import itertools
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.cli.rounds import rounds_in
from tiktok_erp.cli.run import on_its_own_clock

STAGES = ["sync", "reserve-stock", "allocate", "print-labels", "upload-tracking"]


def opened(shop: Any) -> Any:
    """A shop with both kinds of labels whose stock is counted."""
    shop.call("sync", "--quiet")
    shop.call("stock", "import", "--from-channel", "tiktok", "--quiet")
    return shop


@pytest.fixture
def ready(open_shop: Callable[..., Any]) -> Any:
    return opened(open_shop(orders=20, seed=9))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, simulated: Callable[..., Any]) -> Iterator[Any]:
    """A shop whose day is done by `run`; `run` again changes nothing in it."""
    with simulated(tmp_path_factory.mktemp("day"), orders=60, seed=9) as shop:
        opened(shop).call("run", "--quiet")
        shop.write_tracking_list()
        shop.call("print-labels", "--from", "tracking.csv", "--quiet")
        shop.call("run", "--quiet")
        shop.call("run", "--quiet")  # what left with the last uploads is no longer reserved
        yield shop


def stages(finished: Any) -> dict[str, int]:
    return {line["stage"]: line["exit_code"] for line in finished.lines if line["kind"] == "stage"}


def break_rules(shop: Any) -> None:
    with shop.folder.rules.open("a", encoding="utf-8") as file:
        file.write("carriers: [\n")


def test_the_whole_day_is_done_and_one_more_run_changes_nothing(day: Any) -> None:
    assert len(day.ledger()["purchases"]) > 10
    assert len(day.ledger()["shipments"]) > 2
    assert day.disagreements() == []
    content, writes = day.folder.dump(), day.ledger()["writes"]
    again = day.call("run", "--json")
    assert (day.ledger()["writes"], day.folder.dump()) == (writes, content)
    assert stages(again) == dict.fromkeys(STAGES, 0)
    assert {line["stage"] for line in again.lines[:-1]} == set(STAGES)


def test_cron_hears_of_a_failure_once(open_shop: Callable[..., Any]) -> None:
    ready = open_shop(orders=20, seed=9, carrier="seller")
    ready.allocated()
    order_id = ready.folder.value(
        "SELECT o.channel_order_id FROM package_orders po JOIN packages p USING (package_id) JOIN orders o USING (order_id)"
        " WHERE o.shipping_type = 'SELLER' AND p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL"
    )
    (ready.folder.path / "t.csv").write_text(f"order_id,carrier,tracking_number\n{order_id},stork,STORK1234567890\n")
    ready.call("print-labels", "--from", "t.csv")
    first = ready.call("run", "--quiet", expect=3)
    assert "does not offer the carrier stork" in first.stderr
    second = ready.call("run", "--quiet")
    assert (second.stdout, second.stderr) == ("", "")


def test_without_the_channel_everything_else_goes_on(day: Any) -> None:
    finished = day.call("run", "--json", environment={"TIKTOK_SHOP_APP_SECRET": "another"}, expect=4)
    assert stages(finished) == {**dict.fromkeys(STAGES, 0), "sync": 4}
    assert [line["cause"] for line in finished.errors if line["kind"] == "error"] == ["sign_in"]


def test_a_cap_stops_buying_and_nothing_else(ready: Any) -> None:
    ready.folder.write_rules(
        spending="{max_cost_per_label: 25 USD, max_cost_per_run: 60 USD, max_cost_per_day: 60 USD}"
    )
    ready.call("run", expect=3)
    bought = len(ready.ledger()["purchases"])
    assert 0 < bought < 10
    assert ready.folder.value("SELECT count(*) FROM labels WHERE printed_at IS NOT NULL") == bought
    stopped = ready.call("run", "--json", expect=3)
    assert stages(stopped) == {**dict.fromkeys(STAGES, 0), "print-labels": 3}
    assert ready.disagreements() == []


def test_broken_rules_leave_the_last_good_ones_in_force_and_say_so(day: Any) -> None:
    good = day.folder.rules.read_text("utf-8")
    break_rules(day)
    finished = day.call("run", expect=5)
    day.folder.rules.write_text(good, "utf-8")
    assert "the last good rules stay in force" in finished.stderr
    assert "rules.yaml:" in finished.stderr
    assert "nothing was done" not in finished.stderr
    assert [line.split()[0] for line in finished.stdout.splitlines() if not line.startswith(" ")] == STAGES


def test_rules_that_were_never_good_stop_everything(folder: Any) -> None:
    folder.rules.write_text("carriers: [\n", "utf-8")
    assert folder.call("run", expect=5).stdout == ""


def test_a_dry_run_changes_nothing(ready: Any) -> None:
    content, writes = ready.folder.dump(), ready.ledger()["writes"]
    ready.call("run", "--dry-run")
    assert (ready.folder.dump(), ready.ledger()["writes"]) == (content, writes)


def test_a_watch_tells_what_changes_and_stops_cleanly(open_shop: Callable[..., Any]) -> None:
    ready = open_shop(orders=20, seed=9)
    ready.folder.write_rules(sections="handover: {dir: kit}\n")
    with ready.folder.start("run", "--watch") as process:
        try:
            wait_for(
                lambda: ready.folder.value("SELECT count(*) FROM runs WHERE command = 'run' AND exit_code = 0") == 1
            )
            assert "already running" in ready.call("run").stderr
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == 0, stderr
    lines = [line for line in stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in lines] == [*STAGES, "handover", "stopped"]
    assert (ready.folder.path / "kit" / "START-HERE.html").exists()


def test_while_labels_are_bought_orders_are_fetched_and_stock_is_pushed(open_shop: Callable[..., Any]) -> None:
    """Documents that are long in coming hold up the labels, and nothing else."""
    shop = opened(open_shop(orders=20, seed=9, document_seconds=3))
    with rounds_in(shop.folder) as rounds:
        rounds.play(every=timedelta(seconds=0.5))
    runs = shop.query("SELECT run_id, command, started_at, ended_at FROM runs ORDER BY run_id")
    buying = next(row for row in runs if row["command"] == "print-labels")
    beside = [
        row["command"]
        for row in runs
        if row["run_id"] > buying["run_id"] and row["started_at"] <= buying["ended_at"] and row["command"] in STAGES[:2]
    ]
    assert beside[:2] == ["sync", "reserve-stock"]
    assert shop.disagreements() == []


# The clock of its own


def test_the_clock_keeps_its_pace_while_other_work_takes_long() -> None:
    ticks: list[float] = []
    enough = threading.Event()

    def work() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 4:
            enough.set()

    with on_its_own_clock(0.05, work):
        assert enough.wait(30)
    at_the_end = len(ticks)
    assert all(later - earlier >= 0.045 for earlier, later in itertools.pairwise(ticks))
    assert not threading.Event().wait(0.12)
    assert len(ticks) == at_the_end


def test_work_that_is_under_way_is_finished_before_the_block_ends() -> None:
    began, may_end = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        began.set()
        may_end.wait(30)
        ended.append(True)

    with on_its_own_clock(0.01, work):
        assert began.wait(30)
        threading.Timer(0.05, may_end.set).start()
    assert ended


def test_what_the_clock_cannot_go_on_with_is_raised_by_the_block() -> None:
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), on_its_own_clock(0.01, work):
        assert failed.wait(30)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(sqlite3.OperationalError):
            if condition():
                return
        assert time.monotonic() < end
        time.sleep(0.05)
