"""What the channel's error codes mean for us. Source: TikTok reference, sections 3.2 to 3.5."""

from __future__ import annotations

from tiktok_erp.errors import ChannelDown, ChannelRefused, ChannelThrottled, ErpError, OutcomeUnknown, SignInError
from tiktok_erp.messages import deferred, tr

TOKEN_EXPIRED = 105002
PARAMETER_OVERLOADED = 36009004
WRONG_ENDPOINT = 21008106
VERSION_RETIRED = 36009014
NO_SUCH_PATH = 36009009

THROTTLED = frozenset({36009002, 36009037})
ALREADY_SHIPPED = frozenset(
    {21011006, 21011020, 21042056, 21008099, 11006021, 21011040, 21022025, 21008042, 21023046, 21011027}
)
PURCHASE_RUNNING = frozenset({21030005, 21030006})
DOCUMENT_NOT_READY = frozenset({11034037, 11034023, 11006010, 11034025, 21023034, 21023022, 21008109})
# Of a package just shipped: the document service has not heard of it yet.
SHIP_FIRST = frozenset({21042104, 21023035})
DOCUMENT_IMPOSSIBLE = frozenset({21042102, 21042104, 21023035})
ON_HOLD = frozenset({21011044})
CANCELLED = frozenset({21011041, 21011042, 21023059})
STATE_FORBIDS = frozenset({21042057, 21008013, 21008044, 21011007, 21021010, 21011043, 10007002, 25001010, 10007014})
WRONG_CHANNEL = frozenset({21008025, 21004010, 21011004, 11034002, 21008017, 21008043})
TRACKING_NUMBER = frozenset(
    {21011022, 21011025, 21034012, 21011026, 11028006, 21004012, 21004015, 21004016, 21022032, 21011030, 21011049}
    | {21011050, 21011051, 21011052}
)
NO_SERVICE = frozenset({11021009, 21011037, 21004008, 11003011, 21032001, 21011012, 21011013})
ADDRESS = frozenset({*range(11021010, 11021026), 21014009} - {11021009})
# The channel failed inside: a read may be repeated, a write has to be read back first.
TRANSIENT = frozenset(
    {36009003, 36009007, 11001027, 21001003, 21001008, 21001011, 21001029, 21001043, 21001055, 21008300, 21022029}
    | {21022030, 21022026, 11001031, 11006005, 11006026, 21042001, 21042067, 21042076, 10002014, 10002015, 10037002}
    | {10037003, 10037004, 12001000, 12052881, 33001002}
)
ZERO_REFUSED = frozenset({12019024, 12052055})
BUNDLE_QUANTITY = frozenset({12052849, 12052850})  # the channel works it out from the components

_SIGN_IN = {
    105002: deferred("the access token has expired and could not be renewed"),
    105005: deferred("the app may not do this: a scope is missing"),
    106001: deferred("the channel does not accept our signature"),
    101000: deferred("the token and the shop cipher do not belong together"),
    106013: deferred("the shop cipher is missing"),
    36004004: deferred("the authorisation code is wrong, used or older than 30 minutes"),
    36009033: deferred("the channel does not accept calls from this address (IP allow list)"),
    36009043: deferred("the shop is not active"),
    36009044: deferred("the seller account is not active"),
}
_SIGN_IN_STEPS = {
    105005: deferred("add the scope to the app in Partner Center and let the seller give consent again"),
    106001: deferred("check TIKTOK_SHOP_APP_KEY and TIKTOK_SHOP_APP_SECRET; nothing was changed"),
    101000: deferred("check TIKTOK_SHOP_ACCESS_TOKEN and TIKTOK_SHOP_CIPHER: both must come from the same consent"),
    106013: deferred("set TIKTOK_SHOP_CIPHER"),
    36009033: deferred("add this machine's address to the app's IP allow list in Partner Center"),
}

