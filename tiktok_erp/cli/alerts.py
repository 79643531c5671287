"""`alerts`: try the addresses, watch the age of the orders from cron, list what was raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Globals, Json, Quiet
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError, Interrupted, SomeItemsFailed, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.model.rule import Rules

_LISTED = 20

alerts_app = typer.Typer(
    help="Try the addresses of alerts, and watch the age of the orders.", no_args_is_help=True, rich_markup_mode=None
)


@alerts_app.callback()
def _group() -> None:
    """Try the addresses of alerts, and watch the age of the orders."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command("test")
def test(context: typer.Context, dry_run: DryRun = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """Send a test message to every address of `alerts.to`; 3 when one does not take it, 5 when there is none.

    \b
    Examples:
      tiktok-erp alerts test
      tiktok-erp alerts test --dry-run
    """
    with _command(context, as_json=as_json, quiet=quiet) as (out, rules):
        from tiktok_erp.alerts.run import send_test
        from tiktok_erp.config.settings import Settings
        from tiktok_erp.store.database import utc_now

        for delivery in send_test(rules, Settings(), utc_now(), dry_run=dry_run):
            is_good = not delivery.problem
            if is_good and dry_run:
                text = tr("address {number} ({service}): understood", number=delivery.number, service=delivery.service)
            elif is_good:
                text = tr("address {number} ({service}): sent", number=delivery.number, service=delivery.service)
            else:
                text = tr(
                    "address {number} ({service}): {problem}",
                    number=delivery.number,
                    service=delivery.service,
                    problem=delivery.problem,
                )
            out.item(
                Outcome(
                    "address",
                    {"number": delivery.number},
                    "failed" if not is_good else "planned" if dry_run else "done",
                    cause=None if is_good else "alert_not_sent",
                    next_step=None if is_good else tr("correct this entry of alerts.to, or the setting that it names"),
                    fields={"service": delivery.service},
                    text=text,
                )
            )
        if out.new_failures:
            raise typer.Exit(SomeItemsFailed.exit_code)
        if not dry_run:
            _remember_test(context.obj, rules)


def _remember_test(options: Globals, rules: Rules) -> None:
    """Write into the database, where there is one, that these addresses work: `doctor --before-live` asks for it."""
    from tiktok_erp.alerts.run import addresses_digest
    from tiktok_erp.store.database import open_store
    from tiktok_erp.store.readiness import save_alert_tried

    if options.db.exists():
        with open_store(options.db) as store:
            save_alert_tried(store, addresses_digest(rules))


@alerts_app.command("check")
def check(
    context: typer.Context,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            help="How old the orders may be.  [default: 5 x sync.every, at least 5m]",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Alarm once when the orders are too old, or the database cannot be used, and once when all is well again.

    For a cron line of its own: a `sync` that died cannot alarm anybody. Ends with 6 while the orders are too old.

    \b
    Examples:
      tiktok-erp alerts check --max-age 5m --quiet
    """
    with _command(context, as_json=as_json, quiet=quiet) as (out, rules):
        from tiktok_erp.alerts.plan import length_text
        from tiktok_erp.alerts.run import check_freshness, default_max_age
        from tiktok_erp.config.settings import Settings
        from tiktok_erp.model.moment import to_text
        from tiktok_erp.store.database import utc_now

        limit = _length(max_age) if max_age is not None else default_max_age(rules)
        options: Globals = context.obj
        if not rules.alerts.to:
            out.warn(tr("no address for alerts is set: nobody is told but this line"))
        facts = check_freshness(options.db, rules, Settings(), out, now=utc_now(), max_age=limit, dry_run=dry_run)
        if facts.age is None or facts.as_of is None:
            return  # the check has refused an age that is not known
        out.item(
            Outcome(
                "freshness",
                {},
                "done",
                fields={
                    "as_of": to_text(facts.as_of),
                    "age_s": int(facts.age.total_seconds()),
                    "max_age_s": int(limit.total_seconds()),
                },
                text=tr(
                    "the orders are {age} old; {limit} are allowed",
                    age=length_text(facts.age),
                    limit=length_text(limit),
                ),
            )
        )


@alerts_app.command("list")
def list_(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """List the latest alerts: kind, since when, until when, and whether somebody was told.

    \b
    Examples:
      tiktok-erp alerts list
      tiktok-erp alerts list --json | jq 'select(.closed_at == null)'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.tables import print_list
        from tiktok_erp.store.alerts import load_alerts

        rows = load_alerts(session.store, _LISTED)
        names = ("alert_id", "opened_at", "sent_at", "closed_at", "clear_sent_at")
        if session.out.as_json:
            for row in rows:
                fields = {"alert": row["kind"], **{name: row[name] for name in names}}
                session.out.item(Outcome("alert", {}, "done" if row["closed_at"] else "skipped", fields=fields))
            return
        if not rows:
            session.out.say(tr("there was no alert"))
            return
        print_list(
            session.out,
            [
                [
                    row["kind"],
                    row["opened_at"],
                    tr("sent") if row["sent_at"] else tr("not sent"),
                    row["closed_at"] or tr("open"),
                ]
                for row in rows
            ],
        )

    run_command("alerts", context, body, as_json=as_json, quiet=quiet, writes=False)


@contextmanager
def _command(context: typer.Context, *, as_json: bool, quiet: bool) -> Iterator[tuple[Output, Rules]]:
    """Run a command that needs the rules but must not need the database; leave with its exit code."""
    from tiktok_erp.config.rules_file import load_rules, load_rules_or_defaults

    options: Globals = context.obj
    with Output(as_json=as_json, quiet=quiet, goes_on_unread=True) as out:
        code = 0
        try:
            rules = load_rules(options.rules) if options.rules_given else load_rules_or_defaults(options.rules)
            for note in rules.notes:
                out.warn(note)
            yield out, rules
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        except typer.Exit as leave:
            code = leave.exit_code
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except Exception as error:
            _tell_bug(out, error)
            code = ErpError.exit_code
        out.summary(code)
    raise typer.Exit(code)


def _length(text: str) -> timedelta:
    from tiktok_erp.model.moment import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(
            tr("{text} is not a length of time", text=text),
            subject="--max-age",
            next_step=tr("write it as 90s, 5m or 2h"),
        ) from error


def _tell_bug(out: Output, error: Exception) -> None:
    import traceback

    # Kind and places only: the text of a fault near apprise could hold an address.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tiktok_erp" in frame.filename]
    places = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    out.error(
        ErpError(
            tr("a fault in tiktok-erp itself: {kind} at {places}", kind=type(error).__name__, places=places),
            subject="",
            next_step=tr("report this line to whoever maintains the tool"),
        )
    )
