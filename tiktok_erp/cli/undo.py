"""`undo`: take back what one run did, as far as it is still ours, and say plainly what is not."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet, Yes
from tiktok_erp.cli.session import Session, agreed, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome

_LOCKS = ("upload-tracking", "print-labels", "allocate", "reserve-stock")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("undo")(undo)


def undo(
    context: typer.Context,
    run: Annotated[
        int, typer.Argument(metavar="RUN", help="A run id: as `orders evidence` or the view v_runs shows it.")
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take one run back: release its reservations, drop its queued uploads, void its labels where the source allows it.

    What has reached the channel or a carrier cannot be undone and is listed, with what a person can do (exit code 3). A run
    of `run` is undone with all its stages. --yes also takes back labels whose number the channel knows.

    \b
    Examples:
      tiktok-erp undo 41 --dry-run
      tiktok-erp undo 41
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.undo import load_newest, load_run, load_stages

        session.out.more_with_json = True

        found = load_run(session.store, run)
        if found is None:
            raise UsageError(
                tr("there is no such run"),
                subject=str(run),
                next_step=tr(
                    "the newest runs are {runs}; the view v_runs has them all",
                    runs=", ".join(f"{row['run_id']} ({row['command']})" for row in load_newest(session.store)) or "-",
                ),
            )
        question = tr("Undo run {run} ({command}, {at})?", run=run, command=found["command"], at=found["started_at"])
        if not dry_run and not agreed(session, question, yes=yes):
            return
        with ExitStack() as stack:
            if not all(stack.enter_context(session.alone(lock)) for lock in _LOCKS):
                raise UsageError(
                    tr("another command is at work on this database"),
                    subject=str(session.options.db),
                    next_step=tr("wait until it has ended, then run this again"),
                )
            for stage in load_stages(session.store, found):
                if (
                    stage["command"] != "sync" or stage["run_id"] == run
                ):  # as a stage it is nothing that anybody would undo
                    _Undo(session, stage, even_if_told=yes).undo()
        done = session.out.counts["planned" if dry_run else "done"]
        session.out.say(
            tr("{count} things taken back, {failed} cannot be", count=done, failed=session.out.counts["failed"])
        )

    run_command("undo", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="undo")


class _Undo:
    """One run being taken back."""

    def __init__(self, session: Session, run: sqlite3.Row, *, even_if_told: bool) -> None:
        self._session = session
        self._store = session.store
        self._run = run
        self._even_if_told = even_if_told

    def undo(self) -> None:
        """Take back what is ours, the last step first."""
        self._uploads()
        self._labels()
        since, until = self._time()
        if self._run["command"] == "allocate":
            self._allocations(since, until)
        if self._run["command"] == "reserve-stock":
            self._reservations(since, until)
        if self._run["command"] not in (
            "upload-tracking",
            "print-labels",
            "labels",
            "allocate",
            "reserve-stock",
            "run",
        ):
            self._nothing_of()

    def _time(self) -> tuple[datetime, datetime]:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.undo import load_next_start

        ended_at = self._run["ended_at"] or load_next_start(self._store, self._run)
        return from_text(self._run["started_at"]), from_text(ended_at) if ended_at else utc_now()

    def _uploads(self) -> None:
        from tiktok_erp.store.outbox import drop
        from tiktok_erp.store.tracking import UNDONE
        from tiktok_erp.store.undo import load_uploads

        for row in load_uploads(self._store, self._run["run_id"]):
            ids = {"order_id": row["subject"], "package_id": row["package_id"]}
            if row["state"] == "intent":
                if not self._session.dry_run:
                    with self._store.transaction():
                        drop(self._store, [row["outbox_id"]], UNDONE)
                self._took_back("upload", ids, tr("{order}: its number is not told", order=row["subject"]))
            elif row["state"] in ("sent", "unknown", "done"):
                is_certain = row["state"] == "done"
                self._cannot(
                    "upload",
                    ids,
                    "told" if is_certain else "outcome_unknown",
                    tr("{order}: the channel was told already", order=row["subject"])
                    if is_certain
                    else tr("{order}: nobody knows yet whether the channel was told", order=row["subject"]),
                    self._advice(row["kind"]),
                )

    def _advice(self, kind: str) -> str:
        if kind in ("mark_shipped", "ship_package"):
            return tr(
                "a shipped order stays shipped; `tiktok-erp upload-tracking --correct ID NUMBER` replaces the number, once"
                " and within 72 hours"
            )
        return tr("see the order in Seller Center; this cannot be taken back")

    def _labels(self) -> None:
        from tiktok_erp.labels.void import void_labels
        from tiktok_erp.store.undo import load_labels_of

        packages = load_labels_of(self._store, self._run["run_id"])
        if packages:
            void_labels(
                self._store,
                lambda name: self._session.label_source(),
                self._session.out,
                packages,
                dry_run=self._session.dry_run,
                even_if_told=self._even_if_told,
            )

    def _allocations(self, since: datetime, until: datetime) -> None:
        from tiktok_erp.store.packages import withdraw_allocations
        from tiktok_erp.store.undo import load_allocated

        packages = load_allocated(self._store, since, until)
        if not self._session.dry_run:
            with self._store.transaction():
                packages = withdraw_allocations(self._store, packages)
        for package_id in packages:
            self._took_back(
                "package", {"package_id": package_id}, tr("{package}: no carrier any more", package=package_id)
            )
        if packages:
            self._session.out.warn(
                tr(
                    "orders that were combined stay combined; the next `allocate` decides anew, so change the rules first"
                )
            )

    def _reservations(self, since: datetime, until: datetime) -> None:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.undo import count_pushes, load_reserved, release_units

        rows = load_reserved(self._store, since, until)
        free = [row for row in rows if not row["has_label"]]
        if not self._session.dry_run:
            with self._store.transaction():
                release_units(self._store, [row["unit_id"] for row in free], utc_now())
        for row in free:
            text = tr("{order}: one {sku} is released", order=row["order_id"], sku=row["sku"])
            self._took_back("unit", {"unit_id": row["unit_id"], "order_id": row["order_id"]}, text)
        for row in rows:
            if row["has_label"]:
                self._cannot(
                    "unit",
                    {"unit_id": row["unit_id"], "order_id": row["order_id"]},
                    "labelled",
                    tr("{order}: its label is bought, so its stock stays promised", order=row["order_id"]),
                    tr("take the label back first: `tiktok-erp labels void ID`"),
                )
        pushes = count_pushes(self._store, self._run["run_id"])
        if pushes:
            self._cannot(
                "push",
                {"run_id": self._run["run_id"]},
                "pushed",
                tr("{count} quantities were pushed to the channel", count=pushes),
                tr("the next `tiktok-erp reserve-stock` pushes what is right then; it also reserves again"),
            )

    def _nothing_of(self) -> None:
        self._cannot(
            "run",
            {"run_id": self._run["run_id"]},
            "not_undoable",
            tr("run {run}: `{command}` cannot be undone", run=self._run["run_id"], command=self._run["command"]),
            tr("what was fetched is the channel's own; counts are corrected by `tiktok-erp stock adjust` or `count`"),
        )

    def _took_back(self, kind: str, ids: dict[str, object], text: str) -> None:
        self._session.out.item(Outcome(kind, ids, "planned" if self._session.dry_run else "done", text=text))

    def _cannot(self, kind: str, ids: dict[str, object], cause: str, what: str, step: str) -> None:
        self._session.out.item(Outcome(kind, ids, "failed", cause=cause, next_step=step, text=what))
