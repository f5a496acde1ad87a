"""``mia gateway`` as a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire_client import Trader, WireClient

from mia.cli.app import app
from mia.command_line import run_app

WAIT = 60
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


@contextmanager
def gateway(*options):
    """Start the command; yield the process, its port and that of its control socket."""
    command = [sys.executable, "-m", "mia.cli", "gateway", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        ports = [int(port) for port in re.findall(r":(\d+)", line)]
        assert ports, process.stderr.read()
        yield process, *[*ports, 0][:2]
    finally:
        process.kill()
        process.communicate(timeout=WAIT)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command inside this process, in an empty folder; return code and errors."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")

    def run_gateway(*arguments):
        monkeypatch.setattr(sys, "argv", ["mia", "gateway", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_app(app, "mia")
        return left.value.code, capsys.readouterr().err

    yield run_gateway
    for number, handler in handlers.items():
        signal.signal(number, handler)


def refused(found, code, why):
    assert found[0] == code, found
    assert why in found[1]
    assert len(found[1].strip().splitlines()) == 1


def command(port, name):
    with socket.create_connection(("127.0.0.1", port), WAIT) as connection:
        connection.sendall(json.dumps({"command": name}).encode() + b"\n")
        return json.loads(connection.makefile().readline())


def test_a_process_serves_clients_faults_a_recording_and_commands(tmp_path) -> None:
    scenario, recording = tmp_path / "faults.toml", tmp_path / "session.jsonl"
    scenario.write_text('[[fault]]\nname = "false_cancel"\ncode = 10147\n')
    options = ["--lockstep", "--trades-per-day", "5000", "--account", "DU77", "--control-port", "0"]
    options += ["--faults", str(scenario), "--record", str(recording), "--max-version", "157"]

    async def act(port):
        trader = await Trader().begin(port)
        order = trader.place("BUY", "LMT", 1, 3000.0)
        await trader.barrier()
        assert trader.account == "DU77"
        assert trader.client.serverVersion() == 157
        assert trader.codes(order) == [10147]
        trader.close()

    with gateway(*options) as (process, port, control):
        asyncio.run(act(port))
        assert [order["client"] for order in command(control, "orders")["orders"]] == [1]
        assert command(control, "shutdown")["ok"]
        assert process.wait(WAIT) == 0
    assert '"f":["4","2","1","10147"' in recording.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_with_their_code(number, code) -> None:
    with gateway("--trades-per-day", "5000") as (process, port, _):
        asyncio.run(_connect(port))
        process.send_signal(number)
        assert process.wait(WAIT) == code
        assert "Traceback" not in process.stderr.read()


async def _connect(port):
    client = await WireClient().connect(port)
    client.close()


@pytest.mark.slow
def test_a_recording_is_served_by_the_command(tmp_path) -> None:
    recording = tmp_path / "session.jsonl"
    with gateway("--lockstep", "--trades-per-day", "5000", "--record", str(recording)) as (
        process,
        port,
        _,
    ):
        asyncio.run(_connect(port))
        process.send_signal(signal.SIGINT)
        process.wait(WAIT)
    with gateway("--replay", str(recording)) as (_, port, _):
        asyncio.run(_connect(port))


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--market", "nowhere"], 2, "unknown market 'nowhere'"),
        (["--market", "ftp:x"], 2, "unknown market"),
        (["--market", "store:/no/such/folder"], 5, "/no/such/folder"),
        (["--max-version", "201"], 2, "the server version must be 157 to 178"),
        (["--speed", "0"], 2, "speed must be above 0"),
        (["--faults", "none.toml"], 3, "none.toml cannot be read"),
        (["--record", "no/such/file"], 5, "no/such/file cannot be written"),
        (["--replay", "none"], 5, "none cannot be read"),
        (["--replay", "a", "--record", "b"], 2, "a replay adds nothing of its own"),
        (["--account", ""], 2, "at least one account"),
        (["--host", "203.0.113.7"], 4, "cannot listen on 203.0.113.7"),
    ],
)
def test_bad_input_gives_one_line_and_a_code(options, code, why, run) -> None:
    refused(run("--port", "0", *options), code, why)


def test_a_taken_port_is_named(run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(run("--port", port), 4, f"port {port}")
