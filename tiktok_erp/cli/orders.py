"""`orders`: list them, show one."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tiktok_erp.cli.options import Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

_WIDTH_WITH_STATUS = 100

orders_app = typer.Typer(help="List orders, show one.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(orders_app, name="orders")


@orders_app.command("list")
def list_orders(
    context: typer.Context,
    state: Annotated[
        str | None,
        typer.Option("--state", help="unpaid, held, open, closed, cancelled or unknown.", show_default=False),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List orders, most urgent first.

    \b
    Examples:
      tiktok-erp orders list --state open
      tiktok-erp orders list --json | jq -r 'select(.cancel_requested == 1) | .order_id'
    """

    def body(session: Session) -> None:
        where, values = ("WHERE state = ?", (state,)) if state else ("", ())
        rows = session.store.query(
            f"SELECT * FROM v_orders {where} ORDER BY ship_by IS NULL, ship_by, order_id", values
        )
        if session.out.as_json:
            for row in rows:
                session.out.item(Outcome("order", {}, "done", fields=dict(row)))
            return
        from tiktok_erp.cli.tables import print_table, terminal_width

        width = terminal_width()
        # The channel's own word is the first to go: `orders show` has it.
        has_status = width is None or width >= _WIDTH_WITH_STATUS
        headers = [tr("order"), tr("state"), tr("status"), tr("ship by (UTC)"), tr("from"), tr("total")]
        table = [
            [
                row["order_id"],
                row["state"],
                row["status"],
                (row["ship_by"] or "-") if width is None else _minute(row["ship_by"]),
                row["ship_by_source"],
                _money(row["total_minor"], row["currency"]),
            ]
            for row in rows
        ]
        if not has_status:
            for line in (headers, *table):
                del line[2]
        print_table(session.out, headers, table)

    run_command("orders", context, body, as_json=as_json, quiet=quiet, writes=False)


@orders_app.command("show")
def show(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ID", help="An order id, the channel's, or a package id.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show everything that is known of one order; the buyer's name and address stay out.

    \b
    Examples:
      tiktok-erp orders show 576461413038785752
      tiktok-erp orders show P000123 --json
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
            _show(session, order_id)

    run_command("orders", context, body, as_json=as_json, quiet=quiet, writes=False)


def _show(session: Session, order_id: str) -> None:
    store, out = session.store, session.out
    row = store.query_one("SELECT * FROM v_orders WHERE order_id = ?", (order_id,))
    lines = store.query("SELECT * FROM v_line_items WHERE order_id = ? ORDER BY line_item_id", (order_id,))
    packages = store.query(
        "SELECT v.* FROM package_orders po JOIN v_packages v USING (package_id) WHERE po.order_id = ? ORDER BY v.package_id",
        (order_id,),
    )
    cases = store.query("SELECT * FROM v_quarantine WHERE order_id = ? ORDER BY since", (order_id,))
    if row is None:
        return
    if out.as_json:
        out.item(
            Outcome(
                "order",
                {},
                "done",
                fields=dict(row)
                | {
                    "line_items": [dict(line) for line in lines],
                    "packages": [
                        dict(package) | {"order_ids": json.loads(package["order_ids"])} for package in packages
                    ],
                    "quarantine": [dict(case) for case in cases],
                },
            )
        )
        return
    out.say(f"{row['order_id']}  {row['state']} ({row['status']})")
    estimated = tr(" (estimated)") if row["ship_by_source"] == "rules" else ""
    facts = [
        (tr("placed"), row["placed_at"]),
        (tr("paid"), row["paid_at"]),
        (tr("ship by"), f"{row['ship_by']}{estimated}" if row["ship_by"] else tr("unknown")),
        (tr("held until"), row["held_until"] if row["state"] == "held" else None),
        (tr("total"), _money(row["total_minor"], row["currency"])),
        (tr("shipping"), row["shipping_type"]),
        (tr("buyer's note"), row["buyer_note"]),
        (tr("seller's note"), row["seller_note"]),
        (tr("creator"), row["creator"]),
        (tr("cancel requested"), tr("yes") if row["cancel_requested"] else None),
        (tr("last read"), row["synced_at"]),
    ]
    for name, value in facts:
        if value:
            out.say(tr("  {name}: {value}", name=name, value=value))
    for line in lines:
        out.say(
            f"  {line['quantity']} x {line['sku']}  {line['product_name'] or ''}  {line['state']}  {line['package_id'] or ''}"
        )
    for package in packages:
        parts = [
            package["package_id"],
            package["state"],
            package["carrier"],
            package["service_level"],
            package["tracking_number"],
        ]
        out.say("  " + "  ".join(str(part) for part in parts if part))
        if package["because"]:
            out.say(tr("    because: {rule}", rule=package["because"]))
    for case in cases:
        out.say(f"  {case['cause']}: {case['detail']}")
        out.say(tr("  next: {step}", step=case["next_step"]))


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"


def _money(minor: int | None, currency: str | None) -> str | None:
    if minor is None or currency is None:
        return None
    from tiktok_erp.model.money import Money

    return str(Money(minor, currency))
