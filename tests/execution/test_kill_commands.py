import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from trading_cases import PAPER

from mia.core.base_types import TradingState
from mia.data import state_files
from mia.data.journal import Journal
from mia.data.journal_schema import JournalHealth
from mia.data.state_files import KillAnswer, KillCommand, read_answer, write_command
from mia.execution.kill_commands import COMMAND_TAKEN, KillCommands, KillStore
from mia.execution.kill_switch import Exposure, KillSwitch, Rule

SECOND = 10**9
FLAT = Exposure()
RUIN = Exposure(realized=-1000.0)


class Trader:
    """A trader's kill path: journal, switch, store and commands."""

    def __init__(self, folder: Path, ts: int) -> None:
        self.folder = folder
        self.journal = Journal.open(folder / "journal.db", clock=int, reserve_bytes=0)
        self.store = KillStore(self.journal)
        self.switch = KillSwitch(PAPER, self.store.on_change)
        self.store.attach(self.switch)
        self.commands = KillCommands(folder, self.store)
        self.first = self.commands.start(ts)

    def close(self) -> None:
        self.journal.close()

    def answer(self) -> KillAnswer | None:
        return read_answer(self.folder / state_files.KILL_ACK)

    def taken(self) -> list[str]:
        return [e.payload["name"] for e in self.journal.events() if e.kind == COMMAND_TAKEN]


def give(folder: Path, name: str, identity: str) -> None:
    write_command(folder / state_files.KILL, KillCommand(name, identity, 1))


