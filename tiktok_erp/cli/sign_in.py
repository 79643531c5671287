"""Signing in, shared by `auth` and `doctor`: a client that no shop is chosen for yet, consent links and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from tiktok_erp.channels.base import ShopFacts, TokenSource
from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.cli.session import shared_pace
from tiktok_erp.config.settings import TIKTOK_CONSENT_URLS, Settings
from tiktok_erp.errors import ChannelDown, ErpError, SettingsError, SignInError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.credentials import TikTokCredentials, TokenPair
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.transport.client import HttpAnswer, HttpClient, require_safe_url
from tiktok_erp.transport.pace import Pace

CONSENT_PATH = "/open/authorize"
_OLDER_CONSENT_PATH = "/oauth/authorize"
WARN_CONSENT_DAYS = 30
_CLOSING = {"'": "'", '"': '"', "<": ">"}


class Unreachable(ErpError):
    """The channel did not answer the first request; nothing was tried again."""

    exit_code = ChannelDown.exit_code
    cause = "unreachable"


class OneTryClient(HttpClient):
    """A client for looking whether somebody is there: what got no answer is not sent again.

    Every failure leaves as Unreachable, which no retry rule knows.
    """

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        subject: str = "",
    ) -> HttpAnswer:
        """Send one request once. Raises Unreachable when no whole answer came."""
        try:
            return super().send(method, url, params=params, headers=headers, content=content, subject=subject)
        except ChannelDown as error:
            raise Unreachable(error.what, subject=error.subject, next_step=tr("check the network")) from error


class KeptTokens:
    """One pair of tokens that is used as it is: nothing renews it, nothing is written."""

    def __init__(self, pair: TokenPair) -> None:
        self._pair = pair

    def current(self) -> Secret:
        """Return the access token."""
        return self._pair.access_token

    def ends_at(self) -> datetime | None:
        """Return None: the channel's own word is wanted, even on a token that should be dead."""
        return None

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        """Raise SignInError: whoever only looks does not renew."""
        raise SignInError(
            tr("the access token has ended"),
            subject="TIKTOK_SHOP_ACCESS_TOKEN",
            next_step=tr("run `tiktok-erp auth refresh`"),
            cause="token_ended",
        )

    def end_renewals(self) -> None:
        """Do nothing: there are none."""


def open_client(
    credentials: TikTokCredentials, tokens: TokenSource, rules: Rules, http: HttpClient, *, writes: bool = True
) -> TikTokShop:
    """Return a client of the app, without a choice among the shops that the token opens.

    Without `writes` its requests are not counted in the budget that the processes of this machine share.
    """
    limits = rules.channels["tiktok"]
    own = Pace(start_rate=limits.start_rate, max_rate=limits.max_rate)
    return TikTokShop(credentials, tokens, http, shared_pace(credentials, limits) if writes else own)


def stamp_of(shop: ShopFacts) -> str:
    """Return the word that a database of `shop` is stamped with."""
    from tiktok_erp.store.database import SIMULATED

    # The simulated shop says so in its shop code; no real shop has this one.
    return SIMULATED if shop.code == SIMULATED.upper() else shop.shop_id


def names_shop(setting: str, shop: ShopFacts) -> bool:
    """Tell whether the value of TIKTOK_SHOP_CIPHER means `shop`: its cipher, id, code or name."""
    return bool(setting) and (
        setting in (shop.cipher.reveal(), shop.shop_id, shop.code) or setting.casefold() == shop.name.casefold()
    )


def shop_in_use(shops: Sequence[ShopFacts], setting: str, owner: str | None) -> ShopFacts | None:
    """Return the shop that a database of `owner` works with, by the setting first; None when nothing says which."""
    found = [shop for shop in shops if names_shop(setting, shop)]
    if not setting:
        found = [shop for shop in shops if stamp_of(shop) == owner] or list(shops)
    return found[0] if len(found) == 1 else None


def opens(shops: Sequence[ShopFacts], owner: str | None) -> bool:
    """Tell whether one of `shops` is the one that the database is stamped with, as far as that can be told."""
    # Without leave to list the shops a database is stamped with a hash of the cipher.
    return owner is None or owner.startswith("cipher-") or any(stamp_of(shop) == owner for shop in shops)


