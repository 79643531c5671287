"""`sync`: fetch orders from the channel, or take over an export of Seller Center."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sync")(sync)


def sync(
    context: typer.Context,
    channel: Annotated[str, typer.Option("--channel", help="Which channel to fetch from.")] = "tiktok",
    since: Annotated[
        str | None, typer.Option("--since", help="How far back: 2h, 3d, or 2026-11-01.", show_default=False)
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Read a Seller Center order export instead.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch every order that changed, or take over an order export.

    \b
    Examples:
      tiktok-erp sync
      tiktok-erp sync --since 3d --json | jq -r 'select(.kind == "order") | .order_id'
      tiktok-erp sync --from "All order-2026-11-21-18_30.csv"
    """

    def body(session: Session) -> None:
        if channel != "tiktok":
            raise UsageError(
                tr("this version knows the channel tiktok only"), subject=channel, next_step=tr("leave --channel out")
            )
        from tiktok_erp.sync.run import sync_channel, sync_file

        rules = session.rules()
        start = _since(since)
        if from_file is not None:
            count = sync_file(session.store, from_file, rules, session.out, run_id=session.run_id, dry_run=dry_run)
        else:
            require_credentials_or_file(
                session, tr("set the TIKTOK_SHOP_ settings, or run `tiktok-erp sync --from FILE` with an order export")
            )
            count = sync_channel(
                session.store,
                session.shop(),
                rules,
                session.out,
                run_id=session.run_id,
                since=start,
                dry_run=dry_run,
            )
        session.summary.update(new=count.new, changed=count.changed, unchanged=count.unchanged, unreadable=count.failed)
        session.out.say(
            tr(
                "{new} new orders, {changed} changed, {unchanged} as before",
                new=count.new,
                changed=count.changed,
                unchanged=count.unchanged,
            )
        )

    run_command("sync", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, create=True, lock="sync")


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    from tiktok_erp.model.moment import parse_duration
    from tiktok_erp.store.database import utc_now

    try:
        return utc_now() - parse_duration(text)
    except ValueError:
        pass
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            tr("{text} is neither a length of time nor a date", text=text),
            subject="--since",
            next_step=tr("write it as 2h, 3d or 2026-11-01"),
        ) from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
