import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from data.journal_samples import closed_journal, open_journal, payload

from mia.data import journal as journal_module
from mia.data.journal import Journal
from mia.data.journal_disk import measure_sync
from mia.data.journal_reader import JournalReader
from mia.data.journal_schema import JournalHealth
from mia.errors import AlreadyRunning, JournalError, JournalUnavailable


def test_events_come_back_in_order_and_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    written = closed_journal(path, 5000)
    with open_journal(path) as journal:
        events = list(journal.events())
        assert events == written
        assert [event.seq for event in events] == list(range(1, 5001))
        assert [event.ts for event in events] == list(range(5000))
        assert events[4321].payload == payload(4321)
        assert [event.seq for event in journal.events(after=4998)] == [4999, 5000]
        assert journal.append("FILL", payload(0), ts=1) == 5001


def test_equal_events_give_equal_hashes_and_the_order_of_keys_is_nothing(tmp_path: Path) -> None:
    heads = []
    for name, value in (("a", {"x": 1, "y": 2.5}), ("b", {"y": 2.5, "x": 1}), ("c", {"x": 1})):
        with open_journal(tmp_path / name) as journal:
            journal.append("INTENT", value, ts=3)
            heads.append(journal.head)
    assert heads[0] == heads[1] != heads[2]


def test_a_payload_without_a_json_form_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal.db") as journal:
        with pytest.raises(TypeError):
            journal.append("INTENT", {"socket": object()}, ts=1)
        assert journal.append("INTENT", {}, ts=1) == 1


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_journal(path) as journal:
        journal.append("INTENT", {}, ts=1)
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            open_journal(path)
        code = (
            "import sys; from pathlib import Path; from mia.data.journal import Journal\n"
            "from mia.errors import MiaError\n"
            "try: Journal.open(Path(sys.argv[1]), clock=int)\n"
            "except MiaError as error: sys.exit(error.exit_code)"
        )
        child = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.returncode == 7
        assert journal.append("INTENT", {}, ts=2) == 2
    with open_journal(path) as journal:
        assert journal.head.seq == 2