def days_left(ends: datetime | None, now: datetime) -> int | None:
    """Return the whole days until `ends`, negative once it is past; None when nobody told when that is."""
    return None if ends is None else int((ends - now).total_seconds() // 86400)


def consent_doubt(pair: TokenPair, now: datetime) -> str | None:
    """Return the sentence about a consent that ends within 30 days or has ended, or None."""
    days = days_left(pair.refresh_expires_at, now)
    if days is None or days > WARN_CONSENT_DAYS:
        return None
    if days < 0:
        return tr("the seller's consent has ended: run `tiktok-erp auth login`")
    return tr("the seller's consent ends in {days} days: run `tiktok-erp auth login` before then", days=days)


# The consent page


@dataclass(frozen=True, slots=True)
class ConsentLink:
    """Where the seller agrees, and the other pages to try when nobody said which is right for this app."""

    url: str
    others: tuple[str, ...]


def consent_link(settings: Settings, state: str, *, market: str) -> ConsentLink:
    """Return the consent link with `state` in it; TIKTOK_SHOP_CONSENT_URL may be the page or Partner Center's whole link.

    Raises SettingsError when the page needs a TIKTOK_SHOP_SERVICE_ID that is not set, or is no safe address.
    """
    service_id, app_key = settings.get("TIKTOK_SHOP_SERVICE_ID"), settings.get("TIKTOK_SHOP_APP_KEY")
    own = settings.get("TIKTOK_SHOP_CONSENT_URL")
    if own:
        return ConsentLink(
            _with_state(require_safe_url(own, "TIKTOK_SHOP_CONSENT_URL"), service_id, app_key, state), ()
        )
    pages = list(TIKTOK_CONSENT_URLS[market])
    pages += [page for name, known in TIKTOK_CONSENT_URLS.items() if name != market for page in known]
    links = [_with_state(page, service_id, app_key, state) for page in pages]
    return ConsentLink(links[0], tuple(links[1:]))


def _with_state(page: str, service_id: str, app_key: str, state: str) -> str:
    parts = urlsplit(page)
    path = parts.path if parts.path.strip("/") else CONSENT_PATH
    query = {name: value for name, value in parse_qsl(parts.query) if name != "state"}
    if not query.get("service_id") and not query.get("app_key"):
        if path.endswith(_OLDER_CONSENT_PATH):
            query["app_key"] = app_key
        elif service_id:
            query["service_id"] = service_id
        else:
            raise SettingsError(
                tr("without the app's service id there is no consent link"),
                subject="TIKTOK_SHOP_SERVICE_ID",
                next_step=tr(
                    "set TIKTOK_SHOP_SERVICE_ID, or set TIKTOK_SHOP_CONSENT_URL to the authorisation link that Partner"
                    " Center shows for the app"
                ),
            )
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(query | {"state": state}), ""))


@dataclass(frozen=True, slots=True)
class ConsentAnswer:
    """What came back from the consent page. `state` is None where the address carries none."""

    code: Secret
    state: str | None


def read_answer(text: str) -> ConsentAnswer:
    """Read the address that the browser was sent to, its query alone, or the bare code.

    Raises SignInError when the seller refused, UsageError when there is no code in it. Neither shows what was given.
    """
    plain = text.strip()
    if len(plain) > 1 and _CLOSING.get(plain[0]) == plain[-1]:
        plain = plain[1:-1].strip()
    given = _query_of(plain)
    if given is None:
        code, state = "" if "://" in plain else unquote(plain), None
    else:
        refused = given.get("error") or given.get("error_description")
        if refused:
            raise SignInError(
                tr("the seller did not agree: the consent page says {error}", error=_word(refused)),
                subject="auth login",
                next_step=tr("run `tiktok-erp auth login` again, and agree on the page"),
                cause="consent_denied",
            )
        code, state = given.get("code", ""), given.get("state") or None
    if not code or code == "null" or any(letter.isspace() for letter in code):
        raise UsageError(
            tr("there is no authorisation code in what was given"),
            subject="auth login",
            next_step=tr("agree on the consent page, then paste the whole address that the browser shows afterwards"),
            cause="no_code",
        )
    return ConsentAnswer(Secret(code), state)


def _query_of(plain: str) -> dict[str, str] | None:
    """Return the parameters of an address or of a query; None for a bare code."""
    address = ""
    with suppress(ValueError):  # not even the form of an address
        parts = urlsplit(plain)
        if parts.scheme in ("http", "https") or parts.query:
            address = parts.query or parts.fragment.rpartition("?")[2]
            if not address:
                return {}
    if not address:
        if not any(f"{name}=" in plain for name in ("code", "error")):
            return None
        address = plain
    # A plus sign in a code is a plus sign: codes have no spaces.
    return dict(parse_qsl(address.lstrip("?&").replace("+", "%2B")))


def _word(text: str) -> str:
    """Return a foreign word as far as it is one: the address may come from anywhere."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "_-. ")[:60]
