"""``mia backup`` and backups at intervals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from monitoring.test_backup import append, make_state
from rich.console import Console

from mia.cli.app import app
from mia.command_line import run_app
from mia.config.settings import load_settings
from mia.errors import DataError, MiaError
from mia.monitoring.backups.backup_objects import BackupRepository
from mia.monitoring.backups.backup_schedule import backup_process, keep_backed_up
from mia.trader.demo import run_demo


@pytest.fixture
def mia(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("MIA_STATE_DIR", raising=False)

    def run(*argv: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["mia", "backup", *map(str, argv)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_app(app, "mia")
        return left.value.code, *capsys.readouterr()

    return run


def process(*argv: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mia.cli", "backup", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_run_list_verify_and_restore(mia, tmp_path: Path) -> None:
    state, place = make_state(tmp_path / "state"), tmp_path / "backups"
    code, out, _ = mia("run", place, "--state", state, "--json")
    made = json.loads(out)
    assert (code, made["kind"], made["verified"], made["events"]) == (0, "full", True, 302)
    append(state, 3)
    code, out, _ = mia("run", place, "--state", state)
    assert code == 0
    assert "incremental" in out
    assert "305 events, verified" in out
    _, out, _ = mia("list", place, "--json")
    listed = json.loads(out)
    assert [backup["events"] for backup in listed["backups"]] == [302, 305]
    code, out, _ = mia("verify", place, "--all", "--json")
    assert [(trial["good"], trial["events"]) for trial in json.loads(out)] == [
        (True, 302),
        (True, 305),
    ]
    code, out, _ = mia("restore", place, "--to", tmp_path / "old", "--id", made["id"])
    assert code == 0
    assert "302 events" in out
    assert (tmp_path / "old" / "kill").exists()
    code, _, _ = mia("restore", place, "--to", tmp_path / "new", "--ready")
    assert code == 0
    assert not (tmp_path / "new" / "kill").exists()


def test_what_goes_wrong_has_its_exit_code(mia, tmp_path: Path) -> None:
    state, place = make_state(tmp_path / "state"), tmp_path / "backups"
    assert mia("verify", place)[0] == 5
    assert mia("run", place, "--state", tmp_path / "nothing")[0] == 8
    assert mia("run", state / "backups", "--state", state)[0] == 5
    assert mia("run", place, "--state", state, "--every", "soon")[0] == 2
    mia("run", place, "--state", state)
    code, _, err = mia("restore", place, "--to", state)
    assert (code, "is not empty" in err) == (5, True)
    assert mia("restore", place, "--to", tmp_path / "x", "--id", "nonsense")[0] == 5
    assert mia("verify", place, "--all", "--id", "nonsense")[0] == 2
    manifest = BackupRepository(place).newest()
    lines = next(file for file in manifest.files if file.path.endswith(".jsonl"))
    (place / "objects" / lines.pieces[0][:2] / lines.pieces[0]).write_bytes(b"")
    code, out, err = mia("verify", place)
    assert code == 5
    assert f"{lines.name} cannot be restored: piece {lines.pieces[0]} is damaged" in out
    assert f"{lines.name} of {manifest.backup_id}" in err
    # The next run meets it too: its trial restore fails, and it says what to do.
    code, _, err = mia("run", place, "--state", state)
    assert (code, "make one with --full" in err) == (5, True)
    assert mia("run", place, "--state", state, "--full")[0] == 0


def test_a_loop_backs_up_at_intervals_and_once_more_when_it_is_stopped(tmp_path: Path) -> None:
    state, place = make_state(tmp_path / "state"), tmp_path / "backups"
    with process("run", place, "--state", state, "--every", "1s", "--json") as loop:
        assert loop.stdout is not None
        assert loop.stderr is not None
        assert json.loads(loop.stdout.readline())["events"] == 302
        assert json.loads(loop.stdout.readline())["events"] == 302
        append(state, 4)
        loop.send_signal(signal.SIGTERM)
        last = [json.loads(line) for line in loop.stdout.read().splitlines()][-1]
        assert last["events"] == 306
        assert loop.stderr.read() == ""
    assert loop.returncode == 143


def test_a_loop_outlives_a_backup_that_fails(tmp_path: Path) -> None:
    state, place = make_state(tmp_path / "state"), tmp_path / "backups"
    away = state.rename(tmp_path / "away")
    with process("run", place, "--state", state, "--every", "1s") as loop:
        assert loop.stdout is not None
        assert loop.stderr is not None
        assert "holds no journal" in loop.stderr.readline()
        away.rename(state)
        assert "302 events, verified" in loop.stdout.readline()
        state.rename(away)
        loop.send_signal(signal.SIGTERM)
        assert "the last backup failed" in loop.stderr.read()
    assert loop.returncode == 5


def test_an_entry_point_has_backups_made_beside_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    state, place = make_state(tmp_path / "state"), tmp_path / "backups"
    errors: list[MiaError] = []

    async def work() -> bool:
        stop = asyncio.Event()
        backup = backup_process([str(place), "--state", str(state)])
        task = asyncio.create_task(keep_backed_up(backup, stop, errors.append, 3_600.0))
        slowest, limit = 0.0, time.monotonic() + 30
        while not BackupRepository(place).ids():
            assert time.monotonic() < limit
            began = time.monotonic()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - began)
        append(state, 2)
        stop.set()
        good = await task
        # The loop was never blocked for as long as a backup takes.
        assert slowest < 0.5
        return good

    assert asyncio.run(work())
    assert errors == []
    good, _ = BackupRepository(place).manifests()
    assert [manifest.journal_seq for manifest in good] == [302, 304]


def test_a_backup_beside_that_fails_says_why(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    errors: list[MiaError] = []

    async def work() -> bool:
        stop = asyncio.Event()
        stop.set()
        backup = backup_process([str(tmp_path / "b"), "--state", str(tmp_path / "nothing")])
        return await keep_backed_up(backup, stop, errors.append)

    assert not asyncio.run(work())
    (error,) = errors
    assert isinstance(error, DataError)
    assert "code 8" in str(error)
    assert "holds no journal" in str(error)


@pytest.mark.idle
def test_a_trader_starts_in_a_restored_directory_and_refuses_entries(
    mia, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name in ("TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE"):
        monkeypatch.delenv(name, raising=False)
    loaded = load_settings("demo", ["demo.trades_per_day=20000"])
    quiet = Console(quiet=True)
    (tmp_path / "first").mkdir()
    run_demo(loaded, tmp_path / "first", quiet)
    place = tmp_path / "backups"
    assert mia("run", place, "--state", tmp_path / "first" / "state")[0] == 0
    assert mia("restore", place, "--to", tmp_path / "second" / "state")[0] == 0
    before = BackupRepository(place).newest().journal_seq
    summary = run_demo(loaded, tmp_path / "second", quiet)
    rejections = summary["rejections"]
    assert isinstance(rejections, dict)
    assert rejections["KILL_STATE"] > 0
    assert mia("run", place, "--state", tmp_path / "second" / "state")[0] == 0
    # It went on in the restored journal: nothing was set aside and begun anew.
    assert BackupRepository(place).newest().journal_seq > before
    assert not list((tmp_path / "second" / "state").glob("*damaged*"))
