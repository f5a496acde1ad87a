"""Backups of a state directory that is in use, restored and compared."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import PAPER

from mia.core.base_types import TradingState
from mia.data import state_files
from mia.data.journal import Journal
from mia.data.journal_reader import JournalReader
from mia.data.state_directory import StateDirectory
from mia.errors import AlreadyRunning, DataError, JournalError
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import KillSwitch
from mia.monitoring.backup import BackupSource, run_backup
from mia.monitoring.backups.backup_objects import BackupRepository, Manifest
from mia.monitoring.backups.backup_restore import restore_backup, verify_backup
from mia.monitoring.backups.backup_retention import Retention

KILLS = int(os.environ.get("MIA_FAULT_N", "6"))
HOUR = 3_600 * 10**9
NOON = 1_770_638_400 * 10**9

WRITER = """
import os, sys
from pathlib import Path
from mia.data.journal import Journal
from mia.data.state_directory import StateDirectory

directory = StateDirectory.open(Path(sys.argv[1]))
directory.write_run(account="DU1", host="127.0.0.1", port=4002, client_id=3, started=7)
journal = Journal.open(directory.journal_path, clock=lambda: 7, reserve_bytes=1 << 16)
journal.start_run("c0ffee", "0.1.0")
folder = directory.path / "snapshots"
folder.mkdir(exist_ok=True)
lines = os.open(folder / "day.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
ts = 0
while True:
    ts += 1
    seq = journal.append("INTENT", {"order_ref": f"TRADE_{ts}:E"}, ts=ts, durable=ts % 50 == 0)
    os.write(lines, b'{"half":')
    os.write(lines, b'%d}\\n' % ts)
    if ts % 50 == 0:
        os.write(1, b"%d\\n" % seq)
"""

BACKUP = """
import sys
from pathlib import Path
from mia.monitoring.backup import BackupSource, run_backup
from mia.monitoring.backups.backup_objects import BackupRepository

repository = BackupRepository(Path(sys.argv[1]))
now = int(sys.argv[3])
sys.stdout.write("go\\n")
sys.stdout.flush()
while True:
    run_backup(repository, BackupSource(Path(sys.argv[2])), now, full=True)
    now += 1_000_000
"""


def child(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def make_state(path: Path, events: int = 300) -> Path:
    """Leave a state directory as a trader leaves it."""
    with StateDirectory.open(path) as directory:
        with Journal.open(directory.journal_path, clock=lambda: 7, reserve_bytes=0) as journal:
            journal.start_run("c0ffee", "0.1.0")
            for number in range(events):
                journal.append("INTENT", {"number": number, "text": "x" * 90}, ts=number)
            journal.end_run()
        (path / "snapshots").mkdir(mode=0o700)
        (path / "snapshots" / "2026-02-09_decision.jsonl").write_text('{"a":1}\n{"b":2}\n{"c"')
        (path / "arm").write_text("20260209")
        (path / "arm").chmod(0o600)
        (path / "empty.txt").touch(mode=0o600)
    return path


def append(state: Path, count: int) -> None:
    with Journal.open(state / "journal.db", clock=lambda: 7, reserve_bytes=0) as journal:
        for number in range(count):
            journal.append("MORE", {"number": number}, ts=number)


def events_of(journal: Path) -> list[object]:
    with JournalReader(journal) as reader:
        return list(reader.events())


def backed_up(repository: BackupRepository, state: Path, now: int = NOON, **how: object):
    return run_backup(repository, BackupSource(state), now, **how)  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path) -> BackupRepository:
    return BackupRepository(tmp_path / "backups")


def test_a_restored_directory_has_the_same_events_and_opens_as_a_trader_opens_it(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    report = backed_up(repository, state)
    assert report.manifest.kind == "full"
    restored = tmp_path / "new" / "state"
    restore_backup(repository, report.manifest, restored)
    assert events_of(restored / "journal.db") == events_of(state / "journal.db")
    with (
        StateDirectory.open(restored) as directory,
        Journal.open(directory.journal_path, clock=lambda: 9, reserve_bytes=0) as journal,
    ):
        assert journal.quarantine is None
        assert journal.head.hash.hex() == report.manifest.journal_hash
        journal.append("AFTER", {}, ts=1, durable=True)
    # A line that was being written is not taken; the word for real money neither.
    lines = restored / "snapshots" / "2026-02-09_decision.jsonl"
    assert lines.read_text() == '{"a":1}\n{"b":2}\n'
    assert not (restored / "arm").exists()
    assert (restored / "empty.txt").read_bytes() == b""


def test_a_trader_starts_stopped_in_a_restored_directory(
    tmp_path: Path, repository: BackupRepository
) -> None:
    manifest = backed_up(repository, make_state(tmp_path / "state")).manifest
    for halted, expected in ((True, TradingState.HALT_ENTRIES), (False, TradingState.NORMAL)):
        restored = tmp_path / f"restored-{halted}"
        restore_backup(repository, manifest, restored, halted=halted)
        with Journal.open(restored / "journal.db", clock=lambda: 9, reserve_bytes=0) as journal:
            switch, store = KillSwitch(PAPER), KillStore(journal)
            store.attach(switch)
            KillCommands(restored, store).start(NOON)
            assert switch.state is expected


def test_the_journal_is_copied_while_another_process_writes_it(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = tmp_path / "state"
    heads = []
    with child(WRITER, state) as writer:
        assert writer.stdout is not None
        for k in range(4):
            told = int(writer.stdout.readline())
            manifest = backed_up(repository, state, NOON + k).manifest
            assert manifest.journal_seq >= told
            heads.append(manifest.journal_seq)
        writer.kill()
        rest = [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
    assert heads == sorted(set(heads))
    # The writer was not held up for good by any of it.
    assert rest
    assert rest[-1] > heads[0]
    final = backed_up(repository, state, NOON + 9).manifest
    assert final.journal_seq >= rest[-1]
    everything = events_of(state / "journal.db")
    for manifest in repository.manifests()[0]:
        trial = verify_backup(repository, manifest)
        assert trial.damaged == ()
        assert trial.events == manifest.journal_seq
        target = tmp_path / manifest.backup_id
        restore_backup(repository, manifest, target)
        assert events_of(target / "journal.db") == everything[: manifest.journal_seq]
        lines = (target / "snapshots" / "day.jsonl").read_text().splitlines()
        assert [json.loads(line)["half"] for line in lines] == list(range(1, len(lines) + 1))
        # The note of a run on some computer would keep a trader on another one out.
        assert state_files.read_run(target / "run.restored.json").port == 4002
        StateDirectory.open(target).close()


def test_a_backup_within_the_writing_process_leaves_its_locks_alone(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    with Journal.open(state / "journal.db", clock=lambda: 7, reserve_bytes=0) as journal:
        journal.append("BEFORE", {}, ts=1)
        first = backed_up(repository, state).manifest
        assert first.journal_seq == journal.head.seq
        # If its locks were gone, another program could empty the log under it.
        journal._database.execute("BEGIN IMMEDIATE")
        other = (
            "import sqlite3, sys\n"
            "db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "try:\n    db.execute('BEGIN IMMEDIATE')\n"
            "except sqlite3.OperationalError:\n    sys.exit(3)\n"
        )
        with child(other, state / "journal.db") as prober:
            prober.wait()
        journal._database.execute("ROLLBACK")
        assert prober.returncode == 3
        journal.append("AFTER", {}, ts=2, durable=True)
    assert backed_up(repository, state, NOON + 1).manifest.journal_seq == first.journal_seq + 1


def test_what_did_not_change_is_not_written_again(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state", 12_000)
    (state / "large.bin").write_bytes(random.Random(3).randbytes(3 << 20))
    (state / "large.bin").chmod(0o600)
    first = backed_up(repository, state)
    assert first.written > 3 << 20
    append(state, 10)
    second = backed_up(repository, state, NOON + HOUR)
    assert (second.manifest.kind, second.manifest.journal_seq) == (
        "incremental",
        first.manifest.journal_seq + 10,
    )
    # The journal has three pieces; only the first, with its header, and the last have changed.
    assert second.written < 700_000
    third = backed_up(repository, state, NOON + 2 * HOUR)
    assert third.written < 1_000
    assert backed_up(repository, state, NOON + 24 * HOUR).manifest.kind == "full"


def test_a_file_with_the_same_size_and_time_is_read_again_by_a_full_backup(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    secret = state / "notes.txt"
    secret.write_text("aaaa")
    secret.chmod(0o600)
    backed_up(repository, state)
    facts = secret.stat()
    with secret.open("r+") as file:
        file.write("bbbb")
    os.utime(secret, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    for full, expected in ((False, "aaaa"), (True, "bbbb")):
        manifest = backed_up(repository, state, NOON + 1 + full, full=full).manifest
        target = tmp_path / f"full-{full}"
        restore_backup(repository, manifest, target)
        assert (target / "notes.txt").read_text() == expected


def test_a_store_and_settings_come_back_as_they_were(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state, store = make_state(tmp_path / "state"), tmp_path / "store"
    day = store / "ticks" / "root=ES" / "contract=ESH26" / "date=2026-02-09.parquet"
    day.parent.mkdir(parents=True)
    day.write_bytes(random.Random(4).randbytes(2_500_000))
    (store / "manifest.json").write_text("{}")
    (store / ".staging").mkdir()
    (store / ".staging" / "half").write_text("x")
    profile = tmp_path / "mine.toml"
    profile.write_text("symbol = 'ES'\n")
    manifest = run_backup(repository, BackupSource(state, store, (profile,)), NOON).manifest
    restore_backup(repository, manifest, tmp_path / "s", tmp_path / "t")
    assert (tmp_path / "t" / day.relative_to(store)).read_bytes() == day.read_bytes()
    assert not (tmp_path / "t" / ".staging").exists()
    assert (tmp_path / "s" / "settings" / "mine.toml").read_text() == "symbol = 'ES'\n"
    secrets = tmp_path / ".env.automation"
    secrets.write_text("TOKEN=1")
    with pytest.raises(DataError, match="holds secrets"):
        run_backup(repository, BackupSource(state, store, (secrets,)), NOON)


def test_each_damaged_piece_is_found_and_the_files_that_need_it_are_named(
    tmp_path: Path, repository: BackupRepository
) -> None:
    manifest = backed_up(repository, make_state(tmp_path / "state", 20)).manifest
    chance = random.Random(5)
    owners: dict[str, set[str]] = {}
    for file in manifest.files:
        for digest in file.pieces:
            owners.setdefault(digest, set()).add(file.name)
    assert {"state/journal.db", "state/journal.db-head"} <= set().union(*owners.values())
    for digest, names in owners.items():
        place = repository.path / "objects" / digest[:2] / digest
        data = place.read_bytes()
        spot = chance.randrange(len(data))
        wrong = bytes([data[spot] ^ 1 << chance.randrange(8)])
        flipped = data[:spot] + wrong + data[spot + 1 :]
        for broken in (flipped, data[:-1], b"", None):
            place.unlink()
            if broken is not None:
                place.write_bytes(broken)
            damaged = verify_backup(repository, manifest).damaged
            assert {damage.file for damage in damaged} == names
            assert all(digest in damage.problem for damage in damaged)
            with pytest.raises(DataError, match=digest):
                restore_backup(repository, manifest, tmp_path / "target")
            assert not (tmp_path / "target").exists()
            place.write_bytes(data)
    assert verify_backup(repository, manifest).damaged == ()
    assert [p.name for p in tmp_path.iterdir() if "restoring" in p.name] == []


def test_a_full_backup_repairs_the_pieces_that_it_shares(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    first = backed_up(repository, state).manifest
    lines = next(file for file in first.files if file.path.endswith(".jsonl"))
    (digest,) = lines.pieces
    place = repository.path / "objects" / digest[:2] / digest
    place.write_bytes(b"\0rubbish")
    assert backed_up(repository, state, NOON + 1).repaired == ()
    assert verify_backup(repository, first).damaged
    assert backed_up(repository, state, NOON + 2, full=True).repaired == (digest,)
    assert verify_backup(repository, first).damaged == ()


def test_a_manifest_that_was_changed_is_not_believed(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    backup_id = backed_up(repository, state).manifest.backup_id
    place = repository.path / "manifests" / f"{backup_id}.json"
    data = place.read_bytes()
    for spot in random.Random(6).sample(range(len(data)), 40):
        place.write_bytes(data[:spot] + bytes([data[spot] ^ 1]) + data[spot + 1 :])
        with pytest.raises(DataError, match=f"manifest of backup {backup_id} is damaged"):
            repository.load(backup_id)
    # What it used is unknown, so the next backup removes no piece.
    pieces = set(repository.path.glob("objects/*/*"))
    (state / "snapshots" / "2026-02-09_decision.jsonl").unlink()
    keep = Retention(0, 0, 0, 1)
    backed_up(repository, state, NOON + HOUR, retention=keep)
    assert pieces <= set(repository.path.glob("objects/*/*"))
    assert repository.manifests()[1] == [backup_id]


def test_a_damaged_journal_is_refused_and_earlier_backups_stay(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    first = backed_up(repository, state).manifest
    good = (state / "journal.db").read_bytes()
    with sqlite3.connect(state / "journal.db") as database:
        database.execute("UPDATE events SET payload = CAST('{}' AS BLOB) WHERE seq = 5")
    database.close()
    with pytest.raises(JournalError, match="hash chain breaks at event 5"):
        backed_up(repository, state, NOON + 1, retention=Retention(0, 0, 0, 1))
    (state / "journal.db").write_bytes(good[:-4096])
    with pytest.raises(JournalError, match=r"damaged|unreadable"):
        backed_up(repository, state, NOON + 2)
    # One that ends before what was durable is damaged too, however whole it looks.
    (state / "journal.db").write_bytes(good)
    with sqlite3.connect(state / "journal.db") as database:
        database.execute("DELETE FROM events WHERE seq > 100")
    database.close()
    with pytest.raises(JournalError, match="it ends at event 100"):
        backed_up(repository, state, NOON + 3)
    assert repository.ids() == [first.backup_id]
    assert verify_backup(repository, first).damaged == ()


def test_nothing_that_lives_or_holds_something_is_overwritten(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    manifest = backed_up(repository, state).manifest
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*")}
    with pytest.raises(DataError, match="is not empty"):
        restore_backup(repository, manifest, state)
    with StateDirectory.open(state), pytest.raises(AlreadyRunning, match="a trader holds"):
        restore_backup(repository, manifest, state)
    after = {path: path.stat().st_mtime_ns for path in state.rglob("*")}
    assert {p: t for p, t in after.items() if p.name != "lock"} == {
        p: t for p, t in before.items() if p.name != "lock"
    }
    other = tmp_path / "other"
    other.mkdir()
    restore_backup(repository, manifest, other)
    assert (other / "journal.db").exists()
    with pytest.raises(DataError, match="holds no store"):
        restore_backup(repository, manifest, tmp_path / "x", tmp_path / "y")
    with pytest.raises(DataError, match="keep backups elsewhere"):
        backed_up(BackupRepository(state / "backups"), state)
    with pytest.raises(JournalError, match="holds no journal"):
        backed_up(repository, tmp_path / "nothing")


def test_two_backups_at_once_are_refused(tmp_path: Path, repository: BackupRepository) -> None:
    state = make_state(tmp_path / "state")
    lock = repository.lock()
    lock.acquire("it")
    with pytest.raises(AlreadyRunning):
        backed_up(repository, state)
    lock.release()
    backed_up(repository, state)


def kill_backups(tmp_path: Path, repository: BackupRepository, kills: int) -> None:
    state = make_state(tmp_path / "state", 2_000)
    chance = random.Random(7)
    known = {backed_up(repository, state).manifest.backup_id}
    for k in range(kills):
        append(state, 5)
        with child(BACKUP, repository.path, state, NOON + (k + 1) * HOUR) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            time.sleep(chance.random() * 0.15)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        good, bad = repository.manifests()
        assert bad == []
        assert known <= {manifest.backup_id for manifest in good}
        known = {manifest.backup_id for manifest in good}
        assert verify_backup(repository, good[-1]).damaged == ()
    backed_up(repository, state, NOON + 1_000 * HOUR, retention=Retention(10_000, 0, 0))
    for manifest in repository.manifests()[0][:: max(1, len(known) // 10)]:
        assert verify_backup(repository, manifest).damaged == ()
    assert list(repository.staging.iterdir()) == []


def test_a_kill_in_the_middle_leaves_earlier_backups_whole(
    tmp_path: Path, repository: BackupRepository
) -> None:
    kill_backups(tmp_path, repository, min(KILLS, 3))


@pytest.mark.slow
def test_many_kills_in_the_middle_leave_earlier_backups_whole(
    tmp_path: Path, repository: BackupRepository
) -> None:
    kill_backups(tmp_path, repository, max(KILLS, 30))


def test_a_full_disk_leaves_earlier_backups_whole(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    first = backed_up(repository, state).manifest
    (state / "large.bin").write_bytes(random.Random(3).randbytes(3 << 20))
    (state / "large.bin").chmod(0o600)
    limited = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n" + BACKUP
    )
    with child(limited, repository.path, state, NOON + 1) as process:
        process.wait()
    assert process.returncode == 1
    assert repository.ids() == [first.backup_id]
    assert verify_backup(repository, first).damaged == ()
    assert backed_up(repository, state, NOON + 2).manifest.size > 3 << 20


def test_what_is_not_kept_takes_its_pieces_along(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    notes = state / "notes.txt"
    for k in range(4):
        notes.write_text(f"version {k}")
        notes.chmod(0o600)
        report = backed_up(repository, state, NOON + k * HOUR, retention=Retention(1, 0, 0, 1))
    assert len(report.forgotten) == 1
    good, _ = repository.manifests()
    assert [m.made for m in good] == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert {path.name for path in repository.path.glob("objects/*/*")} == {
        digest for manifest in good for digest in manifest.pieces()
    }


def manifest_at(made: int) -> Manifest:
    return Manifest(f"{made:020d}", "full", made, "", "", 0, "", ())


@given(st.lists(st.integers(0, 500 * 24), max_size=60), st.integers(0, 500 * 24))
def test_the_last_of_each_kept_day_and_month_stays(hours: list[int], now: int) -> None:
    made = [manifest_at(hour * HOUR) for hour in sorted(set(hours))]
    rule = Retention(hours=48, days=30, months=3, at_least=2)
    gone = set(rule.surplus(made, now * HOUR))
    kept = [m for m in made if m not in gone]
    assert set(made[-2:]) <= set(kept)
    for m in made:
        age = now - m.made // HOUR
        if age <= 48:
            assert m in kept
        if age <= 30 * 24:
            day = m.made // (24 * HOUR)
            assert any(k.made // (24 * HOUR) == day and k.made >= m.made for k in kept)
    # Each deletion has a reason: a later backup of its month, or its age.
    for m in gone:
        month = time.strftime("%Y%m", time.gmtime(m.made // 10**9))
        later = [
            k
            for k in made
            if k.made > m.made and time.strftime("%Y%m", time.gmtime(k.made // 10**9)) == month
        ]
        assert later or now - m.made // HOUR > 3 * 31 * 24


def test_a_clock_that_was_put_back_keeps_the_order_of_backups(
    tmp_path: Path, repository: BackupRepository
) -> None:
    state = make_state(tmp_path / "state")
    made = []
    for now in (NOON, NOON - HOUR, NOON - 24 * HOUR, NOON, NOON + HOUR):
        append(state, 1)
        made.append(backed_up(repository, state, now).manifest)
    assert [m.backup_id for m in made] == repository.ids()
    assert repository.newest().journal_seq == made[-1].journal_seq


def test_a_read_only_backup_can_be_verified_and_restored(
    tmp_path: Path, repository: BackupRepository
) -> None:
    backed_up(repository, make_state(tmp_path / "state"))
    shutil.rmtree(repository.staging)
    (repository.path / "lock").unlink()
    copy = BackupRepository(repository.path)
    assert verify_backup(copy, copy.newest()).damaged == ()
    restore_backup(copy, copy.newest(), tmp_path / "restored")
    assert not repository.staging.exists()
