"""What cannot work is told in one line with its exit code, and nothing is sent to the broker."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from run_samples import TRADES_PER_DAY, easy

from mia.cli.app import app as mia_app
from mia.command_line import run_app
from mia.core import sessions
from mia.data.process_lock import ProcessLock
from mia.performance.recorder import RunRecord
from mia.trader.app import app
from mia.trader.gateway_process import GatewayProcess, gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and rights of POSIX")

ACCOUNT, REAL = "DU1234567", "U7654321"
WAIT = 60
MARKET = ("--market", "synth:7", "--now", "--trades-per-day", "2000")


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
        # One that trades instead of complaining is told to stop.
        watch = threading.Timer(20.0, os.kill, (os.getpid(), signal.SIGINT))
        watch.start()
        try:
            with pytest.raises(SystemExit) as left:
                run_app(app, "python -m mia.trader")
        finally:
            watch.cancel()
        return left.value.code, *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def at(port: int, account: str = ACCOUNT, *more: str) -> list[str]:
    """Options for the trader on a gateway."""
    fixed = ("feed=ibkr", "alerts.watchdog=false")
    settings = (f"ibkr.port={port}", f"ibkr.account={account}", *fixed, *more)
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
        (["--set", "feed=none"], 5, ["names no market feed", "feed=ibkr"]),
        (
            ["--set", "ibkr.port=4002", "--set", f"ibkr.account={ACCOUNT}"],
            3,
            ["set sierra.folder", "feed=ibkr"],
        ),
        (at(4002, REAL)[2:], 3, ["U7654321 is a live account"]),
        (at(4002, ACCOUNT, "trading_mode=live")[2:], 3, ["DU1234567 is a paper account"]),
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
        token = state / "arm"
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
    refused(trade(*at(gateway.port, "DU99")), 4, "'DU99'", "has DU1234567, U7654321")


# What the gateway will not do.


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"name": "read_only"}, 4, ["Read-Only"]),
        ({"name": "delayed_data"}, 5, ["only delayed data of ES", "subscribe to CME data"]),
        ({"name": "no_market_data", "code": 354}, 5, ["354", "subscribe to CME data"]),
        ({"name": "no_market_data", "code": 10089}, 5, ["10089", "subscribe to CME data"]),
        ({"name": "no_market_data", "code": 10168}, 5, ["10168", "subscribe to CME data"]),
        ({"name": "expired_contract", "when": {"times": 0}}, 4, ["no contract to trade", "200"]),
        ({"name": "silent_start", "when": {"times": 0}}, 4, ["not let in", "dialog"]),
        ({"name": "drop", "when": {"message": 71}}, 4, ["before it let this client in"]),
        ({"name": "drop", "when": {"message": 9, "times": 0}}, 4, ["connection"]),
        ({"name": "drop", "when": {"message": 61, "times": 0}}, 4, ["connection"]),
        ({"name": "client_id_taken", "when": {"times": 0}}, 4, ["72 is in use", "every 5 s"]),
        ({"name": "reject", "code": 201, "when": {"times": 0}}, 4, ["201"]),
    ],
    ids=str,
)
def test_a_gateway_that_refuses_is_believed(trade, gateway, fault, code, words) -> None:
    ask(gateway, "fault", **fault)
    quick = ("ibkr.connect_s=1", "ibkr.busy_s=0")
    refused(trade(*at(gateway.port, ACCOUNT, *quick)), code, *words)


def test_a_client_id_is_asked_for_again_and_never_changed(trade, gateway) -> None:
    ask(gateway, "fault", name="client_id_taken")
    ask(gateway, "fault", name="read_only")
    found = trade(*at(gateway.port))
    refused(found, 4, "Read-Only")
    assert "client id 72 is in use" in found[2]
    assert ask(gateway, "faults")["faults"][0]["fired"] == 1


def test_a_gateway_that_dies_while_the_trader_starts(trade, tmp_path) -> None:
    with gateway_process([*MARKET, "--control-port", "0"], tmp_path / "gateway.log") as mortal:
        ask(mortal, "fault", name="silent_start")
        blow = threading.Timer(0.5, mortal.process.kill)
        blow.start()
        found = trade(*at(mortal.port), "--state", tmp_path / "state")
        blow.join()
    refused(found, 4, "before it let this client in")


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


@contextmanager
def process(*argv: object):
    """Run the trader as a process of its own, until it is ready."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "mia.cli", "trade", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        # A line that never comes ends the reading of lines.
        watch = threading.Timer(120.0, child.kill)
        watch.start()
        try:
            said = []
            while "orders connection: READY" not in (line := child.stderr.readline()):
                assert line, said
                said.append(line)
            yield child
        finally:
            watch.cancel()
            child.kill()


