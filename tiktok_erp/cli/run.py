"""`run`: the five stages in order, once or round after round. A stage that stops blocks only what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiktok_erp.cli.options import DryRun, Globals, Json, Quiet, Yes
from tiktok_erp.cli.output import Output, StageOutput, our_fault
from tiktok_erp.cli.session import Command, Session, only_one, run_command, run_once, say_running
from tiktok_erp.errors import (
    ChannelDown,
    ErpError,
    Interrupted,
    SignInError,
    StaleData,
    StoreError,
)
from tiktok_erp.messages import tr
from tiktok_erp.signals import undisturbed

if TYPE_CHECKING:
    from tiktok_erp.model.rule import Rules

STAGES = ("sync", "reserve-stock", "allocate", "print-labels", "upload-tracking")
_WIDTH = max(len(stage) for stage in STAGES)
_SHORTEST = timedelta(seconds=10)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run")(run)


def run(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until stopped (Ctrl-C, SIGTERM).")] = False,
    out: Annotated[Path, typer.Option("--out", help="Where copies of the newest batch of labels go.")] = Path(),
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch, reserve and push, allocate, print labels, tell tracking numbers: the five in order, once or round after round.

    A stage that stops (a cap reached, no money left, the channel down) blocks only what depends on it. While labels are
    bought, orders are fetched and stock is pushed on their own clock, `sync.every`. With --watch nobody is asked, the last
    good rules stay in force while rules.yaml is broken, and the kit of `handover` in the rules is made anew when it is due.

    \b
    Examples:
      tiktok-erp run
      tiktok-erp run --watch --out today
      */5 * * * * cd /home/me/shop && tiktok-erp run --quiet
    """
    known = Known()

    def body(session: Session) -> None:
        day = Day(session, known, out=out, yes=yes, is_watch=watch)
        day.run()
        known.end_round()
        if day.stopped:
            raise day.stopped[0]

    run_command(
        "run",
        context,
        body,
        as_json=as_json,
        quiet=quiet,
        dry_run=dry_run,
        lock="run",
        watch=pace if watch else None,
        load_rules=_load_rules,
    )


def pace(rules: Rules) -> timedelta:
    """Return how long it is from one fetch to the next."""
    return max(rules.sync.every, _SHORTEST)


@dataclass(slots=True)
class Known:
    """What the rounds told so far: what is told already is not told again."""

    outputs: dict[str, StageOutput] = field(default_factory=dict)
    troubles: set[tuple[str, str]] = field(default_factory=set)  # (stage, cause) of the round before
    new_troubles: set[tuple[str, str]] = field(default_factory=set)
    kit_trouble: str = ""  # why the kit made last was none
    kit_due_at: float = field(default_factory=time.monotonic)

    def end_round(self) -> None:
        self.troubles, self.new_troubles = self.new_troubles, set()


