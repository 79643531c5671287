"""`auth`: signing in with a consent, what it stores, what it tells, and what wins over what."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import threading
import time
import urllib.request
from contextlib import closing
from datetime import timedelta

import pytest

from tiktok_erp.cli.sign_in import consent_link, read_answer
from tiktok_erp.config.settings import Settings
from tiktok_erp.errors import SettingsError, SignInError, UsageError

WITHOUT_TOKENS = {"TIKTOK_SHOP_ACCESS_TOKEN": "", "TIKTOK_SHOP_REFRESH_TOKEN": "", "TIKTOK_SHOP_CIPHER": ""}


def new_code(shop):
    """Let the simulated seller agree; the code may not be told by any command."""
    code = shop.simulator.accounts.new_auth_code(shop.simulator.gateway.clock())
    shop.folder.planted.add(code)
    return code


def log_in(shop, *arguments, **options):
    finished = shop.run("auth", "login", *arguments, stdin=new_code(shop) + "\n", **options)
    shop.hide()
    return finished


def consent(shop, change):
    """Change the entry of the newest consent in the token file."""
    content = json.loads(token_file(shop).read_text())
    change(content["consents"][0])
    token_file(shop).write_text(json.dumps(content))


def token_file(shop):
    return shop.folder.path / "shop.db.tokens"


@pytest.fixture
def app(open_shop):
    """A folder that has the app's key and secret, and no tokens."""
    shop = open_shop(orders=8)
    shop.folder.environment |= WITHOUT_TOKENS | {"TIKTOK_SHOP_CONSENT_URL": shop.simulator.consent_url}
    return shop


# Signing in


def test_the_link_leads_to_a_consent_whose_address_signs_in(app):
    with app.folder.start("auth", "login", stdin=subprocess.PIPE) as process:
        link = next(line.strip() for line in process.stdout if "/open/authorize" in line)
        with urllib.request.urlopen(link) as page:
            query = re.search(r"<code>(.*?)</code>", page.read().decode())[1].replace("&amp;", "&")
        stdout, stderr = process.communicate(f"https://seller.example/back{query}\n", timeout=60)
    app.hide()
    assert process.returncode == 0, stderr
    assert "signed in" in stdout
    assert "carries no" not in stderr
    assert app.folder.private_in(stdout + stderr) == []


def test_after_a_login_no_token_is_needed_in_the_environment(app):
    log_in(app)
    app.run("sync", "--quiet")
    assert app.folder.value("SELECT count(*) FROM orders") == 8


def test_the_tokens_are_for_this_user_alone(app):
    log_in(app)
    assert stat.S_IMODE(token_file(app).stat().st_mode) == 0o600


def test_a_bare_code_is_taken_with_a_note_that_nothing_proves_whose_it_is(app):
    assert "carries no `state`" in log_in(app).stderr


def test_a_login_wins_over_tokens_that_died_in_the_environment(open_shop):
    shop = open_shop(orders=8)
    shop.simulator.accounts.newest().revoked = shop.simulator.accounts.newest().refresh_dead = True
    shop.run("sync", "--quiet", expect=4)
    log_in(shop)
    shop.run("sync", "--quiet")


def test_a_fresh_consent_in_the_environment_wins_over_a_login(app):
    log_in(app)
    fresh = app.simulator.accounts.grant(time.time())
    app.hide()
    tokens = {"TIKTOK_SHOP_ACCESS_TOKEN": fresh.access_token, "TIKTOK_SHOP_REFRESH_TOKEN": fresh.refresh_token}
    (line,) = app.run("auth", "status", "--json", environment=tokens).of("auth")
    assert (line["token_source"], line["sign_in"]) == ("environment", "works")


@pytest.mark.parametrize("word", ["auth_denied", "access_denied"])
def test_a_seller_who_refuses_is_told_as_such(app, word):
    finished = app.run("auth", "login", "--json", stdin=f"https://s.example/?code=null&error={word}&state=x", expect=4)
    (error,) = finished.errors
    assert error["cause"] == "consent_denied"
    assert word in error["text"]
    assert "access_token" not in token_file(app).read_text()


def test_an_answer_to_another_link_is_not_taken(app):
    address = f"https://s.example/?code={new_code(app)}&state=of-somebody-else"
    (error,) = app.run("auth", "login", "--json", stdin=address, expect=4).errors
    assert error["cause"] == "state_mismatch"
    assert app.ledger()["calls"].get("GET /api/v2/token/get", 0) == 0


