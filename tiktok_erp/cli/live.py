"""`live`: say when a stream begins and ends."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tiktok_erp.cli.options import All, DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

_SHOWN = 20  # sessions, on a terminal

live_app = typer.Typer(help="Say when a stream begins and ends.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(live_app, name="live")


@live_app.command("start")
def start(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the stream.")],
    skus: Annotated[
        list[str] | None,
        typer.Option(
            "--sku", help="A SKU that it sells, or a glob; may be repeated.  [default: all]", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Begin a live session: safety-stock rules with `live: true` hold for its SKUs until it is stopped.

    \b
    Examples:
      tiktok-erp live start friday --sku "LNG-*" --sku MUG-RED
      tiktok-erp live start friday --json
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.live import start_session

        if not name.strip():
            raise UsageError(
                tr("the stream needs a name"), subject="NAME", next_step=tr("run `tiktok-erp live start friday`")
            )
        with session.store.transaction(keep=not dry_run):
            is_new = start_session(session.store, name, skus or [], utc_now())
        result = ("planned" if dry_run else "done") if is_new else "skipped"
        cause = None if is_new else "already_running"
        session.out.item(Outcome("live", {"name": name}, result, cause=cause, fields={"skus": skus or []}))
        session.out.say(
            tr("{name} is live since now; `tiktok-erp reserve-stock` pushes what it changes", name=name)
            if is_new
            else tr("{name} is live already", name=name)
        )

    run_command("live", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@live_app.command("stop")
def stop(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which; none: all.", show_default=False)] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """End a live session, or all that are running.

    \b
    Examples:
      tiktok-erp live stop friday
      tiktok-erp live stop
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.live import stop_sessions

        with session.store.transaction(keep=not dry_run):
            names = stop_sessions(session.store, name, utc_now())
        for ended in names:
            session.out.item(Outcome("live", {"name": ended}, "planned" if dry_run else "done"))
            session.out.say(tr("{name} has ended", name=ended))
        if not names:
            session.out.warn(tr("no session of this name is running") if name else tr("no session is running"))

    run_command("live", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@live_app.command("list")
def list_sessions(context: typer.Context, everything: All = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """List the sessions that were started, and the rooms that orders came from of late.

    \b
    Examples:
      tiktok-erp live list
      tiktok-erp live list --json | jq 'select(.kind == "room") | .units'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.tables import print_table, terminal_width
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.live import load_rooms, load_sessions

        rules = session.rules()
        is_cut = not everything and not session.out.as_json and terminal_width() is not None
        sessions = load_sessions(session.store, _SHOWN if is_cut else None)
        rooms = load_rooms(session.store, utc_now() - rules.live.look_back)
        if session.out.as_json:
            for row in sessions:
                session.out.item(Outcome("live", {}, "done", fields=dict(row) | {"skus": json.loads(row["skus"])}))
            for row in rooms:
                session.out.item(Outcome("room", {}, "done", fields=dict(row)))
            return
        print_table(
            session.out,
            [tr("session"), tr("SKUs"), tr("from (UTC)"), tr("to")],
            [
                [
                    row["name"],
                    ", ".join(json.loads(row["skus"])) or tr("all"),
                    row["started_at"],
                    row["ended_at"] or tr("running"),
                ]
                for row in sessions
            ],
        )
        if is_cut and len(sessions) >= _SHOWN:
            session.out.say(tr("earlier sessions: `--all`"))
        print_table(
            session.out,
            [tr("room"), tr("first order (UTC)"), tr("last order"), tr("units"), tr("SKUs")],
            [[row["room"], row["first_at"], row["last_at"], row["units"], row["skus"]] for row in rooms],
        )
        if not sessions and not rooms:
            session.out.say(
                tr(
                    "no session was started, and no order of the last {time} came from a room",
                    time=_minutes(rules.live.look_back.total_seconds()),
                )
            )

    run_command("live", context, body, as_json=as_json, quiet=quiet, writes=False)


def _minutes(seconds: float) -> str:
    return tr("{count} min", count=int(seconds // 60))
