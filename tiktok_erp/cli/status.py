"""`status`: the shop on one screen."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

from tiktok_erp.cli.options import Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import screen_text
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.model.runway import Runway
    from tiktok_erp.store.overview import Overview

_LIST_SHOWN = 4
_A_DAY_MIN = 24 * 60


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("status")(status)


def status(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Show orders, deadlines, labels, uploads, stock and open cases on one screen.

    \b
    Examples:
      tiktok-erp status
      tiktok-erp status --json | jq 'select(.kind == "status") | .overdue'
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.overview import load_overview

        now = utc_now()
        view = load_overview(session.store, now, now + timedelta(days=1))
        if session.out.as_json:
            session.out.item(Outcome("status", {}, "done", fields=_fields(view)))
            return
        sections = _sections(view, now)
        if sys.stdout.isatty():
            _draw(view, sections, now)
            return
        for title, rows in sections:
            session.out.say(title)
            for name, value in rows:
                session.out.say(tr("  {name}: {value}", name=name, value=value) if value else f"  {name}")

    run_command("status", context, body, as_json=as_json, quiet=quiet, writes=False)


def _fields(view: Overview) -> dict[str, object]:
    from tiktok_erp.labels.on_paper import PaperView

    return {
        "shop": view.shop,
        "orders": view.orders,
        "packages": view.packages,
        "kept_back": view.kept_back,
        "overdue": view.overdue,
        "overdue_estimated": view.overdue_estimated,
        "due_next_24h": view.due_next_day,
        "no_deadline": view.no_deadline,
        "cancel_requests": view.cancel_requests,
        "answer_by": view.answer_by,
        "to_print": view.to_print,
        **PaperView(view.not_on_paper).fields(),
        "to_upload": view.to_upload,
        "unsettled": view.unsettled,
        "queued": view.queued,
        "queued_since": view.queued_since,
        "quarantine": [dict(row) for row in view.quarantine],
        "short": [dict(row) for row in view.short],
        "runway": [
            {"sku": entry.sku, "available": entry.available, "minutes_left": entry.minutes_left}
            for entry in view.runways
        ],
        "as_of": view.as_of,
        "connection": [asdict(quality) for quality in view.connection],
        "alert_addresses": view.alert_addresses,
        "open_alerts": view.open_alerts,
        "bought_elsewhere": view.bought_elsewhere,
        "behind": view.behind,
    }


_STATES = ("planned", "reserved", "waiting", "allocated", "buying", "labelled", "printed", "uploaded", "quarantined")


def _sections(view: Overview, now: datetime) -> list[tuple[str, list[tuple[str, str]]]]:
    words = {
        "unpaid": tr("unpaid"),
        "held": tr("held"),
        "open": tr("open"),
        "unknown": tr("unknown"),
        "planned": tr("planned"),
        "reserved": tr("reserved"),
        "waiting": tr("waiting"),
        "allocated": tr("allocated"),
        "buying": tr("buying"),
        "labelled": tr("labelled"),
        "printed": tr("printed"),
        "uploaded": tr("uploaded"),
        "quarantined": tr("quarantined"),
    }
    orders = [
        (words[state], str(view.orders[state]))
        for state in ("open", "held", "unpaid", "unknown")
        if view.orders.get(state)
    ]
    packages = [(words[state], str(view.packages[state])) for state in _STATES if view.packages.get(state)]
    if view.kept_back:
        packages.append((tr("kept back"), str(view.kept_back)))
    deadlines = [
        (tr("overdue"), str(view.overdue)),
        (tr("due in 24 hours"), str(view.due_next_day)),
        (tr("overdue by our estimate"), str(view.overdue_estimated)),
        (tr("no deadline known"), str(view.no_deadline)),
        (tr("buyer asks to cancel"), _requests(view, now)),
    ]
    work = [
        (tr("labels to print"), str(view.to_print)),
        *_paper(view),
        (tr("numbers to tell"), str(view.to_upload)),
        (tr("without an answer"), str(view.unsettled)),
    ]
    if view.bought_elsewhere:
        work.append((tr("bought elsewhere"), str(view.bought_elsewhere)))
    if view.behind is not None:
        work.append((tr("restored: run sync"), ""))
    if view.queued_since is not None:
        age = _age(from_text(view.queued_since), now)
        work.append((tr("of these in the queue"), tr("{count}, since {age}", count=view.queued, age=age)))
    cases = [(row["cause"], str(row["cases"])) for row in view.quarantine[:_LIST_SHOWN]] or [(tr("no open case"), "")]
    if len(view.quarantine) > _LIST_SHOWN:
        cases.append((tr("further causes"), str(len(view.quarantine) - _LIST_SHOWN)))
    short = [(row["sku"], tr("{count} units short", count=row["units"])) for row in view.short[:_LIST_SHOWN]]
    stock = short or [(entry.sku, _runway(entry)) for entry in view.runways[:_LIST_SHOWN]]
    resources = {
        "orders": tr("orders"),
        "orders_file": tr("orders, from a file"),
        "listings": tr("listings"),
        "creators": tr("creators"),
        "cancellations": tr("cancellations"),
    }
    ages = []
    for name, at in sorted(view.as_of.items()):
        channel, _, resource = name.partition(" ")
        ages.append((f"{channel} {resources.get(resource, resource)}", _age(from_text(at), now)))
    return [
        (tr("Orders"), orders or [(tr("none open"), "")]),
        (tr("Packages of open orders"), packages or [(tr("none"), "")]),
        (tr("Deadlines"), deadlines),
        (tr("To do"), work),
        (tr("Quarantine"), cases),
        (tr("Stock"), stock or [(tr("nothing counted"), "")]),
        (tr("As of"), ages or [(tr("never fetched"), "")]),
        (tr("Connection, 24 hours"), _connection(view)),
    ]


def _paper(view: Overview) -> list[tuple[str, str]]:
    from tiktok_erp.labels.on_paper import PaperView

    paper = PaperView(view.not_on_paper)
    if not paper.batches:
        return []
    return [(tr("not on paper"), tr("{count}: {batches}", count=paper.labels, batches=paper.text))]


def _runway(entry: Runway) -> str:
    if entry.minutes_left is None or entry.minutes_left >= _A_DAY_MIN:
        return tr("{count} to sell", count=entry.available)
    return tr("{count} to sell, {minutes} min", count=entry.available, minutes=entry.minutes_left)


def _requests(view: Overview, now: datetime) -> str:
    if view.answer_by is None:
        return str(view.cancel_requests)
    hours = int((from_text(view.answer_by) - now).total_seconds() // 3600)
    return tr("{count}, {hours} h left", count=view.cancel_requests, hours=hours)


def _connection(view: Overview) -> list[tuple[str, str]]:
    rows = [(tr("no calls"), "")]
    if view.connection:
        total = view.connection[-1]
        rows = [(tr("answered"), tr("{share} % of {calls}", share=_percent(total.success_rate), calls=total.calls))]
        if total.median_ms is not None and total.p95_ms is not None:
            rows.append((tr("median / 95 %"), f"{total.median_ms} / {total.p95_ms} ms"))
    if view.open_alerts:
        rows.append((tr("open alarms"), ", ".join(view.open_alerts)))
    if view.alert_addresses:
        rows.append((tr("alerts go to"), tr("{count} addresses", count=view.alert_addresses)))
    else:
        rows.append((tr("no alert is set"), ""))
    return rows


def _percent(share: float) -> str:
    """Never rounded up to 100: a single failure is to be seen."""
    return f"{math.floor(share * 1000) / 10:g}"


def _age(moment: datetime, now: datetime) -> str:
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 1:
        return tr("just now")
    if minutes < 120:
        return tr("{count} min ago", count=minutes)
    return tr("{count} h ago", count=minutes // 60)


def _draw(view: Overview, sections: list[tuple[str, list[tuple[str, str]]]], now: datetime) -> None:
    from rich.columns import Columns
    from rich.console import Console, RenderableType
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    width = 35 if console.width >= 110 else max(24, (console.width - 2) // 2)
    panels: list[RenderableType] = []
    for title, rows in sections:
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for name, value in rows:
            late = title == tr("Deadlines") and name == tr("overdue") and value != "0"
            table.add_row(Text(screen_text(name)), Text(screen_text(value), style="bold red" if late else "bold"))
        panels.append(Panel(table, title=Text(title), title_align="left", width=width, padding=(0, 1)))
    head = f"{view.shop or 'tiktok-erp'}  {now:%Y-%m-%d %H:%M} UTC"
    if view.last_runs:
        last = view.last_runs[0]
        head += "  " + tr("last: {command} -> {code}", command=last["command"], code=last["exit_code"])
    console.print(Text(screen_text(head), style="bold"), no_wrap=True, overflow="ellipsis")
    console.print(Columns(panels, padding=(0, 1)))
