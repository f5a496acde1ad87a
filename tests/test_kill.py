"""The kill command against traders that live, hang or are dead, and a real gateway process."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import mia
from mia.data import state_files
from mia.data.journal import Journal
from mia.data.process_lock import ProcessLock
from mia.data.state_directory import StateDirectory
from mia.data.state_files import KillCommand, read_command
from mia.errors import AlreadyRunning
from mia.kill.own_trades import Fill, OwnTrades, kill_causes, read_journal, split, split_execution
from mia.kill.tws import Contract, TwsConnection

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
ENVIRONMENT.pop("MIA_STATE_DIR", None)
HELD = "TRADE_20250310_143000_00000001"
RESTING = "TRADE_20250310_143000_00000002"


def kill(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mia.kill", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )


@contextmanager
def process(*arguments: object, word: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run Python until its first line, which must hold a word; kill it in the end."""
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert word in line
            yield child, line
        finally:
            child.send_signal(signal.SIGCONT)
            child.kill()


@contextmanager
def gateway(version: int = 176) -> Iterator[int]:
    market = ("--market", "synth:3", "--speed", "20")
    arguments = ("-m", "mia.cli", "gateway", "--port", 0, "--max-version", version, *market)
    with process(*arguments, word="listening") as (_, line):
        yield int(line.rsplit(":", 1)[1])


@contextmanager
def trader(state: Path, port: int, forgotten: str = "nothing") -> Iterator[subprocess.Popen[str]]:
    arguments = (Path(__file__).with_name("kill_trader.py"), state, port, forgotten)
    with process(*arguments, word="ready") as (child, _):
        yield child


def dead_trader(state: Path, port: int, forgotten: str = "nothing") -> None:
    with trader(state, port, forgotten):
        pass


class Witness:
    """Another client, which asks the gateway what there is."""

    def __init__(self, port: int) -> None:
        self._connection = TwsConnection("127.0.0.1", port, 77, 5.0)
        self._next_id = self._connection.next_id

    def __enter__(self) -> "Witness":
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def working(self) -> list[str]:
        """Return the references of all working orders, sorted."""
        self._connection.send("16", "1")
        refs = []
        for message in self._connection.messages(time.monotonic() + 5):
            if message[0] == "5":
                refs.append(message[23])
            elif message[0] == "53":
                return sorted(refs)
        raise AssertionError("no end of the open orders")

    def position(self) -> int:
        self._connection.send("61", "1")
        held = 0
        for message in self._connection.messages(time.monotonic() + 5):
            if message[0] == "61":
                held = int(float(message[14]))
                self.contract = message[3:14]
            elif message[0] == "62":
                self._connection.send("64", "1")
                return held
        raise AssertionError("no end of the positions")

    def trade(self, quantity: int) -> None:
        """Trade at the market as somebody else."""
        before = self.position()
        contract = Contract(*self.contract[:7], "CME", *self.contract[8:])
        self._next_id += 1
        self._connection.place_market(self._next_id, contract, quantity, "", "by hand", "DU1234567")
        limit = time.monotonic() + 15
        while self.position() != before + quantity:
            assert time.monotonic() < limit
            time.sleep(0.1)


def test_halt_cancels_a_dead_traders_entries_and_flatten_closes_the_rest(tmp_path: Path) -> None:
    with gateway() as port:
        dead_trader(tmp_path, port)
        with Witness(port) as witness:
            legs = [f"{HELD}:S", f"{HELD}:T", f"{RESTING}:E", f"{RESTING}:S", f"{RESTING}:T"]
            assert witness.working() == legs
            result = kill("halt", "--state", tmp_path)
            assert result.returncode == 0, result.stdout + result.stderr
            assert f"entry {RESTING}:E: Cancelled" in result.stdout
            assert witness.working() == legs[:2]
            assert witness.position() == 2
            result = kill("flatten", "--state", tmp_path)
            assert result.returncode == 0, result.stdout + result.stderr
            assert witness.working() == []
            assert witness.position() == 0
    command = read_command(tmp_path / state_files.KILL)
    assert command is not None
    assert command.name == "flatten"


