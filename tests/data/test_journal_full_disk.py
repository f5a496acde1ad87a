"""The journal on disks that refuse."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from data.journal_samples import open_journal

PREAMBLE = """
import os, resource, subprocess, sys, time
from pathlib import Path
from mia.data.journal import Journal
from mia.data.journal_schema import JournalHealth
from mia.errors import JournalUnavailable

folder = Path(sys.argv[1])

def until(condition):
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)

def fill_up(journal):
    # Facts go on for as long as they like; the first entry after the disk is full is refused.
    for number in range(100_000):
        try:
            journal.append("INTENT", {"pad": "x" * 300}, ts=number, required=True)
        except JournalUnavailable as refusal:
            assert "free or repair it" in str(refusal)
            return number
    raise AssertionError("the disk never filled up")
"""


def run(script: str, folder: Path, *prefix: str) -> str:
    child = subprocess.run(
        [*prefix, sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(script), folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def in_small_disk(script: str, folder: Path) -> str:
    """Run a script with a private file system of one megabyte at `folder`."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    mount = f'mount -t tmpfs -o size=1m,mode=700 tmpfs "{folder}" && exec "$@"'
    prefix = ("unshare", "-m", "sh", "-c", mount, "sh")
    trial = subprocess.run([*prefix, "true"], check=False, capture_output=True)
    if trial.returncode:
        pytest.skip("may not mount")
    return run(script, folder, *prefix)


def test_a_full_disk_stops_entries_while_exits_go_on_and_are_kept(tmp_path: Path) -> None:
    out = in_small_disk(
        """
        path = folder / "journal.db"
        journal = Journal.open(path, clock=int, reserve_bytes=1 << 17)
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(300_000))
        entries = fill_up(journal)
        assert journal.health in (JournalHealth.RESERVE, JournalHealth.MEMORY), journal.health
        before = journal.head.seq
        exits = [journal.append("EXIT", {"pad": "y" * 300}, ts=n) for n in range(300)]
        assert exits == list(range(before + 1, before + 301))
        assert journal.health is JournalHealth.MEMORY
        assert journal.waiting > 0
        assert len(list(journal.events())) == before + 300
        try:
            journal.append("LATCH", {}, ts=1, durable=True)
        except JournalUnavailable:
            pass
        else:
            raise AssertionError("a promise that could not be kept")
        ballast.unlink()
        until(lambda: journal.health is not JournalHealth.MEMORY)
        assert journal.waiting == 0
        head = journal.head
        journal.close()
        with Journal.open(path, clock=int, reserve_bytes=0) as journal:
            assert journal.head == head
            kinds = [event.kind for event in journal.events()]
        assert kinds == ["INTENT"] * entries + ["EXIT"] * 300 + ["LATCH"]
        print(entries)
        """,
        tmp_path,
    )
    assert int(out) > 50


def test_the_reserve_makes_room_for_the_last_events(tmp_path: Path) -> None:
    in_small_disk(
        """
        journal = Journal.open(folder / "journal.db", clock=int, reserve_bytes=1 << 17)
        journal.append("INTENT", {}, ts=0, durable=True)
        with (folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        seq = 0
        while journal.health is JournalHealth.OK:
            seq = journal.append("EXIT", {"pad": "y" * 300}, ts=1)
        assert journal.health is JournalHealth.RESERVE
        assert journal.waiting == 0
        journal.append("FLATTEN", {}, ts=2, durable=True)
        try:
            journal.append("INTENT", {}, ts=3, required=True)
        except JournalUnavailable:
            pass
        else:
            raise AssertionError("an entry was let through on the reserve")
        (folder / "ballast").unlink()
        until(lambda: journal.health is JournalHealth.OK)
        journal.append("INTENT", {}, ts=4, required=True)
        assert (folder / "journal.db-reserve").stat().st_size == 1 << 17
        journal.close()
        """,
        tmp_path,
    )


def test_a_process_that_dies_with_a_full_disk_leaves_a_sound_journal(tmp_path: Path) -> None:
    in_small_disk(
        """
        path = folder / "journal.db"
        (folder / "ballast").write_bytes(bytes(400_000))
        script = (
            "import os, sys; from pathlib import Path; from mia.data.journal import Journal\\n"
            "journal = Journal.open(Path(sys.argv[1]), clock=int, reserve_bytes=0)\\n"
            "for n in range(5000): journal.append('FILL', {'pad': 'x' * 300}, ts=n)\\n"
            "print(journal.waiting, journal.durable_seq, flush=True); os.kill(os.getpid(), 9)"
        )
        child = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
        waiting, durable = map(int, child.stdout.split())
        assert waiting > 0 and durable > 0
        # While it is full a start may be refused, but nothing is taken for damage.
        try:
            Journal.open(path, clock=int).close()
        except Exception as refusal:
            assert "free or repair the disk" in str(refusal), refusal
        assert not list(folder.glob("*damaged*"))
        (folder / "ballast").unlink()
        with Journal.open(path, clock=int, reserve_bytes=0) as journal:
            stamps = [event.ts for event in journal.events()]
            assert stamps == list(range(len(stamps)))
            assert durable <= len(stamps) <= 5000 - waiting
        """,
        tmp_path,
    )


def test_a_limit_on_file_size_is_met_like_a_full_disk(tmp_path: Path) -> None:
    run(
        """
        journal = Journal.open(folder / "journal.db", clock=int, reserve_bytes=0)
        journal.append("INTENT", {}, ts=0, durable=True)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_300, hard))
        fill_up(journal)
        for n in range(50):
            journal.append("EXIT", {}, ts=n)
        assert journal.waiting >= 50
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        until(lambda: journal.health is JournalHealth.OK)
        journal.append("INTENT", {}, ts=1, required=True, durable=True)
        journal.close()
        """,
        tmp_path,
    )
    with open_journal(tmp_path / "journal.db") as journal:
        assert [event.kind for event in journal.events()][-51:] == ["EXIT"] * 50 + ["INTENT"]


def test_a_start_on_a_disk_that_is_read_only_says_so_and_harms_nothing(tmp_path: Path) -> None:
    out = in_small_disk(
        """
        path = folder / "journal.db"
        with Journal.open(path, clock=int, reserve_bytes=0) as journal:
            journal.append("INTENT", {}, ts=0)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        from mia.errors import JournalError
        try:
            Journal.open(path, clock=int)
        except JournalError as error:
            print(error)
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        with Journal.open(path, clock=int, reserve_bytes=0) as journal:
            assert journal.append("INTENT", {}, ts=1, required=True) == 2
        """,
        tmp_path,
    )
    assert "Read-only file system" in out


def test_a_start_on_a_full_disk_says_so(tmp_path: Path) -> None:
    out = in_small_disk(
        """
        from mia.errors import JournalError
        with (folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        try:
            Journal.open(folder / "journal.db", clock=int)
        except JournalError as error:
            print(error)
        (folder / "ballast").unlink()
        with Journal.open(folder / "journal.db", clock=int, reserve_bytes=0) as journal:
            assert journal.append("INTENT", {}, ts=1, required=True) == 1
        """,
        tmp_path,
    )
    assert "free or repair the disk" in out or "cannot open" in out
