"""What may stand behind the address of a printer: the resolution of one that takes ZPL. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from tiktok_erp.messages import tr

RESOLUTIONS_DPI = (203, 300, 600)  # what printers of ZPL are made with


def zpl_resolution_dpi(address: str) -> int:
    """Return the dpi that the address of a printer names (`tcp://HOST:9100?dpi=300`), 203 where it names none.

    Raises ValueError, with a sentence, for a part that is not known, also of an address that is no ZPL printer's.
    """
    if "://" not in address:
        return RESOLUTIONS_DPI[0]
    parts = urlsplit(address)
    if parts.fragment or address.endswith("#"):
        raise _unknown_part(f"#{parts.fragment}")
    found = parse_qsl(parts.query, keep_blank_values=True)
    if parts.query and not found:
        raise _unknown_part(f"?{parts.query}")
    for key, _value in found:
        if key != "dpi" or parts.scheme != "tcp":
            raise _unknown_part(key)
    values = {value for _key, value in found}
    if len(values) > 1 or not values <= set(map(str, RESOLUTIONS_DPI)):
        known = ", ".join(map(str, RESOLUTIONS_DPI))
        raise ValueError(
            tr("?dpi={value} is no resolution of a label printer ({known})", value=found[-1][1], known=known)
        )
    return int(found[0][1]) if found else RESOLUTIONS_DPI[0]


def _unknown_part(part: str) -> ValueError:
    return ValueError(tr("the address has a part that means nothing for this printer: {part}", part=part))
