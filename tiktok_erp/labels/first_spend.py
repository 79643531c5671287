"""Before money is spent for the first time: one purchase by hand, and a sender of one's own. A simulated shop is exempt.

An empty folder with the shipped rules is enough to buy hundreds of labels from an address that is an example; so the first
purchase of a database is a person's, and a label of one's own needs a real sender.
"""

from __future__ import annotations

from datetime import datetime

from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store

_BOUGHT_BY_HAND = "bought_by_hand"  # the time of the first purchase that a person agreed to


def require_purchase_by_hand(store: Store, due: int) -> None:
    """Raise SettingsError while nobody has bought a label of this database by hand. `due` labels would be bought now."""
    if store.is_simulated or store.meta(_BOUGHT_BY_HAND) is not None:
        return
    raise SettingsError(
        tr("{count} labels are due, and no label of this database was ever bought by hand", count=due),
        subject=str(store.path),
        next_step=tr(
            "look at `tiktok-erp print-labels --plan`, then run `tiktok-erp print-labels` and answer its question, or add"
            " --yes; from then on `run` buys by itself"
        ),
        cause="first_purchase",
    )


def save_purchase_by_hand(store: Store, at: datetime) -> None:
    """Write that a person has bought labels; the first time stays."""
    if store.meta(_BOUGHT_BY_HAND) is None:
        with store.transaction():
            store.set_meta(_BOUGHT_BY_HAND, to_text(at))


def require_real_sender(store: Store, rules: Rules) -> None:
    """Raise SettingsError while a sender of the rules is the example's: own labels would carry it."""
    if store.is_simulated:
        return
    for name, sender in (("shop.ship_from", rules.shop.ship_from), *rules.senders.items()):
        if sender is not None and sender.is_example:
            raise SettingsError(
                tr("`{name}` is still the example's address: no label of your own is bought from it", name=name),
                subject="rules.yaml",
                next_step=tr("put in where you send from, and run this again"),
                cause="example_sender",
            )
