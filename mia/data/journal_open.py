"""Opening a journal: for the first time, after an end in order, after a kill, after damage."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from mia.data import journal_check, journal_schema
from mia.data.journal_check import DamageError, Quarantine, read_head, set_aside
from mia.data.journal_disk import sync_directory
from mia.data.journal_schema import JournalHead, Row
from mia.errors import JournalError


class DamagedJournalError(Exception):
    """The journal may not be used; carries the reason and what connection to it there is."""

    def __init__(self, reason: str, database: sqlite3.Connection | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.database = database


def open_or_set_aside(
    path: Path, recover: bool
) -> tuple[sqlite3.Connection, JournalHead, Quarantine | None]:
    """Open a journal; one that is damaged is set aside, and an empty one may take its place.

    Raises
    ------
    JournalError
        If it was damaged and nobody said that its state can be had from the broker.
    """
    try:
        return *open_database(path), None
    except DamagedJournalError as damage:
        quarantine = set_aside(path, damage.reason, damage.database)
        if not recover:
            raise JournalError(
                f"the journal was damaged ({damage.reason}) and is now {quarantine.path}: check "
                "the account at the broker, then start with recovery from the broker"
            ) from damage
    return *open_database(path), quarantine


def insert(database: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write events in one transaction."""
    if len(rows) == 1:
        database.execute(journal_schema.INSERT, rows[0])
    elif len(rows) == 2:
        database.execute(journal_schema.INSERT_TWO, (*rows[0], *rows[1]))
    else:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(journal_schema.INSERT, rows)
        database.execute("COMMIT")


def open_database(path: Path) -> tuple[sqlite3.Connection, JournalHead]:
    """Open and check a journal, or make an empty one; only for a process that has its lock.

    Raises
    ------
    DamagedJournalError
        If it is not what was written.
    JournalError
        If a newer program wrote it.
    OSError, sqlite3.Error
        If the disk refuses.
    """
    database = None
    try:
        durable = read_head(path)
        log = path.with_name(f"{path.name}-wal")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        journal_check.check_header(path)
        if path.stat().st_size == 0:
            if durable is not None:
                raise DamageError("it is empty, but was not")
            if log.exists() and log.stat().st_size:
                raise DamageError("there is a log without its journal")
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if durable is None and _is_unborn(database):
            _create(database)
        head = journal_check.verify(database, durable)
    except DamageError as damage:
        raise DamagedJournalError(str(damage), database) from damage
    except BaseException as error:
        if isinstance(error, sqlite3.Error) and journal_check.is_damage(error):
            raise DamagedJournalError(f"unreadable: {error}", database) from error
        if database is not None:
            database.close()
        raise
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("PRAGMA journal_mode=WAL")
    # Everything into the file itself; the log stays, empty, for as long as we are connected.
    with suppress(sqlite3.OperationalError):  # a full disk: the log is as good a place
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sync_directory(path.parent)
    return database, head


def _is_unborn(database: sqlite3.Connection) -> bool:
    """Tell whether a creation was begun and not committed."""
    marks = [
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    ]
    return marks == [0, 0] and not database.execute("SELECT 1 FROM sqlite_master").fetchall()


def _create(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA page_size=1024")  # one event dirties one page: less to write
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("BEGIN IMMEDIATE")
    for statement in journal_schema.SCHEMA.values():
        database.execute(statement)
    database.execute(f"PRAGMA application_id={journal_schema.APPLICATION_ID}")
    database.execute(f"PRAGMA user_version={journal_schema.SCHEMA_VERSION}")
    database.execute("COMMIT")


def checkpoint(path: Path) -> None:
    """Move the log into the file, in a connection of its own: the writer never waits for it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=NORMAL")
        with suppress(sqlite3.OperationalError):
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
