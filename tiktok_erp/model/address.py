"""Addresses: cleaning what cannot be printed, telling PO boxes and military posts, and the faults that stop an own label. Pure.

Sources: USPS Publication 28 for forms of PO boxes and military addresses; carriers reference, section 9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tiktok_erp.messages import tr
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.plain_text import fold, latin
from tiktok_erp.model.us_states import (
    MILITARY_STATES,
    STATES_WITH_ZERO_ZIPS,
    TERRITORIES,
    is_united_states,
    state_code,
)

_PO_BOX = re.compile(
    r"\b(p(ost)?\W{0,2}\s?o(ffice)?\W{0,2}\s?(box|bin|drawer|b)\b|pob\s?\d|post\s?box\b|general delivery\b|(lock|call)\s?box\b)",
    re.IGNORECASE,
)
_BARE_BOX = re.compile(r"^\W*box\s+#?\d+\W*$", re.IGNORECASE)
_MILITARY_CITY = re.compile(r"^\W*(apo|fpo|dpo)\W*(?:(aa|ae|ap)\W*)?(?:\d{5}\W*)?$", re.IGNORECASE)
_MILITARY_STREET = re.compile(r"^\W*((psc|cmr|unit|umr)\s+#?\d+.*\bbox\b|ship\b.*\b(uss|usns|uscgc)\b)", re.IGNORECASE)
_US_ZIP = re.compile(r"(\d{5})(-?\d{4})?")
# ZIP codes of military posts, by their first three digits (USPS Publication 28, section 225).
_MILITARY_ZIP = ((re.compile(r"09\d{3}"), "AE"), (re.compile(r"340\d\d"), "AA"), (re.compile(r"96[2-6]\d\d"), "AP"))
_NEW_YORK_ZERO_ZIPS = frozenset({"00501", "00544", "06390"})
_EXTENSION = re.compile(r"\s*(?:ext\.?|extension|x|#|,|;)\s*\d{1,6}\s*$", re.IGNORECASE)
_PHONE_SIGNS = re.compile(r"[\d\s()+./-]*")
_MASK = re.compile("[*\u2217]|[\u2022\u25cf\u2588\u25e6\u00b7]{2}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parcel goes, as the channel told it. None: not told."""

    name: str | None = None
    street1: str | None = None
    street2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None
    phone: str | None = None
    full_address: str | None = None
    is_masked: bool = False

    def streets(self) -> tuple[str, ...]:
        """Return the street lines that are there."""
        return tuple(line for line in (self.street1, self.street2) if line)


@dataclass(frozen=True, slots=True)
class AddressFault:
    """Why no own label can be bought for an address: a stable word, a sentence without the address, and what to do."""

    cause: str
    detail: str
    next_step: str


def clean(text: str | None) -> str | None:
    """Return `text` as a label can show it: full-width characters as plain ones, no control characters, single blanks.

    None where nothing is left.
    """
    if text is None:
        return None
    if text.isascii() and text.isprintable():  # nearly all of them, and the rest is slow
        return " ".join(text.split()) or None
    return fold(text) or None


def clean_address(address: Address) -> Address:
    """Return the address with every part cleaned, in the form in which the United States write their own.

    A territory that stands where the country does is a state, a post of the forces lies in the United States wherever it
    is, and a ZIP code gets back the zeros that a spreadsheet program took.
    """
    return _at_home(
        Address(
            clean(address.name),
            clean(address.street1),
            clean(address.street2),
            clean(address.city),
            clean(address.state),
            clean(address.zip),
            clean(address.country),
            clean(address.phone),
            clean(address.full_address),
            address.is_masked,
        )
    )


def _at_home(address: Address) -> Address:
    territory = state_code(address.country) if address.country else None
    if territory in TERRITORIES:
        # What stands as the state is a municipality, or the territory once more.
        place = address.state if address.state and state_code(address.state) != territory else None
        address = replace(address, country="US", state=territory, city=address.city or place)
    match = _MILITARY_CITY.match(address.city) if address.city else None
    if match is not None:
        by_zip = next((code for zips, code in _MILITARY_ZIP if address.zip and zips.match(address.zip.zfill(5))), None)
        code = state_code(address.state) if address.state else None
        code = code if code in MILITARY_STATES else (match[2] or by_zip or "").upper() or None
        if code is not None and (by_zip == code or not address.zip or is_united_states(address.country or "US")):
            address = replace(address, country="US", state=code)
    if address.zip and address.state and (not address.country or is_united_states(address.country)):
        return replace(address, zip=zip_with_zeros(address.zip, address.state))
    return address


