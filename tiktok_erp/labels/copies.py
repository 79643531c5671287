"""Copies of a batch in the folder that people print from: `B07-labels.pdf`, never overwritten, and `labels.pdf`, the newest.

The batch itself lies beside the database (`shop.batches/B07`), whatever becomes of that folder. Edge: writes files.
"""

from __future__ import annotations

import csv
import filecmp
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tiktok_erp.errors import LabelFileError, StoreError
from tiktok_erp.labels.lists import HEADER_PAGES, MANIFEST_COLUMNS, rewrite_sheets
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Report

# What people work from; the other lists are kept in the batch's own folder.
_WITH_NAME = ("packages.csv", "pick-list.pdf", "packing-slips.pdf")
_LABELS = "labels.pdf"
_NUMBERED = "labels-[0-9][0-9]*.pdf"


def copy_batch(
    batch: Path, out: Path, pages: Sequence[int], report: Report, *, paper: str | None, files_of: int, is_newest: bool
) -> tuple[Path, ...]:
    """Copy the batch in folder `batch` to `out` under its own name, and where it `is_newest` as `labels.pdf` and so on.

    `pages` holds the last page (from 1) of each label, in order. Return the label files with the batch's name.
    Raises StoreError when `out` cannot hold them: the batch is whole in its folder.
    """
    with _told(batch, out):
        out.mkdir(parents=True, exist_ok=True)
        size = files_of or len(pages)
        # From behind the label before, so that a header page stays with the labels it stands for.
        starts = [0, *pages[size - 1 : -1 : size]]
        ends = [*starts[1:], max(pages)]
        groups = [list(range(start, end)) for start, end in zip(starts, ends, strict=True)]
        laid_out = bool(files_of or paper)
        files = _write_labels(batch, out, batch.name, groups if laid_out else None, paper, report)
        named = {f"{batch.name}-{name}": batch / name for name in _WITH_NAME if (batch / name).exists()}
        for name, source in named.items():
            is_counted_anew = name.endswith("packages.csv") and bool(paper) and not files_of
            _put(source, out / name, sheets_of=paper if is_counted_anew else None)
        if is_newest:
            _replace_newest(batch, out, files, report)
            _remove_manifests(out)
            for source in sorted(batch.iterdir()):
                if source.name not in (HEADER_PAGES, _LABELS):
                    own = out / f"{batch.name}-{source.name}"
                    _copy(own if source.name in _WITH_NAME else source, out / source.name)
    return files


def copy_rest(
    batch: Path, out: Path, pages: Sequence[int], report: Report, *, paper: str | None, place: int
) -> tuple[Path, ...]:
    """Write the 0-based `pages` of a batch, its rest from `place` on, to `B07-063-labels.pdf` and `labels.pdf`."""
    with _told(batch, out):
        out.mkdir(parents=True, exist_ok=True)
        files = _write_labels(batch, out, f"{batch.name}-{place:03d}", [list(pages)], paper, report)
        _replace_newest(batch, out, files, report)
    return (out / _LABELS,)


def label_files_of(batch: Path, out: Path) -> tuple[Path, ...]:
    """Return the files to open for a batch: its copies in `out`, else the one in its own folder; none where both are gone."""
    copies = [path for path in sorted(out.glob(f"{batch.name}-labels*.pdf")) if path.is_file()]
    if copies:
        return tuple(copies)
    return (batch / _LABELS,) if (batch / _LABELS).is_file() else ()


def is_free(base: Path, out: Path, batch_id: int) -> bool:
    """Tell whether no file of a batch with this number is in either folder."""
    name = f"B{batch_id:02d}"
    return not (base / name).exists() and not any(out.glob(f"{name}-*"))


