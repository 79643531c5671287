"""Renewed tokens on disk: written whole, before their first use, by one process at a time, and for nobody else to read."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import SettingsError, SignInError
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.secret import Secret

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db.tokens"


def open_tokens(path: Path, access: str = "access-0", refresh: str = "refresh-0") -> TokenFile:
    return TokenFile(path, access_token=Secret(access), refresh_token=Secret(refresh))


def pair(number: int, *, ends: datetime | None = None) -> TokenPair:
    return TokenPair(Secret(f"access-{number}"), Secret(f"refresh-{number}"), ends, None)


class Exchange:
    """Answers each refresh token once, as a strict token server does."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, refresh_token: Secret) -> TokenPair:
        self.asked.append(refresh_token.reveal())
        return pair(int(refresh_token.reveal().partition("-")[2]) + 1)


def test_without_a_file_the_pair_of_the_environment_counts(path: Path) -> None:
    assert open_tokens(path).current() == Secret("access-0")
    assert not path.exists()


def test_a_renewed_pair_is_on_disk_and_counts_from_then_on(path: Path) -> None:
    tokens, exchange = open_tokens(path), Exchange()
    assert tokens.renew(Secret("access-0"), exchange) == Secret("access-1")
    assert tokens.current() == Secret("access-1")
    assert open_tokens(path).current() == Secret("access-1")
    assert exchange.asked == ["refresh-0"]


def test_the_next_renewal_uses_the_renewed_refresh_token(path: Path) -> None:
    exchange = Exchange()
    open_tokens(path).renew(Secret("access-0"), exchange)
    open_tokens(path).renew(Secret("access-1"), exchange)
    assert exchange.asked == ["refresh-0", "refresh-1"]


def test_the_pair_before_is_kept_beside_the_new_one(path: Path) -> None:
    open_tokens(path).renew(Secret("access-0"), Exchange())
    before = json.loads(path.read_text())["before"]
    assert before == {"access_token": "access-0", "refresh_token": "refresh-0"}


def test_a_process_that_comes_late_takes_what_the_first_one_stored(path: Path) -> None:
    early, late, exchange = open_tokens(path), open_tokens(path), Exchange()
    early.renew(Secret("access-0"), exchange)
    assert late.renew(Secret("access-0"), exchange) == Secret("access-1")
    assert exchange.asked == ["refresh-0"]


def test_of_many_at_once_one_asks(path: Path) -> None:
    exchange = Exchange()
    barrier = threading.Barrier(6)
    got: list[Secret] = []

    def renew() -> None:
        tokens = open_tokens(path)
        barrier.wait()
        got.append(tokens.renew(Secret("access-0"), exchange))

    threads = [threading.Thread(target=renew) for _process in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exchange.asked == ["refresh-0"]
    assert set(got) == {Secret("access-1")}


def test_the_file_and_its_lock_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        open_tokens(path).renew(Secret("access-0"), Exchange())
    finally:
        os.umask(before)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"shop.db.tokens": 0o600, "shop.db.tokens.lock": 0o600}


def test_a_renewal_that_fails_changes_nothing(path: Path) -> None:
    tokens = open_tokens(path)
    tokens.renew(Secret("access-0"), Exchange())
    before = path.read_bytes()

    def refuse(refresh_token: Secret) -> TokenPair:
        raise SignInError("no", subject="token", next_step="")

    with pytest.raises(SignInError):
        tokens.renew(Secret("access-1"), refuse)
    assert path.read_bytes() == before
    assert tokens.current() == Secret("access-1")


def test_a_crash_while_writing_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = open_tokens(path)
    tokens.renew(Secret("access-0"), Exchange())
    before = path.read_bytes()

    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space"):
        tokens.renew(Secret("access-1"), Exchange())
    assert path.read_bytes() == before


def test_the_file_is_replaced_and_never_written_over(path: Path) -> None:
    tokens, exchange = open_tokens(path), Exchange()
    tokens.renew(Secret("access-0"), exchange)
    with path.open() as reader:
        tokens.renew(Secret("access-1"), exchange)
        assert json.load(reader)["access_token"] == "access-1"
    assert json.loads(path.read_text())["access_token"] == "access-2"


def test_a_fresh_consent_in_the_environment_wins_over_what_was_stored(path: Path) -> None:
    open_tokens(path).renew(Secret("access-0"), Exchange())
    assert open_tokens(path, "access-50", "refresh-50").current() == Secret("access-50")
    exchange = Exchange()
    open_tokens(path, "access-50", "refresh-50").renew(Secret("access-50"), exchange)
    assert exchange.asked == ["refresh-50"]
    assert open_tokens(path, "access-50", "refresh-50").current() == Secret("access-51")


def test_an_access_token_alone_is_known_by_itself(path: Path) -> None:
    tokens = open_tokens(path, refresh="")
    tokens.remember("shop", "one")
    assert open_tokens(path, refresh="").recall("shop") == "one"
    assert open_tokens(path, "access-9", "").recall("shop") is None


def test_without_a_refresh_token_the_seller_is_told_what_to_set(path: Path) -> None:
    with pytest.raises(SignInError) as caught:
        open_tokens(path, refresh="").renew(Secret("access-0"), Exchange())
    assert "TIKTOK_SHOP_REFRESH_TOKEN" in caught.value.next_step


def test_a_token_is_ending_from_the_moment_it_dies(path: Path) -> None:
    tokens = open_tokens(path)
    assert not tokens.is_ending(NOON)  # nobody told when the first one dies
    tokens.renew(Secret("access-0"), lambda refresh_token: pair(1, ends=NOON))
    for reader in (tokens, open_tokens(path)):
        assert not reader.is_ending(NOON - timedelta(seconds=1))
        assert reader.is_ending(NOON)


def test_facts_are_kept_through_a_renewal_but_not_for_other_credentials(path: Path) -> None:
    tokens = open_tokens(path)
    tokens.remember("shop", "7495540735365777507")
    tokens.renew(Secret("access-0"), Exchange())
    assert open_tokens(path).recall("shop") == "7495540735365777507"
    assert open_tokens(path).recall("other") is None
    assert open_tokens(path, "access-9", "refresh-9").recall("shop") is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"origin": "x', b"null bytes \x00"])
def test_a_file_of_garbage_is_a_setting_to_correct(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        open_tokens(path)
    assert caught.value.subject == str(path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "{}", '{"origin": 5}', '{"origin": "another"}'])
def test_a_file_of_somebody_elses_pair_counts_for_nothing(path: Path, content: str) -> None:
    path.write_text(content)
    assert open_tokens(path).current() == Secret("access-0")


def test_an_unreadable_time_in_the_file_means_that_it_is_not_known(path: Path) -> None:
    tokens = open_tokens(path)
    tokens.renew(Secret("access-0"), lambda refresh_token: pair(1, ends=NOON))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"access_expires_at": "next week", "facts": []}))
    reader = open_tokens(path)
    assert reader.current() == Secret("access-1")
    assert not reader.is_ending(NOON)
    assert reader.recall("shop") is None
    reader.remember("shop", "7495")
    assert reader.recall("shop") == "7495"


def test_no_token_is_in_any_error(path: Path) -> None:
    path.write_text('{"access_token": "TTP_planted"')
    with pytest.raises(SettingsError) as caught:
        open_tokens(path, "TTP_given", "TTP_given_refresh")
    assert "TTP_" not in f"{caught.value} {caught.value.subject} {caught.value.next_step}"
