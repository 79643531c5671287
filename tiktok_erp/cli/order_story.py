"""`orders evidence`: the story of an order for an appeal; and the list of parcels that the carrier does not have yet."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated

import typer

from tiktok_erp.cli.options import Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.outcome import Outcome

_WIDTH = 28


def register(orders_app: typer.Typer) -> None:
    """Add the command to the group `orders`."""
    orders_app.command("evidence")(evidence)


def evidence(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ID", help="An order id, the channel's, or a package id.")],
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the channel for the carrier's scans.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print everything that happened to an order, with times (UTC), runs and request ids: what an appeal needs.

    The carrier's scans are asked for where there are credentials. The buyer's name and address stay out.

    \b
    Examples:
      tiktok-erp orders evidence 576461413038785752
      tiktok-erp orders evidence P000123 --offline > appeal.txt
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.packages import find_orders

        order_ids = find_orders(session.store, order)
        if not order_ids:
            raise UsageError(
                tr("no such order is in the database"),
                subject=order,
                next_step=tr("run `tiktok-erp sync`, or check the id"),
            )
        for order_id in order_ids:
            _tell_story(session, order_id, offline=offline)

    run_command("orders", context, body, as_json=as_json, quiet=quiet, writes=False)


def _tell_story(session: Session, order_id: str, *, offline: bool) -> None:
    from tiktok_erp.store.evidence import Moment, in_order, load_evidence

    moments = load_evidence(session.store, order_id)
    moments += [
        Moment(at, "carrier_says", text, by="carrier") for at, text in _scans(session, order_id, offline=offline)
    ]
    if not session.out.as_json:
        session.out.say(order_id)
    for moment in in_order(moments):
        about = [
            moment.package_id or "",
            moment.detail,
            tr("(run {run})", run=moment.run_id) if moment.run_id is not None else "",
            tr("request {id}", id=moment.request_id) if moment.request_id else "",
            tr("[channel's clock]") if moment.by == "channel" else "",
        ]
        session.out.item(
            Outcome(
                "evidence",
                {"order_id": order_id, "package_id": moment.package_id},
                "done",
                fields={
                    "at": moment.at,
                    "what": moment.what,
                    "detail": moment.detail,
                    "clock": moment.by,
                    "request_id": moment.request_id,
                    "run_id": moment.run_id,
                },
                text=f"  {moment.at}  {moment.what:{_WIDTH}} {' '.join(part for part in about if part)}".rstrip(),
            )
        )


def _scans(session: Session, order_id: str, *, offline: bool) -> list[tuple[str, str]]:
    if offline or not session.settings().tiktok_is_set():
        return []
    from tiktok_erp.store.orders import without_recipient

    try:
        events = session.shop().fetch_tracking(order_id.partition(":")[2])
    except ErpError as error:
        session.out.warn(tr("the carrier's scans cannot be asked for now ({reason})", reason=error.what))
        return []
    return [(to_text(event.at), without_recipient(session.store, order_id, event.text)) for event in events]


def list_unscanned(session: Session) -> None:
    """List the told packages that the carrier does not have, with the hours that are left; most urgent first."""
    from tiktok_erp.cli.tables import print_table
    from tiktok_erp.store.database import utc_now
    from tiktok_erp.store.scans import load_unscanned

    now, allowed = utc_now(), session.rules().deadlines.tracking_within
    rows = []
    for row in load_unscanned(session.store):
        scan_by = from_text(row["scan_by"]) if row["scan_by"] else from_text(row["uploaded_at"]) + allowed
        source = "channel" if row["scan_by"] else "rules"
        if session.out.as_json:
            fields = dict(row) | {
                "order_ids": json.loads(row["order_ids"]),
                "scan_by": to_text(scan_by),
                "scan_by_source": source,
                "hours_left": _hours(scan_by, now),
            }
            session.out.item(Outcome("package", {"package_id": row["package_id"]}, "done", fields=fields))
            continue
        left = f"{_hours(scan_by, now)} h" + ("" if row["scan_by"] else " ~")
        orders = json.loads(row["order_ids"])
        name = orders[0] if len(orders) == 1 else f"{orders[0]} +{len(orders) - 1}"
        rows.append([row["package_id"], name, row["carrier"], row["tracking_number"], left])
    if not session.out.as_json:
        print_table(
            session.out, [tr("package"), tr("order"), tr("carrier"), tr("tracking number"), tr("time left")], rows
        )


def _hours(moment: datetime, now: datetime) -> int:
    return (moment - now) // timedelta(hours=1)
