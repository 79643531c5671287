"""YAML read strictly: every value from the text as it stands in the file, every fault with its line and column. Pure.

What YAML makes of a bare `NO`, `010` or `16:40` differs from what the seller wrote, and from one program to the next,
so each of them is a fault here that says what to write instead. `rules_file.py` says which keys there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeVar, cast

from tiktok_erp.config.yaml_traps import find_swallowing, find_traps, swallowed
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import parse_duration
from tiktok_erp.model.money import Money, minor_digits, parse_amount
from tiktok_erp.model.rule import WorkDays


class Node(Protocol):
    """A node of PyYAML's tree, which is only imported when there is a file to read."""

    id: str  # scalar, sequence or mapping
    tag: str
    value: Any
    style: str | None
    start_mark: Any


T = TypeVar("T")
# Takes the file, a node and the node's name in texts; gives the value, or None after it has reported a fault.
Read = Callable[["Source", Node, str], "T | None"]

LARGEST_FILE = 1_000_000  # characters; 200 rules are 30,000
_MOST_NODES = 400_000  # aliases followed; a file of the largest size without any has fewer
_FAULTS_GUESSED = 100
_PLAIN = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,11})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?) ?%")
_MONEY = re.compile(r"([0-9]{1,12})(\.[0-9]+)?\s+([A-Z]{3})")
_DURATION = re.compile(r"[0-9]{1,6} ?[smhd]")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# ISO 4217, list one of 2024 without funds and metals: a mistyped code would quarantine every order.
_ISO_4217 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
    "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX "
    "USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"
)
_CURRENCIES = frozenset(_ISO_4217.split())


@dataclass(slots=True)
class Source:
    """One file being read: what was found so far, and what later sections need from earlier ones."""

    name: str
    faults: list[tuple[int, int, str]] = field(default_factory=list)
    notes: list[tuple[int, int, str]] = field(default_factory=list)
    currencies: dict[str, Node] = field(default_factory=dict)  # each with its first use
    carriers: frozenset[str] = frozenset()
    home: str = "US"  # where the shop sends from
    lines: list[str] = field(default_factory=list)  # of the text, for what YAML does not tell of it

    def fault(self, node: Node, text: str) -> None:
        """Keep a fault at the place of `node`."""
        self.faults.append((node.start_mark.line + 1, node.start_mark.column + 1, text))

    def note(self, node: Node, text: str) -> None:
        """Keep a remark at the place of `node`."""
        self.notes.append((node.start_mark.line + 1, node.start_mark.column + 1, text))

    def unknown_word(self, node: Node, text: str, word: str, choices: Iterable[str]) -> None:
        """Report `word`, with the choice that was probably meant, or else with all of them where they are few."""
        possible = sorted(choices)
        # Guessing is slow, and nobody reads so far in a file that is no rules file at all.
        guess = closest(word, possible) if len(self.faults) < _FAULTS_GUESSED else None
        if guess is not None:
            text = tr("{fault}; did you mean `{guess}`?", fault=text, guess=guess)
        elif len(possible) <= 24:
            text = tr("{fault}; possible here: {choices}", fault=text, choices=", ".join(possible))
        self.fault(node, text)

    def listed(self, entries: list[tuple[int, int, str]]) -> tuple[str, ...]:
        """Return faults or notes as `file:line:column: text`, in the order of the file."""
        return tuple(f"{self.name}:{line}:{column}: {text}" for line, column, text in sorted(set(entries)))


def closest(word: str, choices: Sequence[str]) -> str | None:
    """Return the one of `choices` that `word` was probably meant to be, if any comes near."""
    from difflib import get_close_matches

    spelt = {choice.lower(): choice for choice in choices}
    plain = re.sub(r"[\s-]+", "_", word.strip().lower())
    if plain in spelt:
        return spelt[plain]
    for match in get_close_matches(plain, spelt, n=1, cutoff=0.6):
        return spelt[match]
    return None