class Day:
    """One round: the five stages, each a run of its own. `stopped` holds what ended a stage early, in order.

    `pace` tells how often orders are fetched and stock is pushed while the other stages take their time.
    """

    def __init__(
        self,
        session: Session,
        known: Known,
        *,
        out: Path,
        yes: bool,
        is_watch: bool,
        pace: Callable[[Rules], timedelta] = pace,
    ) -> None:
        self._session = session
        self._known = known
        self._out = out
        self._yes = yes
        self._is_watch = is_watch
        self._pace = pace
        self._lock = Lock()
        self._figures: dict[str, object] = {}
        self.stopped: list[ErpError] = []

    def run(self) -> None:
        """Carry out the stages. Raises Interrupted or KeyboardInterrupt when somebody stops it, StoreError for the database."""
        from tiktok_erp.cli.allocate import allocate
        from tiktok_erp.cli.upload_tracking import upload_tracking

        rules = self._rules()
        every_s = self._pace(rules).total_seconds()
        self._session.summary["stages"] = self._figures
        self.fetch_and_push()
        with on_its_own_clock(every_s, self.fetch_and_push), self._kit_clock():
            self.stage(allocate, dry_run=self._session.dry_run)
            self._labels()
            self.stage(upload_tracking, follow=True, dry_run=self._session.dry_run)
        if self._makes_kits() and self._known.kit_due_at <= time.monotonic():
            self.make_kit()

    def make_kit(self) -> None:
        """Make the kit of the rules anew. What is wrong with it is told once, and stops nothing."""
        from tiktok_erp.cli.handover import handover

        wanted = self._session.rules().handover
        self._known.kit_due_at = time.monotonic() + wanted.every.total_seconds()
        folder = self._session.options.rules.parent / (wanted.folder or "")
        self.stage(handover, is_aside=True, folder=folder, people=wanted.people, dry_run=self._session.dry_run)

    def _makes_kits(self) -> bool:
        return self._is_watch and bool(self._session.rules().handover.folder)

    def _kit_clock(self) -> AbstractContextManager[None]:
        """Return the clock of the kit in a long round. A kit that is due already is left to the end of a short one."""
        if not self._makes_kits():
            return nullcontext()
        every_s = self._session.rules().handover.every.total_seconds()
        left_s = self._known.kit_due_at - time.monotonic()
        return on_its_own_clock(every_s, self.make_kit, first_s=left_s if left_s > 0 else every_s)

    def fetch_and_push(self) -> None:
        """Fetch orders and push what can be sold. Without the channel stock is reserved and nothing is pushed."""
        from tiktok_erp.cli.reserve_stock import reserve_stock
        from tiktok_erp.cli.sync import sync

        is_dry = self._session.dry_run
        error = self.stage(sync, dry_run=is_dry)
        is_reachable = not isinstance(error, ChannelDown | SignInError)
        self.stage(reserve_stock, push=None if is_reachable else False, yes=self._yes, dry_run=is_dry)

    def _labels(self) -> None:
        from tiktok_erp.cli.print_labels import print_labels
        from tiktok_erp.store.print_jobs import load_to_print

        is_dry = self._session.dry_run
        error = self.stage(print_labels, out=self._out, yes=self._yes or self._is_watch, dry_run=is_dry)
        if error is not None and not is_dry and load_to_print(self._session.store):
            self.stage(print_labels, out=self._out, limit=0)  # what is held is printed, whatever buying came to

    def stage(self, command: Callable[..., None], *, is_aside: bool = False, **arguments: Any) -> ErpError | None:
        """Carry out one command as a stage and return what stopped it, None when it came to its end.

        Nothing depends on a stage that `is_aside`: the round goes on whatever becomes of it, and ends with its own exit code.
        """
        error: ErpError | None = None

        def carry_out(stage: Command) -> None:
            nonlocal error
            error = self._carry_out(stage, is_aside=is_aside)

        options = replace(self._session.options, outer=carry_out)
        command(_context(options), **arguments)
        return error

    def _carry_out(self, stage: Command, *, is_aside: bool) -> ErpError | None:
        whole = self._session.out
        printed = StageOutput(whole, stage.name, self._known.outputs.get(stage.name))
        figures: dict[str, object] = {}
        code, error = 0, None
        try:
            with only_one(stage) as is_alone:
                if is_alone:
                    code = run_once(stage, printed, figures, rules=self._session.rules())
                else:
                    say_running(stage, printed)
        except Interrupted:
            if self._is_watch:  # being stopped is how a watch ends
                raise KeyboardInterrupt from None
            raise
        except ErpError as reason:
            if isinstance(reason, StoreError) and not is_aside:
                raise
            code, error = reason.exit_code, reason
        except Exception as reason:
            error = our_fault(reason)
            code = error.exit_code
        with self._lock:
            self._known.outputs[stage.name] = printed
            self._figures[stage.name] = {**figures, "exit_code": code}
            printed.end_stage(code, figures, width=_WIDTH)
            if is_aside:
                self._tell_aside(error)
            elif error is not None:
                self._stop(stage.name, error)
        return error

    def _tell_aside(self, error: ErpError | None) -> None:
        cause = "" if error is None else error.cause
        if error is not None and cause != self._known.kit_trouble:
            self._session.out.error(error)
        self._known.kit_trouble = cause

    def _stop(self, stage: str, error: ErpError) -> None:
        """Keep what stopped a stage. The first is told at the end of the round, the others now, each cause once."""
        trouble = (stage, error.cause)
        is_follower = any(other.cause == error.cause or _follows(error, other) for other in self.stopped)
        is_old = trouble in self._known.troubles
        self._known.new_troubles.add(trouble)
        if self.stopped and not is_follower and not is_old:
            self._session.out.error(error)
        if not is_old:
            self._session.out.warn(
                tr("{stage} stopped ({reason}); what does not depend on it goes on", stage=stage, reason=error.what)
            )
        self.stopped.append(error)

    def _rules(self) -> Rules:
        """Return the rules of this round: a watch has read them, else they are read here."""
        session = self._session
        if session.rules_at_hand() is None:
            from tiktok_erp.config.last_rules import kept_path, load_or_last_good

            rules, fault = load_or_last_good(session.options.rules, kept_path(session.options.db))
            for note in rules.notes:
                session.out.warn(note)
            if fault is not None:
                session.out.warn(tr("the last good rules stay in force"))
                self.stopped.append(fault)
            session.use_rules(rules)
        return session.rules()


def _follows(error: ErpError, other: ErpError) -> bool:
    """Tell whether an error says nothing beside another one: without the channel data grows old, and calls fail."""
    return isinstance(error, StaleData | ChannelDown) and isinstance(other, ChannelDown | SignInError)


def _load_rules(options: Globals, out: Output, is_first: bool) -> Rules:
    from tiktok_erp.config.last_rules import kept_path, load_or_last_good

    rules, fault = load_or_last_good(options.rules, kept_path(options.db))
    if fault is not None and not is_first:
        raise fault
    if fault is not None:
        out.error(fault)
        out.warn(tr("the last good rules stay in force"))
    for note in rules.notes if is_first else ():
        out.warn(note)
    return rules


def _context(options: Globals) -> typer.Context:
    import typer.core

    return typer.Context(typer.core.TyperCommand("stage"), obj=options)


@contextmanager
def on_its_own_clock(every_s: float, work: Callable[[], object], *, first_s: float | None = None) -> Iterator[None]:
    """Do `work` every so many seconds, from start to start, in a thread beside the block; the first time after `first_s`.

    At the end of the block `work` that is under way is finished; a second Ctrl-C does not wait for it. What it raises ends
    the clock and is raised here.
    """
    is_over = Event()
    raised: list[BaseException] = []

    def tick() -> None:
        due = time.monotonic() + (every_s if first_s is None else first_s)
        while not is_over.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + every_s
            try:
                work()
            except BaseException as error:
                raised.append(error)
                return

    with undisturbed():  # the thread inherits this: a signal then always reaches the main thread
        clock = Thread(target=tick, name="clock", daemon=True)
        clock.start()
    try:
        yield
    finally:
        is_over.set()
        clock.join()
    if raised:
        raise raised[0]
