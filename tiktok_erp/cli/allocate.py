"""`allocate`: choose carrier and service level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, read_names
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.allocation.run import Asked, AskPrices
    from tiktok_erp.model.carrier_rule import Price


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
    if not (session.rules().compares_prices and session.settings().tiktok_is_set()):
        return None
    try:
        shop = session.shop()
    except ErpError as error:
        session.out.warn(tr("no label source can be asked for prices ({reason}); `rates` is used", reason=error.what))
        return None

    def ask(asked: Asked) -> list[Price] | None:
        from tiktok_erp.model.carrier import service_code
        from tiktok_erp.model.carrier_rule import Choice, Price

        if asked.shipping_type != "TIKTOK" or len(asked.order_ids) != 1:
            return None
        offers = shop.fetch_services(asked.order_ids[0].partition(":")[2], weight_g=asked.parcel.weight_g)
        return [
            Price(Choice(*service_code(offer.carrier, offer.name)), offer.price, offer.latest_days, "tiktok")
            for offer in offers
        ]

    return ask
