"""ZIP codes that serve addresses of more than one state. Pure data.

The `zipcodes` package names one state a ZIP code, that of its post office; routes cross state lines. Source: ZIP code areas of
the Census Bureau that lie in several states (relationship of ZCTA and state). One too many here only means that a check is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

_BY_STATES = {
    "AL GA": "31905",
    "AL MS": "38852",
    "AL TN": "38449 38488",
    "AR LA": "71749",
    "AR MO": "65729 65733 65761 72338 72644",
    "AR TN": "72395",
    "AZ CA": "85344",
    "AZ NM": "85534 86504 86515",
    "AZ UT": "84531 84536 86514",
    "CA NV": "89019 89060 89061 89439",
    "CA OR": "97635",
    "CO NM": "81137",
    "CO WY": "82063",
    "GA TN": "37317",
    "IA MN": "51360 56027 56129",
    "IA MO": "51640 52542 52626",
    "IA SD": "51001 51023",
    "ID MT": "59847",
    "ID NV": "89832",
    "ID OR": "97910 97913",
    "ID UT": "83342",
    "ID WA": "99128",
    "ID WY": "83120",
    "IL MO": "63673",
    "KS NE": "66541 68325 68978",
    "KS OK": "67950",
    "KY TN": "38079 42223 42602",
    "MA RI": "02861",
    "ME NH": "03579",
    "MI WI": "49936 54540 54554",
    "MN ND": "56744 58030",
    "MN SD": "56136 56144 56164 56219 57026 57030 57068 57260",
    "MT ND": "59221 59270 59275",
    "MT SD": "57724",
    "MT WY": "82801",
    "ND SD": "57255 57638 57641 57642 57645 57648 57660 58043 58413 58436 58439 58623 58649 58653",
    "NE SD": "57078 68719 69201 69216 69337",
    "NE WY": "82082",
    "NM OK": "88430",
    "NM TX": "79837 79922",
    "NV OR": "89421",
    "NV UT": "84034",
    "OK TX": "73949",
    "OR WA": "99362",
    "SD WY": "57717 82701",
    "UT WY": "82930",
}


def _by_zip() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for states, codes in _BY_STATES.items():
        for code in codes.split():
            found[code].update(states.split())
    return {code: frozenset(states) for code, states in found.items()}


STATES_ACROSS: Mapping[str, frozenset[str]] = _by_zip()
