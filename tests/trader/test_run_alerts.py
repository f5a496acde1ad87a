import json
import os
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from mia.config.settings import load_settings
from mia.core.alert_file import NAME, AlertLevel
from mia.data.process_lock import ProcessLock
from mia.errors import BrokerError
from mia.execution.clocks import WallClock
from mia.monitoring.watch.watch_beat import LOCK, WatchBeat
from mia.trader.run_alerts import RunAlerts
from mia.trader.service_manager import ServiceManager
from mia.trader.watch_keeper import WatchKeeper, watch_command

posix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs sockets of Unix")


@posix
def test_systemd_hears_that_the_trader_is_ready_and_that_its_loop_turns(tmp_path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.settimeout(5)
        manager = ServiceManager({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "10000000"})
        manager.ready()
        assert line.recv(100) == b"READY=1\nSTATUS=ready"
        manager.beat()
        assert line.recv(100) == b"WATCHDOG=1"
        manager.stopping()
        assert line.recv(100) == b"STOPPING=1"


@posix
def test_without_systemd_or_for_another_process_nothing_is_sent(tmp_path) -> None:
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    other = {"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert not ServiceManager(other).wants_beats


@posix
def test_a_manager_that_does_not_read_does_not_hold_the_loop(tmp_path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        manager = ServiceManager({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1"})
        began = time.monotonic()
        for _ in range(2000):
            manager.beat()
        assert time.monotonic() - began < 5.0


def test_the_command_of_the_watchdog_has_the_traders_settings_and_no_secret() -> None:
    loaded = load_settings(
        "paper",
        ["alerts.hang_s=4", "gate.min_rr=2"],
        env_file=Path("no such file"),
        environ={"MIA_ALERTS__DISCORD_WEBHOOK": "https://discord.com/api/webhooks/1/canary"},
    )
    command = watch_command(loaded, Path("state") / "DU1")
    text = " ".join(command)
    assert "--config paper" in text
    assert "--set alerts.hang_s=4.0" in text
    assert "gate.min_rr" not in text
    assert "canary" not in text


@pytest.fixture
def state(tmp_path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def keeper(state: Path, code: str) -> tuple[WatchKeeper, list[tuple[AlertLevel, str, str]]]:
    told: list[tuple[AlertLevel, str, str]] = []
    command = [sys.executable, "-c", f"open({str(state / 'ran')!r}, 'a').write('x'); {code}"]
    return WatchKeeper(state, command, lambda *alert: told.append(alert)), told


def wait(condition) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def ran(state: Path) -> int:
    path = state / "ran"
    return len(path.read_text()) if path.exists() else 0


def test_a_watchdog_is_started_once_and_where_one_runs_none(state) -> None:
    lock = ProcessLock(state / LOCK)
    lock.acquire("test")
    WatchBeat(state).beat()
    one, told = keeper(state, "pass")
    one.look(100.0)
    assert ran(state) == 0
    lock.release()
    (state / LOCK).unlink()
    two, told = keeper(state, "pass")
    two.look(100.0)
    wait(lambda: ran(state) == 1)
    wait(lambda: two._process is None or two._process.poll() is not None)
    two.look(101.0)
    assert ran(state) == 1
    two.look(161.0)
    wait(lambda: ran(state) == 2)
    assert [key for _, key, _ in told] == ["watchdog:start"]
    assert (state / "watch.log").stat().st_mode & 0o077 == 0
    wait(lambda: two._process.poll() is not None)


def test_a_watchdog_that_dies_is_replaced_at_once_and_one_that_hangs_is_told(state) -> None:
    lock = ProcessLock(state / LOCK)
    lock.acquire("test")
    WatchBeat(state).beat()
    one, told = keeper(state, "pass")
    one.look(100.0)
    old = time.monotonic_ns() - 30 * 10**9
    (state / "watch.beat").write_text(f"{old:020d}\n")
    for second in (101.0, 102.0, 103.0):
        one.look(second)
    assert told == []
    one.look(104.0)
    one.look(105.0)
    WatchBeat(state).beat()
    one.look(106.0)
    assert [key for _, key, _ in told] == ["watchdog:hangs", "watchdog:back"]
    lock.release()
    one.look(107.0)
    wait(lambda: ran(state) == 1)
    assert told[-1][1] == "watchdog:gone"
    wait(lambda: one._process.poll() is not None)


@pytest.mark.parametrize(("age", "keys"), [(3.0, []), (4.0, ["watchdog:hangs"])])
def test_a_watchdog_hangs_from_three_and_a_half_seconds_on(state, age, keys) -> None:
    lock = ProcessLock(state / LOCK)
    lock.acquire("test")
    one, told = keeper(state, "pass")
    beat = time.monotonic_ns() - int(age * 1e9)
    (state / "watch.beat").write_text(f"{beat:020d}\n")
    for second in (100.0, 101.0, 102.0, 103.0):
        one.look(second)
    assert [key for _, key, _ in told] == keys
    lock.release()


def test_a_watchdog_that_stood_still_with_the_whole_machine_does_not_hang(state) -> None:
    """A sign of life is old because the one who looks has slept as long as the watchdog."""
    lock = ProcessLock(state / LOCK)
    lock.acquire("test")
    one, told = keeper(state, "pass")
    WatchBeat(state).beat()
    one.look(100.0)
    one.look(101.0)
    # For a minute nobody ran: the sign is old, and was watched for no longer than one look.
    (state / "watch.beat").write_text(f"{time.monotonic_ns() - 60 * 10**9:020d}\n")
    one._beat = int((state / "watch.beat").read_text())
    one.look(161.0)
    assert told == []
    WatchBeat(state).beat()
    one.look(162.0)
    assert told == []
    lock.release()


def test_a_watchdog_that_takes_its_time_to_come_up_is_not_started_twice(state) -> None:
    one, told = keeper(state, "import time; time.sleep(60)")
    one.look(100.0)
    first = one._process
    wait(lambda: ran(state) == 1)
    try:
        one.look(119.0)
        assert (ran(state), told) == (1, [])
        one.look(121.0)
        wait(lambda: ran(state) == 2)
        assert [key for _, key, _ in told] == ["watchdog:start"]
    finally:
        for process in {first, one._process}:
            process.kill()
            process.wait()


@pytest.mark.parametrize(("side", "word"), [(1, "long"), (-1, "short")])
@pytest.mark.parametrize(
    ("error", "level"), [(None, "INFO"), (BrokerError("the gateway is gone"), "CRITICAL")]
)
def test_the_end_tells_what_is_held_and_is_worse_with_it(
    state, side: int, word: str, error: BrokerError | None, level: str
) -> None:
    loaded = load_settings("paper", ["alerts.watchdog=false"], environ={})
    with ExitStack() as stack:
        alerts = RunAlerts(loaded, state, WallClock(), stack)
        proposal = SimpleNamespace(side=side)
        decision = SimpleNamespace(symbol="MES", proposal=proposal)
        held = SimpleNamespace(open_quantity=2, decision=decision)
        alerts.trader = SimpleNamespace(position=held)  # type: ignore[assignment]
        alerts.ended(error)
    (told,) = [json.loads(line) for line in (state / NAME).read_text().splitlines()]
    assert told["level"] == level
    assert f"2 MES {word}, stop and target rest at the broker" in told["text"]
