"""Countries, states and ZIP codes in rules.yaml. Pure."""

from __future__ import annotations

import re

from tiktok_erp.config.checked_yaml import Node, Source, closest, read_text
from tiktok_erp.messages import tr
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.us_states import US_STATE_NAMES, state_code


def read_country(file: Source, node: Node, name: str) -> str | None:
    """Read a country's two letters."""
    text = read_text(file, node, name)
    if text is None:
        return None
    code = country_code(text)
    if code == text:
        return text
    fault = tr("`{name}`: {value} is no country code; write two letters such as US", name=name, value=text)
    if code is not None:
        fault = tr("{fault}; did you mean `{guess}`?", fault=fault, guess=code)
    file.fault(node, fault)
    return None


def read_us_state(file: Source, node: Node, name: str) -> str | None:
    """Read a US state's two letters."""
    text = read_text(file, node, name)
    if text is None:
        return None
    if text.upper() in US_STATE_NAMES:
        return text.upper()
    fault = tr("`{name}`: {value} is no US state; write its two letters", name=name, value=text)
    code = state_code(text)
    if code is None:
        guess = closest(text, list(US_STATE_NAMES.values()))
        code = state_code(guess.replace("_", " ")) if guess else None
    if code is not None:
        fault = tr("{fault}; did you mean `{guess}`?", fault=fault, guess=code)
    file.fault(node, fault)
    return None


def read_zip_text(file: Source, node: Node, name: str) -> str | None:
    """Read digits that are a code and no number: `01234` is octal to YAML, `02139` is not, so both need quotes."""
    if node.id == "scalar" and node.style in (None, "") and re.fullmatch(r"[0-9]+", node.value):
        file.fault(node, tr('`{name}`: a ZIP code is text; write "{value}"', name=name, value=node.value))
        return None
    return read_text(file, node, name)
