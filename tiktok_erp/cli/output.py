"""What a command prints: sentences for people, JSON lines for scripts, progress for terminals."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from tiktok_erp.cli.system_errors import output_error, system_error, to_nowhere
from tiktok_erp.errors import ErpError, RulesError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import screen_text
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_FAILURES_SHOWN = 20
_PROGRESS_AFTER_S = 1.0


class _Screen:
    """What all outputs of one process share: one bar at a time, and one line after the other."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}


class Output:
    """Standard output carries results only; warnings, errors and progress go to standard error.

    With `as_json` every line on either is one JSON object; with `quiet` people see failures only. A reader that goes
    away ends a command that only shows something; with `goes_on_unread` the command finishes what it began.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        quiet: bool,
        goes_on_unread: bool = False,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.wants_fields = as_json
        self.counts: Counter[str] = Counter()
        self.new_failures = 0
        self.old_failures = 0
        self.rounds = 0
        self.more_with_json = False  # what was left out is in no quarantine
        self.tells_done_as_planned = False  # what is done is done to a copy
        self.view_row: Callable[[Outcome], Mapping[str, Any]] | None = None  # what the store's view says of an item
        self._goes_on_unread = goes_on_unread
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._started_at = time.monotonic()
        self._shown: Counter[str] = Counter()
        self._in_no_case: set[str] = set()  # causes of rows and pages: the file has to be corrected, no case is left
        self._screen = _Screen()
        self._lost: OSError | None = None  # why standard output took no more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_progress()

    def item(self, outcome: Outcome) -> None:
        """Tell what became of one thing."""
        if self.tells_done_as_planned and outcome.result == "done":
            outcome = replace(outcome, result="planned")
        self.counts[outcome.result] += 1
        if outcome.result == "failed":
            if outcome.is_new:
                self.new_failures += 1
            else:
                self.old_failures += 1
        if self.as_json:
            row = self.view_row(outcome) if self.view_row is not None else {}
            line: dict[str, Any] = {
                "kind": outcome.kind,
                **row,
                **outcome.fields,
                **outcome.ids,
                "result": outcome.result,
            }
            if outcome.cause is not None:
                line["cause"] = outcome.cause
            if outcome.next_step is not None:
                line["next_step"] = outcome.next_step
            for name in ("order_ids", "other_amounts"):  # JSON within a column of a view
                if isinstance(line.get(name), str):
                    line[name] = json.loads(line[name])
            self.json_line(line)
        elif outcome.text is not None:
            self._text(outcome, outcome.text)

    def _text(self, outcome: Outcome, text: str) -> None:
        if outcome.result != "failed":
            if not self.quiet:
                self._print(text, self._stdout)
            return
        if not outcome.is_new:
            return
        self._shown[outcome.cause or ""] += 1
        if outcome.kind in ("row", "page", "file", "id"):
            self._in_no_case.add(outcome.cause or "")
        if self._shown[outcome.cause or ""] > _FAILURES_SHOWN:
            return
        self._print(tr("failed: {text}", text=text), self._stderr)
        if outcome.next_step:
            self._print(tr("  next: {step}", step=outcome.next_step), self._stderr)

    def say(self, text: str) -> None:
        """Tell a result in one sentence."""
        if not self.as_json and not self.quiet:
            self._print(text, self._stdout)

    def say_styled(self, text: str) -> None:
        """Tell a result whose terminal escapes are ours; the caller has passed foreign text through `screen_text`."""
        if not self.as_json and not self.quiet:
            self._print(text, self._stdout, is_safe=True)

    def warn(self, text: str) -> None:
        """Tell a doubt on standard error."""
        if self.as_json:
            self._print(json.dumps({"kind": "warning", "text": text}, ensure_ascii=False), self._stderr)
        elif not self.quiet:
            self._print(tr("note: {text}", text=text), self._stderr)

    def error(self, error: ErpError) -> None:
        """Tell what ended the command."""
        if self.as_json:
            line = {
                "kind": "error",
                "cause": error.cause,
                "text": str(error),
                "subject": error.subject,
                "next_step": error.next_step,
                "exit_code": error.exit_code,
            }
            if isinstance(error, RulesError) and error.faults:
                line["faults"] = list(error.faults)
            self._print(json.dumps(line, ensure_ascii=False), self._stderr)
            return
        self._print(tr("error: {text}", text=error), self._stderr)
        if isinstance(error, RulesError):
            for fault in error.faults:
                self._print(f"  {fault}", self._stderr)
        if error.next_step:
            self._print(tr("  next: {step}", step=error.next_step), self._stderr)

    def begin_round(self) -> None:
        """Begin the next round of a command that watches: what failed in the one before is told anew."""
        self.rounds += 1
        self.new_failures = self.old_failures = 0
        self._shown.clear()
        self._started_at = time.monotonic()

    def end_round(self, exit_code: int, **fields: object) -> None:
        """Close one round of a command that watches."""
        self.end_progress()
        if self.as_json:
            self.json_line({"kind": "round", "round": self.rounds, **fields, "exit_code": exit_code})
        elif not self._stdout.isatty():
            self._stdout.flush()

    def summary(self, exit_code: int, **fields: object) -> None:
        """Close the output: one line about what was hidden, or the JSON summary."""
        self.end_progress()
        if self.as_json:
            counts = {name: self.counts[name] for name in ("done", "planned", "skipped", "failed")}
            self.json_line({"kind": "summary", **counts, **fields, "exit_code": exit_code})
            return
        for cause, shown in self._shown.items():
            if shown > _FAILURES_SHOWN:
                more = shown - _FAILURES_SHOWN
                text = tr("... and {count} more like these; see `tiktok-erp quarantine`", count=more)
                if self.more_with_json or cause in self._in_no_case:
                    text = tr("... and {count} more like these; `--json` lists all of them", count=more)
                self._print(text, self._stderr)
        if self.old_failures and not self.quiet:
            self._print(
                tr("note: {count} old cases wait; see `tiktok-erp quarantine`", count=self.old_failures), self._stderr
            )

    def json_line(self, line: dict[str, Any]) -> None:
        """Print one JSON object on standard output."""
        self._print(json.dumps(line, ensure_ascii=False, default=str), self._stdout, is_safe=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show how far a long piece of work has come: on a terminal, after the first second."""
        if self.as_json or self.quiet or not self._stderr.isatty():
            return
        if time.monotonic() - self._started_at < _PROGRESS_AFTER_S:
            return
        with self._screen.lock:
            self._draw_progress(what, done, total)

    def _draw_progress(self, what: str, done: int, total: int | None) -> None:
        screen = self._screen
        if screen.progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            screen.progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(file=self._stderr),
                transient=True,
            )
            screen.progress.start()
        if what not in screen.tasks:
            screen.tasks[what] = screen.progress.add_task(what, total=total)
        screen.progress.update(screen.tasks[what], completed=done, total=total)

    def end_progress(self) -> None:
        """Take the progress bar off the screen."""
        with self._screen.lock:
            if self._screen.progress is not None:
                self._screen.progress.stop()
                self._screen.progress = None
                self._screen.tasks.clear()

    def _print(self, text: str, stream: IO[str], *, is_safe: bool = False) -> None:
        if not is_safe and not self.as_json:  # JSON stays exact
            text = screen_text(text)
        with self._screen.lock:
            # A bar that is being drawn would run into the line.
            if self._screen.progress is not None and stream.isatty():
                self._screen.progress.console.print(text, markup=False, highlight=False)
                return
            try:
                print(text, file=stream)
            except BrokenPipeError:
                if not self._goes_on_unread:
                    raise
                to_nowhere(stream)
            except OSError as error:
                to_nowhere(stream)
                if stream is self._stderr:  # nobody is left to tell it to
                    return
                self._lost = error
                if not self._goes_on_unread:
                    raise output_error(error) from error

    def finish(self) -> None:
        """Let everything be written. Raises StoreError when standard output did not take all of it."""
        try:
            self._stdout.flush()
        except BrokenPipeError:
            to_nowhere(self._stdout)
        except OSError as error:
            to_nowhere(self._stdout)
            self._lost = error
        if self._lost is not None:
            raise output_error(self._lost)


