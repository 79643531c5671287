"""`allocate`: choose carrier and service level."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, read_names
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.allocation.run import Asked, AskPrices, Offers


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("allocate")(allocate)


def allocate(
    context: typer.Context,
    ids: Ids = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for further orders of the same buyer; combine what is there.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose a carrier and service level for every open package that has none and is not short of stock.

    Orders of one buyer to one address leave together; `combine` in rules.yaml says how long to wait for more of them. The
    first rule that covers a package decides; one that no rule covers, or whose address no carrier can use, goes to quarantine.

    \b
    Examples:
      tiktok-erp allocate --dry-run
      tiktok-erp allocate --no-wait
      tiktok-erp allocate --json | jq 'select(.result == "failed") | {package_id, cause, next_step}'
    """

    def body(session: Session) -> None:
        from tiktok_erp.allocation.run import allocate as run_allocation

        count = run_allocation(
            session.store,
            session.rules(required=True),
            session.out,
            only=session.packages(read_names(ids)),
            run_id=session.run_id,
            dry_run=dry_run,
            no_wait=no_wait,
            ask_prices=price_source(session),
        )
        session.summary.update(
            allocated=count.allocated,
            short=count.short,
            waiting=count.waiting,
            held=count.held,
            absorbed=count.absorbed,
            saved_minor=count.saved.minor if count.saved else None,
            currency=count.saved.currency if count.saved else None,
        )
        text = tr(
            "{allocated} packages have a carrier, {short} wait for stock",
            allocated=count.allocated,
            short=count.short,
        )
        if count.waiting:
            text += tr(", {count} for more orders of their buyer", count=count.waiting)
        if count.held:
            text += tr(", {count} are kept back", count=count.held)
        session.out.say(text)
        if count.absorbed:
            saved = tr("about {money}", money=count.saved) if count.saved else tr("unknown; see `rates` in rules.yaml")
            session.out.say(
                tr("combined: {count} labels fewer to buy; postage saved: {saved}", count=count.absorbed, saved=saved)
            )

    run_command("allocate", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="allocate")


def price_source(session: Session) -> AskPrices | None:
    """Return what asks the label sources for prices, where a rule compares them; None where `rates` has to do."""
    rules = session.rules()
    if not rules.compares_prices:
        return None
    asks: dict[str, AskPrices] = {}
    if session.settings().tiktok_is_set():
        _add_source(session, asks, "TIKTOK", _ask_tiktok)
    if rules.labels.seller_shipping == "easypost":
        _add_source(session, asks, "SELLER", _ask_own)

    def ask(asked: Asked) -> Offers | None:
        source = asks.get(asked.shipping_type or "")
        return None if source is None else source(asked)

    return ask if asks else None


def _add_source(
    session: Session, asks: dict[str, AskPrices], shipping_type: str, connect: Callable[[Session], AskPrices]
) -> None:
    try:
        asks[shipping_type] = connect(session)
    except ErpError as error:
        session.out.warn(tr("no label source can be asked for prices ({reason}); `rates` is used", reason=error.what))


def _ask_tiktok(session: Session) -> AskPrices:
    shop = session.shop()

    def ask(asked: Asked) -> Offers | None:
        from tiktok_erp.allocation.run import Offers
        from tiktok_erp.model.carrier import service_code
        from tiktok_erp.model.shipment import Quote

        if len(asked.order_ids) != 1:
            return None  # the channel quotes single orders only
        offers = shop.fetch_services(asked.order_ids[0].partition(":")[2], weight_g=asked.parcel.weight_g)
        quotes = [
            Quote(*service_code(offer.carrier, offer.name), offer.price, offer.latest_days, offer.service_id)
            for offer in offers
        ]
        return Offers("tiktok", quotes)

    return ask


def _ask_own(session: Session) -> AskPrices:
    from tiktok_erp.store.shipments import postal_address, recipient_address, sender_of

    source, rules = session.label_source(), session.rules()
    sender = sender_of(rules, None)

    def ask(asked: Asked) -> Offers | None:
        from tiktok_erp.allocation.run import Offers
        from tiktok_erp.model.fingerprint import quote_fingerprint
        from tiktok_erp.model.shipment import Shipment, ship_fault

        to = recipient_address(asked.address)
        if ship_fault(to, asked.parcel.weight_g, is_masked=asked.address.is_masked) is not None:
            return None
        box = asked.content.box
        size = (box.length_mm, box.width_mm, box.height_mm) if box is not None else (None, None, None)
        shipment = Shipment(
            asked.package_id,
            postal_address(sender),
            to,
            asked.parcel.weight_g or 0,
            *size,
            reference=asked.reference,
        )
        return Offers(source.name, source.quotes(shipment), quote_fingerprint(shipment))

    return ask
