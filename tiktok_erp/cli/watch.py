"""Running a command again and again: what ends it, what is told once, and how long it waits in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from tiktok_erp.cli.output import Output, our_fault
from tiktok_erp.errors import ChannelDown, ErpError, StoreLocked
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.model.rule import Rules

_JITTER = 0.05
_LONGEST_NAP_S = 5.0


class Wait(Protocol):
    """Waits until the wall clock shows `moment`, at most so long."""

    def __call__(self, moment: float, *, at_most_s: float) -> None: ...


def sleep_until(
    moment: float,
    *,
    at_most_s: float,
    wall_clock: Callable[[], float] = time.time,
    steady_clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the wall clock shows `moment`, but never longer than `at_most_s`.

    A laptop that sleeps stops the one clock and not the other; somebody may also set the wall clock back.
    """
    give_up_at = steady_clock() + at_most_s
    while (left := min(moment - wall_clock(), give_up_at - steady_clock())) > 0:
        sleep(min(left, _LONGEST_NAP_S))


def run_rounds(
    out: Output,
    *,
    load: Callable[[bool], Rules],
    run: Callable[[Rules, dict[str, object]], int],
    every: Callable[[Rules], timedelta],
    wait: Wait = sleep_until,
) -> int:
    """Run until somebody stops it; being stopped is how a watch ends, so that is 0.

    `load` reads the rules for each round (and is told whether it is the first); while they are broken the last good ones
    are kept. `run` gets them and a place for its own figures, and returns its exit code. What is wrong with the set-up ends
    the watch in the first round. Later on nothing does: trouble is told once, and once that it is over. Rounds follow each
    other from start to start, with a little chance in it so that several machines do not ask in step.
    """
    rules: Rules | None = None
    broken = trouble = ""
    failures = 0
    try:
        while True:
            started_at = time.time()
            out.begin_round()
            try:
                fresh = load(rules is None)
                if broken:
                    out.warn(tr("the rules are in order again and in force"))
                rules, broken = fresh, ""
            except ErpError as error:
                if rules is None:
                    raise
                if str(error) != broken:
                    out.error(error)
                    out.warn(tr("the last good rules stay in force"))
                broken = str(error)
            figures: dict[str, object] = {}
            told: ErpError | None = None
            try:
                code = run(rules, figures)
            except ErpError as error:
                if out.rounds == 1 and not isinstance(error, ChannelDown | StoreLocked):
                    raise
                told = error
            except Exception as error:
                told = our_fault(error)
            out.end_progress()
            if told is not None:
                code = told.exit_code
                failures += 1
                if told.cause != trouble:
                    out.error(told)
                trouble = told.cause
            elif failures:
                out.warn(tr("it works again, after {count} rounds without success", count=failures))
                trouble, failures = "", 0
            out.end_round(code, **figures)
            length_s = every(rules).total_seconds()
            chance = random.uniform(1 - _JITTER, 1 + _JITTER)
            wait(started_at + length_s * chance, at_most_s=length_s * (1 + _JITTER))
    except KeyboardInterrupt:
        out.say(tr("stopped"))
        return 0