def test_the_answer_to_a_link_of_an_earlier_run_is_taken(app):
    link = app.run("auth", "login", "--json", stdin="", expect=2).of("consent")[0]["url"]
    state = link.rpartition("state=")[2]
    finished = app.run("auth", "login", stdin=f"https://s.example/?code={new_code(app)}&state={state}")
    assert "carries no" not in finished.stderr


def test_no_answer_is_bad_usage_and_changes_no_token(app):
    (error,) = app.run("auth", "login", "--json", expect=2).errors
    assert error["cause"] == "no_code"


def test_a_used_code_says_to_start_over_and_leaves_the_tokens_as_they_are(app):
    log_in(app)
    before = json.loads(token_file(app).read_text())["consents"]
    code = new_code(app)
    del app.simulator.accounts.auth_codes[code]
    (error,) = [
        line for line in app.run("auth", "login", "--json", stdin=code, expect=4).errors if line["kind"] == "error"
    ]
    assert "auth login" in error["next_step"]
    assert json.loads(token_file(app).read_text())["consents"] == before


def test_a_code_that_the_channel_quotes_is_not_told(app):
    code = new_code(app)
    body = json.dumps({"code": 36004004, "message": f"Authorization code {code} is invalid", "request_id": "1"})
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def refuse():
            connection, _address = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        threading.Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        finished = app.run("auth", "login", stdin=code, expect=4, environment={"TIKTOK_SHOP_AUTH_URL": url})
    assert "***" in finished.stderr


def test_a_lost_answer_says_that_the_code_may_be_used_up(app):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def take_and_hang_up():
            connection, _address = server.accept()
            with connection:
                connection.recv(4096)

        threading.Thread(target=take_and_hang_up, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        finished = app.run(
            "auth", "login", "--json", stdin=new_code(app), expect=6, environment={"TIKTOK_SHOP_AUTH_URL": url}
        )
    error = finished.errors[-1]
    assert error["cause"] == "code_lost"
    assert "once more" in error["next_step"]


def test_the_consent_of_another_seller_is_not_stored(app):
    app.run("init", "--quiet")
    _write(app, "INSERT INTO meta VALUES ('shop', '7495000000000000001')")
    finished = app.run("auth", "login", "--json", stdin=new_code(app), expect=5)
    assert finished.errors[-1]["cause"] == "other_shop"
    assert "access_token" not in token_file(app).read_text()


def test_a_login_is_kept_when_the_token_may_not_list_shops(open_shop):
    shop = open_shop(orders=8, scopes="seller.order.info")
    shop.folder.environment |= WITHOUT_TOKENS
    assert "could not be listed" in log_in(shop).stderr
    assert "access_token" in token_file(shop).read_text()


def test_a_dry_run_shows_the_link_and_keeps_nothing(app):
    app.run("init", "--quiet")
    before = app.folder.files()
    finished = app.run("auth", "login", "--dry-run", "--json")
    assert finished.of("consent", result="planned")
    assert app.folder.files() == before
    assert not token_file(app).exists()


def test_a_login_without_the_app_is_refused(folder):
    folder.run("init", "--quiet")
    (error,) = folder.run("auth", "login", "--json", stdin="TTP_x", expect=4).errors
    assert error["cause"] == "no_credentials"


def test_an_unknown_market_is_bad_usage(app):
    app.run("auth", "login", "--market", "moon", stdin="x", expect=2)


def test_without_a_service_id_a_code_is_still_taken(app):
    app.folder.environment |= {"TIKTOK_SHOP_CONSENT_URL": ""}
    assert "TIKTOK_SHOP_SERVICE_ID" in log_in(app).stderr


def test_a_consent_page_without_https_is_refused(app):
    environment = {"TIKTOK_SHOP_CONSENT_URL": "http://services.example/open/authorize"}
    app.run("auth", "login", stdin="x", expect=5, environment=environment)


# Several shops under one token


@pytest.fixture
def three(open_shop):
    shop = open_shop(orders=8, shops=3)
    shop.folder.environment |= WITHOUT_TOKENS
    return shop


def test_several_shops_are_listed_and_none_is_guessed(three):
    finished = log_in(three, "--json")
    shops = finished.of("shop")
    assert len({line["shop_id"] for line in shops}) == 3
    assert [line["is_used"] for line in shops] == [False] * 3
    assert {line["region"] for line in shops} == {"US"}
    assert any("TIKTOK_SHOP_CIPHER" in line["text"] for line in finished.errors)


@pytest.mark.parametrize("setting", ["cipher", "id", "name"])
def test_a_shop_is_chosen_by_cipher_id_or_name(three, setting):
    first = three.simulator.shop
    names = {
        "cipher": three.simulator.cipher,
        "id": first.shop_id,
        "name": log_in(three, "--json").of("shop", shop_id=first.shop_id)[0]["name"],
    }
    three.folder.environment |= {"TIKTOK_SHOP_CIPHER": names[setting]}
    if setting != "name":
        log_in(three)
    used = three.run("auth", "status", "--json").of("shop", is_used=True)
    assert [line["shop_id"] for line in used] == [first.shop_id]
    three.run("sync", "--quiet")
    assert three.folder.value("SELECT count(*) FROM orders") == 8


# Status


def test_status_tells_how_long_tokens_and_consent_last(app):
    log_in(app)
    (line,) = app.run("auth", "status", "--json").of("auth")
    assert (line["access_days_left"], line["consent_days_left"]) in ((6, 364), (7, 365))
    assert (line["sign_in"], line["token_source"], line["seller_name"]) == ("works", "file", "Simulated seller")
    assert abs(line["clock_skew_s"]) < 5
    assert "seller.order.info" in line["granted_scopes"]
    assert line["missing_scopes"] == {}


def test_what_nobody_told_about_tokens_of_the_environment_is_unknown(shop):
    shop.run("init", "--quiet")
    finished = shop.run("auth", "status", "--json")
    (line,) = finished.of("auth")
    assert [line[name] for name in ("access_days_left", "consent_days_left", "granted_scopes", "missing_scopes")] == [
        None
    ] * 4
    assert "unknown" in shop.run("auth", "status").stdout


def test_status_names_what_the_missing_scopes_are_for(open_shop):
    scopes = "seller.authorization.info,seller.order.info,seller.product.basic,seller.fulfillment.basic"
    shop = open_shop(orders=8, scopes=scopes)
    shop.folder.environment |= WITHOUT_TOKENS
    log_in(shop)
    (line,) = shop.run("auth", "status", "--json").of("auth")
    assert line["missing_scopes"] == {
        "sync": ["seller.return_refund.basic", "seller.affiliate_collaboration.read"],
        "reserve-stock": ["seller.product.write"],
        "upload-tracking": ["seller.logistics"],
        "orders answer": ["seller.return_refund.basic"],
    }
    assert line["commands_without_scope"] == ["reserve-stock", "upload-tracking", "orders answer"]
    assert "`upload-tracking` lacks seller.logistics" in shop.run("auth", "status").stdout


def test_a_consent_that_ends_soon_is_a_warning(app):
    log_in(app)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + timedelta(days=20.5).total_seconds()))
    consent(app, lambda entry: entry.update(refresh_expires_at=soon))
    finished = app.run("auth", "status")
    assert "ends in 20 days" in finished.stderr


