"""One keep-alive HTTP client. httpx errors become ours here, split by what the caller must know: was it sent or not?"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from tiktok_erp.errors import LabelFileError, NotSent, OutcomeUnknown, SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.transport.body import LARGEST_BODY, NotPacked, TooLarge, read_body
from tiktok_erp.transport.retry import TOO_LARGE

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PRIVATE_DOMAINS = frozenset(
    {"local", "localhost", "internal", "intranet", "lan", "home", "corp", "arpa", "test", "invalid"}
)
_LOOPBACK_IN_URLS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_CONNECT_TIMEOUT_S = 10.0
# Longer than any answer seen from a healthy server; a purchase without an answer is settled by reading it back.
_ANSWER_TIMEOUT_S = 20.0
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers (lower-case names) and body of one answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_this_machine(url: str) -> bool:
    """Tell whether `url` leads to this machine itself."""
    with suppress(ValueError):
        return urlsplit(url).hostname in _LOOPBACK
    return False


def require_safe_url(url: str, setting: str) -> str:
    """Return `url` without a trailing slash. Raises SettingsError unless it is https, or http to this machine."""
    with suppress(ValueError):  # not even the form of an address
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return url.rstrip("/")
        if parts.scheme == "http" and parts.hostname in _LOOPBACK:
            return url.rstrip("/")
    raise SettingsError(
        tr("an address must be https (plain http only to this machine)"),
        subject=setting,
        next_step=tr("correct {setting}", setting=setting),
    )


def require_told_url(url: str, *, api_url: str, subject: str) -> str:
    """Return an address that an answer handed us, to fetch a document from. Raises LabelFileError for one that is odd.

    It must be https to a public host, without a user or password; this machine itself only where the API is here too.
    """
    with suppress(ValueError, httpx.InvalidURL):
        parts = httpx.URL(url)
        is_local = parts.host in _LOOPBACK
        if not parts.userinfo and (
            (is_local and is_this_machine(api_url) and parts.scheme in ("http", "https"))
            or (not is_local and parts.scheme == "https" and _is_public(parts.host))
        ):
            return url
    raise LabelFileError(
        tr("the address of the document is none that a document may be fetched from"),
        subject=subject,
        next_step=tr(
            "run `tiktok-erp print-labels` again later; the label is bought and is not bought twice. If it stays so, ask the"
            " support of who sold it"
        ),
        cause="label_url",
    )


def _is_public(host: str) -> bool:
    """Tell whether `host` can be one on the internet: a name with a dot that no home network uses, or a public number."""
    name = host.rstrip(".").casefold()
    with suppress(ValueError):
        number = ipaddress.ip_address(name)
        return number.is_global and not number.is_multicast
    last = name.rpartition(".")[2]
    return "." in name and not last.isdigit() and not last.startswith("0x") and last not in _PRIVATE_DOMAINS


class HttpClient:
    """Sends requests over kept-alive connections. Threads may share it."""

    def __init__(self, *, answer_timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
        new_client = partial(
            httpx.Client,
            timeout=httpx.Timeout(answer_timeout_s, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            follow_redirects=False,
            headers={"accept-encoding": "gzip"},
            # Plain http is allowed to this machine only, so it must not pass a proxy of the environment either.
            mounts={f"all://{host}": None for host in sorted(_LOOPBACK_IN_URLS)},
        )
        self._is_proxy_unusable = False
        try:
            self._client = new_client()
        except (ImportError, ValueError, httpx.InvalidURL):  # SOCKS without its library, or no address at all
            self._is_proxy_unusable = True
            self._client = new_client(trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

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
        """Send one request once. `url` never appears in an error: it may carry a signature.

        Raises NotSent when nothing was sent, OutcomeUnknown when it was sent and no whole answer came.
        """
        if self._is_proxy_unusable and urlsplit(url).hostname not in _LOOPBACK:
            raise SettingsError(
                tr("the proxy set in the environment cannot be used"),
                subject="HTTPS_PROXY, ALL_PROXY",
                next_step=tr(
                    "set an http:// proxy, run `pip install 'httpx[socks]'` for SOCKS, or unset the variables"
                ),
            )
        try:
            with self._client.stream(method, url, params=params, headers=headers, content=content) as answer:
                body = read_body(answer.iter_raw(), answer.headers.get("content-encoding", ""))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise NotSent(
                tr("no connection to {host}", host=urlsplit(url).hostname),
                subject=subject,
                next_step=tr("check the network and run this again; nothing was sent"),
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeEncodeError) as error:
            raise SettingsError(
                tr("an address or a token cannot be used: a character in it has no place there"),
                subject=subject,
                next_step=tr("check the API addresses in the settings"),
            ) from error
        except TooLarge as error:
            raise OutcomeUnknown(
                tr(
                    "{host} answered with more than {size} MB, which no answer of its kind has",
                    host=urlsplit(url).hostname,
                    size=LARGEST_BODY // 1024 // 1024,
                ),
                subject=subject,
                next_step=tr("run this again later; if it stays so, tell whoever runs that address"),
                cause=TOO_LARGE,
            ) from error
        except (httpx.HTTPError, httpx.StreamError, NotPacked) as error:
            raise OutcomeUnknown(
                tr("{host} did not answer ({reason})", host=urlsplit(url).hostname, reason=type(error).__name__),
                subject=subject,
                next_step=tr("run this again; what was sent is read back before anything is repeated"),
            ) from error
        return HttpAnswer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)
