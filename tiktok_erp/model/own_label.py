"""Labels that a channel did not sell and does not take: the cause, and the sentence for people. Pure."""

from __future__ import annotations

from tiktok_erp.messages import tr

CARRIER_NOT_TAKEN = "carrier_not_taken"
CHANNEL_NAMES = {"tiktok": "TikTok", "shopify": "Shopify", "ebay": "eBay", "amazon": "Amazon"}


def not_taken(channel: str | None, carrier: str) -> str:
    """Return the sentence that says so. `carrier` is our code; a channel that is not known is TikTok."""
    name = channel or "tiktok"
    return tr(
        "{channel} takes no {carrier} label that it did not sell (channels.{key}.own_labels_by in rules.yaml)",
        channel=CHANNEL_NAMES.get(name, name),
        carrier=carrier.upper() if len(carrier) <= 4 else carrier,
        key=name,
    )
