"""A collector's segment keeps what was written, and says what it cannot read."""

import json
import subprocess
import sys

import pytest
from sierra_writer import market_block

from mia.data.segment_frames import FrameKind, GapMark, Note, SegmentHead, frame_bytes
from mia.data.segments import SegmentWriter, read_segment
from mia.errors import FormatError

HEAD = SegmentHead("test", "ESZ25", 20251118, "summary")


def test_a_segment_of_a_newer_version_is_refused(tmp_path):
    body = {"version": 2, "feed": "test", "contract": "ESZ25", "session_id": 1, "kind": "fill"}
    path = tmp_path / "new.seg"
    path.write_bytes(frame_bytes(FrameKind.HEAD, json.dumps(body).encode()))
    with pytest.raises(FormatError, match="newer version"):
        read_segment(path)


def test_a_frame_of_a_kind_that_is_not_known_is_refused_and_not_passed_over(tmp_path):
    writer = SegmentWriter(tmp_path, HEAD)
    writer.close()
    with writer.path.open("ab") as file:
        file.write(frame_bytes(9, b"of tomorrow"))
    with pytest.raises(FormatError, match="kind 9"):
        read_segment(writer.path)


def test_marks_and_notes_come_back_in_their_order(tmp_path):
    writer = SegmentWriter(tmp_path, HEAD)
    told = (GapMark(3, 7, "lost"), Note("doubt", "prices differ"), GapMark(9, 11, "again"))
    for one in told:
        (writer.mark_gap if isinstance(one, GapMark) else writer.note)(one)
    writer.close()
    found = read_segment(writer.path)
    assert (found.head, found.frames, found.damaged, found.torn) == (HEAD, told, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_frame_that_did_not_fit_leaves_nothing_of_itself_for_the_next(tmp_path):
    code = f"""
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from sierra_writer import market_block
from mia.data.segment_frames import Note
from mia.data.segments import SegmentWriter
from mia.errors import DataError
from data.test_segments import HEAD, columns
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = SegmentWriter(Path(sys.argv[1]), HEAD)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    writer.add(columns(), 5, None, 1)
except DataError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    writer.note(Note("room", "again"))
    writer.add(columns(), 5, None, 1)
    writer.close()
    print("did not fit")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "did not fit\n"
    found = read_segment(tmp_path / HEAD.file_name())
    assert (found.damaged, found.torn) == (0, 0)
    note, batch = found.frames
    assert note == Note("room", "again")
    assert batch.block.ts_event.tolist() == columns()["ts_event"].tolist()


def columns():
    block = market_block(trades=2_000, day=20251118)
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    return {name: getattr(block, name) for name in names}