def zip_with_zeros(text: str, state: str) -> str:
    """Return a ZIP code with the zeros that a spreadsheet program takes from 02139, where the state has such ones."""
    head, dash, tail = text.partition("-")
    code = state_code(state)
    if not (head.isascii() and head.isdecimal()) or code not in STATES_WITH_ZERO_ZIPS:
        return text
    if not dash and 7 <= len(head) <= 8:  # with the four digits behind it
        head, tail = head[:-4], head[-4:]
    whole = head.zfill(5)
    if not 3 <= len(head) <= 4 or (code == "NY" and whole not in _NEW_YORK_ZERO_ZIPS):
        return text
    return whole + (f"-{tail}" if tail else "")


def phone_of(address: Address, home: str) -> str | None:
    """Return the telephone number if it is one that a carrier can call, without its extension; never a masked one.

    In the United States that is ten digits, whatever country code stands before them.
    """
    number = _EXTENSION.sub("", address.phone or "")
    if not number or not number.isascii() or _PHONE_SIGNS.fullmatch(number) is None:
        return None
    digits = "".join(sign for sign in number if sign.isdigit())
    is_american = is_in_us(address, home)
    if is_american and (
        not number.lstrip("( ").startswith("+") or digits.lstrip("0").startswith("1") or len(digits) == 10
    ):
        local = digits.lstrip("01")
        return number if len(local) == 10 and local[0] in "23456789" else None
    return number if 7 <= len(digits.lstrip("0")) <= 15 else None


def line_length(streets: Sequence[str]) -> int | None:
    """Return how long a line must be to hold the street in two lines, broken at a word; None without a street."""
    lines = fit_lines(streets, 0)
    return max(map(len, lines)) if lines else None


def fit_lines(streets: Sequence[str], limit: int) -> tuple[str, ...]:
    """Return the street lines as they are where each is within `limit` characters, else broken anew at the best word."""
    lines = tuple(latin(line) or line for line in streets)
    if not lines or max(map(len, lines)) <= limit:
        return tuple(streets)
    words = " ".join(lines).split()
    breaks = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    best = min(breaks, key=lambda pair: max(map(len, pair)), default=lines)
    return best if max(map(len, best)) < max(map(len, lines)) else tuple(streets)


def is_readable(text: str | None) -> bool:
    """Tell whether a part of an address is there and not masked."""
    return bool(text) and not is_masked_text(str(text))


def is_masked_text(text: str) -> bool:
    """Tell whether some of the letters are hidden by a sign."""
    return _MASK.search(text) is not None


def is_po_box(address: Address) -> bool | None:
    """Tell whether the parcel goes to a PO box or to general delivery; None when the street cannot be read."""
    lines = address.streets()
    if any(_PO_BOX.search(line) or _BARE_BOX.match(line) for line in lines):
        return not is_military(address)
    if not lines or any(is_masked_text(line) for line in lines):
        return None
    return False


def is_military(address: Address) -> bool | None:
    """Tell whether the address is an APO, FPO or DPO; None when state, city and street cannot be read."""
    state = state_code(address.state) if address.state else None
    if state in MILITARY_STATES or (address.city and _MILITARY_CITY.match(address.city)):
        return True
    if state is not None:
        return False
    if any(_MILITARY_STREET.match(line) for line in address.streets()):
        return True
    return False if is_readable(address.city) else None


def is_in_us(address: Address, home: str) -> bool:
    """Tell whether the address is in the United States; one without a country is at home."""
    return (country_code(address.country) if address.country else home) == "US"


def find_fault(
    address: Address,
    *,
    home: str,
    states_of_zip: Callable[[str], frozenset[str]],
    states_near_zip: Callable[[str], frozenset[str]] = lambda code: frozenset(),
    skip: frozenset[str] = frozenset(),
) -> AddressFault | None:
    """Return the first thing that keeps an own label from being bought, whoever carries it; None when there is nothing.

    `address` is clean. `states_of_zip` gives the states that a five-digit ZIP lies in, none for a ZIP that it does not
    know: new ones come up, so that is no fault. `states_near_zip` gives those that its routes may reach across a state
    line, and is asked only where the state does not fit. Causes in `skip` are overridden.
    """
    for fault in _faults(address, home, states_of_zip, states_near_zip):
        if fault.cause not in skip:
            return fault
    return None


