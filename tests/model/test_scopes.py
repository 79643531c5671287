"""Scopes: each endpoint's, each command's, and what is missing of them."""

from __future__ import annotations

import pytest

from tiktok_erp.channels import tiktok
from tiktok_erp.model.scopes import COMMANDS, missing_scopes, scope_of
from tiktok_erp.simulator.options import SCOPES
from tiktok_erp.simulator.server import Simulator, SimulatorOptions

PATHS = sorted({value for name, value in vars(tiktok).items() if name.isupper() and str(value).startswith("/")})


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith("/api/v2/token")])
def test_every_endpoint_that_we_call_has_a_scope(path):
    assert (scope_of("GET", path) or scope_of("POST", path)) in SCOPES


def test_the_simulated_shop_asks_for_the_same_scopes():
    routes = Simulator(SimulatorOptions(orders=0)).gateway.router._routes
    assert len(routes) > 30
    found = {route.name: (scope_of(route.method, route.template), route.scope) for *_patterns, route in routes}
    assert {name: scopes for name, scopes in found.items() if scopes[0] != scopes[1]} == {}


@pytest.mark.parametrize("path", ["/", "/order/orders/search", "/shipping/202309/orders", "/order/202309/orders2"])
def test_a_path_that_nobody_documented_has_no_known_scope(path):
    assert scope_of("GET", path) is None


def test_with_every_scope_nothing_is_missing():
    assert missing_scopes(SCOPES) == {}


def test_a_missing_scope_is_told_for_each_command_that_needs_it():
    missing = missing_scopes(set(SCOPES) - {"seller.logistics", "seller.order.info"})
    scopes = {command: [need.scope for need in needs] for command, needs in missing.items()}
    assert scopes == {
        "sync": ["seller.order.info"],
        "print-labels": ["seller.order.info"],
        "upload-tracking": ["seller.order.info", "seller.logistics"],
        "orders answer": ["seller.order.info"],
    }


def test_every_scope_of_a_command_exists():
    assert {need.scope for needs in COMMANDS.values() for need in needs} <= set(SCOPES)