def compose(file: Source, text: str) -> Node | None:
    """Return the root node of the file's one document, or None after reporting why there is none to read."""
    import yaml

    if len(text) > LARGEST_FILE:
        file.faults.append((1, 1, tr("the file is far too large to be a rules file")))
        return None
    text = text.removeprefix("\ufeff")
    traps = find_traps(text)
    if traps:  # what YAML makes of them leads away from the cause
        file.faults.extend((trap.line, trap.column, trap.what) for trap in traps)
        return None
    file.lines = [line.rstrip("\r") for line in text.split("\n")]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = cast("Node | None", yaml.compose(text, Loader=loader))
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        lines = text.split("\n")
        shown = lines[line] if line < len(lines) else ""
        if "\t" in shown[: len(shown) - len(shown.lstrip())]:
            what = tr("a tab; YAML is indented with spaces")
        elif "nesting depth" in (cause.problem or ""):  # newer parsers have a limit of their own
            what = tr("lists within lists, far too deep to be rules")
        else:
            what = tr("this is not YAML: {problem}", problem=cause.problem or cause.context or "")
        begun = cause.context_mark.line if cause.context_mark is not None else line - 1
        swallowing = find_swallowing(lines, min(begun, line - 1), line)
        if swallowing is not None:
            file.faults.append((swallowing.line, swallowing.column, swallowing.what))
        if "nesting depth" in what:
            what = tr("lists within lists, far too deep to be rules")
        file.faults.append((line + 1, column + 1, what))
        return None
    except yaml.reader.ReaderError as cause:
        before = text.encode()[: cause.position].decode(errors="ignore")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        file.faults.append((line, column, tr("a control character; take it out")))
        return None
    except RecursionError:
        file.faults.append((1, 1, tr("lists within lists, far too deep to be rules")))
        return None
    if root is None or (root.id == "scalar" and kind_of(root) == "null"):
        what = tr("the file is empty; `tiktok-erp init` writes one to begin with")
        file.faults.append((1, 1, what))
        return None
    if "&" in text and not _is_bounded(file, root):
        return None
    return root


def _is_bounded(file: Source, root: Node) -> bool:
    """Report aliases that contain themselves, or stand for more than anybody could have written."""
    sizes: dict[int, int | None] = {}  # nodes, aliases followed; None while the node's own parts are being counted
    pending: list[tuple[Node, bool]] = [(root, False)]
    while pending:
        node, is_done = pending.pop()
        if node.id == "scalar":
            sizes[id(node)] = 1
            continue
        children = [child for pair in node.value for child in pair] if node.id == "mapping" else node.value
        if is_done:
            parts = [sizes[id(child)] for child in children]
            total = 1 + sum(part for part in parts if part is not None)
            if None in parts:
                file.fault(node, tr("an alias that contains itself"))
                return False
            if total > _MOST_NODES:
                file.fault(node, tr("aliases that stand for far too much; write it out without `*`"))
                return False
            sizes[id(node)] = total
        elif id(node) not in sizes:
            sizes[id(node)] = None
            pending.append((node, True))
            pending.extend((child, False) for child in children)
    return True


def kind_of(node: Node) -> str:
    """Return what YAML takes the node for: `str`, `int`, `bool`, `map` ...; other tags come back whole."""
    return node.tag.removeprefix(_PLAIN)


def _taken_for(node: Node) -> str:
    """Return what YAML makes of a plain scalar that is no text."""
    raw, kind = node.value, kind_of(node)
    if kind == "bool":
        return "true" if raw.lower() in _TRUE else "false"
    if kind == "int":
        return _read_as_int(raw)
    if kind == "null":
        return tr("nothing")
    return tr("a date") if kind == "timestamp" else tr("a number")


def _read_as_int(raw: str) -> str:
    digits = raw.replace("_", "").lstrip("+-")
    try:
        if ":" in digits:
            value = 0
            for part in digits.split(":"):
                value = value * 60 + int(part)
        elif digits.startswith("0") and digits.isdigit():
            value = int(digits, 8)
        else:
            value = int(digits, 0)
    except ValueError:  # an explicit `!!int` before something else, or thousands of digits
        return tr("a number")
    return f"-{value}" if raw.startswith("-") else str(value)


