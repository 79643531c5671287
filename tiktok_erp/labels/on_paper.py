"""Which labels are on paper. Between a PDF and paper stands a person: nothing here counts before somebody said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiktok_erp.errors import UsageError
from tiktok_erp.labels.copies import label_files_of
from tiktok_erp.labels.plan import batches_text, position_text, read_batches, read_range
from tiktok_erp.messages import tr
from tiktok_erp.model.print_job import BatchNotOnPaper, PlacedLabel
from tiktok_erp.store.database import Store
from tiktok_erp.store.print_jobs import load_batch, load_nearest, load_not_on_paper, load_placed

_FILES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class PaperView:
    """What is on no paper, as far as anybody said."""

    batches: tuple[BatchNotOnPaper, ...]

    @property
    def labels(self) -> int:
        """How many labels."""
        return sum(batch.labels for batch in self.batches)

    @property
    def names(self) -> list[str]:
        """The batches, `B07`."""
        return [batches_text([batch.batch_id]) for batch in self.batches]

    @property
    def text(self) -> str:
        """The batches as people read them: `B01-B06, B08`."""
        return batches_text([batch.batch_id for batch in self.batches])

    @property
    def argument(self) -> str:
        """The batches as `labels printed` takes them: `B01..B06 B08`."""
        return batches_text([batch.batch_id for batch in self.batches], between="..", apart=" ")

    def fields(self) -> dict[str, object]:
        """What scripts read."""
        return {"not_on_paper": self.labels, "batches_not_on_paper": self.names}


def view_paper(store: Store) -> PaperView:
    """Return the batches that somebody still has to print, or to call printed."""
    return PaperView(tuple(load_not_on_paper(store)))


def paper_note(store: Store, view: PaperView, out: Path) -> list[str]:
    """Return the lines that say what is not on paper, which files to open, and how to say that they are printed."""
    if not view.batches:
        return []
    files: list[str] = []
    for batch in view.batches:
        found = label_files_of(store.path.parent / batch.directory, out)
        name = batches_text([batch.batch_id])
        lost = tr("{batch}: its file is gone; `tiktok-erp labels reprint {batch}` makes it again", batch=name)
        files += [str(path) for path in found] or [lost]
    lines = [
        tr("not on paper, as far as anybody said: {batches} ({count} labels)", batches=view.text, count=view.labels)
    ]
    lines += [f"  {file}" for file in files[:_FILES_SHOWN]]
    if len(files) > _FILES_SHOWN:
        lines.append(tr("  and {count} more files", count=len(files) - _FILES_SHOWN))
    lines.append(tr("  next: print at 100 %, then run `tiktok-erp labels printed {batches}`", batches=view.argument))
    return lines


def labels_at(store: Store, name: str) -> list[PlacedLabel] | None:
    """Return the live labels that `B07`, `B01..B06`, `B07-063` or `B07-063..080` means; None for a name that is none of them.

    Raises UsageError for a batch or position that does not exist: nothing is guessed about paper.
    """
    batches, span = read_batches(name), read_range(name)
    if batches is not None:
        first, last = batches
        if first > last:
            raise UsageError(
                tr("{name} begins behind its end", name=name),
                subject="labels printed",
                next_step=tr("write it as {name}", name=f"B{last:02d}..B{first:02d}"),
            )
        _require_batch(store, first)
        _require_batch(store, last)
        return [label for batch_id in range(first, last + 1) for label in load_placed(store, batch_id)]
    if span is None:
        return None
    batch_id, first, end = span
    size = _require_batch(store, batch_id)
    last = end if end is not None else size
    if not 1 <= first <= last <= size:
        raise UsageError(
            tr("there is no {name}: {batch} has {count} labels", name=name, batch=f"B{batch_id:02d}", count=size),
            subject="labels printed",
            next_step=tr("write it as {name}", name=f"{position_text(batch_id, 1)}..{size:03d}"),
        )
    return load_placed(store, batch_id, first, last)


def _require_batch(store: Store, batch_id: int) -> int:
    """Return how many labels a batch has. Raises UsageError, naming the nearest, when there is none of this number."""
    batch = load_batch(store, batch_id)
    if batch is not None:
        return int(batch["last"] or 0)
    near = load_nearest(store, batch_id)
    raise UsageError(
        tr("there is no batch {batch}", batch=f"B{batch_id:02d}"),
        subject="labels printed",
        next_step=(
            tr("the nearest are {batches}; `tiktok-erp labels list` shows all", batches=_names(near))
            if near
            else tr("nothing was printed yet: run `tiktok-erp print-labels`")
        ),
    )


def _names(batch_ids: Sequence[int]) -> str:
    return ", ".join(f"B{batch_id:02d}" for batch_id in batch_ids)
