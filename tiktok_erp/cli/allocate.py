"""`allocate`: choose carrier and service level."""

from __future__ import annotations

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, read_names
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("allocate")(allocate)


def allocate(
    context: typer.Context, ids: Ids = None, dry_run: DryRun = False, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Choose a carrier and service level for every open package that has none and is not short of stock.

    The first rule in rules.yaml that covers a package decides; one that no rule covers goes to quarantine.

    \b
    Examples:
      tiktok-erp allocate --dry-run
      tiktok-erp allocate --json | jq 'select(.result == "failed") | {package_id, cause, next_step}'
    """

    def body(session: Session) -> None:
        from tiktok_erp.allocation.run import allocate as run_allocation

        count = run_allocation(
            session.store,
            session.rules(required=True),
            session.out,
            only=session.packages(read_names(ids)),
            run_id=session.run_id,
            dry_run=dry_run,
        )
        session.summary.update(allocated=count.allocated, short=count.short)
        session.out.say(
            tr(
                "{allocated} packages have a carrier, {short} wait for stock",
                allocated=count.allocated,
                short=count.short,
            )
        )

    run_command("allocate", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="allocate")
