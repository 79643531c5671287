"""`init`: a commented rules.yaml, an empty database, and cron lines to copy."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("init")(init)


def init(
    context: typer.Context,
    market: Annotated[str, typer.Option("--market", help="Which market's defaults: us.")] = "us",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented rules.yaml and an empty database; an existing file is never touched.

    \b
    Examples:
      tiktok-erp init
      tiktok-erp --db beauty.db --rules beauty.yaml init
    """

    def body(session: Session) -> None:
        from tiktok_erp.config.rules_file import default_rules_text

        if market != "us":
            raise UsageError(
                tr("this version has defaults for the market us only"),
                subject=market,
                next_step=tr("run `tiktok-erp init` and adapt rules.yaml"),
            )
        path = session.options.rules
        if path.exists():
            session.out.item(
                Outcome(
                    "file",
                    {"file": str(path)},
                    "skipped",
                    cause="exists",
                    text=tr("{file} is there already", file=path),
                )
            )
        else:
            if not dry_run:
                with path.open("x", encoding="utf-8") as file:
                    file.write(default_rules_text())
            session.out.item(
                Outcome(
                    "file",
                    {"file": str(path)},
                    "planned" if dry_run else "done",
                    text=tr("{file} written: check ship_from, the carriers and the caps in it", file=path),
                )
            )
        session.out.item(
            Outcome(
                "file",
                {"file": str(session.options.db)},
                "planned" if dry_run else "done",
                text=tr("{file} is ready", file=session.options.db),
            )
        )
        _cron_lines(session)

    run_command("init", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, create=True)


def _cron_lines(session: Session) -> None:
    command = f"cd {session.options.db.absolute().parent} && {sys.executable} -m tiktok_erp"
    session.out.say(tr("lines for `crontab -e` (secrets: see TIKTOK_ERP_SECRETS in the README):"))
    session.out.say(f"*/5 * * * * {command} sync --quiet && {command} reserve-stock --quiet")
    session.out.say(f"*/15 * * * * {command} allocate --quiet; {command} upload-tracking --quiet")
    session.out.say(f"*/5 * * * * {command} alerts check --max-age 15m --quiet")