def is_scalar(file: Source, node: Node, name: str) -> bool:
    """Report anything but a single value."""
    if node.id == "mapping":
        file.fault(node, tr("`{name}` is a single value, not a group of keys", name=name))
    elif node.id == "sequence":
        file.fault(node, tr("`{name}` is a single value, not a list", name=name))
    elif not node.tag.startswith(_PLAIN):
        file.fault(node, tr("`{name}`: tags such as `{tag}` are not read here", name=name, tag=node.tag))
    elif not node.value.strip():
        if not _is_swallowed(file, node, name):
            file.fault(node, tr("`{name}` is empty; give it a value or take the line out", name=name))
    else:
        return True
    return False


def _is_swallowed(file: Source, node: Node, name: str, *, is_private: bool = False) -> bool:
    """Report a comment that seems to belong to a plain value: `TINT #05` is TINT to YAML."""
    mark = node.start_mark
    if node.style not in (None, "") or mark.line >= len(file.lines):
        return False
    value = node.value
    comment = swallowed(file.lines[mark.line], mark.column, value)
    if comment is None:
        return False
    at = file.lines[mark.line].index(comment, mark.column + len(value))
    if is_private or not value:
        text = tr(
            "`{name}`: # begins a comment here, so nothing behind it is read; put the whole value in quotes", name=name
        )
    else:
        whole = f"{value} {comment}".strip().rstrip("]},").rstrip()
        text = tr(
            '`{name}`: # begins a comment here, so only `{value}` is read; write "{whole}", or two spaces and `# ` before a comment',
            name=name,
            value=value,
            whole=whole,
        )
    file.faults.append((mark.line + 1, at + 1, text))
    return True


def read_text(file: Source, node: Node, name: str) -> str | None:
    """Read text. A bare word or number that YAML takes for something else needs quotes, and so does a `#` in it."""
    if not is_scalar(file, node, name) or _is_swallowed(file, node, name):
        return None
    value: str = node.value
    if kind_of(node) == "str":
        return value.strip()
    file.fault(
        node,
        tr('`{name}`: YAML reads {value} as {other}; write "{value}"', name=name, value=value, other=_taken_for(node)),
    )
    return None


def read_private_text(file: Source, node: Node, name: str) -> str | None:
    """As `read_text`, for values that must not be repeated in an error text."""
    if not is_scalar(file, node, name) or _is_swallowed(file, node, name, is_private=True):
        return None
    if kind_of(node) == "str":
        return str(node.value).strip()
    file.fault(node, tr("`{name}` is text; put it in quotes", name=name))
    return None


def choice(*choices: str) -> Read[str]:
    """Read one of `choices`, spelt exactly so."""

    def read(file: Source, node: Node, name: str) -> str | None:
        # `seller_shipping: off` is a false to YAML, but it is one of our words and cannot mean anything else.
        if node.id == "scalar" and node.value in choices:
            return str(node.value)
        word = read_text(file, node, name)
        if word is not None:
            file.unknown_word(node, tr("`{name}` cannot be `{word}`", name=name, word=word), word, choices)
        return None

    return read


def read_flag(file: Source, node: Node, name: str) -> bool | None:
    """Read true or false, in any of the words that YAML has for them."""
    if not is_scalar(file, node, name):
        return None
    if kind_of(node) == "bool" and node.value.lower() in _TRUE | _FALSE:
        return node.value.lower() in _TRUE
    file.fault(node, tr("`{name}` is true or false, without quotes", name=name))
    return None


def read_number_text(file: Source, node: Node, name: str, pattern: re.Pattern[str], wanted: str) -> str | None:
    """Return the text of a plain number. YAML's other spellings (`010`, `1_000`, `0x1f`, `16:40`) are faults."""
    if not is_scalar(file, node, name):
        return None
    raw: str = node.value
    if node.style in (None, "") and pattern.fullmatch(raw):
        return raw
    if kind_of(node) == "int" and not WHOLE.fullmatch(raw):
        text = tr(
            "`{name}`: YAML reads {value} as {other}; write plain digits", name=name, value=raw, other=_taken_for(node)
        )
    elif pattern.fullmatch(raw.strip()):
        text = tr("`{name}` is {wanted}; write it without quotes", name=name, wanted=wanted)
    else:
        text = tr("`{name}` is {wanted}, not `{value}`", name=name, wanted=wanted, value=raw)
    file.fault(node, text)
    return None