def test_status_ends_with_4_when_sign_in_fails(app):
    log_in(app)
    grant = app.simulator.accounts.newest()
    grant.revoked = grant.refresh_dead = True
    finished = app.run("auth", "status", "--json", expect=4)
    (line,) = finished.of("auth")
    assert line["sign_in"] == "fails"
    assert finished.errors[-1]["kind"] == "error"


def test_status_measures_the_channels_clock_against_ours(open_shop):
    shop = open_shop(orders=8, faults="clock_skew:1")
    shop.run("init", "--quiet")
    (line,) = shop.run("auth", "status", "--json").of("auth")
    assert line["clock_skew_s"] == pytest.approx(400, abs=5)


def test_status_records_no_run_and_changes_no_token(app):
    log_in(app)
    before = token_file(app).read_bytes(), app.folder.value("SELECT count(*) FROM runs")
    app.run("auth", "status")
    assert (token_file(app).read_bytes(), app.folder.value("SELECT count(*) FROM runs")) == before


def test_status_without_credentials_ends_with_4(folder):
    folder.run("init", "--quiet")
    (error,) = folder.run("auth", "status", "--json", expect=4).errors
    assert error["cause"] == "no_credentials"


# Refresh


def test_refresh_renews_now_and_learns_what_was_unknown(shop):
    before = shop.simulator.accounts.newest()
    (line,) = shop.run("auth", "refresh", "--json").of("auth")
    shop.hide()
    assert shop.simulator.accounts.newest() is not before
    assert line["result"] == "done"
    assert line["access_days_left"] in (6, 7)
    assert line["missing_scopes"] == {}
    shop.run("sync", "--quiet")


def test_a_dry_refresh_asks_nobody(shop):
    before = shop.simulator.accounts.newest()
    shop.run("auth", "refresh", "--dry-run")
    assert shop.simulator.accounts.newest() is before


def test_a_dead_refresh_token_ends_with_4(shop):
    shop.simulator.accounts.newest().refresh_dead = True
    shop.run("auth", "refresh", expect=4)


# The consent link

