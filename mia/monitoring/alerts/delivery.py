"""How far the alerts of a file got, kept on disk.

Alerts are sent out of order, the worst first, so a single position does not do: beside the first
one that is not through, those after it that are through are kept by their positions. A process
that is killed between the sending of a message and the writing of this file repeats that message.
"""

import json
import os
import threading
from pathlib import Path

from mia.core.alert_file import AlertTail, Place

_RECENT_NS = 600 * 1_000_000_000


class Delivery:
    """What is on its way and what is through.

    Parameters
    ----------
    path : Path
        Written whole or not at all; made with mode 0600.

    Attributes
    ----------
    start : Place, optional
        From which to read; None if nothing was kept.
    is_new : bool
        Whether nothing was kept: alerts older than `patience_ns` are then history.
    """

    patience_ns = _RECENT_NS

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pending: set[int] = set()
        self._through: set[int] = set()
        self._saved = ""
        self.start = self._load()
        self.is_new = self.start is None

    @property
    def pending(self) -> int:
        """How many alerts are on their way."""
        return len(self._pending)

    def take(self, position: int) -> bool:
        """Note an alert that is on its way; return False if it was through before."""
        with self._lock:
            known = position in self._through
            self._pending.add(position)
            return not known

    def done(self, position: int) -> None:
        """Note that an alert is through."""
        with self._lock:
            self._pending.discard(position)
            self._through.add(position)

    def save(self, tail: AlertTail) -> None:
        """Write how far everything is, if that has changed; a disk that refuses is asked again."""
        with self._lock:
            first = min(self._pending, default=tail.position)
            self._through = {position for position in self._through if position > first}
            through = sorted(self._through)
        place = tail.place(first)
        text = json.dumps({**place._asdict(), "through": through})
        if text == self._saved or not (place.inode or through):
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
        else:
            self._saved = text

    def _load(self) -> Place | None:
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            self._through = {int(position) for position in values["through"]}
            return Place(int(values["inode"]), int(values["base"]), int(values["position"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
