"""Lines for the charts of a session: `screen/<session>.ndjson`, appended by a thread.

The files are for screens only. What must survive is in the journal and in the snapshots, so a
disk that is slow or full costs lines here and nothing else.
"""

import logging
import os
import queue
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

FOLDER = "screen"
KEPT = 30
"""Files of sessions that stay when a trader starts."""

_MOST_WAITING = 10_000
_TAIL = 1 << 16


class ScreenFile:
    """Appends lines to the files of sessions; opened and closed by one thread.

    Parameters
    ----------
    state_dir : Path

    Attributes
    ----------
    dropped : int
        Lines that no disk took, or that came while too many waited.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER
        self._lines: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._session_id = 0
        self._file = -1
        self.dropped = 0
        self._told = False

    def start(self) -> None:
        """Make the folder, let go of old files and begin to write.

        Raises
        ------
        OSError
            If the folder cannot be made.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for old in sorted(self._folder.glob("*.ndjson"))[:-KEPT]:
            with suppress(OSError):
                old.unlink()
        self._thread = threading.Thread(target=self._write, name="screen", daemon=True)
        self._thread.start()

    def newest_bar(self, session_id: int) -> int:
        """Return when the newest bar in the file of a session opened, ns UTC; 0 without one."""
        try:
            with (self._folder / f"{session_id}.ndjson").open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                tail = file.read()
        except OSError:
            return 0
        for line in reversed(tail.splitlines()):
            with suppress(msgspec.MsgspecError):
                found = msgspec.json.decode(line)
                if isinstance(found, dict) and isinstance(found.get("t"), int):
                    return int(found["t"])
        return 0

    def append(self, session_id: int, line: bytes) -> None:
        """Leave a line, without its end, to the thread; never waits."""
        if self._lines.qsize() >= _MOST_WAITING:
            self.dropped += 1
            return
        self._lines.put((session_id, line))

    def close(self) -> None:
        """Write what waits, as far as that takes no longer than two seconds."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join(2.0)

    def _write(self) -> None:
        while (item := self._lines.get()) is not None:
            session_id, line = item
            parts = [line, b"\n"]
            while not self._lines.empty():
                more = self._lines.get()
                if more is None:
                    self._put(session_id, b"".join(parts))
                    self._let_go()
                    return
                if more[0] != session_id:
                    self._put(session_id, b"".join(parts))
                    session_id, parts = more[0], []
                parts += [more[1], b"\n"]
            self._put(session_id, b"".join(parts))
        self._let_go()

    def _put(self, session_id: int, lines: bytes) -> None:
        try:
            if session_id != self._session_id or self._file < 0:
                self._open(session_id)
            written = os.write(self._file, lines)
            if written < len(lines):
                # What was cut off ends at the next line's beginning.
                self._let_go()
                raise OSError(f"{written} of {len(lines)} bytes were written")
        except OSError as error:
            self.dropped += lines.count(b"\n")
            if not self._told:
                self._told = True
                log.warning("charts miss lines: %s: %s", self._folder, error)

    def _open(self, session_id: int) -> None:
        self._let_go()
        path = self._folder / f"{session_id}.ndjson"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._session_id = session_id
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def _let_go(self) -> None:
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
        self._file = -1
