"""Backups of a state directory, and of a store if wanted, while both are in use.

The journal is copied by SQLite itself, in one read transaction, so the trader goes on writing;
the copy is then held against the hash chain and against what was durable before it began. A
journal that is damaged is never backed up, and nothing old is removed then.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mia.core.frame_memory import NAME as FRAME
from mia.data import journal_check, state_files
from mia.data.files import reading, writing
from mia.data.journal_check import DamageError, head_path, pack_head
from mia.data.journal_schema import JournalHead
from mia.errors import DataError, JournalError
from mia.monitoring.backups.backup_objects import (
    FULL,
    INCREMENTAL,
    PIECE_BYTES,
    BackupRepository,
    DamagedPieceError,
    Manifest,
    StoredFile,
)
from mia.monitoring.backups.backup_retention import Retention

STATE, STORE, SETTINGS = "state", "store", "settings"
JOURNAL_FILES = frozenset(
    state_files.JOURNAL + end for end in ("", "-wal", "-shm", "-head", "-lock", "-reserve")
)
_LEFT_OUT = JOURNAL_FILES | {state_files.LOCK, state_files.ARM, FRAME}
"""What the journal's copy replaces, what only means something to a living process, as its frame
does, and the word that real money may be traded, which a restored directory must be given anew."""

_LINES = frozenset({".jsonl", ".ndjson"})
_MINIMUM_FREE = 64 << 20


@dataclass(frozen=True, slots=True)
class BackupSource:
    """What is to be backed up.

    Attributes
    ----------
    state : Path
        State directory of a trader.
    store : Path, optional
    settings : tuple of Path
        Files with settings, such as a profile; their names must differ.
    """

    state: Path
    store: Path | None = None
    settings: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a run did.

    Attributes
    ----------
    manifest : Manifest
        The new backup.
    written : int
        Bytes that it added on disk.
    repaired : tuple of str
        Hashes of damaged pieces that were written anew.
    forgotten : tuple of str
        Backups that retention removed.
    """

    manifest: Manifest
    written: int
    repaired: tuple[str, ...]
    forgotten: tuple[str, ...]


def run_backup(
    repository: BackupRepository,
    source: BackupSource,
    now: int,
    *,
    full: bool = False,
    retention: Retention | None = None,
) -> BackupReport:
    """Make one backup; the first of a UTC day is a full one.

    An incremental one does not read files again that have not changed by size, time and number
    of the file. A full one reads everything, and the pieces that it shares with earlier ones.

    Parameters
    ----------
    repository : BackupRepository
        Made if it is absent.
    source : BackupSource
    now : int
        ns UTC.
    full : bool
        Whether it is a full one in any case.
    retention : Retention, optional
        What is kept of the older ones; its defaults otherwise.

    Raises
    ------
    AlreadyRunning
        If another process writes to the repository.
    DataError
        If something cannot be read or written. Earlier backups are as they were.
    JournalError
        If there is no journal, or it is damaged.
    """
    _check(repository, source)
    lock = repository.lock()
    lock.acquire(f"the backup {repository.path}")
    try:
        with writing(repository.staging):
            shutil.rmtree(repository.staging)
            repository.staging.mkdir(mode=0o700)
        return _Run(repository, source, now, full).make(retention or Retention())
    finally:
        lock.release()


def _check(repository: BackupRepository, source: BackupSource) -> None:
    place = repository.path.resolve()
    for folder in (source.state, source.store):
        if folder is not None and place.is_relative_to(folder.resolve()):
            raise DataError(f"{repository.path} lies in {folder}: keep backups elsewhere")
    if not (source.state / state_files.JOURNAL).exists():
        raise JournalError(f"{source.state} holds no journal: name a trader's state directory")
    if source.store is not None and not (source.store / "manifest.json").exists():
        raise DataError(f"{source.store} is no store: name one or leave it out")
    names = [path.name for path in source.settings]
    if len(set(names)) < len(names):
        raise DataError("two files of settings have the same name: rename one")
    for path in source.settings:
        if path.name.startswith(".env"):
            raise DataError(f"{path} holds secrets: keep it apart from backups")


