"""Tokens and shops: exchange, refresh, expiry, revocation, and the shops a token opens (reference, section 1)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tiktok_erp.simulator.calls import ApiError
from tiktok_erp.simulator.options import SimulatorOptions, parse_scopes
from tiktok_erp.simulator.shop import DAY_S, Shop
from tiktok_erp.simulator.wire import Json

AUTH_CODE_LIFE_S = 1800
REFRESH_LIFE_S = 365 * DAY_S
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _secret(dice: random.Random, prefix: str, length: int) -> str:
    return prefix + "".join(dice.choice(_SIGNS) for sign in range(length))


@dataclass(slots=True)
class Grant:
    """One access token with the refresh token that came with it."""

    access_token: str
    refresh_token: str
    expires_at: float
    refresh_expires_at: float
    revoked: bool = False
    replaces: Grant | None = None
    refresh_dead: bool = False


@dataclass(slots=True)
class Accounts:
    """The app's credentials and every token given out. Used under the shop's lock."""

    options: SimulatorOptions
    opened_at: float
    app_key: str = field(init=False)
    app_secret: str = field(init=False)
    service_id: str = field(init=False)
    scopes: tuple[str, ...] = field(init=False)
    ciphers: list[str] = field(init=False)  # one for each shop, in their order
    open_id: str = field(init=False)
    grants: dict[str, Grant] = field(init=False, default_factory=dict)
    auth_codes: dict[str, float] = field(init=False, default_factory=dict)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        fixed = random.Random(f"{self.options.seed}/accounts")
        self.app_key = _secret(fixed, "sim", 9).lower()
        self.app_secret = f"{fixed.getrandbits(160):040x}"
        self.service_id = f"7{fixed.randrange(10**18):018d}"
        # No two shops ever gave out the same token: a client may know by it which consent it belongs to.
        self.dice = random.Random(f"{self.options.seed}/{self.opened_at}")
        first = _secret(fixed, "ROW_", 32)
        further = random.Random(f"{self.options.seed}/ciphers")
        self.ciphers = [first, *(_secret(further, "ROW_", 32) for number in range(1, self.options.shops))]
        self.scopes = parse_scopes(self.options.scopes)
        self.open_id = _secret(fixed, "", 40)
        self.grant(self.opened_at)

    @property
    def cipher(self) -> str:
        """Return the cipher of the first shop."""
        return self.ciphers[0]

    def grant(self, now: float, replaces: Grant | None = None) -> Grant:
        """Give out a new pair of tokens."""
        made = Grant(
            access_token=_secret(self.dice, "TTP_", 86),
            refresh_token=_secret(self.dice, "TTP_", 64),
            expires_at=now + self.options.token_life_s,
            refresh_expires_at=replaces.refresh_expires_at if replaces else now + REFRESH_LIFE_S,
            replaces=replaces,
        )
        self.grants[made.access_token] = made
        return made

    def newest(self) -> Grant:
        """Return the pair given out last."""
        return next(reversed(self.grants.values()))

    def new_auth_code(self, now: float) -> str:
        """Return a code that can be exchanged once, within 30 minutes."""
        code = _secret(self.dice, "TTP_", 40)
        self.auth_codes[code] = now + AUTH_CODE_LIFE_S
        return code

    def use(self, access_token: str, now: float) -> Grant:
        """Return the grant of a token in use, or refuse: unknown 36009004, expired or revoked 105002.

        The refresh token before dies only now, when the new pair works: the answer that brought it may get lost.
        """
        grant = self.grants.get(access_token)
        if grant is None:
            raise ApiError(36009004, "Invalid credentials. The 'x-tts-access-token' is invalid.", status=400)
        if grant.revoked or grant.expires_at <= now:
            raise ApiError(105002, "Expired credentials. The access token has expired; refresh it.", status=401)
        if grant.replaces is not None:
            grant.replaces.refresh_dead = True
        return grant


def exchange(accounts: Accounts, query: dict[str, str], now: float) -> Json:
    """Answer the token call `get`: trade an auth code for tokens."""
    _check_app(accounts, query, "authorized_code")
    good_until = accounts.auth_codes.pop(query.get("auth_code", ""), 0.0)
    if good_until < now:
        raise ApiError(36004004, "Authorization code is invalid or was used")
    return _token_data(accounts, accounts.grant(now))


def refresh(accounts: Accounts, query: dict[str, str], now: float) -> Json:
    """Answer the token call `refresh`: trade a refresh token for a new pair."""
    _check_app(accounts, query, "refresh_token")
    wanted = query.get("refresh_token", "")
    old = next((grant for grant in accounts.grants.values() if grant.refresh_token == wanted), None)
    if old is None or old.refresh_dead or old.refresh_expires_at <= now:
        raise ApiError(36004004, "Refresh token is invalid or expired")
    return _token_data(accounts, accounts.grant(now, replaces=old))


def _check_app(accounts: Accounts, query: dict[str, str], grant_type: str) -> None:
    if query.get("app_key") != accounts.app_key or query.get("app_secret") != accounts.app_secret:
        raise ApiError(36009004, "Invalid credentials. The app_key or app_secret is invalid.", status=400)
    if query.get("grant_type") != grant_type:
        raise ApiError(36009004, f"Invalid parameter: grant_type must be {grant_type}", status=400)


def _token_data(accounts: Accounts, grant: Grant) -> Json:
    return {
        "access_token": grant.access_token,
        "access_token_expire_in": int(grant.expires_at),
        "refresh_token": grant.refresh_token,
        "refresh_token_expire_in": int(grant.refresh_expires_at),
        "open_id": accounts.open_id,
        "seller_name": "Simulated seller",
        "seller_base_region": "US",
        "user_type": 0,
        "granted_scopes": list(accounts.scopes),
    }


def authorized_shops(shops: Sequence[Shop], ciphers: Sequence[str]) -> Json:
    """Get Authorized Shops: every shop of the seller; their code says that they are simulated."""
    return {
        "shops": [
            {
                "id": shop.shop_id,
                "name": shop.name,
                "region": "US",
                "seller_type": shop.options.seller_type,
                "cipher": cipher,
                "code": shop.options.shop_code,
            }
            for shop, cipher in zip(shops, ciphers, strict=True)
        ]
    }


def active_shops(shops: Sequence[Shop]) -> Json:
    """Get Active Shops."""
    return {"shops": [{"id": shop.shop_id, "region": "US"} for shop in shops]}