def whole(least: int | None = 0, most: int | None = None) -> Read[int]:
    """Read a whole number from `least` to `most`."""

    def read(file: Source, node: Node, name: str) -> int | None:
        text = read_number_text(file, node, name, WHOLE, tr("a whole number such as 20"))
        if text is None:
            return None
        value = int(text)
        if least is not None and value < least:
            file.fault(node, tr("`{name}` must be at least {least}", name=name, least=least))
            return None
        if most is not None and value > most:
            file.fault(node, tr("`{name}` must be at most {most}", name=name, most=most))
            return None
        return value

    return read


def read_hours(file: Source, node: Node, name: str) -> Decimal | None:
    """Read a number of hours, also a negative one."""
    text = read_number_text(file, node, name, _NUMBER, tr("a number of hours such as 6 or 1.5"))
    return None if text is None else Decimal(text)


def read_rate(file: Source, node: Node, name: str) -> float | None:
    """Read requests a second, more than 0."""
    text = read_number_text(file, node, name, _NUMBER, tr("a number of requests a second such as 10"))
    if text is None:
        return None
    if float(text) <= 0:
        file.fault(node, tr("`{name}` must be more than 0", name=name))
        return None
    return float(text)


def read_money(file: Source, node: Node, name: str) -> Money | None:
    """Read an amount with its currency, `10 USD`. Nothing is rounded: more decimals than the currency has are a fault."""
    if not is_scalar(file, node, name):
        return None
    raw = node.value.strip()
    match = _MONEY.fullmatch(raw)
    if match is None:
        bare = raw.lstrip("$").replace("_", "").replace(",", "")
        example = f"{bare} USD" if _NUMBER.fullmatch(bare) else "10 USD"
        file.fault(
            node,
            tr("`{name}`: {value} is no amount of money; write `{example}`", name=name, value=raw, example=example),
        )
        return None
    currency = match[3]
    if currency not in _CURRENCIES:
        file.unknown_word(
            node, tr("`{name}`: there is no currency {currency}", name=name, currency=currency), currency, _CURRENCIES
        )
        return None
    if match[2] is not None and len(match[2]) - 1 > minor_digits(currency):
        file.fault(
            node, tr("`{name}`: {currency} has no such fraction as {value}", name=name, currency=currency, value=raw)
        )
        return None
    file.currencies.setdefault(currency, node)
    return parse_amount(match[1] + (match[2] or ""), currency)


def read_positive_money(file: Source, node: Node, name: str) -> Money | None:
    """Read an amount of money above 0."""
    amount = read_money(file, node, name)
    if amount is not None and amount.minor == 0:
        file.fault(node, tr("`{name}` must be more than 0", name=name))
        return None
    return amount


def duration(least: timedelta = timedelta(0)) -> Read[timedelta]:
    """Read a length of time with its unit, `60s`, `5m`, `3h`, `2d`."""

    def read(file: Source, node: Node, name: str) -> timedelta | None:
        if not is_scalar(file, node, name):
            return None
        raw = node.value.strip()
        if not _DURATION.fullmatch(raw):
            example = f"{raw}s, {raw}m, {raw}h" if WHOLE.fullmatch(raw) else "60s, 5m, 3h, 2d"
            file.fault(
                node,
                tr("`{name}`: {value} is no length of time; write {example}", name=name, value=raw, example=example),
            )
            return None
        value = parse_duration(raw)
        if value < least:
            seconds = int(least.total_seconds())
            file.fault(node, tr("`{name}` must be at least {least}", name=name, least=f"{seconds}s"))
            return None
        return value

    return read