def test_a_command_is_obeyed_once_and_answered(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    assert trader.commands.poll(1) == []
    give(tmp_path, "halt", "a")
    (command,) = trader.commands.poll(2)
    assert (command.name, command.identity) == ("halt", "a")
    assert trader.switch.state is TradingState.HALT_ENTRIES
    assert trader.commands.poll(3) == []
    assert trader.answer() == KillAnswer("a", "obeyed", "halt: the state is HALT_ENTRIES")
    trader.commands.done("entries cancelled")
    assert trader.answer() == KillAnswer("a", "done", "entries cancelled")
    assert not (tmp_path / state_files.KILL).exists()
    trader.close()


def test_a_halt_outlives_the_trader(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    give(tmp_path, "flatten", "a")
    trader.commands.poll(2)
    assert trader.journal.durable_seq == trader.journal.head.seq
    trader.close()
    again = Trader(tmp_path, 3)
    assert again.switch.state is TradingState.HALT_TRADING
    assert again.first == []
    again.close()


def test_a_command_that_waited_for_a_trader_is_obeyed_before_it_trades(tmp_path: Path) -> None:
    give(tmp_path, "flatten", "a")
    trader = Trader(tmp_path, 1)
    assert [command.name for command in trader.first] == ["flatten"]
    assert trader.switch.state is TradingState.HALT_TRADING
    trader.close()


def test_the_loss_of_the_day_outlives_restarts_and_resets(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    trader.switch.check(SECOND, 20250310, RUIN, 15.0)
    assert trader.switch.state is TradingState.HALT_TRADING
    trader.close()
    for attempt in range(3):
        trader = Trader(tmp_path, 2 * SECOND)
        assert trader.switch.state is TradingState.HALT_TRADING
        give(tmp_path, "reset", f"r{attempt}")
        assert trader.commands.poll(3 * SECOND) == []
        answer = trader.answer()
        assert answer is not None
        assert answer.outcome == "refused"
        assert "lasts until the next session" in answer.text
        trader.close()
    trader = Trader(tmp_path, 4 * SECOND)
    trader.switch.check(5 * SECOND, 20250311, FLAT, 15.0)
    assert trader.switch.state is TradingState.NORMAL
    trader.close()


def test_a_reset_by_hand_lifts_what_was_commanded(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    give(tmp_path, "flatten", "a")
    trader.commands.poll(2)
    give(tmp_path, "reset", "b")
    assert [command.name for command in trader.commands.poll(3)] == ["reset"]
    assert trader.switch.state is TradingState.NORMAL
    trader.close()
    trader = Trader(tmp_path, 4)
    assert trader.switch.state is TradingState.NORMAL
    assert trader.taken() == ["flatten", "reset"]
    trader.close()


def test_a_command_taken_by_a_trader_that_died_at_once_is_obeyed_by_the_next(
    tmp_path: Path,
) -> None:
    give(tmp_path, "halt", "a")
    (tmp_path / state_files.KILL).rename(tmp_path / state_files.KILL_TAKEN)
    give(tmp_path, "flatten", "b")
    trader = Trader(tmp_path, 1)
    assert [command.identity for command in trader.first] == ["a", "b"]
    trader.close()


def test_a_command_that_was_obeyed_and_then_reset_does_not_come_back(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    give(tmp_path, "halt", "a")
    trader.commands.poll(2)
    trader.switch.reset()
    trader.store.save(3, durable=True)
    trader.close()
    # As if the trader had died after it had obeyed and before it had removed the file.
    write_command(tmp_path / state_files.KILL_TAKEN, KillCommand("halt", "a", 1))
    trader = Trader(tmp_path, 4)
    assert trader.first == []
    assert trader.switch.state is TradingState.NORMAL
    trader.close()


@pytest.mark.parametrize("text", ["", "stop!!", "{", '{"name": "sell"}', "\x00\xff", "[1]"])
def test_a_file_that_says_nothing_understandable_halts(tmp_path: Path, text: str) -> None:
    trader = Trader(tmp_path, 1)
    (tmp_path / state_files.KILL).write_text(text)
    assert [command.name for command in trader.commands.poll(2)] == ["halt"]
    assert trader.switch.state is TradingState.HALT_ENTRIES
    trader.close()


def test_the_bare_word_in_a_file_is_a_command_each_time(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    for name in ("flatten", "reset", "flatten"):
        (tmp_path / state_files.KILL).write_text(f"{name.upper()}\n")
        assert [command.name for command in trader.commands.poll(2)] == [name]
    assert trader.switch.state is TradingState.HALT_TRADING
    trader.close()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_announces_a_file_and_alone_means_halt(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    trader = Trader(tmp_path, 1)
    trader.commands.listen()
    try:
        assert not trader.commands.is_signalled
        give(tmp_path, "reset", "a")
        os.kill(os.getpid(), signal.SIGUSR1)
        assert trader.commands.is_signalled
        assert [command.name for command in trader.commands.poll(2)] == ["reset"]
        assert trader.switch.state is TradingState.NORMAL
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [command.name for command in trader.commands.poll(3)] == ["halt"]
        assert trader.switch.state is TradingState.HALT_ENTRIES
        assert trader.commands.poll(4) == []
    finally:
        signal.signal(signal.SIGUSR1, before)
        trader.close()


@pytest.mark.parametrize("name", ["halt", "flatten"])
def test_a_signal_that_comes_after_its_file_was_taken_is_no_halt_of_its_own(
    tmp_path: Path, name: str
) -> None:
    trader = Trader(tmp_path, 1)
    try:
        give(tmp_path, name, "a")
        assert [command.name for command in trader.commands.poll(2)] == [name]
        trader.commands.notice()
        assert trader.commands.poll(3) == []
        answer = state_files.read_answer(tmp_path / state_files.KILL_ACK)
        assert answer is not None
        assert answer.identity == "a"
    finally:
        trader.close()


def test_a_command_is_kept_as_a_file_while_the_journal_cannot_keep_it(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    reader, writer = os.pipe()
    os.dup2(writer, trader.journal._log)
    give(tmp_path, "flatten", "a")
    assert [command.name for command in trader.commands.poll(2)] == ["flatten"]
    assert trader.switch.state is TradingState.HALT_TRADING
    assert trader.journal.health is JournalHealth.FAILED
    assert "in memory only" in trader.store.trouble
    assert trader.commands.poll(3) == []
    with pytest.raises(Exception, match="refuses"):
        trader.close()
    os.close(reader)
    os.close(writer)

    again = Trader(tmp_path, 4)
    assert again.switch.state is TradingState.HALT_TRADING
    assert not (tmp_path / state_files.KILL_TAKEN).exists()
    again.close()


def test_a_damaged_state_is_an_emergency_until_a_person_resets_it(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db", clock=int) as journal:
        journal.append(state_files.KILL_STATE, {"version": 1, "causes": "?"}, ts=1)
    trader = Trader(tmp_path, 2)
    assert trader.switch.state is TradingState.EMERGENCY
    trader.close()
    trader = Trader(tmp_path, 3)
    assert trader.switch.state is TradingState.EMERGENCY
    assert Rule.DAMAGED_STATE in trader.switch.causes
    give(tmp_path, "reset", "a")
    trader.commands.poll(4)
    assert trader.switch.state is TradingState.NORMAL
    trader.close()


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    trader = Trader(tmp_path, 1)
    trader.switch.check(SECOND, 20250310, FLAT, 15.0)
    trader.store.save(SECOND)
    head = trader.journal.head
    for second in range(2, 60):
        trader.switch.check(second * SECOND, 20250310, FLAT, 15.0)
        trader.store.save(second * SECOND)
    assert trader.journal.head == head
    trader.close()


CHILD = """
import sys
from pathlib import Path
from execution.test_kill_commands import RUIN, Trader

trader = Trader(Path(sys.argv[1]), 1)
trader.switch.check(2, 20250310, RUIN, 15.0)
"""


@pytest.mark.parametrize(
    ("place", "state"),
    [("before_latch", TradingState.NORMAL), ("after_latch", TradingState.HALT_TRADING)],
)
def test_a_latch_is_in_the_journal_before_anything_follows_from_it(
    tmp_path: Path, place: str, state: TradingState
) -> None:
    # Pass 1 is the empty state that every start writes.
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MIA_CRASH_AT": f"{place}:2"},
    )
    assert child.returncode == -signal.SIGKILL
    trader = Trader(tmp_path, 3)
    assert trader.switch.state is state
    trader.close()