# (codes, stable cause, what the seller does next)
_GROUPS: tuple[tuple[frozenset[int], str, str], ...] = (
    (
        frozenset({VERSION_RETIRED, NO_SUCH_PATH}),
        "refused",
        deferred("install a newer tiktok-erp: TikTok has withdrawn this request; until then work from its files"),
    ),
    (ON_HOLD, "on_hold", deferred("wait for the hold to end, then run this again")),
    (CANCELLED, "order_cancelled", deferred("nothing to do: the order was cancelled; run `tiktok-erp sync`")),
    (STATE_FORBIDS, "order_state", deferred("look at the order in Seller Center, then run `tiktok-erp sync`")),
    (
        WRONG_CHANNEL,
        "wrong_shipping_path",
        deferred("run `tiktok-erp sync`: the order is shipped another way than we thought"),
    ),
    (TRACKING_NUMBER, "tracking_number_refused", deferred("check number and carrier, and import the corrected list")),
    (NO_SERVICE, "no_service", deferred("check weight, size and address of the package in Seller Center")),
    (
        ADDRESS,
        "address_refused",
        deferred(
            "ask the buyer for a correct address, or cancel in Seller Center as 'unable to deliver to buyer address'"
        ),
    ),
    (DOCUMENT_NOT_READY, "document_not_ready", deferred("run `tiktok-erp print-labels` again in a few minutes")),
    (
        DOCUMENT_IMPOSSIBLE,
        "document_lost",
        deferred("the label was bought; print it from Seller Center, it cannot be fetched any more"),
    ),
)


def error_for(
    code: int,
    message: str,
    *,
    http_status: int,
    request_id: str,
    is_write: bool,
    subject: str,
    retry_after_s: float | None,
) -> ErpError:
    """Return our exception for one answer whose code is not 0. `message` is the channel's and is shown as it came."""
    said = tr("TikTok says {code}: {message}", code=code, message=message)
    if code in THROTTLED or http_status == 429:
        return ChannelThrottled(
            said,
            subject=subject,
            next_step=tr("run this again in a few minutes; the channel asks to slow down"),
            retry_after_s=retry_after_s,
        )
    if code == PARAMETER_OVERLOADED and "timestamp" in message.casefold():
        return SignInError(
            tr("this computer's clock is further off than the channel allows; {said}", said=said),
            subject=subject,
            next_step=tr(
                "set the clock (`timedatectl set-ntp true`, or the system's date and time settings), then run this again"
            ),
            cause="clock",
        )
    if (
        http_status == 401
        or code in _SIGN_IN
        or code // 1000 == 105
        or (code == PARAMETER_OVERLOADED and _is_about_sign_in(message))
    ):
        what = tr(_SIGN_IN[code]) if code in _SIGN_IN else tr("the channel does not accept our credentials")
        step = _SIGN_IN_STEPS.get(
            code, deferred("check the TIKTOK_SHOP_ settings; if they are right, run `tiktok-erp auth login`")
        )
        cause = "scope_missing" if code == 105005 else None
        return SignInError(f"{what}; {said}", subject=subject, next_step=tr(step), cause=cause)
    if code in TRANSIENT or http_status >= 500:
        kind = OutcomeUnknown if is_write else ChannelDown
        return kind(said, subject=subject, next_step=tr("run this again; nothing is repeated that may have happened"))
    cause = "refused"
    step = tr(
        "look at the message; TikTok's support asks for the request id {request_id}", request_id=request_id or "-"
    )
    for codes, name, advice in _GROUPS:
        if code in codes:
            cause, step = name, tr(advice)
            break
    if code in ADDRESS:
        # These messages quote name and address.
        said = tr("TikTok says {code}: the carrier does not take this address or parcel", code=code)
    error = ChannelRefused(said, subject=subject, next_step=step, code=code, request_id=request_id)
    error.cause = cause
    return error


def _is_about_sign_in(message: str) -> bool:
    text = message.casefold()
    return any(word in text for word in ("token", "app_key", "sign", "cipher"))
