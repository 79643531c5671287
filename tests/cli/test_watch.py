"""`sync --watch`: round after round until somebody stops it, whatever happens in between."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from tiktok_erp.cli.output import Output
from tiktok_erp.cli.watch import run_rounds, sleep_until
from tiktok_erp.errors import ChannelDown, ErpError, RulesError, SettingsError, SignInError, StoreLocked, UsageError
from tiktok_erp.model.rule import Rules

OUTAGE = ChannelDown("no connection", subject="shop", next_step="wait")
BROKEN = RulesError("the rules have one fault", subject="rules.yaml", next_step="mend", faults=("rules.yaml:1:1: x",))


class Watch:
    """A watch whose rounds are a script: an exit code, or what the round raises. It is stopped after the last one."""

    def __init__(self, *script: int | Exception, rules: Sequence[Rules | ErpError] = (), as_json: bool = False) -> None:
        self.script = list(script)
        self.rules = list(rules)
        self.used: list[Rules] = []
        self.waits: list[float] = []
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.out = Output(as_json=as_json, quiet=False, stdout=self.stdout, stderr=self.stderr)

    def load(self, is_first: bool) -> Rules:
        found = self.rules.pop(0) if self.rules else Rules()
        if isinstance(found, ErpError):
            raise found
        return found

    def run(self, rules: Rules, figures: dict[str, object]) -> int:
        self.used.append(rules)
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        figures["new"] = 7
        return outcome

    def wait(self, moment: float, *, at_most_s: float) -> None:
        self.waits.append(moment - time.time())
        if not self.script:
            raise KeyboardInterrupt

    def start(self) -> int:
        return run_rounds(
            self.out, load=self.load, run=self.run, every=lambda rules: timedelta(seconds=60), wait=self.wait
        )

    @property
    def told(self) -> list[str]:
        return self.stderr.getvalue().splitlines()


def test_it_goes_on_until_it_is_stopped_and_that_is_no_failure() -> None:
    watch = Watch(0, 3, 0)
    assert watch.start() == 0
    assert len(watch.used) == 3
    assert watch.told == []
    assert watch.stdout.getvalue() == "stopped\n"


def test_rounds_follow_from_start_to_start_with_a_little_chance() -> None:
    watch = Watch(*[0] * 40)
    watch.start()
    assert all(45 <= seconds <= 63.1 for seconds in watch.waits)  # 57 and more, less what a busy machine took
    assert len({round(seconds, 3) for seconds in watch.waits}) > 10


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    watch = Watch(0, OUTAGE, OUTAGE, OUTAGE, 0, 0)
    watch.start()
    assert watch.told == [
        "error: no connection (shop)",
        "  next: wait",
        "note: it works again, after 3 rounds without success",
    ]


def test_another_kind_of_trouble_is_told_anew() -> None:
    watch = Watch(0, OUTAGE, SignInError("no consent", subject="token", next_step="log in"), OUTAGE)
    watch.start()
    assert [line for line in watch.told if line.startswith("error")] == [
        "error: no connection (shop)",
        "error: no consent (token)",
        "error: no connection (shop)",
    ]


@pytest.mark.parametrize("first", [OUTAGE, StoreLocked("locked", subject="shop.db", next_step="wait")])
def test_an_outage_of_the_first_round_is_waited_for(first: ErpError) -> None:
    watch = Watch(first, 0)
    assert watch.start() == 0
    assert len(watch.used) == 2


@pytest.mark.parametrize(
    "first",
    [
        SignInError("no credentials", subject="", next_step=""),
        SettingsError("another shop", subject="", next_step=""),
        UsageError("no such channel", subject="", next_step=""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_wrong_with_the_set_up_ends_it_at_once(first: ErpError) -> None:
    watch = Watch(first, 0)
    with pytest.raises(type(first)):
        watch.start()


def test_a_fault_of_ours_does_not_end_it() -> None:
    watch = Watch(0, ZeroDivisionError("secret"), 0)
    assert watch.start() == 0
    assert "ZeroDivisionError" in watch.told[0]
    assert "secret" not in watch.stderr.getvalue()


def test_broken_rules_leave_the_last_good_ones_in_force() -> None:
    good, better = Rules(), Rules()
    watch = Watch(0, 0, 0, 0, rules=[good, BROKEN, BROKEN, better])
    watch.start()
    assert [rules is good for rules in watch.used] == [True, True, True, False]
    assert watch.told == [
        "error: the rules have one fault (rules.yaml)",
        "  rules.yaml:1:1: x",
        "  next: mend",
        "note: the last good rules stay in force",
        "note: the rules are in order again and in force",
    ]


def test_rules_that_are_broken_from_the_start_end_it() -> None:
    with pytest.raises(RulesError):
        Watch(0, rules=[BROKEN]).start()


def test_each_round_is_a_line_of_json_with_its_figures_and_its_code() -> None:
    watch = Watch(0, OUTAGE, 3, as_json=True)
    watch.start()
    rounds = [json.loads(line) for line in watch.stdout.getvalue().splitlines()]
    assert [(line["kind"], line["round"], line["exit_code"], line.get("new")) for line in rounds] == [
        ("round", 1, 0, 7),
        ("round", 2, 6, None),
        ("round", 3, 3, 7),
    ]


class Clocks:
    """A wall clock and a steady one; `jumps` says what the wall clock does beside passing, nap by nap."""

    def __init__(self, *jumps: float) -> None:
        self.wall, self.steady = 1000.0, 50.0
        self.jumps = list(jumps)
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.wall += seconds + (self.jumps.pop(0) if self.jumps else 0.0)
        self.steady += seconds

    def wait(self, seconds: float) -> float:
        began = self.steady
        sleep_until(
            self.wall + seconds,
            at_most_s=seconds * 1.05,
            wall_clock=lambda: self.wall,
            steady_clock=lambda: self.steady,
            sleep=self.sleep,
        )
        return self.steady - began


@pytest.mark.parametrize(
    ("jumps", "awake_s"),
    [((), 60.0), ((3600.0,), 5.0), ((-3600.0,), 63.0), ((0.0, 0.0, 30.0), 30.0)],
    ids=["calm", "the laptop slept", "the clock was set back", "slept for a part"],
)
def test_a_wait_ends_by_the_wall_clock_and_never_takes_much_longer(jumps: tuple[float, ...], awake_s: float) -> None:
    clocks = Clocks(*jumps)
    assert clocks.wait(60.0) == pytest.approx(awake_s)
    assert max(clocks.naps) <= 5.0


# As a person runs it


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda stop: stop.name)
def test_a_watch_is_alone_and_stops_cleanly(open_shop: Callable[..., Any], stop: signal.Signals) -> None:
    shop = open_shop(orders=20)
    with watching(shop, "--every", "60s") as process:
        wait_for(lambda: ended_runs(shop) == [0])
        second = shop.run("sync")
        assert "already running" in second.stderr
        process.send_signal(stop)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")
    first, last = stdout.splitlines()
    assert first.endswith("20 new orders, 0 changed, 0 as before")
    assert last == "stopped"
    assert ended_runs(shop) == [0]
    assert shop.run("sync").stdout.startswith("0 new orders")


def test_a_watch_that_is_stopped_in_the_middle_of_a_round_says_so_in_its_record(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=20, faults="slow_answer:1")
    with watching(shop) as process:
        wait_for(lambda: shop.folder.value("SELECT count(*) FROM runs") == 1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert ended_runs(shop) == [130]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--watch", "--from", "orders.csv"), "--watch fetches from the channel"),
        (("--every", "60s"), "--every goes with --watch"),
        (("--watch", "--every", "often"), "often is no length of time"),
        (("--audit", "a.csv", "--from", "b.csv"), "two different things"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_contradict_each_other_are_refused(folder: Any, arguments: tuple[str, ...], text: str) -> None:
    assert text in " ".join(folder.run("sync", *arguments, expect=2).stderr.replace("│", " ").split())


def test_a_round_shorter_than_ten_seconds_is_lengthened_and_said(folder: Any) -> None:
    refused = folder.run("sync", "--watch", "--every", "1s", expect=4)  # no credentials: it ends in the first round
    assert "10 s at least" in refused.stderr


@contextmanager
def watching(shop: Any, *options: str) -> Iterator[Any]:
    """A watch at work, killed when the test fails."""

    def hear_ctrl_c() -> None:
        # A shell that runs the tests in the background lets its children ignore it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with shop.folder.start("sync", "--watch", *options, preexec_fn=hear_ctrl_c) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def ended_runs(shop: Any) -> list[int]:
    return [code for code in shop.folder.column("SELECT exit_code FROM runs ORDER BY run_id") if code is not None]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(sqlite3.OperationalError):  # the database is just being made
            if condition():
                return
        assert time.monotonic() < end
        time.sleep(0.05)