@pytest.mark.slow
@pytest.mark.parametrize(("forgotten", "version"), [("fills", 157), ("journal", 176)])
def test_flatten_closes_what_is_ours_and_nothing_else(
    tmp_path: Path, forgotten: str, version: int
) -> None:
    with gateway(version) as port:
        dead_trader(tmp_path, port, forgotten)
        with Witness(port) as witness:
            witness.trade(3)
            assert witness.position() == 5
            result = kill("flatten", "--state", tmp_path)
            assert result.returncode == 0, result.stdout + result.stderr
            assert f"{HELD}:F1: sell 2" in result.stdout
            assert "not by us" in result.stdout
            assert witness.position() == 3
            assert witness.working() == []
            # Once more finds nothing to do.
            again = kill("flatten", "--state", tmp_path)
            assert again.returncode == 0, again.stdout + again.stderr
            assert "our position is zero" in again.stdout
            assert witness.position() == 3
    if forgotten == "journal":
        assert "only the fills that the broker knows count" in result.stdout


@pytest.mark.slow
def test_no_more_is_closed_than_the_account_holds(tmp_path: Path) -> None:
    with gateway() as port:
        dead_trader(tmp_path, port)
        with Witness(port) as witness:
            witness.trade(-1)
            result = kill("flatten", "--state", tmp_path)
            assert result.returncode == 4, result.stdout + result.stderr
            assert f"{HELD}:F1: sell 1" in result.stdout
            assert "NOT FLAT: we hold +1" in result.stdout
            assert witness.position() == 0


@pytest.mark.slow
def test_a_position_on_the_other_side_is_not_ours_to_close(tmp_path: Path) -> None:
    with gateway() as port:
        dead_trader(tmp_path, port)
        with Witness(port) as witness:
            witness.trade(-4)
            result = kill("flatten", "--state", tmp_path)
            assert result.returncode == 4
            assert "the account holds -2: nothing to close" in result.stdout
            assert witness.position() == -2
            assert witness.working() == [f"{HELD}:S", f"{HELD}:T"]


@pytest.mark.slow
def test_a_trader_that_hangs_is_ended_only_on_demand(tmp_path: Path) -> None:
    with gateway() as port, trader(tmp_path, port) as hanging:
        hanging.send_signal(signal.SIGSTOP)
        result = kill("flatten", "--state", tmp_path, "--timeout", "0.5")
        assert result.returncode == 1
        assert f"process {hanging.pid}" in result.stdout
        assert "did not answer within 0.5 s" in result.stdout
        with Witness(port) as witness:
            assert witness.position() == 2
            result = kill("flatten", "--state", tmp_path, "--timeout", "3", "--force")
            assert result.returncode == 0, result.stdout + result.stderr
            assert hanging.wait(10) == -signal.SIGKILL
            assert witness.position() == 0
            assert witness.working() == []


def test_a_client_id_that_somebody_else_uses_is_named(tmp_path: Path) -> None:
    with gateway() as port:
        taken = TwsConnection("127.0.0.1", port, 5, 5.0)
        result = kill(
            "halt", "--state", tmp_path, "--broker", f"127.0.0.1:{port}", "--client-id", 5,
            "--timeout", 1,
        )  # fmt: skip
        taken.close()
        assert result.returncode == 4
        assert "client id 5 is in use" in result.stderr


