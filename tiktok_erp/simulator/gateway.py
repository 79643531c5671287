"""What stands in front of the shop: routing, credentials, signatures, limits, envelopes, and the faults of the way.

The order of the checks is that of section 3.2: path, app key, timestamp, signature, token, scope, shop cipher, rate limit, business.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from tiktok_erp.simulator import authorization
from tiktok_erp.simulator.authorization import Accounts
from tiktok_erp.simulator.calls import ApiError, Call, ConnectionLost
from tiktok_erp.simulator.files import HTML, PREFIX, serve_file
from tiktok_erp.simulator.routes import Match, Route, Router, make_routes
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.signing import signature_holds
from tiktok_erp.simulator.wire import encode

PAST_S, FUTURE_S = 300, 30
BURST_CALLS = 5
MAX_BODY = 5_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower case, `target` is path and query as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Bucket:
    tokens: float
    filled_at: float


@dataclass(slots=True)
class Limits:
    """Requests a second, shop and endpoint, bursts of refusals, and the hourly quota of a sandbox. Under the shop's lock."""

    rate: float
    quota: int
    buckets: dict[str, Bucket] = field(default_factory=dict)
    bursts: dict[str, int] = field(default_factory=dict)
    hour: int = 0
    in_hour: int = 0

    def check(self, name: str, now: float) -> None:
        """Take one request out of the allowance `name` (a shop and an endpoint), or refuse it."""
        if self.quota:
            if int(now // 3600) != self.hour:
                self.hour, self.in_hour = int(now // 3600), 0
            self.in_hour += 1
            if self.in_hour > self.quota:
                raise ApiError(36009037, "Too many requests: the sandbox quota of this hour is used up", status=429)
        if self.bursts.get(name, 0) > 0:
            self.bursts[name] -= 1
            forms = (None, "1", formatdate(now + 1, usegmt=True))
            raise too_many(forms[self.bursts[name] % 3])
        if not self.rate:
            return
        most = max(1.0, self.rate)
        bucket = self.buckets.setdefault(name, Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + max(0.0, now - bucket.filled_at) * self.rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            raise too_many(str(max(1, math.ceil((1 - bucket.tokens) / self.rate))))
        bucket.tokens -= 1


def too_many(retry_after: str | None) -> ApiError:
    """Return the refusal of a throttled call."""
    return ApiError(36009002, "Too many requests", status=429, retry_after=retry_after)


class Gateway:
    """Answers HTTP requests for the shops of one seller, which share a lock, a clock and a ledger. Thread-safe."""

    def __init__(self, shops: Sequence[Shop], accounts: Accounts) -> None:
        self.shop = shop = shops[0]
        self.shops = dict(zip(accounts.ciphers, shops, strict=True))
        self.accounts = accounts
        self.base_url = ""
        self.file_key = hashlib.sha256(f"{shop.options.seed}/{accounts.app_secret}".encode()).digest()
        self.router = Router(make_routes(accounts, shops, self.file_key))
        self.limits = Limits(shop.options.rate_limit, shop.options.sandbox_quota)
        self._failed_once: set[str] = set()
        self._requests = 0

    def clock(self) -> float:
        """Return the gateway's idea of the time, which its Date header shows."""
        return self.shop.clock()

    def request_id(self) -> str:
        """Return an id for the next answer."""
        with self.shop.lock:
            self._requests += 1
            number = self._requests
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self.shop.clock()))
        return f"{stamp}{number:010d}{hashlib.sha256(f'{self.shop.options.seed}/{number}'.encode()).hexdigest()[:10].upper()}"

    def handle(self, request: Request) -> Answer:
        """Answer one request; raise ConnectionLost where the client is to get none."""
        request_id = self.request_id()
        if request.path.startswith(PREFIX) and request.method in ("GET", "HEAD"):
            return self._file(request, request_id)
        try:
            if request.path.startswith("/api/v2/token/"):
                return self._token(request, request_id)
            if request.path == "/open/authorize":
                return self._consent(request)
            return self._api(request, request_id)
        except ApiError as refusal:
            data = refusal.data if refusal.data is not None else (None if refusal.status != 200 else {})
            headers = (("Retry-After", refusal.retry_after),) if refusal.retry_after else ()
            return envelope(refusal.code, refusal.message, request_id, encode(data), refusal.status, headers)

    # Beside the API

    def _file(self, request: Request, request_id: str) -> Answer:
        ledger = self.shop.ledger
        ledger.count("calls", f"GET {PREFIX}{{name}}")
        before = len(ledger.entries("violations"))
        answer = serve_file(self.shop, self.file_key, request.path, request.query, request.headers, request_id)
        if len(ledger.entries("violations")) > before:
            ledger.commit()
        return Answer(answer.status, answer.content_type, answer.body)

    def _token(self, request: Request, request_id: str) -> Answer:
        kind = request.path.rsplit("/", 1)[1]
        actions = {"get": authorization.exchange, "refresh": authorization.refresh}
        if request.path.count("/") != 4 or kind not in actions:
            raise _no_such_path()
        if request.method != "GET":
            raise _wrong_method()
        self.shop.ledger.count("calls", f"GET {request.path}")
        with self.shop.lock:
            data = actions[kind](self.accounts, dict(parse_qsl(request.query)), self.shop.clock())
        return envelope(0, "success", request_id, encode(data))

    def _consent(self, request: Request) -> Answer:
        query = dict(parse_qsl(request.query))
        with self.shop.lock:
            code = self.accounts.new_auth_code(self.shop.clock())
        back = html.escape(f"?code={code}&state={query.get('state', '')}")
        page = f"<!DOCTYPE html><title>Simulated consent</title><p>The seller agrees. Redirect query: <code>{back}</code></p>"
        return Answer(200, "text/html; charset=utf-8", page.encode())

    # The API

    def _api(self, request: Request, request_id: str) -> Answer:
        match = self.router.match(request.method, request.path)
        ledger, dice = self.shop.ledger, self.shop.dice
        ledger.count("calls", match.route.name if match.route else f"{request.method} (no such endpoint)")
        if dice.roll("connection_dropped"):
            raise ConnectionLost
        if dice.roll("html_502"):
            return Answer(502, "text/html; charset=utf-8", HTML.encode())
        if dice.roll("unavailable"):
            return Answer(503, "text/plain", b"")
        try:
            text = self._business(request, request_id, match)
        except ApiError as refusal:
            ledger.count("refusals", f"{refusal.code} {match.route.name if match.route else request.method}")
            raise
        finally:
            if match.route is not None and match.route.writes:
                ledger.commit()
        answer = envelope(0, "Success", request_id, text)
        delay_s = dice.delay_s()
        if delay_s:
            time.sleep(self.shop.options.wait_s(delay_s))
        if dice.roll("html_ok"):
            return Answer(200, "text/html; charset=utf-8", HTML.encode())
        if dice.roll("truncated_json"):
            return Answer(answer.status, answer.content_type, answer.body[: len(answer.body) // 2])
        return answer

    def _business(self, request: Request, request_id: str, match: Match) -> str:
        if match.route is None:
            raise {"path": _no_such_path, "method": _wrong_method, "version": _wrong_version}[match.problem]()
        route = match.route
        pairs = parse_qsl(request.query, keep_blank_values=True)
        first: dict[str, str] = {}
        lists: dict[str, list[str]] = {}
        for name, value in pairs:
            first.setdefault(name, value)
            lists.setdefault(name, []).append(value)
        self._check_signed(request, pairs, first)
        with self.shop.lock:
            now = self.shop.advance()
            self._check_token(request, route)
            shop = self._shop_of(route, first)
            self._check_limits(route, first.get("shop_cipher", ""))
            body = _json_body(request)
            self._fail_once(request, lists)
            call = Call(
                method=request.method,
                path=request.path,
                template=route.template,
                params=match.params,
                query=lists,
                body=body,
                request_id=request_id,
                now=now,
                base_url=self.base_url,
            )
            if route.writes:
                self.shop.ledger.count("writes", route.name)
            data = route.handler(shop, call)
            return encode(self._novelties(request_id, data))

    def _novelties(self, request_id: str, data: dict[str, Any]) -> dict[str, Any]:
        if self.shop.dice.roll("unknown_fields"):
            return {**data, "experiment_bucket": {"name": "winter-27", "arms": [1, 2]}}
        return data

    def _check_signed(self, request: Request, pairs: list[tuple[str, str]], query: Mapping[str, str]) -> None:
        if query.get("app_key") != self.accounts.app_key:
            raise ApiError(36009004, "Invalid credentials. The 'app_key' is missing or invalid.", status=400)
        stamp = query.get("timestamp", "")
        if not stamp.isdecimal():
            raise ApiError(36009004, "Invalid parameter: timestamp is missing or not a number", status=400)
        age = int(self.clock()) - int(stamp)
        if not -FUTURE_S <= age <= PAST_S:
            raise ApiError(
                36009004, "Invalid parameter: timestamp is expired or ahead of the server's time", status=400
            )
        if not query.get("sign"):
            raise ApiError(36009004, "Invalid parameter: sign is missing", status=400)
        holds = signature_holds(
            query["sign"],
            secret=self.accounts.app_secret,
            path=request.path,
            pairs=pairs,
            content_type=request.headers.get("content-type", ""),
            body=request.body,
        )
        if not holds:
            raise ApiError(106001, "Invalid signature: the sign does not match the request", status=401)

    def _check_token(self, request: Request, route: Route) -> None:
        grant = self.accounts.use(request.headers.get("x-tts-access-token", ""), self.shop.clock())
        if self.shop.dice.roll("token_revoked"):
            grant.revoked = True
            raise ApiError(105002, "Expired credentials. The access token was revoked; refresh it.", status=401)
        if route.scope not in self.accounts.scopes:
            raise ApiError(105005, f"Access denied: the token lacks the scope {route.scope}", status=401)

    def _shop_of(self, route: Route, query: Mapping[str, str]) -> Shop:
        """Return the shop that a call is about; the first one where the endpoint takes no cipher."""
        cipher = query.get("shop_cipher", "")
        if not route.takes_cipher:
            if "shop_cipher" in query:
                raise ApiError(36009004, "Invalid parameter: shop_cipher is not expected here", status=400)
            return self.shop
        if not cipher:
            raise ApiError(106013, "shop_cipher is missing", status=400)
        if cipher not in self.shops:
            raise ApiError(101000, "The access token and the shop_cipher do not belong together", status=400)
        return self.shops[cipher]

    def _check_limits(self, route: Route, cipher: str) -> None:
        allowance = f"{cipher} {route.name}"
        if not self.limits.bursts.get(allowance) and self.shop.dice.roll("throttle_burst"):
            self.limits.bursts[allowance] = BURST_CALLS
        self.limits.check(allowance, self.shop.clock())

    def _fail_once(self, request: Request, query: dict[str, list[str]]) -> None:
        """Let a request fail once with 36009003; its repetition, whenever it comes, gets through."""
        stable = sorted((name, values) for name, values in query.items() if name not in ("timestamp", "sign"))
        mark = f"{request.method} {request.path} {stable} {request.body!r}"
        if mark in self._failed_once:
            return
        if self.shop.dice.roll("internal_error"):
            self._failed_once.add(mark)
            status = 500 if self.shop.dice.choose("internal_error", 2) else 200
            raise ApiError(36009003, "Internal error, please try again", status=status)


def envelope(
    code: int, message: str, request_id: str, data: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """Return the JSON envelope around `data`, which is JSON text."""
    text = f'{{"code":{code},"message":{json.dumps(message)},"request_id":"{request_id}","data":{data}}}'
    return Answer(status, "application/json; charset=utf-8", text.encode(), headers)


def _json_body(request: Request) -> dict[str, Any]:
    if request.method in ("GET", "DELETE", "HEAD"):
        return {}
    if len(request.body) > MAX_BODY:
        raise ApiError(36009021, "The request body is too large", status=400)
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(36009022, "The request body must be JSON", status=400)
    try:
        body = json.loads(request.body)
    except ValueError:
        raise ApiError(36009022, "The request body must be JSON", status=400) from None
    if not isinstance(body, dict):
        raise ApiError(36009022, "The request body must be a JSON object", status=400)
    return body


def _no_such_path() -> ApiError:
    return ApiError(36009009, "Invalid path: there is no such endpoint", status=404)


def _wrong_method() -> ApiError:
    return ApiError(36009010, "Invalid method for this endpoint", status=405)


def _wrong_version() -> ApiError:
    return ApiError(36009014, "The API version is invalid or retired", status=400)
