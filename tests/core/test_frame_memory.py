"""What a reader of the frame file can rely on, whatever becomes of the writer."""

import errno
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import msgspec
import pytest
from frame_cases import frame, story

from mia.core.frame import Frame
from mia.core.frame_memory import CAPACITY, NAME, FrameReader, FrameWriter
from mia.errors import DataError

FRAMES = int(os.environ.get("MIA_FRAME_COUNT", "100000"))
_SEQ_AT, _BODY_AT, _PAYLOAD_AT = 32, 40, 64

READER = """
import sys, zlib
from pathlib import Path
from mia.core.frame_memory import FrameReader

reader, reads, newest, torn = FrameReader(Path(sys.argv[1])), 0, -1, 0
print("ready", flush=True)
while newest < int(sys.argv[2]):
    found = reader.read()
    reads += 1
    if not found.payload:
        continue
    head, _, body = found.payload.partition(b":")
    assert int(head) == found.seq, (head, found.seq)
    assert found.seq >= newest, "a frame came back"
    assert body == (b"%d," % found.seq) * (len(body) // len(b"%d," % found.seq)), "torn"
    newest = found.seq
print(reads, newest, flush=True)
"""

HUNG = """
import sys, time
from pathlib import Path
from mia.core.frame_memory import FrameReader

reader = FrameReader(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""

WRITER = """
import sys, itertools
from pathlib import Path
from mia.core.frame_memory import FrameWriter

writer = FrameWriter(Path(sys.argv[1]))
print("ready", flush=True)
for k in itertools.count(1):
    writer.write(b"%d:" % k + b"x" * (k % 7000))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


