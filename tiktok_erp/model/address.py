"""Addresses: cleaning what cannot be printed, telling PO boxes and military posts, and the faults that stop an own label. Pure.

Sources: USPS Publication 28 for forms of PO boxes and military addresses; carriers reference, section 9.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from tiktok_erp.messages import tr
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.us_states import MILITARY_STATES, state_code

_PO_BOX = re.compile(
    r"\b(p(ost)?\W{0,2}\s?o(ffice)?\W{0,2}\s?(box|bin|drawer|b)\b|pob\s?\d|post\s?box\b|general delivery\b|(lock|call)\s?box\b)",
    re.IGNORECASE,
)
_BARE_BOX = re.compile(r"^\W*box\s+#?\d+\W*$", re.IGNORECASE)
_MILITARY_CITY = re.compile(r"^\W*(apo|fpo|dpo)\W*$", re.IGNORECASE)
_MILITARY_STREET = re.compile(r"^\W*((psc|cmr|unit|umr)\s+#?\d+.*\bbox\b|ship\b.*\b(uss|usns|uscgc)\b)", re.IGNORECASE)
_US_ZIP = re.compile(r"(\d{5})(-?\d{4})?")
# Zero-width and directional marks have no place on a label and are invisible in a message.
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
# Letters that carriers print: Latin ones with their marks. Others must be written in Latin letters first.
_LATIN = re.compile(r"[\u0000-\u024f\u1e00-\u1eff\u2010-\u2027\u2116]*")


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
    folded = "".join(" " if letter in "\t\n\r\v\f" else letter for letter in unicodedata.normalize("NFKC", text))
    shown = "".join(letter for letter in folded if unicodedata.category(letter) not in _INVISIBLE)
    return " ".join(shown.split()) or None


def clean_address(address: Address) -> Address:
    """Return the address with every part cleaned."""
    return Address(
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


def is_readable(text: str | None) -> bool:
    """Tell whether a part of an address is there and not masked."""
    return bool(text) and "*" not in str(text)


def is_po_box(address: Address) -> bool | None:
    """Tell whether the parcel goes to a PO box or to general delivery; None when the street cannot be read."""
    lines = address.streets()
    if any(_PO_BOX.search(line) or _BARE_BOX.match(line) for line in lines):
        return not is_military(address)
    if not lines or any("*" in line for line in lines):
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
    address: Address, *, home: str, states_of_zip: Callable[[str], frozenset[str]], skip: frozenset[str] = frozenset()
) -> AddressFault | None:
    """Return the first thing that keeps an own label from being bought, whoever carries it; None when there is nothing.

    `address` is clean. `states_of_zip` gives the states that a five-digit ZIP lies in, none for a ZIP that it does not
    know: new ones come up, so that is no fault. Causes in `skip` are overridden.
    """
    for fault in _faults(address, home, states_of_zip):
        if fault.cause not in skip:
            return fault
    return None


def _faults(address: Address, home: str, states_of_zip: Callable[[str], frozenset[str]]) -> list[AddressFault]:
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
        found += _us_faults(address, states_of_zip)
    if any(part and not _LATIN.fullmatch(part) for part in (address.name, *address.streets(), address.city)):
        found.append(
            AddressFault(
                "not_latin",
                tr("the address has letters that carriers cannot print"),
                tr(
                    "write it in Latin letters where you buy the label, then"
                    " `tiktok-erp orders retry ID --override not_latin --because TEXT`"
                ),
            )
        )
    return found


def _is_masked(address: Address) -> bool:
    parts = (address.name, address.street1, address.street2, address.city, address.zip)
    return any(part and "*" in part for part in parts)


def _missing_parts(address: Address, home: str) -> list[str]:
    parts = [(tr("name"), address.name), (tr("street"), address.street1), (tr("city"), address.city)]
    if is_in_us(address, home):
        parts += [(tr("state"), address.state), (tr("ZIP code"), address.zip)]
    return [name for name, value in parts if not value]


def _us_faults(address: Address, states_of_zip: Callable[[str], frozenset[str]]) -> list[AddressFault]:
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
        if states and code not in states:
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
