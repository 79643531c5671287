"""Say why a package gets its carrier: every rule with its answer, and what the alternatives cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiktok_erp.allocation.plan import (
    Allocation,
    Decision,
    Held,
    NotAllocated,
    Prices,
    is_closed_rule,
    plan_allocation,
)
from tiktok_erp.model.carrier_rule import CarrierRule, Choice, Missed, Price, Unknown
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Rules


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What one rule says of a package.

    `answer`: `covers`, `misses` (a condition asked for something else than `seen`), `unknown` (a fact is not known),
    `passed_over` (the channel takes no own label of its carriers), or `adds` (it covers the package and leaves the choice to the rules below).
    """

    rule: str
    answer: str
    condition: str | None = None  # as the file has it
    seen: str | None = None
    decides: bool = False  # the search ended here


@dataclass(frozen=True, slots=True)
class Explanation:
    """All rules in their order, the decision, and the prices of the choices that the rules know, cheapest first."""

    answers: tuple[RuleAnswer, ...]
    decision: Decision
    prices: tuple[Price, ...]


def explain(parcel: Parcel, rules: Rules, *, prices: Prices | None = None) -> Explanation:
    """Return what `plan_allocation` decides about `parcel`, and how each rule answered on its own."""
    answers: list[RuleAnswer] = []
    is_over = False
    for rule in rules.carriers:
        answer = _answer(parcel, rule, rules)
        ends = not is_over and answer.answer in ("covers", "unknown")
        answers.append(RuleAnswer(answer.rule, answer.answer, answer.condition, answer.seen, ends))
        is_over = is_over or ends
    decision = plan_allocation(parcel, rules, prices=prices)
    return Explanation(tuple(answers), decision, tuple(_prices(parcel, rules, decision, prices)))


def _answer(parcel: Parcel, rule: CarrierRule, rules: Rules) -> RuleAnswer:
    is_closed = is_closed_rule(rule, parcel, rules)
    verdict = rule.verdict(parcel)
    if isinstance(verdict, Missed):
        wanted = next(str(one) for one in rule.conditions if one.answer(parcel) is False)
        return RuleAnswer(rule.name, "misses", wanted, verdict.seen)
    if is_closed and parcel.shipping_type is not None:
        return RuleAnswer(rule.name, "passed_over")
    if isinstance(verdict, Unknown):
        wanted = next(str(one) for one in rule.conditions if one.answer(parcel) is None)
        return RuleAnswer(rule.name, "unknown", wanted, verdict.seen)
    if is_closed:
        return RuleAnswer(rule.name, "unknown", "shipping_type", "")
    return RuleAnswer(rule.name, "covers" if _ends(parcel, rule) else "adds")


def _ends(parcel: Parcel, rule: CarrierRule) -> bool:
    if rule.use is not None:
        return True
    if rule.hold is not None:
        return "held_by_rule" not in parcel.overrides
    return rule.quarantine is not None and "quarantined_by_rule" not in parcel.overrides


def _prices(parcel: Parcel, rules: Rules, decision: Decision, prices: Prices | None) -> list[Price]:
    known = list(prices.values()) if prices is not None else _by_rates(parcel, rules)
    if isinstance(decision, Allocation) and decision.price is not None and decision.price not in known:
        known.append(decision.price)
    return sorted(known, key=lambda price: (price.cost.currency, price.cost.minor, price.choice))


def _by_rates(parcel: Parcel, rules: Rules) -> list[Price]:
    choices: Sequence[Choice] = list(dict.fromkeys(rate.choice for rate in rules.rates.rates))
    found = [rules.rates.price(choice, parcel) for choice in choices]
    return [price for price in found if isinstance(price, Price)]


def result_of(decision: Decision) -> tuple[str | None, str | None, str | None, str | None]:
    """Return (carrier, service level, rule, cause) of a decision."""
    if isinstance(decision, Allocation):
        return decision.carrier, decision.service_level, decision.because, None
    if isinstance(decision, Held):
        return None, None, decision.because, decision.cause
    assert isinstance(decision, NotAllocated)
    return None, None, None, decision.cause
