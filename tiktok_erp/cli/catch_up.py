"""What a database asks before it counts again, and now and then: what left the shop, and what was bought, without it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from tiktok_erp.errors import ErpError, SignInError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.cli.session import Session

# A round of a watch is a minute; a machine beside this one is the exception, and each purchase asks anyway.
_LOOKS_EVERY = timedelta(minutes=5)


def catch_up(session: Session, *, in_rounds: bool = False) -> None:
    """Ask the label source what others bought, and lift the mark of a database that is behind; the channel was just asked.

    `in_rounds`: it need not be asked each time. Raises what the source raises while the database is behind: then it stays
    so. Else the next purchase asks again.
    """
    from tiktok_erp.store.behind import lift, why_behind

    is_behind = why_behind(session.store) is not None
    if not is_behind:
        with suppress(ErpError):
            _look(session, is_behind=False, every=_LOOKS_EVERY if in_rounds else timedelta(0))
        return
    _look(session, is_behind=True, every=timedelta(0))
    lift(session.store)
    from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere

    session.out.say(tr("the database has caught up with what was done since; buying and pushing go on"))
    waiting = count_bought_elsewhere(session.store).labels
    if waiting:
        session.out.warn(
            tr(
                "{count} labels were bought before, and may be on paper: `tiktok-erp labels list` shows them, `tiktok-erp labels"
                " adopt` prints them",
                count=waiting,
            )
        )


def tell_news(session: Session, before: int) -> None:
    """Say that labels were bought elsewhere since the last fetch, once."""
    from tiktok_erp.store.bought_elsewhere import count_bought_elsewhere

    count = count_bought_elsewhere(session.store).labels - before
    if count > 0:
        session.out.warn(
            tr(
                "{count} labels were bought elsewhere, in Seller Center or by another machine: they are not printed here by"
                " themselves; `tiktok-erp labels adopt` does",
                count=count,
            )
        )


def _look(session: Session, *, is_behind: bool, every: timedelta) -> None:
    from tiktok_erp.labels.elsewhere import is_due, look_at_source
    from tiktok_erp.store.bought_elsewhere import load_newest_purchase

    buys = session.rules().labels.seller_shipping == "easypost"
    if not buys and load_newest_purchase(session.store, "easypost") is None:
        return
    if session.settings().easypost() is None:
        if is_behind and buys:
            raise SignInError(
                tr("labels are bought from EasyPost, and there is no key to ask it what was bought since"),
                subject="EASYPOST_API_KEY",
                next_step=tr("set EASYPOST_API_KEY and run `tiktok-erp sync` again"),
                cause="no_credentials",
            )
        return
    if is_due(session.store, "easypost", every):
        source = session.label_source()
        look_at_source(session.store, source, session.out, run_id=session.run_id, is_behind=is_behind, buys=False)
