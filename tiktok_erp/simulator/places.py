"""Where simulated buyers live: real ZIP codes with their states, invented people and streets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    state: str
    iso: str
    county: str
    city: str
    zip5: str
    area_code: str
    tax_bp: int  # sales tax in 1/100 %
    share: int  # how often buyers live there, relative to the others


PLACES: tuple[Place, ...] = (
    Place("California", "CA", "Los Angeles", "Los Angeles", "90026", "213", 950, 8),
    Place("California", "CA", "Orange", "Anaheim", "92804", "714", 775, 4),
    Place("California", "CA", "San Diego", "San Diego", "92103", "619", 775, 4),
    Place("California", "CA", "Alameda", "Oakland", "94610", "510", 1025, 3),
    Place("California", "CA", "Sacramento", "Sacramento", "95819", "916", 875, 3),
    Place("New York", "NY", "Kings", "Brooklyn", "11211", "718", 888, 5),
    Place("New York", "NY", "New York", "New York", "10025", "212", 888, 3),
    Place("New York", "NY", "Erie", "Buffalo", "14213", "716", 875, 2),
    Place("Texas", "TX", "Travis", "Austin", "78704", "512", 825, 4),
    Place("Texas", "TX", "Harris", "Houston", "77007", "713", 825, 5),
    Place("Texas", "TX", "Dallas", "Dallas", "75206", "214", 825, 4),
    Place("Florida", "FL", "Miami-Dade", "Miami", "33125", "305", 700, 4),
    Place("Florida", "FL", "Orange", "Orlando", "32803", "407", 650, 4),
    Place("Illinois", "IL", "Cook", "Chicago", "60618", "773", 1025, 4),
    Place("Georgia", "GA", "Fulton", "Atlanta", "30312", "404", 890, 3),
    Place("Ohio", "OH", "Franklin", "Columbus", "43202", "614", 750, 3),
    Place("Pennsylvania", "PA", "Allegheny", "Pittsburgh", "15217", "412", 700, 3),
    Place("Michigan", "MI", "Kent", "Grand Rapids", "49503", "616", 600, 2),
    Place("North Carolina", "NC", "Mecklenburg", "Charlotte", "28205", "704", 725, 3),
    Place("Arizona", "AZ", "Maricopa", "Phoenix", "85016", "602", 860, 3),
    Place("Washington", "WA", "King", "Seattle", "98115", "206", 1035, 3),
    Place("Colorado", "CO", "Denver", "Denver", "80211", "303", 881, 2),
    Place("Minnesota", "MN", "Hennepin", "Minneapolis", "55408", "612", 902, 2),
    Place("Tennessee", "TN", "Davidson", "Nashville", "37206", "615", 975, 2),
    Place("Louisiana", "LA", "Orleans", "New Orleans", "70115", "504", 1000, 1),
    Place("Massachusetts", "MA", "Middlesex", "Cambridge", "02139", "617", 625, 2),
    Place("New Jersey", "NJ", "Hudson", "Jersey City", "07302", "201", 663, 2),
    Place("Virginia", "VA", "Richmond", "Richmond", "23220", "804", 600, 2),
    Place("Oregon", "OR", "Multnomah", "Portland", "97211", "503", 0, 2),
    Place("New Hampshire", "NH", "Hillsborough", "Manchester", "03104", "603", 0, 1),
    Place("Montana", "MT", "Missoula", "Missoula", "59801", "406", 0, 1),
    Place("Hawaii", "HI", "Honolulu", "Honolulu", "96816", "808", 450, 1),
    Place("Alaska", "AK", "Anchorage", "Anchorage", "99504", "907", 0, 1),
    Place("Puerto Rico", "PR", "San Juan", "San Juan", "00926", "787", 1150, 1),
    Place("Armed Forces Europe", "AE", "", "APO", "09012", "571", 0, 1),
    Place("Armed Forces Pacific", "AP", "", "APO", "96319", "671", 0, 1),
)

FIRST_NAMES = (
    "Adaline", "Bexley", "Corin", "Delphine", "Emrys", "Fenella", "Garrick", "Hollis", "Ione", "Jarek", "Keziah",
    "Leopold", "Marisol", "Nerys", "Orla", "Piers", "Quilla", "Rosalind", "Soren", "Tamsin", "Ulric", "Verity",
    "Winslow", "Xanthe", "Yasmin", "Zephyr", "Anneliese", "Bram", "Cosima", "Dario", "Estrella", "Flavia",
    "Gideon", "Hester", "Ignacio", "Juno",
)  # fmt: skip
LAST_NAMES = (
    "Ashgrove", "Birchwell", "Calloway-Finn", "Dunmarsh", "Elderfield", "Fernsby", "Greywater", "Hartleby",
    "Inglemoor", "Jessamy", "Kettlebrook", "Larkspurr", "Mosswood", "Netherby", "Oakhanger", "Penhallow",
    "Quillfeather", "Ravensdale", "Silverthorn", "Tillmarsh", "Umberfield", "Vantongeren", "Wexcombe", "Yarrowby",
    "Zimmerling", "Aldersea", "Brightmoor", "Copperfell", "Dovelane", "Everhollow",
)  # fmt: skip
STREETS = (
    "Juniper Hollow Rd", "Marigold Terrace", "Old Ferry Ln", "Pepperbush Ave", "Quarry Lantern St",
    "Saltgrass Way", "Thistledown Ct", "Windmill Copse Dr", "Bluebottle Blvd", "Cinder Path", "Dovecote Sq",
    "Foxglove Pl", "Goosefoot Loop", "Harrowgate Run", "Inkwell Alley", "Kestrel Bend",
)  # fmt: skip
SECOND_LINES = ("", "", "", "", "", "Apt 4B", "Unit 12", "Apt 301", "# 7", "Floor 2")

NOTES = (
    "Please ship fast, gift for Friday",
    "送给妈妈的，请包装好一点 🎁",
    "麻烦发顺丰，谢谢！",
    "Leave at the side door 🚪 dog is friendly 🐶",
    "颜色要鼠尾草绿，不要发错 💚",
    "no invoice in the box pls, it's a gift 🙏",
    "Live 里答应送的小样别忘了 😊",
    "¿Pueden envolverlo para regalo? ¡Gracias!",
    "can you double check the size? last time it was wrong",
    "from the stream!! 👗✨ love it",
    'Call me "Bee" on the label; thanks, all',
)
DROP_OFFS = ("Front Door", "Mailroom", "Side Door", "")
