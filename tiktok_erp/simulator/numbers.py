"""Ids and tracking numbers: how they are made, and what a tracking number looks like from outside. Pure but for the dice."""

from __future__ import annotations

import random
import re

_ALLOWED = re.compile(r"[A-Za-z0-9\-_./]+")
_IMPB = re.compile(r"9[1-5]\d{20}(\d{4})?")
_UPS = re.compile(r"1Z[0-9A-Z]{15}\d")


class IdMaker:
    """Make ids that no one can mistake for a small number: 18 or 19 digits, far above 2**53, never twice."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"{seed}/ids")
        self._used: set[str] = set()

    def make(self, prefix: str, length: int) -> str:
        """Return a fresh id of `length` digits that starts with `prefix`."""
        while True:
            digits = length - len(prefix)
            made = prefix + str(self._dice.randrange(10**digits)).zfill(digits)
            if made not in self._used:
                self._used.add(made)
                return made


def gs1_check_digit(digits: str) -> str:
    """Return the GS1 mod 10 check digit (carriers reference, section 6: USPS IMpb)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str((10 - total % 10) % 10)


def ups_check_digit(characters: str) -> str:
    """Return the check digit over the 15 characters after `1Z` (carriers reference, section 6)."""
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in characters]
    total = sum(value * (2 if place % 2 else 1) for place, value in enumerate(values))
    return str((10 - total % 10) % 10)


def usps_number(serial: int) -> str:
    """Return a 22-digit IMpb: application 94, service type 001, an invented nine-digit mailer, serial, check digit."""
    body = f"94001903217045{serial:07d}"
    return body + gs1_check_digit(body)


def ups_number(serial: int) -> str:
    """Return a UPS 1Z number of an invented shipper."""
    body = f"SM7X4103{serial:07d}"
    return "1Z" + body + ups_check_digit(body)


def number_fault(number: str) -> str:
    """Return why a number cannot be a tracking number, or an empty text (rule of Update Shipping Info: 4-50 signs)."""
    if not 4 <= len(number) <= 50:
        return "length"
    return "" if _ALLOWED.fullmatch(number) else "characters"


def carriers_of(number: str) -> list[str]:
    """Return the display names of the carriers whose numbers look like this; several or none are both possible."""
    cleaned = number.upper()
    found = []
    if _IMPB.fullmatch(cleaned) and gs1_check_digit(cleaned[:-1]) == cleaned[-1]:
        found.append("USPS")
    if _UPS.fullmatch(cleaned) and ups_check_digit(cleaned[2:-1]) == cleaned[-1]:
        found.append("UPS")
    if re.fullmatch(r"\d{12}|\d{15}", cleaned):
        found.append("FedEx")
    if re.fullmatch(r"(GM|LX|RX|UV|CN|SG|TH|IN|HK)\w{8,37}|\d{10}", cleaned):
        found.append("DHL eCommerce")
    if re.fullmatch(r"(UUS|U9999)\w{8,20}", cleaned):
        found.append("UniUni")
    if re.fullmatch(r"SPX\w{8,20}", cleaned):
        found.append("Speedx")
    return found
