"""Carriers by our codes (`usps`, `dhl_ecommerce`), whatever a channel, a list or a person calls them. Pure."""

from __future__ import annotations

from tiktok_erp.model.rule import CARRIER_NAMES, RETIRED_SERVICE_LEVELS, SERVICE_LEVELS

_OTHER_NAMES = {
    "united states postal service": "usps",
    "us postal service": "usps",
    "united parcel service": "ups",
    "federal express": "fedex",
    "dhl express": "dhl",
    "dhl global mail": "dhl_ecommerce",
    "osm": "osm_worldwide",
    "gls": "gls_us",
    "asendia": "asendia_us",
    "cainiao": "cainiao_us",
    "amazon": "amazon_shipping",
    "amazon shipping": "amazon_shipping",
    "speed x": "speedx",
    "gofo express": "gofo",
}


def carrier_code(name: str) -> str:
    """Return our code for a carrier's code or display name in any spelling; an unknown name in the form of a code."""
    plain = _plain(name)
    if plain in _CODES:
        return _CODES[plain]
    for code in ("usps", "ups", "fedex"):  # "USPS Ground Advantage": the list names the service with the carrier
        if plain.startswith(code + " ") and _is_service(code, plain.removeprefix(code + " ")):
            return code
    return plain.replace(" ", "_")


def service_code(carrier: str, service: str) -> tuple[str, str]:
    """Return our codes for a carrier and its service by their display names: `USPS`, `USPS Ground Advantage®`.

    A service that is in no table of ours gets its own words in small letters and underscores.
    """
    code = carrier_code(carrier)
    words = _plain(service)
    for name in (_plain(carrier), code.replace("_", " ")):
        words = words.removeprefix(name + " ")
    level = words.replace(" ", "_")
    return code, RETIRED_SERVICE_LEVELS.get((code, level), level)


def _is_service(carrier: str, words: str) -> bool:
    return words.replace(" ", "_") in SERVICE_LEVELS[carrier]


def _plain(name: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in name).split()).casefold()


_CODES = (
    {_plain(code): code for names in CARRIER_NAMES.values() for code in names}
    | {_plain(name): code for names in CARRIER_NAMES.values() for code, name in names.items()}
    | _OTHER_NAMES
)
