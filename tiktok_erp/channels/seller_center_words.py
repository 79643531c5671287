"""Seller Center's words in the API's spelling: status, cancellation, shipping and fulfilment. Pure.

The export's headers stay English, its values come in the language of the seller's screen (TikTok reference, section
8.1). A status word that is not here is refused by the reader, never guessed; `seller_center.status_words` in rules.yaml
adds more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr

CANCEL = "CANCEL"
RETURN = "RETURN"
API_STATUSES = (
    "UNPAID",
    "ON_HOLD",
    "AWAITING_SHIPMENT",
    "PARTIALLY_SHIPPING",
    "AWAITING_COLLECTION",
    "IN_TRANSIT",
    "DELIVERED",
    "COMPLETED",
    "CANCELLED",
)

_STATUS_WORDS = {
    "unpaid": "UNPAID",
    "on hold": "ON_HOLD",
    "to ship": "AWAITING_SHIPMENT",
    "awaiting shipment": "AWAITING_SHIPMENT",
    "partially shipped": "PARTIALLY_SHIPPING",
    "partially shipping": "PARTIALLY_SHIPPING",
    "shipped": "AWAITING_COLLECTION",
    "awaiting collection": "AWAITING_COLLECTION",
    "in transit": "IN_TRANSIT",
    "delivered": "DELIVERED",
    "completed": "COMPLETED",
    "canceled": "CANCELLED",
    "cancelled": "CANCELLED",
    "未付款": "UNPAID",
    "待付款": "UNPAID",
    "待发货": "AWAITING_SHIPMENT",
    "已发货": "AWAITING_COLLECTION",
    "待揽收": "AWAITING_COLLECTION",
    "运输中": "IN_TRANSIT",
    "已送达": "DELIVERED",
    "已完成": "COMPLETED",
    "已取消": "CANCELLED",
    "ค้างชำระ": "UNPAID",
    "ที่จะจัดส่ง": "AWAITING_SHIPMENT",
    "จัดส่งแล้ว": "AWAITING_COLLECTION",
    "เสร็จสมบูรณ์": "COMPLETED",
    "ยกเลิกแล้ว": "CANCELLED",
}
_CANCEL_WORDS = {
    "cancel": CANCEL,
    "cancellation": CANCEL,
    "cancelation": CANCEL,
    "return/refund": RETURN,
    "return": RETURN,
    "refund": RETURN,
    "取消": CANCEL,
    "退货/退款": RETURN,
    "退货退款": RETURN,
    "仅退款": RETURN,
    "退款": RETURN,
    "ยกเลิก": CANCEL,
}
_ORDER_TYPES = {
    "normal": "NORMAL",
    "pre-order": "PRE_ORDER",
    "preorder": "PRE_ORDER",
    "正常": "NORMAL",
    "普通": "NORMAL",
    "预售": "PRE_ORDER",
}
_INITIATORS = {
    "buyer": "BUYER",
    "user": "BUYER",
    "customer": "BUYER",
    "买家": "BUYER",
    "用户": "BUYER",
    "seller": "SELLER",
    "merchant": "SELLER",
    "卖家": "SELLER",
    "商家": "SELLER",
    "system": "SYSTEM",
    "系统": "SYSTEM",
    "operator": "OPERATOR",
    "platform": "OPERATOR",
    "tiktok": "OPERATOR",
    "tiktok shop": "OPERATOR",
    "平台": "OPERATOR",
}
_CONTENT_TYPES = {"live": "LIVE", "video": "VIDEO", "直播": "LIVE", "短视频": "VIDEO"}

_BY_PLATFORM = re.compile(
    r"^tiktok$|tiktok (shop )?(shipping|logistics)|(ship|deliver)\w* (by|via|with) (the )?(tiktok|platform)"
    r"|platform shipping|平台物流|平台发货"
)
_BY_SELLER = re.compile(
    r"^seller$|(seller|merchant) (shipping|delivery)|(ship|deliver)\w* (by|via|with) (the )?(seller|merchant)"
    r"|send by seller|卖家自?发货|商家自?发货|商家自?配送|卖家自?配送|自发货"
)
_FULFILLED_BY_PLATFORM = re.compile(r"tiktok|\bfbt\b|platform|平台|官方仓")
_FULFILLED_BY_SELLER = re.compile(r"seller|merchant|卖家|商家")

# What a word of the column Order Status alone may stand for: Seller Center's tabs are coarser than the API.
_COARSE = {
    "AWAITING_SHIPMENT": frozenset({"ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION"}),
    "AWAITING_COLLECTION": frozenset({"AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED"}),
}
# How far an order is; an order of several rows stands where its slowest row stands.
_PROGRESS = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")
_STILL_TO_SHIP = frozenset({"AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"})
_OPEN_TO_A_CANCEL_REQUEST = _STILL_TO_SHIP | {"ON_HOLD", "AWAITING_COLLECTION"}


class Words:
    """The word tables with the seller's own additions. Raises SettingsError for one that means nothing to us."""

    def __init__(self, additions: Mapping[str, str]) -> None:
        self._statuses = dict(_STATUS_WORDS) | {_plain(word): word for word in API_STATUSES}
        self._cancellations = dict(_CANCEL_WORDS)
        for word, meaning in additions.items():
            if meaning in API_STATUSES:
                self._statuses[_plain(word)] = meaning
            elif meaning in (CANCEL, RETURN):
                self._cancellations[_plain(word)] = meaning
            else:
                raise SettingsError(
                    tr("seller_center.status_words: {word} cannot mean {meaning}", word=word, meaning=meaning),
                    subject="rules.yaml",
                    next_step=tr("use one of {words}", words=", ".join((*API_STATUSES, CANCEL, RETURN))),
                )

    def status(self, word: str) -> str | None:
        """Return the API's status for a word of `Order Status` or `Order Substatus`, None for an unknown one."""
        return self._statuses.get(_plain(word))

    def cancellation(self, word: str) -> str | None:
        """Return CANCEL or RETURN for a word of `Cancelation/Return Type`, None for an unknown one."""
        return self._cancellations.get(_plain(word))


