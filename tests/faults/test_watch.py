"""The watchdog beside the real trader: who notices whom, and that no secret gets out."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import permutations
from pathlib import Path

import pytest
from discord_server import TOKEN, DiscordServer, SilentServer

from faults.harness import FAST, ROOT, Gateway, Trader, gateway, record, settle, some, trader
from mia.core.alert_file import NAME, Alert, read_line
from mia.data.process_lock import holder
from mia.monitoring.health_checker import Mark, check_health
from mia.monitoring.watch.trader_life import watch_once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

PAIRS = int(os.environ.get("MIA_WATCH_PAIRS", "2"))
"""How many pairs of processes are stopped or killed, 24 being all."""

WATCHED = (
    *FAST,
    "alerts.cool_down_s=0",
    "alerts.disk_mb=10",
    "alerts.hang_s=3",
)
CANARY = "canary-7c1e-password"
PATIENCE_S = 60.0


def alerts(state: Path) -> list[Alert]:
    try:
        lines = (state / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [alert for line in lines if (alert := read_line(line)) is not None]


def wait(condition: Callable[[], object], what: str) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S, what
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def watched(gw: Gateway, folder: Path, url: str, *more: str, **wish: object) -> Iterator[Trader]:
    """Run a trader with its watchdog and further settings; end both."""
    state = folder / "state"
    before = os.environ.get("MIA_ALERTS__DISCORD_WEBHOOK")
    os.environ["MIA_ALERTS__DISCORD_WEBHOOK"] = url
    try:
        with trader(gw, folder, settings=(*WATCHED, *more), webhook=True, cold=True, **wish) as run:
            run.ready()
            wait((state / "watch.beat").exists, "the watchdog comes up")
            yield run
    finally:
        if before is None:
            del os.environ["MIA_ALERTS__DISCORD_WEBHOOK"]
        else:
            os.environ["MIA_ALERTS__DISCORD_WEBHOOK"] = before
        pid = holder(state / "watch.lock")
        if pid is not None:
            for number in (signal.SIGCONT, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@contextmanager
def program(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{words[0]}.said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "mia.cli", *words],
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=folder,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


def told(state: Path, key: str, since: int) -> Alert | None:
    found = [a for a in alerts(state) if a.key == key and a.wall >= since]
    return found[0] if found else None


NAMES = ("trader", "watchdog", "dashboard", "metrics")
EVERY = [
    (first, second, number)
    for first, second in permutations(NAMES, 2)
    for number in ("SIGSTOP", "SIGKILL")
]


@pytest.mark.parametrize(("first", "second", "number"), some(EVERY, max(1, 24 // PAIRS)))
def test_of_two_processes_that_fail_the_rest_notices_each(
    tmp_path: Path, first: str, second: str, number: str
) -> None:
    state, hit = tmp_path / "state", {first, second}
    (tmp_path / "hold").touch()
    with (
        DiscordServer(50, 0.2) as server,
        gateway(tmp_path) as gw,
        watched(gw, tmp_path, server.url, "alerts.kill=off", hold=str(tmp_path / "hold")) as run,
        program(tmp_path, "metrics", "--state", str(state), "--port", "0") as metrics,
        program(tmp_path, "dashboard", "--state-dir", str(state), "--port", "0") as dashboard,
    ):
        for name in ("metrics", "dashboard"):
            wait((tmp_path / f"{name}.said").read_bytes, f"{name} is up")
        watchdog = holder(state / "watch.lock")
        assert watchdog is not None
        pids = {"trader": run.process.pid, "watchdog": watchdog, "dashboard": dashboard.pid}
        pids["metrics"] = metrics.pid
        since, began = time.time_ns(), time.monotonic()
        for name in (first, second):
            os.kill(pids[name], getattr(signal, number))
        stopped = number == "SIGSTOP"
        took = {}
        if "trader" in hit and "watchdog" not in hit:
            key = "trader:HUNG" if stopped else "trader:DIED"
            wait(lambda: told(state, key, since), key)
            took["trader by the watchdog"] = time.monotonic() - began
            wait(lambda: any(key in embed["title"] for embed in server.embeds), "it is sent")
            took["trader by Discord"] = time.monotonic() - began
        if "trader" in hit and "watchdog" in hit:
            # Nobody is left on this machine to say so: whoever asks is told.
            wait(
                lambda: max(c.mark for c in check_health(state, hang_s=3.0)) is Mark.CRITICAL,
                "mia health tells",
            )
            took["trader by mia health"] = time.monotonic() - began
        if "watchdog" in hit and "trader" not in hit:
            key = "watchdog:hangs" if stopped else "watchdog:gone"
            wait(lambda: told(state, key, since), key)
            took["watchdog by the trader"] = time.monotonic() - began
            if not stopped:
                wait(lambda: holder(state / "watch.lock") != watchdog, "another one comes up")
                took["another watchdog"] = time.monotonic() - began
        if "trader" not in hit:
            for _ in range(20):
                assert watch_once(state, 3.0).age_s < 3.0, run.told()
                time.sleep(0.05)
        record(f"{number} of {first} and {second}", **{k: round(v, 2) for k, v in took.items()})
        assert all(seconds < PATIENCE_S for seconds in took.values())


@pytest.mark.parametrize("number", ["SIGSTOP", "SIGKILL"])
def test_the_watchdog_closes_the_position_of_a_trader_that_hangs_or_died(
    tmp_path: Path, number: str
) -> None:
    state = tmp_path / "state"
    act = ("alerts.kill=flatten", "alerts.kill_after_s=1")
    wish = {"distance": 78, "pause_s": 3}
    with (
        DiscordServer(50, 0.2) as server,
        gateway(tmp_path) as gw,
        watched(gw, tmp_path, server.url, *act, **wish) as run,
    ):
        run.wait(lambda: gw.positions() or run.of("closed"), "a position", 60)
        run.wait(gw.positions, "a position", 60)
        began = time.monotonic()
        run.process.send_signal(getattr(signal, number))
        wait(lambda: not gw.positions(), "the position is closed")
        took = time.monotonic() - began
        wait(lambda: not gw.working(), "nothing works any more")
        wait(
            lambda: [a for a in alerts(state) if a.key == "watchdog:kill" and ": done" in a.text],
            "it is told that it is done",
        )
    record(f"{number} of a trader with a position, closed by its watchdog", seconds=round(took, 2))


def processes() -> str:
    """Return the command lines of all processes, as everybody on the machine can read them."""
    listed = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=False
    )
    assert "mia.cli watch" in listed.stdout
    return listed.stdout


def test_an_error_that_nobody_handles_is_told_then_everything_is_closed_and_no_secret_gets_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("BROKER_PASSWORD", CANARY)
    with DiscordServer(50, 0.2) as server, gateway(tmp_path) as gw:
        with watched(
            gw, tmp_path, server.url, explode="BROKER_PASSWORD", distance=60, pause_s=3
        ) as run:
            listed = processes()
            run.wait(lambda: run.of("error"), "it ends", 60, alive=False)
            assert run.of("error")[0]["code"] == 6
            run.end()
            assert not gw.positions(), run.told()
            assert not gw.working(), run.told()
            failed = told(state, "failed", 0)
            assert failed is not None
            assert failed.level.name == "CRITICAL"
            assert "RuntimeError: cannot log in with ***" in failed.text
            wait(lambda: any("failed" in e["title"] for e in server.embeds), "Discord is told")
            written = [one for one in state.rglob("*") if one.is_file()]
            written += [run.log, *tmp_path.glob("*.log")]
            for path in written:
                found = path.read_bytes()
                assert CANARY.encode() not in found, path
                assert TOKEN.encode() not in found, path
            assert len(written) > 8
            for text in (listed, str(server.messages)):
                assert TOKEN not in text
                assert CANARY not in text
            assert "RuntimeError" in run.log.read_text()
        # Told before it acted: the alert stands before the fills that closed the position.
        keys = [alert.key for alert in alerts(state)]
        assert keys.index("failed") < keys.index("kill:UNHANDLED_EXCEPTION")


def test_a_discord_that_hangs_does_not_slow_the_trader(tmp_path: Path) -> None:
    """Both runs have a watchdog; in the second its webhook takes connections and never answers."""
    medians = {}
    for name, server in (("answers", DiscordServer(50, 0.2)), ("hangs", SilentServer())):
        folder = tmp_path / name
        folder.mkdir()
        with server, gateway(folder) as gw, watched(gw, folder, server.url, pause_s=3) as run:
            run.wait(lambda: len(run.of("fill")) >= 2, "it trades", 60)
            time.sleep(float(os.environ.get("MIA_SOAK_S", "4")))
            stages = watch_once(folder / "state", 3.0).frame["stages"]
            medians[name] = {stage: _median_ns(found["counts"]) for stage, found in stages.items()}
            settle(gw, run, folder / "state")
    record("stages with a Discord that answers, and one that hangs (ns)", **medians)
    # Powers of two, and a machine that others use.
    for stage, median in medians["hangs"].items():
        other = medians["answers"].get(stage)
        if median and other:
            assert median <= 8 * other, (stage, medians)


def _median_ns(counts: list[int]) -> int:
    left = sum(counts) / 2
    for power, count in enumerate(counts):
        left -= count
        if left <= 0:
            return int(2**power) if sum(counts) else 0
    return 0


def test_no_module_of_the_trader_knows_the_network_of_alerts() -> None:
    code = (
        "import sys, mia.trader.live\n"
        "print([name for name in sys.modules if name.startswith('mia.monitoring')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert not re.findall(r"discord|http_request|apprise|watch_process", done.stdout)