def _faults(
    address: Address,
    home: str,
    states_of_zip: Callable[[str], frozenset[str]],
    states_near_zip: Callable[[str], frozenset[str]],
) -> list[AddressFault]:
    if not any((address.street1, address.full_address, address.city, address.zip)):
        return [
            AddressFault(
                "no_address",
                tr("the order has no delivery address"),
                tr(
                    "look at the order in Seller Center and ask the buyer; then run `tiktok-erp sync` and `tiktok-erp allocate`"
                ),
            )
        ]
    if _is_masked(address):
        return [
            AddressFault(
                "masked_address",
                tr("the channel hides parts of the address (`*`): no label of your own can be made for it"),
                tr(
                    "run `tiktok-erp sync`; if it stays so, use TikTok Shipping for the order, or export it from Seller Center"
                ),
            )
        ]
    found = []
    missing = _missing_parts(address, home)
    if missing:
        found.append(
            AddressFault(
                "incomplete_address",
                tr("the address lacks {parts}", parts=", ".join(missing)),
                tr(
                    "ask the buyer, correct the order in Seller Center, then run `tiktok-erp sync` and `tiktok-erp allocate`"
                ),
            )
        )
    if is_in_us(address, home):
        found += _us_faults(address, states_of_zip, states_near_zip)
    if any(part and latin(part) is None for part in (address.name, *address.streets(), address.city)):
        found.append(
            AddressFault(
                "not_latin",
                tr("the address has letters that carriers cannot print"),
                tr(
                    "write it in Latin letters where you buy the label, and take the label over:"
                    " `tiktok-erp print-labels --from LIST.csv` (order_id,carrier,tracking_number)"
                ),
            )
        )
    return found


def _is_masked(address: Address) -> bool:
    parts = (address.name, address.street1, address.street2, address.city, address.zip)
    return any(part and is_masked_text(part) for part in parts)


def _missing_parts(address: Address, home: str) -> list[str]:
    parts = [(tr("name"), address.name), (tr("street"), address.street1), (tr("city"), address.city)]
    if is_in_us(address, home):
        parts += [(tr("state"), address.state), (tr("ZIP code"), address.zip)]
    return [name for name, value in parts if not value]


def _us_faults(
    address: Address,
    states_of_zip: Callable[[str], frozenset[str]],
    states_near_zip: Callable[[str], frozenset[str]],
) -> list[AddressFault]:
    found = []
    code = state_code(address.state) if address.state else None
    if address.state and code is None:
        found.append(
            AddressFault(
                "bad_state",
                tr("`{state}` is no US state", state=address.state),
                tr("correct the order in Seller Center, then run `tiktok-erp sync` and `tiktok-erp allocate`"),
            )
        )
    match = _US_ZIP.fullmatch(address.zip) if address.zip else None
    if address.zip and match is None:
        found.append(
            AddressFault(
                "bad_zip",
                tr("the ZIP code is not five digits, or five and four"),
                tr("correct the order in Seller Center, then run `tiktok-erp sync` and `tiktok-erp allocate`"),
            )
        )
    if match is not None and code is not None:
        states = states_of_zip(match[1])
        if states and code not in states and code not in states_near_zip(match[1]):
            found.append(
                AddressFault(
                    "zip_not_in_state",
                    tr(
                        "the ZIP code {zip}.. lies in {states}, the address says {state}",
                        zip=match[1][:3],
                        states=", ".join(sorted(states)),
                        state=code,
                    ),
                    tr(
                        "ask the buyer which is right and correct the order in Seller Center; if the address is right:"
                        " `tiktok-erp orders retry ID --override zip_not_in_state --because TEXT`"
                    ),
                )
            )
    return found


# Every cause that an address can be stopped for; `orders retry --override` knows them.
ADDRESS_CAUSES = (
    "no_address",
    "masked_address",
    "incomplete_address",
    "bad_state",
    "bad_zip",
    "zip_not_in_state",
    "not_latin",
    "military",
    "po_box",
    "territory",
    "no_phone",
    "address_too_long",
    "too_heavy",
)
