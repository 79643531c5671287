"""Answer buyers' wishes to cancel. Reads what waits now, records the answer, sends it, reads back what became of it.

An answer is given once: its intent is in the outbox before the first byte leaves, and an answer without a reply is
settled by what the channel then says of the request. Source: TikTok reference, section 4.11.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tiktok_erp.channels.base import Cancellation
from tiktok_erp.errors import ChannelRefused, ErpError, Interrupted, OutcomeUnknown, SignInError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.scopes import ORDERS, RETURNS
from tiktok_erp.signals import undisturbed
from tiktok_erp.store import outbox
from tiktok_erp.store.cancellations import (
    ANSWER_CANCEL,
    GRANTED,
    REJECTED,
    load_labels_of,
    load_reason_not_to_cancel,
    place_restocking,
    save_cancellations,
)
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.sync.resources import cancellation_row

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

APPROVE, REJECT = "approve", "reject"
ORDERS_A_QUESTION = 50
_ATTEMPTS = 3
# Completed or cancelled, or an answer is just being worked on: the request itself tells how it ended.
_OVER = frozenset({25001051, 25001011})
_LOCK_FAILED = frozenset({25001028})
# So long an answer may still be on its way, and the channel may still show the request as waiting.
_SETTLES_WITHIN = timedelta(seconds=60)

ReadBack = Callable[[Sequence[str]], Collection[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the seller says. `word` is approve or reject; `reason`, the channel's code, goes with a rejection.

    A rejection without a reason takes the one that is true of its order, where what was packed or delivered shows one.
    """

    word: str
    reason: str = ""

    def key(self, cancel_id: str) -> str:
        """Return the idempotency key of this answer to one request."""
        if self.word == APPROVE:
            return f"{key_prefix(cancel_id)}{APPROVE}"
        # Another reason is another message: the channel may keep what it said to the first one.
        return f"{key_prefix(cancel_id)}{REJECT}-{hashlib.blake2b(self.reason.encode(), digest_size=4).hexdigest()}"


def key_prefix(cancel_id: str) -> str:
    """Return what the idempotency keys of all answers to one request begin with."""
    return f"answer-cancel-{cancel_id}-"


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that can be answered. `labels` are those that its order's packages already have."""

    order_id: str
    request: Cancellation
    answer: Answer
    labels: tuple[sqlite3.Row, ...] = ()

    def refund(self) -> Money | None:
        """Return what the buyer gets back, None when the channel does not say."""
        if self.request.refund_minor is None or self.request.currency is None:
            return None
        return Money(self.request.refund_minor, self.request.currency)


@dataclass(slots=True)
class AnswerCount:
    """What one run did."""

    answered: int = 0
    answered_before: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Sent:
    """An answer that the channel took, or of which it must tell what became."""

    target: OpenRequest
    shown: Cancellation | None = None


