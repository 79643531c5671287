"""`orders hold`, `orders release`, `orders retry`: what the seller decides about an order, whatever the rules say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet, read_names
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.allocation.run import AskPrices

SomeIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...",
        help="Order ids, the channel's order ids or package ids; `-` reads them from standard input.",
    ),
]
Because = Annotated[
    str | None, typer.Option("--because", help="Your reason; it is kept with the order.", show_default=False)
]


def register(orders_app: typer.Typer) -> None:
    """Add the commands to the group `orders`."""
    orders_app.command("hold")(hold)
    orders_app.command("release")(release)
    orders_app.command("retry")(retry)


def hold(
    context: typer.Context,
    ids: SomeIds,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep orders back: no carrier is chosen and no label bought for them until they are released.

    An order whose label is already bought or under way cannot be kept back (exit code 3).

    \b
    Examples:
      tiktok-erp orders hold 576461413038785752 --because "buyer writes a new address"
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.overrides import hold_order
        from tiktok_erp.store.packages import find_packages, withdraw_allocations

        reason = _reason(because, "hold")
        held = 0
        with session.store.transaction(keep=not dry_run):
            for order_id in session.orders(read_names(ids)) or []:
                package_ids = find_packages(session.store, order_id)
                label = _live_label(session, package_ids)
                if label is not None:
                    _refuse(session, order_id, label)
                    continue
                is_new = hold_order(session.store, order_id, reason)
                withdraw_allocations(session.store, package_ids)
                held += 1
                text = (
                    tr("{order}: kept back", order=order_id) if is_new else tr("{order}: was kept back", order=order_id)
                )
                _tell(session, order_id, text, dry_run=dry_run, because=reason)
        session.summary.update(held=held)

    run_command("orders hold", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="allocate")


def release(
    context: typer.Context,
    ids: SomeIds,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let orders go on that were kept back, by you or by a rule's `hold`; the next `allocate` decides about them.

    \b
    Examples:
      tiktok-erp orders release 576461413038785752
      tiktok-erp orders release P000123 --because "called the buyer, all is well"
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.overrides import override, release_order

        released = 0
        with session.store.transaction(keep=not dry_run):
            for order_id in session.orders(read_names(ids)) or []:
                by_rule = session.store.query(
                    "SELECT p.package_id FROM package_orders po JOIN packages p USING (package_id)"
                    " WHERE po.order_id = ? AND p.hold_because IS NOT NULL",
                    (order_id,),
                )
                if by_rule:
                    override(session.store, order_id, "held_by_rule", because or tr("released"), session.run_id)
                was_held = release_order(session.store, order_id)
                if by_rule or was_held:
                    released += 1
                    text = tr("{order}: released; `tiktok-erp allocate` decides about it", order=order_id)
                else:
                    text = tr("{order}: was not kept back", order=order_id)
                _tell(session, order_id, text, dry_run=dry_run)
        session.summary.update(released=released)

    run_command("orders release", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="allocate")


def retry(
    context: typer.Context,
    ids: SomeIds,
    override_causes: Annotated[
        list[str] | None,
        typer.Option(
            "--override", help="Go on in spite of this cause of quarantine; needs --because.", show_default=False
        ),
    ] = None,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try packages in quarantine again: their cases are closed, and those without a label are decided anew at once.

    What is still wrong comes back as a new case. With --override you take the responsibility for a cause, such as a ZIP code
    that does not fit its state; it is recorded with your reason and counts for this order only.

    \b
    Examples:
      tiktok-erp orders retry 576461413038785752
      tiktok-erp orders retry P000123 --override zip_not_in_state --because "the buyer confirmed it"
      tiktok-erp quarantine --json | jq 'select(.cause == "no_service")' | tiktok-erp orders retry -
    """
    causes = tuple(override_causes or ())

    def body(session: Session) -> None:
        from tiktok_erp.cli.allocate import price_source
        from tiktok_erp.store.overrides import override

        reason = _override_reason(causes, because)
        session.rules(required=True)
        package_ids = session.packages(read_names(ids)) or []
        with session.store.transaction(keep=not dry_run):
            for package_id in package_ids:
                for order_id in _orders_of(session, package_id):
                    for cause in causes:
                        override(session.store, order_id, cause, reason, session.run_id)
                _close_cases(session, package_id)
            _withdraw_refused(session, package_ids)
            if dry_run:  # within the transaction that is taken back
                _decide(session, package_ids, None)
        if not dry_run:
            _decide(session, package_ids, price_source(session))

    run_command("orders retry", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="allocate")