@pytest.mark.slow
def test_mia_trade_trades_and_a_second_one_is_refused(trade, gateway, tmp_path) -> None:
    options = [*at(gateway.port), "--state", tmp_path / "state"]
    with process(*options) as child:
        refused(trade(*options), 7, f"process {child.pid}", "stop it first")
        # With a state directory of its own the broker keeps it out.
        other = [*at(gateway.port, ACCOUNT, "ibkr.busy_s=0"), "--state", tmp_path / "other"]
        refused(trade(*other), 4, "client id 72 is in use")
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=WAIT)
    assert child.returncode == 143, err
    assert "trades 0" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_position_of_somebody_else_stops_entries_while_the_trader_runs(tmp_path) -> None:
    log = tmp_path / "gateway.log"
    with (
        gateway_process([*MARKET, "--control-port", "0"], log) as gateway,
        process(*at(gateway.port), "--state", tmp_path / "state") as child,
    ):
        # What comes before it is ready is seen by its first look in any case.
        wait_for(child, "warmed up", "no trades")
        ask(gateway, "seed_position", symbol="ES", quantity=3, price=5000)
        assert "3, our fills explain 0" in wait_for(child, "UNKNOWN_POSITION")


def wait_for(child: "subprocess.Popen[str]", *words: str) -> str:
    """Return the first line of a process that has one of some words."""
    while line := child.stderr.readline():
        if any(word in line for word in words):
            return line
    raise AssertionError("the process ended")


def test_mia_names_the_trader_and_passes_its_options_on(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["mia", "trade", "--help"])
    with pytest.raises(SystemExit) as left:
        run_app(mia_app, "mia")
    text = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0
    for words in ("mia trade", "--dry-run", "--state", "Example:", "7 another instance"):
        assert words in text


# While it runs. Market time is that of the tape, in lock-step, so any session can be had.

SEED, MONDAY = 5, 20250310


@contextmanager
def stepped(tmp_path: Path, *faults: str, start: int = MONDAY, days: int = 1):
    """Yield a gateway in lock-step with faults, and what runs the trader on it."""
    scenario = tmp_path / "faults.toml"
    scenario.write_text("\n".join(f"[[fault]]\n{fault}" for fault in faults))
    market = f"synth:{SEED}:{start}:{days}"
    options = ["--market", market, "--trades-per-day", str(TRADES_PER_DAY), "--lockstep"]
    options += ["--by-minute", "--control-port", "0", "--faults", str(scenario)]
    options += ["--record", str(tmp_path / "frames")]
    with gateway_process(options, tmp_path / "gateway.log") as gateway:
        yield gateway


def run_stepped(gateway: GatewayProcess, state: Path, begin: int, end: int):
    """Trade from one instant to another; return the trader and its record."""
    record = RunRecord()
    options = LiveOptions(
        gateway.host, gateway.port, ACCOUNT, state, record, lockstep=True, now=begin, end=end
    )
    with ExitStack() as stack:
        trader = LiveTrader(easy(), options, stack)
        asyncio.run(asyncio.wait_for(trader.run(), WAIT))
    return trader, record


def session_end(session: int) -> int:
    return int(sessions.session_table(session, session)["t_end"][0])