def _poke(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_frame_comes_out_as_it_went_in(path: Path) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        for shown in story(12):
            assert writer.write(msgspec.json.encode(shown))
            found = reader.read()
            assert msgspec.json.decode(found.payload, type=Frame) == shown
            assert (found.seq, found.pid) == (shown.seq, os.getpid())
            assert 0 <= found.age_s < 60
            assert abs(found.started_ns - time.time_ns()) < 60e9


def test_before_the_first_frame_there_is_none(path: Path) -> None:
    with FrameWriter(path), FrameReader(path) as reader:
        found = reader.read()
    assert (found.payload, found.seq) == (b"", 0)


def test_the_file_is_nobody_elses(path: Path) -> None:
    FrameWriter(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_last_frame_outlives_its_writer(path: Path) -> None:
    with FrameWriter(path) as writer:
        writer.write(msgspec.json.encode(frame(7)))
    with FrameReader(path) as reader:
        assert msgspec.json.decode(reader.read().payload, type=Frame) == frame(7)


def test_a_new_writer_starts_afresh_under_an_open_reader(path: Path) -> None:
    with FrameWriter(path) as writer:
        writer.write(b"old")
    with FrameReader(path) as reader:
        assert reader.read().payload == b"old"
        with FrameWriter(path) as writer:
            assert reader.read().payload == b""
            writer.write(b"new")
            assert reader.read().payload == b"new"


def test_a_heartbeat_grows_old_and_young_again(path: Path) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        writer.write(b"{}")
        time.sleep(0.3)
        assert reader.read().age_s >= 0.3
        writer.beat()
        assert reader.read().age_s < 0.3
        assert reader.read().seq == 1


def test_a_heartbeat_of_before_the_machine_started_is_no_life(path: Path) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        writer.write(b"{}")
        _poke(path, 16, struct.pack("<q", time.monotonic_ns() + 3_600_000_000_000))
        assert reader.read().age_s > 1e6


def test_a_payload_that_does_not_fit_leaves_the_frame_as_it_is(path: Path) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        assert writer.write(b"a" * CAPACITY)
        assert not writer.write(b"b" * (CAPACITY + 1))
        found = reader.read()
    assert found.payload == b"a" * CAPACITY
    assert found.seq == 1


def test_a_write_that_never_ended_is_said_to_be_one(path: Path) -> None:
    with FrameWriter(path) as writer:
        writer.write(b"whole")
        _poke(path, _SEQ_AT, struct.pack("<Q", 3))
        with FrameReader(path) as reader, pytest.raises(DataError, match="died while it wrote"):
            reader.read()


@pytest.mark.parametrize("at", [_BODY_AT, _BODY_AT + 4, _PAYLOAD_AT, _PAYLOAD_AT + 4])
def test_a_torn_write_under_an_even_number_is_noticed(path: Path, at: int) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        writer.write(b"whole frame")
        byte = path.read_bytes()[at]
        _poke(path, at, bytes([byte ^ 0x10]))
        with pytest.raises(DataError, match="nothing to show"):
            reader.read()
        _poke(path, at, bytes([byte]))
        assert reader.read().payload == b"whole frame"


def test_every_flipped_bit_of_a_frame_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mia.core.frame_memory._TRIES", 1)
    payload = msgspec.json.encode(frame())
    chance = random.Random(5)
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        writer.write(payload)
        for at in chance.sample(range(len(payload)), 200):
            broken = payload[at] ^ (1 << chance.randrange(8))
            _poke(path, _PAYLOAD_AT + at, bytes([broken]))
            with pytest.raises(DataError):
                reader.read()
            _poke(path, _PAYLOAD_AT + at, payload[at : at + 1])
        assert reader.read().payload == payload


def test_a_length_beyond_the_file_is_cut_and_refused(path: Path) -> None:
    with FrameWriter(path) as writer, FrameReader(path) as reader:
        writer.write(b"x")
        _poke(path, _BODY_AT, struct.pack("<II", 2**31, zlib.crc32(b"x")))
        with pytest.raises(DataError, match="nothing to show"):
            reader.read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no trader has shown anything"),
        (b"", "no trader has shown anything"),
        (b"MIAFRAME", "holds no frames"),
        (b"NOTAFRAM" + bytes(_PAYLOAD_AT + CAPACITY), "holds no frames"),
    ],
)
def test_a_file_that_is_none_is_refused(path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        FrameReader(path)


def test_a_file_of_another_version_names_the_cure(path: Path) -> None:
    FrameWriter(path).close()
    _poke(path, 8, struct.pack("<I", 2))
    with pytest.raises(DataError, match="version 2, this program reads 1: run trader and screens"):
        FrameReader(path)


def test_a_disk_without_room_is_an_error_and_no_death(path: Path) -> None:
    # A page that the file system cannot hold would end the process at its first write.
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            FrameWriter(path)
        except OSError as error:
            os._exit(0 if error.errno in (errno.EFBIG, errno.ENOSPC) else 3)
        os._exit(4)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_readers_that_hang_do_not_hold_the_writer(path: Path) -> None:
    with FrameWriter(path) as writer:
        arguments = [sys.executable, "-c", HUNG, str(path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            os.kill(reader.pid, signal.SIGSTOP)
            for k in range(200):
                assert writer.write(b"%d" % k)
            os.kill(reader.pid, signal.SIGKILL)


def _killed_while_writing(path: Path, chance: random.Random) -> None:
    """Let a process write frames as fast as it can, and kill it at some instant."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(writer.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_writer_killed_at_any_instant_leaves_a_whole_frame_or_none(path: Path) -> None:
    chance = random.Random(11)
    whole = 0
    for _ in range(int(os.environ.get("MIA_FRAME_KILLS", "40"))):
        _killed_while_writing(path, chance)
        with FrameReader(path) as reader:
            try:
                found = reader.read()
            except DataError:
                continue
        head, _, body = found.payload.partition(b":")
        if found.payload:
            assert int(head) == found.seq
            assert body == b"x" * (found.seq % 7000)
            whole += 1
        with FrameWriter(path) as writer:
            writer.write(b"alive")
    assert whole


@pytest.mark.slow
def test_a_reader_sees_only_whole_frames_in_their_order(path: Path) -> None:
    with FrameWriter(path) as writer:
        arguments = [sys.executable, "-c", READER, str(path), str(FRAMES)]
        readers = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
        for reader in readers:
            assert reader.stdout is not None
            reader.stdout.readline()
        chance = random.Random(3)
        for k in range(1, FRAMES + 1):
            part = b"%d," % k
            writer.write(b"%d:" % k + part * chance.randrange(1, 500))
            if k % 50 == 0:
                # As fast as it can, no frame would stand still for long enough to be read.
                time.sleep(0.0001)
        told = [reader.communicate(timeout=120)[0].split() for reader in readers]
    for reads, newest in told:
        assert int(newest) == FRAMES
        assert int(reads) > 100


def test_threads_of_one_process_may_read_together(path: Path) -> None:
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with FrameReader(path) as reader:
                for _ in range(300):
                    found = reader.read()
                    assert found.payload == b"" or int(found.payload) == found.seq
        except BaseException as error:
            failures.append(error)

    with FrameWriter(path) as writer:
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for k in range(1, 2000):
            writer.write(b"%d" % k)
        for reader in readers:
            reader.join()
    assert not failures
