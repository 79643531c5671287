"""`stock`: count what is there, import a sheet, show what can be sold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

stock_app = typer.Typer(
    help="Count stock, import a sheet, show what can be sold.", no_args_is_help=True, rich_markup_mode=None
)

Warehouse = Annotated[
    str | None, typer.Option("--warehouse", help="Which warehouse.  [default: main]", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(stock_app, name="stock")


@stock_app.command("import")
def import_stock(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="A SKU sheet: CSV or XLSX with the headers sku,quantity,...", show_default=False),
    ] = None,
    from_channel: Annotated[
        str | None,
        typer.Option("--from-channel", help="Take what the channel holds: tiktok.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take over counted quantities, weights and shelves from a sheet, or first counts from the channel.

    \b
    Examples:
      tiktok-erp stock import sku-sheet.csv --dry-run
      tiktok-erp stock import --from-channel tiktok
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import import_from_channel, import_sheet

        if (file is None) == (from_channel is None):
            raise UsageError(
                tr("name either a sheet or --from-channel"),
                subject="stock import",
                next_step=tr("run `tiktok-erp stock import FILE`"),
            )
        rules = session.rules()
        if file is not None:
            rows = import_sheet(session.store, file, rules, session.out, dry_run=dry_run)
            session.out.say(tr("{count} rows of {file} taken over", count=rows, file=file.name))
            return
        if from_channel != "tiktok":
            raise UsageError(
                tr("this version knows the channel tiktok only"),
                subject=str(from_channel),
                next_step=tr("run `tiktok-erp stock import --from-channel tiktok`"),
            )
        require_credentials_or_file(session, tr("set the TIKTOK_SHOP_ settings, or import a sheet"))
        rows = import_from_channel(session.store, session.shop(), rules, session.out, dry_run=dry_run)
        session.out.say(tr("{count} SKUs counted as the channel holds them (available + committed)", count=rows))

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, create=True)


@stock_app.command("set")
def set_stock(
    context: typer.Context,
    sku: Annotated[str, typer.Argument(help="The SKU.")],
    quantity: Annotated[int | None, typer.Argument(help="What was counted.", show_default=False)] = None,
    weight: Annotated[
        str | None, typer.Option("--weight", help="What one piece weighs: 120g.", show_default=False)
    ] = None,
    warehouse: Warehouse = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Set the counted quantity or the weight of one SKU.

    \b
    Examples:
      tiktok-erp stock set LNG-SAGE-M 40
      tiktok-erp stock set LNG-SAGE-M --weight 120g
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import set_stock as apply

        if quantity is None and weight is None:
            raise UsageError(
                tr("there is nothing to set"),
                subject=sku,
                next_step=tr("give a quantity, or --weight 120g"),
            )
        apply(
            session.store,
            session.rules(),
            session.out,
            sku=sku,
            quantity=quantity,
            warehouse=warehouse,
            weight_g=_grams(weight),
            dry_run=dry_run,
        )
        _show(session, sku)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, create=True)


@stock_app.command("show")
def show_stock(
    context: typer.Context,
    sku: Annotated[str | None, typer.Argument(help="One SKU; none: all.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show on hand, reserved, safety stock and available-to-sell.

    \b
    Examples:
      tiktok-erp stock show
      tiktok-erp stock show --json | jq 'select(.available_to_sell == 0) | .sku'
    """
    run_command(
        "stock", context, lambda session: _show(session, sku, tell=True), as_json=as_json, quiet=quiet, writes=False
    )


def _show(session: Session, sku: str | None, *, tell: bool = False) -> None:
    where, values = ("WHERE sku = ?", (sku,)) if sku else ("", ())
    rows = session.store.query(f"SELECT * FROM v_stock {where} ORDER BY sku, warehouse", values)
    if sku and not rows and tell:
        known = session.store.scalar("SELECT count(*) FROM units WHERE sku = ?", (sku,))
        what = tr("this SKU was never counted") if known else tr("no such SKU is known")
        raise UsageError(what, subject=sku, next_step=tr("run `tiktok-erp stock set {sku} QUANTITY`", sku=sku))
    if session.out.as_json:
        if tell:
            for row in rows:
                session.out.item(Outcome("stock", {"sku": row["sku"]}, "done", fields=dict(row)))
        return
    from tiktok_erp.cli.tables import print_table

    print_table(
        session.out,
        [tr("SKU"), tr("warehouse"), tr("on hand"), tr("reserved"), tr("safety"), tr("to sell")],
        [
            [
                row["sku"],
                row["warehouse"],
                row["on_hand"],
                row["reserved"],
                row["safety_stock"],
                row["available_to_sell"],
            ]
            for row in rows
        ],
    )


def _grams(text: str | None) -> int | None:
    if text is None:
        return None
    number = text.strip().casefold().removesuffix("g").strip()
    if not number.isdigit():
        raise UsageError(
            tr("{text} is not a weight in whole grams", text=text), subject="--weight", next_step=tr("write it as 120g")
        )
    return int(number)
