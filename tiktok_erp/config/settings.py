"""Settings from the environment, a secrets file or the system keyring. Never from arguments."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from tiktok_erp.errors import SettingsError, SignInError
from tiktok_erp.messages import tr
from tiktok_erp.model.credentials import EasyPostCredentials, TikTokCredentials
from tiktok_erp.model.secret import Secret

TIKTOK_API_URL = "https://open-api.tiktokglobalshop.com"
TIKTOK_AUTH_URL = "https://auth.tiktok-shops.com"
# TikTok reference, section 1.1. Which one an app must use depends on the market that it is registered for; the first of
# a market is the one of the current documents.
TIKTOK_CONSENT_URLS = {
    "us": ("https://services.us.tiktokshop.com/open/authorize", "https://services.tiktokshops.us/open/authorize"),
    "other": ("https://services.tiktokshop.com/open/authorize",),
}
EASYPOST_API_URL = "https://api.easypost.com/v2"
_SECRETS_FILE = "TIKTOK_ERP_SECRETS"
_KEYRING_SERVICE = "tiktok_erp"


class Settings:
    """Looks a name up in the environment, then in the file named by TIKTOK_ERP_SECRETS, then in the keyring."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        file_name = self._environment.get(_SECRETS_FILE)
        self._file = _read_secrets_file(Path(file_name)) if file_name else {}

    def get(self, name: str, default: str = "") -> str:
        """Return the value of `name`, or `default` where it is set nowhere."""
        return self._environment.get(name) or self._file.get(name) or _from_keyring(name) or default

    def tiktok_is_set(self) -> bool:
        """Tell whether there are any TikTok credentials at all."""
        return bool(self.get("TIKTOK_SHOP_APP_KEY"))

    def tiktok(self, *, has_tokens: bool = False) -> TikTokCredentials:
        """Return the TikTok credentials. Raises SignInError naming every setting that is missing.

        With `has_tokens` (stored by `auth login`, or to be) the app's key and secret are enough.
        """
        required = ("TIKTOK_SHOP_APP_KEY", "TIKTOK_SHOP_APP_SECRET")
        missing = [name for name in required if not self.get(name)]
        has_tokens = has_tokens or bool(self.get("TIKTOK_SHOP_ACCESS_TOKEN") or self.get("TIKTOK_SHOP_REFRESH_TOKEN"))
        if not missing and not has_tokens:
            raise SignInError(
                tr("there is no token for TikTok Shop: {name} is not set", name="TIKTOK_SHOP_ACCESS_TOKEN"),
                subject="TIKTOK_SHOP_",
                next_step=tr("run `tiktok-erp auth login`, or set the tokens of the seller's consent"),
                cause="no_credentials",
            )
        if not has_tokens:
            missing.append("TIKTOK_SHOP_ACCESS_TOKEN")
        if missing:
            raise SignInError(
                tr("there are no credentials for TikTok Shop: {names} not set", names=", ".join(missing)),
                subject="TIKTOK_SHOP_",
                next_step=tr(
                    "set them in the environment or in the file named by TIKTOK_ERP_SECRETS, or work from files (`sync --from FILE`)"
                ),
                cause="no_credentials",
            )
        return TikTokCredentials(
            app_key=self.get("TIKTOK_SHOP_APP_KEY"),
            app_secret=Secret(self.get("TIKTOK_SHOP_APP_SECRET")),
            cipher=Secret(self.get("TIKTOK_SHOP_CIPHER")),
            api_url=self.get("TIKTOK_SHOP_API_URL", TIKTOK_API_URL),
            auth_url=self.get("TIKTOK_SHOP_AUTH_URL", TIKTOK_AUTH_URL),
        )

    def easypost(self) -> EasyPostCredentials | None:
        """Return the key of EasyPost, None where there is none."""
        key = self.get("EASYPOST_API_KEY")
        if not key:
            return None
        return EasyPostCredentials(Secret(key), self.get("EASYPOST_API_URL", EASYPOST_API_URL))


def _read_secrets_file(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines. Raises SettingsError when it is missing, unreadable or open to other people."""
    try:
        mode = path.stat().st_mode
        content = path.read_text("utf-8-sig")  # Windows editors begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            tr("the secrets file cannot be read ({reason})", reason=type(error).__name__),
            subject=str(path),
            next_step=tr("correct {setting}", setting=_SECRETS_FILE),
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            tr("other people on this machine can read the secrets file"),
            subject=str(path),
            next_step=tr("run `chmod 600 {path}`", path=path),
        )
    values = {}
    for number, line in enumerate(content.splitlines(), start=1):
        plain = line.strip().removeprefix("export ").strip()
        if not plain or plain.startswith("#"):
            continue
        name, separator, value = plain.partition("=")
        if not separator or not name.strip().isidentifier():
            raise SettingsError(
                tr("a line is not NAME=value"),
                subject=f"{path}:{number}",
                next_step=tr("correct this line of the secrets file"),
            )
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def _from_keyring(name: str) -> str:
    # Optional: only somebody who installed `keyring` can have put a secret there.
    if "keyring" not in sys.modules:
        from importlib.util import find_spec

        if find_spec("keyring") is None:
            return ""
    import keyring  # type: ignore[import-not-found, unused-ignore]  # optional, not installed where we check types

    try:
        return str(keyring.get_password(_KEYRING_SERVICE, name) or "")
    except keyring.errors.KeyringError:
        return ""
