import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from data.journal_samples import (
    PARTS,
    abandoned_journal,
    closed_journal,
    open_journal,
    payload,
    places,
)

from mia.data.journal_schema import QUARANTINED, JournalEvent
from mia.errors import JournalError

DURABLE, MORE = 6, 5


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Give a directory in memory where there is one: thousands of syncs prove nothing here."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def closed(tmp_path: Path) -> "Patient":
    origin = tmp_path / "closed"
    origin.mkdir()
    events = closed_journal(origin / "journal.db", DURABLE + MORE)
    return Patient(origin, tmp_path / "patient", events, len(events))


@pytest.fixture
def killed(tmp_path: Path) -> "Patient":
    origin = tmp_path / "killed"
    origin.mkdir()
    events = abandoned_journal(origin / "journal.db", DURABLE, MORE)
    return Patient(origin, tmp_path / "patient", events, DURABLE)


class Patient:
    """Copies of one journal, each damaged in one place."""

    def __init__(
        self, origin: Path, folder: Path, events: list[JournalEvent], durable: int
    ) -> None:
        self.files = {
            part: (origin / f"journal.db{part}").read_bytes()
            for part in PARTS
            if (origin / f"journal.db{part}").exists()
        }
        self.folder = folder
        self.events = events
        self.durable = durable
        self.accepted: list[int] = []
        self.refused = 0

    def survives(self, part: str, damaged: bytes) -> None:
        """Open a copy with one damaged file: it holds a prefix that was durable, or is refused."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name, data in (self.files | {part: damaged}).items():
            (self.folder / f"journal.db{name}").write_bytes(data)
        try:
            journal = open_journal(self.folder / "journal.db")
        except JournalError as error:
            self.refused += 1
            if "has schema" in str(error):
                assert (self.folder / f"journal.db{part}").read_bytes() == damaged
                return
            kept = self.folder / f"journal.db.damaged-1{part}"
            assert kept.read_bytes() == damaged, "evidence was destroyed"
            note = self.folder / "journal.db.damaged-1.reason"
            assert note.read_text().strip()
            # What others may read keeps the next start from using the directory.
            assert os.name != "posix" or note.stat().st_mode & 0o077 == 0
            return
        with journal:
            found = list(journal.events())
            assert found == self.events[: len(found)], "changed content was accepted"
            assert len(found) >= self.durable, "durable events vanished in silence"
            journal.append("INTENT", payload(99), ts=99)
        with open_journal(self.folder / "journal.db") as journal:
            assert [event.ts for event in journal.events()] == [
                *range(len(found)),
                99,
            ]
        self.accepted.append(len(found))


def flips(data: bytes, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    for place in places(len(data), seed):
        damaged = bytearray(data)
        damaged[place] ^= 1 << chance.randrange(8)
        yield bytes(damaged)


def test_a_closed_journal_cut_anywhere_is_refused(closed: Patient) -> None:
    for part, data in closed.files.items():
        for length in places(len(data), 1):
            closed.survives(part, data[:length])
    # Without a record of what was durable there is nothing to miss.
    assert set(closed.accepted) <= {len(closed.events)}
    assert closed.refused > len(closed.accepted)


def test_a_flipped_bit_in_a_closed_journal_is_refused_or_changes_nothing(closed: Patient) -> None:
    for part, data in closed.files.items():
        for damaged in flips(data, 2):
            closed.survives(part, damaged)
    assert closed.refused > 15
    assert set(closed.accepted) == {len(closed.events)}


def test_the_log_of_a_killed_process_cut_anywhere_keeps_what_was_durable(killed: Patient) -> None:
    for part, data in killed.files.items():
        for length in places(len(data), 3):
            killed.survives(part, data[:length])
    assert killed.refused > 15
    assert set(killed.accepted) == set(range(DURABLE, DURABLE + MORE + 1))


def test_a_flipped_bit_after_a_kill_costs_only_what_was_not_durable(killed: Patient) -> None:
    for part, data in killed.files.items():
        for damaged in flips(data, 4):
            killed.survives(part, damaged)
    assert killed.refused > 15
    assert len(set(killed.accepted)) > 2


def test_a_lost_log_does_not_pass_for_a_younger_journal(killed: Patient) -> None:
    killed.survives("-wal", b"")
    assert killed.refused == 1


def test_a_log_without_its_journal_is_not_thrown_away(killed: Patient) -> None:
    del killed.files["-head"]
    killed.survives("", b"")
    assert killed.refused == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing"),
        ("UPDATE events SET ts = 0 WHERE seq = 4", "chain breaks at event 4"),
        ("UPDATE events SET kind = 'FILL' WHERE seq = 2", "chain breaks at event 2"),
        ("UPDATE events SET payload = 'x' WHERE seq = 2", "another type"),
        ("DELETE FROM events WHERE seq = 11", "ends at event 10, 11 were durable"),
        ("DROP VIEW runs", "tables are not those of a journal"),
        ("CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT 1; END", "tables"),
        ("PRAGMA user_version = 0", "schema version is 0"),
        ("PRAGMA application_id = 3", "marked 0x3"),
    ],
)
def test_a_journal_changed_by_hand_is_set_aside_with_the_reason(
    closed: Patient, change: str, reason: str
) -> None:
    path = closed.folder / "journal.db"
    closed.folder.mkdir()
    for name, data in closed.files.items():
        (closed.folder / f"journal.db{name}").write_bytes(data)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(change)
    database.close()
    with pytest.raises(JournalError, match=reason) as refusal:
        open_journal(path)
    assert refusal.value.exit_code == 8
    assert reason in (closed.folder / "journal.db.damaged-1.reason").read_text()

    # Now it is gone, and the next start begins anew only because it is gone.
    with open_journal(path) as journal:
        assert journal.head.seq == 0


def test_an_older_copy_does_not_pass_for_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    closed_journal(path, 3)
    older = path.read_bytes()
    with open_journal(path) as journal:
        journal.append("FILL", payload(3), ts=3)
    path.write_bytes(older)
    with pytest.raises(JournalError, match="ends at event 3, 4 were durable"):
        open_journal(path)


def test_a_journal_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    closed_journal(path, 3)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA user_version = 2")
    database.close()
    for _ in range(2):
        with pytest.raises(JournalError, match="has schema 2"):
            open_journal(path)


def test_recovery_from_the_broker_begins_anew_and_says_why(closed: Patient) -> None:
    path = closed.folder / "journal.db"
    for number in (1, 2):
        closed.folder.mkdir(exist_ok=True)
        for name, data in closed.files.items():
            (closed.folder / f"journal.db{name}").write_bytes(data)
        path.write_bytes(closed.files[""][:2000])
        with open_journal(path, recover_from_broker=True) as journal:
            assert journal.quarantine is not None
            (event,) = journal.events()
            assert event.kind == QUARANTINED
            assert event.payload["path"] == f"journal.db.damaged-{number}"
            assert event.payload["reason"] == journal.quarantine.reason
    assert len(list(closed.folder.glob("*.reason"))) == 2


def test_what_is_no_journal_at_all_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"dear diary, " * 500)
    with pytest.raises(JournalError, match="damaged"):
        open_journal(path)
    assert (tmp_path / "journal.db.damaged-1").read_bytes() == b"dear diary, " * 500
