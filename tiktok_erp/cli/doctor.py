"""`doctor`: is everything in place? One line for each point, and for each fault what to do next. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import Globals, Json, Quiet
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.system_errors import to_nowhere
from tiktok_erp.errors import (
    ChannelDown,
    ErpError,
    Interrupted,
    RulesError,
    SettingsError,
    SignInError,
    SomeItemsFailed,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.channels.base import ShopFacts
    from tiktok_erp.config.settings import Settings
    from tiktok_erp.config.tokens import TokenFile
    from tiktok_erp.model.credentials import TikTokCredentials
    from tiktok_erp.model.rule import Rules
    from tiktok_erp.store.database import Store

# Labels of a big day are some 300 MB; a full disk loses labels that were paid for.
_LITTLE_SPACE = 2_000_000_000
_NO_SPACE = 200_000_000
# The channel accepts requests stamped up to 30 s ahead and 300 s behind (TikTok reference, section 3.2).
_SKEW_DOUBT_S = 30
_SKEW_FAULT_S = 240
_GOOD_RATE = 0.99
_GOOD_LATENCY_MS = 3000
# Of fewer calls a single failure would look like a bad connection.
_CALLS_TO_JUDGE = 20
ANSWER_TIMEOUT_S = 10.0
_ENDED_WELL = (0, SomeItemsFailed.exit_code, Interrupted.exit_code)  # a watch ends by being interrupted
_OLDEST_SQLITE = (3, 37)  # the first with STRICT tables
_CHINESE = "发货单 数量 货架"


@dataclass(frozen=True, slots=True)
class Point:
    """What was found about one thing. `level` is ok, warning, fault or skipped; `text` says it in one line."""

    name: str
    level: str
    text: str
    cause: str | None = None
    next_step: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class _Findings:
    """What the points learn on the way, for the points after them; None is what could not be had."""

    options: Globals
    now: datetime
    stack: ExitStack
    store: Store | None = None
    rules: Rules | None = None
    settings: Settings | None = None
    credentials: TikTokCredentials | None = None
    tokens: TokenFile | None = None
    shops: list[ShopFacts] | None = None
    refusal: ErpError | None = None
    is_reachable: bool = False
    skew_s: float | None = None


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    before_live: Annotated[
        bool, typer.Option("--before-live", help="Look at what a stream needs as well, and say go or no-go.")
    ] = False,
    skus: Annotated[
        list[str] | None,
        typer.Option("--sku", help="With --before-live: a SKU of the stream; may be repeated.", show_default=False),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at everything that work depends on, change nothing, and say what to do about each fault; 3 when there is one.

    With --before-live also at the rules' examples, SKUs without a name or weight, carriers that the channel does not take,
    senders, printer and disk, and the stock of the SKUs named with --sku.

    \b
    Examples:
      tiktok-erp doctor
      tiktok-erp doctor --before-live --sku LNG-SAGE-M --sku LIP-CHRY
      tiktok-erp doctor --json | jq 'select(.level == "fault")'
    """
    from tiktok_erp.store.database import utc_now

    levels = {"ok": 0, "warning": 0, "fault": 0, "skipped": 0}
    with Output(as_json=as_json, quiet=quiet) as out, ExitStack() as stack:
        findings, code = _Findings(context.obj, utc_now(), stack), 0
        try:
            for name, look in (*_POINTS, *(_before_live(skus or []) if before_live else ())):
                for point in _points_of(name, look, findings):
                    levels[point.level] += 1
                    _tell(out, point)
            code = SomeItemsFailed.exit_code if levels["fault"] else 0
            out.say(
                tr(
                    "{ok} in order, {warnings} warnings, {faults} faults, {skipped} not looked at",
                    ok=levels["ok"],
                    warnings=levels["warning"],
                    faults=levels["fault"],
                    skipped=levels["skipped"],
                )
            )
            figures: dict[str, object] = {"warnings": levels["warning"], "faults": levels["fault"]}
            if before_live:
                figures["go"] = not levels["fault"]
                out.say(tr("NO-GO: mend the faults first") if levels["fault"] else tr("GO"))
            out.summary(code, **figures)
            out.finish()
        except ErpError as error:
            out.error(error)
            code = code or error.exit_code
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except BrokenPipeError:
            # Whoever read us has enough; the interpreter must not complain about it at exit.
            to_nowhere(sys.stdout)
            code = 0
    raise typer.Exit(code)


