"""Decide carrier and service level of one package. Pure: `run.py` reads and writes around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tiktok_erp.messages import tr
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import CarrierRule, Rules, Unknown


# A tuple, as making a frozen dataclass would take longer than deciding what goes into it.
class Allocation(NamedTuple):
    """The first rule that covers the package, and what it says."""

    package_id: str
    carrier: str
    service_level: str
    because: str  # the rule's name in rules.yaml
    notes: tuple[str, ...] = ()  # what a person should know beside the reason


@dataclass(frozen=True, slots=True)
class NotAllocated:
    """Why there is no carrier. `cause` is a stable word: `no_rule`, or `unknown_` and the fact that is not known."""

    package_id: str
    cause: str
    detail: str
    next_step: str


def plan_allocation(parcel: Parcel, rules: Rules, *, cross_border: bool) -> Allocation | NotAllocated:
    """Return what the first rule, top to bottom, that covers `parcel` says; nothing falls through to a default carrier.

    A rule whose answer depends on an unknown fact ends the search: the next rule might be the wrong one.
    With `cross_border`, USPS rules are passed over for TikTok orders with own labels, as USPS labels of cross-border
    sellers are only allowed from TikTok Shipping (TikTok reference, section 7, notice of 2025-10-27).
    """
    is_restricted = cross_border and parcel.channel in ("tiktok", None) and parcel.shipping_type != "TIKTOK"
    notes: tuple[str, ...] = ()
    for rule, is_sure in rules.table.candidates(parcel):
        if is_restricted and rule.carrier == "usps":
            if parcel.shipping_type is not None:
                notes = (*notes, _passed_over(rule)) if is_sure else notes
                continue
            if is_sure:
                return _not_known(parcel, rule, Unknown("shipping_type"))
        if not is_sure:
            return _not_known(parcel, rule, rule.verdict(parcel))
        return Allocation(parcel.package_id, rule.carrier, rule.service_level, rule.name, notes)
    return _no_rule(parcel, notes)


def plan_weight(unit_weights: Sequence[int | None], box_weight_g: int | None) -> int | None:
    """Return the packed weight in grams: the units' weights plus the box; None when any part is unknown.

    `box_weight_g` is 0 where no boxes are configured, and None for a box of unknown weight.
    """
    if not unit_weights or box_weight_g is None:
        return None
    total = box_weight_g
    for weight in unit_weights:
        if weight is None:
            return None
        total += weight
    return total


def _passed_over(rule: CarrierRule) -> str:
    return tr(
        "`{rule}` was passed over: a cross-border shop may not use USPS with its own labels",
        rule=rule.name,
    )


def _not_known(parcel: Parcel, rule: CarrierRule, verdict: object) -> NotAllocated:
    if not isinstance(verdict, Unknown):
        raise TypeError(f"the rule {rule.name!r} was sure: {verdict!r}")
    if verdict.seen:
        detail = tr(
            "the rule `{rule}` asks for {fact} and cannot compare `{seen}`",
            rule=rule.name,
            fact=verdict.condition,
            seen=verdict.seen,
        )
    else:
        detail = tr("the rule `{rule}` asks for {fact}, which is not known", rule=rule.name, fact=verdict.condition)
    return NotAllocated(parcel.package_id, unknown_cause(verdict.condition), detail, _how_to_learn(verdict))


def unknown_cause(fact: str) -> str:
    """Return the cause code for a fact that a rule asked for and nobody knows: `weight_g` gives `unknown_weight`."""
    return {"weight_g": "unknown_weight", "all_skus": "unknown_sku"}.get(fact, f"unknown_{fact}")


def _how_to_learn(unknown: Unknown) -> str:
    if unknown.condition == "weight_g":
        return tr("run `tiktok-erp stock set SKU --weight 120g` for each SKU in it, then `tiktok-erp allocate`")
    if unknown.condition == "order_total" and unknown.seen:
        return tr(
            "give the rule a condition that such orders do not meet (country, channel), "
            "add one with amounts in their currency, then run `tiktok-erp allocate`"
        )
    if unknown.condition in ("state", "country", "zip"):
        return tr("run `tiktok-erp sync` to read the address again, or write a rule that does not ask for it")
    return tr("run `tiktok-erp sync` to read the order again, or write a rule that does not ask for it")


def _no_rule(parcel: Parcel, notes: tuple[str, ...]) -> NotAllocated:
    facts = [
        f"{parcel.weight_g} g" if parcel.weight_g is not None else "",
        str(parcel.order_total) if parcel.order_total is not None else "",
        parcel.state or "",
        parcel.country or "",
    ]
    detail = tr("no carrier rule covers this package: {facts}", facts=", ".join(fact for fact in facts if fact) or "?")
    return NotAllocated(
        parcel.package_id,
        "no_rule",
        "; ".join((detail, *notes)),
        tr("add a rule to rules.yaml that covers it, then run `tiktok-erp allocate`"),
    )