ANY_TIME = duration()
SOME_TIME = duration(timedelta(seconds=1))


def read_percent(file: Source, node: Node, name: str) -> Decimal | None:
    """Read `5%` as 5, from 0% to 100%."""
    if not is_scalar(file, node, name):
        return None
    raw = node.value.strip()
    match = _PERCENT.fullmatch(raw)
    if match is None or Decimal(match[1]) > 100:
        example = f"{raw}%" if WHOLE.fullmatch(raw) else "5%"
        file.fault(
            node,
            tr(
                "`{name}`: {value} is no percentage from 0% to 100%; write {example}",
                name=name,
                value=raw,
                example=example,
            ),
        )
        return None
    return Decimal(match[1])


def read_clock(file: Source, node: Node, name: str) -> time | None:
    """Read a time of day. In quotes: to YAML, 16:40 is the number 1000."""
    text = read_text(file, node, name)
    if text is None:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        file.fault(node, tr('`{name}`: {value} is no time of day; write "16:40"', name=name, value=text))
        return None
    return time(int(match[1]), int(match[2]))


def read_days(file: Source, node: Node, name: str) -> WorkDays | None:
    """Read `every_day`, `business_days`, `mon-fri`, or a list such as `[mon, wed-fri]`."""
    parts = one_or_more(_read_day_range)(file, node, name)
    if not parts:
        return None
    chosen = {day for part in parts for day in part.weekdays}
    return WorkDays(tuple(sorted(chosen)), any(part.without_holidays for part in parts))


def _read_day_range(file: Source, node: Node, name: str) -> WorkDays | None:
    text = read_text(file, node, name)
    if text is None:
        return None
    word = text.lower()
    if word == "every_day":
        return WorkDays()
    if word == "business_days":
        return WorkDays((0, 1, 2, 3, 4), without_holidays=True)
    first, dash, last = word.partition("-")
    if first not in _WEEKDAYS or (dash and last not in _WEEKDAYS):
        choices = ("every_day", "business_days", "mon-fri", "mon-sat", *_WEEKDAYS)
        file.unknown_word(node, tr("`{name}`: {value} are no days", name=name, value=text), text, choices)
        return None
    start = _WEEKDAYS.index(first)
    length = (_WEEKDAYS.index(last) - start) % 7 + 1 if dash else 1
    return WorkDays(tuple((start + step) % 7 for step in range(length)))


def sequence(read: Read[T]) -> Read[tuple[T, ...]]:
    """Read a list, which may be empty."""

    def read_all(file: Source, node: Node, name: str) -> tuple[T, ...] | None:
        if node.id != "sequence" or node.tag != _PLAIN + "seq":
            file.fault(node, tr("`{name}` is a list", name=name))
            return None
        values = [read(file, child, name) for child in node.value]
        return tuple(value for value in values if value is not None)

    return read_all


def one_or_more(read: Read[T]) -> Read[tuple[T, ...]]:
    """Read a list that is not empty, or one value in its place."""
    read_list = sequence(read)

    def read_some(file: Source, node: Node, name: str) -> tuple[T, ...] | None:
        if node.id == "scalar":
            value = read(file, node, name)
            return None if value is None else (value,)
        if node.id == "sequence" and not node.value:
            file.fault(node, tr("`{name}` is an empty list", name=name))
            return None
        return read_list(file, node, name)

    return read_some


def any_number(read: Read[T]) -> Read[tuple[T, ...]]:
    """Read a list, which may be empty, or one value in its place."""
    read_some, read_all = one_or_more(read), sequence(read)
    return lambda file, node, name: (read_some if node.value else read_all)(file, node, name)


