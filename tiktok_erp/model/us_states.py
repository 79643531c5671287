"""US states, territories and military "states": names to two-letter codes. Pure.

Source: USPS Publication 28, appendix B. Channels write the name ("California") or the code.
"""

from __future__ import annotations

from functools import lru_cache

US_STATE_NAMES = {
    "AL": "Alabama",
    "AK": "Alaska",
    "AZ": "Arizona",
    "AR": "Arkansas",
    "CA": "California",
    "CO": "Colorado",
    "CT": "Connecticut",
    "DE": "Delaware",
    "DC": "District of Columbia",
    "FL": "Florida",
    "GA": "Georgia",
    "HI": "Hawaii",
    "ID": "Idaho",
    "IL": "Illinois",
    "IN": "Indiana",
    "IA": "Iowa",
    "KS": "Kansas",
    "KY": "Kentucky",
    "LA": "Louisiana",
    "ME": "Maine",
    "MD": "Maryland",
    "MA": "Massachusetts",
    "MI": "Michigan",
    "MN": "Minnesota",
    "MS": "Mississippi",
    "MO": "Missouri",
    "MT": "Montana",
    "NE": "Nebraska",
    "NV": "Nevada",
    "NH": "New Hampshire",
    "NJ": "New Jersey",
    "NM": "New Mexico",
    "NY": "New York",
    "NC": "North Carolina",
    "ND": "North Dakota",
    "OH": "Ohio",
    "OK": "Oklahoma",
    "OR": "Oregon",
    "PA": "Pennsylvania",
    "RI": "Rhode Island",
    "SC": "South Carolina",
    "SD": "South Dakota",
    "TN": "Tennessee",
    "TX": "Texas",
    "UT": "Utah",
    "VT": "Vermont",
    "VA": "Virginia",
    "WA": "Washington",
    "WV": "West Virginia",
    "WI": "Wisconsin",
    "WY": "Wyoming",
    "AS": "American Samoa",
    "GU": "Guam",
    "MP": "Northern Mariana Islands",
    "PR": "Puerto Rico",
    "VI": "Virgin Islands",
    "FM": "Federated States of Micronesia",
    "MH": "Marshall Islands",
    "PW": "Palau",
    "AA": "Armed Forces Americas",
    "AE": "Armed Forces Europe",
    "AP": "Armed Forces Pacific",
}

TERRITORIES = frozenset({"AS", "GU", "MP", "PR", "VI", "FM", "MH", "PW"})
MILITARY_STATES = frozenset({"AA", "AE", "AP"})

# States all or some of whose ZIP codes begin with 0: a spreadsheet program turns 02139 into 2139.
STATES_WITH_ZERO_ZIPS = frozenset({"AE", "CT", "MA", "ME", "NH", "NJ", "NY", "PR", "RI", "VI", "VT"})

_OTHER_NAMES = {
    "washington dc": "DC",
    "us virgin islands": "VI",
    "united states virgin islands": "VI",
    "virgin islands us": "VI",
    "commonwealth of the northern mariana islands": "MP",
    "commonwealth of puerto rico": "PR",
    "micronesia": "FM",
    "republic of palau": "PW",
    "armed forces america": "AA",
    "armed forces americas except canada": "AA",
    "armed forces africa": "AE",
    "armed forces canada": "AE",
    "armed forces middle east": "AE",
    "armed forces europe canada middle east and africa": "AE",
    "armed forces europe the middle east and canada": "AE",
}
_COUNTRY_NAMES = frozenset({"us", "usa", "united states", "united states of america", "美国"})


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """Return `text` in lower case, without dots, every run of spaces and other punctuation as one space."""
    undotted = text.replace(".", "")
    return " ".join("".join(letter if letter.isalnum() else " " for letter in undotted).split()).casefold()


_CODES = {_plain(name): code for code, name in US_STATE_NAMES.items()} | _OTHER_NAMES


def state_code(text: str) -> str | None:
    """Return the two-letter code for a state's code or name, in any case; None for anything else."""
    word = _plain(text)
    if word.upper() in US_STATE_NAMES:
        return word.upper()
    return _CODES.get(word)


def is_united_states(text: str) -> bool:
    """Tell whether `text` names the United States, as code or name."""
    return _plain(text) in _COUNTRY_NAMES
