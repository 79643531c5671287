"""Renewed tokens on disk: written whole, before their first use, by one process at a time, and for nobody else to read."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.config.settings import Settings
from tiktok_erp.config.token_files import TokenFiles
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.config.tokens import open_tokens as open_tokens_of
from tiktok_erp.errors import SettingsError, SignInError, StoreError
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.secret import Secret

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db.tokens"


def open_tokens(path: Path, access: str = "access-0", refresh: str = "refresh-0") -> TokenFile:
    return TokenFile(path, access_token=Secret(access), refresh_token=Secret(refresh))


def newest(path: Path) -> dict[str, Any]:
    """Return the entry of the newest consent in the file."""
    entry: dict[str, Any] = json.loads(path.read_text())["consents"][0]
    return entry


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
    before = newest(path)["before"]
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
    with pytest.raises(StoreError, match="No space"):
        tokens.renew(Secret("access-1"), Exchange())
    assert path.read_bytes() == before


def test_the_file_is_replaced_and_never_written_over(path: Path) -> None:
    tokens, exchange = open_tokens(path), Exchange()
    tokens.renew(Secret("access-0"), exchange)
    with path.open() as reader:
        tokens.renew(Secret("access-1"), exchange)
        assert json.load(reader)["consents"][0]["access_token"] == "access-1"
    assert newest(path)["access_token"] == "access-2"


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


def test_when_a_token_dies_is_known_to_every_process(path: Path) -> None:
    tokens = open_tokens(path)
    assert tokens.ends_at() is None  # nobody told when the first one dies
    tokens.renew(Secret("access-0"), lambda refresh_token: pair(1, ends=NOON))
    for reader in (tokens, open_tokens(path)):
        assert reader.ends_at() == NOON


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


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '"text"',
        "{}",
        '{"origin": 5}',
        '{"origin": "another", "access_token": "x"}',
        '{"consents": 5}',
        '{"consents": [5, {"marks": 5}, {"marks": [5]}, {"access_token": "x"}]}',
    ],
)
def test_a_file_of_somebody_elses_pair_counts_for_nothing(path: Path, content: str) -> None:
    path.write_text(content)
    assert open_tokens(path).current() == Secret("access-0")


def test_an_unreadable_time_in_the_file_means_that_it_is_not_known(path: Path) -> None:
    tokens = open_tokens(path)
    tokens.renew(Secret("access-0"), lambda refresh_token: pair(1, ends=NOON))
    path.write_text(json.dumps({"consents": [newest(path) | {"access_expires_at": "next week", "facts": []}]}))
    reader = open_tokens(path)
    assert reader.current() == Secret("access-1")
    assert reader.ends_at() is None
    assert reader.recall("shop") is None
    reader.remember("shop", "7495")
    assert reader.recall("shop") == "7495"


def test_no_token_is_in_any_error(path: Path) -> None:
    path.write_text('{"access_token": "TTP_planted"')
    with pytest.raises(SettingsError) as caught:
        open_tokens(path, "TTP_given", "TTP_given_refresh")
    assert "TTP_" not in f"{caught.value} {caught.value.subject} {caught.value.next_step}"


# After `auth login`


def log_in(path: Path, number: int, access: str = "access-0", refresh: str = "refresh-0") -> None:
    open_tokens(path, access, refresh).log_in(pair(number))


def test_the_pair_of_a_login_counts_although_the_environment_still_has_the_older_one(path: Path) -> None:
    log_in(path, 40)
    assert open_tokens(path).current() == Secret("access-40")


def test_the_pair_of_a_login_needs_no_tokens_in_the_environment(path: Path) -> None:
    log_in(path, 40, "", "")
    tokens = open_tokens(path, "", "")
    assert (tokens.current(), tokens.is_stored, tokens.is_empty) == (Secret("access-40"), True, False)


def test_the_pair_of_a_login_stays_when_the_older_tokens_leave_the_environment(path: Path) -> None:
    log_in(path, 40)
    assert open_tokens(path, "", "").current() == Secret("access-40")


def test_a_fresh_consent_in_the_environment_wins_over_a_login(path: Path) -> None:
    log_in(path, 40)
    assert open_tokens(path, "access-50", "refresh-50").current() == Secret("access-50")


def test_a_consent_that_was_left_behind_does_not_come_back(path: Path) -> None:
    open_tokens(path).renew(Secret("access-0"), Exchange())
    log_in(path, 40, "access-20", "refresh-20")
    for known in (0, 20):
        assert open_tokens(path, f"access-{known}", f"refresh-{known}").current() == Secret("access-40")


def test_a_login_without_tokens_in_the_environment_supersedes_those_that_cron_still_has(path: Path) -> None:
    open_tokens(path).remember("shop", "7495")
    log_in(path, 40, "", "")
    assert open_tokens(path).current() == Secret("access-40")


def test_a_login_of_tokens_that_were_copied_into_the_environment_is_renewed_as_one(path: Path) -> None:
    log_in(path, 40)
    open_tokens(path, "access-40", "refresh-40").renew(Secret("access-40"), Exchange())
    for access, refresh in (("access-40", "refresh-40"), ("access-0", "refresh-0"), ("", "")):
        assert open_tokens(path, access, refresh).current() == Secret("access-41")


def test_a_process_that_still_has_the_older_pair_takes_that_of_the_login(path: Path) -> None:
    running, exchange = open_tokens(path), Exchange()
    log_in(path, 40)
    assert running.renew(Secret("access-0"), exchange) == Secret("access-40")
    assert exchange.asked == []


def test_a_login_is_renewed_from_its_own_refresh_token(path: Path) -> None:
    log_in(path, 40)
    exchange = Exchange()
    assert open_tokens(path).renew(Secret("access-40"), exchange) == Secret("access-41")
    assert exchange.asked == ["refresh-40"]


def test_a_login_forgets_what_was_known_about_the_shops_of_the_consent_before(path: Path) -> None:
    open_tokens(path).remember("shop", "7495")
    log_in(path, 40)
    assert open_tokens(path).recall("shop") is None


def test_the_pair_before_a_login_is_kept_beside_it(path: Path) -> None:
    log_in(path, 40)
    assert newest(path)["before"] == {"access_token": "access-0", "refresh_token": "refresh-0"}


def test_other_credentials_that_are_tried_here_do_not_cost_the_stored_pair(path: Path) -> None:
    open_tokens(path).renew(Secret("access-0"), Exchange())
    stranger = open_tokens(path, "access-90", "refresh-90")
    stranger.remember("shop", "another")
    stranger.renew(Secret("access-90"), Exchange())
    assert open_tokens(path).current() == Secret("access-1")
    assert open_tokens(path, "access-90", "refresh-90").current() == Secret("access-91")


def test_a_pair_is_known_however_often_it_was_renewed_since(path: Path) -> None:
    exchange = Exchange()
    for _week in range(120):
        tokens = open_tokens(path)
        tokens.renew(tokens.current(), exchange)
    assert open_tokens(path).current() == Secret("access-120")
    assert len(newest(path)["marks"]) == 121


def test_no_token_is_in_the_marks(path: Path) -> None:
    log_in(path, 40)
    assert not any("refresh" in mark or "access" in mark for mark in newest(path)["marks"])


def test_without_any_token_there_is_nothing_to_use(path: Path) -> None:
    tokens = open_tokens(path, "", "")
    assert (tokens.is_empty, tokens.is_stored) == (True, False)
    tokens.remember("shop", "7495")
    assert open_tokens(path, "", "").is_empty


def test_a_refresh_token_alone_is_something_to_use(path: Path) -> None:
    assert not open_tokens(path, "", "refresh-0").is_empty


def test_the_token_file_stands_beside_the_database(tmp_path: Path) -> None:
    settings = Settings({"TIKTOK_SHOP_ACCESS_TOKEN": "access-0", "TIKTOK_SHOP_REFRESH_TOKEN": "refresh-0"})
    tokens = open_tokens_of(tmp_path / "beauty.db", settings)
    assert tokens.path == tmp_path / "beauty.db.tokens"
    assert tokens.current() == Secret("access-0")


def test_a_file_of_the_first_version_is_read_and_renewed(path: Path) -> None:
    marks = newest_marks_of(path)
    path.write_text(json.dumps({"origin": marks[0], "access_token": "access-7", "refresh_token": "refresh-7"}))
    assert open_tokens(path).current() == Secret("access-7")
    assert open_tokens(path, "access-90", "refresh-90").current() == Secret("access-90")
    open_tokens(path).renew(Secret("access-7"), Exchange())
    assert open_tokens(path).current() == Secret("access-8")
    assert "origin" not in json.loads(path.read_text())


def newest_marks_of(path: Path) -> list[str]:
    """Return the marks of the plain pair of the environment."""
    open_tokens(path).remember("shop", "1")
    marks: list[str] = newest(path)["marks"]
    return marks


# What a token answer tells


TOLD = TokenPair(
    Secret("access-1"),
    Secret("refresh-1"),
    NOON,
    NOON + timedelta(days=365),
    ("seller.order.info", "seller.logistics"),
    "Glow Inc.",
    "US",
    "open-1",
)


def test_what_an_answer_tells_about_the_consent_is_kept(path: Path) -> None:
    tokens = open_tokens(path)
    tokens.renew(Secret("access-0"), lambda refresh_token: TOLD)
    assert tokens.pair == TOLD
    assert open_tokens(path).pair == TOLD


def test_what_a_later_answer_leaves_out_stays_as_it_was_told(path: Path) -> None:
    open_tokens(path).log_in(TOLD)
    open_tokens(path).renew(Secret("access-1"), lambda refresh_token: pair(2))
    kept = open_tokens(path).pair
    assert (kept.granted_scopes, kept.seller_name, kept.region) == (TOLD.granted_scopes, "Glow Inc.", "US")
    assert (kept.access_expires_at, kept.refresh_expires_at) == (None, TOLD.refresh_expires_at)


def test_a_login_takes_nothing_over_from_the_consent_before(path: Path) -> None:
    open_tokens(path).log_in(TOLD)
    open_tokens(path).log_in(pair(2))
    assert open_tokens(path).pair == pair(2)


def test_scopes_that_nobody_told_are_unknown_and_not_none(path: Path) -> None:
    assert open_tokens(path).pair.granted_scopes is None
    open_tokens(path).log_in(pair(1))
    assert open_tokens(path).pair.granted_scopes is None


# The state of a consent link


def test_a_state_is_known_to_another_process_for_a_while(path: Path) -> None:
    open_tokens(path).expect_state("s1", NOON)
    open_tokens(path).expect_state("s2", NOON + timedelta(minutes=1))
    tokens = open_tokens(path)
    assert tokens.expects_state("s1", NOON + timedelta(minutes=40))
    assert tokens.expects_state("s2", NOON + timedelta(minutes=40))
    assert not tokens.expects_state("s1", NOON + timedelta(hours=3))
    assert not tokens.expects_state("s3", NOON)


def test_a_login_uses_the_states_up(path: Path) -> None:
    open_tokens(path).expect_state("s1", NOON)
    log_in(path, 40)
    assert not open_tokens(path).expects_state("s1", NOON)


def test_expecting_a_state_changes_no_token(path: Path) -> None:
    open_tokens(path).renew(Secret("access-0"), Exchange())
    open_tokens(path).expect_state("s1", NOON)
    open_tokens(path).remember("shop", "7495")
    tokens = open_tokens(path)
    assert (tokens.current(), tokens.recall("shop")) == (Secret("access-1"), "7495")
    assert tokens.expects_state("s1", NOON)


def test_a_folder_that_cannot_be_written_is_told_before_the_exchange(tmp_path: Path) -> None:
    exchange = Exchange()
    tokens = open_tokens(tmp_path / "none" / "shop.db.tokens")
    with pytest.raises(StoreError, match="cannot be written"):
        tokens.renew(Secret("access-0"), exchange)
    assert exchange.asked == []


# Several databases that live from one consent


def neighbour(
    tmp_path: Path, name: str, access: str = "access-0", refresh: str = "refresh-0", *, knows: str = "state"
) -> TokenFile:
    files = TokenFiles(tmp_path / knows)
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return TokenFile(folder / "shop.db.tokens", access_token=Secret(access), refresh_token=Secret(refresh), files=files)


class RotatingExchange(Exchange):
    """Answers the newest refresh token only."""

    def __call__(self, refresh_token: Secret) -> TokenPair:
        number = int(refresh_token.reveal().partition("-")[2])
        if number != len(self.asked):
            raise SignInError("dead", subject="token", next_step="none")
        self.asked.append(refresh_token.reveal())
        return pair(number + 1, ends=NOON + timedelta(days=7 * number))


def test_a_database_takes_what_another_one_got_for_the_same_consent(tmp_path: Path) -> None:
    exchange = RotatingExchange()
    neighbour(tmp_path, "us").renew(Secret("access-0"), exchange)
    second = neighbour(tmp_path, "uk")
    assert second.renew(Secret("access-0"), exchange) == Secret("access-1")
    assert neighbour(tmp_path, "uk").current() == Secret("access-1")
    assert exchange.asked == ["refresh-0"]


def test_databases_that_live_from_one_consent_renew_in_turn_for_ever(tmp_path: Path) -> None:
    exchange = RotatingExchange()
    for number, name in enumerate(["us", "uk", "us", "us", "de", "uk", "de", "us"]):
        tokens = neighbour(tmp_path, name)
        while tokens.current() != Secret(f"access-{number + 1}"):  # behind by some renewals: as after several 105002
            tokens.renew(tokens.current(), exchange)
    assert exchange.asked == [f"refresh-{number}" for number in range(8)]


def test_a_database_that_was_long_away_takes_the_newest_pair_at_once(tmp_path: Path) -> None:
    exchange = RotatingExchange()
    neighbour(tmp_path, "us").renew(Secret("access-0"), exchange)
    other = neighbour(tmp_path, "uk")
    other.renew(Secret("access-0"), exchange)
    other.renew(Secret("access-1"), exchange)
    assert neighbour(tmp_path, "de").renew(Secret("access-0"), exchange) == Secret("access-2")
    assert exchange.asked == ["refresh-0", "refresh-1"]


def test_another_sellers_tokens_are_left_alone(tmp_path: Path) -> None:
    exchange = Exchange()
    neighbour(tmp_path, "mine").renew(Secret("access-0"), exchange)
    neighbour(tmp_path, "theirs", "access-70", "refresh-70").renew(Secret("access-70"), exchange)
    assert exchange.asked == ["refresh-0", "refresh-70"]


def test_of_many_databases_at_once_one_asks(tmp_path: Path) -> None:
    exchange = RotatingExchange()
    barrier = threading.Barrier(6)
    got: list[Secret] = []

    def renew(name: str) -> None:
        tokens = neighbour(tmp_path, name)
        barrier.wait()
        got.append(tokens.renew(Secret("access-0"), exchange))

    threads = [threading.Thread(target=renew, args=(f"shop-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exchange.asked == ["refresh-0"]
    assert set(got) == {Secret("access-1")}


def test_what_the_databases_share_holds_no_secret_and_forgets_what_is_gone(tmp_path: Path) -> None:
    first = neighbour(tmp_path, "us")
    first.renew(Secret("access-0"), Exchange())
    entry = next((tmp_path / "state").glob("*.path"))
    assert entry.read_bytes() == bytes(first.path)
    first.path.unlink()
    assert TokenFiles(tmp_path / "state").others(tmp_path / "uk" / "shop.db.tokens") == []
    assert not entry.exists()


def test_a_list_that_was_deleted_fills_again_with_use(tmp_path: Path) -> None:
    exchange = RotatingExchange()
    neighbour(tmp_path, "us").renew(Secret("access-0"), exchange)
    shutil.rmtree(tmp_path / "state")
    neighbour(tmp_path, "us")
    assert neighbour(tmp_path, "uk").renew(Secret("access-0"), exchange) == Secret("access-1")


def test_without_a_directory_to_share_each_database_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    assert neighbour(tmp_path, "us").renew(Secret("access-0"), Exchange()) == Secret("access-1")
