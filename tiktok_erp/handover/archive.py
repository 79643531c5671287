"""A kit as one file with a password: AES-256, which 7-Zip, WinZip, Keka and most phones open. Edge; needs `pyzipper`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tiktok_erp.errors import SettingsError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.private_files import create_private


def require_library() -> None:
    """Raise SettingsError when the library is not installed."""
    try:
        import pyzipper  # noqa: F401 - only asked for
    except ImportError as cause:
        raise SettingsError(
            tr("a file with a password needs the package pyzipper"),
            subject="--zip",
            next_step=tr("install it: `pip install 'tiktok_erp[zip]'`, or leave --zip out"),
        ) from cause


def write_archive(folder: Path, target: Path, password: str) -> None:
    """Pack `folder` into `target`, which is replaced whole. Raises UsageError when it cannot be written."""
    import pyzipper

    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        handle = create_private(unfinished)
        with (
            os.fdopen(handle, "wb") as file,
            pyzipper.AESZipFile(file, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive,
        ):
            archive.setpassword(password.encode("utf-8"))
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
        unfinished.replace(target)
    except OSError as cause:
        with suppress(OSError):
            unfinished.unlink()
        raise UsageError(
            tr("the file cannot be written: {reason}", reason=cause.strerror or "?"),
            subject=str(target),
            next_step=tr("give a path in a folder that exists and can be written"),
        ) from cause
