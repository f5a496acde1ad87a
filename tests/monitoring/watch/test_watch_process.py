import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from discord_server import TOKEN, DiscordServer, SilentServer

from mia.core.alert_file import NAME, AlertFile, AlertLevel

QUIET = ["--set", "alerts.cool_down_s=0", "--set", "alerts.disk_mb=10"]


@contextmanager
def watch(state: Path, url: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    state.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "mia.cli", "watch", "--state-dir", str(state), *QUIET, *more]
    environment = {
        **os.environ,
        "MIA_ALERTS__DISCORD_WEBHOOK": url,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    said = (state.parent / "watch.said").open("ab")
    process = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=state.parent)
    said.close()
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


def wait(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def file(tmp_path) -> Iterator[AlertFile]:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    made = AlertFile(state / NAME, str, "trader")
    yield made
    made.close()


def put(file: AlertFile, *texts: str) -> None:
    for text in texts:
        file.write(AlertLevel.INFO, f"key:{text}", text, 1, time.time_ns())


def from_trader(server: DiscordServer) -> list[str]:
    embeds = server.embeds
    return [one["description"] for one in embeds if one["footer"]["text"] == "trader"]


@pytest.mark.slow
def test_a_restart_of_the_watchdog_neither_loses_nor_repeats_an_alert(tmp_path, file) -> None:
    state, place = tmp_path / "state", tmp_path / "state" / "alerts.position"
    with DiscordServer(50, 0.2) as server:
        put(file, "before 0", "before 1")
        with watch(state, server.url):
            wait(lambda: len(from_trader(server)) == 2)
            put(file, *(f"during {n}" for n in range(25)))
            wait(lambda: len(from_trader(server)) == 27)
            size = (state / NAME).stat().st_size
            wait(lambda: f'"position": {size}' in place.read_text())
        put(file, *(f"dead {n}" for n in range(10)))
        with watch(state, server.url) as process:
            wait(lambda: len(from_trader(server)) == 37)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        found = from_trader(server)
        assert len(set(found)) == len(found) == 37
        assert not server.broken


@pytest.mark.slow
def test_what_discord_did_not_take_before_the_watchdog_died_is_sent_by_the_next(
    tmp_path, file
) -> None:
    state = tmp_path / "state"
    with SilentServer() as silent, watch(state, silent.url):
        put(file, *(f"kept {n}" for n in range(12)))
        wait((state / "alerts.position").exists)
        time.sleep(1.0)
    with DiscordServer(50, 0.2) as server, watch(state, server.url):
        wait(lambda: len(from_trader(server)) == 12)
        assert sorted(from_trader(server)) == sorted(f"kept {n}" for n in range(12))


@pytest.mark.slow
def test_only_one_watchdog_watches_and_its_webhook_is_told_to_nobody(tmp_path) -> None:
    state = tmp_path / "state"
    with DiscordServer(50, 0.2) as server, watch(state, server.url) as first:
        wait((state / "watch.beat").exists)
        with watch(state, server.url) as second:
            assert second.wait(60) == 7
        assert first.poll() is None
        listed = Path(f"/proc/{first.pid}/cmdline")
        if listed.exists():
            assert TOKEN.encode() not in listed.read_bytes()
    for path in [*state.iterdir(), tmp_path / "watch.said"]:
        assert TOKEN.encode() not in path.read_bytes(), path
        if path.parent == state:
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.slow
@pytest.mark.parametrize("where", ["command line", "profile", "open file"])
def test_a_webhook_is_refused_where_others_could_read_it(tmp_path, where: str) -> None:
    url = f"https://discord.com/api/webhooks/1/{TOKEN}"
    more = ["--config", "paper"]
    if where == "command line":
        more += ["--set", f"alerts.discord_webhook={url}"]
    elif where == "profile":
        (tmp_path / "own.toml").write_text(f'[alerts]\ndiscord_webhook = "{url}"\n')
        more = ["--config", str(tmp_path / "own.toml")]
    else:
        path = tmp_path / ".env.automation"
        path.write_text(f"MIA_ALERTS__DISCORD_WEBHOOK={url}\n")
        path.chmod(0o644)
    with watch(tmp_path / "state", "", *more) as process:
        assert process.wait(60) == 3
    said = (tmp_path / "watch.said").read_text()
    assert TOKEN not in said
    assert "chmod 600" in said if where == "open file" else "has no place" in said


@pytest.mark.slow
def test_a_watchdog_that_came_with_a_trader_goes_when_its_directory_does(tmp_path) -> None:
    state = tmp_path / "state"
    with DiscordServer(50, 0.2) as server, watch(state, server.url, "--with-trader") as process:
        wait((state / "watch.beat").exists)
        time.sleep(1.0)
        assert process.poll() is None
        shutil.rmtree(state)
        assert process.wait(60) == 0
