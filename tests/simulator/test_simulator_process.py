"""The simulator as a process of its own: ready file, signals, options."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from tiktok_erp.simulator.__main__ import main, parser
from tiktok_erp.simulator.options import SimulatorOptions
from tiktok_erp.simulator.server import FAULTS, Simulator

READY_KEYS = {"api_url", "auth_url", "app_key", "app_secret", "access_token", "refresh_token", "cipher", "service_id"}


def test_a_process_tells_when_it_is_ready_and_stops_cleanly_on_a_signal(tmp_path):
    ready, state = tmp_path / "ready.json", tmp_path / "state.json"
    ready.write_text("left behind by an earlier run", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "tiktok_erp.simulator",
        "--orders",
        "20",
        "--ready-file",
        str(ready),
        "--state",
        str(state),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        book = json.loads(ready.read_text(encoding="utf-8"))
        assert set(book) >= READY_KEYS
        assert book.pop("ciphers") == [book["cipher"]]
        assert all(isinstance(value, str) and value for value in book.values())
        assert book["api_url"] in line
        assert ready.stat().st_mode & 0o077 == 0
        with urllib.request.urlopen(f"{book['api_url']}/open/authorize?service_id={book['service_id']}") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
    assert len(json.loads(state.read_text(encoding="utf-8"))["orders"]) == 20


def test_every_option_has_its_flag():
    given = parser().parse_args(
        ["--rate-limit", "5.5", "--mode", "packages-first", "--time-scale", "60", "--minutes", "2"]
    )
    options = SimulatorOptions(**vars(given))
    assert (options.rate_limit, options.mode, options.time_scale, options.minutes) == (5.5, "packages-first", 60, 2)
    assert SimulatorOptions(**vars(parser().parse_args([]))) == SimulatorOptions()


def test_help_lists_the_faults():
    text = parser().format_help()
    assert all(name in text for name in FAULTS)


def test_a_bad_option_ends_with_2_and_names_it(capsys):
    assert main(["--faults", "gremlins:1"]) == 2
    assert "gremlins" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mode": "moon"}, "mode"),
        ({"carrier": "pigeon"}, "carrier"),
        ({"orders": -1}, "orders"),
        ({"time_scale": 0}, "time_scale"),
        ({"hold_seconds": float("nan")}, "hold_seconds"),
        ({"port": 70000}, "port"),
        ({"rate_limit": -1}, "rate_limit"),
        ({"seller_type": "ALIEN"}, "seller_type"),
    ],
)
def test_a_bad_value_names_its_option(options, word):
    with pytest.raises(ValueError, match=word):
        SimulatorOptions(**options)


def test_a_stopped_simulator_can_be_stopped_again_and_frees_its_port():
    simulator = Simulator(SimulatorOptions(orders=1))
    with pytest.raises(RuntimeError):
        simulator.api_url  # noqa: B018 - the property is what is tested
    simulator.start()
    port = simulator.port
    simulator.stop()
    simulator.stop()
    with Simulator(SimulatorOptions(orders=1, port=port)) as other:
        assert other.port == port


def test_a_taken_port_is_an_os_error():
    with Simulator(SimulatorOptions(orders=1)) as first, pytest.raises(OSError, match="in use"):
        Simulator(SimulatorOptions(orders=1, port=first.port)).start()