def _before_live(skus: Sequence[str]) -> tuple[tuple[str, Callable[[_Findings], Iterator[Point]]], ...]:
    from tiktok_erp.cli.before_live import points

    return points(skus)


def _points_of(name: str, look: Callable[[_Findings], Iterator[Point]], findings: _Findings) -> Iterator[Point]:
    try:
        yield from look(findings)
    except RulesError as error:
        yield Point(name, "fault", str(error), error.cause, error.next_step, {"faults": list(error.faults)})
    except ErpError as error:
        yield Point(name, "fault", str(error), error.cause, error.next_step)
    except Exception as error:
        # One point that cannot be looked at must not hide the others; the message could quote what is private.
        text = tr("{name}: cannot be looked at ({reason})", name=_called(name), reason=type(error).__name__)
        yield Point(name, "fault", text, "unreadable", tr("check the file's place and rights, or report this line"))


def _tell(out: Output, point: Point) -> None:
    words = {"ok": tr("ok"), "warning": tr("warning"), "fault": tr("fault"), "skipped": tr("skipped")}
    results = {"ok": "done", "warning": "done", "fault": "failed", "skipped": "skipped"}
    line = f"{words[point.level]}: {point.text}"
    is_told_by_item = out.as_json or (out.quiet and point.level == "fault")
    out.item(
        Outcome(
            "point",
            {"name": point.name},
            results[point.level],
            cause=point.cause,
            next_step=point.next_step,
            fields={"level": point.level, "text": point.text, **point.fields},
            text=point.text if is_told_by_item else None,
        )
    )
    if is_told_by_item:
        return
    out.say(line)
    faults = point.fields.get("faults")
    for fault in faults if isinstance(faults, list) else ():
        out.say(f"  {fault}")
    if point.next_step and point.level != "ok":
        out.say(tr("  next: {step}", step=point.next_step))


# The machine and its files


def _python(findings: _Findings) -> Iterator[Point]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Point("python", "ok", tr("Python {version}", version=version), fields={"version": version})


def _sqlite(findings: _Findings) -> Iterator[Point]:
    version = sqlite3.sqlite_version
    text = tr("SQLite {version}", version=version)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        step = tr("install a Python with SQLite 3.37 or newer")
        yield Point("sqlite", "fault", text, "sqlite_too_old", step, {"version": version})
        return
    yield Point("sqlite", "ok", text, fields={"version": version})


