"""`reserve-stock`: promise counted pieces to units, and push what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, StaleOk, Yes, read_names, require_template
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("reserve-stock")(reserve_stock)


def reserve_stock(
    context: typer.Context,
    ids: Ids = None,
    push: Annotated[
        bool | None,
        typer.Option(
            "--push/--no-push",
            help="Push what can still be sold.  [default: where there are credentials]",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[str, typer.Option("--channel", help="Which channel to push to.")] = "tiktok",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Fill this stock template, downloaded from Seller Center, in place of a push.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    stale_ok: StaleOk = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give every promised unit a counted piece, earliest deadline first, and push what is left to the channel.

    A SKU that was never counted holds nothing back and is never pushed.

    \b
    Examples:
      tiktok-erp reserve-stock
      tiktok-erp reserve-stock --no-push --json | jq 'select(.cause == "short") | .sku'
      tiktok-erp reserve-stock --to bulk-edit.xlsx
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.push import push as push_quantities
        from tiktok_erp.stock.run import reserve
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.runs import require_fresh

        if to is not None and push:
            raise UsageError(
                tr("--to fills a file and --push sends: choose one"),
                subject="--to",
                next_step=tr("leave one of the two out"),
            )
        if to is not None:
            require_template(to, "--to", "stock_template")
        if channel != "tiktok":
            raise UsageError(
                tr("this version knows the channel tiktok only"), subject=channel, next_step=tr("leave --channel out")
            )
        rules = session.rules()
        only = session.orders(read_names(ids))
        count = reserve(session.store, rules, session.out, only_orders=only, dry_run=dry_run)
        session.out.say(
            tr(
                "{held} units hold stock now, {short} are short ({before} were before)",
                held=count.held,
                short=count.short + count.already_short,
                before=count.already_short,
            )
        )
        wants_push = push if push is not None else session.settings().tiktok_is_set()
        if to is not None:
            from tiktok_erp.stock.push import fill_template

            cells = fill_template(
                session.store, to, session.out, count, channel=channel, rules=rules, dry_run=dry_run, yes=yes
            )
            session.out.say(
                tr("{count} quantity cells of {file} changed; upload it in Seller Center", count=cells, file=to.name)
            )
            session.summary.update(cells=cells)
        elif wants_push and only != []:
            session.require_up_to_date()
            shop = session.shop()
            require_fresh(
                session.store,
                shop.name,
                at_most=rules.freshness.push,
                now=utc_now(),
                stale_ok=stale_ok,
                file_counts=False,
            )
            push_quantities(
                session.store,
                shop,
                session.out,
                count,
                rules=rules,
                run_id=session.run_id,
                dry_run=dry_run,
                yes=yes,
                stale_ok=stale_ok,
            )
            session.out.say(tr("{count} quantities pushed to TikTok", count=count.pushed))
        elif push is None:
            session.out.say(tr("nothing pushed: there are no credentials for a channel"))
        session.summary.update(held=count.held, short=count.short + count.already_short, pushed=count.pushed)

    run_command("reserve-stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="reserve-stock")