class CancelAnswerer:
    """Gives one answer to the requests of some orders. `read_back` writes what orders are now and returns those told.

    `reasons` are the channel's codes by our words: `packed` and `delivered` are given where they are true.

    Several of them may work on one database at a time: the channel takes the first answer, and the others read it.
    """

    def __init__(
        self,
        store: Store,
        shop: TikTokShop,
        report: Report,
        answer: Answer,
        *,
        run_id: int | None,
        read_back: ReadBack,
        reasons: Mapping[str, str],
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._shop = shop
        self._report = report
        self._answer = answer
        self._reasons = reasons
        self._run_id = run_id
        self._read_back = read_back
        self._dry_run = dry_run
        self.count = AnswerCount()

    def find(self, order_ids: Sequence[str]) -> list[OpenRequest]:
        """Read these orders and their requests now; return what can be answered, the most urgent first.

        What cannot is reported. A dry run reads the requests alone and writes nothing.
        """
        due: list[OpenRequest] = []
        for start in range(0, len(order_ids), ORDERS_A_QUESTION):
            chunk = list(order_ids[start : start + ORDERS_A_QUESTION])
            told = chunk if self._dry_run else self._read_orders(chunk)
            unsettled = self._unsettled(chunk)
            shown = self._read_requests(chunk)
            for order_id in chunk:
                due.extend(self._judge(order_id, shown.get(order_id, ()), unsettled, is_told=order_id in told))
        return sorted(due, key=lambda target: (_time(target.request.answer_by), target.request.cancel_id))

    def tell_labels(self, due: Sequence[OpenRequest]) -> None:
        """Warn of parcels that an approval makes useless."""
        if self._answer.word != APPROVE:
            return
        for target in due:
            for label in target.labels:
                self._report.warn(_about_label(target, label))

    def tell_plan(self, due: Sequence[OpenRequest]) -> None:
        """Report what would be answered."""
        for target in due:
            text = (
                tr("order {order}: the cancel request would be granted", order=target.request.channel_order_id)
                if self._answer.word == APPROVE
                else tr("order {order}: the cancel request would be rejected", order=target.request.channel_order_id)
            )
            self._tell(target.order_id, target.request, "planned", text=text, labels=target.labels)

    def send(self, due: Sequence[OpenRequest]) -> None:
        """Answer these requests. Raises what stopped the run, once what was answered is read back and reported."""
        for start in range(0, len(due), ORDERS_A_QUESTION):
            sent: list[_Sent] = []
            stop: ErpError | None = None
            for number, target in enumerate(due[start : start + ORDERS_A_QUESTION], start=start):
                self._report.progress(tr("cancel requests"), number, len(due))
                try:
                    answered = self._send(target)
                except ErpError as error:
                    stop = error
                    break
                except KeyboardInterrupt:
                    stop = Interrupted(
                        tr("stopped by you; what was answered is kept"),
                        subject="",
                        next_step=tr("run this again to go on: what was under way is read back first"),
                    )
                    break
                if answered is not None:
                    sent.append(answered)
            self._confirm(sent)
            if stop is not None:
                raise stop

    # Reading

    def _read_orders(self, order_ids: Sequence[str]) -> Collection[str]:
        with _naming(ORDERS):
            return self._read_back(order_ids)

    def _read_requests(self, order_ids: Sequence[str]) -> dict[str, list[Cancellation]]:
        """Return what the channel says of these orders' cancellations, by our order ids, and write it."""
        found: dict[str, list[Cancellation]] = defaultdict(list)
        numbers = {order_id.partition(":")[2]: order_id for order_id in order_ids}
        with _naming(RETURNS):
            for page in self._shop.search_cancellations(channel_order_ids=list(numbers)):
                rows = [row for row in page if row.channel_order_id in numbers]
                for row in rows:
                    found[numbers[row.channel_order_id]].append(row)
                if not self._dry_run:
                    with self._store.transaction():
                        save_cancellations(
                            self._store, [cancellation_row(self._shop.name, row) for row in rows], utc_now()
                        )
        return found

    def _unsettled(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Return the requests to which this answer was sent and of which nobody knows yet what became."""
        return frozenset(
            json.loads(row["payload"])["cancel_id"]
            for row in outbox.load_unsettled(self._store, ANSWER_CANCEL, order_ids)
            if row["state"] != "intent" and json.loads(row["payload"])["answer"] == self._answer.word
        )

    # Judging

    def _judge(
        self, order_id: str, shown: Sequence[Cancellation], unsettled: Collection[str], *, is_told: bool
    ) -> list[OpenRequest]:
        """Return the requests of one order that can be answered; report why there is none."""
        number = order_id.partition(":")[2]
        pending = list({row.cancel_id: row for row in shown if row.is_pending}.values())
        if not is_told:
            self._failed(
                order_id,
                None,
                "not_told",
                tr("order {order}: the channel told nothing about it just now", order=number),
                tr("run this again later, or look at the order in Seller Center"),
            )
            return []
        if pending:
            labels = tuple(load_labels_of(self._store, [order_id]))
            answer = self._answer_to(order_id, pending[0])
            return [
                OpenRequest(order_id, row, answer, labels)
                for row in pending
                if answer is not None and self._is_free(order_id, row, answer)
            ]
        over = [row for row in shown if _is_wish_of_the_buyer(row)]
        if not over:
            self._failed(
                order_id,
                None,
                "no_cancel_request",
                tr("order {order}: its buyer does not ask to cancel it", order=number),
                tr("ship the order as usual; Seller Center can cancel it without a request"),
            )
            return []
        latest = max(over, key=lambda row: (_time(row.updated_at, unknown="0"), row.cancel_id))
        self._tell_over(order_id, latest, is_ours=latest.cancel_id in unsettled and not self._dry_run)
        return []

    def _answer_to(self, order_id: str, request: Cancellation) -> Answer | None:
        """Return the answer to one order's request; None, reported, where a rejection has no reason that is known to be true."""
        if self._answer.word == APPROVE or self._answer.reason:
            return self._answer
        fact = load_reason_not_to_cancel(self._store, order_id)
        if fact is not None:
            return Answer(REJECT, self._reasons[fact])
        self._failed(
            order_id,
            request,
            "no_reason",
            tr(
                "order {order}: it is not packed and not delivered as far as is known, so there is no reason to give",
                order=request.channel_order_id,
            ),
            tr("name the true reason with --reason: {reasons}", reasons=", ".join(self._reasons)),
        )
        return None

    def _is_free(self, order_id: str, request: Cancellation, answer: Answer) -> bool:
        """Tell whether nobody of us is answering this request, or has just answered it; reports when somebody is or has."""
        key = answer.key(request.cancel_id)
        for entry in outbox.load_entries(self._store, key_prefix(request.cancel_id)):
            if entry["sent_at"] is None or utc_now() - from_text(entry["sent_at"]) > _SETTLES_WITHIN:
                continue
            word = json.loads(entry["payload"])["answer"]
            if entry["state"] == "done" and word == self._answer.word:
                self._answered_before(order_id, request)
                return False
            if entry["state"] == "done" or (entry["state"] in ("sent", "unknown") and entry["idempotency_key"] != key):
                self._failed(
                    order_id,
                    request,
                    "answer_on_its_way",
                    tr(
                        "order {order}: another answer ({answer}) was sent a moment ago",
                        order=request.channel_order_id,
                        answer=word,
                    ),
                    tr("run this again in a minute; by then the channel shows what became of it"),
                )
                return False
        return True

    def _tell_over(self, order_id: str, request: Cancellation, *, is_ours: bool) -> None:
        """Report a request that is over: as it was wished, or otherwise."""
        word = _word_of(request.status)
        if word == self._answer.word:
            if is_ours:
                self._done(order_id, request)
            else:
                self._answered_before(order_id, request)
            return
        texts = {
            APPROVE: tr(
                "order {order}: the cancel request was granted before: the order is cancelled",
                order=request.channel_order_id,
            ),
            REJECT: tr(
                "order {order}: the cancel request was rejected or withdrawn before: the order stands",
                order=request.channel_order_id,
            ),
        }
        unknown = tr(
            "order {order}: the channel calls the request {status}, which this version does not know",
            order=request.channel_order_id,
            status=request.status,
        )
        self._failed(
            order_id,
            request,
            "answered_otherwise" if word else "unknown_status",
            texts[word] if word else unknown,
            tr("look at the order in Seller Center: an answer cannot be changed here"),
        )

    # Sending

    def _send(self, target: OpenRequest) -> _Sent | None:
        """Send one answer; return it where the channel has the last word, None where it is reported already."""
        request = target.request
        for attempt in range(1, _ATTEMPTS + 1):
            outbox_id = self._intend(target)
            try:
                with _naming(RETURNS):
                    request_id = self._shop.answer_cancellation(
                        request.cancel_id,
                        approve=self._answer.word == APPROVE,
                        reason=target.answer.reason,
                        idempotency_key=target.answer.key(request.cancel_id),
                    )
            except OutcomeUnknown as error:
                self._settle(outbox_id, "unknown")
                shown = self._look_again(target, error)
                if shown is None or not shown.is_pending:
                    return _Sent(target, shown)
                if attempt == _ATTEMPTS:
                    self._failed(target.order_id, shown, "outcome_unknown", error.what, _again())
                continue  # it still waits: the same key names the same answer
            except ChannelRefused as refusal:
                if refusal.code in _LOCK_FAILED and attempt < _ATTEMPTS:
                    self._settle(outbox_id, "intent", error_code=str(refusal.code))
                    continue
                return self._refused(target, outbox_id, refusal)
            except ErpError:
                self._settle(outbox_id, "intent")
                raise
            self._settle(outbox_id, "done", request_id=request_id)
            return _Sent(target)
        return None

    def _refused(self, target: OpenRequest, outbox_id: int, refusal: ChannelRefused) -> _Sent | None:
        if refusal.code in _OVER:
            self._settle(outbox_id, "unknown", error_code=str(refusal.code), request_id=refusal.request_id)
            shown = self._look_again(target, refusal)
            if shown is not None and not shown.is_pending:
                return _Sent(target, shown)
        self._settle(outbox_id, "refused", error_code=str(refusal.code), request_id=refusal.request_id)
        self._failed(target.order_id, target.request, refusal.cause, str(refusal), refusal.next_step)
        return None

    def _intend(self, target: OpenRequest) -> int:
        request = target.request
        with undisturbed(), self._store.transaction():
            outbox_id = outbox.intend(
                self._store,
                kind=ANSWER_CANCEL,
                subject=target.order_id,
                idempotency_key=target.answer.key(request.cancel_id),
                payload={
                    "cancel_id": request.cancel_id,
                    "answer": self._answer.word,
                    "reason": target.answer.reason,
                },
                run_id=self._run_id,
            )
            outbox.mark_sent(self._store, outbox_id)
        return outbox_id

    def _settle(
        self, outbox_id: int, state: str, *, error_code: str | None = None, request_id: str | None = None
    ) -> None:
        with undisturbed(), self._store.transaction():
            outbox.settle(self._store, outbox_id, state, error_code=error_code, request_id=request_id)

    def _look_again(self, target: OpenRequest, reason: ErpError) -> Cancellation | None:
        """Return what the channel now says of the request; reading it settles what was in doubt. None: it cannot be had."""
        try:
            shown = self._read_requests([target.order_id])
        except ErpError as error:
            if isinstance(error, SignInError):
                raise
            raise reason from error
        rows = [row for row in shown.get(target.order_id, ()) if row.cancel_id == target.request.cancel_id]
        return rows[-1] if rows else None

    def _confirm(self, sent: Sequence[_Sent]) -> None:
        """Read back what was answered, so that stock and packages follow at once, and report it."""
        if not sent:
            return
        order_ids = list(dict.fromkeys(entry.target.order_id for entry in sent))
        shown: Mapping[str, Sequence[Cancellation]] = {}
        try:
            shown = self._read_requests(order_ids)
            self._read_orders(order_ids)
        except ErpError as error:
            self._report.warn(
                tr("the answered orders could not be read back ({reason}); `sync` will do it", reason=error.what)
            )
        with self._store.transaction():
            place_restocking(self._store, order_ids)
        for entry in sent:
            request = entry.target.request
            now = next(
                (row for row in shown.get(entry.target.order_id, ()) if row.cancel_id == request.cancel_id), entry.shown
            )
            if now is not None and not now.is_pending and _word_of(now.status) != self._answer.word:
                self._tell_over(entry.target.order_id, now, is_ours=True)
            else:
                self._done(entry.target.order_id, now or request, labels=entry.target.labels)

    # Reporting

    def _done(self, order_id: str, request: Cancellation, *, labels: Sequence[sqlite3.Row] = ()) -> None:
        self.count.answered += 1
        text = (
            tr("order {order}: the cancel request is granted", order=request.channel_order_id)
            if self._answer.word == APPROVE
            else tr("order {order}: the cancel request is rejected; the order stands", order=request.channel_order_id)
        )
        self._tell(order_id, request, "done", text=text, labels=labels)

    def _answered_before(self, order_id: str, request: Cancellation) -> None:
        self.count.answered_before += 1
        text = tr("order {order}: the cancel request was answered so before", order=request.channel_order_id)
        self._tell(order_id, request, "skipped", cause="already_answered", text=text)

    def _failed(self, order_id: str, request: Cancellation | None, cause: str, text: str, next_step: str) -> None:
        self.count.failed += 1
        self._tell(order_id, request, "failed", cause=cause, text=text, next_step=next_step)

    def _tell(
        self,
        order_id: str,
        request: Cancellation | None,
        result: str,
        *,
        text: str,
        cause: str | None = None,
        next_step: str | None = None,
        labels: Sequence[sqlite3.Row] = (),
    ) -> None:
        fields: dict[str, object] = {"answer": self._answer.word}
        if request is not None:
            fields |= {
                "cancel_id": request.cancel_id,
                "cancel_status": request.status,
                "refund_minor": request.refund_minor,
            }
        if request is not None and request.is_pending:
            fields["answer_by"] = to_text(request.answer_by) if request.answer_by else None
        if labels and self._answer.word == APPROVE:
            names = ("package_id", "state", "carrier", "tracking_number")
            fields["labels"] = [{name: label[name] for name in names} for label in labels]
        self._report.item(
            Outcome("order", {"order_id": order_id}, result, cause=cause, next_step=next_step, fields=fields, text=text)
        )


def _word_of(status: str) -> str | None:
    return APPROVE if status in GRANTED else REJECT if status in REJECTED else None


def _is_wish_of_the_buyer(row: Cancellation) -> bool:
    """Tell whether a cancellation began with the buyer: what seller or channel cancelled was never to be answered."""
    return row.kind == "BUYER_CANCEL" or (row.kind is None and row.role in ("BUYER", None))


def _time(moment: datetime | None, *, unknown: str = "~") -> str:
    return to_text(moment) if moment is not None else unknown


def _again() -> str:
    return tr("run this again; nothing is repeated that may have happened")


def _about_label(target: OpenRequest, label: sqlite3.Row) -> str:
    order, package = target.request.channel_order_id, label["package_id"]
    if label["state"] != "bought":
        return tr(
            "order {order}: a label for package {package} is being bought, and nobody knows the outcome yet; run"
            " `tiktok-erp labels reconcile`, keep the parcel here, and void the label in Seller Center",
            order=order,
            package=package,
        )
    number = " ".join(part for part in (label["carrier"], label["tracking_number"]) if part) or tr("without a number")
    if label["orders"] > 1:
        return tr(
            "order {order}: package {package} already has a label ({number}) and holds other orders too: take this order's"
            " pieces out of the parcel",
            order=order,
            package=package,
            number=number,
        )
    return tr(
        "order {order}: package {package} already has a label ({number}): keep the parcel here, and void the label where it"
        " was bought (a label of TikTok Shipping: in Seller Center)",
        order=order,
        package=package,
        number=number,
    )


@contextmanager
def _naming(scope: str) -> Iterator[None]:
    """Let a refusal for want of a scope say which one."""
    try:
        yield
    except SignInError as error:
        if error.cause != "scope_missing":
            raise
        raise SignInError(
            tr("{what}; the scope is {scope}", what=error.what, scope=scope),
            subject=error.subject,
            next_step=tr(
                "add the scope {scope} to the app in Partner Center, let the seller give consent again (`tiktok-erp auth"
                " login`), and run this again",
                scope=scope,
            ),
            cause=error.cause,
        ) from error
