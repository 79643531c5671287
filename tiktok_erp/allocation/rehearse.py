"""Try rules without deciding anything: their own examples, one package, or all of the history. Reads only."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from tiktok_erp.allocation.explain_plan import Explanation, explain, result_of
from tiktok_erp.allocation.parcels import Surroundings, address_of, content_of, parcel_of
from tiktok_erp.allocation.plan import Decision, plan_allocation
from tiktok_erp.allocation.run import decide, surroundings
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier_rule import Choice, Price
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Rules, RuleTest
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.packages import iterate_package_ids, load_package_units, load_parcels_of

_PACKAGES_A_READ = 2000
EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class TestResult:
    """One example of `tests`: what was expected (only what the example names), and what the rules say."""

    test: RuleTest
    decision: Decision
    wrong: tuple[tuple[str, str | None, str | None], ...]  # (what, expected, seen)


def run_tests(rules: Rules) -> list[TestResult]:
    """Return what the rules make of each of their own examples."""
    results = []
    for test in rules.tests:
        decision = plan_allocation(test.parcel, rules)
        carrier, service_level, rule, cause = result_of(decision)
        expect = test.expect
        pairs = (
            ("carrier", expect.carrier, carrier),
            ("service_level", expect.service_level, service_level),
            ("rule", expect.rule, rule),
            ("cause", expect.cause, cause),
        )
        wrong = tuple((name, wanted, seen) for name, wanted, seen in pairs if wanted is not None and wanted != seen)
        results.append(TestResult(test, decision, wrong))
    return results


@dataclass(frozen=True, slots=True)
class Explained:
    """One package with its facts, how the rules answered, the fault of its address if it has one, and what was decided."""

    row: sqlite3.Row
    parcel: Parcel
    explanation: Explanation
    decision: Decision  # with the address looked at as well


def explain_packages(store: Store, rules: Rules, package_ids: Sequence[str]) -> Iterator[Explained]:
    """Yield why each package gets its carrier, as of now and whatever was decided about it before."""
    rows = load_parcels_of(store, package_ids)
    known = surroundings(store, rules, rows)
    units = _units_of(store, [row["package_id"] for row in rows])
    now = utc_now()
    for row in rows:
        mine = units[row["package_id"]]
        address, content = address_of(row), content_of(row, mine, rules)
        parcel = parcel_of(row, mine, content, address, now, known)
        explanation = explain(parcel, rules)
        yield Explained(row, parcel, explanation, decide(parcel, row, address, content, rules))


def _units_of(store: Store, package_ids: Sequence[str]) -> dict[str, list[sqlite3.Row]]:
    units: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for unit in load_package_units(store, package_ids):
        units[unit["package_id"]].append(unit)
    return units


@dataclass(frozen=True, slots=True)
class Change:
    """One package that the new rules treat otherwise. None where there is no carrier; `cause` then says why."""

    package_id: str
    old: tuple[str | None, str | None, str | None, str | None]  # carrier, service level, rule, cause
    new: tuple[str | None, str | None, str | None, str | None]
    cost_minor: int | None  # what the new choice costs more, by the rates of both files; None: not known
    currency: str | None


@dataclass(slots=True)
class Difference:
    """What new rules would have changed. Costs and days are sums over the packages for which both sides know them."""

    packages: int = 0
    changed: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Change] = field(default_factory=list)
    cost_minor: Counter[str] = field(default_factory=Counter)  # by currency
    costed: int = 0
    days: int = 0
    timed: int = 0


def compare_rules(store: Store, old: Rules, new: Rules, report: Report, *, since: datetime) -> Difference:
    """Replay both files on the packages planned since, each as it stood when it was planned.

    Prices come from `rates`, each file's own or those of the other where it has none: what a label source asked for then is
    not known.
    """
    difference = Difference()
    old, new = (
        replace(rules, rates=rules.rates if rules.rates.rates else other.rates)
        for rules, other in ((old, new), (new, old))
    )
    ids = iterate_package_ids(store, since)
    known = None
    while batch := list(islice(ids, _PACKAGES_A_READ)):
        rows = load_parcels_of(store, batch)
        if known is None or known.history is not None:
            known = _common(surroundings(store, old, rows), surroundings(store, new, rows))
        units = _units_of(store, batch)
        for row in rows:
            _compare(difference, row, units[row["package_id"]], old, new, known)
        report.progress(tr("replaying packages"), difference.packages, None)
    return difference


def _common(old: Surroundings, new: Surroundings) -> Surroundings:
    return old if old.history is not None else new


def _compare(
    difference: Difference,
    row: sqlite3.Row,
    units: Sequence[sqlite3.Row],
    old: Rules,
    new: Rules,
    known: Surroundings,
) -> None:
    address = address_of(row)
    planned_at = from_text(row["planned_at"])
    results, costs = [], []
    parcel: Parcel | None = None
    for rules in (old, new):
        if parcel is None or old.boxes != new.boxes:
            content = content_of(row, units, rules)
            # What the label source refused later was not known then.
            parcel = parcel_of(
                row, units, content, address, planned_at, Surroundings(history=known.history, sessions=known.sessions)
            )
        # The address itself is no matter of the rules, and that of a delivered order is masked.
        result = result_of(plan_allocation(parcel, rules))
        results.append(result)
        costs.append(_price(parcel, rules, result))
    difference.packages += 1
    if results[0][:2] == results[1][:2] and results[0][3] == results[1][3]:
        return
    difference.changed += 1
    difference.moves[_called(results[0]), _called(results[1])] += 1
    cost: int | None = None
    currency: str | None = None
    before, after = costs
    if before is not None and after is not None:
        if before.cost.currency == after.cost.currency:
            cost, currency = after.cost.minor - before.cost.minor, after.cost.currency
            difference.cost_minor[currency] += cost
            difference.costed += 1
        if before.transit_days is not None and after.transit_days is not None:
            difference.days += after.transit_days - before.transit_days
            difference.timed += 1
    if len(difference.examples) < EXAMPLES:
        difference.examples.append(Change(row["package_id"], results[0], results[1], cost, currency))


def _price(parcel: Parcel, rules: Rules, result: tuple[str | None, str | None, str | None, str | None]) -> Price | None:
    if result[0] is None or result[1] is None:
        return None
    price = rules.rates.price(Choice(result[0], result[1]), parcel)
    return price if isinstance(price, Price) else None


def _called(result: tuple[str | None, str | None, str | None, str | None]) -> str:
    return f"{result[0]} {result[1]}" if result[0] is not None else f"({result[3]})"
