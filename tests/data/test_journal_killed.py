"""The journal of a process that dies at any instant."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data.journal_samples import open_journal

KILLS = int(os.environ.get("MIA_FAULT_N", "6"))

CHILD = """
import sys
from pathlib import Path
from mia.data.journal import Journal

journal = Journal.open(Path(sys.argv[1]), clock=lambda: 7, reserve_bytes=0)
out = sys.stdout.fileno()
import os
journal.start_run("c0ffee", "0.1.0")
ts = 0
os.write(out, b"0\\n")
while True:
    ts += 1
    seq = journal.append("INTENT", {"order_ref": f"TRADE_{ts}:E"}, ts=ts, durable=ts % 40 == 0)
    os.write(out, b"%d\\n" % ts)
"""


def run_and_kill(path: Path, after: float) -> int:
    """Let a process append until it is killed; return the last event it said it had written."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"0\n"
        time.sleep(after)
        child.kill()
        told = child.stdout.read()
    whole = told[: told.rfind(b"\n")].split(b"\n") if b"\n" in told else [b"0"]
    return int(whole[-1])


def check(path: Path, kills: int) -> None:
    chance = random.Random(5)
    expected: list[int] = []
    for _ in range(kills):
        told = run_and_kill(path, chance.random() * 0.03)
        with open_journal(path) as journal:
            stamps = [event.ts for event in journal.events() if event.kind == "INTENT"]
        lately = stamps[len(expected) :]
        assert stamps[: len(expected)] == expected
        # The kill may fall between the commit and the word of it, so one more may be there.
        assert len(lately) - told in (0, 1)
        assert lately == list(range(1, len(lately) + 1))
        expected = stamps


def test_whatever_was_acknowledged_before_a_kill_is_there(tmp_path: Path) -> None:
    check(tmp_path / "journal.db", min(KILLS, 6))


@pytest.mark.slow
def test_whatever_was_acknowledged_before_many_kills_is_there(tmp_path: Path) -> None:
    check(tmp_path / "journal.db", max(KILLS, 40))


def test_a_kill_while_the_journal_is_made_leaves_no_riddle(tmp_path: Path) -> None:
    chance = random.Random(6)
    for number in range(min(KILLS, 6)):
        path = tmp_path / f"{number}.db"
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as child:
            for _ in range(5000):
                if path.with_name(f"{path.name}-lock").exists():
                    break
                time.sleep(0.001)
            time.sleep(chance.random() * 0.012)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        with open_journal(path) as journal:
            assert journal.quarantine is None
            journal.append("INTENT", {}, ts=1, durable=True)
