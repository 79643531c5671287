"""`sync`: fetch orders from the channel, or take over an export of Seller Center."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.errors import ChannelDown, ChannelRefused, ErpError, UsageError
from tiktok_erp.messages import tr

_SHORTEST, _SHORT = timedelta(seconds=10), timedelta(seconds=30)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sync")(sync)


def sync(
    context: typer.Context,
    channel: Annotated[str, typer.Option("--channel", help="Which channel to fetch from.")] = "tiktok",
    since: Annotated[
        str | None, typer.Option("--since", help="How far back: 2h, 3d, or 2026-11-01.", show_default=False)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on fetching until stopped (Ctrl-C, SIGTERM).")] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--every", help="With --watch: from start to start, 10s or more.  [default: sync.every]", show_default=False
        ),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Read a Seller Center order export instead.", show_default=False)
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            "--audit", help="Compare the database with an order export; nothing is fetched.", show_default=False
        ),
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
      tiktok-erp sync --watch --every 60s
      tiktok-erp sync --from "All order-2026-11-21-18_30.csv"
      tiktok-erp sync --audit "All order-2026-11-21-18_30.csv"
    """
    length = _every(every, watch=watch, alone=from_file is None and audit is None)
    if audit is not None:
        _audit(context, audit, from_file, as_json=as_json, quiet=quiet)

    def body(session: Session) -> None:
        if channel != "tiktok":
            raise UsageError(
                tr("this version knows the channel tiktok only"), subject=channel, next_step=tr("leave --channel out")
            )
        from tiktok_erp.cli.catch_up import catch_up, tell_news
        from tiktok_erp.store.behind import why_behind
        from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere
        from tiktok_erp.store.runs import load_as_of
        from tiktok_erp.sync.run import sync_channel, sync_file

        rules = session.rules()
        start = _since(since)
        is_behind = why_behind(session.store) is not None
        elsewhere = count_bought_elsewhere(session.store).labels
        # Of a shop that is met for the first time all is news; and who works with files buys in Seller Center.
        tells_news = from_file is None and not is_behind and load_as_of(session.store, "tiktok", "orders") is not None
        if from_file is not None:
            count = sync_file(session.store, from_file, rules, session.out, run_id=session.run_id, dry_run=dry_run)
            has_asked = not session.settings().tiktok_is_set()  # then files are all that there is to ask
        else:
            require_credentials_or_file(
                session, tr("set the TIKTOK_SHOP_ settings, or run `tiktok-erp sync --from FILE` with an order export")
            )
            try:
                count = sync_channel(
                    session.store,
                    session.shop(),
                    rules,
                    session.out,
                    run_id=session.run_id,
                    since=start,
                    dry_run=dry_run,
                    sweeps=is_behind,
                )
            except ChannelRefused as refusal:
                # Not one item of many was refused (exit code 3), but the fetch itself: an alert must count it as a failure.
                raise ChannelDown(refusal.what, subject=refusal.subject, next_step=refusal.next_step) from refusal
            # With --since a gap may stay unread.
            has_asked = start is None
        session.summary.update(new=count.new, changed=count.changed, unchanged=count.unchanged, unreadable=count.failed)
        session.summary.update(asdict(count.resources))
        text = tr(
            "{new} new orders, {changed} changed, {unchanged} as before",
            new=count.new,
            changed=count.changed,
            unchanged=count.unchanged,
        )
        if not watch:
            session.out.say(text)
        elif count.new or count.changed or session.out.rounds == 1:
            session.out.say(f"{datetime.now(rules.shop.zone):%H:%M:%S} {text}")
        if has_asked and not dry_run:
            if tells_news:
                tell_news(session, elsewhere)
            catch_up(session, in_rounds=watch or context.obj.outer is not None)

    run_command(
        "sync",
        context,
        body,
        as_json=as_json,
        quiet=quiet,
        dry_run=dry_run,
        begins=True,
        lock="sync",
        after=_look_after_alerts,
        watch=(lambda rules: length or max(rules.sync.every, _SHORTEST)) if watch else None,
    )


def _look_after_alerts(session: Session) -> None:
    """Raise or clear alerts, now that the run is recorded. Without rules there is nobody to tell."""
    rules = session.rules_at_hand()
    if rules is not None:
        from tiktok_erp.alerts.run import after_sync
        from tiktok_erp.store.overview import ALERT_ADDRESSES

        # `status` says so when nobody would be alarmed, and does not read the rules for it.
        addresses = str(len(rules.alerts.to))
        if (session.store.meta(ALERT_ADDRESSES) or "0") != addresses:
            with suppress(ErpError), session.store.transaction():
                session.store.set_meta(ALERT_ADDRESSES, addresses)
        after_sync(session.store, rules, session.settings(), session.out)


def _every(text: str | None, *, watch: bool, alone: bool) -> timedelta | None:
    """Return the length of a round. Raises a usage error for what cannot be one; one that is too short is lengthened."""
    if watch and not alone:
        raise typer.BadParameter(tr("--watch fetches from the channel; leave --from and --audit out"))
    if text is None:
        return None
    if not watch:
        raise typer.BadParameter(tr("--every goes with --watch"))
    from tiktok_erp.model.moment import parse_duration

    try:
        length = parse_duration(text)
    except ValueError:
        raise typer.BadParameter(tr("{text} is no length of time; write it as 60s or 5m", text=text)) from None
    if length < _SHORTEST:
        typer.echo(tr("note: --every is 10 s at least; {text} is taken as 10s", text=text), err=True)
    elif length < _SHORT:
        typer.echo(tr("note: every {text} is a lot of questions; 60s is enough for a stream", text=text), err=True)
    return max(length, _SHORTEST)


def _audit(context: typer.Context, path: Path, from_file: Path | None, *, as_json: bool, quiet: bool) -> None:
    if from_file is not None:
        raise typer.BadParameter(tr("--audit and --from are two different things to do with a file"))

    def body(session: Session) -> None:
        from tiktok_erp.sync.audit import audit_file

        session.out.more_with_json = True
        count = audit_file(session.store, path, session.rules(), session.out)
        session.summary.update(
            {name: value for name, value in asdict(count).items() if isinstance(value, int)},
            differences=count.differences,
        )

    run_command("sync", context, body, as_json=as_json, quiet=quiet, writes=False)


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
