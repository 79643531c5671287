"""Rules against what the same decision costs as generated code, loading against a bare YAML load, and replaying history."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from tiktok_erp.allocation.plan import plan_allocation
from tiktok_erp.allocation.rehearse import compare_rules
from tiktok_erp.config.rules_file import default_rules_text, load_rules_text
from tiktok_erp.model.carrier_rule import CarrierRule
from tiktok_erp.model.condition import Band, Condition
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.store.database import Store, open_store, utc_now

Row = tuple[str, str, str, str]
Medians = Callable[..., list[float]]


def rules_text(count: int) -> str:
    """Return a rules file with `count` carrier rules over states, weights and amounts, the last one for everything else."""
    body = "".join(
        f"  - name: rule {number}\n    when: {{state: [CA, NY], weight_g: {{over: {number}, up_to: {number + 1}}}}}\n"
        "    use: {carrier: ups, service_level: ground}\n"
        for number in range(count - 1)
    )
    last = "  - name: everything else\n    use: {carrier: usps, service_level: ground_advantage}\n"
    return default_rules_text().split("carriers:")[0] + "carriers:\n" + body + last


def parcels(count: int, shipping_type: str) -> list[Parcel]:
    """Return packages of three states, 900 weights and 5,000 amounts."""
    return [
        Parcel(
            package_id=f"P{number:06d}",
            channel="tiktok",
            order_total=Money(number % 5000, "USD"),
            weight_g=number % 900,
            state=("CA", "TX", "NY")[number % 3],
            country="US",
            shipping_type=shipping_type,
        )
        for number in range(count)
    ]


def generated(rules: Sequence[CarrierRule]) -> Callable[[Parcel], tuple[str, str]]:
    """Return the same first-match decision as one generated function: the floor that no rule engine goes below."""
    lines = ["def decide(parcel):", "    state, weight = parcel.state, parcel.weight_g"]
    for number, rule in enumerate(rules):
        test = " and ".join(_as_python(one) for one in rule.conditions) or "True"
        lines.append(f"    if {test}: return result_{number}")
    names: dict[str, Any] = {f"result_{number}": tuple(rule.choices[0]) for number, rule in enumerate(rules)}
    exec("\n".join(lines), names)
    return names["decide"]  # type: ignore[no-any-return]


def _as_python(condition: Condition) -> str:
    if isinstance(condition.wanted, Band):
        return f"{int(condition.wanted.lowest()[0])} <= weight <= {int(condition.wanted.highest()[0])}"
    assert isinstance(condition.wanted, frozenset)
    return f"state in {tuple(sorted(condition.wanted))!r}"


def rules(medians: Medians, folder: Path) -> list[Row]:
    """Measure loading 200 rules, deciding with 20 and 200, and replaying two files on a history."""
    many = rules_text(200)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    ours, bare = medians([lambda: load_rules_text(many), lambda: yaml.load(many, Loader=loader)])
    rows: list[Row] = [
        ("A2 load and check 200 rules", f"{ours * 1000:.1f} ms", f"{ours / bare:.1f} x bare CSafeLoader", "<= 3 x")
    ]
    for rule_count, packages in ((20, 100_000), (200, 10_000)):
        table = load_rules_text(rules_text(rule_count))
        decide = generated(table.carriers)
        for shipping_type, label in (("TIKTOK", "platform"), ("SELLER", "own")):
            some = parcels(packages, shipping_type)
            deciding, floor = medians(
                [
                    lambda some=some, table=table: [plan_allocation(one, table) for one in some],
                    lambda some=some, decide=decide: [decide(one) for one in some],
                ],
                3,
            )
            goal = "<= 10 x" if rule_count == 20 else ""
            what = f"A1 {rule_count} rules x {packages:,} packages, {label} labels"
            rows.append(
                (what, f"{packages / deciding / 1000:.0f} k/s", f"{deciding / floor:.1f} x generated code", goal)
            )
    return [*rows, *_replay(folder, 50_000)]


class _Silent:
    wants_fields = False

    def item(self, outcome: object) -> None:
        return None

    say = warn = item

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None


def _replay(folder: Path, packages: int) -> list[Row]:
    path = folder / "history.db"
    with open_store(path, create=True) as store:
        _fill(store, packages)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        old, new = load_rules_text(default_rules_text()), load_rules_text(rules_text(20))
        started = perf_counter()
        difference = compare_rules(store, old, new, _Silent(), since=utc_now() - timedelta(days=90))
        seconds = perf_counter() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (
            1024 if sys.platform == "linux" else 2**20
        )
    assert difference.packages == packages
    million = seconds / packages * 1_000_000
    return [
        (
            f"rules diff on {packages:,} packages",
            f"{packages / seconds / 1000:.1f} k/s",
            f"a million in {million / 60:.1f} min, {grown:.0f} MB more",
            "",
        )
    ]


def _fill(store: Store, packages: int) -> None:
    now = to_text(utc_now())
    rows: list[Any] = [
        {
            "order": f"tiktok:{n}",
            "number": str(n),
            "state": ("CA", "TX", "NY")[n % 3],
            "total": n % 5000,
            "package": f"P{n:06d}",
            "unit": f"tiktok:u{n}",
            "now": now,
        }
        for n in range(packages)
    ]
    with store.transaction():
        store.execute("INSERT INTO skus (sku, weight_g) VALUES ('MUG', 120)")
        for sql in (
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, shipping_type, currency,"
            " total_minor, source, as_of, first_seen_at, synced_at)"
            " VALUES (:order, 'tiktok', :number, 'COMPLETED', 'closed', 0, 'TIKTOK', 'USD', :total, 'api', :now, :now, :now)",
            "INSERT INTO recipients (order_id, name, street1, city, state, zip, country, is_masked)"
            " VALUES (:order, 'A', '1 Elm Row', 'Town', :state, '10001', 'US', 0)",
            "INSERT INTO packages (package_id, channel, planned_at) VALUES (:package, 'tiktok', :now)",
            "INSERT INTO package_orders (package_id, order_id) VALUES (:package, :order)",
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state, package_id)"
            " VALUES (:unit, :order, 1, 'MUG', '1', 'COMPLETED', 'shipped', :package)",
        ):
            store.execute_many(sql, rows)
