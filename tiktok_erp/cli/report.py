"""`report`: figures to decide by."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import Json, Quiet, require_ending
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import csv_cell
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from datetime import timedelta

    from tiktok_erp.model.runway import Runway

_HORIZON_MIN = 60
_FIELDS = (
    *("sku", "on_hand", "reserved", "kept_back", "available", "short", "by_intent", "units_sold", "per_minute"),
    "minutes_left",
)

report_app = typer.Typer(help="Figures to decide by.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(report_app, name="report")


@report_app.command("stock")
def stock(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Measure the speed over so long: 30m, 2h.  [default: live.look_back]", show_default=False
        ),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the table to a CSV file.", show_default=False)
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how long each SKU lasts at the speed it sells, what is short or soon will be, and what can be done about it.

    \b
    Examples:
      tiktok-erp report stock --since 30m
      tiktok-erp report stock --json | jq 'select(.minutes_left != null and .minutes_left < 30) | .sku'
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.live import load_pace, load_runways

        look_back = _look_back(since) or session.rules().live.look_back
        now = utc_now()
        runways = load_runways(session.store, look_back, now)
        pace = load_pace(session.store, now - look_back)
        if csv_file is not None:
            require_ending(csv_file, "--csv", ".csv", ".txt", "")
            _write_csv(csv_file, runways)
        advice = {entry.sku: _advice(entry) for entry in runways}
        minutes = int(look_back.total_seconds() // 60)
        capacity = _capacity(pace, minutes)
        if session.out.as_json:
            for entry in runways:
                session.out.item(Outcome("runway", {}, "done", fields=_fields(entry) | {"advice": advice[entry.sku]}))
            fields = {
                "orders_placed": pace[0],
                "labels_bought": pace[1],
                "packages_waiting": pace[2],
                "minutes": minutes,
            }
            session.out.item(Outcome("capacity", {}, "done", fields=fields | {"advice": capacity}))
            return
        _print(session, runways, minutes)
        for sku, lines in advice.items():
            for line in lines:
                session.out.say(f"{sku}: {line}")
        for line in capacity:
            session.out.say(line)

    run_command("report", context, body, as_json=as_json, quiet=quiet, writes=False)


def _look_back(since: str | None) -> timedelta | None:
    from datetime import timedelta

    from tiktok_erp.model.moment import parse_duration

    if since is None:
        return None
    try:
        value = parse_duration(since)
    except ValueError:
        value = timedelta(0)
    if value < timedelta(minutes=1):
        raise UsageError(
            tr("{text} is no length of time of at least a minute", text=since),
            subject="--since",
            next_step=tr("write it as 30m or 2h"),
        )
    return value


def _print(session: Session, runways: tuple[Runway, ...], minutes: int) -> None:
    from tiktok_erp.cli.tables import print_table

    if not runways:
        session.out.say(tr("nothing was counted yet; run `tiktok-erp stock import`"))
    print_table(
        session.out,
        [
            tr("SKU"),
            tr("on hand"),
            tr("reserved"),
            tr("to sell"),
            tr("short"),
            tr("sold in {count} min", count=minutes),
            tr("a minute"),
            tr("lasts"),
        ],
        [
            [
                entry.sku,
                entry.on_hand,
                entry.reserved,
                entry.available,
                entry.short,
                entry.units_sold,
                str(entry.per_minute),
                _duration(entry.minutes_left),
            ]
            for entry in runways
        ],
    )


def _duration(minutes: int | None) -> str:
    if minutes is None:
        return "-"
    if minutes < 2 * 60:
        return tr("{count} min", count=minutes)
    if minutes < 2 * 24 * 60:
        return tr("{count} h", count=minutes // 60)
    return tr("{count} days", count=minutes // (24 * 60))


def _fields(entry: Runway) -> dict[str, object]:
    return {name: getattr(entry, name) for name in _FIELDS} | {
        "per_minute": str(entry.per_minute),
        "missing_within_hour": entry.missing_within(_HORIZON_MIN),
    }


def _advice(entry: Runway) -> list[str]:
    """Return what the seller can do, each with its figures: the tool advises and does not click."""
    lines = []
    unplanned = entry.short - entry.by_intent
    if unplanned:
        lines.append(
            tr(
                "{count} units were sold and are not there: restock, or cancel the latest orders before their deadline",
                count=unplanned,
            )
        )
    if entry.by_intent:
        lines.append(tr("{count} units were sold ahead and wait for stock", count=entry.by_intent))
    if entry.minutes_left is None or entry.minutes_left >= _HORIZON_MIN:
        return lines
    missing = entry.missing_within(_HORIZON_MIN)
    lines.append(
        tr(
            "{available} to sell at {speed} a minute last {minutes} min; an hour more would want {missing} pieces more",
            available=entry.available,
            speed=entry.per_minute,
            minutes=entry.minutes_left,
            missing=missing,
        )
    )
    lines.append(
        tr(
            "lower what the stream promises to {available} pieces, {kept} are kept back; `keep: auto` follows the speed",
            available=entry.available,
            kept=entry.kept_back,
        )
    )
    if missing:
        lines.append(
            tr(
                "if {missing} pieces can come within 3 to 15 business days, offer them as back-order in Seller Center",
                missing=missing,
            )
        )
    return lines


def _capacity(pace: tuple[int, int, int], minutes: int) -> list[str]:
    placed, bought, waiting = pace
    lines = [
        tr(
            "in {minutes} min {placed} orders came and {bought} labels were bought; {waiting} packages wait for a label",
            minutes=minutes,
            placed=placed,
            bought=bought,
            waiting=waiting,
        )
    ]
    if bought and placed > bought:
        a_day = bought * 8 * 60 // minutes
        lines.append(
            tr(
                "orders come faster than they are packed: at this pace 8 hours pack {count}; set that as the daily"
                " order-handling capacity in Seller Center, so that deadlines move instead of being missed",
                count=a_day,
            )
        )
    return lines


def _write_csv(path: Path, runways: tuple[Runway, ...]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_FIELDS)
            writer.writerows([csv_cell(_fields(entry)[name]) for name in _FIELDS] for entry in runways)
    except OSError as cause:
        raise UsageError(
            tr("the file cannot be written: {reason}", reason=cause.strerror or "?"),
            subject=str(path),
            next_step=tr("give a path in a folder that exists and can be written"),
        ) from cause
