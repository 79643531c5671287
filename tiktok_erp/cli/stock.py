"""`stock`: count what is there, move it, say what bundles are made of, show what can be sold and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet, Yes
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

stock_app = typer.Typer(
    help="Count stock, import a sheet, map bundles, show what can be sold and why.",
    no_args_is_help=True,
    rich_markup_mode=None,
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
    yes: Yes = False,
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
            rows = import_sheet(session.store, file, rules, session.out, dry_run=dry_run, yes=yes)
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

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@stock_app.command("set", context_settings={"ignore_unknown_options": True})  # -5 is a number, and a wrong one
def set_stock(
    context: typer.Context,
    sku: Annotated[str, typer.Argument(help="The SKU.")],
    quantity: Annotated[
        str | None, typer.Argument(metavar="[QUANTITY]", help="What was counted.", show_default=False)
    ] = None,
    weight: Annotated[
        str | None, typer.Option("--weight", help="What one piece weighs: 120g.", show_default=False)
    ] = None,
    warehouse: Warehouse = None,
    new: Annotated[bool, typer.Option("--new", help="The SKU is new, though it looks like one that is known.")] = False,
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
        pieces = None if quantity is None else _whole(quantity, "QUANTITY")
        if not new:
            _refuse_mistyped(session, sku)
        apply(
            session.store,
            session.rules(),
            session.out,
            sku=sku,
            quantity=pieces,
            warehouse=warehouse,
            weight_g=_grams(weight),
            dry_run=dry_run,
        )
        _show(session, sku)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


def _refuse_mistyped(session: Session, sku: str) -> None:
    """Raise UsageError for a SKU that nobody knows and that looks like a known one, unless a person says that it is new."""
    from tiktok_erp.stock.count import similar_sku

    guess = similar_sku(session.store, sku)
    if guess is None:
        return
    what = tr("no order and no listing has {sku}; did you mean {guess}?", sku=sku, guess=guess)
    is_asked = not session.out.as_json and sys.stdin.isatty() and sys.stderr.isatty()
    if is_asked and typer.confirm(f"{what} {tr('Set {sku} as a new SKU?', sku=sku)}", default=False, err=True):
        return
    raise UsageError(
        what, subject=sku, next_step=tr("write {guess}, or add --new if {sku} is new", guess=guess, sku=sku)
    )


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


@stock_app.command("adjust", context_settings={"ignore_unknown_options": True})  # -3 is a number, not an option
def adjust(
    context: typer.Context,
    sku: Annotated[str, typer.Argument(help="The SKU.")],
    delta: Annotated[str, typer.Argument(metavar="DELTA", help="Pieces to add, or to take away: 3, -3.")],
    because: Annotated[str, typer.Option("--because", help="Why; it stands in the ledger.")],
    warehouse: Warehouse = None,
    received: Annotated[bool, typer.Option("--received", help="A delivery: the move is called received.")] = False,
    returned: Annotated[
        str | None,
        typer.Option(
            "--returned", metavar="ORDER", help="Pieces that came back from this order's buyer.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add pieces to the count of one SKU, or take them away, and say why.

    \b
    Examples:
      tiktok-erp stock adjust LNG-SAGE-M -3 --because "water damage"
      tiktok-erp stock adjust LNG-SAGE-M 40 --received --because "delivery 1187"
      tiktok-erp stock adjust LNG-SAGE-M 1 --returned 576461413038785752 --because "unworn"
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import adjust_stock

        pieces = _whole(delta, "DELTA")
        if not because.strip() or (received and (returned or pieces < 0)):
            raise UsageError(
                tr("an adjustment has a reason, and is a delivery, a return, or neither"),
                subject=sku,
                next_step=tr('write --because "water damage"; --received and --returned add pieces'),
            )
        adjust_stock(
            session.store,
            session.rules(),
            session.out,
            sku=sku,
            delta=pieces,
            because=because.strip(),
            warehouse=warehouse,
            returned=returned,
            received=received,
            dry_run=dry_run,
        )
        _show(session, sku)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@stock_app.command("count")
def count(
    context: typer.Context,
    counted: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE | SKU=QUANTITY...",
            help="A sheet with sku and quantity, or numbers. `-`: lines of standard input.",
        ),
    ],
    warehouse: Warehouse = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take stock: set what was counted and touch nothing else.

    \b
    Examples:
      tiktok-erp stock count shelf-a.csv --dry-run
      tiktok-erp stock count MUG-RED=12 CUP=0 --warehouse east
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import Counted, read_stocktake, take_stock

        if len(counted) == 1 and "=" not in counted[0] and counted[0] != "-":
            path = Path(counted[0])
            lines = [
                Counted(line.sku, line.quantity, line.warehouse or warehouse)
                for line in read_stocktake(path, session.out)
            ]
            because = f"stocktake {path.name}"
        else:
            lines = [Counted(sku, quantity, warehouse) for sku, quantity in _numbers(counted)]
            because = "stocktake"
        differences = take_stock(session.store, session.rules(), session.out, lines, because=because, dry_run=dry_run)
        session.out.say(
            tr(
                "{count} counted, {differences} of them differ from the ledger",
                count=len(lines),
                differences=differences,
            )
        )
        session.summary.update(counted=len(lines), differences=differences)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@stock_app.command("transfer")
def transfer(
    context: typer.Context,
    sku: Annotated[str, typer.Argument(help="The SKU.")],
    quantity: Annotated[int, typer.Argument(help="How many pieces.")],
    source: Annotated[str, typer.Option("--from", help="The warehouse they leave.")],
    target: Annotated[str, typer.Option("--to", help="The warehouse they go to.")],
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Move free pieces from one warehouse to another; what is reserved stays.

    \b
    Examples:
      tiktok-erp stock transfer LNG-SAGE-M 10 --from main --to east
      tiktok-erp stock transfer LNG-SAGE-M 10 --from main --to east --dry-run
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import transfer_stock

        transfer_stock(
            session.store,
            session.rules(),
            session.out,
            sku=sku,
            quantity=quantity,
            source=source,
            target=target,
            dry_run=dry_run,
        )
        _show(session, sku)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@stock_app.command("map")
def map_skus(
    context: typer.Context,
    sku: Annotated[
        str | None, typer.Argument(help="A bundle's SKU; none: list what is mapped.", show_default=False)
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMPONENT=N]...", help="What one of it is packed from.", show_default=False),
    ] = None,
    listing: Annotated[
        str | None,
        typer.Option(
            "--listing", metavar="ID", help="The channel's SKU id of a listing that sells SKU.", show_default=False
        ),
    ] = None,
    channel: Annotated[str, typer.Option("--channel", help="Whose listing.")] = "tiktok",
    clear: Annotated[bool, typer.Option("--clear", help="Take the mapping of SKU, or of --listing, away.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a bundle is packed from, or which SKU a listing sells where the channel's text is empty or wrong.

    \b
    Examples:
      tiktok-erp stock map GIFT-SET MUG-RED=2 TEA=1
      tiktok-erp stock map MUG-RED --listing 1729592969712207013
      tiktok-erp stock map GIFT-SET --clear
    """

    def body(session: Session) -> None:
        from tiktok_erp.stock.count import map_bundle, map_listing_to

        parts = dict(_numbers(components or [], least=1, default=1))
        if listing is not None and not parts and (sku is None) == clear:
            map_listing_to(
                session.store,
                session.rules(),
                session.out,
                channel=channel,
                listing_id=listing,
                sku=sku,
                dry_run=dry_run,
            )
        elif sku is not None and listing is None and bool(parts) != clear:
            map_bundle(session.store, session.rules(), session.out, sku=sku, components=parts, dry_run=dry_run)
        elif sku is not None or clear or listing is not None:
            raise UsageError(
                tr("name a bundle and its components, or a SKU and --listing, or what to --clear"),
                subject="stock map",
                next_step=tr("run `tiktok-erp stock map GIFT-SET MUG-RED=2 TEA=1`"),
            )
        _show_mapped(session)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


