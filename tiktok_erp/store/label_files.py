"""Label documents beside the database, named by what is in them: kept the moment they arrive, never changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tiktok_erp.errors import LabelFileError, StoreError
from tiktok_erp.messages import tr
from tiktok_erp.private_files import write_private


class LabelFiles:
    """The label store of one database: `shop.db` keeps its documents in the folder `shop.labels`."""

    def __init__(self, database: Path) -> None:
        self.folder = database.with_name(database.stem + ".labels")

    def path_of(self, sha256: str) -> Path:
        """Return where the document with this hash lies."""
        return self.folder / sha256[:2] / f"{sha256}.pdf"

    def keep(self, data: bytes) -> str:
        """Write a document so that a power cut cannot lose it, and return its hash. The same bytes are kept once."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path_of(sha256)
        if path.exists() and path.stat().st_size == len(data):
            return sha256
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, data)
        except OSError as error:
            raise StoreError(
                tr("a label that was paid for cannot be kept ({reason})", reason=error.strerror),
                subject=str(self.folder),
                next_step=tr("free space on the disk and run `tiktok-erp labels reconcile`; it is not bought again"),
            ) from error
        return sha256

    def load(self, sha256: str) -> bytes:
        """Return a kept document. Raises LabelFileError when it is missing or was changed."""
        path = self.path_of(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LabelFileError(
                tr("a kept label is missing"),
                subject=str(path),
                next_step=tr(
                    "restore the folder {folder} from a backup, or print this label from Seller Center",
                    folder=self.folder,
                ),
                cause="label_missing",
            ) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LabelFileError(
                tr("a kept label was changed on the disk"),
                subject=str(path),
                next_step=tr(
                    "restore the folder {folder} from a backup, or print this label from Seller Center",
                    folder=self.folder,
                ),
                cause="label_changed",
            )
        return data
