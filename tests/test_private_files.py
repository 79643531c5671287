"""Files for their owner alone: never through a link, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tiktok_erp.private_files import create_private, open_lock, private_file, read_private, write_private
from tiktok_erp.store.label_files import LabelFiles


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_written_file_is_for_its_owner_alone_whatever_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "labels.pdf"
    path.write_bytes(b"old")
    path.chmod(0o666)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_no_link_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"kept")
    link = tmp_path / "x.new"
    link.symlink_to(precious)
    write_private(tmp_path / "x", b"new")
    link.symlink_to(precious)
    os.close(create_private(link))
    assert precious.read_bytes() == b"kept"
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        open_lock(tmp_path / "lock")
    (tmp_path / "y").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic"):
        read_private(tmp_path / "y")


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_private(path, b"old")
    with pytest.raises(ZeroDivisionError), private_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_label_is_not_kept_through_a_link(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path / "shop.db")
    sha256 = files.keep(b"%PDF one")
    path = files.path_of(sha256)
    path.unlink()
    path.with_name(path.name + ".new").symlink_to(tmp_path / "elsewhere")
    files.keep(b"%PDF one")
    assert not (tmp_path / "elsewhere").exists()
    assert mode(path) == 0o600