@contextmanager
def _told(batch: Path, out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, LabelFileError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.what
        raise StoreError(
            tr("the batch cannot be copied ({reason}); it is whole in {folder}", reason=reason, folder=batch),
            subject=str(out),
            next_step=tr("make room there or name another folder with --out, then run this again: it is copied first"),
        ) from error


def _write_labels(
    batch: Path, out: Path, stem: str, groups: Sequence[Sequence[int]] | None, paper: str | None, report: Report
) -> tuple[Path, ...]:
    """Write groups of the batch's pages to files of their own; `groups` None: the file as it is."""
    from tiktok_erp.labels.paper import lay_out

    if groups is None:
        return (_put(batch / _LABELS, out / f"{stem}-{_LABELS}"),)
    digits = max(2, len(str(len(groups))))
    numbers = [""] if len(groups) == 1 else [f"-{number + 1:0{digits}d}" for number in range(len(groups))]
    shrunk, files = 0, []
    for number, pages in zip(numbers, groups, strict=True):
        fresh = out / f".{stem}-labels{number}.pdf.{os.getpid()}.new"
        try:
            shrunk += len(lay_out(batch / _LABELS, pages, paper, fresh).shrunk)
            files.append(_put(fresh, out / f"{stem}-labels{number}.pdf"))
        finally:
            fresh.unlink(missing_ok=True)
    if shrunk:
        report.warn(
            tr("{count} labels are larger than the paper and were made smaller: try whether they scan", count=shrunk)
        )
    return tuple(files)


def _put(source: Path, target: Path, *, sheets_of: str | None = None) -> Path:
    """Copy to a name that nothing else has, and return it: what is there already stays, unless it is the same."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}.copy")
    try:
        if sheets_of is None:
            _copy(source, fresh)
        else:
            rewrite_sheets(source, fresh, sheets_of)
        number = 1
        free = target
        while free.exists():
            if filecmp.cmp(fresh, free, shallow=False):
                return free
            number += 1
            free = target.with_name(f"{target.stem}.{number}{target.suffix}")
        fresh.replace(free)
        return free
    finally:
        fresh.unlink(missing_ok=True)


def _replace_newest(batch: Path, out: Path, files: Sequence[Path], report: Report) -> None:
    """Make `labels.pdf` (or `labels-01.pdf`, ...) copies of these files; an older batch's are taken away.

    A file of that name that is nobody's copy (a download of Seller Center, say) is set aside.
    """
    for path in [out / _LABELS, *sorted(out.glob(_NUMBERED))]:
        if not path.is_file():
            continue
        if _is_copy(path, batch.parent):
            path.unlink()
            continue
        aside, number = path.with_name(f"{path.stem}-before-{batch.name}.pdf"), 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.stem}-before-{batch.name}.{number}.pdf")
        path.rename(aside)
        report.warn(tr("{file} was none of ours and is now {aside}", file=path, aside=aside.name))
    for path in files:
        # B07-labels-01.pdf is labels-01.pdf; B07-063-labels.pdf and B07-labels.2.pdf are labels.pdf.
        _copy(path, out / re.sub(r"^.*-(?=labels)|\.\d+(?=\.pdf$)", "", path.name))


def _is_copy(path: Path, batches: Path) -> bool:
    """Tell whether a file is the copy of one that stays."""
    others = [*path.parent.glob(f"B*-{path.stem}*.pdf"), *batches.glob("B*/labels.pdf")]
    size = path.stat().st_size
    return any(other.stat().st_size == size and filecmp.cmp(path, other, shallow=False) for other in others)


def _remove_manifests(out: Path) -> None:
    """Take away an older batch's manifests, or somebody hands them over for this one's."""
    for path in out.glob("manifest-*.csv"):
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            is_ours = next(csv.reader(file), []) == list(MANIFEST_COLUMNS)
        if is_ours:
            path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new") if not target.name.startswith(".") else target
    fresh.unlink(missing_ok=True)
    # Names and addresses: nobody else on this machine needs to read them.
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, source.open("rb") as content:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())
    if fresh != target:
        fresh.replace(target)