@lru_cache(maxsize=1024)
def _plain(word: str) -> str:
    return " ".join(word.replace("_", " ").split()).casefold()


def exact_status(status: str, substatus: str | None) -> str | None:
    """Return the status of one row; the substatus is the more exact word. None when the two contradict each other.

    They contradict each other where it decides about money: an unpaid, cancelled or shipped order that the substatus
    would have us ship.
    """
    if substatus is None or substatus == status:
        return status
    pair = {status, substatus}
    if pair == {"ON_HOLD", "AWAITING_SHIPMENT"}:
        return "ON_HOLD"  # the careful reading: nothing is bought for it until the next export
    if pair & {"ON_HOLD", "UNPAID"}:
        return "CANCELLED" if "CANCELLED" in pair else None
    if substatus in _STILL_TO_SHIP and status not in _STILL_TO_SHIP:
        return None
    return substatus


def status_of_order(rows: Iterable[str]) -> str | None:
    """Return the order's status from those of its rows, None when they contradict each other.

    A row may be cancelled alone, or leave before the others; an order is paid and released only as a whole.
    """
    all_words = set(rows)
    words = all_words - {"CANCELLED"}
    if not words:
        return "CANCELLED"
    if len(words) == 1:
        return next(iter(words))
    if words & {"UNPAID", "ON_HOLD"}:
        return None
    if words & _STILL_TO_SHIP:
        return "PARTIALLY_SHIPPING"
    return min(words, key=_PROGRESS.index)


def possible_statuses(status: str, rows: Iterable[str], units: int, *, is_exact: bool) -> frozenset[str]:
    """Return every status of the API that an order of `units` pieces may have whose rows the export describes so.

    `status` is that of the order as we read it, `rows` those of its rows; `is_exact`: each row had a substatus. A row
    of several pieces has one word for all of them, so that it cannot tell when only some have left.
    """
    found = {status}
    if not is_exact:
        found.update(*(_COARSE.get(row, ()) for row in rows))
    if units > 1 and found & {"AWAITING_SHIPMENT", "AWAITING_COLLECTION"}:
        found.add("PARTIALLY_SHIPPING")
    return frozenset(found)


def initiator(word: str) -> str | None:
    """Return BUYER, SELLER, SYSTEM, OPERATOR or the word as it came for `Cancel By`, None for none."""
    return _INITIATORS.get(_plain(word), word or None)


def allows_cancel_request(status: str) -> bool:
    """Tell whether `Cancel` in the export is a request still to be answered, not the record of an old one."""
    return status in _OPEN_TO_A_CANCEL_REQUEST


def order_type(word: str) -> str | None:
    """Return the API's order type for `Normal or Pre-order`; an unknown word as it came, None for none."""
    return _ORDER_TYPES.get(_plain(word), word or None)


def content_type(word: str) -> str | None:
    """Return LIVE, VIDEO or the word as it came for `Order Channel`, None for none."""
    return _CONTENT_TYPES.get(_plain(word), word or None)


@lru_cache(maxsize=1024)
def shipping_type(*texts: str) -> str | None:
    """Return TIKTOK (label bought from TikTok) or SELLER (own label) from the first text that tells it, else None."""
    for text in texts:
        plain = _plain(text)
        by_platform, by_seller = _BY_PLATFORM.search(plain), _BY_SELLER.search(plain)
        if bool(by_platform) != bool(by_seller):
            return "TIKTOK" if by_platform else "SELLER"
    return None


@lru_cache(maxsize=1024)
def fulfillment_type(word: str) -> str | None:
    """Return the API's fulfilment type for `Fulfillment Type`; an unknown word as it came, None for none."""
    plain = _plain(word)
    by_platform, by_seller = _FULFILLED_BY_PLATFORM.search(plain), _FULFILLED_BY_SELLER.search(plain)
    if bool(by_platform) == bool(by_seller):
        return word or None
    return "FULFILLMENT_BY_TIKTOK" if by_platform else "FULFILLMENT_BY_SELLER"