def test_an_account_that_the_gateway_does_not_serve_is_refused(tmp_path: Path) -> None:
    with gateway() as port:
        result = kill(
            "flatten", "--state", tmp_path, "--broker", f":{port}", "--client-id", 5,
            "--account", "U7654321",
        )  # fmt: skip
        assert result.returncode == 4
        assert "serves DU1234567, not U7654321" in result.stderr


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "no gateway answers"),
        (b"", "says nothing|hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak"),
        (b"\0\0\0\x06999\x0000\0", "does not speak"),
    ],
)
def test_what_is_no_gateway_is_told_in_one_line(
    tmp_path: Path, answer: bytes | None, message: str
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if answer is None:
        listener.close()
    else:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            if answer:
                connection.sendall(answer)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
    result = kill("halt", "--state", tmp_path, "--broker", f"127.0.0.1:{port}", "--client-id", 1)
    listener.close()
    assert result.returncode == 4
    assert any(part in result.stderr for part in message.split("|"))
    assert result.stderr.count("\n") == 1
    # The command waits for the next trader all the same.
    command = read_command(tmp_path / state_files.KILL)
    assert command is not None
    assert command.name == "halt"


OBEDIENT = """
import sys, time
from pathlib import Path
from mia.config.limits import effective_limits
from mia.data.journal import Journal
from mia.data.state_directory import StateDirectory
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import Exposure, KillSwitch

directory = StateDirectory.open(Path(sys.argv[1]))
journal = Journal.open(directory.journal_path, clock=time.time_ns, reserve_bytes=0)
store = KillStore(journal)
switch = KillSwitch(effective_limits("paper", "conservative"), store.on_change)
store.attach(switch)
commands = KillCommands(directory.path, store)
commands.listen()
commands.start(1)
if "ruined" in sys.argv:
    switch.check(1, 20250310, Exposure(realized=-5000.0), 15.0)
print("ready", switch.state.name, flush=True)
last = time.monotonic()
while True:
    # A second between looks at the file, unless a signal announces it.
    if commands.is_signalled or time.monotonic() - last > 1.0:
        last = time.monotonic()
        if commands.poll(time.time_ns()):
            time.sleep(0.1)
            commands.done("flat, no entries at work")
    time.sleep(0.001)
"""


def test_a_living_trader_obeys_within_a_moment_and_the_next_one_stays_stopped(
    tmp_path: Path,
) -> None:
    with process("-c", OBEDIENT, tmp_path, word="ready NORMAL") as (child, _):
        for action in ("halt", "flatten"):
            result = kill(action, "--state", tmp_path)
            assert result.returncode == 0, result.stderr
            assert f"process {child.pid}" in result.stdout
            assert f"the trader: {action}: the state is" in result.stdout
        assert "the trader: flat, no entries at work" in result.stdout
    assert not (tmp_path / state_files.KILL).exists()
    with process("-c", OBEDIENT, tmp_path, word="ready HALT_TRADING"):
        result = kill("status", "--state", tmp_path)
        assert result.returncode == 0
        assert "COMMAND_FLATTEN (HALT_TRADING)" in result.stdout
        result = kill("reset", "--state", tmp_path)
        assert result.returncode == 0
        # A signal that came after the file was taken would halt again.
        assert "signalled" not in result.stdout
    with process("-c", OBEDIENT, tmp_path, word="ready NORMAL"):
        pass


def test_no_reset_lifts_the_loss_of_the_day_whether_the_trader_lives_or_not(
    tmp_path: Path,
) -> None:
    with process("-c", OBEDIENT, tmp_path, "ruined", word="ready HALT_TRADING"):
        result = kill("reset", "--state", tmp_path)
        assert result.returncode == 6
        assert "lasts until the next session" in result.stdout
    result = kill("reset", "--state", tmp_path)
    assert result.returncode == 6
    assert "until the next session" in result.stderr
    assert not (tmp_path / state_files.KILL).exists()
    with process("-c", OBEDIENT, tmp_path, word="ready HALT_TRADING"):
        pass


def test_a_command_for_no_trader_waits_for_the_next_and_is_not_weakened(tmp_path: Path) -> None:
    result = kill("flatten", "--state", tmp_path)
    assert result.returncode == 4
    assert "nothing was closed" in result.stdout
    assert kill("halt", "--state", tmp_path).returncode == 0
    assert "waiting: flatten" in kill("status", "--state", tmp_path).stdout
    with process("-c", OBEDIENT, tmp_path, word="ready HALT_TRADING"):
        pass


def test_a_reset_without_a_trader_lifts_what_a_person_had_stopped(tmp_path: Path) -> None:
    with process("-c", OBEDIENT, tmp_path, word="ready NORMAL"):
        assert kill("flatten", "--state", tmp_path).returncode == 0
    result = kill("reset", "--state", tmp_path)
    assert result.returncode == 0, result.stderr
    with process("-c", OBEDIENT, tmp_path, word="ready NORMAL"):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("halt",), "name the state directory"),
        (("halt", "--state", "/nowhere"), "no state directory"),
        (("stop", "--state", "."), "invalid choice"),
        (("halt", "--state", ".", "--broker", "localhost"), "HOST:PORT"),
        (("halt", "--state", ".", "--timeout", "-1"), "above 0"),
    ],
)
def test_a_wrong_command_line_sends_nothing(arguments: tuple[str, ...], message: str) -> None:
    result = kill(*arguments)
    assert result.returncode == 2
    assert message in result.stderr


