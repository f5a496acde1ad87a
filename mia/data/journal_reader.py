"""Reading a journal from another process while it is being written."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from mia.data import journal_schema
from mia.data.journal_schema import GENESIS, JournalEvent, JournalHead, JournalRun, link, to_event
from mia.errors import JournalError


class JournalReader:
    """Reads what is committed; never writes, never holds the writer up.

    Parameters
    ----------
    path : Path

    Raises
    ------
    JournalError
        If there is no journal or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._database = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            self._database.execute("SELECT 1 FROM events").fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"cannot read the journal {path}: {error}") from error

    @property
    def head(self) -> JournalHead:
        """The last committed event."""
        rows = self._query("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", ())
        return JournalHead(*rows[0]) if rows else JournalHead()

    def events(self, after: int = 0) -> Iterator[JournalEvent]:
        """Yield the events with a number above `after`, each held against the hash chain.

        Raises
        ------
        JournalError
            If the chain is broken. The journal stays where it is: its writer sets it aside.
        """
        digest = self._digest(after)
        while rows := self._query(journal_schema.SELECT_AFTER, (after,)):
            for row in rows:
                seq, ts, kind, payload, stored = row
                digest = link(seq, ts, kind, payload, digest)
                if seq != after + 1 or digest != stored:
                    raise JournalError(f"{self.path} is damaged at event {after + 1}")
                yield to_event(row)
                after = seq

    def runs(self) -> list[JournalRun]:
        """Return every run, oldest first."""
        return [JournalRun(*row) for row in self._query("SELECT * FROM runs ORDER BY run_id", ())]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _digest(self, seq: int) -> bytes:
        rows = self._query("SELECT hash FROM events WHERE seq = ?", (seq,))
        if seq and not rows:
            raise JournalError(f"{self.path} has no event {seq}")
        return bytes(rows[0][0]) if rows else GENESIS

    def _query(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"cannot read the journal {self.path}: {error}") from error
