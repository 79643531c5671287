"""Decide carrier and service level of one package. Pure: `run.py` reads and writes around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tiktok_erp.messages import tr
from tiktok_erp.model.carrier_rule import (
    NO_EXTRAS,
    CarrierRule,
    Choice,
    Extras,
    Price,
    Unknown,
    Use,
)
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN, CHANNEL_NAMES, not_taken
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Box, Rules
from tiktok_erp.model.us_states import TERRITORIES, state_code

# Carriers that need a telephone number, and the one that goes where the others do not (carriers reference, section 9).
_NEED_A_PHONE = frozenset({"ups", "fedex"})
_GOES_EVERYWHERE = "usps"
_HEAVIEST_G = {"usps": 31_751}  # 70 lb (carriers reference, section 9)

Prices = Mapping[Choice, Price]


# A tuple, as making a frozen dataclass would take longer than deciding what goes into it.
class Allocation(NamedTuple):
    """The first rule that covers the package, and what it says."""

    package_id: str
    carrier: str
    service_level: str
    because: str  # the rule's name in rules.yaml
    notes: tuple[str, ...] = ()  # what a person should know beside the reason
    extras: Extras = NO_EXTRAS
    fallbacks: tuple[Choice, ...] = ()  # what comes next if the label source refuses this one
    price: Price | None = None  # where the choice depended on it


@dataclass(frozen=True, slots=True)
class Held:
    """A rule keeps the package back. `because` is the rule's name, `reason` what it says."""

    package_id: str
    because: str
    reason: str
    cause: str = "held_by_rule"


@dataclass(frozen=True, slots=True)
class NotAllocated:
    """Why there is no carrier. `cause` is a stable word: `no_rule`, or `unknown_` and the fact that is not known."""

    package_id: str
    cause: str
    detail: str
    next_step: str