APP = {"TIKTOK_SHOP_APP_KEY": "key", "TIKTOK_SHOP_SERVICE_ID": "7340"}


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("https://c.example", "https://c.example/open/authorize?service_id=7340&state=s"),
        ("https://c.example/", "https://c.example/open/authorize?service_id=7340&state=s"),
        ("https://c.example/open/authorize", "https://c.example/open/authorize?service_id=7340&state=s"),
        ("https://c.example/open/authorize?service_id=55", "https://c.example/open/authorize?service_id=55&state=s"),
        ("https://c.example/a?service_id=55&state=old", "https://c.example/a?service_id=55&state=s"),
        ("https://c.example/oauth/authorize", "https://c.example/oauth/authorize?app_key=key&state=s"),
        ("http://127.0.0.1:8/open/authorize", "http://127.0.0.1:8/open/authorize?service_id=7340&state=s"),
    ],
)
def test_a_set_page_is_used_as_it_is_with_what_it_lacks(page, link):
    settings = Settings(APP | {"TIKTOK_SHOP_CONSENT_URL": page})
    made = consent_link(settings, "s", market="us")
    assert (made.url, made.others) == (link, ())


def test_without_a_set_page_the_official_ones_are_named_all():
    us, other = (consent_link(Settings(APP), "s", market=market) for market in ("us", "other"))
    assert us.url == "https://services.us.tiktokshop.com/open/authorize?service_id=7340&state=s"
    assert other.url == "https://services.tiktokshop.com/open/authorize?service_id=7340&state=s"
    assert {us.url, *us.others} == {other.url, *other.others}
    assert len(us.others) == 2


@pytest.mark.parametrize("page", ["http://c.example", "ftp://c.example", "c.example", "https://", "http://[::1"])
def test_a_page_that_is_no_safe_address_is_refused(page):
    with pytest.raises(SettingsError) as caught:
        consent_link(Settings(APP | {"TIKTOK_SHOP_CONSENT_URL": page}), "s", market="us")
    assert caught.value.subject == "TIKTOK_SHOP_CONSENT_URL"


def test_a_page_that_needs_a_service_id_says_so():
    with pytest.raises(SettingsError) as caught:
        consent_link(Settings({"TIKTOK_SHOP_APP_KEY": "key"}), "s", market="us")
    assert caught.value.subject == "TIKTOK_SHOP_SERVICE_ID"


# What the seller pastes


@pytest.mark.parametrize(
    ("pasted", "code", "state"),
    [
        ("TTP_abc", "TTP_abc", None),
        ("  TTP_abc \r\n", "TTP_abc", None),
        ("'TTP_abc'", "TTP_abc", None),
        ("ROW_ab-c_d==", "ROW_ab-c_d==", None),
        ("https://s.example/cb?code=TTP_abc&state=s1", "TTP_abc", "s1"),
        ("https://s.example/cb?app_key=k&code=TTP_abc&locale=en&shop_region=US&state=s1", "TTP_abc", "s1"),
        ("https://s.example/cb?code=TTP_abc", "TTP_abc", None),
        ("<https://s.example/cb?code=TTP_abc&state=s1>", "TTP_abc", "s1"),
        ("https://s.example/#/cb?code=TTP_abc&state=s1", "TTP_abc", "s1"),
        ("localhost:8080/cb?code=TTP_abc&state=s1", "TTP_abc", "s1"),
        ("?code=TTP_abc&state=s1", "TTP_abc", "s1"),
        ("code=TTP_abc&state=s1", "TTP_abc", "s1"),
        ("https://s.example/?code=a%2Bb%2F%3D&state=s%201", "a+b/=", "s 1"),
        ("https://s.example/?code=a+b", "a+b", None),
    ],
)
def test_every_form_of_an_answer_is_read(pasted, code, state):
    answer = read_answer(pasted)
    assert (answer.code.reveal(), answer.state) == (code, state)


@pytest.mark.parametrize(
    "pasted",
    ["", "   ", "null", "https://s.example/cb", "https://s.example/?state=s", "?code=null", "two words", "http://[::1"],
)
def test_what_holds_no_code_is_refused_without_being_shown(pasted):
    with pytest.raises(UsageError) as caught:
        read_answer(pasted)
    assert caught.value.cause == "no_code"


def test_a_refusal_shows_no_more_than_its_word():
    with pytest.raises(SignInError) as caught:
        read_answer("https://s.example/?error=<script>auth_denied" + "x" * 500)
    assert "<" not in caught.value.what
    assert len(caught.value.what) < 150


def _write(shop, sql):
    import sqlite3

    with closing(sqlite3.connect(shop.folder.db)) as connection, connection:
        connection.execute(sql)
