"""Decide for each order with an untold tracking number whether and how to tell it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tiktok_erp.messages import tr
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN, not_taken
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.tracking_number import check

# TikTok reference, section 4.5: how many orders one number may serve, and until when a number may be corrected.
ORDERS_A_NUMBER = 20
CORRECTION = timedelta(hours=72)
_CHANNEL = "tiktok"  # the only one that numbers are sent to


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
    used_by: str | None = None  # another package with a bought label of this number
    recipient: str | None = field(default=None, repr=False)  # name and address as one text; None: not known or masked
    is_moved: bool = False  # the address changed since the label was bought, and no carrier has the parcel


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


def plan_upload(number: UntoldNumber, now: datetime, rules: Rules) -> Upload | NotUploaded:
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
    if number.is_moved:
        return refuse(
            "address_changed",
            tr("the address changed after the label was bought"),
            tr(
                "keep the parcel here, take the label back (`tiktok-erp labels void {package}`, or where it was bought) and buy"
                " another; a parcel that has left is uploaded once the carrier has scanned it",
                package=number.package_id,
            ),
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
    if not rules.takes_own_label(_CHANNEL, carrier):
        return refuse(CARRIER_NOT_TAKEN, not_taken(_CHANNEL, carrier), _other_label())
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


def _other_label() -> str:
    return tr(
        "take the label back (`tiktok-erp labels void ID --yes`) and run `tiktok-erp allocate`; or choose TikTok Shipping for the"
        " order in Seller Center, then run `tiktok-erp sync`"
    )


def plan_batch(numbers: Iterable[UntoldNumber], now: datetime, rules: Rules) -> list[Upload | NotUploaded]:
    """Return a decision for each number, in their order: first each alone, then what only shows when all are seen."""
    decisions = [plan_upload(number, now, rules) for number in numbers]
    by_number: dict[str, list[Upload]] = defaultdict(list)
    for decision in decisions:
        if isinstance(decision, Upload):
            by_number[decision.tracking_number].append(decision)
    faults = {number: _fault_of_number(uploads) for number, uploads in by_number.items()}
    checked: list[Upload | NotUploaded] = []
    for decision in decisions:
        fault = faults.get(decision.tracking_number) if isinstance(decision, Upload) else None
        checked.append(decision if fault is None else NotUploaded(decision.number, *fault, is_fault=True))
    return checked


def _fault_of_number(uploads: Sequence[Upload]) -> tuple[str, str, str] | None:
    """Return (cause, what, next step) if one number may not be told for all these orders.

    A number serves one package: at most 20 orders of one buyer at one address.
    """
    packages = sorted({upload.number.package_id for upload in uploads})
    used_by = next((upload.number.used_by for upload in uploads if upload.number.used_by), None)
    if len(packages) > 1 or used_by is not None:
        others = [*packages, used_by] if used_by is not None else packages
        return (
            "number_used",
            tr(
                "the number {number} is on several packages: {packages}",
                number=uploads[0].tracking_number,
                packages=", ".join(package for package in others[:5] if package),
            ),
            tr("see which parcel carries it, and import the right number for the others"),
        )
    if len(uploads) > ORDERS_A_NUMBER:
        return (
            "number_used_too_often",
            tr(
                "{count} orders share the number {number}; the channel allows {limit}",
                count=len(uploads),
                number=uploads[0].tracking_number,
                limit=ORDERS_A_NUMBER,
            ),
            tr("send the further orders in a package of their own"),
        )
    recipients = {upload.number.recipient for upload in uploads if upload.number.recipient is not None}
    if len(recipients) > 1:
        return (
            "different_addresses",
            tr(
                "orders of different buyers or addresses share the number {number}",
                number=uploads[0].tracking_number,
            ),
            tr("look at the package with `tiktok-erp orders show ID`; each address needs a number of its own"),
        )
    return None


@dataclass(frozen=True, slots=True)
class ToldNumber:
    """One order whose number is to be corrected. `shipped_at` is by the channel's clock where it told one."""

    package_id: str
    order_id: str
    channel_order_id: str
    base_state: str
    shipping_type: str | None
    source: str | None  # of the live label; None: there is none
    has_document: bool
    carrier: str | None
    tracking_number: str | None
    told_number: str | None  # what the channel shows
    channel_package_id: str | None
    delivery_option_id: str | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    is_split: bool
    was_corrected: bool
    used_by: str | None


@dataclass(frozen=True, slots=True)
class Correction:
    """One call that replaces a told number; `by_package` where the order has several."""

    number: ToldNumber
    tracking_number: str
    carrier: str
    by_package: bool


def plan_correction(number: ToldNumber, wanted: str, now: datetime, rules: Rules) -> Correction | tuple[str, str, str]:
    """Return the call that corrects a told number, or (cause, what, next step) where the platform would refuse it.

    Only Seller Shipping, only shipped and not delivered, once per order, within 72 hours (TikTok reference, section 4.5).
    """
    in_seller_center = tr(
        "write to TikTok's support in Seller Center; a number cannot be changed there any more either"
    )
    if number.shipping_type == "TIKTOK" or number.source == "tiktok":
        return "platform_label", tr("TikTok's own labels keep their number"), tr("nothing can be corrected here")
    if number.base_state == "cancelled":
        return "order_cancelled", tr("the order is cancelled"), tr("nothing to do")
    if number.shipped_at is None:
        return (
            "not_told",
            tr("the channel was not told a number of this order yet"),
            tr(
                "import the right number with `tiktok-erp print-labels --from FILE`, then run `tiktok-erp upload-tracking`"
            ),
        )
    if number.delivered_at is not None:
        return "delivered", tr("the order is delivered already"), tr("nothing to do")
    verdict = check(wanted, None)
    carrier = number.carrier
    if len(verdict.detected_carriers) == 1 or carrier is None:
        carrier = verdict.detected_carriers[0] if len(verdict.detected_carriers) == 1 else carrier
    if carrier is None:
        return (
            "unknown_carrier",
            tr("no carrier is known for the number {number}", number=wanted),
            tr("check the number"),
        )
    verdict = check(wanted, carrier)
    if not verdict.ok:
        what = tr("the tracking number {number} is wrong: {reason}", number=wanted, reason=verdict.detail)
        return "bad_tracking_number", what, tr("check the number")
    if not rules.takes_own_label(_CHANNEL, carrier):
        return CARRIER_NOT_TAKEN, not_taken(_CHANNEL, carrier), tr("check the number")
    if verdict.normalised == number.told_number:
        return "already_told", tr("the channel shows this number already"), tr("nothing to do")
    if number.was_corrected:
        return (
            "corrected_before",
            tr("the number of this order was corrected once, and no second time"),
            in_seller_center,
        )
    if now - number.shipped_at > CORRECTION:
        return "too_late", tr("a number can be corrected within 72 hours only"), in_seller_center
    if number.used_by is not None:
        return (
            "number_used",
            tr("the number {number} is on package {package} already", number=wanted, package=number.used_by),
            tr("see which parcel carries it"),
        )
    if number.has_document and number.tracking_number != verdict.normalised:
        return (
            "other_label",
            tr("the label held for this package carries {number}", number=number.tracking_number),
            tr("take it back with `tiktok-erp labels void ID --yes` and import the label that was used"),
        )
    if number.is_split and number.channel_package_id is None:
        return (
            "split_order",
            tr("the order left in several packages, and the channel's id of this one is not known"),
            tr("run `tiktok-erp sync`, then run this again"),
        )
    return Correction(number, verdict.normalised, carrier, by_package=number.is_split)


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
