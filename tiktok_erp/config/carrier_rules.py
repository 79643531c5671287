"""`carriers` and `rates` of rules.yaml: conditions, choices and what else a rule says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial

from tiktok_erp.config.checked_yaml import (
    Group,
    Node,
    Read,
    Source,
    choice,
    one_or_more,
    read_flag,
    read_group,
    read_hours,
    read_money,
    read_positive_money,
    read_text,
    sequence,
    unique_name,
    whole,
)
from tiktok_erp.config.places import read_country, read_us_state, read_zip_text
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier_rule import NO_EXTRAS, CarrierRule, Choice, Extras, Rate, RateTable, Use
from tiktok_erp.model.condition import (
    BAND_CONDITIONS,
    FLAG_CONDITIONS,
    GROUP_CONDITIONS,
    LIST_CONDITIONS,
    Band,
    Condition,
    band_condition,
    flag_condition,
    group_condition,
    list_condition,
)
from tiktok_erp.model.money import Money
from tiktok_erp.model.rule import CHANNELS, RETIRED_SERVICE_LEVELS, SERVICE_LEVELS

OUR_WORD = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_ZIP_PREFIX = re.compile(r"[0-9A-Z][0-9A-Z -]{0,9}")
_ZIP_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def read_carrier_rules(
    boxes: frozenset[str], senders: frozenset[str], file: Source, node: Node, name: str
) -> tuple[CarrierRule, ...] | None:
    """Read the section `carriers`; `boxes` and `senders` are the names that rules may use."""
    names: dict[str, Node] = {}
    return sequence(partial(_carrier_rule, names, boxes, senders))(file, node, name)


_DECIDING = ("use", "hold", "quarantine")
_EXTRAS = ("box", "ship_from", "signature", "insurance", "tag", "print_note")


def _carrier_rule(
    names: dict[str, Node], boxes: frozenset[str], senders: frozenset[str], file: Source, node: Node, name: str
) -> CarrierRule | None:
    keys = read_group(file, node, name, ("name", "when", *_DECIDING, "then", *_EXTRAS))
    if keys is None:
        return None
    rule = unique_name(keys, names)
    conditions: tuple[Condition, ...] = keys.get("when", read_conditions, ())
    deciding = [key for key in _DECIDING if key in keys.keys]
    if not deciding and not any(key in keys.keys for key in _EXTRAS):
        file.fault(node, tr("`{section}` lacks `{key}`", section=name, key="use"))
    if len(deciding) > 1:
        file.fault(
            keys.keys[deciding[1]],
            tr(
                "a rule has one of `use`, `hold` and `quarantine`, not `{one}` and `{other}`",
                one=deciding[0],
                other=deciding[1],
            ),
        )
    if "then" in keys.keys and "use" not in keys.keys:
        file.fault(keys.keys["then"], tr("`then` follows a `use` that was refused, and there is none"))
    return CarrierRule(
        rule,
        keys.get("use", _use, None),
        conditions,
        keys.get("then", _choices, ()),
        _extras(keys, boxes, senders),
        keys.get("hold", read_text, None),
        keys.get("quarantine", read_text, None),
    )


def _extras(keys: Group, boxes: frozenset[str], senders: frozenset[str]) -> Extras:
    extras = Extras(
        keys.get("box", partial(_name_of, boxes, "boxes"), None),
        keys.get("ship_from", partial(_name_of, senders, "senders"), None),
        keys.get("signature", _signature, None),
        keys.get("insurance", read_positive_money, None),
        keys.get("tag", one_or_more(read_text), ()),
        keys.get("print_note", read_text, None),
    )
    return NO_EXTRAS if extras == NO_EXTRAS else extras


def _name_of(known: frozenset[str], section: str, file: Source, node: Node, name: str) -> str | None:
    text = read_text(file, node, name)
    if text is None or text in known:
        return text
    fault = tr("`{name}`: there is no `{value}` in `{section}`", name=name, value=text, section=section)
    file.unknown_word(node, fault, text, known)
    return None


def _signature(file: Source, node: Node, name: str) -> str | None:
    if node.id == "scalar" and node.value == "adult":
        return "adult"
    wanted = read_flag(file, node, name)
    return "standard" if wanted else None


def _use(file: Source, node: Node, name: str) -> Use | None:
    if node.id == "sequence":
        choices = _choices(file, node, name)
        return Use(choices) if choices else None
    ways = {"cheapest", "fastest"}
    named = {key.value for key, _value in node.value if key.id == "scalar"} if node.id == "mapping" else set()
    if not named & ways:
        choice_ = _choice(file, node, name)
        return None if choice_ is None else Use((choice_,))
    keys = read_group(file, node, name, ("cheapest",) if "cheapest" in named else ("fastest", "max_cost"))
    if keys is None:
        return None
    by = "cheapest" if "cheapest" in named else "fastest"
    nothing: tuple[Choice, ...] = ()
    choices = keys.get(by, _choices, nothing)
    return Use(choices, by, keys.get("max_cost", read_positive_money, None)) if choices else None


def _choices(file: Source, node: Node, name: str) -> tuple[Choice, ...] | None:
    """Read one choice or a list of them; none may stand there twice."""
    if node.id != "sequence":
        single = _choice(file, node, name)
        return None if single is None else (single,)
    if not node.value:
        file.fault(node, tr("`{name}` is an empty list", name=name))
        return None
    found: list[Choice] = []
    for child in node.value:
        one = _choice(file, child, name)
        if one is not None and one in found:
            file.fault(child, tr("`{choice}` is in the list twice", choice=one))
        elif one is not None:
            found.append(one)
    return tuple(found)


def _choice(file: Source, node: Node, name: str) -> Choice | None:
    keys = read_group(file, node, name, ("carrier", "service_level"))
    if keys is None:
        return None
    carrier = keys.need("carrier", read_carrier, "")
    service_level = keys.need("service_level", partial(read_service_level, carrier), "")
    return Choice(carrier, service_level)


def read_rates(file: Source, node: Node, name: str) -> RateTable | None:
    """Read the section `rates`: the first line that covers a parcel is what a service level costs."""
    rates = sequence(_rate)(file, node, name)
    if rates is None:
        return None
    if len({rate.cost.currency for rate in rates}) > 1:
        file.fault(node, tr("`{name}`: all costs must be in one currency, or they cannot be compared", name=name))
        return None
    return RateTable(rates)


def _rate(file: Source, node: Node, name: str) -> Rate | None:
    keys = read_group(file, node, name, ("carrier", "service_level", "when", "cost", "transit_days"))
    if keys is None:
        return None
    carrier = keys.need("carrier", read_carrier, "")
    service_level = keys.need("service_level", partial(read_service_level, carrier), "")
    cost = keys.need("cost", read_money, Money(0, "USD"))
    always: tuple[Condition, ...] = ()
    conditions = keys.get("when", read_conditions, always)
    return Rate(Choice(carrier, service_level), cost, conditions, keys.get("transit_days", whole(0, 60), None))


def read_carrier(file: Source, node: Node, name: str) -> str | None:
    """Read one of the carriers that this file knows."""
    text = read_text(file, node, name)
    if text is None or text in file.carriers:
        return text
    file.unknown_word(node, tr("unknown carrier `{carrier}`", carrier=text), text, file.carriers)
    return None


def read_service_level(carrier: str, file: Source, node: Node, name: str) -> str | None:
    """Read a service level of `carrier`; a retired name is read as its successor."""
    text = read_text(file, node, name)
    if text is None or not carrier:
        return text
    known = SERVICE_LEVELS.get(carrier)
    if known is None:
        if OUR_WORD.fullmatch(text):
            return text
        file.fault(node, tr("`{name}`: write {value} in small letters and underscores", name=name, value=text))
        return None
    if text in known:
        return text
    # Other programs write the old name in capitals.
    successor = RETIRED_SERVICE_LEVELS.get((carrier, text.lower()))
    if successor is not None:
        file.note(
            node,
            tr("{carrier} has retired `{old}`; it is read as `{new}`", carrier=carrier, old=text, new=successor),
        )
        return successor
    file.unknown_word(node, tr("{carrier} has no service level `{value}`", carrier=carrier, value=text), text, known)
    return None


def read_conditions(file: Source, node: Node, name: str) -> tuple[Condition, ...] | None:
    """Read `when`: conditions that must all hold, with groups of further ones in `any`, `all` and `not`."""
    return _conditions((file.home,), file, node, name)


def _conditions(countries: tuple[str, ...], file: Source, node: Node, name: str) -> tuple[Condition, ...] | None:
    """`countries` are those that the rule is about as far as the groups around this one say."""
    keys = read_group(file, node, name, (*BAND_CONDITIONS, *LIST_CONDITIONS, *FLAG_CONDITIONS, *GROUP_CONDITIONS))
    if keys is None:
        return None
    countries = keys.get("country", one_or_more(read_country), countries)
    at_home = set(countries) <= {"US"}
    conditions = []
    for key in keys.values:
        read = partial(_group, key, countries) if key in GROUP_CONDITIONS else partial(_condition, key, at_home)
        condition = keys.get(key, read, None)
        if condition is not None:
            conditions.append(condition)
    return tuple(conditions)


def _group(key: str, countries: tuple[str, ...], file: Source, node: Node, name: str) -> Condition | None:
    read = partial(_conditions, countries)
    groups: tuple[tuple[Condition, ...], ...] | None
    if key == "not":
        group = read(file, node, name)
        groups = None if group is None else (group,)
    else:
        groups = sequence(read)(file, node, name)
    if groups is None:
        return None
    if not groups or not all(groups):
        file.fault(node, tr("`{name}` has a group without a condition", name=name))
        return None
    return group_condition(key, groups)


def _condition(key: str, at_home: bool, file: Source, node: Node, name: str) -> Condition | None:
    if key in BAND_CONDITIONS:
        band = _band(key, file, node, name)
        return None if band is None else band_condition(key, band)
    if key in FLAG_CONDITIONS:
        flag = read_flag(file, node, name)
        return None if flag is None else flag_condition(key, flag)
    words = one_or_more(list_entry(key, at_home))(file, node, name)
    return None if words is None else list_condition(key, words)


_BAND_NUMBERS: Mapping[str, Read[Money] | Read[int] | Read[Decimal]] = {
    "order_total": read_money,
    "weight_g": whole(0),
    "item_count": whole(0),
    "hours_left": read_hours,
    "repeat_orders": whole(0),
}
_BAND_EXAMPLES: Mapping[str, str] = {
    "order_total": "{under: 10 USD}",
    "weight_g": "{up_to: 450}",
    "item_count": "{at_least: 2}",
    "hours_left": "{under: 6}",
    "repeat_orders": "{at_least: 1}",
}


def _band(key: str, file: Source, node: Node, name: str) -> Band | None:
    if node.id != "mapping" or not node.value:
        file.fault(node, tr("`{name}` is a range; write {example}", name=name, example=_BAND_EXAMPLES[key]))
        return None
    keys = Group(file, node, name, ("over", "at_least", "under", "up_to"))
    read = _BAND_NUMBERS[key]
    ends: dict[str, int | Decimal] = {}
    currency = ""
    for end, value_node in keys.values.items():
        value = read(file, value_node, f"{name}.{end}")
        if value is None:
            return None
        if isinstance(value, Money):
            if currency not in ("", value.currency):
                file.fault(value_node, tr("`{name}`: both ends must be in one currency", name=name))
                return None
            currency, ends[end] = value.currency, value.minor
        else:
            ends[end] = value
    if len(keys.values) < len(node.value):
        return None  # an unknown or repeated end is a fault already
    for low_or_high in (("over", "at_least"), ("under", "up_to")):
        if all(end in ends for end in low_or_high):
            file.fault(
                node,
                tr("`{name}` has both `{one}` and `{other}`", name=name, one=low_or_high[0], other=low_or_high[1]),
            )
            return None
    band = Band(ends.get("over"), ends.get("at_least"), ends.get("under"), ends.get("up_to"), currency)
    if band.is_empty() or (key != "hours_left" and band.highest()[0] < 0):
        file.fault(node, tr("`{name}`: nothing can be {band}", name=name, band=str(band)))
        return None
    return band


def list_entry(key: str, at_home: bool) -> Read[str]:
    """Return how one word of the list condition `key` is read; `at_home`: the rule is about US addresses."""
    if key == "state":
        return read_us_state if at_home else read_region
    if key == "country":
        return read_country
    if key == "zip":
        return _zip_entry
    choices = {
        "channel": CHANNELS,
        # TikTok reference, section 5.3.
        "shipping_type": ("TIKTOK", "SELLER", "TIKTOK_DIGITAL"),
        "fulfillment_type": ("FULFILLMENT_BY_SELLER", "FULFILLMENT_BY_TIKTOK", "FULFILLMENT_BY_DILAYANI_TOKOPEDIA"),
    }.get(key)
    return read_text if choices is None else choice(*choices)


def read_region(file: Source, node: Node, name: str) -> str | None:
    """Read a state or region of any country, in capitals."""
    text = read_text(file, node, name)
    return None if text is None else text.upper()


def _zip_entry(file: Source, node: Node, name: str) -> str | None:
    text = read_zip_text(file, node, name)
    if text is None:
        return None
    text = text.upper().removesuffix("*")
    match = _ZIP_RANGE.fullmatch(text)
    if match is None and _ZIP_PREFIX.fullmatch(text):
        return text
    if match is not None and len(match[1]) == len(match[2]) and match[1] <= match[2]:
        return text
    file.fault(
        node,
        tr(
            '`{name}`: {value} is no start of a ZIP code; write "902", or "900-935" for a range',
            name=name,
            value=node.value,
        ),
    )
    return None
