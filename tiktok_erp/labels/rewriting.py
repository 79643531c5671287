"""Make the files of a batch again that somebody deleted. Every label keeps its page, so that nothing in the store changes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tiktok_erp.errors import LabelFileError
from tiktok_erp.labels.copies import copy_batch
from tiktok_erp.labels.draw import render_gap_page
from tiktok_erp.labels.plan import position_text
from tiktok_erp.labels.printing import PrintOptions, fresh_folder, load_items, write_papers
from tiktok_erp.labels.spool import batch_file
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.print_job import PlacedLabel, PrintedPosition
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import load_live
from tiktok_erp.store.print_jobs import load_batch, load_placed

_PAPERS = ("labels.pdf", "packages.csv", "bags.csv", "pick-list.pdf", "packing-slips.pdf")


def rewrite_batch(store: Store, rules: Rules, report: Report, options: PrintOptions, batch_id: int) -> tuple[Path, ...]:
    """Make what is missing of a batch again, in its folder and as copies in `out`; return the files that are new.

    Labels that were taken back, and header pages, are pages that say so: the others stay at their place.
    """
    batch, labels = load_batch(store, batch_id), load_placed(store, batch_id)
    labels = [label for label in labels if label.page is not None]
    if batch is None or not labels:
        return ()
    folder = batch_file(store, batch).parent
    before = set(options.out.glob(f"{folder.name}-*"))
    written: list[Path] = []
    if not all((folder / name).is_file() for name in _PAPERS):
        written = _fill(store, rules, report, options, folder, batch_id, labels)
    pages = [label.page + label.pages - 1 for label in labels if label.page is not None]
    if (folder / "labels.pdf").is_file() and not any(options.out.glob(f"{folder.name}-labels*.pdf")):
        copy_batch(folder, options.out, pages, report, paper=options.paper, files_of=0, is_newest=False)
    written += sorted(set(options.out.glob(f"{folder.name}-*")) - before)
    return tuple(written)


def _fill(
    store: Store,
    rules: Rules,
    report: Report,
    options: PrintOptions,
    folder: Path,
    batch_id: int,
    labels: list[PlacedLabel],
) -> list[Path]:
    """Write the whole batch beside its folder and move what is missing there."""
    part = folder.with_name(f".{folder.name}.again")
    fresh_folder(part)
    try:
        good = _write_labels(store, report, part / "labels.pdf", batch_id, labels)
        live = {label.package_id: load_live(store, label.package_id) for label in good}
        items = {item.package_id: item for item in load_items(store, [row for row in live.values() if row is not None])}
        positions = [
            PrintedPosition(
                position_text(batch_id, label.position or 0),
                tuple(range(label.page or 1, (label.page or 1) + label.pages)),
                items[label.package_id],
            )
            for label in good
        ]
        write_papers(store, rules, report, part, batch_id, positions, options)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = [path for path in sorted(part.iterdir()) if not (folder / path.name).exists()]
        return [path.replace(folder / path.name) for path in missing]
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_labels(
    store: Store, report: Report, target: Path, batch_id: int, labels: list[PlacedLabel]
) -> list[PlacedLabel]:
    """Write the labels, each at the page that it had; return those that could be."""
    from tiktok_erp.labels.merge import LabelPages, merge_labels

    files = LabelFiles(store.path)
    sources: list[LabelPages] = []
    good: list[PlacedLabel] = []
    page = 1
    for label in labels:
        place = position_text(batch_id, label.position or 0)
        while page < (label.page or 1):
            gap = render_gap_page(tr("no label here any more: taken back, or a header page"), place=f"< {place}")
            sources.append(LabelPages(gap, subject=place))
            page += 1
        live = load_live(store, label.package_id)
        try:
            path = files.path_of(live["sha256"] or "") if live is not None else Path()
            files.load(live["sha256"] or "" if live is not None else "")
            sources.append(LabelPages(path, stamp=place, subject=label.package_id))
            good.append(label)
        except LabelFileError as error:
            sources += [
                LabelPages(render_gap_page(error.what, place=place), subject=place) for number in range(label.pages)
            ]
            report.item(
                Outcome(
                    "package",
                    {"package_id": label.package_id},
                    "failed",
                    cause=error.cause,
                    next_step=error.next_step,
                    text=f"{label.package_id}: {error.what}",
                )
            )
        page += label.pages
    merged = merge_labels(sources, target)
    if merged.failed:  # a page less would move all that follow it
        raise merged.failed[0].error
    return good
