"""The sections `safety_stock` and `live` of rules.yaml. Pure: faults go to the file being read."""

from __future__ import annotations

from decimal import Decimal

from tiktok_erp.config.checked_yaml import (
    ANY_TIME,
    SOME_TIME,
    WHOLE,
    Group,
    Node,
    Source,
    is_scalar,
    read_flag,
    read_group,
    read_number_text,
    read_percent,
    read_text,
    sequence,
    whole,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.safety_stock import Live, SafetyRule

_KEYS = ("sku", "keep", "channel", "warehouse", "live", "at_least", "at_most", "factor", "otherwise")
_ONLY_AUTO = ("factor", "otherwise")
_LARGEST_FACTOR = 100


def read_safety_stock(file: Source, node: Node, name: str) -> tuple[SafetyRule, ...] | None:
    """Read the list of safety-stock rules; a rule that can never be reached, or is there twice, is told."""
    earlier: list[tuple[SafetyRule, Node]] = []

    def read(file: Source, node: Node, name: str) -> SafetyRule | None:
        keys = read_group(file, node, name, _KEYS)
        if keys is None:
            return None
        rule = _rule(file, keys)
        _compare(file, node, rule, earlier)
        earlier.append((rule, node))
        return rule

    return sequence(read)(file, node, name)


def read_live(file: Source, node: Node, name: str) -> Live | None:
    """Read how sales are measured and when a stream counts as running."""
    keys = read_group(file, node, name, ("look_back", "quiet_after", "platform_delay", "enough_units"))
    if keys is None:
        return None
    shipped = Live()
    return Live(
        look_back=keys.get("look_back", SOME_TIME, shipped.look_back),
        quiet_after=keys.get("quiet_after", SOME_TIME, shipped.quiet_after),
        platform_delay=keys.get("platform_delay", ANY_TIME, shipped.platform_delay),
        enough_units=keys.get("enough_units", whole(1), shipped.enough_units),
    )


def _rule(file: Source, keys: Group) -> SafetyRule:
    nothing: tuple[Decimal | None, int, bool] = (None, 0, False)
    percent, units, is_auto = keys.need("keep", _keep, nothing)
    for key in _ONLY_AUTO:
        if key in keys.values and not is_auto:
            file.fault(keys.values[key], tr("`{key}` goes with `keep: auto` only", key=key))
    shipped = SafetyRule("*")
    at_least = keys.get("at_least", whole(0), 0)
    at_most = keys.get("at_most", _at_most, None)
    if at_most is not None and at_most < at_least:
        file.fault(keys.values["at_most"], tr("`at_most` is below `at_least`"))
    return SafetyRule(
        sku=keys.need("sku", read_text, "*"),
        percent=percent,
        units=units,
        is_auto=is_auto,
        factor=keys.get("factor", _factor, shipped.factor),
        otherwise=keys.get("otherwise", read_percent, shipped.otherwise),
        at_least=at_least,
        at_most=at_most,
        channel=keys.get("channel", _channel, None),
        warehouse=keys.get("warehouse", _some_text, None),
        live=keys.get("live", _flag, None),
    )


def _compare(file: Source, node: Node, rule: SafetyRule, earlier: list[tuple[SafetyRule, Node]]) -> None:
    for other, place in earlier:
        line = place.start_mark.line + 1
        limits = [(other.channel, rule.channel), (other.warehouse, rule.warehouse), (other.live, rule.live)]
        if other.sku == rule.sku and all(a == b for a, b in limits):
            file.fault(node, tr("`{sku}` already has a rule in line {line}", sku=rule.sku, line=line))
            return
        if other.sku == "*" and all(a is None or a == b for a, b in limits):
            file.note(node, tr("this is never reached: line {line} is about every SKU", line=line))
            return


def _keep(file: Source, node: Node, name: str) -> tuple[Decimal | None, int, bool] | None:
    if node.id == "scalar" and node.value.strip() == "auto":
        return None, 0, True
    if node.id == "scalar" and "%" in node.value:
        percent = read_percent(file, node, name)
        return None if percent is None else (percent, 0, False)
    wanted = tr("a number of pieces such as 5, a share such as 20%, or auto")
    text = read_number_text(file, node, name, WHOLE, wanted)
    if text is None:
        return None
    if int(text) < 0:
        file.fault(node, tr("`{name}` must be at least {least}", name=name, least=0))
        return None
    return None, int(text), False


def _factor(file: Source, node: Node, name: str) -> Decimal | None:
    if not is_scalar(file, node, name):
        return None
    text: str = node.value.strip()
    digits = text.replace(".", "", 1)
    if not digits.isdigit() or not digits.isascii() or len(digits) > 6 or not 0 < Decimal(text) <= _LARGEST_FACTOR:
        file.fault(node, tr("`{name}` is a number above 0 such as 1.5, not `{value}`", name=name, value=text))
        return None
    return Decimal(text)


def _channel(file: Source, node: Node, name: str) -> str | None:
    from tiktok_erp.model.rule import CHANNELS

    word = read_text(file, node, name)
    if word is not None and word not in CHANNELS:
        file.unknown_word(node, tr("`{name}` cannot be `{word}`", name=name, word=word), word, CHANNELS)
        return None
    return word


def _at_most(file: Source, node: Node, name: str) -> int | None:
    return whole(0)(file, node, name)


def _some_text(file: Source, node: Node, name: str) -> str | None:
    return read_text(file, node, name)


def _flag(file: Source, node: Node, name: str) -> bool | None:
    return read_flag(file, node, name)
