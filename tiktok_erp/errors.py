"""The one exception tree. Each class carries the exit code that a script sees; `README.md` shows the same table."""

from __future__ import annotations


class ErpError(Exception):
    """Base of every error meant for the seller: what happened, to what (`subject`), and what to do next.

    `cause` is a stable word for scripts (`--json`); the sentences are for people and come in their language.
    """

    exit_code = 1
    cause = "bug"

    def __init__(self, what: str, *, subject: str, next_step: str, cause: str | None = None) -> None:
        super().__init__(f"{what} ({subject})" if subject else what)
        self.what = what
        self.subject = subject
        self.next_step = next_step
        if cause is not None:
            self.cause = cause


class UsageError(ErpError):
    """The command line asks for something that cannot be done."""

    exit_code = 2
    cause = "usage"


class InputFileError(UsageError):
    """A file given by the seller cannot be read as what it should be. Nothing of it was taken over."""

    cause = "input_file"


class SomeItemsFailed(ErpError):
    """The run finished, and something failed newly in it."""

    exit_code = 3
    cause = "items_failed"


class SignInError(ErpError):
    """The channel or label source does not accept our credentials, token, scopes or address."""

    exit_code = 4
    cause = "sign_in"


class SettingsError(ErpError):
    """A setting is missing or contradicts another one."""

    exit_code = 5
    cause = "settings"


class RulesError(SettingsError):
    """rules.yaml cannot be used. `faults` holds one line per fault, each with `file:line:column`."""

    cause = "rules"

    def __init__(self, what: str, *, subject: str, next_step: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(what, subject=subject, next_step=next_step)
        self.faults = faults


class OtherShop(SettingsError):
    """The database belongs to another shop than the credentials."""

    cause = "other_shop"


class DatabaseBehind(SettingsError):
    """The database was restored, or is an older file: it does not know what was bought since."""

    cause = "behind"


class ChannelDown(ErpError):
    """The channel did not answer, or not in its own language. Safe to retry."""

    exit_code = 6
    cause = "channel_down"


class ChannelThrottled(ChannelDown):
    """The channel asks us to slow down. `retry_after_s` is its own wish, if it told one."""

    cause = "throttled"

    def __init__(self, what: str, *, subject: str, next_step: str, retry_after_s: float | None = None) -> None:
        super().__init__(what, subject=subject, next_step=next_step)
        self.retry_after_s = retry_after_s


class NotSent(ChannelDown):
    """No byte of the request reached the channel: it may be sent again, whatever it was."""

    cause = "not_sent"


class OutcomeUnknown(ChannelDown):
    """A write was sent and no answer came: it may or may not have happened. Read back before sending it again."""

    cause = "outcome_unknown"


class StaleData(ChannelDown):
    """What the store knows is too old to spend or publish on."""

    cause = "stale"


class ChannelRefused(ErpError):
    """The channel understood one request and said no. `code` is the channel's own, `request_id` what its support asks for."""

    exit_code = 3
    cause = "refused"

    def __init__(self, what: str, *, subject: str, next_step: str, code: int, request_id: str = "") -> None:
        super().__init__(what, subject=subject, next_step=next_step)
        self.code = code
        self.request_id = request_id


class LabelFileError(ErpError):
    """A label document is not a printable label: not a PDF, cut off, or with no page."""

    exit_code = 3
    cause = "label_file"


class PrinterError(ErpError):
    """A printer did not take a job: nothing of it was printed."""

    exit_code = 3
    cause = "printer"


class StoreError(ErpError):
    """The database cannot be used now: locked, too new, not ours, or on a disk that cannot hold it."""

    exit_code = 7
    cause = "store"


class StoreRefused(StoreError):
    """A constraint of the schema stopped a change: our bug, and nothing of the change was kept."""

    exit_code = 1
    cause = "store_refused"


class StoreLocked(StoreError):
    """Another process holds the database."""

    cause = "store_locked"


class StoreTooNew(StoreError):
    """The database was written by a newer version of this tool."""

    cause = "store_too_new"


class Interrupted(ErpError):
    """The seller stopped the run."""

    exit_code = 130
    cause = "interrupted"
