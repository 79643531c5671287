"""Run one command: language, lock, store, run record, errors, exit code. The only place that wires the edges together."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tiktok_erp.checked_json import parse_json
from tiktok_erp.cli.options import Globals, resolve
from tiktok_erp.cli.output import Output, our_fault
from tiktok_erp.cli.system_errors import to_nowhere
from tiktok_erp.errors import (
    ChannelRefused,
    ErpError,
    Interrupted,
    SettingsError,
    SignInError,
    SomeItemsFailed,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.private_files import open_lock

if TYPE_CHECKING:
    from tiktok_erp.carriers.easypost import EasyPost
    from tiktok_erp.channels.base import ShopFacts
    from tiktok_erp.channels.tiktok import TikTokShop
    from tiktok_erp.config.settings import Settings
    from tiktok_erp.config.tokens import TokenFile
    from tiktok_erp.model.credentials import TikTokCredentials
    from tiktok_erp.model.outcome import Report
    from tiktok_erp.model.rule import ChannelRules, Rules
    from tiktok_erp.store.database import Store
    from tiktok_erp.transport.pace import Pace


@dataclass(slots=True)
class Session:
    """What a command works with. `summary` goes into the closing JSON line."""

    out: Output
    options: Globals
    store: Store
    run_id: int | None
    dry_run: bool
    summary: dict[str, object] = field(default_factory=dict)
    stopped: ErpError | None = None  # what ended a stage early, raised once the rest is done
    _stack: ExitStack = field(default_factory=ExitStack)
    _rules: Rules | None = None
    _settings: Settings | None = None
    _shop: TikTokShop | None = None
    _labels: EasyPost | None = None

    def rules(self, *, required: bool = False) -> Rules:
        """Return the rules, checked whole. Without a file: the shipped policy, or SettingsError when `required`."""
        if self._rules is None and required:
            from tiktok_erp.config.rules_file import load_rules

            self._rules = load_rules(self.options.rules)
            for note in self._rules.notes:
                self.out.warn(note)
        elif self._rules is None:
            self._rules = load_round_rules(self.options, self.out, True)
        return self._rules

    def rules_at_hand(self) -> Rules | None:
        """Return the rules if this run got as far as reading them."""
        return self._rules

    def use_rules(self, rules: Rules) -> None:
        """Work with these rules, which somebody has read already."""
        self._rules = rules

    def settings(self) -> Settings:
        """Return the settings of this process."""
        if self._settings is None:
            from tiktok_erp.config.settings import Settings

            self._settings = Settings()
        return self._settings

    def shop(self) -> TikTokShop:
        """Return the TikTok client of the shop that this database belongs to, signed in.

        Raises SignInError without credentials, OtherShop when they belong to another shop.
        """
        if self._shop is None:
            self._shop = _connect(self)
        return self._shop

    def label_source(self) -> EasyPost:
        """Return where own labels are bought. Ask only when `labels.seller_shipping` is `easypost`, or to settle.

        Raises SignInError without a key, SettingsError for a test key on a real shop's database and the other way round.
        """
        if self._labels is None:
            self._labels = _connect_labels(self)
        return self._labels

    def require_up_to_date(self) -> None:
        """Raise DatabaseBehind where money would be spent, or something published, on a database that is behind."""
        from tiktok_erp.store.behind import require_up_to_date

        if not self.dry_run:
            require_up_to_date(self.store)

    def alone(self, lock: str | None) -> AbstractContextManager[bool]:
        """Hold one more lock of this database while the block runs; gives False when another process holds it."""
        return _only_one(self.options.db, None if self.dry_run else lock)

    @contextmanager
    def named_lock(self, kind: str) -> Iterator[str]:
        """Hold a lock with a name of its own while the block runs: others see by `is_locked` that this process lives."""
        name = secrets.token_hex(4)
        with _only_one(self.options.db, f"{kind}-{name}"):
            try:
                yield name
            finally:
                _lock_file(self.options.db, f"{kind}-{name}").unlink(missing_ok=True)

    def is_locked(self, kind: str, name: str) -> bool:
        """Tell whether the process that gave itself this name still runs."""
        path = _lock_file(self.options.db, f"{kind}-{name}")
        if not path.exists():
            return False
        with _only_one(self.options.db, f"{kind}-{name}") as is_free:
            if is_free:
                path.unlink(missing_ok=True)  # left by a process that was killed
            return not is_free

    def let_go(self) -> None:
        """Wait for what must not be broken off: a token that a thread is just renewing."""
        if self._shop is not None:
            self._shop.let_renewal_finish()

    def keep_calls(self) -> None:
        """Write down how the channel answered since the last time; what is lost with a killed process is lost."""
        if self._shop is None or self.dry_run:
            return
        from tiktok_erp.store.calls import save_calls

        calls = self._shop.take_calls()
        save_calls(self.store, [(call.at, call.endpoint, call.outcome, call.latency_ms) for call in calls])

    def only_failures(self) -> Report:
        """Return where a stage reports to whose single lines nobody asked for."""
        return _Silent(self.out)

    def read_back(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Fetch orders as they are now, by our order ids, and write them; return those that the channel told."""
        from tiktok_erp.sync.run import OrderWriter

        writer = OrderWriter(self.store, self.rules(), _Silent(self.out), run_id=self.run_id)
        numbers = [order_id.partition(":")[2] for order_id in order_ids]
        return writer.write_raw(self.shop().fetch_orders(numbers))

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """In a dry run, work on a copy of the database that is thrown away: what is done there is told as planned.

        Elsewhere the block works as it is. The copy is read by nobody else, so that a rehearsal may take its time.
        """
        if not self.dry_run:
            yield
            return
        from tempfile import TemporaryDirectory

        from tiktok_erp.store.database import open_store

        real = self.store
        with TemporaryDirectory() as folder:
            path = Path(folder) / real.path.name
            real.backup_to(path)
            with open_store(path) as copy:
                self.store = copy
                self.out.tells_done_as_planned = True
                try:
                    yield
                finally:
                    self.store = real
                    self.out.tells_done_as_planned = False

    def packages(self, names: Sequence[str] | None) -> list[str] | None:
        """Turn names into package ids, telling which mean nothing."""
        from tiktok_erp.store.packages import find_packages

        return resolve(names, lambda name: find_packages(self.store, name), self._unknown)

    def orders(self, names: Sequence[str] | None) -> list[str] | None:
        """Turn names into order ids, telling which mean nothing."""
        from tiktok_erp.store.packages import find_orders

        return resolve(names, lambda name: find_orders(self.store, name), self._unknown)

    def _unknown(self, name: str) -> None:
        self.out.item(
            Outcome(
                "id",
                {"id": name},
                "failed",
                cause="unknown_id",
                next_step=tr("run `tiktok-erp sync`, or check the id"),
                text=tr("nothing in the database is called {name}", name=name),
            )
        )


