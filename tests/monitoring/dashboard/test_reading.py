"""Lines, sight, and the JSON that is made of them."""

import os
import signal
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from dashboard_cases import running_dashboard, served_dashboard
from frame_cases import SESSION, ShownFrames, frame, screen_lines

from mia.core.frame import Frame
from mia.data import state_files
from mia.data.journal import Journal
from mia.data.process_lock import ProcessLock
from mia.errors import DataError
from mia.monitoring.dashboard.assets import SUMS, check_vendor, load_assets
from mia.monitoring.dashboard.lines import ALERTS, read_lines
from mia.monitoring.dashboard.sight import SILENT_AFTER_S, Life, TraderSight


@pytest.fixture
def client(tmp_path):
    with served_dashboard(tmp_path) as dashboard, dashboard.client() as found:
        yield found


def test_lines_are_read_on_from_where_they_ended(tmp_path) -> None:
    path = tmp_path / "a.ndjson"
    assert read_lines(path).rows == ()
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a":')
    first = read_lines(path)
    assert [row["a"] for row in first.rows] == [1, 2]
    assert (first.end, first.size) == (16, 21)
    with path.open("ab") as file:
        file.write(b'3}\nnot json\n[4]\n\xff\n{"a":5}\n')
    second = read_lines(path, first.end)
    assert [row["a"] for row in second.rows] == [3, 5]
    assert second.end == second.size
    assert read_lines(path, second.end).rows == []


def test_a_file_that_became_shorter_is_read_anew(tmp_path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"a":1}\n')
    found = read_lines(path, 500)
    assert (found.start, len(found.rows)) == (0, 1)


def test_a_start_counted_from_the_end_leaves_out_the_line_that_it_cuts(tmp_path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"".join(b'{"a":%d}\n' % k for k in range(10)))
    assert [row["a"] for row in read_lines(path, -16).rows] == [8, 9]
    assert [row["a"] for row in read_lines(path, -15).rows] == [9]
    assert len(read_lines(path, -10_000).rows) == 10


@pytest.mark.parametrize("at_once", [1, 7, 8, 9, 30])
def test_reading_in_pieces_reads_every_line_once(tmp_path, at_once) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"".join(b'{"a":%d}\n' % (3**k) for k in range(20)))
    rows, start = [], 0
    while start < path.stat().st_size:
        found = read_lines(path, start, at_once)
        assert found.end > start
        rows += [row["a"] for row in found.rows]
        start = found.end
    assert rows == [3**k for k in range(20)]


def test_a_trader_is_none_running_silent_dead_or_ended(tmp_path) -> None:
    sight = TraderSight(tmp_path)
    assert sight.look().life is Life.NONE
    with ShownFrames(tmp_path) as shown:
        assert sight.look().life is Life.NONE
        shown.show(frame(1))
        found = sight.look()
        assert found.life is Life.RUNNING
        assert msgspec.json.decode(found.payload, type=Frame) == frame(1)
    time.sleep(SILENT_AFTER_S + 0.05)
    lock = ProcessLock(tmp_path / state_files.LOCK)
    assert sight.look().life is Life.ENDED
    (tmp_path / state_files.RUN).write_text("{}")
    found = sight.look()
    assert found.life is Life.DIED
    assert found.age_s is not None
    assert found.age_s > SILENT_AFTER_S
    lock.acquire("a test")
    assert sight.look().life is Life.SILENT
    lock.release()
    sight.close()


def test_a_frame_that_stands_still_is_old_though_the_heart_beats(tmp_path) -> None:
    sight = TraderSight(tmp_path)
    lock = ProcessLock(tmp_path / state_files.LOCK)
    lock.acquire("a test")
    with ShownFrames(tmp_path) as shown:
        shown.show(frame(1))
        assert sight.look().life is Life.RUNNING
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            shown.beat()
            found = sight.look()
            time.sleep(0.02)
        assert found.life is Life.SILENT
        shown.show(frame(2))
        assert sight.look().life is Life.RUNNING
    lock.release()


def test_a_new_trader_is_seen_though_its_file_is_another(tmp_path) -> None:
    sight = TraderSight(tmp_path)
    with ShownFrames(tmp_path) as shown:
        shown.show(frame(7))
        assert sight.look().seq == 1
    (tmp_path / "frame.bin").unlink()
    with ShownFrames(tmp_path) as shown:
        shown.show(frame(1))
        shown.show(frame(2))
        found = sight.look()
        assert (found.life, found.seq) == (Life.RUNNING, 2)


