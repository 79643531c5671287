"""Send a message to apprise addresses, within a bounded time and without ever telling what stands in an address."""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tiktok_erp.alerts.plan import Message
from tiktok_erp.checked_json import parse_json
from tiktok_erp.config.settings import Settings
from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    import apprise
    import requests

SEND_TIMEOUT_S = 15.0
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# apprise waits up to 5.5 s between two receivers of one service: too long for an alarm.
_LONGEST_PAUSE_S = 1.0
_READ_TIMEOUT_S = 8.0
# These answer 200 whatever happens and tell the truth in the body, which apprise does not read.
_TRUTH = {"wecombot": "errcode", "dingtalk": "errcode", "feishu": "code", "lark": "code", "schan": "code"}
_QUIET = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "asyncio", "paho", "slixmpp")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message at one address. `problem` says why it was not accepted; it never tells the address."""

    number: int
    service: str
    is_sent: bool
    problem: str = ""


def resolve_address(number: int, entry: str, settings: Settings) -> str:
    """Return entry `number` of alerts.to with each `${NAME}` filled from the settings.

    A whole address may be a name. Inside an address a value is percent-encoded, so that a password may hold any character.
    Raises SettingsError for a name that is set nowhere.
    """

    def value(match: re.Match[str]) -> str:
        found = settings.get(match[1])
        if not found:
            raise SettingsError(
                tr("{name} is not set, and entry {number} of alerts.to needs it", name=match[1], number=number),
                subject="alerts.to",
                next_step=tr("set it in the environment or in the file named by TIKTOK_ERP_SECRETS"),
                cause="alert_address",
            )
        return found if match.span() == (0, len(entry)) else quote(found, safe="+")

    return _NAME.sub(value, entry)


def scheme_of(entry: str) -> str:
    """Return the scheme of an entry of alerts.to, which is no secret, or `?` where a setting holds the whole address."""
    match = _SCHEME.match(entry)
    return match[1].lower() if match else "?"


def send(
    entries: Mapping[int, str], settings: Settings, message: Message, *, timeout_s: float = SEND_TIMEOUT_S
) -> list[Delivery]:
    """Send `message` to the numbered `entries` of alerts.to, all at once; return within `timeout_s` what became of each."""
    deadline = time.monotonic() + timeout_s
    errands = [_Errand(number, entry, settings) for number, entry in sorted(entries.items())]
    for errand in errands:
        errand.start(message)
    return [errand.result(max(0.0, deadline - time.monotonic())) for errand in errands]


def check_addresses(entries: Mapping[int, str], settings: Settings) -> list[Delivery]:
    """Return for each entry whether apprise understands it; nothing is sent."""
    return [_Errand(number, entry, settings).result(0) for number, entry in sorted(entries.items())]


class _Errand:
    """One message on its way to one address, in a thread of its own that the end of the process does not wait for."""

    def __init__(self, number: int, entry: str, settings: Settings) -> None:
        self._number = number
        self._service: apprise.NotifyBase | None = None
        self._thread: threading.Thread | None = None
        self._problem = ""
        self._is_sent = False
        self.name = scheme_of(entry)
        try:
            address = resolve_address(number, entry, settings)
            self._service = _service(number, address)
        except SettingsError as error:
            self._problem = error.what
            return
        self._scheme = scheme_of(address)
        self.name = str(self._service.service_name)

    def start(self, message: Message) -> None:
        if self._service is not None:
            self._problem = tr("no answer in time")
            self._thread = threading.Thread(target=self._send, args=(self._service, message), daemon=True)
            self._thread.start()

    def result(self, timeout_s: float) -> Delivery:
        if self._thread is not None:
            self._thread.join(timeout_s)
        return Delivery(self._number, self.name, self._is_sent, "" if self._is_sent else self._problem)

    def _send(self, service: apprise.NotifyBase, message: Message) -> None:
        import apprise

        _answers.latest = None
        try:
            is_accepted = service.notify(
                title=message.title,
                body=message.body,
                notify_type=apprise.NotifyType(message.kind),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except BaseException as error:  # a service's fault must neither end the sync nor tell its address
            self._problem = tr("the service failed ({kind})", kind=type(error).__name__)
            return
        answer: requests.Response | None = _answers.latest
        status = answer.status_code if answer is not None else None
        if is_accepted:
            code = _refusal(answer, _TRUTH.get(self._scheme, ""))
            if not code:
                self._is_sent = True
                return
            self._problem = tr("the service refused it (code {code})", code=code)
        elif status is None:
            self._problem = tr("the service was not reached, or did not accept it")
        else:
            self._problem = tr("the service refused it (HTTP {status})", status=status)


_answers = threading.local()
_loading = threading.Lock()
_is_loaded = False


def _service(number: int, address: str) -> apprise.NotifyBase:
    """Return apprise's service for `address`. Raises SettingsError, without the address, when there is none."""
    _load()
    import apprise

    asset = apprise.AppriseAsset(app_id="tiktok-erp", app_desc="tiktok-erp", app_url="", async_mode=False)
    try:
        with warnings.catch_warnings(action="ignore"):  # of modules that the first address brings in
            service = apprise.Apprise.instantiate(address, asset=asset)
    except Exception:
        service = None  # what it says may hold the address
    if service is None:
        raise SettingsError(
            tr("apprise does not understand entry {number} of alerts.to", number=number),
            subject="alerts.to",
            next_step=tr("compare it with apprise's page about the service, then run `tiktok-erp alerts test`"),
            cause="alert_address",
        )
    service.request_rate_per_sec = min(float(service.request_rate_per_sec), _LONGEST_PAUSE_S)
    query = address.partition("?")[2]
    if "rto=" not in query:
        service.socket_read_timeout = _READ_TIMEOUT_S
    if "overflow=" not in query:
        # A short message gateway that refuses what is too long would refuse the alarm.
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return service


def _load() -> None:
    """Import apprise and silence it: its log lines and those of its libraries show addresses."""
    global _is_loaded
    with _loading:
        if _is_loaded:
            return
        with warnings.catch_warnings(action="ignore"):
            import apprise  # noqa: F401 - sets up its loggers, which are silenced next
            import requests
            import urllib3

        for name in _QUIET:
            logger = logging.getLogger(name)
            logger.handlers = [logging.NullHandler()]
            logger.propagate = False
            logger.setLevel(logging.CRITICAL + 1)
        urllib3.disable_warnings()
        original = requests.Session.send

        def remember(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            _answers.latest = None
            response = original(session, request, **options)
            _answers.latest = response
            return response

        # apprise hands no answer out, and some services tell only there that they refused.
        requests.Session.send = remember  # type: ignore[assignment, method-assign]
        _is_loaded = True


def _refusal(answer: requests.Response | None, field: str) -> str:
    """Return the code with which a service refused although it answered 200, or nothing."""
    if answer is None or not field:
        return ""
    try:
        told = parse_json(answer.content)
    except ValueError:
        return ""
    code = told.get(field) if isinstance(told, dict) else None
    return str(code) if isinstance(code, int) and code != 0 else ""
