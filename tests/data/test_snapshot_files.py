"""Snapshots reach their files without holding whoever takes them."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mia.core.base_types import Reason
from mia.data.snapshot_files import SnapshotReader, SnapshotType, SnapshotWriter, file_name

NOON = 1_770_638_400_000_000_000
"""2026-02-09 12:00 UTC."""
DAY = 86_400 * 10**9


def record(k: int, kind: str = "DECISION", ts: int = NOON, **body) -> dict:
    return {"type": kind, "ts": ts + k, "trade_id": f"TRADE_{k}", **body}


def test_records_are_in_files_by_day_and_type(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path / "snapshots")
    for k in range(5):
        writer.put(record(k))
    writer.put(record(5, "EXECUTION"))
    writer.put(record(6, ts=NOON + DAY))
    assert writer.stop()
    assert writer.written == 7
    names = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert names == [
        "2026-02-09_decision.jsonl",
        "2026-02-09_execution.jsonl",
        "2026-02-10_decision.jsonl",
    ]
    reader = SnapshotReader(tmp_path / "snapshots")
    assert [r["trade_id"] for r in reader.records()] == [f"TRADE_{k}" for k in range(7)]
    assert len(list(reader.records(frozenset({"DECISION"}), "2026-02-09"))) == 5


def test_every_value_of_the_kernels_becomes_json(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path)
    writer.put(
        record(
            0,
            nan=float("nan"),
            inf=np.float64("inf"),
            array=np.array([1, 2]),
            whole=np.int64(3),
            flag=np.bool_(True),
            code=Reason.OK,
            pair=(1.5, None),
        )
    )
    writer.stop()
    [found] = SnapshotReader(tmp_path).records()
    assert (found["nan"], found["inf"], found["array"]) == (None, None, [1, 2])
    assert (found["whole"], found["flag"], found["code"]) == (3, True, "OK")
    assert found["pair"] == [1.5, None]


def test_what_cannot_be_said_is_counted_and_the_rest_is_written(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path)
    writer.put(record(0, body=object()))
    writer.put({"type": "DECISION"})
    writer.put(record(1))
    writer.stop()
    assert (writer.failed, writer.written) == (2, 1)
    assert "ts" in writer.error


def test_a_full_queue_drops_at_once_and_counts(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, capacity=4)
    gate = threading.Event()
    writer._add = lambda item, lines: gate.wait(10)
    writer.put(record(0))
    time.sleep(0.1)
    started = time.perf_counter()
    kept = sum(writer.put(record(k)) for k in range(100))
    taken = time.perf_counter() - started
    gate.set()
    assert kept == 4
    assert writer.dropped == 96
    assert taken < 0.1
    assert writer.stop()


def test_a_disk_that_fails_is_counted_and_holds_nobody(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    writer = SnapshotWriter(blocked)
    writer.put(record(0))
    assert writer.stop()
    assert (writer.failed, writer.written) == (1, 0)
    assert writer.error


@pytest.mark.parametrize("torn", range(1, 40, 3))
def test_a_torn_last_line_is_passed_over_and_not_joined(tmp_path: Path, torn: int) -> None:
    writer = SnapshotWriter(tmp_path)
    for k in range(3):
        writer.put(record(k, note="x" * 20))
    writer.stop()
    path = tmp_path / file_name(NOON, "DECISION")
    data = path.read_bytes()
    path.write_bytes(data[:-torn])
    later = SnapshotWriter(tmp_path)
    later.put(record(7))
    later.stop()
    reader = SnapshotReader(tmp_path)
    found = [r["trade_id"] for r in reader.records()]
    # Without its newline alone the line is whole.
    whole = torn == 1
    assert found == ["TRADE_0", "TRADE_1", *(["TRADE_2"] if whole else []), "TRADE_7"]
    assert reader.torn == (0 if whole else 1)


def test_lines_are_only_added(tmp_path: Path) -> None:
    for k in range(3):
        writer = SnapshotWriter(tmp_path)
        writer.put(record(k))
        writer.stop()
    lines = (tmp_path / file_name(NOON, "DECISION")).read_text().splitlines()
    assert [json.loads(line)["trade_id"] for line in lines] == ["TRADE_0", "TRADE_1", "TRADE_2"]


def test_others_may_not_read_them(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path / "snapshots")
    writer.put(record(0))
    writer.stop()
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "snapshots" / file_name(NOON, "DECISION")).stat().st_mode & 0o777 == 0o600


def test_types_are_those_of_a_trades_life() -> None:
    assert [kind.value for kind in SnapshotType] == [
        "PRE_ANALYSIS", "DECISION", "EXECUTION", "POSITION_UPDATE", "FINAL_RESULT", "POST_TRADE",
        "REFUSED_RESULT",
    ]  # fmt: skip
