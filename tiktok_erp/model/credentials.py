"""What it takes to sign in at a channel. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.secret import Secret


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and the token that renews it, with what the channel says about the consent behind them.

    An unknown end of life is None, and so are scopes that nobody told. The refresh token ends with the seller's
    consent. `region` is the seller's own, such as `US` or `CN`.
    """

    access_token: Secret
    refresh_token: Secret
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    granted_scopes: tuple[str, ...] | None = None
    seller_name: str = ""
    region: str = ""
    open_id: str = ""


@dataclass(frozen=True, slots=True)
class TikTokCredentials:
    """Everything the environment says about one TikTok Shop. `cipher` is empty when the shop is still to be chosen."""

    app_key: str
    app_secret: Secret
    cipher: Secret
    api_url: str
    auth_url: str


@dataclass(frozen=True, slots=True)
class EasyPostCredentials:
    """The key of one EasyPost account; a test key begins with `EZTK` and buys labels without postage."""

    api_key: Secret
    api_url: str
