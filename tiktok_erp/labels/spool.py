"""Hand a batch to printers in jobs, and believe that a label is on paper only when its printer said so.

A job is written down before it leaves. What a crash or a lost answer leaves open is asked for by the next run; where a
printer cannot tell, a person looks at the paper, and nothing is printed twice by itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tiktok_erp.errors import ErpError, LabelFileError, OutcomeUnknown, PrinterError, SettingsError, UsageError
from tiktok_erp.labels.lists import label_pages
from tiktok_erp.labels.paper import MEDIA, take_pages
from tiktok_erp.labels.plan import next_step_for, position_text, step_of_moved
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.printers.base import JobState, Printer, open_printer
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.database import Store
from tiktok_erp.store.print_jobs import (
    leave_out,
    load_job_labels,
    load_jobs,
    mark_printed,
    save_job,
    take_job,
)

JOB_SIZE = 100
# A job of a hundred labels takes a slow printer two minutes; a person may have to bring paper.
_PATIENCE_S = 900.0
_FIRST_POLL_S = 0.2
_LONGEST_POLL_S = 2.0
_TELL_TROUBLE_AFTER_S = 10.0


@dataclass(slots=True)
class SpoolCount:
    """What printers did: labels on paper, labels that were left out, and jobs that a person has to look at.

    `opened` counts jobs that a person has before them in a viewer, and has not confirmed.
    """

    printed: int = 0
    held_back: int = 0
    doubtful: int = 0
    opened: int = 0


@dataclass(slots=True)
class _Running:
    job: sqlite3.Row
    name: str
    since: float
    left_out: list[int]
    has_told: bool = False


@dataclass(slots=True)
class _Line:
    """The printers that still work, and what each is at."""

    idle: list[Printer]
    running: dict[str, _Running] = field(default_factory=dict)


class Spool:
    """Sends the planned jobs of one station to its printers. `confirm` asks a person whether a range is on paper."""

    def __init__(
        self,
        store: Store,
        printers: Sequence[Printer],
        report: Report,
        *,
        paper: str | None,
        station: str | None,
        run_id: int | None,
        confirm: Callable[[str], bool] = lambda range_: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._printers = {printer.name: printer for printer in printers}
        self._line = _Line(list(printers))
        self._report = report
        self._paper = paper
        self._station = station
        self._run_id = run_id
        self._confirm = confirm
        self._clock = clock
        self._sleep = sleep
        self._trouble: PrinterError | None = None
        self.count = SpoolCount()

    def settle(self) -> None:
        """Ask what became of jobs that an earlier run sent and did not see the end of."""
        for job in load_jobs(self._store, "sent", station=self._station):
            name = job["printer_job"]
            if name is None:  # the run ended before the printer had named it
                self._end(job, JobState("unknown"), [])
                continue
            try:
                printer = self._printers.get(job["printer"]) or open_printer(job["printer"])
                state = printer.state(name)
            except ErpError as error:
                self._report.warn(tr("{printer} cannot be asked: {reason}", printer=job["printer"], reason=error.what))
                continue
            if state.progress == "waiting":
                self._report.warn(tr("{printer} still has {range}", printer=job["printer"], range=_range(job)))
                continue
            self._end(job, state, [])
        self._remind()

    def run(self) -> None:
        """Send every planned job, each printer one at a time, and wait until all are over.

        Raises PrinterError when no printer is left while there is something to print.
        """
        jobs = load_jobs(self._store, "planned", station=self._station)
        total, pause = len(jobs), _FIRST_POLL_S
        while jobs or self._line.running:
            while jobs and self._line.idle:
                self._send(self._line.idle.pop(0), jobs)
            if jobs and not self._line.running and not self._line.idle:
                break
            if self._line.running:
                self._report.progress(tr("printing"), total - len(jobs) - len(self._line.running), total)
                self._sleep(pause)
                before = len(self._line.running)
                self._poll()
                pause = _FIRST_POLL_S if len(self._line.running) < before else min(_LONGEST_POLL_S, pause * 1.5)
        if jobs and self._trouble is not None:
            raise self._trouble

    def _send(self, printer: Printer, jobs: list[sqlite3.Row]) -> None:
        job = jobs.pop(0)
        rows = load_job_labels(self._store, job["batch_id"], job["first"], job["last"])
        good = [row for row in rows if why_held_back(row) is None]
        left_out = [int(row["label_id"]) for row in rows if row not in good]
        with self._store.transaction():
            if not take_job(self._store, job["job_id"], printer.name, self._run_id):
                self._line.idle.append(printer)
                return
        self._tell_left_out([row for row in rows if row not in good])
        if not good:
            self._end(job, JobState("done"), left_out)
            self._line.idle.append(printer)
            return
        try:
            folder = self._store.path.parent / job["directory"]
            pdf = take_pages(folder / "labels.pdf", label_pages(folder, good), self._paper)
        except ErpError:
            self._put_back(job)
            raise
        try:
            # Ctrl-C waits: a job that is handed over and not written down would be anybody's guess.
            with undisturbed():
                name = printer.send(pdf, title=f"tiktok-erp {_range(job)}", media=MEDIA[self._paper or "4x6"])
                with self._store.transaction():
                    save_job(self._store, job["job_id"], "sent", printer_job=name)
        except PrinterError as error:
            # Nothing of it was printed: another printer takes it, or the next run.
            self._trouble = error
            if len(self._printers) > 1:
                self._report.warn(f"{error.what} ({printer.name})")
            jobs.insert(0, job)
            self._put_back(job)
            return
        except OutcomeUnknown as error:
            self._end(job, JobState("unknown", error.what), left_out)
            return
        except LabelFileError:
            self._put_back(job)
            raise
        self._line.running[printer.name] = _Running(job, name, self._clock(), left_out)

    def _put_back(self, job: sqlite3.Row) -> None:
        with self._store.transaction():
            save_job(self._store, job["job_id"], "planned")

    def _poll(self) -> None:
        for printer_name, running in list(self._line.running.items()):
            printer = self._printers[printer_name]
            waited_s = self._clock() - running.since
            try:
                state = printer.state(running.name)
            except (PrinterError, OutcomeUnknown) as error:
                state = JobState("waiting", error.what)
            if state.progress != "waiting":
                del self._line.running[printer_name]
                self._end(running.job, state, running.left_out)
                if state.progress in ("done", "opened"):
                    self._line.idle.append(printer)
                continue
            if waited_s > _TELL_TROUBLE_AFTER_S and not running.has_told and state.detail:
                running.has_told = True
                self._report.warn(tr("{printer}: {detail}", printer=printer_name, detail=state.detail))
            if waited_s > _PATIENCE_S:
                del self._line.running[printer_name]
                self._report.warn(
                    tr(
                        "{printer} still has {range}; run this again once it is printed",
                        printer=printer_name,
                        range=_range(running.job),
                    )
                )

    def _end(self, job: sqlite3.Row, state: JobState, left_out: Sequence[int]) -> None:
        if state.progress == "opened":
            if not self._confirm(_range(job)):
                self._leave_to_person(job)
                return
            state = JobState("done")
        with self._store.transaction():
            save_job(self._store, job["job_id"], state.progress, detail=state.detail or None)
            if state.progress == "done":
                leave_out(self._store, left_out)
                self.count.printed += mark_printed(
                    self._store, job["batch_id"], job["first"], job["last"], without=left_out, is_on_paper=True
                )
        if state.progress == "done":
            self._report.item(Outcome("print_job", _ids(job), "done", fields={"positions": _range(job)}))
            return
        self.count.doubtful += 1
        self._report.item(
            Outcome(
                "print_job",
                _ids(job),
                "failed",
                cause="print_unknown" if state.progress == "unknown" else "print_failed",
                next_step=_look(job),
                fields={"positions": _range(job), "detail": state.detail},
                text=(
                    tr("{range}: nobody can tell whether it was printed", range=_range(job))
                    if state.progress == "unknown"
                    else tr("{range}: the printer gave up ({detail})", range=_range(job), detail=state.detail or "?")
                ),
            )
        )

    def _leave_to_person(self, job: sqlite3.Row) -> None:
        with self._store.transaction():
            save_job(self._store, job["job_id"], "unknown", detail="opened")
        self.count.opened += 1
        text = tr(
            "{range} is open in the viewer: print it at 100 %. Only you can tell whether it is on paper",
            range=_range(job),
        )
        step = _look(job)
        fields = {"positions": _range(job)}
        self._report.item(
            Outcome(
                "print_job",
                _ids(job),
                "skipped",
                cause="to_confirm",
                next_step=step,
                fields=fields,
                text=f"{text}: {step}",
            )
        )

    def _remind(self) -> None:
        for job in load_jobs(self._store, "failed", "unknown", station=self._station):
            self._report.warn(tr("{range} may or may not be on paper: {step}", range=_range(job), step=_look(job)))

    def _tell_left_out(self, rows: Sequence[sqlite3.Row]) -> None:
        for row in rows:
            self.count.held_back += 1
            cause = why_held_back(row) or ""
            ids = {"package_id": row["package_id"]}
            is_moved = cause == "address_changed"
            step = step_of_moved(row["package_id"], row["source"]) if is_moved else next_step_for(cause)
            self._report.item(Outcome("package", ids, "skipped", cause=cause, next_step=step))


def why_held_back(row: sqlite3.Row) -> str | None:
    """Return why a held label must not go on paper by itself, None where nothing forbids it."""
    reasons = (
        ("barcode_contradiction", row["barcode"] == "contradiction"),
        ("other_address", row["address_check"] == "contradiction"),
        ("order_cancelled", row["is_cancelled"]),
        ("cancel_requested", row["cancel_requested"]),
        ("address_changed", row["is_moved"]),
    )
    return next((cause for cause, holds in reasons if holds), None)


def open_printers(names: Sequence[str], store: Store, *, from_rules: bool = False) -> list[Printer]:
    """Return the printers of these names, each once, after a look whether there are such.

    Raises UsageError for one that there is not, SettingsError where rules.yaml names it. One that is off is no fault here:
    labels are bought in time, and its jobs wait.
    """
    try:
        printers = [open_printer(name, batches_folder(store)) for name in dict.fromkeys(names)]
        for printer in printers:
            printer.find()
    except UsageError as error:
        if not from_rules:
            raise
        raise SettingsError(
            error.what,
            subject="printing.printers",
            next_step=tr("correct `printing.printers` in rules.yaml: {step}", step=error.next_step),
        ) from error
    return printers


def batches_folder(store: Store) -> Path:
    """Return where the batches of a database lie: `shop.db` keeps them in `shop.batches`."""
    return store.path.with_name(store.path.stem + ".batches")


def batch_file(store: Store, batch: sqlite3.Row) -> Path:
    """Return where the labels of a batch lie."""
    return store.path.parent / str(batch["directory"]) / "labels.pdf"


def _ids(job: sqlite3.Row) -> dict[str, object]:
    return {"batch_id": job["batch_id"], "printer": job["printer"]}


def _range(job: sqlite3.Row) -> str:
    return f"{position_text(job['batch_id'], job['first'])}..{job['last']:03d}"


def _look(job: sqlite3.Row) -> str:
    return tr(
        "look at the last printed label and run `tiktok-erp print-labels --resume-from {position}` with the one after it"
        " ({end} if all are on paper)",
        position=position_text(job["batch_id"], job["first"]),
        end=position_text(job["batch_id"], job["last"] + 1),
    )
