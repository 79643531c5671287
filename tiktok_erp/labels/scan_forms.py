"""Scan forms: one sheet a carrier and day, whose barcode stands for all its parcels. Journals, asks, writes the files.

A form is written down before it is asked for. What became of one whose answer was lost is read from a shipment that is on
it; where the source does not tell, a person looks, and no second form is asked for by itself.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from tiktok_erp.carriers.base import SOURCES, Capabilities, LabelSource, ScanForm
from tiktok_erp.errors import ChannelDown, ChannelRefused, ErpError, LabelFileError, OutcomeUnknown
from tiktok_erp.labels.plan import FormKey, next_step_for, plan_forms, step_of_moved
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.pdf import whole_file
from tiktok_erp.store.database import Store
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.scan_forms import (
    intend_form,
    load_form_candidates,
    load_form_labels,
    load_forms,
    load_open_forms,
    mark_form_sent,
    mark_forms_written,
    save_form_document,
    save_form_failed,
    save_form_made,
    save_form_unknown,
)

Agree = Callable[[int, int], bool]


@dataclass(slots=True)
class FormCount:
    """What one run did: forms made, parcels on them, forms in doubt, labels that the source refused a form for before."""

    made: int = 0
    parcels: int = 0
    failed: int = 0
    unknown: int = 0
    refused_before: int = 0
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class FormOptions:
    """What is wanted. `carrier` None: every carrier; `again`: forms that nobody can tell of are given up first."""

    out: Path
    carrier: str | None = None
    again: bool = False
    dry_run: bool = False


class FormMaker:
    """One run of making scan forms. `source` connects a label source by its name."""

    def __init__(
        self,
        store: Store,
        source: Callable[[str], LabelSource],
        rules: Rules,
        report: Report,
        options: FormOptions,
        *,
        run_id: int | None,
    ) -> None:
        self._store = store
        self._source = source
        self._zone = ZoneInfo(rules.shop.time_zone)
        self._report = report
        self._options = options
        self._run_id = run_id
        self._files = LabelFiles(store.path)
        self.count = FormCount()

    def run(self, package_ids: Sequence[str] | None, agree: Agree) -> None:
        """Settle what is open, ask for the forms that are due, and write every document that nobody has yet.

        `package_ids` None: every bought label that is on no form. Labels that are named and on a form already get its
        document again. `agree` is asked with (forms, parcels) before anything new is sent. What stopped the run is raised
        once the documents that are there are written.
        """
        stop: ErpError | None = None
        named_forms: set[int] = set()
        try:
            if not self._options.dry_run:
                self._settle_all(package_ids)
            rows = load_form_candidates(self._store, only=package_ids)
            named_forms = {row["form_id"] for row in rows if row["form_id"] is not None and package_ids is not None}
            self._make_all(self._due(rows, package_ids), agree)
        except ErpError as error:
            stop = error
        if not self._options.dry_run:
            self._write_documents(named_forms)
        if stop is not None:
            raise stop

    # What is due

    def _due(self, rows: Sequence[sqlite3.Row], package_ids: Sequence[str] | None) -> list[sqlite3.Row]:
        """Return the labels that a form is to be asked for; of those that were named the others are told."""
        due = []
        for row in rows:
            if self._options.carrier not in (None, row["carrier"]):
                continue
            can = SOURCES.get(row["source"], Capabilities()).scan_form and row["carrier"] and row["quote_id"]
            cause = row["obstacle"] if can else "no_scan_form"
            if row["form_id"] is not None:
                cause = "on_a_form"
            if cause is None and row["was_refused"] and package_ids is None:
                self.count.refused_before += 1
            elif cause is None:
                due.append(row)
            elif package_ids is not None and cause != "on_a_form":
                self._skip(row["package_id"], cause)
        held = {row["package_id"] for row in rows}
        for package_id in package_ids or ():
            if package_id not in held:
                self._skip(package_id, "no_label")
        return due

    def _skip(self, package_id: str, cause: str) -> None:
        steps = {
            "no_label": tr("run `tiktok-erp print-labels`"),
            "no_scan_form": tr("hand the parcel over without a form; only labels of EasyPost can be on one"),
            "voided": tr("nothing to do: the label is being taken back"),
            "scanned": tr("nothing to do: the carrier has it"),
            "barcode_contradiction": tr("look at `tiktok-erp quarantine`"),
            "other_address": tr("look at `tiktok-erp quarantine`"),
            "address_changed": step_of_moved(package_id, "easypost"),
        }
        step = steps.get(cause) or next_step_for(cause)
        self._report.item(Outcome("package", {"package_id": package_id}, "skipped", cause=cause, next_step=step))

    # Making

    def _make_all(self, due: Sequence[sqlite3.Row], agree: Agree) -> None:
        by_id = {row["label_id"]: row for row in due}
        forms = plan_forms((self._key(row), row["label_id"]) for row in due)
        if self._options.dry_run:
            for key, label_ids in forms:
                self._tell_planned(key, [by_id[label_id] for label_id in label_ids])
            return
        if not forms or not agree(len(forms), len(due)):
            return
        for number, (key, label_ids) in enumerate(forms, start=1):
            self._make(key, [by_id[label_id] for label_id in label_ids])
            self._report.progress(tr("scan forms"), number, len(forms))

    def _key(self, row: sqlite3.Row) -> FormKey:
        day = from_text(row["bought_at"]).astimezone(self._zone).date().isoformat()
        return FormKey(row["source"], row["carrier"], day, row["ship_from"])

    def _make(self, key: FormKey, labels: Sequence[sqlite3.Row]) -> None:
        source = self._source(key.source)
        with self._store.transaction():
            form_id = intend_form(
                self._store,
                source=key.source,
                carrier=key.carrier,
                day=key.day,
                ship_from=key.ship_from,
                label_ids=[label["label_id"] for label in labels],
                run_id=self._run_id,
            )
        with self._store.transaction():
            mark_form_sent(self._store, form_id)
        (row,) = load_forms(self._store, [form_id])
        try:
            form = source.make_form([label["quote_id"] for label in labels], subject=key.carrier)
        except OutcomeUnknown:
            self._settle(row)
            return
        except ChannelRefused as refusal:
            self._refuse(row, refusal.what)
            return
        except ErpError:
            # Throttled, not sent, not signed in: it was not made, and the next one would not be either.
            with self._store.transaction():
                save_form_failed(self._store, form_id, "not_sent")
            raise
        self._land(row, form)

    def _land(self, row: sqlite3.Row, form: ScanForm) -> None:
        """Write what the source says of a form, and fetch its document."""
        if form.is_failed:
            self._refuse(row, form.message or tr("the source could not make it"))
            return
        with self._store.transaction():
            save_form_made(self._store, row["form_id"], source_form_id=form.form_id, url=form.url)
        labels = load_form_labels(self._store, row["form_id"])
        if row["state"] != "made":
            self.count.made += 1
            self.count.parcels += len(labels)
        missing = _not_on(form, labels)
        if missing:
            self._report.warn(
                tr(
                    "{source} does not name {count} parcels on its form: {packages}; have the carrier scan these one by one",
                    source=row["source"],
                    count=len(missing),
                    packages=", ".join(missing[:10]),
                )
            )
        self._fetch(row, form)

    def _fetch(self, row: sqlite3.Row, form: ScanForm) -> None:
        cause, text = "document_not_ready", tr("{form}: made, its document is not there yet", form=_name(row))
        if form.url:
            try:
                sha256 = self._files.keep(self._source(row["source"]).fetch_form(form, subject=row["carrier"]))
            except (ChannelDown, LabelFileError) as error:
                cause, text = error.cause, tr("{form}: made, and {reason}", form=_name(row), reason=error.what)
            else:
                with self._store.transaction():
                    save_form_document(self._store, row["form_id"], sha256)
                return
        step = tr("run `tiktok-erp labels scan-form` again in a few minutes; no other form is asked for")
        is_failure = cause != "document_not_ready" and row["state"] != "made"
        self._tell(row, "failed" if is_failure else "skipped", cause=cause, next_step=step, text=text)

    def _refuse(self, row: sqlite3.Row, reason: str) -> None:
        with self._store.transaction():
            save_form_failed(self._store, row["form_id"], "refused")
        self.count.failed += 1
        self._tell(
            row,
            "failed",
            cause="refused",
            next_step=tr(
                "hand these parcels over without a form, or correct what it names and run `tiktok-erp labels scan-form ID...`"
            ),
            text=tr("no scan form for {form}: {reason}", form=_name(row), reason=reason),
        )

    # Settling

    def _settle_all(self, package_ids: Sequence[str] | None) -> None:
        """Find out what became of forms of earlier runs, before any other is asked for."""
        for row in load_open_forms(self._store):
            if row["state"] == "intent":
                with self._store.transaction():
                    save_form_failed(self._store, row["form_id"], "dropped")
            elif row["state"] != "made":
                self._settle(row, may_give_up=self._is_meant(row, package_ids))
            elif row["sha256"] is None:
                found = ScanForm(row["source_form_id"], row["url"] or "")
                told = self._ask(row) if not row["url"] else None
                self._land(row, told or found)

    def _settle(self, row: sqlite3.Row, *, may_give_up: bool = False) -> None:
        """Write what the source shows of a form that was asked for. Where it shows none, that is no proof that there is none."""
        form = self._ask(row)
        if form is not None:
            self._land(row, form)
            return
        if may_give_up and self._options.again:
            with self._store.transaction():
                save_form_failed(self._store, row["form_id"], "given_up")
            return
        with self._store.transaction():
            save_form_unknown(self._store, row["form_id"])
        self.count.unknown += 1
        doubt = tr("nobody can tell whether the scan form for {form} was made", form=_name(row))
        step = tr(
            "look in the account of {source} for a scan form of {carrier}: print it there, or, if there is none, run"
            " `tiktok-erp labels scan-form --again`",
            source=row["source"],
            carrier=row["carrier"],
        )
        is_news = row["state"] == "sent"
        self._tell(row, "failed" if is_news else "skipped", cause="outcome_unknown", next_step=step, text=doubt)
        if not is_news:
            self._report.warn(step)

    def _ask(self, row: sqlite3.Row) -> ScanForm | None:
        """Return the form that the source shows for a parcel of this one. One without all our parcels is another."""
        labels = load_form_labels(self._store, row["form_id"])
        try:
            form = self._source(row["source"]).find_form(labels[0]["quote_id"] or "", subject=row["carrier"])
        except ChannelDown as error:
            self._report.warn(
                tr("{source} cannot be asked about a scan form: {reason}", source=row["source"], reason=error.what)
            )
            return None
        if form is None or (row["state"] != "made" and _not_on(form, labels)):
            return None
        return form

    def _is_meant(self, row: sqlite3.Row, package_ids: Sequence[str] | None) -> bool:
        if self._options.carrier not in (None, row["carrier"]):
            return False
        on_it = {label["package_id"] for label in load_form_labels(self._store, row["form_id"])}
        return package_ids is None or not on_it.isdisjoint(package_ids)

    # Paper

    def _write_documents(self, named: set[int]) -> None:
        """Write the documents that nobody has yet, and those that were asked for by name: one file a carrier."""
        forms = {row["form_id"]: row for row in load_open_forms(self._store)}
        forms |= {row["form_id"]: row for row in load_forms(self._store, sorted(named))}
        by_carrier: dict[str, list[sqlite3.Row]] = defaultdict(list)
        for form_id in sorted(forms):
            if forms[form_id]["state"] == "made" and forms[form_id]["sha256"] is not None:
                by_carrier[forms[form_id]["carrier"]].append(forms[form_id])
        written = []
        for carrier, rows in sorted(by_carrier.items()):
            path = self._options.out / f"scan-form-{carrier}.pdf"
            self._write(path, [row["sha256"] for row in rows])
            with self._store.transaction():
                mark_forms_written(self._store, [row["form_id"] for row in rows])
            written.append(path)
            for row in rows:
                self._tell_written(row, path)
        self.count.files = tuple(written)

    def _write(self, path: Path, hashes: Sequence[str]) -> None:
        """Write one document as it came, several as one file."""
        if len(hashes) == 1:
            with whole_file(path) as (_part, file):
                file.write(self._files.load(hashes[0]))
            return
        from tiktok_erp.labels.merge import LabelPages, merge_labels

        merged = merge_labels([LabelPages(self._files.load(sha256), subject=path.name) for sha256 in hashes], path)
        for failure in merged.failed:
            raise failure.error

    # Telling

    def _tell(
        self,
        row: sqlite3.Row,
        result: str,
        *,
        cause: str | None = None,
        next_step: str | None = None,
        text: str,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        labels = load_form_labels(self._store, row["form_id"]) if self._report.wants_fields else []
        told = _fields(FormKey(row["source"], row["carrier"], row["day"], row["ship_from"]), labels)
        self._report.item(
            Outcome(
                "scan_form",
                {"form_id": row["form_id"]},
                result,
                cause=cause,
                next_step=next_step,
                fields=told | dict(fields or {}),
                text=text,
            )
        )

    def _tell_written(self, row: sqlite3.Row, path: Path) -> None:
        parcels = len(load_form_labels(self._store, row["form_id"]))
        text = tr("{file}: {count} parcels of {form}", file=path, count=parcels, form=_name(row))
        self._tell(row, "done", text=text, fields={"file": str(path), "sha256": row["sha256"]})

    def _tell_planned(self, key: FormKey, labels: Sequence[sqlite3.Row]) -> None:
        text = tr("a scan form for {count} parcels of {form}", count=len(labels), form=_key_name(key))
        self._report.item(Outcome("scan_form", {}, "planned", fields=_fields(key, labels), text=text))


def _not_on(form: ScanForm, labels: Sequence[sqlite3.Row]) -> list[str]:
    """Return the packages whose number the form does not name, where it names any."""
    if not form.tracking_numbers:
        return []
    return [label["package_id"] for label in labels if label["tracking_number"] not in form.tracking_numbers]


def _fields(key: FormKey, labels: Sequence[sqlite3.Row]) -> dict[str, object]:
    return {
        "source": key.source,
        "carrier": key.carrier,
        "day": key.day,
        "ship_from": key.ship_from,
        "package_ids": [label["package_id"] for label in labels],
    }


def _name(row: sqlite3.Row) -> str:
    return _key_name(FormKey(row["source"], row["carrier"], row["day"], row["ship_from"]))


def _key_name(key: FormKey) -> str:
    """Return what a form is called among people: its carrier, its day, and its sender where there are several."""
    return " ".join(filter(None, (key.carrier, key.day, key.ship_from)))
