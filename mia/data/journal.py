"""The journal: what the trader meant and what happened, written before it acts.

An event is committed when `append` returns: it survives any end of the process. A second thread
makes commits durable against loss of power as fast as the disk can sync, many at a time. What
the broker could not tell again is appended with ``durable=True``, which waits for that.

A disk that refuses never takes an exit away. First a reserve is given up, then events stay in
memory, keep their numbers and hashes, and are written as soon as the disk takes them again. They
are lost if the process ends before. `health` says which of these is the case; whatever adds risk
must append with ``required=True``, which raises unless all is well.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from mia.data import journal_schema
from mia.data.journal_check import Quarantine, head_path, pack_head
from mia.data.journal_disk import Reserve, sync_handle, write_at_start
from mia.data.journal_open import checkpoint, insert, open_or_set_aside
from mia.data.journal_schema import JournalEvent, JournalHead, JournalHealth, Row
from mia.data.process_lock import ProcessLock
from mia.errors import JournalError, JournalUnavailable

_RETRY_SECONDS = 0.5
_IDLE_SECONDS = 1.0
_REST_SECONDS = 0.002
"""Between two syncs; a disk that syncs in three milliseconds still keeps within five."""
_CHUNK = 500
_CHECKPOINT_EVENTS = 40_000
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_READ")


class Journal:
    """The one writer of a journal; may be used from any thread. Made by `open`.

    Attributes
    ----------
    health : JournalHealth
    fault : str
        Why the health is what it is; empty while it is OK.
    quarantine : Quarantine, optional
        The damaged journal that this one replaced when it was opened.
    """

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        head: JournalHead,
        *,
        strict: bool,
        clock: Callable[[], int],
        lock: ProcessLock,
        reserve: Reserve,
    ) -> None:
        self.path = path
        self.health = JournalHealth.OK
        self.fault = ""
        self.quarantine: Quarantine | None = None
        self._database = database
        self._strict = strict
        self._clock = clock
        self._process_lock = lock
        self._reserve = reserve
        self._head = self._stored = head
        self._durable = self._checkpointed = head.seq
        self._backlog: list[Row] = []
        self._held_back: list[Row] = []
        self._run = 0
        self._closed = False
        self._lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self._wake = threading.Event()
        self._log = os.open(path.with_name(f"{path.name}-wal"), os.O_RDWR)
        self._head_file = os.open(head_path(path), os.O_RDWR | os.O_CREAT, 0o600)
        write_at_start(self._head_file, pack_head(head))
        sync_handle(self._head_file)
        self._flusher = threading.Thread(target=self._flush, name="journal", daemon=True)
        self._flusher.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], int],
        sync: str = "group",
        recover_from_broker: bool = False,
        reserve_bytes: int = 4 << 20,
    ) -> "Journal":
        """Open a journal, or begin one, after checking every event in it.

        Parameters
        ----------
        path : Path
            Its directory must exist.
        clock : callable
            Returns ns UTC, for what the journal says of itself.
        sync : {"group", "strict"}
            Whether `append` waits for the medium every time: see `measure_sync`.
        recover_from_broker : bool
            Begin an empty journal if this one is damaged, because the caller will rebuild its
            state from what the broker says; the first event then names the damaged one.
        reserve_bytes : int
            Room kept for the last events before a full disk.

        Raises
        ------
        AlreadyRunning
            If another process writes it.
        JournalError
            If it is damaged: it is set aside under another name, never deleted. Also if the
            disk refuses or a newer program wrote it.
        """
        if sync not in ("group", "strict"):
            raise JournalError(f"journal.sync must be group or strict, was {sync!r}")
        lock = ProcessLock(path.with_name(f"{path.name}-lock"))
        try:
            lock.acquire(f"the journal {path}")
        except OSError as error:
            raise JournalError(f"cannot open {path}: {error.strerror}") from error
        try:
            database, head, quarantine = open_or_set_aside(path, recover_from_broker)
            reserve = Reserve(path.with_name(f"{path.name}-reserve"), reserve_bytes)
            roomy = reserve.fill()
            strict = sync == "strict"
            try:
                journal = cls(
                    path, database, head, strict=strict, clock=clock, lock=lock, reserve=reserve
                )
            except BaseException:
                database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            lock.release()
            raise JournalError(f"cannot open {path}: {error}: free or repair the disk") from error
        except BaseException:
            lock.release()
            raise
        if not roomy:
            journal._ail(JournalHealth.RESERVE, "no room for the reserve")
        if quarantine is not None:
            journal.quarantine = quarantine
            payload = {"path": quarantine.path.name, "reason": quarantine.reason}
            journal.append(journal_schema.QUARANTINED, payload, ts=clock())
        return journal

    @property
    def head(self) -> JournalHead:
        """The last event, on disk or in memory."""
        return self._head

    @property
    def durable_seq(self) -> int:
        """Number of the last event that loss of power cannot take away."""
        return self._durable

    @property
    def waiting(self) -> int:
        """Events in memory only."""
        return len(self._backlog) + len(self._held_back)

    def append(
        self,
        kind: str,
        payload: object,
        *,
        ts: int,
        durable: bool = False,
        required: bool = False,
        with_next: bool = False,
    ) -> int:
        """Write an event; it is committed on return, or waits in memory if the disk refuses.

        Parameters
        ----------
        kind : str
            What happened; names are never given a second meaning.
        payload : object
            A mapping or dataclass of plain values.
        ts : int
            ns UTC.
        durable : bool
            Wait until loss of power cannot take it away.
        required : bool
            For intents that add risk: raise unless the journal is well, and keep nothing. The sync
            begins with `wake`, once the order has left, or within a second.
        with_next : bool
            Commit it in one transaction with the next event, without which it means nothing; one
            that does not follow is not waited for longer than a second.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        JournalUnavailable
            If it is required or durable and cannot be. What is not required is kept in memory
            all the same, and what is required but could only not be synced stays written.
        TypeError
            If the payload has no JSON form.
        """
        data = journal_schema.encode(payload)
        with self._lock:
            head = self._head
            if self._closed:
                raise JournalError("the journal is closed")
            if required and self.health is not JournalHealth.OK:
                raise JournalUnavailable(self._trouble())
            seq = head.seq + 1
            digest = journal_schema.link(seq, ts, kind, data, head.hash)
            row = (seq, ts, kind, data, digest)
            held = with_next and not durable and self.health is JournalHealth.OK
            if held:
                self._held_back.append(row)
            elif not self._store(row):
                if required:
                    raise JournalUnavailable(self._trouble())
                self._backlog.append(row)
            self._head = JournalHead(seq, digest)
        if held:
            return seq
        if durable or self._strict:
            self._sync_up_to(seq, durable or required)
        elif not required:
            self.wake()
        return seq

    def wake(self) -> None:
        """Let the second thread begin to sync; it would hold up an order that is being sent."""
        if not self._wake.is_set():
            self._wake.set()

    def sync(self) -> None:
        """Wait until everything appended so far is durable.

        Raises
        ------
        JournalUnavailable
            If it cannot be.
        """
        self._let_go()
        self._sync_up_to(self._head.seq, True)

    def start_run(self, config_hash: str, code_version: str) -> int:
        """Note, durably, that the trader starts; return the run's number."""
        payload = {"config_hash": config_hash, "code_version": code_version}
        kind = journal_schema.RUN_STARTED
        self._run = self.append(kind, payload, ts=self._clock(), durable=True)
        return self._run

    def end_run(self) -> None:
        """Note that the run ended in order; a run without this note has crashed."""
        self.append(journal_schema.RUN_ENDED, {"run_id": self._run}, ts=self._clock())

    def events(self, after: int = 0) -> Iterator[JournalEvent]:
        """Yield the events with a number above `after`, in order."""
        while True:
            with self._lock:
                self._let_go()
                rows = self._database.execute(journal_schema.SELECT_AFTER, (after,)).fetchall()
                if not rows:
                    rows = [row for row in self._backlog if row[0] > after]
            if not rows:
                return
            yield from map(journal_schema.to_event, rows)
            after = rows[-1][0]

    def close(self) -> None:
        """Make everything durable and let go of the file.

        Raises
        ------
        JournalUnavailable
            If events in memory cannot be written; the file is let go of all the same.
        """
        if self._closed:
            return
        try:
            self.sync()
        finally:
            with self._lock:
                self._closed = True
            self._wake.set()
            self._flusher.join()
            self._database.close()
            os.close(self._log)
            os.close(self._head_file)
            self._process_lock.release()

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _store(self, *rows: Row) -> bool:
        """Commit events after those held back; if the disk refuses, these go to the backlog."""
        held, self._held_back = self._held_back, []
        if not self._backlog and not self._has_failed():
            if self._insert(*held, *rows):
                return True
            if not self._has_failed() and self._reserve.free() and self._insert(*held, *rows):
                self._ail(JournalHealth.RESERVE, self.fault)
                return True
        self._backlog += held
        return False

    def _let_go(self) -> None:
        with self._lock:
            if self._held_back:
                self._store()

    def _insert(self, *rows: Row) -> bool:
        try:
            insert(self._database, rows)
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            broken = getattr(error, "sqlite_errorname", "").startswith(_BROKEN)
            self._ail(JournalHealth.FAILED if broken else JournalHealth.MEMORY, str(error))
            return False
        self._stored = JournalHead(rows[-1][0], rows[-1][4])
        return True

    def _has_failed(self) -> bool:
        return self.health is JournalHealth.FAILED

    def _ail(self, health: JournalHealth, fault: str) -> None:
        if not self._has_failed():
            self.health, self.fault = health, fault
            self._wake.set()

    def _trouble(self) -> str:
        return f"the disk of {self.path} refuses ({self.fault}): free or repair it"

    def _sync_up_to(self, seq: int, strict: bool) -> None:
        """Make stored events durable; whoever waits for the same sync shares it."""
        with self._sync_lock:
            stored = self._stored
            if seq > self._durable and stored.seq > self._durable:
                try:
                    if not self._has_failed():
                        sync_handle(self._log)
                        write_at_start(self._head_file, pack_head(stored))
                        self._durable = stored.seq
                except OSError as error:
                    # Asking again would be answered with a success that is none.
                    with self._lock:
                        self._ail(JournalHealth.FAILED, error.strerror or str(error))
        if strict and seq > self._durable:
            raise JournalUnavailable(self._trouble())

    def _flush(self) -> None:
        try:
            while not self._closed:
                self._flush_once()
        except Exception as error:
            # Nobody would notice a thread that is gone; everybody looks at the health.
            self._ail(JournalHealth.FAILED, f"the flusher ended: {error!r}")

    def _flush_once(self) -> None:
        well = self.health in (JournalHealth.OK, JournalHealth.FAILED)
        busy = self._wake.wait(_IDLE_SECONDS if well else _RETRY_SECONDS)
        self._wake.clear()
        if not busy:
            self._let_go()
        self._sync_up_to(self._stored.seq, False)
        time.sleep(_REST_SECONDS)
        if not well:
            self._recover()
        elif not busy and self._stored.seq - self._checkpointed > _CHECKPOINT_EVENTS:
            self._checkpointed = self._stored.seq
            checkpoint(self.path)

    def _recover(self) -> None:
        """Write what waits in memory; be well again once the reserve is back as well."""
        with self._lock:
            while self._backlog:
                chunk = self._backlog[:_CHUNK]
                if not self._insert(*chunk):
                    return
                del self._backlog[:_CHUNK]
        self._sync_up_to(self._stored.seq, False)
        roomy = self._reserve.fill()
        with self._lock:
            if not self._has_failed() and not self._backlog:
                self.health = JournalHealth.OK if roomy else JournalHealth.RESERVE
                self.fault = "" if roomy else self.fault
