"""A journal that is damaged, and a disk that is full, while a position is open."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from faults.harness import (
    N,
    Watch,
    believed,
    check_orders,
    command,
    gateway,
    record,
    trader,
)

pytestmark = pytest.mark.slow

HOLDING = {"cold": True, "distance": 60, "pause_s": 3}


def damage(state: Path, chance: random.Random) -> str:
    """Flip a bit of an event's payload, which no page checksum guards."""
    path = state / "journal.db"
    # The log goes into the file first, as the next start would do.
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = bytearray(path.read_bytes())
    places = [k for k in range(len(content)) if content[k : k + 9] == b"bracket_i"]
    place = chance.choice(places)
    content[place] ^= 0x04
    path.write_bytes(content)
    return f"byte {place}"


def test_a_damaged_journal_is_refused_then_rebuilt_from_the_broker(tmp_path: Path) -> None:
    chance = random.Random(5)
    rounds = max(1, N // 5)
    longest = 0.0
    for number in range(rounds):
        # To a fresh directory the round before is a bracket that nobody remembers: it would halt.
        folder = tmp_path / str(number)
        folder.mkdir()
        state = folder / "state"
        with gateway(folder) as gw, Watch(gw) as watch:
            with trader(gw, folder, state=state, **HOLDING) as run:
                run.ready()
                run.wait(gw.positions, "a position")
                time.sleep(0.5)
                run.kill()
            place = damage(state, chance)
            with trader(gw, folder, state=state, **HOLDING) as run:
                assert run.end() == 8, (place, run.told())
                assert not run.of("ready", "sent")
            assert list(state.glob("journal.db*damaged*")) or list(state.glob("*quarantine*")), [
                path.name for path in state.iterdir()
            ]
            with trader(gw, folder, state=state, hold=str(state), **HOLDING) as run:
                run.ready()
                assert any(e["adopted"] for e in run.of("reconciled")), run.told()
                assert sum(o["type"] == "STP" for o in gw.working()) == 1
                # What was adopted obeys the commands like anything that is ours.
                run.process.send_signal(signal.SIGCONT)
                command(state, "flatten")
                run.wait(lambda: not gw.positions(), "flat", 20)
                run.wait(lambda: not gw.working(), "nothing works", 20)
                check_orders(gw)
                assert run.kill(signal.SIGTERM) in (0, -signal.SIGTERM, 143), run.told()
        longest = max(longest, watch.naked.longest)
    assert longest < 5.0
    record("damaged journal", rounds=rounds, naked_s=longest)


def _may_unshare() -> bool:
    if os.name != "posix" or not shutil.which("unshare") or not shutil.which("nsenter"):
        return False
    return (
        subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _may_unshare(), reason="needs a mount namespace of its own")
def test_on_a_full_disk_nothing_is_opened_and_what_is_held_can_be_closed(tmp_path: Path) -> None:
    disk, copy, hold = tmp_path / "disk", tmp_path / "copy", tmp_path / "hold"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=16m,mode=700 tmpfs {disk} && exec "$@"'
    with (
        gateway(tmp_path) as gw,
        Watch(gw) as watch,
        trader(
            gw,
            tmp_path,
            state=disk / "state",
            wrap=("unshare", "-m", "sh", "-c", mount, "sh"),
            cold=True,
            distance=60,
            close_s=150,
            pause_s=1,
            hold=str(hold),
        ) as run,
    ):
        run.ready()
        run.wait(gw.positions, "a position")
        inside = ["nsenter", "-t", str(run.process.pid), "-m"]
        filled = time.monotonic()
        subprocess.run(
            [*inside, "dd", "if=/dev/zero", f"of={disk}/fill", "bs=4096"],
            check=False,
            capture_output=True,
        )
        time.sleep(0.1)
        sent = len(run.passed())
        run.wait(lambda: not gw.positions(), "the position is closed", 30)
        closed = time.monotonic() - filled
        run.wait(lambda: not gw.working(), "nothing works", 20)
        time.sleep(6.0)
        after = len(run.passed()) - sent
        halted = [e["at"] - filled for e in run.of("kill") if e["rule"] == "JOURNAL"]
        assert after == 0, run.told()
        assert halted, run.told()
        hold.touch()
        subprocess.run([*inside, "rm", f"{disk}/fill"], check=True)
        time.sleep(1.5)
        subprocess.run([*inside, "cp", "-r", f"{disk}/state", str(copy)], check=True)
        run.kill(signal.SIGTERM)
        check_orders(gw)
        ledger = believed(copy)
        assert all(ledger.position(b.order.contract) == 0 for b in ledger.brackets.values())
    assert watch.naked.longest < 5.0
    record("full disk", halted_after_s=halted[0], closed_after_s=closed, brackets_while_full=after)
