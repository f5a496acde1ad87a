"""Records every frame of a gateway, and serves a recording again, byte for byte.

A recording is a file of JSON lines. The first names the format; each further one is

``{"t": market time in ns, "c": number of the connection, "d": "in" | "out", "f": [fields]}``

with ``"p": text`` instead of ``"f"`` for a payload that does not end with NUL, and ``"d"`` is
``open`` or ``close`` where a connection begins and ends.
"""

import asyncio
import contextlib
import json
import logging
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mia.errors import DataError, FormatError
from mia.gateway.protocol.wire import FrameReader, WireError

FORMAT = "mia gateway recording 1"
GREETING = b"API\0"
_LENGTH = struct.Struct(">I")
_LOG = logging.getLogger("mia.gateway")


class Recorder:
    """Writes what passes to a file, a line for each frame.

    Parameters
    ----------
    path : pathlib.Path
    clock : callable
        Returns market time, ns UTC.

    Raises
    ------
    DataError
        If the file cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}") from None
        self._clock = clock
        self._streams: dict[object, _Streams] = {}
        self._count = 0
        self._write({"format": FORMAT})

    def opened(self, connection: object) -> None:
        """Take note of a connection that was accepted."""
        self._streams[connection] = _Streams(self._count)
        self._count += 1
        self._line(connection, "open", {})

    def received(self, connection: object, data: bytes) -> None:
        """Take what a client sent."""
        streams = self._of(connection)
        if len(streams.greeting) < len(GREETING):
            missing = len(GREETING) - len(streams.greeting)
            streams.greeting += data[:missing]
            data = data[missing:]
        self._cut(connection, "in", streams.incoming, data)

    def sent(self, connection: object, data: bytes) -> None:
        """Take what was written to a client."""
        self._cut(connection, "out", self._of(connection).outgoing, data)

    def closed(self, connection: object) -> None:
        """Take note of a connection's end; all that passed is on disk then."""
        if connection in self._streams:
            self._line(connection, "close", {})
            self._streams.pop(connection)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _of(self, connection: object) -> "_Streams":
        if connection not in self._streams:
            # It was there before the recorder: its greeting has passed.
            self.opened(connection)
            self._streams[connection].greeting = GREETING
        return self._streams[connection]

    def _cut(self, connection: object, direction: str, reader: FrameReader, data: bytes) -> None:
        try:
            for payload in reader.feed(data):
                self._line(connection, direction, _as_text(payload))
        except WireError as error:
            # The gateway closes such a connection; what cannot be cut is not recorded.
            _LOG.warning("not recorded: %s", error)

    def _line(self, connection: object, what: str, more: dict[str, Any]) -> None:
        number = self._streams[connection].number
        self._write({"t": self._clock(), "c": number, "d": what, **more})

    def _write(self, line: dict[str, Any]) -> None:
        if not self._file.closed:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


@dataclass(slots=True)
class _Streams:
    """What has arrived of a connection's frames, by direction."""

    number: int
    greeting: bytes = b""
    incoming: FrameReader = field(default_factory=FrameReader)
    outgoing: FrameReader = field(default_factory=FrameReader)


def _as_text(payload: bytes) -> dict[str, Any]:
    text = payload.decode("utf-8", "surrogateescape")
    if text.endswith("\0"):
        return {"f": text[:-1].split("\0")}
    return {"p": text}


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame of a recording; `ts` is market time, ns UTC."""

    ts: int
    is_incoming: bool
    payload: bytes

    def __str__(self) -> str:
        """Return its fields, separated by commas."""
        return self.payload.decode("utf-8", "replace").rstrip("\0").replace("\0", ",")


def read_recording(path: Path) -> list[list[RecordedFrame]]:
    """Read a recording: the frames of each connection, connections in the order of their opening.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is no recording, or a line of it is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    connections: dict[int, list[RecordedFrame]] = {}
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            if number == 1:
                if line["format"] != FORMAT:
                    raise ValueError(line["format"])
                continue
            frames = connections.setdefault(int(line["c"]), [])
            if line["d"] in ("open", "close"):
                continue
            if line["d"] not in ("in", "out"):
                raise ValueError(line["d"])
            whole = "\0".join([*line["f"], ""]) if "f" in line else line["p"]
            payload = whole.encode("utf-8", "surrogateescape")
            frames.append(RecordedFrame(int(line["t"]), line["d"] == "in", payload))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{path}, line {number}: no recording of a gateway ({error!r})"
            ) from None
    if not lines:
        raise FormatError(f"{path} is empty: no recording of a gateway")
    return list(connections.values())


@dataclass(slots=True)
class Replay:
    """Serves a recording: what the gateway said, each time the client says what it said then.

    Attributes
    ----------
    deviations : list of str
        Where clients said something else; the connection was closed there.
    finished : int
        Connections that went through to the end.
    """

    connections: list[list[RecordedFrame]]
    deviations: list[str] = field(default_factory=list)
    finished: int = 0
    port: int = 0
    _next: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen.

        Raises
        ------
        OSError
            If the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._next = self._next, self._next + 1
        self._writers.add(writer)
        try:
            if number >= len(self.connections):
                self._deviates(number, f"only {len(self.connections)} connections were recorded")
                return
            await self._play(number, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            left = "the client left before the end of what was recorded"
            self._deviates(number, left)
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _play(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if await reader.readexactly(len(GREETING)) != GREETING:
            self._deviates(number, "the connection does not begin with API")
            return
        said: list[bytes] = []
        cut = FrameReader()
        frames = self.connections[number]
        for k, frame in enumerate(frames):
            if not frame.is_incoming:
                writer.write(_LENGTH.pack(len(frame.payload)) + frame.payload)
                continue
            await writer.drain()
            while not said:
                try:
                    said += cut.feed(await _some(reader))
                except WireError as error:
                    self._deviates(number, str(error))
                    return
            given = said.pop(0)
            if given != frame.payload:
                self._deviates(number, _difference(k, given, frame))
                return
        await writer.drain()
        self.finished += 1
        if said or cut.pending:
            self._deviates(number, "the client goes on after the end of what was recorded")
        await reader.read()

    def _deviates(self, number: int, why: str) -> None:
        self.deviations.append(f"connection {number + 1}: {why}")
        _LOG.warning("replay, connection %d: %s", number + 1, why)


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(65_536)
    if not data:
        raise asyncio.IncompleteReadError(b"", 1)
    return data


def _difference(k: int, given: bytes, frame: RecordedFrame) -> str:
    said, then = _fields(given), _fields(frame.payload)
    for place, (one, other) in enumerate(zip(said, then, strict=False)):
        if one != other:
            return (
                f"frame {k + 1}, message {then[0]}: field {place} is {one!r}, was {other!r} when "
                "recorded"
            )
    return f"frame {k + 1}, message {then[0]}: {len(said)} fields, were {len(then)} when recorded"


def _fields(payload: bytes) -> list[str]:
    return payload.decode("utf-8", "backslashreplace").rstrip("\0").split("\0")


def outgoing_bytes(frames: Iterable[RecordedFrame]) -> bytes:
    """Return all that a connection was sent, as one string of bytes."""
    return b"".join(
        _LENGTH.pack(len(frame.payload)) + frame.payload
        for frame in frames
        if not frame.is_incoming
    )
