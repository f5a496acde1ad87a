"""What cannot work is told in one line with its exit code, and nothing is sent to the broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from mia.cli.app import app as mia_app
from mia.command_line import run_app
from mia.data.process_lock import ProcessLock
from mia.trader.app import app
from mia.trader.gateway_process import GatewayProcess, gateway_process

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and rights of POSIX")

ACCOUNT, REAL = "DU1234567", "U7654321"
WAIT = 60
MARKET = ("--market", "synth:7", "--start", "now", "--trades-per-day", "2000")


def ask(gateway: GatewayProcess, command: str, **more: object) -> dict[str, object]:
    """Send a command to the control socket of a gateway."""
    with socket.create_connection(("127.0.0.1", gateway.control_port), WAIT) as connection:
        connection.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    assert answer["ok"], answer
    return answer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """A gateway whose market is where the clock is."""
    log = tmp_path_factory.mktemp("gateway") / "log"
    accounts = ("--account", ACCOUNT, "--account", REAL)
    with gateway_process([*MARKET, *accounts, "--control-port", "0"], log) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared: GatewayProcess):
    yield shared
    ask(shared, "clear")
    assert ask(shared, "orders")["orders"] == []


@pytest.fixture
def trade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run the trader inside this process, in an empty folder; return code, stdout and stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)
    for name in ("TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["trader", *map(str, argv)])
        with pytest.raises(SystemExit) as left:
            run_app(app, "python -m mia.trader")
        return left.value.code, *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def at(port: int, account: str = ACCOUNT, *more: str) -> list[str]:
    """Options for the trader on a gateway."""
    settings = (f"ibkr.port={port}", f"ibkr.account={account}", *more)
    return ["--config", "paper", *(word for pair in settings for word in ("--set", pair))]


def refused(found: tuple[object, str, str], code: int, *words: str) -> None:
    """Hold the end of a run against what was promised of it."""
    status, out, err = found
    assert (status, out) == (code, ""), found
    errors = [line for line in err.splitlines() if line.startswith("mia: ")]
    assert len(errors) == 1, err
    assert err.splitlines()[-1] == errors[0]
    assert "Traceback" not in err
    for word in words:
        assert word in errors[0]


# Settings.


@pytest.mark.parametrize("profile", ["paper", "production"])
def test_a_profile_without_a_gateway_says_what_to_set(trade, profile, tmp_path) -> None:
    refused(trade("--config", profile), 3, "set ibkr.port and ibkr.account", "4002", "DU")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--set", "ibkr.port=4002"], 3, ["set ibkr.account"]),
        (["--set", "ibkr.account=DU1"], 3, ["set ibkr.port"]),
        (at(4002, ACCOUNT, "ibkr.data_client_id=71")[2:], 3, ["must differ"]),
        (at(4002, ACCOUNT, "ibkr.orders_client_id=0")[2:], 3, ["ibkr.orders_client_id"]),
        (at(70000)[2:], 3, ["ibkr.port", "70000"]),
        (at(4002, ACCOUNT, "ibkr.hots=x")[2:], 3, ["ibkr.host"]),
        (at(4002, ACCOUNT, "feed=none")[2:], 5, ["names no market feed", "feed=ibkr"]),
        (at(4002, REAL)[2:], 3, [f"{REAL} is a live account"]),
        (at(4002, ACCOUNT, "trading_mode=live")[2:], 3, [f"{ACCOUNT} is a paper account"]),
        (["--liv"], 2, ["--liv"]),
    ],
)
def test_settings_that_cannot_work_are_named(trade, tmp_path, argv, code, words) -> None:
    refused(trade("--config", "paper", *argv), code, *words)
    assert list(tmp_path.iterdir()) == []


def test_live_has_no_place_in_the_demo(trade, tmp_path) -> None:
    refused(trade("--config", "demo", "--live"), 2, "--live", "simulation")
    assert list(tmp_path.iterdir()) == []


LOCKS = {
    "flag": "give --live",
    "limits": "set MAX_DAILY_LOSS and MAX_POSITION_SIZE",
    "token": "write 2",
}


@pytest.mark.parametrize("closed", LOCKS)
def test_real_money_needs_every_lock(trade, gateway, monkeypatch, tmp_path, closed) -> None:
    state = tmp_path / "state" / REAL
    state.mkdir(mode=0o700, parents=True)
    if closed != "token":
        token = state / "armed"
        token.touch(mode=0o600)
        token.write_text(time.strftime("%Y%m%d", new_york()))
    if closed != "limits":
        monkeypatch.setenv("MAX_DAILY_LOSS", "500")
        monkeypatch.setenv("MAX_POSITION_SIZE", "1")
    options = at(gateway.port, REAL, "trading_mode=live")
    found = trade(*options, *(() if closed == "flag" else ("--live",)))
    refused(found, 3, "live trading is locked", LOCKS[closed])
    open_ones = [words for lock, words in LOCKS.items() if lock != closed]
    assert not any(words in found[2] for words in open_ones)


def new_york() -> time.struct_time:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("America/New_York")).timetuple()


# Where the gateway should be.


def test_no_gateway(trade) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused(trade(*at(port)), 4, f"nothing listens at 127.0.0.1:{port}", "start TWS")


def test_an_unknown_host(trade) -> None:
    refused(trade(*at(4002, ACCOUNT, "ibkr.host=nowhere.invalid")), 4, "'nowhere.invalid'")


@contextmanager
def stranger(answer: bytes):
    """Something else that listens, and says the same to everyone."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
                connection.recv(1000)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(WAIT)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b'{"ok": false, "error": "no JSON"}\n',
        b"\0\0\0\x05hello",
        b"\0\0\0\x1a100\x0020250310 09:30:00 CST\0",
    ],
)
def test_something_else_that_answers_is_no_gateway(trade, answer) -> None:
    with stranger(answer) as port:
        refused(trade(*at(port, ACCOUNT, "ibkr.connect_s=0.3")), 4, f"127.0.0.1:{port}")


