"""Whether a journal may be trusted, and what becomes of one that may not.

The file ``<journal>-head`` holds number and hash of the last event that is known to be on the
medium. It is written after each sync, so it never promises too much; a journal that ends before
it, or disagrees with it, has lost what had been durable.
"""

import os
import sqlite3
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mia.data.journal_disk import sync_directory
from mia.data.journal_schema import (
    APPLICATION_ID,
    GENESIS,
    SCHEMA,
    SCHEMA_VERSION,
    SELECT_AFTER,
    JournalHead,
    link,
)
from mia.data.state_files import write_private
from mia.errors import JournalError

_HEAD_SIZE = 52
_FORMATS = (b"\1\1", b"\2\2")
_PARTS = ("", "-wal", "-shm", "-head")


_REFUSALS = (
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_NOMEM",
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_WRITE",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_PERM",
    "SQLITE_READONLY",
)


class DamageError(Exception):
    """The journal is not what was written; the text says how that shows."""


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a file that is not what was written from a disk that is full or refuses."""
    return not getattr(error, "sqlite_errorname", "").startswith(_REFUSALS)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Where a damaged journal was put, and why."""

    path: Path
    reason: str


def head_path(journal: Path) -> Path:
    """Return where the number of the last durable event of a journal stands."""
    return journal.with_name(f"{journal.name}-head")


def pack_head(head: JournalHead) -> bytes:
    """Return the content of a head file; one write of it cannot tear within a sector."""
    body = b"MIAHEAD1" + head.seq.to_bytes(8, "big") + head.hash
    return body + zlib.crc32(body).to_bytes(4, "big")


def read_head(journal: Path) -> JournalHead | None:
    """Return the last event that must be in the journal, None if nothing says so.

    Raises
    ------
    DamageError
        If the head file is not whole.
    """
    try:
        data = head_path(journal).read_bytes()
    except FileNotFoundError:
        return None
    if not data:
        return None
    head = JournalHead(int.from_bytes(data[8:16], "big"), data[16:48])
    if len(data) != _HEAD_SIZE or data != pack_head(head):
        raise DamageError("the record of what was durable is damaged")
    return head


def check_header(journal: Path) -> None:
    """Look at what SQLite would answer by opening the file for reading only.

    Only before the file is opened: to close a file drops this process's locks on it.

    Raises
    ------
    DamageError
        If the file begins neither as a new nor as a logged database does.
    """
    with journal.open("rb") as file:
        header = file.read(20)
    if header and (header[:16] != b"SQLite format 3\0" or header[18:] not in _FORMATS):
        raise DamageError("its header is damaged")


def verify(database: sqlite3.Connection, durable: JournalHead | None) -> JournalHead:
    """Hold every page and every event of a journal against its rules; return the last event.

    Takes some 3 us an event.

    Raises
    ------
    DamageError
        If anything is not as it was written.
    JournalError
        If a newer program wrote it.
    sqlite3.Error
        If the disk refuses.
    """
    try:
        return _verify(database, durable)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        raise DamageError(f"unreadable: {error}") from error
    except UnicodeDecodeError as error:
        raise DamageError(f"unreadable: {error}") from error


def _verify(database: sqlite3.Connection, durable: JournalHead | None) -> JournalHead:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise DamageError(f"it is marked {application:#x} and not as a journal")
    if version != SCHEMA_VERSION:
        if version > SCHEMA_VERSION and version < 1000:
            raise JournalError(
                f"the journal has schema {version}, this program knows {SCHEMA_VERSION}: "
                "use the version of MIA that wrote it"
            )
        raise DamageError(f"its schema version is {version}")
    found = dict(database.execute("SELECT name, sql FROM sqlite_master"))
    if found != SCHEMA:
        raise DamageError("its tables are not those of a journal")
    (finding,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise DamageError(" ".join(str(finding).split()))
    return _follow(database, durable)


def _follow(database: sqlite3.Connection, durable: JournalHead | None) -> JournalHead:
    seq, digest = 0, GENESIS
    agreed = durable is None or durable.seq == 0
    while rows := database.execute(SELECT_AFTER, (seq,)).fetchall():
        for number, ts, kind, payload, stored in rows:
            if number != seq + 1:
                raise DamageError(f"event {seq + 1} is missing")
            seq = number
            if not (isinstance(ts, int) and isinstance(kind, str) and isinstance(payload, bytes)):
                raise DamageError(f"event {seq} has values of another type")
            digest = link(seq, ts, kind, payload, digest)
            if digest != stored:
                raise DamageError(f"the hash chain breaks at event {seq}")
            if durable is not None and seq == durable.seq:
                if digest != durable.hash:
                    raise DamageError(f"event {seq} is not the one that was durable")
                agreed = True
    if not agreed and durable is not None:
        raise DamageError(f"it ends at event {seq}, {durable.seq} were durable")
    return JournalHead(seq, digest)


def set_aside(journal: Path, reason: str, database: sqlite3.Connection | None) -> Quarantine:
    """Rename a damaged journal and all that belongs to it; nothing is changed or deleted.

    Parameters
    ----------
    database : sqlite3.Connection, optional
        An open connection to it; is closed.

    Raises
    ------
    JournalError
        If it cannot be renamed.
    """
    number = 1
    while (note := journal.with_name(f"{journal.name}.damaged-{number}.reason")).exists():
        number += 1
    target = note.with_suffix("")
    if database is not None and os.name == "nt":
        # An open file cannot be renamed there; the close may move pages from the log.
        database.close()
    try:
        write_private(note, f"{reason}\n")
        # The head goes last: as long as it stands, what is left cannot pass for a new journal.
        for part in _PARTS:
            with suppress(FileNotFoundError):
                journal.with_name(journal.name + part).rename(target.with_name(target.name + part))
        sync_directory(journal.parent)
    except OSError as error:
        raise JournalError(
            f"{journal} is damaged ({reason}) and cannot be set aside ({error.strerror}): "
            "move it by hand"
        ) from error
    finally:
        if database is not None:
            # Only now: closing the last connection to a file that still has its name would
            # write the log into it and destroy the evidence.
            database.close()
    return Quarantine(target, reason)
