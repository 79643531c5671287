"""Tracking numbers: which carriers one can belong to, whether its check digit holds, whether a barcode says the same.

Pure. The rules are the carriers' published ones as `reference/carriers.md`, section 6, gives them; the platform's own
rule is 4-50 characters of `A-Za-z0-9-_./` (TikTok reference, section 4.5). A carrier that publishes no check digit is
checked for that form only: the number is accepted as `unchecked`, which callers show as a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from tiktok_erp.messages import tr

VALID = "valid"
BAD_FORMAT = "bad_format"
BAD_CHECK_DIGIT = "bad_check_digit"
OTHER_CARRIER = "other_carrier"
UNCHECKED = "unchecked"

_PLATFORM_FORM = re.compile(r"[A-Za-z0-9\-_./]{4,50}", re.ASCII)
_GROUP_SEPARATOR = "\x1d"  # how scanners report FNC1
_SYMBOLOGY = re.compile(r"^\][A-Za-z][0-9A-Za-z]")  # AIM identifier such as ]C1, when a scanner sends it


@dataclass(frozen=True, slots=True)
class NumberCheck:
    """What is known about one tracking number.

    `normalised` is what a carrier's site takes: no spaces or hyphens, and without the ZIP and routing parts of a
    barcode. `detected_carriers` are those whose check digit holds, in alphabetical order. `ok` is True for `valid` and
    for `unchecked`. `detail` is a sentence for people, empty when `valid`.
    """

    normalised: str
    detected_carriers: tuple[str, ...]
    ok: bool
    verdict: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Kind:
    carrier: str
    form: re.Pattern[str]
    holds: Callable[[str], bool]
    number_in: Callable[[str], str]  # the tracking number inside what the barcode carries
    is_distinctive: bool  # nobody else's numbers look like this, so a wrong check digit is a wrong number


def _gs1_holds(digits: str) -> bool:
    """GS1 mod 10: from the right weights 3, 1, 3, 1 ... over all digits but the last."""
    total = sum(int(digit) * weight for digit, weight in zip(reversed(digits[:-1]), cycle((3, 1)), strict=False))
    return (10 - total % 10) % 10 == int(digits[-1])


def _usps_20_holds(digits: str) -> bool:
    """The 20-digit form, and the older one whose check digit was computed with 91 in front."""
    return _gs1_holds(digits) or _gs1_holds("91" + digits)


def _weighted_mod_11_holds(digits: str, weights: Sequence[int]) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(digits[:-1], cycle(weights), strict=False))
    return total % 11 % 10 == int(digits[-1])


def _fedex_12_holds(digits: str) -> bool:
    return _weighted_mod_11_holds(digits, (3, 1, 7))


def _fedex_34_holds(digits: str) -> bool:
    return _weighted_mod_11_holds(digits[-14:], (1, 7, 3))


def _fedex_22_holds(digits: str) -> bool:
    return _gs1_holds(digits[-15:])


def _fedex_economy_holds(digits: str) -> bool:
    """FedEx Ground Economy numbers are IMpb numbers of FedEx as mailer; the 20-digit form leaves out the 92."""
    return _gs1_holds(digits if len(digits) == 22 else "92" + digits)


def _ups_holds(number: str) -> bool:
    """Over the 15 characters after 1Z, weights 1, 2, 1, 2 ...; a letter counts as (ASCII code - 63) mod 10."""
    values = (int(letter) if letter.isdigit() else (ord(letter) - 63) % 10 for letter in number[2:-1])
    total = sum(value * weight for value, weight in zip(values, cycle((1, 2)), strict=False))
    return (10 - total % 10) % 10 == int(number[-1])


def _s10_holds(number: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number[2:10], (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    check = {10: 0, 11: 5}.get(11 - total % 11, 11 - total % 11)
    return check == int(number[10])


def _fedex_number_in_34(digits: str) -> str:
    """Return the 12-digit number at the end, or all 14 digits when the two before it are in use."""
    return digits[-12:] if digits[-14:-12] == "00" else digits[-14:]


def _same(number: str) -> str:
    return number


_KINDS = (
    _Kind("usps", re.compile(r"9[1-5](\d{20}|\d{24})", re.ASCII), _gs1_holds, _same, True),
    _Kind("usps", re.compile(r"\d{20}", re.ASCII), _usps_20_holds, _same, False),
    _Kind("usps", re.compile(r"[A-Z]{2}\d{9}US", re.ASCII), _s10_holds, _same, True),
    _Kind("ups", re.compile(r"1Z[A-Z0-9]{15}\d", re.ASCII), _ups_holds, _same, True),
    _Kind("fedex", re.compile(r"\d{12}", re.ASCII), _fedex_12_holds, _same, False),
    _Kind("fedex", re.compile(r"\d{15}", re.ASCII), _gs1_holds, _same, False),
    _Kind("fedex", re.compile(r"9261\d{18}|61\d{18}", re.ASCII), _fedex_economy_holds, _same, False),
    _Kind("fedex", re.compile(r"96\d{20}", re.ASCII), _fedex_22_holds, lambda digits: digits[-15:], True),
    _Kind("fedex", re.compile(r"([0-8]\d|96)\d{32}", re.ASCII), _fedex_34_holds, _fedex_number_in_34, True),
)
_S10 = re.compile(r"[A-Z]{2}\d{9}[A-Z]{2}", re.ASCII)

# Numbers that these carriers issue too and whose check rule is not in our reference.
_WITHOUT_RULE = {
    "ups": re.compile(r"[AHJKTV]\d{10}|80\d{16}|MI\d{6}[A-Z0-9]{1,22}", re.ASCII)
}  # the last: Mail Innovations
_POST = re.compile(r"9[1-5](\d{20}|\d{24})", re.ASCII)
# Whose parcels the post may deliver under a number of its own: which of the post's numbers. UPS: Mail Innovations and
# SurePost; FedEx: Ground Economy. Postage bought online (94) is the post's alone there.
_DELIVERED_BY_POST = {"ups": re.compile(r"92\d+", re.ASCII), "fedex": re.compile(r"92\d+", re.ASCII)}
_CARRIERS_WITH_RULES = frozenset(kind.carrier for kind in _KINDS)


def check(number: str, carrier: str | None) -> NumberCheck:
    """Check the format and check digit of `number` for `carrier` (our code, such as `usps`; None = not known).

    The verdict is `valid`, `unchecked` (the carrier or the form has no published check digit), `bad_format`,
    `bad_check_digit`, or `other_carrier` (another carrier's number, well formed). A USPS barcode's 420 + ZIP prefix is
    dropped before checking.
    """
    trimmed = "".join(number.split())
    if _PLATFORM_FORM.fullmatch(trimmed) is None:
        return NumberCheck(trimmed, (), False, BAD_FORMAT, tr("a tracking number is 4 to 50 letters, digits or -_./"))
    plain = _plain(trimmed)
    readings = _readings(plain)
    holding = [(kind, text) for kind, text in readings if kind.holds(text)]
    detected = tuple(sorted({kind.carrier for kind, text in holding}))
    of_the_post = _by_post(carrier, plain, detected) if carrier is not None else None
    if of_the_post is not None:
        return of_the_post
    if carrier is not None and carrier not in _CARRIERS_WITH_RULES:
        return NumberCheck(trimmed, detected, True, UNCHECKED, _no_rule(carrier))
    own = [(kind, text) for kind, text in holding if carrier in (None, kind.carrier)]
    if own:
        kind, text = own[0]
        return NumberCheck(kind.number_in(text), detected, True, VALID, "")
    if carrier is None:
        return _check_for_nobody(plain, trimmed, readings)
    return _check_for(carrier, plain, readings, holding, detected)


def _by_post(carrier: str, plain: str, detected: tuple[str, ...]) -> NumberCheck | None:
    """Return the verdict on a number of the post on a parcel that another one collects; None when it is none."""
    if carrier == "usps":
        return None
    numbers = [text for text in (*_without_zip(plain), plain) if _POST.fullmatch(text)]
    allowed = _DELIVERED_BY_POST.get(carrier)
    if allowed is not None:
        numbers = [text for text in numbers if allowed.fullmatch(text)]
    elif carrier in _CARRIERS_WITH_RULES:
        return None
    if not numbers:
        return None
    for text in numbers:
        if _gs1_holds(text):
            return NumberCheck(text, detected, True, VALID, "")
    return NumberCheck(plain, detected, False, BAD_CHECK_DIGIT, _wrong_check_digit())


def surely_of(number: str) -> str | None:
    """Return the carrier whose form and check digit `number` has when no other's numbers look like it."""
    sure = {kind.carrier for kind, text in _readings(_plain(number)) if kind.is_distinctive and kind.holds(text)}
    return sure.pop() if len(sure) == 1 else None


def _check_for_nobody(plain: str, trimmed: str, readings: Sequence[tuple[_Kind, str]]) -> NumberCheck:
    """Return the verdict on a number that no check digit confirms and whose carrier nobody told."""
    if any(kind.is_distinctive for kind, text in readings):
        return NumberCheck(plain, (), False, BAD_CHECK_DIGIT, _wrong_check_digit())
    if _S10.fullmatch(plain) is not None:
        if _s10_holds(plain):
            return NumberCheck(plain, (), True, VALID, "")
        return NumberCheck(plain, (), False, BAD_CHECK_DIGIT, _wrong_check_digit())
    return NumberCheck(trimmed, (), True, UNCHECKED, tr("no carrier's published rule covers this number"))


def _check_for(
    carrier: str,
    plain: str,
    readings: Sequence[tuple[_Kind, str]],
    holding: Sequence[tuple[_Kind, str]],
    detected: tuple[str, ...],
) -> NumberCheck:
    """Return the verdict on a number that none of this carrier's check digits confirms."""
    has_own_form = any(kind.carrier == carrier for kind, text in readings)
    if holding and (not has_own_form or any(kind.is_distinctive for kind, text in holding)):
        detail = tr("this is a number of {others}, not of {carrier}", others=", ".join(detected), carrier=carrier)
        return NumberCheck(plain, detected, False, OTHER_CARRIER, detail)
    if has_own_form:
        return NumberCheck(plain, detected, False, BAD_CHECK_DIGIT, _wrong_check_digit())
    if carrier in _WITHOUT_RULE and _WITHOUT_RULE[carrier].fullmatch(plain) is not None:
        return NumberCheck(plain, detected, True, UNCHECKED, _no_rule(carrier))
    if carrier == "usps" and _S10.fullmatch(plain) is not None:
        # Mail from abroad keeps its sender's country code and is delivered by USPS.
        if _s10_holds(plain):
            return NumberCheck(plain, detected, True, VALID, "")
        return NumberCheck(plain, detected, False, BAD_CHECK_DIGIT, _wrong_check_digit())
    return NumberCheck(plain, detected, False, BAD_FORMAT, tr("{carrier} has no numbers of this form", carrier=carrier))


def _no_rule(carrier: str) -> str:
    return tr("{carrier} publishes no check digit for this number; only its form was checked", carrier=carrier)


def _wrong_check_digit() -> str:
    return tr("the check digit is wrong: at least one character was misread or mistyped")


def _plain(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()


def _readings(plain: str) -> list[tuple[_Kind, str]]:
    """Return every way to read `plain` as a known kind of number, most distinctive first."""
    texts = [*_without_zip(plain), plain]
    found = [(kind, text) for text in texts for kind in _KINDS if kind.form.fullmatch(text) is not None]
    return sorted(found, key=lambda reading: not reading[0].is_distinctive)


def _without_zip(plain: str) -> Iterator[str]:
    """Yield the USPS numbers that `plain` may carry behind 420 + ZIP5 or ZIP9: 34 digits can be read both ways."""
    if plain.isdecimal() and plain.startswith("420") and len(plain) in (30, 34, 38):
        for zip_digits in (5, 9):
            number = plain[3 + zip_digits :]
            if len(number) in (22, 26) and number.startswith("9"):
                yield number


def barcode_matches(payload: bytes, number: str) -> bool | None:
    """Compare what a label's barcode carries with the tracking number we hold.

    True when they are the same after dropping the 420 + ZIP prefix, FNC1 (0x1D), AI brackets and FedEx's routing
    part. False when the barcode is readable as a tracking number and says another one. None when it is something else
    (a routing code, a QR code with a link, a reference): no proof either way.
    """
    try:
        text = payload.decode("ascii")
    except UnicodeDecodeError:
        return None
    text = _SYMBOLOGY.sub("", text)
    bare = re.sub(r"[()\s\x1d]", "", text).replace("-", "").upper()
    held = _names_of(_plain(number))
    if not held or not bare:
        return None
    scanned = _names_after_separator(text) or _names_of(bare)
    if held & scanned:
        return True
    # Plain digits may be a routing code or a reference of the right length by chance: they contradict their own kind only.
    held_kinds = [kind for kind, reading in _readings(_plain(number))]
    is_tracking = any(
        kind.is_distinctive or (kind.holds(reading) and kind in held_kinds) for kind, reading in _readings(bare)
    )
    is_same_series = len(bare) >= 8 and not bare.isdecimal() and _shape(bare) == _shape(_plain(number))
    return False if is_tracking or is_same_series else None


def _names_after_separator(text: str) -> set[str]:
    """Return the number behind `420<ZIP> FNC1`, which the separator tells from a longer ZIP. Empty without one."""
    head, separator, tail = text.strip(_GROUP_SEPARATOR).partition(_GROUP_SEPARATOR)
    if separator and re.fullmatch(r"\(?420\)?(\d{5}|\d{9})", head, re.ASCII) is not None:
        return _names_of(re.sub(r"[()\s\x1d]", "", tail).upper())
    return set()


def _names_of(plain: str) -> set[str]:
    """Return every text by which the number in `plain` is known: itself, and the parts that carriers print."""
    if not plain:
        return set()
    inner = {kind.number_in(text) for kind, text in _readings(plain) if kind.holds(text)}
    return {plain, *_without_zip(plain), *inner}


def _shape(plain: str) -> str:
    return re.sub(r"[A-Z]", "A", re.sub(r"\d", "9", plain))
