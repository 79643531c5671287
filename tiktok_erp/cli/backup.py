"""`backup` and `restore`: the whole of a database and its label documents in one file, and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Globals, Json, Quiet, Yes
from tiktok_erp.cli.output import Output, our_fault
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError, Interrupted
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.store.backup import Restored


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; an older backup there is replaced.")],
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the database and all label documents into one file (a ZIP, readable by you alone), while work goes on.

    Tokens and settings are not in it. The file appears whole or not at all.

    \b
    Examples:
      tiktok-erp backup shop-2026-11-30.zip
      tiktok-erp backup /media/usb/shop.zip --quiet
      30 3 * * * cd /home/me/shop && tiktok-erp backup backup/shop-$(date +\\%a).zip --quiet
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.backup import as_fields, write_backup
        from tiktok_erp.store.database import utc_now

        facts = write_backup(session.store, file, utc_now(), dry_run=dry_run)
        session.out.item(
            Outcome(
                "backup",
                {"file": str(file)},
                "planned" if dry_run else "done",
                fields=as_fields(facts),
                text=tr(
                    "{file}: {orders} orders and {documents} label documents, {size} MB",
                    file=file,
                    orders=facts.orders,
                    documents=facts.documents,
                    size=f"{facts.size / 1e6:.1f}",
                ),
            )
        )
        if facts.missing:
            session.out.warn(
                tr(
                    "{count} label documents that the database names are not in their folder, and not in the backup:"
                    " run `tiktok-erp check`",
                    count=facts.missing,
                )
            )

    run_command("backup", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, writes=False)


def restore(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `backup` made, or a copy of a database made in another way.")
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put a backup in the place of the database, which is kept beside it under another name.

    Refused while a command or another program works on the database. Tokens and settings stay as they are. Until the next
    `sync` has asked what was bought and shipped since, nothing is bought, pushed or uploaded; labels that may be on
    paper are printed by `labels adopt` only.

    \b
    Examples:
      tiktok-erp restore shop-2026-11-30.zip --dry-run
      tiktok-erp restore shop-2026-11-30.zip && tiktok-erp sync
      tiktok-erp restore shop.db.schema-11.bak
    """
    options: Globals = context.obj
    with Output(as_json=as_json, quiet=quiet) as out:
        try:
            code = _restore(options.db, file, out, yes=yes, dry_run=dry_run)
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except Exception as error:
            out.error(our_fault(error))
            code = 1
        out.summary(code)
    raise typer.Exit(code)


def _restore(database: Path, file: Path, out: Output, *, yes: bool, dry_run: bool) -> int:
    from tiktok_erp.store.backup import as_fields, nobody_works, read_backup, restore_backup
    from tiktok_erp.store.database import utc_now

    facts = read_backup(file)
    question = tr("Replace {database} by {file} ({orders} orders)?", database=database, file=file, orders=facts.orders)
    is_asked = not (dry_run or yes or out.as_json) and sys.stdin.isatty() and sys.stderr.isatty()
    if is_asked and database.exists() and not typer.confirm(question, default=False, err=True):
        return 0
    with nobody_works(database):
        done = restore_backup(file, database, utc_now(), dry_run=dry_run)
    fields = as_fields(done.facts) | {
        "documents": done.documents,
        "missing": done.missing,
        "replaced": str(done.aside) if done.aside is not None else None,
    }
    out.item(
        Outcome(
            "restore",
            {"file": str(file)},
            "planned" if dry_run else "done",
            fields=fields,
            text=tr(
                "{database}: {orders} orders, {documents} label documents written",
                database=database,
                orders=done.facts.orders,
                documents=done.documents,
            ),
        )
    )
    _tell(out, done, dry_run=dry_run)
    return 0


def _tell(out: Output, done: Restored, *, dry_run: bool) -> None:
    if done.missing:
        out.warn(
            tr(
                "{count} label documents are missing: this file has none of them. Copy the folder of labels from where it was"
                " made, or print these labels from where they were bought",
                count=done.missing,
            )
        )
    if dry_run:
        return
    if done.aside is not None:
        out.say(tr("what was replaced is kept as {file}", file=done.aside))
    out.say(tr("no token is in a backup: the token file beside the database stays as it is"))
    out.say(
        tr("the database does not know what was done since: run `tiktok-erp sync` before anything is bought or pushed")
    )