class _Silent:
    """Lets warnings and failures through and keeps the lines about orders that are only being read back."""

    wants_fields = False

    def __init__(self, out: Output) -> None:
        self._out = out

    def item(self, outcome: Outcome) -> None:
        if outcome.result == "failed":
            self._out.item(outcome)

    def say(self, text: str) -> None:
        self._out.say(text)

    def warn(self, text: str) -> None:
        self._out.warn(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None


def run_command(
    name: str,
    context: typer.Context,
    body: Callable[[Session], None],
    *,
    as_json: bool,
    quiet: bool,
    dry_run: bool = False,
    writes: bool = True,
    create: bool = False,
    begins: bool = False,
    lock: str | None = None,
    after: Callable[[Session], None] | None = None,
    watch: Callable[[Rules], timedelta] | None = None,
    load_rules: Callable[[Globals, Output, bool], Rules] | None = None,
) -> None:
    """Run `body` as the command `name` and leave with its exit code.

    Of the commands that share a `lock` one runs at a time on a database: a second one says so and ends with 0. Newly
    failed items give 3. `after` is called once the run is recorded, whatever came of it. With `watch` the command runs
    again and again, each time as a run of its own, with so much time from start to start; `load_rules` reads the rules of a
    round. With `create` a missing database is made; with `begins` it is kept when the command ends well.
    Inside another command nothing of this happens here: that one carries it out, and leaves for itself.
    """
    options: Globals = context.obj
    is_recorded = writes and not dry_run
    command = Command(
        name, options, body, after, lock, dry_run=dry_run, is_recorded=is_recorded, create=create, begins=begins
    )
    if options.outer is not None:
        options.outer(command)
        return
    load = load_rules or load_round_rules
    with Output(as_json=as_json, quiet=quiet, goes_on_unread=is_recorded) as out, _stoppable():
        summary: dict[str, object] = {}
        try:
            with only_one(command) as is_alone:
                if is_alone and watch is not None:
                    from tiktok_erp.cli.watch import run_rounds

                    code = run_rounds(
                        out,
                        load=lambda is_first: load(options, out, is_first),
                        run=lambda rules, told: run_once(command, out, told, rules=rules),
                        every=watch,
                    )
                elif is_alone:
                    code = run_once(command, out, summary)
                else:
                    say_running(command, out)
                    code = 0
        except ErpError as error:
            out.end_progress()
            out.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except BrokenPipeError:
            # Whoever read us has enough; the interpreter must not complain about it at exit.
            to_nowhere(sys.stdout)
            raise typer.Exit(0) from None
        except Exception as error:
            fault = our_fault(error)
            out.error(fault)
            code = fault.exit_code
        try:
            out.summary(code, **summary)
            out.finish()
        except BrokenPipeError:
            to_nowhere(sys.stdout)
        except ErpError as error:
            out.error(error)
            code = code or error.exit_code
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, once or in rounds, or as a stage of another command."""

    name: str
    options: Globals
    body: Callable[[Session], None]
    after: Callable[[Session], None] | None
    lock: str | None
    dry_run: bool
    is_recorded: bool
    create: bool
    begins: bool


def run_once(command: Command, out: Output, summary: dict[str, object], *, rules: Rules | None = None) -> int:
    """Run a command on its database as a run of its own and return its exit code. Raises what ended it."""
    from tiktok_erp.store import behind
    from tiktok_erp.store.database import open_first_store, open_store
    from tiktok_erp.store.runs import end_run, start_run

    with ExitStack() as stack:
        path = command.options.db
        is_new = (command.create or command.begins) and not path.exists() and path.parent.is_dir()
        is_begun = is_new and not command.create and not command.dry_run
        if is_new and command.dry_run:
            from tempfile import TemporaryDirectory

            # The first run is only being tried: it works on a file that is thrown away.
            path = Path(stack.enter_context(TemporaryDirectory())) / path.name
        store = stack.enter_context(
            open_first_store(path) if is_begun else open_store(path, create=is_new or command.create)
        )
        run_id = None
        if command.is_recorded:
            behind.notice(store)
            run_id = start_run(store, command.name)
            if not is_begun:  # a first run that fails leaves nothing
                behind.raise_mark(store)
        session = Session(out, command.options, store, run_id, command.dry_run, summary, _stack=stack, _rules=rules)
        if out.as_json:
            from tiktok_erp.store.overview import load_item

            out.view_row = lambda outcome: load_item(store, outcome.kind, outcome.ids, told=outcome.fields)
        code, error_text = 1, None
        before = out.counts.copy()
        try:
            command.body(session)
            code = SomeItemsFailed.exit_code if out.new_failures else 0
        except ErpError as error:
            code, error_text = error.exit_code, error.what
            raise
        except KeyboardInterrupt:
            code, error_text = Interrupted.exit_code, "interrupted"
            raise
        except BaseException as error:
            error_text = type(error).__name__
            raise
        finally:
            session.let_go()
            if session.run_id is not None:
                with suppress(ErpError):
                    session.keep_calls()
                with suppress(ErpError):
                    end_run(
                        store,
                        session.run_id,
                        exit_code=code,
                        done=out.counts["done"] - before["done"],
                        failed=out.counts["failed"] - before["failed"],
                        error=error_text,
                    )
                if not is_begun:
                    behind.raise_mark(store)
                if command.after is not None and code != Interrupted.exit_code:
                    command.after(session)
        return code


def load_round_rules(options: Globals, out: Output, is_first: bool) -> Rules:
    """Return the rules in force now; their notes are told in the first round only. Raises as `load_rules` does."""
    from tiktok_erp.config.rules_file import load_rules, load_rules_or_defaults

    rules = load_rules(options.rules) if options.rules_given else load_rules_or_defaults(options.rules)
    if is_first:
        for note in rules.notes:
            out.warn(note)
    return rules


def say_running(command: Command, out: Output) -> None:
    """Tell that somebody else is at it."""
    file = command.options.db
    out.warn(tr("`{command}` is already running on {file}; nothing to do", command=command.name, file=file))


def only_one(command: Command) -> AbstractContextManager[bool]:
    """Hold the lock of a command that changes something; gives False when another process holds it."""
    is_there = command.options.db.exists() or command.create or command.begins  # else opening it tells what is wrong
    return _only_one(command.options.db, command.lock if command.is_recorded and is_there else None)


def _lock_file(db: Path, name: str) -> Path:
    return db.with_name(f".{db.name}.{name}.lock")


def is_running(db: Path, name: str) -> bool:
    """Tell whether a process holds the lock `name` of a database. Makes no file."""
    return _lock_file(db, name).exists() and not _is_free(db, name)


def _is_free(db: Path, name: str) -> bool:
    with _only_one(db, name) as is_free:
        return is_free


@contextmanager
def _only_one(db: Path, name: str | None) -> Iterator[bool]:
    """Hold the lock `name` of one database; yields False when another process holds it. None is no lock."""
    if name is None or not db.parent.is_dir():  # opening the store tells what is wrong with the folder
        yield True
        return
    handle = open_lock(_lock_file(db, name))
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        if not db.exists():
            db.with_name(f".{db.name}.{name}.lock").unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM, and the end of the terminal, end a command as Ctrl-C does: what is under way is finished and recorded."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # `nohup` ignores it
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, interrupt)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _connect(session: Session) -> TikTokShop:
    from tiktok_erp.channels.tiktok import TikTokShop
    from tiktok_erp.model.secret import Secret
    from tiktok_erp.store.database import stamp_shop
    from tiktok_erp.transport.client import HttpClient

    settings = session.settings()
    tokens = tokens_of(session.options.db, settings)
    credentials = settings.tiktok(has_tokens=not tokens.is_empty)
    limits = session.rules().channels["tiktok"]
    http = session._stack.enter_context(HttpClient())
    shop = TikTokShop(credentials, tokens, http, shared_pace(credentials, limits))
    facts = _which_shop(session, shop, tokens, credentials.cipher.reveal(), credentials.app_key)
    shop_id, name, kind, cipher = facts
    if cipher:
        shop.use_cipher(Secret(cipher))
    stamp_shop(session.store, shop_id, name=name, kind=kind, keep=not session.dry_run)
    return shop


def tokens_of(database: Path, settings: Settings) -> TokenFile:
    """Return the tokens of one database, which tells this user's other databases of renewals."""
    from tiktok_erp.config.tokens import open_tokens
    from tiktok_erp.transport.budget import state_directory

    return open_tokens(database, settings, state=state_directory(os.environ))


def _connect_labels(session: Session) -> EasyPost:
    from tiktok_erp.carriers.easypost import EasyPost
    from tiktok_erp.model.rule import ChannelRules
    from tiktok_erp.transport.client import HttpClient, is_this_machine

    credentials = session.settings().easypost()
    if credentials is None:
        raise SignInError(
            tr("there is no key of EasyPost"),
            subject="EASYPOST_API_KEY",
            next_step=tr("set EASYPOST_API_KEY, or set labels.seller_shipping to file in rules.yaml"),
            cause="no_credentials",
        )
    http = session._stack.enter_context(HttpClient())
    limits = ChannelRules()
    pace = _pace_of(f"{credentials.api_url}/{credentials.api_key.reveal()}", limits)
    source = EasyPost(credentials.api_key, credentials.api_url, http, pace, concurrency=limits.concurrency)
    is_simulated = session.store.is_simulated
    if source.is_test and not is_simulated:
        raise SettingsError(
            tr("EASYPOST_API_KEY is a test key: its labels carry no postage, and this database is a real shop's"),
            subject="EASYPOST_API_KEY",
            next_step=tr("set the production key, or try the test key on a database of the simulated shop"),
        )
    if is_simulated and not source.is_test and not is_this_machine(credentials.api_url):
        raise SettingsError(
            tr("this database is the simulated shop's, and EASYPOST_API_KEY would buy real labels for it"),
            subject="EASYPOST_API_KEY",
            next_step=tr("set a test key, which begins with EZTK"),
        )
    return source


def shared_pace(credentials: TikTokCredentials, limits: ChannelRules) -> Pace:
    """Return the pace of one app and shop, which all processes of this machine keep together, whatever their database."""
    return _pace_of(f"{credentials.api_url}/{credentials.app_key}/{credentials.cipher.reveal()}", limits)


def _pace_of(who: str, limits: ChannelRules) -> Pace:
    import hashlib

    from tiktok_erp.transport.budget import budget_path
    from tiktok_erp.transport.pace import Pace

    return Pace(
        start_rate=limits.start_rate,
        max_rate=limits.max_rate,
        path=budget_path(hashlib.sha256(who.encode()).hexdigest()[:16], os.environ),
        creep_after_s=limits.creep_after.total_seconds(),
    )


def _which_shop(
    session: Session, shop: TikTokShop, tokens: TokenFile, cipher: str, app_key: str
) -> tuple[str, str, str, str]:
    """Return (shop id, name, kind, cipher), from the token file where these credentials were used before."""
    import hashlib
    import json

    from tiktok_erp.cli.sign_in import stamp_of

    key = "shop/" + hashlib.sha256(f"{app_key}/{cipher}".encode()).hexdigest()[:16]
    kept = tokens.recall(key)
    if kept is not None:
        shop_id, name, kind, kept_cipher = parse_json(kept)
        return shop_id, name, kind, kept_cipher or cipher
    try:
        shops = shop.fetch_shops()
    except (SignInError, ChannelRefused) as error:
        # Without leave to list the shops the cipher itself tells one shop from another.
        if not cipher or not (isinstance(error, ChannelRefused) or error.cause == "scope_missing"):
            raise
        return "cipher-" + hashlib.sha256(cipher.encode()).hexdigest()[:12], "", "", cipher
    chosen = _choose_shop(shops, cipher, session.store.meta("shop"))
    facts = (stamp_of(chosen), chosen.name, chosen.kind, chosen.cipher.reveal())
    if not session.dry_run:
        tokens.remember(key, json.dumps(facts))
    return facts


def _choose_shop(shops: Sequence[ShopFacts], cipher: str, owner: str | None) -> ShopFacts:
    if cipher:
        from tiktok_erp.cli.sign_in import names_shop

        matches = [shop for shop in shops if names_shop(cipher, shop)]
    else:
        matches = [shop for shop in shops if shop.shop_id == owner] or list(shops)
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{shop.name} ({shop.region}, {shop.shop_id})" for shop in shops) or tr("none")
    raise SignInError(
        tr("the token opens these shops: {names}; TIKTOK_SHOP_CIPHER names none of them clearly", names=names),
        subject="TIKTOK_SHOP_CIPHER",
        next_step=tr("set TIKTOK_SHOP_CIPHER to the id of one of them; `tiktok-erp auth status` shows the ids"),
        cause="shop_not_chosen",
    )


def require_credentials_or_file(session: Session, alternative: str) -> None:
    """Raise SignInError that also names the way without an API account."""
    if session.settings().tiktok_is_set():
        return
    raise SignInError(
        tr("there are no credentials for TikTok Shop"),
        subject="TIKTOK_SHOP_APP_KEY",
        next_step=alternative,
        cause="no_credentials",
    )


def agreed(session: Session, question: str, *, yes: bool) -> bool:
    """Ask a person at a terminal; elsewhere, and with `yes`, there is nobody to ask."""
    if yes or not can_ask(session):
        return True
    return typer.confirm(question, default=False, err=True)


def can_ask(session: Session) -> bool:
    """Tell whether a person sits at a terminal who reads our questions."""
    return not session.out.as_json and sys.stdin.isatty() and sys.stderr.isatty()


def existing_folder(path: Path) -> Path:
    """Return `path`, made if needed. Raises SettingsError when it cannot be a folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            tr("the folder cannot be made ({reason})", reason=error.strerror),
            subject=str(path),
            next_step=tr("name another folder"),
        ) from error
    return path
