"""Settings: where they are looked up, the secrets file and its mode, and secrets that stay unseen."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from tiktok_erp.config.settings import TIKTOK_API_URL, TIKTOK_AUTH_URL, Settings
from tiktok_erp.errors import SettingsError, SignInError
from tiktok_erp.model.credentials import TikTokCredentials, TokenPair
from tiktok_erp.model.secret import Secret

WHOLE = {
    "TIKTOK_SHOP_APP_KEY": "6jq1u0t5s2e",
    "TIKTOK_SHOP_APP_SECRET": "b7f0c1d2e3a4",
    "TIKTOK_SHOP_ACCESS_TOKEN": "TTP_access",
    "TIKTOK_SHOP_REFRESH_TOKEN": "TTP_refresh",
    "TIKTOK_SHOP_CIPHER": "ROW_cipher",
}


def secrets_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets.env"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def settings_from(folder: Path, text: str, **environment: str) -> Settings:
    return Settings({"TIKTOK_ERP_SECRETS": str(secrets_file(folder, text)), **environment})


def test_the_environment_alone_is_enough() -> None:
    credentials = Settings(WHOLE).tiktok()
    assert credentials == TikTokCredentials(
        app_key="6jq1u0t5s2e",
        app_secret=Secret("b7f0c1d2e3a4"),
        cipher=Secret("ROW_cipher"),
        api_url=TIKTOK_API_URL,
        auth_url=TIKTOK_AUTH_URL,
    )


def test_the_official_hosts_can_be_replaced() -> None:
    credentials = Settings(WHOLE | {"TIKTOK_SHOP_API_URL": "http://127.0.0.1:8080"}).tiktok()
    assert (credentials.api_url, credentials.auth_url) == ("http://127.0.0.1:8080", TIKTOK_AUTH_URL)


def test_every_missing_name_is_told_at_once() -> None:
    with pytest.raises(SignInError) as caught:
        Settings({}).tiktok()
    for name in ("TIKTOK_SHOP_APP_KEY", "TIKTOK_SHOP_APP_SECRET", "TIKTOK_SHOP_ACCESS_TOKEN"):
        assert name in caught.value.what
    assert caught.value.cause == "no_credentials"
    assert not Settings({}).tiktok_is_set()


def test_a_refresh_token_alone_is_enough_to_sign_in() -> None:
    partial = {name: value for name, value in WHOLE.items() if name != "TIKTOK_SHOP_ACCESS_TOKEN"}
    assert Settings(partial).tiktok().app_key == "6jq1u0t5s2e"


def test_after_a_login_the_app_alone_is_enough() -> None:
    app = {name: WHOLE[name] for name in ("TIKTOK_SHOP_APP_KEY", "TIKTOK_SHOP_APP_SECRET")}
    assert Settings(app).tiktok(has_tokens=True).app_key == "6jq1u0t5s2e"
    with pytest.raises(SignInError) as caught:
        Settings(app).tiktok()
    assert caught.value.cause == "no_credentials"
    assert "auth login" in caught.value.next_step


def test_a_login_needs_the_app() -> None:
    with pytest.raises(SignInError) as caught:
        Settings({}).tiktok(has_tokens=True)
    assert "TIKTOK_SHOP_APP_SECRET" in caught.value.what
    assert "ACCESS_TOKEN" not in caught.value.what


def test_an_empty_setting_counts_as_not_set() -> None:
    with pytest.raises(SignInError, match="TIKTOK_SHOP_APP_SECRET"):
        Settings(WHOLE | {"TIKTOK_SHOP_APP_SECRET": ""}).tiktok()


@pytest.mark.parametrize(
    "line",
    [
        "TIKTOK_SHOP_APP_SECRET=s3cret=with=equals",
        "export TIKTOK_SHOP_APP_SECRET=s3cret=with=equals",
        "  TIKTOK_SHOP_APP_SECRET = s3cret=with=equals  ",
        'TIKTOK_SHOP_APP_SECRET="s3cret=with=equals"',
        "TIKTOK_SHOP_APP_SECRET='s3cret=with=equals'",
        "# a remark\n\nTIKTOK_SHOP_APP_SECRET=s3cret=with=equals\n",
        "TIKTOK_SHOP_APP_SECRET=old\nTIKTOK_SHOP_APP_SECRET=s3cret=with=equals",
        "\ufeffTIKTOK_SHOP_APP_SECRET=s3cret=with=equals",
        "TIKTOK_SHOP_APP_SECRET=s3cret=with=equals\r\n",
    ],
)
def test_every_usual_form_of_a_secrets_file_is_read(tmp_path: Path, line: str) -> None:
    assert settings_from(tmp_path, line).get("TIKTOK_SHOP_APP_SECRET") == "s3cret=with=equals"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = settings_from(tmp_path, "TIKTOK_SHOP_APP_KEY=file", TIKTOK_SHOP_APP_KEY="environment")
    assert settings.get("TIKTOK_SHOP_APP_KEY") == "environment"


def test_the_default_comes_last(tmp_path: Path) -> None:
    assert settings_from(tmp_path, "A=file").get("A", "default") == "file"
    assert settings_from(tmp_path, "A=file").get("B", "default") == "default"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601, 0o620])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = secrets_file(tmp_path, "TIKTOK_SHOP_APP_SECRET=hidden", mode)
    with pytest.raises(SettingsError) as caught:
        Settings({"TIKTOK_ERP_SECRETS": str(path)})
    assert f"chmod 600 {path}" in caught.value.next_step
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    path = secrets_file(tmp_path, "A=b", mode)
    assert Settings({"TIKTOK_ERP_SECRETS": str(path)}).get("A") == "b"


def test_a_named_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings({"TIKTOK_ERP_SECRETS": str(tmp_path / "none.env")})


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = secrets_file(tmp_path, "")
    path.write_bytes(b"\xff\xfe\x00A")
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings({"TIKTOK_ERP_SECRETS": str(path)})


@pytest.mark.parametrize("line", ["just words", "=hidden", "TWO WORDS=hidden", "1NAME=hidden"])
def test_a_line_that_is_no_setting_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from(tmp_path, f"A=b\n{line}\n")
    assert caught.value.subject.endswith("secrets.env:2")
    assert line not in f"{caught.value} {caught.value.next_step}"


def test_the_keyring_is_asked_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, name: f"{service}/{name}"  # type: ignore[attr-defined]
    keyring.errors = types.SimpleNamespace(KeyringError=RuntimeError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    settings = settings_from(tmp_path, "A=file")
    assert settings.get("A") == "file"
    assert settings.get("B") == "tiktok_erp/B"


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("TTP_access")
    assert [repr(secret), str(secret), f"{secret}", f"{secret!r:>5}"] == ["***", "***", "***", "  ***"]
    assert secret.reveal() == "TTP_access"


def test_nothing_that_holds_a_secret_shows_it() -> None:
    credentials = Settings(WHOLE).tiktok()
    pair = TokenPair(Secret("TTP_access"), Secret("TTP_refresh"))
    shown = f"{credentials!r} {pair!r} {[Secret('TTP_access')]}"
    assert not any(WHOLE[name] in shown for name in WHOLE if name != "TIKTOK_SHOP_APP_KEY")
    assert shown.count("***") == 5


def test_secrets_compare_and_are_false_when_empty() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