REJECTED = 'name = "reject"\ncode = 201\nwhen = { order_ref = "*:E", times = 0 }'
LIMIT_REACHED = 'name = "price_limit"\npoints = 1.0\nwhen = { time = 55800.0 }'


@pytest.mark.slow
@pytest.mark.parametrize("fault", [REJECTED, LIMIT_REACHED], ids=["201", "price limit"])
def test_orders_that_are_refused_are_not_sent_again_and_leave_nothing(tmp_path, fault) -> None:
    begin, end = sessions.session_open(MONDAY), session_end(MONDAY)
    with stepped(tmp_path, fault) as gateway:
        trader, record = run_stepped(gateway, tmp_path / "state", begin, end)
        orders = ask(gateway, "orders")["orders"]
        held = [row for row in ask(gateway, "positions")["positions"] if row["quantity"]]
    assert held == []
    assert not [order for order in orders if order["status"] in ("Submitted", "PreSubmitted")]
    assert '"201"' in (tmp_path / "frames").read_text()
    sent = Counter(entries_sent(tmp_path / "frames"))
    assert sent
    assert set(sent.values()) == {1}
    # The tenth of a session ends it.
    assert len(sent) - len({fill.bracket_id for fill in record.fills}) <= 10
    assert trader.trader.position is None


def entries_sent(recording: Path) -> Iterator[str]:
    """Yield the references of entries that reached the gateway, each time that they did."""
    for line in recording.read_text().splitlines():
        fields = json.loads(line).get("f", [])
        if fields[:1] == ["3"]:
            yield from (field for field in fields if re.fullmatch(r"TRADE_\w+:E", field))


def test_a_start_on_a_weekend_waits_for_the_market(tmp_path, caplog) -> None:
    saturday = sessions.session_open(MONDAY) - 30 * 3600 * sessions.SECOND
    until = sessions.session_open(MONDAY) + 600 * sessions.SECOND
    with stepped(tmp_path) as gateway:
        trader, record = run_stepped(gateway, tmp_path / "state", saturday, until)
        assert ask(gateway, "orders")["orders"] == []
    assert trader.trader.kill_switch.state.name in ("NORMAL", "HALT_ENTRIES")
    assert not record.fills
    assert "Traceback" not in caplog.text


# The demo.

SHORT = ("--config", "demo", "--set", "demo.trades_per_day=500", "--quiet", "--json")


@pytest.mark.idle
def test_a_demo_begins_anew_each_time(trade, tmp_path) -> None:
    first, again = (json.loads(trade(*SHORT, "--out", "demo")[1]) for _ in range(2))
    assert first["decisions"] == again["decisions"]
    assert first["rejections"] == again["rejections"]


def test_a_demo_leaves_the_state_of_others_alone(trade, tmp_path) -> None:
    journal = tmp_path / "state" / ACCOUNT / "journal.db"
    journal.parent.mkdir(mode=0o700, parents=True)
    journal.write_bytes(b"kept")
    refused(trade(*SHORT, "--out", "."), 3, "was not made by a demo", "--out")
    assert journal.read_bytes() == b"kept"


def test_a_second_demo_in_the_same_folder_is_refused(trade, tmp_path) -> None:
    state = tmp_path / "demo" / "state"
    state.mkdir(mode=0o700, parents=True)
    (state / "demo").touch(mode=0o600)
    lock = ProcessLock(state / "lock")
    lock.acquire("the state")
    try:
        refused(trade(*SHORT, "--out", "demo"), 7, str(os.getpid()))
    finally:
        lock.release()


@pytest.mark.idle
def test_the_gateway_of_a_killed_demo_ends_with_it(tmp_path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "mia.cli", "trade", "--config", "demo", "--out", "demo"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        line = ""
        while "simulated gateway on" not in line:
            line = child.stderr.readline()
            assert line
        child.kill()
    port = int(re.search(r":(\d+)", line)[1])
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    raise AssertionError(f"port {port} still listens")
