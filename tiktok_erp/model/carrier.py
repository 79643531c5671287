"""Carriers by our codes (`usps`, `dhl_ecommerce`), whatever a channel, a list or a person calls them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiktok_erp.model.rule import CARRIER_NAMES, RETIRED_SERVICE_LEVELS

# By code: what other programs and people call a carrier, as their exports and APIs spell it. Letters and digits count alone,
# so `DHLExpress` is `dhl_express`. A service that hands its parcels to the post keeps the name of who sells it.
_OTHER_NAMES: Mapping[str, Sequence[str]] = {
    "usps": (
        *("United States Postal Service", "US Postal Service", "US Post", "US Mail", "USA Post"),  # eBay, people
        *("stamps_com", "endicia", "express_1", "usps_webtools", "globalpost"),  # ShipStation's carrier codes
        *("UspsShip", "USPSReturns", "Stamps.com"),  # EasyPost; Stamps.com's own export
        *(
            "Pirate Ship",
            "First Class Mail",
            "First Class Package",
            "Priority Mail",
            "Priority Mail Express",
        ),  # service alone
        *(
            "Ground Advantage",
            "Media Mail",
            "Parcel Select",
            "美国邮政",
            "美国邮政署",
            "美国邮局",
        ),  # Chinese forwarders
    ),
    "ups": (
        *("United Parcel Service", "UPSDAP", "ups_walleted", "UPSNext"),  # EasyPost and ShipStation: their own accounts
        *("SurePost", "UPS SurePost", "UPS Ground Saver"),
        *("联合包裹", "UPS快递", "美国UPS"),
    ),
    "ups_mail_innovations": ("UPS-MI", "UPSMI", "Mail Innovations"),
    "fedex": (
        *("Federal Express", "FedExDefault", "FedExWalleted", "fedex_walleted", "FDX"),  # EasyPost, ShipStation
        *("SmartPost", "FedEx SmartPost", "FedEx Ground Economy", "Ground Economy", "联邦快递", "美国联邦快递"),
    ),
    "dhl": ("DHL Express", "dhl_express_worldwide", "DHL Express MyDHL", "敦豪", "敦豪快递", "中外运敦豪"),
    "dhl_ecommerce": (
        *("DHL Global Mail", "DHLGM", "DhlEcs", "DHL eCommerce Solutions", "dhl_global_mail", "DHL eCommerce US"),
        *("DHL SmartMail", "DHL Parcel", "DHL电商"),
    ),
    "osm_worldwide": ("OSM", "One Stop Mailing"),
    "gls_us": ("GLS", "Golden State Overnight", "GSO"),
    "asendia_us": ("Asendia", "AsendiaUSA"),
    "cainiao_us": ("Cainiao", "菜鸟"),
    "amazon_shipping": (
        "Amazon",
        "Amazon Shipping",
        "AMZN_US",
        "Amazon Logistics",
        "AmazonMws",
        "Swiship",
        "Amazon MCF",
    ),
    "speedx": ("Speed X",),
    "gofo": ("Gofo Express", "CIRRO", "CIRRO E-Commerce"),
    "uniuni": ("Uni Uni", "UniUni Express"),
    "lasership": ("LaserShipV2", "OnTrac LaserShip"),
    "ontrac": ("OntracV3", "On Trac"),
    "pitney_bowes": ("Pitney Bowes Global", "PBGEC", "Newgistics", "newgistics_fss"),
    "yunexpress": ("Yun Express", "云途", "云途物流"),
    "yanwen": ("Yanwen Express", "燕文", "燕文物流"),
    "4px": ("4PX Express", "递四方"),
}
_WORDS_OF = ("usps", "ups", "fedex")  # a name with one of these words names that carrier, whatever else it says


def carrier_code(name: str) -> str:
    """Return our code for a carrier's code or name in any spelling; an unknown name in the form of a code."""
    plain = _plain(name)
    squeezed = plain.replace(" ", "")
    if squeezed in _CODES:
        return _CODES[squeezed]
    named = {word for word in plain.split() if word in _WORDS_OF}
    return named.pop() if len(named) == 1 else plain.replace(" ", "_")


def is_known(code: str) -> bool:
    """Say whether a code is that of a carrier that we have a name for."""
    return code in _CODES.values()


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


def _plain(name: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in name).split()).casefold()


_CODES = {
    _plain(name).replace(" ", ""): code
    for code, names in [
        *((code, (code,)) for codes in CARRIER_NAMES.values() for code in codes),
        *((code, (name,)) for names in CARRIER_NAMES.values() for code, name in names.items()),
        *((code, (code, *names)) for code, names in _OTHER_NAMES.items()),
    ]
    for name in names
}