class Group:
    """The keys of one mapping. Reading a key that is not there gives the default; a fault gives it too, and is kept."""

    def __init__(self, file: Source, node: Node, name: str, keys: Iterable[str] | None) -> None:
        """Report repeated keys and, when `keys` are given, every other key."""
        self.file, self.node, self.name = file, node, name
        self.keys: dict[str, Node] = {}
        self.values: dict[str, Node] = {}
        allowed = None if keys is None else tuple(keys)
        for key_node, value_node in node.value:
            key = self._key(key_node, allowed is None)
            if key is None:
                continue
            if key in self.keys:
                line = self.keys[key].start_mark.line + 1
                file.fault(key_node, tr("`{key}` is already set in line {line}", key=key, line=line))
            elif allowed is not None and key not in allowed:
                self.keys[key] = key_node
                self._unknown(key_node, key, allowed)
            else:
                self.keys[key], self.values[key] = key_node, value_node

    def _key(self, node: Node, is_free: bool) -> str | None:
        is_word = node.id == "scalar" and node.tag.startswith(_PLAIN) and node.tag != _PLAIN + "merge"
        if not is_word or not node.value.strip():
            self.file.fault(node, tr("a key is a single word; lists and `<<` are not read here"))
            return None
        return read_text(self.file, node, node.value) if is_free else str(node.value)

    def _unknown(self, node: Node, key: str, allowed: Sequence[str]) -> None:
        if self.name:
            text = tr("unknown key `{key}` in `{section}`", key=key, section=self.name)
        else:
            text = tr("unknown section `{key}`", key=key)
        self.file.unknown_word(node, text, key, allowed)

    def get(self, key: str, read: Read[T], default: T) -> T:
        """Return the value of `key`, or `default` when it is absent or faulty."""
        node = self.values.get(key)
        if node is None:
            return default
        value = read(self.file, node, f"{self.name}.{key}" if self.name else key)
        return default if value is None else value

    def need(self, key: str, read: Read[T], default: T) -> T:
        """As `get`, and report it when the key is absent."""
        if key not in self.keys:
            self.file.fault(self.node, tr("`{section}` lacks `{key}`", section=self.name, key=key))
        return self.get(key, read, default)


def read_group(file: Source, node: Node, name: str, keys: Iterable[str] | None = None) -> Group | None:
    """Read a mapping with `keys`, or with any keys; report anything else."""
    if node.id == "mapping" and node.tag == _PLAIN + "map":
        return Group(file, node, name, keys)
    if node.id == "scalar" and kind_of(node) == "null":
        file.fault(node, tr("`{name}` is empty; give it a value or take the line out", name=name))
    elif node.id != "scalar" or not _is_swallowed(file, node, name):
        file.fault(node, tr("`{name}` is a group of keys, `key: value`", name=name))
    return None


def unique_name(keys: Group, taken: dict[str, Node]) -> str:
    """Read `name` and report one that an earlier entry has."""
    rule = keys.need("name", read_text, "")
    if rule in taken:
        line = taken[rule].start_mark.line + 1
        keys.file.fault(
            keys.values["name"], tr("the name `{rule}` is already used in line {line}", rule=rule, line=line)
        )
    elif rule:
        taken[rule] = keys.values["name"]
    return rule


def read_mapping(file: Source, node: Node, name: str) -> Mapping[str, object] | None:
    """Read a section whose keys belong to a later stage: plain values, checked for repeated keys and YAML's traps."""
    keys = read_group(file, node, name)
    if keys is None:
        return None
    return {key: _read_anything(file, value, f"{name}.{key}") for key, value in keys.values.items()}


def _read_anything(file: Source, node: Node, name: str) -> object:
    if node.id == "sequence":
        return [_read_anything(file, child, name) for child in node.value]
    if node.id == "mapping":
        keys = read_group(file, node, name)
        entries = {} if keys is None else keys.values
        return {key: _read_anything(file, child, f"{name}.{key}") for key, child in entries.items()}
    return _any_scalar(file, node, name)


def _any_scalar(file: Source, node: Node, name: str) -> object:
    kind, raw = kind_of(node), node.value
    if kind == "null":
        return None
    if kind == "bool" and raw.lower() in ("true", "false"):
        return raw.lower() == "true"
    if kind == "int" and WHOLE.fullmatch(raw):
        return int(raw)
    if kind == "float" and _NUMBER.fullmatch(raw):
        return Decimal(raw)
    return read_text(file, node, name)
