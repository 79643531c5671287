"""Decide for each order with an untold tracking number whether and how to tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.messages import tr
from tiktok_erp.model.tracking_number import check


@dataclass(frozen=True, slots=True)
class UntoldNumber:
    """One order of a labelled package, as the store has it. `unit_ids` are the channel's ids of its open units."""

    package_id: str
    order_id: str
    channel_order_id: str
    base_state: str
    held_until: datetime | None
    cancel_requested: bool
    shipping_type: str | None
    source: str
    carrier: str | None
    tracking_number: str
    channel_package_id: str | None
    delivery_option_id: str | None
    auto_combine_group_id: str | None
    unit_ids: tuple[str | None, ...]
    is_split: bool  # units of the order have left already, or are in other packages
    has_cancelled_units: bool


@dataclass(frozen=True, slots=True)
class Upload:
    """One call to make: `ship_package` where the channel has the package already, else `mark_shipped`."""

    number: UntoldNumber
    kind: str
    tracking_number: str
    carrier: str
    line_item_ids: tuple[str, ...]  # empty: the whole order
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class NotUploaded:
    """Why a number is not told. `is_fault` is false where nothing is wrong and nobody has to act."""

    number: UntoldNumber
    cause: str
    what: str
    next_step: str
    is_fault: bool


def plan_upload(number: UntoldNumber, now: datetime) -> Upload | NotUploaded:
    """Return the call that tells one number, or why there is none (design, promises 4 and 5)."""

    def refuse(cause: str, what: str, next_step: str, *, is_fault: bool = True) -> NotUploaded:
        return NotUploaded(number, cause, what, next_step, is_fault)

    if number.base_state == "cancelled":
        return refuse(
            "order_cancelled",
            tr("the order was cancelled after its label was bought"),
            tr("do not send the parcel; void its label"),
        )
    if number.cancel_requested:
        return refuse(
            "cancel_requested",
            tr("the buyer asks to cancel the order"),
            tr(
                "answer the buyer: `tiktok-erp orders answer ID approve` or `reject`, or in Seller Center, then `tiktok-erp sync`"
            ),
        )
    if number.base_state == "closed":
        return refuse(
            "already_shipped",
            tr("the channel says that it has left already"),
            tr("nothing to do: it has left"),
            is_fault=False,
        )
    if number.base_state != "open" or (number.held_until is not None and number.held_until > now):
        return refuse(
            "on_hold",
            tr("the order may not be shipped yet"),
            tr("wait for the hold to end, then run this again"),
            is_fault=False,
        )
    if number.shipping_type == "TIKTOK" or number.source == "tiktok":
        return refuse(
            "told_by_channel",
            tr("the channel knows the number of its own label"),
            tr("nothing to do: `tiktok-erp sync` reads it back"),
            is_fault=False,
        )
    verdict = check(number.tracking_number, number.carrier)
    carrier = number.carrier or (verdict.detected_carriers[0] if len(verdict.detected_carriers) == 1 else None)
    if carrier is None:
        return refuse(
            "unknown_carrier",
            tr("no carrier is known for the number {number}", number=number.tracking_number),
            tr("import the number again with its carrier"),
        )
    if not verdict.ok:
        return refuse(
            "bad_tracking_number",
            tr("the tracking number {number} is wrong: {reason}", number=number.tracking_number, reason=verdict.detail),
            tr("correct number or carrier in the list and import it again"),
        )
    is_partial = number.is_split or number.has_cancelled_units
    if is_partial and (not number.unit_ids or None in number.unit_ids):
        return refuse(
            "split_order",
            tr("only a part of the order is in this package, and the channel's ids of its units are not known"),
            tr("run `tiktok-erp sync` with the API, or tell this number in Seller Center"),
        )
    return Upload(
        number=number,
        kind="ship_package" if number.channel_package_id else "mark_shipped",
        tracking_number=verdict.normalised,
        carrier=carrier,
        line_item_ids=tuple(unit_id for unit_id in number.unit_ids if unit_id) if is_partial else (),
        warning=verdict.detail if verdict.verdict == "unchecked" else None,
    )


def choose_provider(carrier: str, display_name: str | None, providers: Iterable[tuple[str, str, str]]) -> str | None:
    """Return the id of the provider that is `carrier`; `providers` holds (id, name, our code for that name).

    A name equal to our display name wins over one that only means the same carrier; two that mean it equally are none.
    """
    entries = list(providers)
    wanted = (display_name or "").strip().casefold()
    exact = [provider_id for provider_id, name, code in entries if name.strip().casefold() == wanted and wanted]
    if len(exact) == 1:
        return exact[0]
    same = [provider_id for provider_id, name, code in entries if code == carrier]
    return same[0] if len(same) == 1 else None
