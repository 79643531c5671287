"""Which carrier of the channel is ours, for each delivery option. Asks the channel, keeps the answer for a day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.tracking import load_providers, save_providers
from tiktok_erp.tracking.plan import NotUploaded, Upload, choose_provider

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

_CHANNEL = "tiktok"


class Providers:
    """The channel's carriers. Without `shop` what was told before is all there is; `keep`: write down what is told."""

    def __init__(self, store: Store, rules: Rules, shop: TikTokShop | None, *, keep: bool) -> None:
        self._store = store
        self._names = rules.channels[_CHANNEL].carrier_names
        self._shop = shop
        self._keep = keep
        self._known: dict[str, list[tuple[str, str, str]]] = {}

    def learn(self, delivery_option_ids: Iterable[str | None]) -> None:
        """Have the carriers of these delivery options at hand, asking the channel once for each that is a day old."""
        for option in sorted({option for option in delivery_option_ids if option} - set(self._known)):
            rows = load_providers(self._store, _CHANNEL, option, utc_now())
            if not rows and self._shop is None:
                rows = load_providers(self._store, _CHANNEL, option, None)
            self._known[option] = _coded(rows) if rows or self._shop is None else self._fetch(self._shop, option)

    def _fetch(self, shop: TikTokShop, option: str) -> list[tuple[str, str, str]]:
        told = [(entry.provider_id, entry.name) for entry in shop.fetch_shipping_providers(option)]
        if self._keep:
            with self._store.transaction():
                save_providers(self._store, _CHANNEL, option, told, utc_now())
        return [(provider_id, name, carrier_code(name)) for provider_id, name in told]

    def choose(self, upload: Upload, *, is_final: bool = False) -> str | NotUploaded | None:
        """Return the channel's id of an upload's carrier, None while that cannot be told, or why there is none.

        `is_final`: the order was just read, so that what it does not tell will not come. An export tells no delivery option.
        """
        option = upload.number.delivery_option_id
        if not option and not is_final:
            return None
        if not option:
            return NotUploaded(
                upload.number,
                "no_delivery_option",
                tr("the order's delivery option is not known, and with it not the channel's carriers"),
                tr("run `tiktok-erp sync` with the API, or use `upload-tracking --to FILE`"),
                is_fault=True,
            )
        known = self._known.get(option)
        if known is None or (not known and self._shop is None):
            return None
        found = choose_provider(upload.carrier, self._names.get(upload.carrier), known)
        return found or self.none(upload, tuple(name for provider_id, name, code in known))

    def none(self, upload: Upload, names: Sequence[str]) -> NotUploaded:
        """Return that the channel does not offer an upload's carrier."""
        known = ", ".join(names)
        what = tr("the channel does not offer the carrier {carrier} for this order", carrier=upload.carrier)
        return NotUploaded(
            upload.number,
            "no_provider",
            f"{what} ({known})" if known else what,
            tr("enable the carrier in Seller Center, or name it in channels.tiktok.carrier_names of rules.yaml"),
            is_fault=True,
        )


def _coded(rows: Iterable[sqlite3.Row]) -> list[tuple[str, str, str]]:
    return [(row["provider_id"], row["name"], carrier_code(row["name"])) for row in rows]
