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
        _tell_elsewhere(session)

    run_command("check", context, body, as_json=as_json, quiet=quiet, writes=False)


def _tell_elsewhere(session: Session) -> None:
    """Count what this database did not buy: it is no breach, and it was paid for."""
    from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere

    count = count_bought_elsewhere(session.store)
    if count.labels:
        session.out.item(
            Outcome(
                "bought_elsewhere",
                {},
                "skipped",
                cause="bought_elsewhere",
                next_step=tr("run `tiktok-erp labels adopt` to print them here"),
                fields={"labels": count.labels, "without_cost": count.without_cost},
                text=tr(
                    "{count} labels were bought elsewhere and not printed here; of {unknown} the cost is not known",
                    count=count.labels,
                    unknown=count.without_cost,
                ),
            )
        )


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