class StageOutput(Output):
    """What one stage of `run` prints: on the streams of `whole`, with the stage's name, and with counts of its own.

    `before` is the same stage's output of the round before: what it told already is not told again, and a failure that it
    had already is an old one.
    """

    def __init__(self, whole: Output, stage: str, before: StageOutput | None) -> None:
        super().__init__(
            as_json=whole.as_json,
            quiet=whole.quiet,
            goes_on_unread=whole._goes_on_unread,
            stdout=whole._stdout,
            stderr=whole._stderr,
        )
        self._screen = whole._screen
        self._whole = whole
        self.stage = stage
        self.rounds = whole.rounds
        self.said: list[str] = []
        self.doubts: set[str] = set()
        self.failures: set[tuple[str, ...]] = set()
        self._before = before

    def item(self, outcome: Outcome) -> None:
        """Tell what became of one thing, unless it failed in the same way in the round before."""
        if outcome.result == "failed":
            key = (outcome.kind, outcome.cause or "", *(str(value) for value in outcome.ids.values()))
            self.failures.add(key)
            if self._before is not None and key in self._before.failures:
                outcome = replace(outcome, is_new=False)
        super().item(outcome)

    def json_line(self, line: dict[str, Any]) -> None:
        """Print one JSON object, which names the stage that it is of."""
        super().json_line({"kind": line["kind"], "stage": self.stage, **line})

    def say(self, text: str) -> None:
        """Keep a sentence for the end of the stage."""
        self.said.append(text)

    def warn(self, text: str) -> None:
        """Tell a doubt, if the round before did not."""
        self.doubts.add(text)
        if self._before is None or text not in self._before.doubts:
            super().warn(text)

    def end_stage(self, exit_code: int, fields: Mapping[str, object], *, width: int) -> None:
        """Close the stage: one line for people where it says another thing than before, one JSON object for scripts."""
        whole = self._whole
        with self._screen.lock:
            whole.counts.update(self.counts)
            whole.new_failures += self.new_failures
            whole.old_failures += self.old_failures
        if self.as_json:
            counts = {name: self.counts[name] for name in ("done", "planned", "skipped", "failed")}
            self.json_line({"kind": "stage", **counts, **fields, "exit_code": exit_code})
        elif self.said and (self._before is None or self.said != self._before.said):
            for number, text in enumerate(self.said):
                super().say(f"{self.stage if number == 0 else '':{width}} {text}")


def our_fault(error: Exception) -> ErpError:
    """Return what nobody foresaw as an error that can be told: what the system refuses, or a fault of ours by its kind and places."""
    import traceback

    if isinstance(error, OSError):
        return system_error(error)
    # Places only: the values in a traceback could be a buyer's.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tiktok_erp" in frame.filename]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return ErpError(
        tr("a fault in tiktok-erp itself: {kind} at {places}", kind=type(error).__name__, places=places),
        subject="",
        next_step=tr(
            "run `tiktok-erp check`; what was committed is safe. Report this line to whoever maintains the tool"
        ),
    )
