"""`check`: prove the promises on the file."""

from __future__ import annotations

import typer

from tiktok_erp.cli.options import Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("check")(check)


def check(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Prove on the database and the label store what the tool promises; 3 when something does not hold.

    \b
    Examples:
      tiktok-erp check
      tiktok-erp check --json | jq 'select(.result == "failed")'
    """

    def body(session: Session) -> None:
        from tiktok_erp.errors import LabelFileError
        from tiktok_erp.store.checks import CHECKS, count_held_documents, find_breaches, iterate_held_documents
        from tiktok_erp.store.label_files import LabelFiles

        for statement in CHECKS:
            rows = find_breaches(session.store, statement)
            _tell(session, statement.name, tr(statement.promise), [str(row[0]) for row in rows])
        files = LabelFiles(session.store.path)
        broken = []
        held = count_held_documents(session.store)
        for number, row in enumerate(iterate_held_documents(session.store), start=1):
            try:
                files.load(row["sha256"])
            except LabelFileError as error:
                broken.append(f"{row['package_id']}: {error.what}")
            session.out.progress(tr("label files"), number, held)
        _tell(session, "label_files", tr("every label that is held can be printed"), broken)

    run_command("check", context, body, as_json=as_json, quiet=quiet, writes=False)


def _tell(session: Session, name: str, promise: str, breaches: list[str]) -> None:
    if not breaches:
        session.out.item(
            Outcome(
                "check", {"check": name}, "done", fields={"promise": promise}, text=tr("ok: {promise}", promise=promise)
            )
        )
        return
    session.out.item(
        Outcome(
            "check",
            {"check": name},
            "failed",
            cause=name,
            next_step=tr("restore a backup, or ask whoever maintains the tool with this output"),
            fields={"promise": promise, "subjects": breaches},
            text=tr("does not hold: {promise} ({examples})", promise=promise, examples=", ".join(breaches[:5])),
        )
    )