def test_a_file_that_holds_no_frames_is_no_trader(tmp_path) -> None:
    (tmp_path / "frame.bin").write_bytes(b"x" * 1000)
    assert TraderSight(tmp_path).look().life is Life.ENDED


def test_bars_fills_and_alerts_come_as_they_were_written(tmp_path, client) -> None:
    assert client.get("/api/screen").json()["rows"] == []
    lines = screen_lines(40)
    with ShownFrames(tmp_path) as shown:
        shown.draw(lines, SESSION - 1)
        shown.draw(lines)
        answer = client.get("/api/screen").json()
        assert answer["session"] == SESSION
        assert answer["sessions"] == [SESSION - 1, SESSION]
        assert answer["rows"] == lines
        shown.draw(lines[:2])
        more = client.get(f"/api/screen?session={SESSION}&from={answer['next']}").json()
        assert more["rows"] == lines[:2]
    alert = {"ts": 1, "level": "INFO", "key": "a", "text": "of U1234567", "source": "trader"}
    (tmp_path / ALERTS).write_bytes(msgspec.json.encode(alert) + b"\n")
    shown_alert = client.get("/api/alerts").json()["rows"][0]
    assert shown_alert["text"] == "of U***4567"


def test_the_journal_is_read_and_its_accounts_covered(tmp_path, client) -> None:
    assert client.get("/api/journal").json() == {"head": 0, "events": []}
    with Journal.open(tmp_path / state_files.JOURNAL, clock=lambda: 5, reserve_bytes=0) as journal:
        for k in range(30):
            journal.append("order.sent", {"account": "DU1234567", "k": k}, ts=k)
        journal.sync()
        newest = client.get("/api/journal?after=-3").json()
        assert [event["payload"]["k"] for event in newest["events"]] == [27, 28, 29]
        assert newest["events"][0]["payload"]["account"] == "DU***4567"
        some = client.get("/api/journal?after=2&most=4").json()
        assert [event["seq"] for event in some["events"]] == [3, 4, 5, 6]
        assert client.get("/api/journal?after=999999").json()["events"] == []
    (tmp_path / state_files.JOURNAL).write_bytes(b"x" * 5000)
    damaged = client.get("/api/journal")
    assert damaged.status_code == 503
    assert "cannot read the journal" in damaged.json()["error"]


def test_reading_writes_nothing(tmp_path, client) -> None:
    with ShownFrames(tmp_path) as shown:
        shown.show(frame(1))
        shown.draw(screen_lines(10))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for path in ("/", "/login", "/api/screen", "/api/alerts", "/api/journal", "/api/about"):
        assert client.get(path).status_code == 200
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_vendored_files_are_what_they_were(tmp_path) -> None:
    folder = Path(sys.modules["mia.monitoring.dashboard.assets"].__file__).parent / "static"
    content = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    check_vendor(content)
    library = "vendor/lightweight-charts-5.2.1.mjs"
    assert b"Apache License" in content["vendor/LICENSE"]
    assert b"TradingView" in content["vendor/NOTICE"]
    for change in (
        {library: content[library] + b" "},
        {"vendor/other.js": b""},
        {SUMS: b""},
    ):
        with pytest.raises(DataError, match="was changed"):
            check_vendor(content | change)
    del content["vendor/NOTICE"]
    with pytest.raises(DataError, match="NOTICE"):
        check_vendor(content)


def test_the_page_shows_whose_charts_they_are(client) -> None:
    page = client.get("/").text
    assert "TradingView" in page
    assert "https://www.tradingview.com/" in page
    for name in ("LICENSE", "NOTICE"):
        address = load_assets().url(f"vendor/{name}")
        assert address in page
        assert client.get(address).status_code == 200


def test_every_reason_code_is_explained() -> None:
    from mia.core.base_types import Reason

    text = load_assets().files["reasons.js"][0].decode()
    for reason in Reason:
        assert f"\n  {reason.name}: " in text


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_a_dashboard_that_hangs_does_not_slow_the_trader(tmp_path) -> None:
    def slowest(shown: ShownFrames) -> float:
        times = []
        for seq in range(400):
            made = frame(seq)
            began = time.thread_time_ns()
            shown.show(made)
            times.append(time.thread_time_ns() - began)
        return sorted(times)[int(0.95 * len(times))]

    with ShownFrames(tmp_path) as shown, running_dashboard(tmp_path) as dashboard:
        with httpx.Client(verify=False) as client:
            assert client.get(f"{dashboard.url}/login").status_code == 200
        alone = slowest(shown)
        dashboard.process.send_signal(signal.SIGSTOP)
        hung = slowest(shown)
        dashboard.process.send_signal(signal.SIGCONT)
    assert hung < 5 * alone + 1_000_000