def _database(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.store.database import SIMULATED, open_store

    path = findings.options.db
    fields: dict[str, object] = {"file": str(path)}
    if path.exists() and path.stat().st_size == 0:
        step = tr("run `tiktok-erp init`")
        yield Point("database", "fault", tr("{file} is empty", file=path), "no_database", step, fields)
        return
    if path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        step = tr("make the file and its folder writable for this user")
        yield Point("database", "fault", tr("{file} cannot be written", file=path), "read_only", step, fields)
        return
    if path.exists() and _is_of_older_version(path):
        text = tr("database {file} is of an older version; the next command brings it up to date", file=path)
        yield Point("database", "warning", text, "older_version", tr("run `tiktok-erp status`"), fields)
        return
    store = findings.store = findings.stack.enter_context(open_store(path))
    owner, name = store.meta("shop"), store.meta("shop_name")
    fields |= {"shop": owner, "shop_name": name}
    if owner is None:
        text = tr("database {file}, not bound to a shop yet: the first sync does that", file=path)
    elif owner == SIMULATED:
        text = tr("database {file} of a simulated shop", file=path)
    else:
        text = tr("database {file} of shop {name}", file=path, name=name or owner)
    yield Point("database", "ok", text, fields=fields)


def _is_of_older_version(path: Path) -> bool:
    """Tell whether opening the database as usual would write a newer schema into it."""
    from tiktok_erp.store.database import load_migrations

    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            (number,) = connection.execute("SELECT max(number) FROM migrations").fetchone()
        except sqlite3.Error:  # not a database of ours: opening it tells
            return False
    return number is not None and int(number) < max([1, *(step.number for step in load_migrations())])


def _disk(findings: _Findings) -> Iterator[Point]:
    folder = findings.options.db.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = tr("{size} GB free in {folder}", size=f"{free / 1e9:.1f}", folder=folder)
    fields = {"free_bytes": free}
    if free < _LITTLE_SPACE:
        step = tr("free space: labels, backups and the database of a big day need about 2 GB")
        yield Point("disk", "fault" if free < _NO_SPACE else "warning", text, "disk_full", step, fields)
        return
    yield Point("disk", "ok", text, fields=fields)


def _elsewhere(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.store.behind import require_up_to_date
    from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere

    if findings.store is None:
        yield skipped("elsewhere", findings)
        return
    require_up_to_date(findings.store)
    count = count_bought_elsewhere(findings.store).labels
    fields = {"bought_elsewhere": count}
    if count:
        text = tr("{count} labels were bought elsewhere; they are not printed here by themselves", count=count)
        step = tr(
            "`tiktok-erp labels list` shows them, `tiktok-erp labels adopt` prints them. One machine at a time works for a"
            " shop: a spare one takes over after the first was stopped, with its `backup` and its token file"
        )
        yield Point("elsewhere", "warning", text, "bought_elsewhere", step, fields)
        return
    yield Point("elsewhere", "ok", tr("nobody else buys labels for this shop, as far as is known"), fields=fields)


def _rules(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.config.rules_file import load_rules, load_rules_or_defaults

    path = findings.options.rules
    load = load_rules if findings.options.rules_given else load_rules_or_defaults
    rules = findings.rules = load(path)
    fields = {"file": str(path), "notes": list(rules.notes)}
    if rules.notes:
        yield Point("rules", "warning", "; ".join(rules.notes), "rules_notes", tr("look at {file}", file=path), fields)
        return
    yield Point("rules", "ok", tr("{file} is in order", file=path), fields=fields)


def _label_store(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.store.label_files import LabelFiles

    folder = LabelFiles(findings.options.db).folder
    place = folder if folder.exists() else folder.parent
    fields = {"folder": str(folder)}
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        text = tr("no label can be kept in {folder}", folder=folder)
        step = tr("make it a folder that this user may write to, before a label is bought")
        yield Point("label_store", "fault", text, "not_writable", step, fields)
        return
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        text = tr("other people on this machine can look into {folder}: labels show names and addresses", folder=folder)
        step = tr("run `chmod 700 {path}`", path=folder)
        yield Point("label_store", "warning", text, "open_to_others", step, fields)
        return
    yield Point("label_store", "ok", tr("labels are kept in {folder}", folder=folder), fields=fields)


# Settings and tokens


def _secrets_file(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.config.settings import Settings

    settings = findings.settings = Settings()
    file = settings.get("TIKTOK_ERP_SECRETS")
    if file:
        yield Point(
            "secrets_file", "ok", tr("nobody else can read the secrets in {file}", file=file), fields={"file": file}
        )
        return
    yield Point("secrets_file", "skipped", tr("secrets file: none is named by TIKTOK_ERP_SECRETS"), "none")


def _settings(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.transport.client import require_safe_url

    settings = findings.settings
    if settings is None:
        yield skipped("settings", findings)
        return
    if not settings.tiktok_is_set():
        text = tr("no credentials for TikTok Shop: working from files")
        yield Point("settings", "skipped", text, "no_credentials")
        return
    credentials = settings.tiktok(has_tokens=True)
    for url, name in ((credentials.api_url, "TIKTOK_SHOP_API_URL"), (credentials.auth_url, "TIKTOK_SHOP_AUTH_URL")):
        require_safe_url(url, name)
    findings.credentials = credentials
    yield Point("settings", "ok", tr("the app's key and secret are set"), fields={"api_url": credentials.api_url})


def _token_file(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.cli.session import tokens_of

    if findings.settings is None or findings.credentials is None:
        yield skipped("token_file", findings)
        return
    tokens = findings.tokens = tokens_of(findings.options.db, findings.settings)
    fields = {"file": str(tokens.path), "is_used": tokens.is_stored}
    if not tokens.path.exists():
        text = tr("there is no token file yet: tokens come from the settings")
        yield Point("token_file", "ok", text, fields=fields)
    elif stat.S_IMODE(tokens.path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        text = tr("other people on this machine can read the tokens in {file}", file=tokens.path)
        yield Point(
            "token_file", "fault", text, "open_to_others", tr("run `chmod 600 {path}`", path=tokens.path), fields
        )
    else:
        text = tr("nobody else can read the tokens in {file}", file=tokens.path)
        yield Point("token_file", "ok", text, fields=fields)


def _tokens(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.cli.sign_in import days_left

    if findings.tokens is None:
        yield skipped("tokens", findings)
        return
    if findings.tokens.is_empty:
        text = tr("there are no tokens: nobody has signed in")
        yield Point("tokens", "fault", text, "no_tokens", tr("run `tiktok-erp auth login`, or work from files"))
        return
    pair = findings.tokens.pair
    days = days_left(pair.access_expires_at, findings.now)
    consent_days = days_left(pair.refresh_expires_at, findings.now)
    fields = {"access_days_left": days, "consent_days_left": consent_days}
    yield _how_long(fields, days, consent_days, can_renew=bool(pair.refresh_token))


def _how_long(fields: Mapping[str, object], days: int | None, consent_days: int | None, *, can_renew: bool) -> Point:
    from tiktok_erp.cli.sign_in import WARN_CONSENT_DAYS

    known = []
    if days is not None:
        known.append(
            tr("the access token has ended") if days < 0 else tr("the access token lasts {days} days", days=days)
        )
    if consent_days is not None:
        known.append(
            tr("the consent has ended") if consent_days < 0 else tr("the consent lasts {days} days", days=consent_days)
        )
    text = ", ".join(known) or tr("how long tokens and consent last is unknown")
    if consent_days is not None and consent_days <= WARN_CONSENT_DAYS:
        return Point("tokens", "warning", text, "consent_ends", tr("run `tiktok-erp auth login`"), fields)
    if not can_renew:
        text = f"{text}; {tr('without a refresh token the access token cannot be renewed')}"
        return Point("tokens", "warning", text, "no_refresh_token", tr("run `tiktok-erp auth login`"), fields)
    if not known:
        return Point(
            "tokens", "warning", text, "unknown_life", tr("run `tiktok-erp auth refresh`: its answer tells"), fields
        )
    return Point("tokens", "ok", text, fields=fields)


def skipped(name: str, findings: _Findings) -> Point:
    """Return the point of a thing that needs what an earlier point did not find."""
    if findings.settings is None or (findings.credentials is None and findings.settings.tiktok_is_set()):
        return Point(name, "skipped", tr("{name}: not looked at, see above", name=_called(name)), "see_above")
    if findings.credentials is None:
        text = tr("{name}: not looked at without credentials, working from files", name=_called(name))
        return Point(name, "skipped", text, "no_credentials")
    return Point(name, "skipped", tr("{name}: not looked at, see above", name=_called(name)), "see_above")


def _called(name: str) -> str:
    names = {
        "settings": tr("settings"),
        "token_file": tr("token file"),
        "tokens": tr("tokens"),
        "api": tr("API address"),
        "sign_in": tr("sign-in"),
        "clock": tr("clock"),
        "scopes": tr("scopes"),
        "shop": tr("shop"),
        "freshness": tr("age of the data"),
        "fetching": tr("fetching"),
        "alerts": tr("alerts"),
        "connection": tr("connection"),
        "quarantine": tr("quarantine"),
        "unsettled": tr("purchases without an answer"),
        "elsewhere": tr("labels bought elsewhere"),
        "own_labels": tr("own labels"),
        "fonts": tr("fonts"),
        "rules_tests": tr("examples of the rules"),
        "sku_names": tr("names of SKUs"),
        "sku_weights": tr("weights of SKUs"),
        "stream_stock": tr("stock of the stream"),
        "carriers": tr("carriers"),
        "senders": tr("senders"),
        "printing": tr("printing"),
    }
    return names.get(name, name)


# The channel


def _api(findings: _Findings) -> Iterator[Point]:
    """Ask the channel one question: it tells whether the address answers, whether sign-in works, and the time there."""
    from tiktok_erp.cli.sign_in import KeptTokens, OneTryClient, Unreachable, open_client
    from tiktok_erp.model.rule import Rules

    credentials, tokens = findings.credentials, findings.tokens
    if credentials is None or tokens is None or tokens.is_empty:
        yield skipped("api", findings)
        return
    if not tokens.pair.access_token:
        text = tr("API address: not asked, since there is a refresh token only")
        yield Point("api", "skipped", text, "no_access_token", tr("run `tiktok-erp auth refresh`"))
        return
    fields = {"api_url": credentials.api_url}
    with OneTryClient(answer_timeout_s=ANSWER_TIMEOUT_S) as http:
        client = open_client(credentials, KeptTokens(tokens.pair), findings.rules or Rules(), http, writes=False)
        try:
            findings.shops = client.fetch_shops()
        except ErpError as error:
            findings.refusal = error
        findings.skew_s = client.clock_skew_s()
    refusal = findings.refusal
    if isinstance(refusal, Unreachable):
        findings.refusal = None
        text = tr("{url} does not answer: {reason}", url=credentials.api_url, reason=refusal.what)
        step = tr("check network, proxy and firewall; meanwhile work from files (`tiktok-erp sync --from FILE`)")
        yield Point("api", "fault", text, "unreachable", step, fields)
    elif isinstance(refusal, ChannelDown | SettingsError):
        findings.refusal = None
        yield Point("api", "fault", str(refusal), refusal.cause, refusal.next_step, fields)
    else:
        findings.is_reachable = True
        yield Point("api", "ok", tr("{url} answers", url=credentials.api_url), fields=fields)


def _sign_in(findings: _Findings) -> Iterator[Point]:
    refusal = findings.refusal
    if not findings.is_reachable:
        yield skipped("sign_in", findings)
    elif refusal is None:
        yield Point("sign_in", "ok", tr("sign-in works"))
    elif refusal.cause == "token_ended":
        text = tr("the access token has ended or was revoked; the next command that needs it tries to renew it")
        yield Point("sign_in", "warning", text, refusal.cause, refusal.next_step)
    elif isinstance(refusal, SignInError) and refusal.cause != "scope_missing":
        yield Point(
            "sign_in", "fault", tr("sign-in fails: {reason}", reason=refusal.what), refusal.cause, refusal.next_step
        )
    else:
        text = tr("sign-in works; the shops are not listed: {reason}", reason=refusal.what)
        yield Point("sign_in", "warning", text, refusal.cause, refusal.next_step)


def _clock(findings: _Findings) -> Iterator[Point]:
    skew_s = findings.skew_s
    if skew_s is None:
        yield skipped("clock", findings)
        return
    fields = {"skew_s": round(skew_s, 1)}
    text = tr("the channel's clock is {seconds} s against ours", seconds=f"{skew_s:+.0f}")
    if abs(skew_s) > _SKEW_DOUBT_S:
        level = "fault" if abs(skew_s) > _SKEW_FAULT_S else "warning"
        step = tr("set this machine's clock by a time server: the channel refuses requests that are stamped wrongly")
        yield Point("clock", level, text, "clock_skew", step, fields)
        return
    yield Point("clock", "ok", text, fields=fields)


def _scopes(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.model.scopes import missing_scopes

    if findings.tokens is None or findings.tokens.is_empty:
        yield skipped("scopes", findings)
        return
    granted = findings.tokens.pair.granted_scopes
    if granted is None:
        text = tr("which scopes the token has is unknown: nobody told")
        yield Point("scopes", "skipped", text, "unknown", tr("run `tiktok-erp auth refresh`: its answer tells"))
        return
    missing = missing_scopes(granted)
    fields = {"missing_scopes": {command: [need.scope for need in needs] for command, needs in missing.items()}}
    if not missing:
        yield Point("scopes", "ok", tr("every command has the scopes that it needs"), fields=fields)
        return
    broken = [command for command, needs in missing.items() if any(need.is_required for need in needs)]
    scopes = sorted({need.scope for needs in missing.values() for need in needs})
    step = tr("add to the app in Partner Center: {scopes}; then run `tiktok-erp auth login`", scopes=", ".join(scopes))
    if broken:
        text = tr("scopes are missing for {commands}", commands=", ".join(f"`{command}`" for command in broken))
        yield Point("scopes", "fault", text, "scope_missing", step, fields)
        return
    lost = dict.fromkeys(tr(need.purpose) for needs in missing.values() for need in needs)
    text = tr("scopes are missing for {purposes}", purposes=", ".join(lost))
    yield Point("scopes", "warning", text, "scope_missing", step, fields)


def _shop(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.cli.sign_in import opens, shop_in_use

    if findings.shops is None or findings.settings is None:
        yield skipped("shop", findings)
        return
    owner = findings.store.meta("shop") if findings.store is not None else None
    fields = {"shops": [{"shop_id": shop.shop_id, "name": shop.name} for shop in findings.shops], "owner": owner}
    chosen = shop_in_use(findings.shops, findings.settings.get("TIKTOK_SHOP_CIPHER"), owner)
    if not findings.shops:
        step = tr("run `tiktok-erp auth login` as the shop's own seller account")
        yield Point("shop", "fault", tr("the token opens no shop"), "no_shop", step, fields)
    elif not opens(findings.shops, owner) or (chosen is not None and not opens([chosen], owner)):
        text = tr("the database belongs to shop {owner}, the credentials to another", owner=owner)
        step = tr("name another file with --db, or set the credentials of shop {owner}", owner=owner)
        yield Point("shop", "fault", text, "other_shop", step, fields)
    elif chosen is None:
        names = ", ".join(f"{shop.name} ({shop.shop_id})" for shop in findings.shops)
        text = tr("the token opens several shops, and none is chosen: {names}", names=names)
        step = tr("set TIKTOK_SHOP_CIPHER to the id of one of them")
        yield Point("shop", "fault", text, "shop_not_chosen", step, fields)
    else:
        text = tr("shop {name} ({region})", name=chosen.name, region=chosen.region)
        yield Point("shop", "ok", text, fields=fields | {"shop_id": chosen.shop_id})


# The data and the work


def _freshness(findings: _Findings) -> Iterator[Point]:
    if findings.store is None or findings.rules is None:
        yield skipped("freshness", findings)
        return
    from tiktok_erp.model.moment import from_text

    names = {
        "orders": tr("orders"),
        "orders_file": tr("orders, from a file"),
        "listings": tr("listings"),
        "creators": tr("creators"),
        "cancellations": tr("cancellations"),
    }
    rows = findings.store.query("SELECT channel, resource, as_of FROM cursors ORDER BY channel, resource")
    found = {(row["channel"], row["resource"]): from_text(row["as_of"]) for row in rows if row["resource"] in names}
    if not found:
        step = tr("run `tiktok-erp sync`")
        yield Point("freshness", "warning", tr("nothing was ever fetched"), "never_fetched", step)
        return
    for (channel, resource), as_of in found.items():
        age = findings.now - as_of
        fields = {
            "channel": channel,
            "resource": resource,
            "as_of": f"{as_of:%Y-%m-%dT%H:%M:%SZ}",
            "age_s": int(age.total_seconds()),
        }
        text = tr("{channel} {resource}: {age} old", channel=channel, resource=names[resource], age=_span(age))
        refused = _refused_by(findings.rules, age) if resource == "orders" and findings.credentials is not None else []
        if refused:
            text = f"{text}; {tr('refused until then: {commands}', commands=', '.join(refused))}"
            yield Point("freshness", "warning", text, "stale", tr("run `tiktok-erp sync`"), fields)
        else:
            yield Point("freshness", "ok", text, fields=fields)


def _refused_by(rules: Rules, age: timedelta) -> list[str]:
    limits = {
        "reserve-stock": rules.freshness.push,
        "print-labels": rules.freshness.buy,
        "upload-tracking": rules.freshness.upload,
    }
    return [f"`{command}`" for command, limit in limits.items() if age > limit]


def _fetching(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.model.moment import from_text

    if findings.store is None or findings.rules is None:
        yield skipped("fetching", findings)
        return
    row = findings.store.query_one(
        "SELECT process_id, started_at, ended_at, exit_code FROM runs WHERE command = 'sync' ORDER BY run_id DESC LIMIT 1"
    )
    advice = tr("run `tiktok-erp sync --watch`, or let cron run `tiktok-erp sync --quiet` every 5 minutes")
    if row is None:
        yield Point("fetching", "warning", tr("no sync has run yet"), "never_synced", advice)
        return
    fields = {"started_at": row["started_at"], "ended_at": row["ended_at"], "exit_code": row["exit_code"]}
    age = findings.now - from_text(row["ended_at"] or row["started_at"])
    if row["ended_at"] is None and _lives(row["process_id"]):
        yield Point("fetching", "ok", tr("a sync is running, since {age}", age=_span(age)), fields=fields)
    elif row["ended_at"] is None:
        text = tr("the last sync was killed {age} ago", age=_span(age))
        yield Point("fetching", "warning", text, "sync_killed", advice, fields)
    elif row["exit_code"] not in _ENDED_WELL:
        text = tr("the last sync failed {age} ago (exit code {code})", age=_span(age), code=row["exit_code"])
        yield Point("fetching", "warning", text, "sync_failed", tr("run `tiktok-erp sync` and read its error"), fields)
    elif age > max(timedelta(minutes=15), 3 * findings.rules.sync.every):
        text = tr("the last sync ended {age} ago: neither a watch nor cron is at work", age=_span(age))
        yield Point("fetching", "warning", text, "not_watched", advice, fields)
    else:
        yield Point("fetching", "ok", tr("the last sync ended {age} ago", age=_span(age)), fields=fields)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _span(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return tr("less than a minute")
    if minutes < 120:
        return tr("{count} min", count=minutes)
    if minutes < 48 * 60:
        return tr("{count} h", count=minutes // 60)
    return tr("{count} days", count=minutes // (24 * 60))


def _alerts(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.alerts.run import alert_status

    if findings.store is None or findings.rules is None:
        yield skipped("alerts", findings)
        return
    status = alert_status(findings.store, findings.rules)
    fields = {"addresses": status.addresses, "open": sorted(status.open_alerts)}
    if status.open_alerts:
        text = tr("open alarms: {kinds}", kinds=", ".join(sorted(status.open_alerts)))
        yield Point("alerts", "warning", text, "alert_open", tr("run `tiktok-erp sync` and read its error"), fields)
    elif not status.addresses:
        text = tr("no alert is set: nobody hears when fetching fails")
        step = tr("write an address into `alerts` of rules.yaml, then run `tiktok-erp alerts test`")
        yield Point("alerts", "warning", text, "no_alerts", step, fields)
    else:
        yield Point("alerts", "ok", tr("alarms go to {count} addresses", count=status.addresses), fields=fields)


def _connection(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.store.calls import TOTAL, load_quality

    if findings.store is None:
        yield skipped("connection", findings)
        return
    qualities = load_quality(findings.store, findings.now)
    if not qualities:
        yield Point("connection", "skipped", tr("connection: no call in the last 24 hours"), "no_calls")
        return
    for quality in qualities:
        fields = {
            "endpoint": quality.endpoint,
            "calls": quality.calls,
            "success_rate": round(quality.success_rate, 4),
            "throttled": quality.throttled,
            "failed": quality.failed,
            "median_ms": quality.median_ms,
            "p95_ms": quality.p95_ms,
        }
        text = tr(
            "connection, {endpoint}: {calls} calls in 24 h, {rate} % answered, median {median} ms, 95 % within {p95} ms",
            endpoint=tr("all endpoints") if quality.endpoint == TOTAL else quality.endpoint,
            calls=quality.calls,
            rate=f"{100 * quality.success_rate:.1f}",
            median="-" if quality.median_ms is None else quality.median_ms,
            p95="-" if quality.p95_ms is None else quality.p95_ms,
        )
        is_bad = quality.success_rate <= _GOOD_RATE or (quality.p95_ms or 0) >= _GOOD_LATENCY_MS
        if is_bad and quality.calls >= _CALLS_TO_JUDGE:
            step = tr("look at the network; when it is throttled, lower `channels.tiktok.max_rate` in rules.yaml")
            yield Point("connection", "warning", text, "bad_connection", step, fields)
        else:
            yield Point("connection", "ok", text, fields=fields)


def _quarantine(findings: _Findings) -> Iterator[Point]:
    if findings.store is None:
        yield skipped("quarantine", findings)
        return
    count = int(findings.store.scalar("SELECT count(*) FROM quarantine WHERE resolved_at IS NULL"))
    fields = {"cases": count}
    if count:
        text = tr("{count} open cases in quarantine", count=count)
        yield Point("quarantine", "warning", text, "open_cases", tr("run `tiktok-erp quarantine`"), fields)
        return
    yield Point("quarantine", "ok", tr("no open case in quarantine"), fields=fields)


def _unsettled(findings: _Findings) -> Iterator[Point]:
    if findings.store is None:
        yield skipped("unsettled", findings)
        return
    labels = int(
        findings.store.scalar(
            "SELECT count(*) FROM labels INDEXED BY labels_unsettled"
            " WHERE state IN ('intent', 'sent', 'unknown') AND state <> 'intent'"
        )
    )
    others = int(
        findings.store.scalar(
            "SELECT count(*) FROM outbox INDEXED BY outbox_unsettled WHERE state IN ('intent', 'sent', 'unknown')"
            " AND state <> 'intent' AND kind <> 'set_quantity'"
        )
    )
    fields = {"labels": labels, "uploads": others}
    if labels:
        text = tr("{count} purchases without an answer", count=labels)
        yield Point("unsettled", "warning", text, "unsettled", tr("run `tiktok-erp labels reconcile`"), fields)
    elif others:
        text = tr("{count} uploads without an answer", count=others)
        yield Point("unsettled", "warning", text, "unsettled", tr("run `tiktok-erp upload-tracking`"), fields)
    else:
        yield Point("unsettled", "ok", tr("no purchase and no upload waits for an answer"), fields=fields)


def _fonts(findings: _Findings) -> Iterator[Point]:
    from tiktok_erp.labels.fonts import PaperFonts

    if findings.rules is None:
        yield skipped("fonts", findings)
        return
    fonts = PaperFonts([Path(path) for path in findings.rules.printing.fonts])
    fonts.runs(_CHINESE)
    if not fonts.missing and not fonts.has_unembedded_font:
        yield Point("fonts", "ok", tr("there is a font for Chinese on packing slips"))
        return
    text = tr("no font for Chinese was found that a PDF can carry: whether packing slips show it is up to the printer")
    step = tr("install wqy-microhei, or name a TrueType font in `printing.fonts` of rules.yaml")
    # Latin paper of a shop without Chinese product names lacks nothing.
    level = "warning" if findings.rules.printing.language == "zh" else "ok"
    yield Point("fonts", level, text, "no_chinese_font", step)


def _own_labels(findings: _Findings) -> Iterator[Point]:
    """Ask the source of own labels one small question, where there is one."""
    rules, settings = findings.rules, findings.settings
    if rules is None or settings is None:
        yield skipped("own_labels", findings)
        return
    if rules.labels.seller_shipping != "easypost":
        yield Point("own_labels", "ok", tr("labels for Seller Shipping come from files"))
        return
    credentials = settings.easypost()
    if credentials is None:
        text = tr("labels.seller_shipping is easypost, and EASYPOST_API_KEY is not set")
        step = tr("set EASYPOST_API_KEY, or labels.seller_shipping to file")
        yield Point("own_labels", "fault", text, "no_credentials", step)
        return
    if rules.shop.ship_from is None:
        text = tr("labels of your own need a sender")
        yield Point("own_labels", "fault", text, "no_sender", tr("add `ship_from` to `shop` in rules.yaml"))
        return
    from tiktok_erp.carriers.easypost import EasyPost
    from tiktok_erp.transport.client import HttpClient
    from tiktok_erp.transport.pace import Pace
    from tiktok_erp.transport.retry import RetryPolicy

    http = findings.stack.enter_context(HttpClient(answer_timeout_s=ANSWER_TIMEOUT_S))
    pace = Pace(start_rate=1, max_rate=1)
    source = EasyPost(credentials.api_key, credentials.api_url, http, pace, retries=RetryPolicy(attempts=1))
    source.check_key()
    if source.is_test:
        text = tr("EasyPost takes the key; it is a test key, whose labels carry no postage")
        yield Point("own_labels", "warning", text, "test_key", tr("set the production key before you ship"))
        return
    yield Point("own_labels", "ok", tr("EasyPost takes the key"))


def _printing(findings: _Findings) -> Iterator[Point]:
    """Tell which printers the rules name, and which queues CUPS has."""
    from tiktok_erp.printers.base import open_printer
    from tiktok_erp.printers.cups import CupsPrinter, queues
    from tiktok_erp.printers.viewer import Viewer, opener

    names = findings.rules.printing.printers if findings.rules is not None else ()
    if not names:
        text = tr("printing: labels are written as PDF files, no printer is set up")
        yield Point("printing", "skipped", text, "no_printer")
        return
    known = queues()
    for name in names:
        printer = open_printer(name)
        if isinstance(printer, CupsPrinter) and name not in (known or []):
            text = (
                tr("{printer}: CUPS has no such queue", printer=name)
                if known is not None
                else tr("{printer}: CUPS is not installed", printer=name)
            )
            step = tr("correct `printing.printers` in rules.yaml, or set the queue up")
            yield Point("printing", "fault", text, "no_queue", step)
        elif isinstance(printer, Viewer) and opener() is None:
            step = tr("install xdg-open (in WSL: wslview), or name a printer")
            yield Point("printing", "fault", tr("nothing on this machine opens PDFs"), "no_opener", step)
        else:
            yield Point("printing", "ok", tr("labels go to {printer}", printer=name))


_POINTS: tuple[tuple[str, Callable[[_Findings], Iterator[Point]]], ...] = (
    ("python", _python),
    ("sqlite", _sqlite),
    ("database", _database),
    ("disk", _disk),
    ("rules", _rules),
    ("label_store", _label_store),
    ("secrets_file", _secrets_file),
    ("settings", _settings),
    ("token_file", _token_file),
    ("tokens", _tokens),
    ("api", _api),
    ("sign_in", _sign_in),
    ("clock", _clock),
    ("scopes", _scopes),
    ("shop", _shop),
    ("freshness", _freshness),
    ("fetching", _fetching),
    ("alerts", _alerts),
    ("connection", _connection),
    ("quarantine", _quarantine),
    ("unsettled", _unsettled),
    ("elsewhere", _elsewhere),
    ("own_labels", _own_labels),
    ("fonts", _fonts),
    ("printing", _printing),
)