def _show_mapped(session: Session) -> None:
    from tiktok_erp.cli.tables import print_table
    from tiktok_erp.store.bundles import load_own_bundles

    bundles = load_own_bundles(session.store)
    listings = session.store.query("SELECT * FROM v_listings WHERE is_mapped = 1 ORDER BY channel, listing_id")
    if session.out.as_json:
        for sku, parts in bundles.items():
            session.out.item(Outcome("bundle", {"sku": sku}, "done", fields={"components": parts}))
        for row in listings:
            session.out.item(Outcome("listing", {}, "done", fields=dict(row)))
        return
    print_table(
        session.out,
        [tr("bundle"), tr("component"), tr("pieces")],
        [[sku, part, number] for sku, parts in bundles.items() for part, number in parts.items()],
    )
    print_table(
        session.out,
        [tr("listing"), tr("SKU"), tr("the channel says")],
        [[row["listing_id"], row["sku"], row["seller_sku"] or ""] for row in listings],
    )


@stock_app.command("why")
def why(
    context: typer.Context,
    sku: Annotated[str, typer.Argument(help="The SKU.")],
    moves: Annotated[int, typer.Option("--moves", min=1, help="How many of the last moves to tell.")] = 20,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell the story of one SKU: what is there, who holds it, what is kept back and why, what each listing shows, every move.

    \b
    Examples:
      tiktok-erp stock why LNG-SAGE-M
      tiktok-erp stock why LNG-SAGE-M --moves 500 --json | jq 'select(.kind == "move")'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.stock_story import tell_story

        tell_story(session, sku, moves)

    run_command("stock", context, body, as_json=as_json, quiet=quiet, writes=False)


def _show(session: Session, sku: str | None, *, tell: bool = False) -> None:
    where, values = ("WHERE sku = ?", (sku,)) if sku else ("", ())
    rows = session.store.query(f"SELECT * FROM v_stock {where} ORDER BY sku, warehouse", values)
    bundles = _bundle_offers(session, sku)
    if sku and not rows and not bundles and tell:
        from tiktok_erp.stock.count import similar_sku
        from tiktok_erp.store.stock import find_known_skus

        known = find_known_skus(session.store, [sku])
        if guess := similar_sku(session.store, sku):
            raise UsageError(
                tr("no such SKU is known; did you mean {guess}?", guess=guess),
                subject=sku,
                next_step=tr("run `tiktok-erp stock show {guess}`", guess=guess),
            )
        what = tr("this SKU was never counted") if known else tr("no such SKU is known")
        raise UsageError(what, subject=sku, next_step=tr("run `tiktok-erp stock set {sku} QUANTITY`", sku=sku))
    if session.out.as_json:
        if tell:
            for row in rows:
                session.out.item(Outcome("stock", {"sku": row["sku"]}, "done", fields=dict(row)))
            for name, pieces, parts in bundles:
                fields = {"available_to_sell": pieces, "components": parts}
                session.out.item(Outcome("bundle", {"sku": name}, "done", fields=fields))
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
    print_table(
        session.out,
        [tr("bundle"), tr("packed from"), tr("to sell")],
        [
            [
                name,
                ", ".join(f"{number} {part}" for part, number in parts.items()),
                tr("unknown") if pieces is None else pieces,
            ]
            for name, pieces, parts in bundles
        ],
    )


def _bundle_offers(session: Session, sku: str | None) -> list[tuple[str, int | None, dict[str, int]]]:
    """Return (SKU, how many can be packed, components) of the seller's bundles; None: a component was never counted."""
    from tiktok_erp.model.bundle import pieces_of
    from tiktok_erp.store.bundles import load_own_bundles
    from tiktok_erp.store.stock import load_pools

    own = load_own_bundles(session.store)
    names = [name for name in own if sku in (None, name)]
    if not names:
        return []
    pools, _reserved = load_pools(session.store)
    found = []
    for name in names:
        parts = pieces_of(name, own)
        places = {place for part in parts for place in pools.get(part, {})}
        is_known = all(part in pools for part in parts)
        pieces = (
            sum(min(pools[part].get(place, 0) // number for part, number in parts.items()) for place in places)
            if is_known
            else None
        )
        found.append((name, pieces, parts))
    return found


def _numbers(words: Sequence[str], *, least: int = 0, default: int | None = None) -> list[tuple[str, int]]:
    """Return (SKU, number) of `SKU=12` words; `-` reads such lines from standard input. Raises UsageError for anything else."""
    found: dict[str, int] = {}
    for word in words:
        for line in sys.stdin if word == "-" else [word]:
            text = line.strip()
            if not text:
                continue
            sku, mark, number = text.rpartition("=")
            if not mark and default is not None:
                sku, number = text, str(default)
            if not sku or not number.strip().isascii() or not number.strip().isdigit() or int(number) < least:
                raise UsageError(
                    tr("{text} is not SKU=NUMBER", text=text), subject=text, next_step=tr("write it as MUG-RED=12")
                )
            if sku.strip() in found:
                raise UsageError(
                    tr("{sku} is there twice", sku=sku.strip()), subject=text, next_step=tr("name each SKU once")
                )
            found[sku.strip()] = int(number)
    return list(found.items())


def _whole(text: str, subject: str) -> int:
    digits = text.removeprefix("+").removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise UsageError(
            tr("{text} is not a whole number", text=text), subject=subject, next_step=tr("write it as 3 or -3")
        )
    return int(text)


def _grams(text: str | None) -> int | None:
    if text is None:
        return None
    number = text.strip().casefold().removesuffix("g").strip()
    if not number.isdigit():
        raise UsageError(
            tr("{text} is not a weight in whole grams", text=text), subject="--weight", next_step=tr("write it as 120g")
        )
    return int(number)