def test_an_account_that_the_login_does_not_manage(trade, gateway) -> None:
    refused(trade(*at(gateway.port, "DU99")), 4, "'DU99'", f"has {ACCOUNT},{REAL}".split(",")[0])


# What the gateway will not do.


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"name": "read_only"}, ["Read-Only"]),
        ({"name": "delayed_data"}, ["live"]),
        ({"name": "no_market_data", "code": 354}, ["354", "subscri"]),
        ({"name": "no_market_data", "code": 10089}, ["10089", "subscri"]),
        ({"name": "no_market_data", "code": 10168}, ["10168", "subscri"]),
        ({"name": "expired_contract", "when": {"times": 0}}, ["no contract", "ES"]),
        ({"name": "silent_start", "when": {"times": 0}}, ["not let in", "dialog"]),
        ({"name": "drop", "when": {"message": 71}}, ["before it let this client in"]),
        ({"name": "drop", "when": {"message": 9, "direction": "in"}}, []),
        ({"name": "drop", "when": {"message": 97, "direction": "in"}}, []),
        ({"name": "client_id_taken", "when": {"times": 0}}, ["client id 72 is in use", "every 5 s"]),
        ({"name": "reject", "code": 201, "when": {"times": 0}}, ["201"]),
    ],
    ids=lambda value: str(value["name"]) + str(value.get("code", "")) if "name" in value else "",
)
def test_a_gateway_that_refuses_is_believed(trade, gateway, fault, words) -> None:
    ask(gateway, "fault", **fault)
    quick = ("ibkr.connect_s=1", "ibkr.busy_s=0")
    refused(trade(*at(gateway.port, ACCOUNT, *quick)), 4, *words)


def test_a_client_id_is_asked_for_again_and_never_changed(trade, gateway, monkeypatch) -> None:
    ask(gateway, "fault", name="client_id_taken")
    ask(gateway, "fault", name="read_only")
    found = trade(*at(gateway.port))
    refused(found, 4, "Read-Only")
    assert "client id 72 is in use" in found[2]
    assert ask(gateway, "faults")["faults"][0]["fired"] == 1


# The state directory.


def test_a_state_directory_open_to_others(trade, gateway, tmp_path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    refused(trade(*at(gateway.port), "--state", tmp_path / "state"), 3, "chmod 700")


def test_a_second_trader(trade, gateway, tmp_path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    lock = ProcessLock(state / "lock")
    lock.acquire("the state")
    try:
        refused(trade(*at(gateway.port), "--state", state), 7, "process", str(os.getpid()))
    finally:
        lock.release()


def test_a_damaged_journal_is_set_aside(trade, gateway, tmp_path) -> None:
    state = tmp_path / "state"
    ask(gateway, "fault", name="read_only")
    assert trade(*at(gateway.port), "--state", state)[0] == 4
    journal = state / "journal.db"
    journal.write_bytes(b"\xff" * journal.stat().st_size)
    refused(trade(*at(gateway.port), "--state", state), 8, "journal")