def test_a_group_commit_is_durable_soon_and_by_itself(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal.db") as journal:
        done = threading.Event()
        journal.append("INTENT", {}, ts=1)
        for _ in range(2000):
            if journal.durable_seq == 1:
                break
            done.wait(0.001)
        assert journal.durable_seq == 1


@pytest.mark.parametrize("sync", ["group", "strict"])
def test_an_event_that_must_be_durable_is_so_on_return(tmp_path: Path, sync: str) -> None:
    with open_journal(tmp_path / "journal.db", sync=sync) as journal:
        for number in range(1, 50):
            journal.append("LATCH", {}, ts=number, durable=sync == "group")
            assert journal.durable_seq >= number


def test_threads_that_append_at_once_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_journal(path) as journal:

        def work(name: int) -> None:
            for number in range(200):
                journal.append(f"T{name}", {}, ts=number, durable=number % 20 == 0)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open_journal(path) as journal:
        assert journal.head.seq == 800
        for name in range(4):
            assert [e.ts for e in journal.events() if e.kind == f"T{name}"] == list(range(200))


def test_a_run_without_an_end_has_crashed_once_another_begins(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for end in (True, False, False):
        with open_journal(path) as journal:
            journal.start_run("c0ffee", "0.1.0")
            journal.append("INTENT", {}, ts=1)
            if end:
                journal.end_run()
    with JournalReader(path) as reader:
        runs = reader.runs()
    assert [(run.run_id, run.outcome) for run in runs] == [
        (1, "ended"),
        (4, "crashed"),
        (6, "open"),
    ]
    assert runs[0].config_hash == "c0ffee"
    assert (runs[0].started, runs[0].ended, runs[1].ended) == (7, 7, None)


def test_another_process_reads_while_we_write_and_sees_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_journal(path) as journal, JournalReader(path) as reader:
        assert reader.head.seq == 0
        for number in range(3000):
            journal.append("INTENT", payload(number), ts=number)
        assert reader.head == journal.head
        assert [event.payload for event in reader.events(2990)] == [
            payload(number) for number in range(2990, 3000)
        ]
    with sqlite3.connect(path) as database:
        database.execute("UPDATE events SET payload = x'7b7d' WHERE seq = 1500")
    database.close()
    with JournalReader(path) as reader, pytest.raises(JournalError, match="damaged at event 1500"):
        list(reader.events())


def test_a_reader_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot read the journal"):
        JournalReader(tmp_path / "absent.db")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_loses_what_it_took_is_never_believed_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    journal.append("INTENT", {}, ts=1, durable=True)
    # The log's handle becomes one whose sync the system refuses, as it does after an I/O error.
    reader, writer = os.pipe()
    os.dup2(writer, journal._log)
    with pytest.raises(JournalUnavailable, match="refuses"):
        journal.append("LATCH", {}, ts=2, durable=True)
    assert journal.health is JournalHealth.FAILED
    with pytest.raises(JournalUnavailable):
        journal.append("INTENT", {}, ts=3, required=True)
    assert journal.append("FILL", {}, ts=3) == 3
    assert [event.ts for event in journal.events()] == [1, 2, 3]
    assert journal.waiting == 1
    with pytest.raises(JournalUnavailable):
        journal.close()
    os.close(reader)
    os.close(writer)
    with open_journal(path) as journal:
        assert [event.ts for event in journal.events()] == [1, 2]


def test_a_long_log_moves_into_the_file_in_a_quiet_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_CHECKPOINT_EVENTS", 100)
    monkeypatch.setattr(journal_module, "_IDLE_SECONDS", 0.02)
    path = tmp_path / "journal.db"
    with open_journal(path) as journal:
        small = path.stat().st_size
        for number in range(500):
            journal.append("INTENT", payload(number), ts=number)
        for _ in range(500):
            if path.stat().st_size > small:
                break
            time.sleep(0.01)
        assert path.stat().st_size > small
        for number in range(500, 1000):
            journal.append("INTENT", payload(number), ts=number)
        # The log began anew instead of growing.
        assert path.with_name("journal.db-wal").stat().st_size < 2_000_000
    with open_journal(path) as journal:
        assert [event.ts for event in journal.events()] == list(range(1000))


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal.db") as journal:
        journal.append("INTENT", {}, ts=1)
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_the_cost_of_a_sync_is_measured_where_it_will_be_paid(tmp_path: Path) -> None:
    cost = measure_sync(tmp_path, samples=5)
    assert 0 < cost.median_ns <= cost.worst_ns
    assert "ms here" in str(cost)
    assert not list(tmp_path.iterdir())


def test_an_unknown_way_to_sync_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="'fast'"):
        Journal.open(tmp_path / "journal.db", clock=int, sync="fast")


def test_nothing_is_taken_after_the_end(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.db")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append("INTENT", {}, ts=1)


def test_an_event_that_waits_for_the_next_is_committed_with_it_or_not_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    script = (
        "import os, sys; from pathlib import Path; from mia.data.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]), clock=int)\n"
        "journal.append('FACT', {}, ts=1)\n"
        "assert journal.append('REASON', {'for': 3}, ts=2, with_next=True) == 2\n"
        "if sys.argv[2] == 'order': journal.append('INTENT', {}, ts=3, required=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for what, left in (("kill", ["FACT"]), ("order", ["FACT", "FACT", "REASON", "INTENT"])):
        arguments = [sys.executable, "-c", script, str(path), what]
        if what == "order":
            # The first run left number 1 only: its second event had nothing to follow it.
            arguments[2] = script.replace("== 2", "== 3")
        subprocess.run(arguments, check=False, env=environment)
        with JournalReader(path) as reader:
            assert [event.kind for event in reader.events()] == left


def test_an_event_that_nothing_follows_is_committed_within_seconds(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_journal(path) as journal:
        journal.append("REASON", {}, ts=1, with_next=True)
        assert journal.waiting == 1
        limit = time.monotonic() + 20
        while journal.waiting or journal.durable_seq < 1:
            assert time.monotonic() < limit
            time.sleep(0.02)
        with JournalReader(path) as reader:
            assert [event.kind for event in reader.events()] == ["REASON"]


def test_what_is_read_or_synced_holds_nothing_back(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal.db") as journal:
        journal.append("REASON", {}, ts=1, with_next=True)
        assert [event.kind for event in journal.events()] == ["REASON"]
        journal.append("REASON", {}, ts=1, with_next=True)
        journal.sync()
        assert journal.durable_seq == 2


def test_a_disk_that_refuses_the_pair_keeps_the_reason_and_refuses_the_intent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(database: sqlite3.Connection, rows: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with open_journal(tmp_path / "journal.db") as journal:
        journal.append("REASON", {}, ts=1, with_next=True)
        with monkeypatch.context() as patch:
            patch.setattr(journal_module, "insert", refuses)
            with pytest.raises(JournalUnavailable):
                journal.append("INTENT", {}, ts=2, required=True)
        assert journal.append("REFUSED", {}, ts=3) == 2
        limit = time.monotonic() + 20
        while journal.health is not JournalHealth.OK:
            assert time.monotonic() < limit
            time.sleep(0.02)
        assert [event.kind for event in journal.events()] == ["REASON", "REFUSED"]