def _decide(session: Session, package_ids: Sequence[str], ask_prices: AskPrices | None) -> None:
    from tiktok_erp.allocation.run import allocate

    if not package_ids:
        return
    count = allocate(
        session.store,
        session.rules(),
        session.out,
        only=package_ids,
        run_id=session.run_id,
        dry_run=session.dry_run,
        ask_prices=ask_prices,
    )
    session.summary.update(retried=len(package_ids), allocated=count.allocated)
    session.out.say(
        tr(
            "{retried} packages tried again, {allocated} of them have a carrier now",
            retried=len(package_ids),
            allocated=count.allocated,
        )
    )


def _reason(because: str | None, word: str) -> str:
    reason = (because or "").strip()
    if reason:
        return reason
    raise UsageError(
        tr("`orders {word}` needs a reason", word=word),
        subject="--because",
        next_step=tr('say why, --because "..."; whoever looks at the order later will want to know'),
    )


def _override_reason(causes: Sequence[str], because: str | None) -> str:
    from tiktok_erp.allocation.run import OVERRIDABLE

    for cause in causes:
        if cause not in OVERRIDABLE:
            raise UsageError(
                tr("{cause} cannot be overridden", cause=cause),
                subject="--override",
                next_step=tr("there are {causes}", causes=", ".join(OVERRIDABLE)),
            )
    return _reason(because, "retry --override") if causes else ""


def _orders_of(session: Session, package_id: str) -> list[str]:
    rows = session.store.query("SELECT order_id FROM package_orders WHERE package_id = ?", (package_id,))
    return [row[0] for row in rows]


def _close_cases(session: Session, package_id: str) -> None:
    """Close what trying again decides about; what a person has to compare stays open."""
    from tiktok_erp.allocation.run import is_ours
    from tiktok_erp.labels.journal import CAUSES as LABEL_CAUSES
    from tiktok_erp.labels.refunds import CAUSE as REFUND_REJECTED
    from tiktok_erp.store.quarantine import resolve_cases
    from tiktok_erp.tracking.run import CAUSES as TRACKING_CAUSES

    rows = session.store.query(
        "SELECT DISTINCT cause FROM quarantine WHERE package_id = ? AND resolved_at IS NULL", (package_id,)
    )
    causes = [row[0] for row in rows if is_ours(row[0]) or row[0] in LABEL_CAUSES or row[0] in TRACKING_CAUSES]
    if causes:
        resolve_cases(session.store, package_id=package_id, causes=causes)
    for order_id in _orders_of(session, package_id):
        resolve_cases(session.store, order_id=order_id, causes=[REFUND_REJECTED])


def _withdraw_refused(session: Session, package_ids: Sequence[str]) -> None:
    """Let packages whose label was refused be decided anew: the rule's next choice may do."""
    from tiktok_erp.store.packages import load_refused_choices, withdraw_allocations

    refused = load_refused_choices(session.store, package_ids)
    withdraw_allocations(session.store, [package_id for package_id in package_ids if package_id in refused])


def _live_label(session: Session, package_ids: Sequence[str]) -> str | None:
    from tiktok_erp.store.labels import load_live

    for package_id in package_ids:
        label = load_live(session.store, package_id)
        if label is not None and label["state"] != "intent":
            return package_id
    return None


def _refuse(session: Session, order_id: str, package_id: str) -> None:
    session.out.item(
        Outcome(
            "order",
            {"order_id": order_id},
            "failed",
            cause="has_label",
            next_step=tr(
                "take the parcel {package} out by hand, or void its label in Seller Center", package=package_id
            ),
            text=tr("{order}: cannot be kept back, its label is bought or under way", order=order_id),
        )
    )


def _tell(session: Session, order_id: str, text: str, *, dry_run: bool, because: str | None = None) -> None:
    fields: dict[str, object] = {"because": because} if because else {}
    session.out.item(
        Outcome("order", {"order_id": order_id}, "planned" if dry_run else "done", fields=fields, text=text)
    )