Decision = Allocation | Held | NotAllocated


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a carrier cannot take a package with an own label."""

    cause: str
    detail: str
    next_step: str


def is_closed(carrier: str, parcel: Parcel, rules: Rules) -> bool:
    """Tell whether the channel takes no own label of `carrier`, if the package gets an own label or may get one.

    An example in rules.yaml that leaves the kind of label open is about a label of the channel's.
    """
    if parcel.shipping_type == "TIKTOK" or (parcel.shipping_type is None and not parcel.order_ids):
        return False
    return not rules.takes_own_label(parcel.channel, carrier)


def is_closed_rule(rule: CarrierRule, parcel: Parcel, rules: Rules) -> bool:
    """Tell whether all that `rule` has to choose from is closed to the package."""
    return rule.use is not None and all(is_closed(choice.carrier, parcel, rules) for choice in rule.choices)


def plan_allocation(parcel: Parcel, rules: Rules, *, prices: Prices | None = None) -> Decision:
    """Return what the first rule, top to bottom, that covers `parcel` says; nothing falls through to a default carrier.

    A rule whose answer depends on an unknown fact ends the search: the next rule might be the wrong one. A rule that has
    only carriers whose own labels the channel does not take is passed over. `prices` are what the label source asks for
    this parcel; None where it was not asked, then the `rates` table is used.
    """
    extras = NO_EXTRAS
    notes: tuple[str, ...] = ()
    for rule, is_sure in rules.table.candidates(parcel):
        use = rule.use
        if is_closed_rule(rule, parcel, rules):
            if parcel.shipping_type is not None:
                notes = (*notes, _passed_over(rule, parcel)) if is_sure else notes
                continue
            if is_sure:
                return _not_known(parcel, rule, Unknown("shipping_type"))
        if not is_sure:
            return _not_known(parcel, rule, rule.verdict(parcel))
        if rule.extras is not NO_EXTRAS:
            extras = rule.extras.over(extras)
        if use is None:
            if rule.hold is not None and "held_by_rule" not in parcel.overrides:
                return Held(parcel.package_id, rule.name, rule.hold)
            if rule.quarantine is not None and "quarantined_by_rule" not in parcel.overrides:
                return _by_rule(parcel, rule)
            continue
        # Nothing to choose, and TikTok sees to its own labels: most packages of a stream.
        is_plain = len(use.choices) == 1 and use.by == "order" and not rule.then
        if is_plain and parcel.shipping_type == "TIKTOK" and not parcel.refused:
            choice = use.choices[0]
            return Allocation(parcel.package_id, choice.carrier, choice.service_level, rule.name, notes, extras)
        return _choose(parcel, rule, use, rules, prices, notes, extras)
    return _no_rule(parcel, notes)


def _choose(
    parcel: Parcel,
    rule: CarrierRule,
    use: Use,
    rules: Rules,
    prices: Prices | None,
    notes: tuple[str, ...],
    extras: Extras,
) -> Allocation | NotAllocated:
    """Return the choice of `rule` that is possible and comes first, cheapest or fastest; after all of `use`, those of `then`."""
    wanted = [choice for choice in use.choices if choice not in parcel.refused]
    following = [choice for choice in rule.then if choice not in parcel.refused]
    if not wanted and not following:
        return _all_refused(parcel, rule)
    everyone = [*wanted, *following]
    if parcel.shipping_type is None and any(is_closed(one.carrier, parcel, rules) for one in everyone):
        return _not_known(parcel, rule, Unknown("shipping_type"))
    refusals = {choice: _refusal(choice, parcel, rules) for choice in everyone}
    possible = [choice for choice in wanted if refusals[choice] is None]
    reserve = [choice for choice in following if refusals[choice] is None]
    if not possible and not reserve:
        return _nobody_takes_it(parcel, rule, everyone[0], refusals)
    price: Price | None = None
    if use.needs_prices and possible:
        found = rank(possible, use, parcel, rules, prices)
        if isinstance(found, Unknown):
            return _not_known(parcel, rule, found)
        if found:
            price = found[0]
        elif parcel.shipping_type == "TIKTOK":
            notes = (*notes, tr("no price is known to compare; TikTok Shipping chooses the carrier itself"))
        elif not reserve:
            return _no_price(parcel, rule, use, possible, rules, prices)
        if found or parcel.shipping_type != "TIKTOK":
            possible = [one.choice for one in found]
    choice, *later = [*possible, *reserve]
    return Allocation(
        parcel.package_id, choice.carrier, choice.service_level, rule.name, notes, extras, tuple(later), price
    )


def _nobody_takes_it(
    parcel: Parcel, rule: CarrierRule, choice: Choice, refusals: Mapping[Choice, Refusal | None]
) -> NotAllocated:
    first = next(refusal for refusal in refusals.values() if refusal is not None)
    detail = tr("the rule `{rule}` says {choice}: {why}", rule=rule.name, choice=choice, why=first.detail)
    return NotAllocated(parcel.package_id, first.cause, detail, first.next_step)


def rank(
    choices: Sequence[Choice], use: Use, parcel: Parcel, rules: Rules, prices: Prices | None
) -> list[Price] | Unknown:
    """Return the prices of those `choices` that are on offer, best first; Unknown when one depends on an unknown fact.

    Equal ones keep the order of the rule. The fastest must have a known transit time, and cost at most `use.max_cost`.
    """
    found: list[Price] = []
    for choice in choices:
        price = prices.get(choice) if prices is not None else rules.rates.price(choice, parcel)
        if isinstance(price, Unknown):
            return price
        if price is not None and price.cost.currency == (found[0].cost.currency if found else price.cost.currency):
            found.append(price)
    if use.by == "cheapest":
        return sorted(found, key=lambda price: price.cost.minor)
    within = [
        price
        for price in found
        if price.transit_days is not None
        and (use.max_cost is None or (price.cost.currency == use.max_cost.currency and price.cost <= use.max_cost))
    ]
    return sorted(within, key=lambda price: (price.transit_days or 0, price.cost.minor))


def _refusal(choice: Choice, parcel: Parcel, rules: Rules) -> Refusal | None:
    """Return why this carrier cannot take the package, or None. TikTok Shipping sees to its own labels."""
    if is_closed(choice.carrier, parcel, rules):
        return Refusal(
            CARRIER_NOT_TAKEN,
            not_taken(parcel.channel, choice.carrier),
            tr("add another carrier to the rule's `use`, then run `tiktok-erp allocate`"),
        )
    if parcel.shipping_type == "TIKTOK":
        return None
    found = _refusals(choice, parcel, rules)
    return next((refusal for refusal in found if refusal.cause not in parcel.overrides), None)


def _refusals(choice: Choice, parcel: Parcel, rules: Rules) -> Iterator[Refusal]:
    carrier = choice.carrier
    other = without_phone = _by_channel_alone(parcel)
    if not is_closed(_GOES_EVERYWHERE, parcel, rules):
        other = tr(
            "add a USPS service level to the rule's `use`, or a rule for such addresses above it, then run `tiktok-erp allocate`"
        )
        without_phone = tr(
            "ask the buyer, or add a USPS service level to the rule's `use`, then run `tiktok-erp allocate`"
        )
    if carrier != _GOES_EVERYWHERE and carrier in _KNOWN_CARRIERS:
        if parcel.is_military:
            yield Refusal("military", tr("only USPS delivers to military addresses"), other)
        if parcel.is_po_box:
            yield Refusal("po_box", tr("only USPS delivers to PO boxes"), other)
        if parcel.state and state_code(parcel.state) in TERRITORIES:
            yield Refusal("territory", tr("only USPS is used for US territories"), other)
    if carrier in _NEED_A_PHONE and parcel.has_phone is False:
        yield Refusal(
            "no_phone",
            tr("{carrier} needs a telephone number, and the order has none", carrier=carrier),
            without_phone,
        )
    limit = rules.addresses.line_length.get(carrier)
    if limit is not None and parcel.longest_line is not None and parcel.longest_line > limit:
        yield Refusal(
            "address_too_long",
            tr(
                "a street line has {length} characters, and {carrier} prints {limit}",
                length=parcel.longest_line,
                carrier=carrier,
                limit=limit,
            ),
            tr(
                "shorten it where you buy the label, then `tiktok-erp orders retry ID --override address_too_long --because TEXT`"
            ),
        )
    heaviest = _HEAVIEST_G.get(carrier)
    if heaviest is not None and parcel.weight_g is not None and parcel.weight_g > heaviest:
        yield Refusal(
            "too_heavy",
            tr(
                "{weight} g are more than {carrier} takes ({limit} g)",
                weight=parcel.weight_g,
                carrier=carrier,
                limit=heaviest,
            ),
            tr("add a carrier for heavy parcels to the rule's `use`, then run `tiktok-erp allocate`"),
        )


# Regional carriers of the seller's own naming may well go to a PO box; of these it is known.
_KNOWN_CARRIERS = frozenset({"usps", "ups", "fedex", "dhl", "dhl_ecommerce"})


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


Size = tuple[int, int, int]  # millimetres, in any order


def plan_box(
    boxes: Sequence[Box], content_g: int | None, sizes: Sequence[Size | None], *, wanted: str | None = None
) -> Box | None:
    """Return the box to pack in: `wanted`, or the first one that takes the content; None when there are no boxes or none does.

    `content_g` is the weight without a box. What is not known rules no box out: a content without a weight or a size goes
    into the first box that the rest fits.
    """
    for box in boxes:
        if wanted is not None:
            if box.name == wanted:
                return box
        elif _takes(box, content_g, sizes):
            return box
    return None


def _takes(box: Box, content_g: int | None, sizes: Sequence[Size | None]) -> bool:
    if box.max_weight_g is not None and content_g is not None and content_g + box.weight_g > box.max_weight_g:
        return False
    if box.length_mm is None or box.width_mm is None or box.height_mm is None:
        return True
    inner = sorted((box.length_mm, box.width_mm, box.height_mm))
    known = [sorted(size) for size in sizes if size is not None]
    if any(side > room for size in known for side, room in zip(size, inner, strict=True)):
        return False
    return sum(a * b * c for a, b, c in known) <= inner[0] * inner[1] * inner[2]


def _by_channel_alone(parcel: Parcel) -> str:
    """What is left where only USPS delivers, and the channel takes no own label of USPS."""
    return tr(
        "{channel} takes no USPS label of your own: ask the buyer for another address, or choose TikTok Shipping for the"
        " order in Seller Center; then run `tiktok-erp sync` and `tiktok-erp allocate`",
        channel=CHANNEL_NAMES.get(parcel.channel or "tiktok", parcel.channel or ""),
    )


def _passed_over(rule: CarrierRule, parcel: Parcel) -> str:
    return tr(
        "`{rule}` was passed over: {why}",
        rule=rule.name,
        why=not_taken(parcel.channel, rule.choices[0].carrier),
    )


def _by_rule(parcel: Parcel, rule: CarrierRule) -> NotAllocated:
    return NotAllocated(
        parcel.package_id,
        "quarantined_by_rule",
        tr("the rule `{rule}` says: {reason}", rule=rule.name, reason=rule.quarantine),
        tr(
            "look at the order; `tiktok-erp orders retry ID --override quarantined_by_rule --because TEXT` lets it go on"
        ),
    )


def _all_refused(parcel: Parcel, rule: CarrierRule) -> NotAllocated:
    return NotAllocated(
        parcel.package_id,
        "all_refused",
        tr("the label source has refused every service level of the rule `{rule}`", rule=rule.name),
        tr("add another one to the rule's `then`, or correct what was refused; then run `tiktok-erp orders retry ID`"),
    )


def _no_price(
    parcel: Parcel, rule: CarrierRule, use: Use, possible: Sequence[Choice], rules: Rules, prices: Prices | None
) -> NotAllocated:
    names = ", ".join(str(choice) for choice in possible)
    offered = prices is not None or any(rules.rates.price(choice, parcel) is not None for choice in possible)
    if use.by == "fastest" and offered:
        limit = f" {use.max_cost}" if use.max_cost is not None else ""
        return NotAllocated(
            parcel.package_id,
            "no_price",
            tr(
                "the rule `{rule}` asks for the fastest of {names}{limit}: none has a known transit time and such a price",
                rule=rule.name,
                names=names,
                limit=limit,
            ),
            tr("raise `max_cost` or add `transit_days` to `rates`, then run `tiktok-erp allocate`"),
        )
    return NotAllocated(
        parcel.package_id,
        "no_price",
        tr("the rule `{rule}` compares {names}, and no price is known for any of them", rule=rule.name, names=names),
        tr(
            "add them to `rates` in rules.yaml, or set up a label source that tells prices; then run `tiktok-erp allocate`"
        ),
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
    if unknown.condition in ("state", "country", "zip", "po_box", "military"):
        return tr("run `tiktok-erp sync` to read the address again, or write a rule that does not ask for it")
    if unknown.condition == "residential":
        return tr("no channel tells this of an address; write a rule that does not ask for it")
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
