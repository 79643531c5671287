"""What a SKU is picked as: itself, or the pieces of a bundle. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

Components = Mapping[str, Mapping[str, int]]  # a bundle's SKU -> each component and how many of it


def pieces_of(
    sku: str, own: Components, told: Iterable[tuple[str, int]] = (), counted: frozenset[str] | None = None
) -> dict[str, int]:
    """Return the pieces that one unit of `sku` takes from the shelf, each with its number.

    The seller's own mapping (`own`) goes before what the channel tells of a bundle (`told`): it was written by whoever
    packs. Bundles within bundles are taken apart too. A bundle of the channel that is counted as it is, while none of its
    components is, stands on the shelf as a set: it is a piece of its own. `counted` None: do not ask.
    """
    if sku in own:
        return dict(_taken_apart({sku: 1}, own))
    parts: Counter[str] = Counter()
    for component, quantity in told:
        parts[component] += quantity
    if not parts:
        return {sku: 1}
    pieces = dict(_taken_apart(parts, own))
    if counted is not None and sku in counted and not counted.intersection(pieces):
        return {sku: 1}
    return pieces


def leads_back(sku: str, components: Iterable[str], own: Components) -> bool:
    """Tell whether a bundle `sku` of `components` would contain itself."""
    waiting, seen = list(components), set[str]()
    while waiting:
        component = waiting.pop()
        if component == sku:
            return True
        if component not in seen:
            seen.add(component)
            waiting.extend(own.get(component, ()))
    return False


def _taken_apart(parts: Mapping[str, int], own: Components) -> Counter[str]:
    pieces: Counter[str] = Counter()
    waiting = [(sku, quantity, frozenset[str]()) for sku, quantity in parts.items()]
    while waiting:
        sku, quantity, above = waiting.pop()
        if sku not in own or sku in above:
            pieces[sku] += quantity
            continue
        waiting.extend((part, number * quantity, above | {sku}) for part, number in own[sku].items())
    return pieces
