"""`auth`: sign in with the seller's consent, renew the tokens, and tell what they open and for how long."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, run_command, tokens_of
from tiktok_erp.errors import (
    ChannelDown,
    ChannelRefused,
    ChannelThrottled,
    ErpError,
    NotSent,
    OtherShop,
    SettingsError,
    SignInError,
    UsageError,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.channels.base import ShopFacts
    from tiktok_erp.cli.sign_in import ConsentAnswer
    from tiktok_erp.config.tokens import TokenFile
    from tiktok_erp.model.credentials import TikTokCredentials, TokenPair
    from tiktok_erp.model.secret import Secret

auth_app = typer.Typer(
    help="Sign in with the seller's consent, renew the tokens, see what they open and for how long.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(auth_app, name="auth")


@auth_app.command("login")
def login(
    context: typer.Context,
    market: Annotated[
        str, typer.Option("--market", help="Which consent page comes first: us, or other for an app of another market.")
    ] = "us",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the consent link, then read the address that the browser was sent to (or the code) from standard input.

    The code is good for one use and 30 minutes. The tokens are kept beside the database, for this user alone, and count
    instead of older ones in the environment.

    \b
    Examples:
      tiktok-erp auth login
      tiktok-erp auth login < redirected-address.txt
    """

    def body(session: Session) -> None:
        from secrets import token_urlsafe

        from tiktok_erp.cli.sign_in import read_answer
        from tiktok_erp.config.settings import TIKTOK_CONSENT_URLS
        from tiktok_erp.store.database import utc_now

        if market not in TIKTOK_CONSENT_URLS:
            raise UsageError(
                tr("there is no market {market}", market=market),
                subject="--market",
                next_step=tr("write us or other"),
            )
        credentials = session.settings().tiktok(has_tokens=True)
        tokens = tokens_of(session.options.db, session.settings())
        state = token_urlsafe(24)
        if not dry_run:
            tokens.expect_state(state, utc_now())
        _show_link(session, state, market)
        if dry_run:
            session.out.say(tr("nothing was stored; the link of a dry run is only for looking at"))
            return
        answer = read_answer(_ask(session))
        _check_state(session, answer, tokens)
        pair = _exchange(session, credentials, answer, tokens)
        shops, doubt = _look_at(session, credentials, pair)
        had_tokens = bool(session.settings().get("TIKTOK_SHOP_ACCESS_TOKEN"))
        tokens.log_in(pair)
        _tell_pair(session, tokens, "done", text=_signed_in(pair, tokens))
        if had_tokens:
            session.out.warn(tr("the tokens in the settings are older now and no longer used; they may be removed"))
        if doubt is not None and not isinstance(doubt, ChannelDown | ChannelRefused) and doubt.cause != "scope_missing":
            raise doubt
        if doubt is not None:
            session.out.warn(tr("the shops that the token opens could not be listed: {reason}", reason=doubt.what))
        else:
            _tell_shops(session, shops)

    run_command("auth login", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


@auth_app.command("status")
def status(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Show how long tokens and consent last, which scopes are missing for what, our clock, and the shops; 4 when sign-in fails.

    \b
    Examples:
      tiktok-erp auth status
      tiktok-erp auth status --json | jq 'select(.kind == "auth") | .consent_days_left'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.sign_in import open_client
        from tiktok_erp.transport.client import HttpClient

        tokens = tokens_of(session.options.db, session.settings())
        credentials = session.settings().tiktok(has_tokens=not tokens.is_empty)
        shops: list[ShopFacts] | None = None
        failure: ErpError | None = None
        with HttpClient() as http:
            client = open_client(credentials, tokens, session.rules(), http)
            try:
                shops = client.fetch_shops()
            except (ChannelDown, ChannelRefused, SignInError) as error:
                failure = error
            skew_s = client.clock_skew_s()
        works = failure is None or isinstance(failure, ChannelRefused) or failure.cause == "scope_missing"
        sign_in = "works" if works else "fails" if isinstance(failure, SignInError) else "unknown"
        _tell_pair(session, tokens, "done" if works else "failed", failure, sign_in=sign_in, clock_skew_s=skew_s)
        if shops is not None:
            _tell_shops(session, shops)
        elif works and failure is not None:
            session.out.warn(tr("the shops that the token opens could not be listed: {reason}", reason=failure.what))
        elif failure is not None:
            raise failure

    run_command("auth status", context, body, as_json=as_json, quiet=quiet, writes=False)


@auth_app.command("refresh")
def refresh(context: typer.Context, dry_run: DryRun = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """Exchange the refresh token for a new pair now. Every command does this by itself when the access token ends.

    \b
    Examples:
      tiktok-erp auth refresh
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.sign_in import open_client
        from tiktok_erp.transport.client import HttpClient

        tokens = tokens_of(session.options.db, session.settings())
        credentials = session.settings().tiktok(has_tokens=not tokens.is_empty)
        if dry_run:
            _tell_pair(session, tokens, "planned", text=tr("the tokens would be renewed"))
            return
        with HttpClient() as http:
            open_client(credentials, tokens, session.rules(), http).renew_token()
        _tell_pair(session, tokens, "done", text=tr("the tokens were renewed; they are in {file}", file=tokens.path))

    run_command("auth refresh", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


# Signing in


def _show_link(session: Session, state: str, market: str) -> None:
    from tiktok_erp.cli.sign_in import consent_link

    try:
        link = consent_link(session.settings(), state, market=market)
    except SettingsError as error:
        if error.subject != "TIKTOK_SHOP_SERVICE_ID":
            raise
        # Somebody may hold a code already: Partner Center shows the link too.
        session.out.warn(f"{error.what}: {error.next_step}")
        return
    fields = {"url": link.url, "other_urls": list(link.others)}
    session.out.item(
        Outcome(
            "consent",
            {},
            "planned",
            fields=fields,
            text=tr("Let the seller open this page and agree:\n\n  {url}\n", url=link.url),
        )
    )
    if link.others:
        others = "\n".join(f"  {url}" for url in link.others)
        session.out.warn(
            tr(
                "which page is right depends on the market that the app is registered for; Partner Center shows its"
                " link, and TIKTOK_SHOP_CONSENT_URL sets it. If this page does not know the app, try:\n{others}",
                others=others,
            )
        )
    sys.stdout.flush()  # whoever drives us through pipes needs the link before we wait for its answer


def _ask(session: Session) -> str:
    """Return the first line of standard input that says something. Raises UsageError when there is none."""
    if sys.stdin.isatty():
        question = tr("Paste the address that the browser shows afterwards (or the code), then press Enter: ")
        print(question, end="", file=sys.stderr, flush=True)
    try:
        while line := sys.stdin.readline():
            if line.strip():
                return line
    except UnicodeDecodeError:
        pass
    raise UsageError(
        tr("no address and no code came"),
        subject=tr("standard input"),
        next_step=tr("run `tiktok-erp auth login` and paste the address that the browser shows after consent"),
        cause="no_code",
    )


def _check_state(session: Session, answer: ConsentAnswer, tokens: TokenFile) -> None:
    from tiktok_erp.store.database import utc_now

    if answer.state is None:
        session.out.warn(
            tr(
                "the answer carries no `state`, as after an installation from the app store: accepted without that check"
            )
        )
    elif not tokens.expects_state(answer.state, utc_now()):
        raise SignInError(
            tr("this address does not belong to a consent link that was shown here: its `state` is another one"),
            subject="auth login",
            next_step=tr("run `tiktok-erp auth login` again, open the link that it prints, and paste that answer"),
            cause="state_mismatch",
        )


def _exchange(session: Session, credentials: TikTokCredentials, answer: ConsentAnswer, tokens: TokenFile) -> TokenPair:
    from tiktok_erp.cli.sign_in import open_client
    from tiktok_erp.transport.client import HttpClient

    with HttpClient() as http:
        client = open_client(credentials, tokens, session.rules(), http)
        try:
            return client.exchange_code(answer.code.reveal())
        except (NotSent, ChannelThrottled) as error:
            _hide(answer.code, error)
            error.next_step = tr(
                "run `tiktok-erp auth login` again with the same answer: the code was not used and is good for 30 minutes"
            )
            raise
        except ChannelDown as error:
            raise ChannelDown(
                tr("the code was sent and no tokens came back: {reason}", reason=_hide(answer.code, error).what),
                subject=error.subject,
                next_step=tr(
                    "the code may be used up, since it is good for one answer: run `tiktok-erp auth login` and let the"
                    " seller agree once more; the tokens from before stay as they are"
                ),
                cause="code_lost",
            ) from error
        except SignInError as error:
            _hide(answer.code, error)
            error.next_step = tr(
                "run `tiktok-erp auth login` again and open its link anew: a code is good for one use and 30 minutes;"
                " if that fails too, check TIKTOK_SHOP_APP_KEY and TIKTOK_SHOP_APP_SECRET"
            )
            raise


def _hide(code: Secret, error: ErpError) -> ErpError:
    """Take the code out of an error: a channel may quote what it refuses."""
    error.what = error.what.replace(code.reveal(), str(code))
    error.args = (str(error).replace(code.reveal(), str(code)),)
    return error


def _look_at(
    session: Session, credentials: TikTokCredentials, pair: TokenPair
) -> tuple[list[ShopFacts], ErpError | None]:
    """Return the shops that a new pair opens, or why they cannot be told. Raises OtherShop when ours is not among them."""
    from tiktok_erp.cli.sign_in import KeptTokens, open_client, opens
    from tiktok_erp.transport.client import HttpClient

    with HttpClient() as http:
        try:
            shops = open_client(credentials, KeptTokens(pair), session.rules(), http).fetch_shops()
        except (ChannelDown, ChannelRefused, SignInError) as error:
            return [], error
    owner = session.store.meta("shop")
    if opens(shops, owner):
        return shops, None
    names = ", ".join(f"{shop.name} ({shop.region})" for shop in shops) or tr("none")
    raise OtherShop(
        tr(
            "this database belongs to shop {owner}, and this consent opens others: {names}. Nothing was stored",
            owner=session.store.meta("shop_name") or owner,
            names=names,
        ),
        subject=str(session.options.db),
        next_step=tr("agree as the seller of this shop, or name another file with --db: one database for each shop"),
    )


# Telling


def _signed_in(pair: TokenPair, tokens: TokenFile) -> str:
    if pair.seller_name:
        return tr(
            "signed in as {seller} ({region}); the tokens are in {file}",
            seller=pair.seller_name,
            region=pair.region or tr("unknown"),
            file=tokens.path,
        )
    return tr("signed in; the tokens are in {file}", file=tokens.path)


def _tell_pair(
    session: Session,
    tokens: TokenFile,
    result: str,
    failure: ErpError | None = None,
    *,
    text: str | None = None,
    **more: object,
) -> None:
    from tiktok_erp.cli.sign_in import consent_doubt, days_left
    from tiktok_erp.model.moment import to_text
    from tiktok_erp.model.scopes import missing_scopes
    from tiktok_erp.store.database import utc_now

    now, pair = utc_now(), tokens.pair
    missing = {} if pair.granted_scopes is None else missing_scopes(pair.granted_scopes)
    fields = {
        "token_source": "file" if tokens.is_stored else "environment",
        "seller_name": pair.seller_name or None,
        "region": pair.region or None,
        "access_expires_at": to_text(pair.access_expires_at) if pair.access_expires_at else None,
        "access_days_left": days_left(pair.access_expires_at, now),
        "consent_expires_at": to_text(pair.refresh_expires_at) if pair.refresh_expires_at else None,
        "consent_days_left": days_left(pair.refresh_expires_at, now),
        "granted_scopes": None if pair.granted_scopes is None else list(pair.granted_scopes),
        "missing_scopes": None
        if pair.granted_scopes is None
        else {command: [need.scope for need in needs] for command, needs in missing.items()},
        "commands_without_scope": None
        if pair.granted_scopes is None
        else [command for command, needs in missing.items() if any(need.is_required for need in needs)],
        **more,
    }
    # A failed sign-in is told by the error that ends the command: it is no failed item.
    shown = "skipped" if result == "failed" else result
    session.out.item(
        Outcome(
            "auth",
            {},
            shown,
            cause=failure.cause if failure else None,
            next_step=failure.next_step if failure else None,
            fields=fields,
            text=text,
        )
    )
    if result == "planned":
        return
    if text is None and result == "done":
        session.out.say(
            _signed_in(pair, tokens) if tokens.is_stored else tr("signed in with the tokens of the settings")
        )
    zone = session.rules().shop.zone
    session.out.say(tr("access token: {time}", time=_time_left(pair.access_expires_at, now, zone)))
    session.out.say(tr("consent: {time}", time=_time_left(pair.refresh_expires_at, now, zone)))
    _say_scopes(session, pair)
    skew_s = more.get("clock_skew_s")
    if isinstance(skew_s, float | int):
        session.out.say(tr("the channel's clock against ours: {seconds} s", seconds=f"{skew_s:+.0f}"))
    doubt = consent_doubt(pair, now)
    if doubt is not None:
        session.out.warn(doubt)


def _time_left(ends: datetime | None, now: datetime, zone: tzinfo) -> str:
    if ends is None:
        return tr("how long it lasts is unknown")
    until = f"{ends.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    if ends <= now:
        return tr("ended {until}", until=until)
    days, hours = divmod(int((ends - now).total_seconds() // 3600), 24)
    return tr("{days} days and {hours} hours left, until {until}", days=days, hours=hours, until=until)


def _say_scopes(session: Session, pair: TokenPair) -> None:
    from tiktok_erp.model.scopes import missing_scopes

    if pair.granted_scopes is None:
        session.out.say(tr("scopes: unknown; only a new consent or `tiktok-erp auth refresh` tells them"))
        return
    session.out.say(tr("scopes: {count} granted", count=len(pair.granted_scopes)))
    for command, needs in missing_scopes(pair.granted_scopes).items():
        for need in needs:
            session.out.say(
                tr(
                    "  `{command}` lacks {scope}: {purpose}",
                    command=command,
                    scope=need.scope,
                    purpose=tr(need.purpose),
                )
                if need.is_required
                else tr(
                    "  `{command}` works without {scope}, but not {purpose}",
                    command=command,
                    scope=need.scope,
                    purpose=tr(need.purpose),
                )
            )


def _tell_shops(session: Session, shops: Sequence[ShopFacts]) -> None:
    """List the shops that the token opens and which of them this database works with."""
    from tiktok_erp.cli.sign_in import opens, shop_in_use

    setting, owner = session.settings().get("TIKTOK_SHOP_CIPHER"), session.store.meta("shop")
    chosen = shop_in_use(shops, setting, owner)
    kinds = {"local": tr("local"), "cross_border": tr("cross-border")}
    for shop in shops:
        is_ours = chosen is not None and shop.cipher == chosen.cipher and shop.shop_id == chosen.shop_id
        told = {
            "name": shop.name,
            "region": shop.region or tr("region unknown"),
            "type": kinds.get(shop.kind, shop.kind or tr("kind unknown")),
            "id": shop.shop_id,
            "code": shop.code or "-",
        }
        text = (
            tr("shop {name} ({region}, {type}), id {id}, code {code}: this database works with it", **told)
            if is_ours
            else tr("shop {name} ({region}, {type}), id {id}, code {code}", **told)
        )
        fields = {
            "name": shop.name,
            "region": shop.region,
            "shop_kind": shop.kind or None,
            "code": shop.code,
            "is_used": is_ours,
        }
        session.out.item(Outcome("shop", {"shop_id": shop.shop_id}, "done", fields=fields, text=text))
    if not shops:
        session.out.warn(tr("the token opens no shop: was the consent given by the shop's own seller account?"))
    elif not opens(shops, owner):
        session.out.warn(
            tr(
                "this database belongs to shop {owner}, which the token does not open: name another file with --db",
                owner=session.store.meta("shop_name") or owner,
            )
        )
    elif chosen is None:
        session.out.warn(
            tr(
                "which shop this database works with is not said: set TIKTOK_SHOP_CIPHER to the id of one of them, and"
                " keep a folder or --db of its own for each"
            )
        )