class _Run:
    """One backup that is being made."""

    def __init__(
        self, repository: BackupRepository, source: BackupSource, now: int, full: bool
    ) -> None:
        self._repository, self._source, self._now = repository, source, now
        earlier, _ = repository.manifests()
        day = f"{datetime.fromtimestamp(now // 10**9, UTC):%Y%m%d}"
        today = [m for m in earlier if m.backup_id.startswith(day)]
        self._full = full or not any(m.kind == FULL for m in today)
        self._known: dict[str, StoredFile] = {}
        if earlier and not self._full:
            self._known = {file.name: file for file in earlier[-1].files}
        self._id = _free_id(now, set(repository.ids()))
        self._read_back: set[str] = set()
        self._repaired: list[str] = []
        self._written = 0

    def make(self, retention: Retention) -> BackupReport:
        """Write pieces and manifest, then remove what is kept no longer."""
        files: list[StoredFile] = []
        source = self._source
        if source.store is not None:
            # Its manifest first: an import that is going on adds days before it names them.
            index = source.store / "manifest.json"
            files.append(self._file(STORE, "manifest.json", index))
            files += self._folder(STORE, source.store, frozenset({"manifest.json"}))
        for path in source.settings:
            files.append(self._file(SETTINGS, path.name, path))
        # The journal last: what the other files speak of is then in it.
        files += self._folder(STATE, source.state, _LEFT_OUT)
        head, journal = self._journal()
        files += journal
        manifest = Manifest(
            self._id,
            FULL if self._full else INCREMENTAL,
            self._now,
            str(source.state.resolve()),
            "" if source.store is None else str(source.store.resolve()),
            head.seq,
            head.hash.hex(),
            tuple(files),
        )
        self._repository.save(manifest)
        forgotten = retention.surplus(self._repository.manifests()[0], self._now)
        self._repository.forget(forgotten)
        self._repository.sweep()
        names = tuple(m.backup_id for m in forgotten)
        return BackupReport(manifest, self._written, tuple(self._repaired), names)

    def _journal(self) -> tuple[JournalHead, list[StoredFile]]:
        """Copy the journal, check the copy, and give it a head file that fits it."""
        journal = self._source.state / state_files.JOURNAL
        copy = self._repository.staging / state_files.JOURNAL
        head = copy_journal(journal, copy)
        tip = head_path(copy)
        with writing(tip):
            tip.write_bytes(pack_head(head))
        files = [self._file(STATE, path.name, path, fresh=True) for path in (copy, tip)]
        with writing(copy):
            copy.unlink()
            tip.unlink()
        return head, files

    def _folder(self, part: str, folder: Path, left_out: frozenset[str]) -> Iterator[StoredFile]:
        with reading(folder):
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in paths:
            name = path.relative_to(folder)
            hidden = any(piece.startswith(".") for piece in name.parts)
            if hidden or path.is_symlink() or name.as_posix() in left_out:
                continue
            # A file that has gone since is none of this backup: it was replaced or taken.
            with suppress(FileNotFoundError):
                yield self._file(part, name.as_posix(), path)

    def _file(self, part: str, name: str, path: Path, *, fresh: bool = False) -> StoredFile:
        before = path.stat()
        known = None if fresh else self._known.get(f"{part}/{name}")
        facts = before.st_size, before.st_mtime_ns, before.st_ino
        unchanged = known is not None and (known.size, known.mtime_ns, known.inode) == facts
        if known is not None and unchanged and all(map(self._repository.has, known.pieces)):
            return known
        pieces: list[str] = []
        size = 0
        lines = path.suffix in _LINES
        with reading(path), path.open("rb") as file:
            while content := file.read(min(PIECE_BYTES, before.st_size - size)):
                last = size + len(content) == before.st_size
                size += len(content)
                if lines and last and not content.endswith(b"\n"):
                    # Its writer is in the middle of a line.
                    kept = content.rfind(b"\n") + 1
                    size -= len(content) - kept
                    content = content[:kept]
                    pieces.append(self._piece(content))
                    break
                pieces.append(self._piece(content))
        # A file that was cut short while it was read must be read again next time.
        mtime = before.st_mtime_ns if size == before.st_size else 0
        return StoredFile(part, name, size, mtime, before.st_ino, tuple(pieces))

    def _piece(self, content: bytes) -> str:
        with writing(self._repository.path):
            free = shutil.disk_usage(self._repository.path).free
        if free < _MINIMUM_FREE:
            raise DataError(
                f"only {free >> 20} MiB are free for {self._repository.path}: free some, "
                "or keep fewer backups"
            )
        digest, written = self._repository.put(content)
        if self._full and not written and digest not in self._read_back:
            try:
                self._repository.get(digest)
            except DamagedPieceError:
                written = self._repository.write(digest, content)
                self._repaired.append(digest)
        self._read_back.add(digest)
        self._written += written
        return digest


def copy_journal(journal: Path, copy: Path) -> JournalHead:
    """Copy a journal, which may be written meanwhile, and return the last event of the copy.

    It is opened through SQLite only: to open and close the file otherwise would drop the locks
    of a trader in the same process.

    Raises
    ------
    JournalError
        If it is damaged, or the copy has less than was durable before.
    DataError
        If the copy cannot be written.
    """
    try:
        durable = journal_check.read_head(journal)
        address = f"{journal.resolve().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as origin,
            closing(sqlite3.connect(copy, isolation_level=None)) as target,
        ):
            origin.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
            head = journal_check.verify(target, durable)
    except DamageError as damage:
        raise JournalError(
            f"the journal {journal} is damaged ({damage}): it was not backed up, earlier "
            "backups stay"
        ) from None
    except sqlite3.Error as error:
        if journal_check.is_damage(error):
            raise JournalError(
                f"the journal {journal} is unreadable ({error}): it was not backed up"
            ) from None
        raise DataError(f"cannot copy {journal} to {copy.parent}: {error}") from None
    with writing(copy):
        copy.chmod(0o600)
    return head


def _free_id(now: int, taken: set[str]) -> str:
    """Name a backup by its time; one in the same millisecond, or before the newest, goes after."""
    moment = datetime.fromtimestamp(now // 10**9, UTC)
    name = f"{moment:%Y%m%dT%H%M%S}.{now // 10**6 % 1000:03d}Z"
    newest = max(taken, default="")
    if name > newest:
        return name
    # The clock was put back: ids keep the order in which backups were made.
    stem, _, number = newest.partition("+")
    return f"{stem}+{int(number or 0) + 1:04d}"
