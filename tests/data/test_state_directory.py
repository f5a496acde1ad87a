import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mia.data import state_files
from mia.data.process_lock import holder, is_held
from mia.data.state_directory import StateDirectory
from mia.data.state_files import KillAnswer, KillCommand, RunInfo
from mia.errors import AlreadyRunning, ConfigError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")

HOLDER = """
import sys, time
from pathlib import Path
from mia.data.state_directory import StateDirectory
from mia.errors import MiaError
try:
    directory = StateDirectory.open(Path(sys.argv[1]))
except MiaError as error:
    print(error)
    sys.exit(error.exit_code)
directory.write_run(account="DU1", host="h", port=4002, client_id=5, started=1)
print("held", flush=True)
time.sleep(60)
"""


def spawn(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def open_run(directory: StateDirectory) -> None:
    directory.write_run(account="DU1", host="127.0.0.1", port=4002, client_id=5, started=9)


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    with StateDirectory.open(path) as directory:
        open_run(directory)
        assert path.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}
        assert directory.journal_path == path / "journal.db"
        assert directory.arm_token == path / "arm"
        run = state_files.read_run(path / state_files.RUN)
        assert run is not None
        assert (run.pid, run.port, run.client_id, run.started) == (os.getpid(), 4002, 5, 9)
    assert not (path / state_files.RUN).exists()


def test_a_second_trader_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with StateDirectory.open(path):
        assert is_held(path / state_files.LOCK)
        with spawn(path) as child:
            assert child.stdout is not None
            assert f"process {os.getpid()}" in child.stdout.read()
        assert child.returncode == AlreadyRunning.exit_code == 7
    assert not is_held(path / state_files.LOCK)


def test_a_trader_that_was_killed_holds_nothing_and_its_note_stays(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with spawn(path) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert holder(path / state_files.LOCK) == child.pid
        with pytest.raises(AlreadyRunning, match=str(child.pid)):
            StateDirectory.open(path)
        child.send_signal(signal.SIGKILL)
    run = state_files.read_run(path / state_files.RUN)
    assert run is not None
    assert run.pid == child.pid
    with StateDirectory.open(path):
        assert holder(path / state_files.LOCK) == os.getpid()


def test_a_note_from_another_computer_keeps_us_out_until_it_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateDirectory.open(path).close()
    state_files.write_run(
        path / state_files.RUN, RunInfo(17, "elsewhere", "DU1", "127.0.0.1", 4002, 5, 1)
    )
    for _ in range(2):
        with pytest.raises(AlreadyRunning, match="elsewhere"):
            StateDirectory.open(path)
    (path / state_files.RUN).unlink()
    StateDirectory.open(path).close()


def test_an_error_leaves_the_note_of_the_run_for_the_kill_command(tmp_path: Path) -> None:
    def fail() -> None:
        with StateDirectory.open(tmp_path / "state") as directory:
            open_run(directory)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "state" / state_files.RUN).exists()
    assert not is_held(tmp_path / "state" / state_files.LOCK)


def test_what_others_may_open_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateDirectory.open(path).close()
    path.chmod(0o750)
    with pytest.raises(ConfigError, match=f"chmod 700 {path}"):
        StateDirectory.open(path)
    path.chmod(0o700)
    arm = path / state_files.ARM
    arm.write_text("20250310")
    arm.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {arm}"):
        StateDirectory.open(path)
    arm.chmod(0o600)
    (path / state_files.KILL).write_text("halt")
    (path / state_files.KILL).chmod(0o644)
    StateDirectory.open(path).close()


def test_what_cannot_be_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use the state directory"):
        StateDirectory.open(tmp_path / "file")


def test_the_small_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert state_files.read_command(path) is None
    assert state_files.read_answer(path) is None
    assert state_files.read_run(path) is None
    command = KillCommand("flatten", "a", 5)
    state_files.write_command(path, command)
    assert state_files.read_command(path) == command
    answer = KillAnswer("a", "done", "flat")
    state_files.write_answer(path, answer)
    assert state_files.read_answer(path) == answer
    run = RunInfo(1, "m", "DU1", "h", 1, 2, 3, "c", "v")
    state_files.write_run(path, run)
    assert state_files.read_run(path) == run
    path.write_text("{")
    assert state_files.read_answer(path) is None
    assert state_files.read_run(path) is None


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    state_files.write_command(path, KillCommand("halt", "a", 5))
    (tmp_path / f".x.{os.getpid()}").mkdir()
    with pytest.raises(OSError, match="directory"):
        state_files.write_command(path, KillCommand("flatten", "b", 6))
    command = state_files.read_command(path)
    assert command is not None
    assert command.name == "halt"