@pytest.mark.parametrize("door", ["mia.cli", "mia.kill"])
def test_it_needs_the_standard_library_alone_through_either_door(door: str) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['mia', *sys.argv[2:]]\n"
        f"try: runpy.run_module({door!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('OURS', sorted(n for n in sys.modules if n.startswith('mia')))"
    )
    words = ["kill", "--help"] if door == "mia.cli" else ["--help"]
    result = subprocess.run(
        # Without site there are no packages but the standard library's and ours.
        [sys.executable, "-S", "-W", "error", "-c", code, door, *words],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": str(Path(mia.__file__).parents[1])},
    )
    assert "usage: mia kill" in result.stdout
    loaded = result.stdout.partition("OURS")[2]
    assert "mia.kill.command_line" in loaded
    assert "mia.execution" not in loaded
    assert "mia.cli.app" not in loaded


def test_reading_a_dead_traders_journal_changes_no_byte_of_it(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from mia.data.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]), clock=int, reserve_bytes=0)\n"
        "journal.append('kill.state', {'causes': [{'rule': 'DAILY_LOSS', 'state': 'X'}]}, ts=1,"
        " durable=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "journal.db"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=ENVIRONMENT)
    names = [path, tmp_path / "journal.db-wal", tmp_path / "journal.db-head"]
    before = [name.read_bytes() for name in names]
    assert kill_causes(path) == ["DAILY_LOSS (X)"]
    assert [name.read_bytes() for name in names] == before


def test_a_journal_that_makes_no_sense_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path, clock=int, reserve_bytes=0) as journal:
        journal.append("order.execution", {"ref": f"{HELD}:E"}, ts=1)
    with pytest.raises(OSError, match="make sense"):
        read_journal(path)


def test_executions_count_once_and_their_corrections_replace_them() -> None:
    trades = OwnTrades()
    trades.add(f"{HELD}:E", "a", Fill("9", 2, 1))
    trades.add(f"{HELD}:E", "a", Fill("9", 2, 1))
    trades.add(f"{HELD}:S", "b", Fill("9", -1, 1))
    assert trades.open_brackets() == {("9", HELD): 1}
    trades.add(f"{HELD}:S", "b", Fill("9", -2, 2))
    trades.add(f"{HELD}:S", "b", Fill("9", -1, 1))
    assert trades.open_brackets() == {}
    trades.inferred[f"{RESTING}:E"] = ("9", -3)
    assert trades.open_brackets() == {("9", RESTING): -3}
    assert split_execution("0001.02.03") == ("0001.02", 3)


def test_only_references_of_ours_are_ours() -> None:
    assert split(f"{HELD}:S2") == (HELD, "S2")
    for ref in ("", HELD, f"{HELD}:X", f"{HELD}:E ", f"x{HELD}:E", f"{HELD[:-1]}:E", "by hand"):
        assert split(ref) is None


def test_a_contract_that_a_position_names_without_exchange_can_be_ordered() -> None:
    contract = Contract("9", "ES", "FUT", "20250321", "", "0", "50", "", "USD", "ESH5", "ES")
    assert contract.fields() == (
        *("9", "ES", "FUT", "20250321", "0.0", "", "50", "CME", "", "USD", "ESH5", "ES"),
    )


def test_a_lock_that_a_kill_holds_keeps_a_restarted_trader_waiting(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / state_files.LOCK)
    lock.acquire("it")
    with pytest.raises(AlreadyRunning):
        StateDirectory.open(tmp_path)
    lock.release()
    StateDirectory.open(tmp_path).close()
    assert KillCommand("halt").identity
