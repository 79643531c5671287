"""Remarks on rules without faults: what is probably not meant, though it can be followed. Pure; stops nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from tiktok_erp.config.checked_yaml import Group, Node, Source
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier_rule import CarrierRule
from tiktok_erp.model.condition import Band, Condition
from tiktok_erp.model.own_label import not_taken
from tiktok_erp.model.rule import Rules, Shop


def note_whole(file: Source, sections: Group, rules: Rules) -> None:
    node = sections.values.get("carriers")
    if node is None:
        place = sections.node
        file.note(place, tr("there is no section `carriers`: the shipped carrier rules apply"))
    else:
        _note_carriers(file, node, rules)
    if len(file.currencies) > 1:
        latest = list(file.currencies.values())[-1]
        file.note(
            latest,
            tr(
                "amounts here are in {currencies}; none is compared with another: tell such orders apart by country or channel",
                currencies=", ".join(sorted(file.currencies)),
            ),
        )
    caps = rules.spending
    if min(caps.max_cost_per_run.minor, caps.max_cost_per_day.minor) < caps.max_cost_per_label.minor:
        what = tr("the cap of a run or a day is below that of one label: nothing can be bought")
        file.note(sections.keys["spending"], what)
    if rules.labels.seller_shipping == "easypost":
        _note_sender(file, sections, rules.shop)


def _note_sender(file: Source, sections: Group, shop: Shop) -> None:
    if shop.ship_from is None:
        file.note(sections.keys["labels"], tr("labels from easypost need a sender: add `ship_from` to `shop`"))
    elif shop.ship_from.is_example:
        file.note(sections.keys["shop"], tr("`shop.ship_from` is still the example's; put in where you send from"))


def _note_carriers(file: Source, section: Node, rules: Rules) -> None:
    nodes: list[Node] = section.value
    pairs = list(zip(nodes, rules.carriers, strict=True))
    deciding = [(node, rule) for node, rule in pairs if rule.decides]
    _note_never(file, pairs)
    _note_unreachable(file, pairs)
    _note_overlaps(file, deciding)
    if all(rule.conditions for _node, rule in deciding):
        file.note(section, tr("no rule covers everything: what none of them covers is quarantined"))
        _note_gaps(file, deciding)
    if rules.labels.seller_shipping != "off":
        for node, rule in pairs:
            _note_closed(file, node, rule, rules)
            if rule.decides and all(_covers_own(condition) for condition in rule.conditions):
                break  # no own label on TikTok comes further down


def _note_closed(file: Source, node: Node, rule: CarrierRule, rules: Rules) -> None:
    """Remark on a rule that may choose a carrier whose own labels a channel does not take."""
    if any(
        condition.key == "shipping_type" and condition.wanted == frozenset({"TIKTOK"}) for condition in rule.conditions
    ):
        return
    named = {channel for one in rule.conditions if one.key == "channel" for channel in _words(one)}
    for channel in sorted(named or {"tiktok"}):
        closed = [choice.carrier for choice in rule.choices if not rules.takes_own_label(channel, choice.carrier)]
        if not closed:
            continue
        why = not_taken(channel, closed[0])
        if len(closed) == len(rule.choices):
            file.note(node, tr("{why}: `{rule}` is passed over for those", why=why, rule=rule.name))
        else:
            file.note(node, tr("{why}: `{rule}` leaves it out for those", why=why, rule=rule.name))


def _covers_own(condition: Condition) -> bool:
    """Tell whether every package with an own label on TikTok meets the condition."""
    return {"channel": "tiktok", "shipping_type": "SELLER"}.get(condition.key, "") in _words(condition)


def _words(condition: Condition) -> frozenset[str]:
    return condition.wanted if isinstance(condition.wanted, frozenset) else frozenset()


def _note_never(file: Source, pairs: Sequence[tuple[Node, CarrierRule]]) -> None:
    """Remark on conditions that no package ever meets, or of which nobody knows whether it does."""
    for node, rule in pairs:
        for condition in rule.conditions:
            if condition.key == "fulfillment_type" and condition.wanted == frozenset({"FULFILLMENT_BY_TIKTOK"}):
                file.note(
                    node,
                    tr("`{rule}` is never reached: what TikTok ships itself gets no package of ours", rule=rule.name),
                )
            if any(leaf.key == "residential" for leaf in condition.leaves()):
                file.note(
                    node,
                    tr(
                        "`{rule}` asks whether an address is residential, which no channel tells:"
                        " packages that come so far are quarantined",
                        rule=rule.name,
                    ),
                )


_End = tuple[int | Decimal | float, int]
_Extent = tuple[_End, _End, str] | frozenset[str] | bool | str


def _extent(condition: Condition) -> _Extent:
    """Return what a condition lets in, in a form that is quick to compare: every rule is held against every other."""
    if condition.parts:
        return str(condition)
    wanted = condition.wanted
    return (wanted.lowest(), wanted.highest(), wanted.currency) if isinstance(wanted, Band) else wanted


def _covers(wide: Sequence[tuple[str, _Extent]], narrow: dict[str, _Extent]) -> bool:
    """Return whether all that `narrow` lets in certainly passes `wide` too. `narrow` asks for all that `wide` does."""
    for key, outer in wide:
        inner = narrow[key]
        if isinstance(outer, tuple) and isinstance(inner, tuple):
            if outer[0] > inner[0] or inner[1] > outer[1] or inner[2] != outer[2]:
                return False
        elif isinstance(outer, frozenset) and isinstance(inner, frozenset):
            if not inner <= outer:
                return False
        elif inner != outer:
            return False
    return True


def _note_unreachable(file: Source, pairs: Sequence[tuple[Node, CarrierRule]]) -> None:
    earlier: list[tuple[frozenset[str], list[tuple[str, _Extent]], Node]] = []
    together = _Together()
    for node, rule in pairs:
        extents = {condition.key: _extent(condition) for condition in rule.conditions}
        asked = frozenset(extents)
        for wider, wider_extents, wider_node in earlier:
            if wider <= asked and _covers(wider_extents, extents):
                line = wider_node.start_mark.line + 1
                file.note(node, tr("`{rule}` is never reached, line {line} covers it", rule=rule.name, line=line))
                break
        else:
            if together.key is not None:
                file.note(
                    node,
                    tr(
                        "`{rule}` is never reached: the rules above cover every `{key}`",
                        rule=rule.name,
                        key=together.key,
                    ),
                )
        if rule.decides:
            earlier.append((asked, list(extents.items()), node))
            together.add(rule)


class _Together:
    """Whether rules of a single range each cover every number of a fact together. `key` is the first such fact."""

    def __init__(self) -> None:
        self.key: str | None = None
        self._seen: dict[tuple[str, str], list[Band]] = {}

    def add(self, rule: CarrierRule) -> None:
        bands = _bands(rule)
        if self.key is not None or len(bands) != 1 or len(rule.conditions) != 1:
            return
        key, band = bands[0]
        seen = self._seen.setdefault((key, band.currency), [])
        seen.append(band)
        seen.sort(key=lambda one: one.lowest())
        # Only hours can be negative.
        if seen[0].lowest() > ((-math.inf, 0) if key == "hours_left" else (0, 0)):
            return
        reached = seen[0].highest()
        for one in seen[1:]:
            if _gap(reached, one.lowest(), band.currency) is not None:
                return
            reached = max(reached, one.highest())
        if reached == (math.inf, 0):
            self.key = key


def _bands(rule: CarrierRule) -> list[tuple[str, Band]]:
    return [(one.key, one.wanted) for one in rule.conditions if isinstance(one.wanted, Band)]


def _note_overlaps(file: Source, pairs: Sequence[tuple[Node, CarrierRule]]) -> None:
    """Remark on two bands of which each reaches into the other, other things equal: probably a mistyped end."""
    alike: dict[tuple[object, ...], list[tuple[Node, Band]]] = {}
    for node, rule in pairs:
        bands = _bands(rule)
        if len(bands) != 1:
            continue
        (key, band) = bands[0]
        rest = frozenset((one.key, one.wanted, one.parts) for one in rule.conditions if one.key != key)
        before = alike.setdefault((key, band.currency, rest), [])
        for earlier_node, earlier in before:
            lower, upper = sorted((earlier, band), key=lambda one: (one.lowest(), one.highest()))
            if lower.lowest() < upper.lowest() <= lower.highest() < upper.highest():
                line = earlier_node.start_mark.line + 1
                file.note(
                    node,
                    tr(
                        "`{key} {band}` overlaps the range in line {line}, which comes first",
                        key=key,
                        band=band,
                        line=line,
                    ),
                )
                break
        before.append((node, band))


def _note_gaps(file: Source, pairs: Sequence[tuple[Node, CarrierRule]]) -> None:
    """Remark on numbers between bands that no rule covers. Only asked where no rule covers everything."""
    by_fact: dict[tuple[str, str], list[tuple[Node, Band]]] = {}
    for node, rule in pairs:
        bands = _bands(rule)
        if len(bands) == len(rule.conditions) == 1:
            by_fact.setdefault((bands[0][0], bands[0][1].currency), []).append((node, bands[0][1]))
    for (key, currency), entries in by_fact.items():
        entries.sort(key=lambda entry: entry[1].lowest())
        reached = entries[0][1].highest()
        for node, band in entries[1:]:
            low = band.lowest()
            gap = _gap(reached, low, currency)
            if gap is not None:
                file.note(node, tr("no rule covers `{key} {gap}`", key=key, gap=gap))
            reached = max(reached, band.highest())


def _gap(reached: _End, low: _End, currency: str) -> Band | None:
    """Return what lies between the upper end `reached` and the lower end `low`, if anything does."""
    (end, end_open), (start, start_open) = reached, low
    if isinstance(end, int) and isinstance(start, int):
        between = Band(at_least=end + 1, up_to=start - 1, currency=currency)
    elif isinstance(end, Decimal) and isinstance(start, Decimal):
        between = Band(
            over=None if end_open else end,
            at_least=end if end_open else None,
            under=None if start_open else start,
            up_to=start if start_open else None,
        )
    else:
        return None
    return None if between.is_empty() else between
