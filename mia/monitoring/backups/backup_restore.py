"""Restoring a backup, and proving that it can be restored.

A restored directory starts with the command ``halt``: what the trader did after the backup, a loss
of the day among it, is not in the journal, and the broker alone cannot tell all of it again.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mia.data import state_files
from mia.data.files import writing
from mia.data.journal import Journal
from mia.data.journal_disk import sync_directory
from mia.data.journal_reader import JournalReader
from mia.data.process_lock import is_held
from mia.data.state_files import KillCommand
from mia.errors import AlreadyRunning, DataError, JournalError
from mia.monitoring.backup import SETTINGS, STATE, STORE
from mia.monitoring.backups.backup_objects import (
    BackupRepository,
    DamagedPieceError,
    Manifest,
    StoredFile,
)

RESTORED_RUN = "run.restored.json"
"""The note of the run that was backed up: under its own name it would claim to be alive."""


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file that a backup cannot give back, and the piece that is to blame."""

    file: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of restoring a backup on trial.

    Attributes
    ----------
    backup_id : str
    files, size : int
        How many, and their bytes.
    events : int
        Events that were read back from the restored journal.
    seconds : float
        How long restoring took.
    damaged : tuple of DamagedFile
        Empty if the backup is good.
    """

    backup_id: str
    files: int
    size: int
    events: int
    seconds: float
    damaged: tuple[DamagedFile, ...]


def restore_backup(
    repository: BackupRepository,
    manifest: Manifest,
    state: Path,
    store: Path | None = None,
    *,
    halted: bool = True,
) -> None:
    """Restore into directories that are absent or empty; both appear whole or not at all.

    Parameters
    ----------
    state : Path
        Becomes the state directory; files of settings go to its folder ``settings``.
    store : Path, optional
        Where the store goes; it is not restored otherwise.
    halted : bool
        Whether the next trader starts stopped.

    Raises
    ------
    AlreadyRunning
        If a trader holds the directory.
    DataError
        If a directory is not empty, a piece is damaged, or the disk refuses.
    JournalError
        If the restored journal is not the one that was backed up.
    """
    if store is not None and not manifest.store:
        raise DataError(f"backup {manifest.backup_id} holds no store: leave out its place")
    _check_empty(state)
    if store is not None:
        _check_empty(store)
    with _placed(state) as folder:
        for file in manifest.files:
            if file.part != STORE:
                _write(repository, file, folder / _state_name(file))
        events = _check_journal(folder / state_files.JOURNAL, manifest)
        assert events == manifest.journal_seq
        if halted:
            identity = f"restore of {manifest.backup_id}"
            state_files.write_command(folder / state_files.KILL, KillCommand("halt", identity))
        if store is not None:
            with _placed(store) as shelf:
                for file in manifest.files:
                    if file.part == STORE:
                        _write(repository, file, shelf / file.path)


def verify_backup(
    repository: BackupRepository, manifest: Manifest, scratch: Path | None = None
) -> Verification:
    """Restore a backup into an empty directory, and hold its journal against what was backed up.

    The journal is opened as a trader opens it and read to its end; every piece of every file is
    held against its hash. The store is read in the same way, but not written.

    Parameters
    ----------
    scratch : Path, optional
        Where the trial takes place; the system's temporary folder otherwise.

    Raises
    ------
    DataError
        If there is no room for the trial.
    """
    began = time.monotonic()
    damaged: list[DamagedFile] = []
    events = 0
    with tempfile.TemporaryDirectory(prefix="mia-backup-", dir=scratch) as place:
        folder = Path(place) / "state"
        with writing(folder):
            folder.mkdir(mode=0o700)
        for file in manifest.files:
            try:
                if file.part == STORE:
                    _pass_over(repository, file)
                else:
                    _write(repository, file, folder / _state_name(file))
            except DamagedPieceError as error:
                damaged.append(DamagedFile(file.name, str(error)))
        if not any(file.file.startswith(f"{STATE}/{state_files.JOURNAL}") for file in damaged):
            try:
                events = _check_journal(folder / state_files.JOURNAL, manifest)
            except JournalError as error:
                damaged.append(DamagedFile(f"{STATE}/{state_files.JOURNAL}", str(error)))
    seconds = time.monotonic() - began
    count = len(manifest.files)
    return Verification(manifest.backup_id, count, manifest.size, events, seconds, tuple(damaged))


def _state_name(file: StoredFile) -> str:
    if file.part == SETTINGS:
        return f"{SETTINGS}/{file.path}"
    return RESTORED_RUN if file.path == state_files.RUN else file.path


def _check_empty(folder: Path) -> None:
    if is_held(folder / state_files.LOCK):
        raise AlreadyRunning(f"a trader holds {folder}: stop it, and restore into a new directory")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty: restore into a new directory")


@contextmanager
def _placed(target: Path) -> Iterator[Path]:
    """Give a folder beside `target` that takes its place when the block succeeds."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.restoring-", dir=target.parent))
    try:
        yield folder
        with writing(target):
            for path in (folder, *folder.rglob("*")):
                if path.is_dir():
                    sync_directory(path)
            if os.name == "nt":
                # A folder cannot be renamed onto another one there, not even an empty one.
                with suppress(FileNotFoundError):
                    target.rmdir()
            try:
                folder.rename(target)
            except OSError as error:
                _check_empty(target)
                raise error
            sync_directory(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(repository: BackupRepository, file: StoredFile, path: Path) -> None:
    with writing(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as target:
            for content in _contents(repository, file):
                target.write(content)
            target.flush()
            os.fsync(target.fileno())
        if file.mtime_ns:
            os.utime(path, ns=(file.mtime_ns, file.mtime_ns))


def _pass_over(repository: BackupRepository, file: StoredFile) -> None:
    for _ in _contents(repository, file):
        pass


def _contents(repository: BackupRepository, file: StoredFile) -> Iterator[bytes]:
    size = 0
    for digest in file.pieces:
        try:
            content = repository.get(digest)
        except DamagedPieceError as error:
            raise DamagedPieceError(f"{file.name} cannot be restored: {error}") from None
        size += len(content)
        yield content
    if size != file.size:
        raise DamagedPieceError(f"{file.name} has {size} bytes and must have {file.size}")


def _check_journal(journal: Path, manifest: Manifest) -> int:
    """Open a restored journal as a trader does, read it to the end, and return its length."""
    with Journal.open(journal, clock=lambda: manifest.made, reserve_bytes=0) as opened:
        head = opened.head
    wanted = manifest.journal_seq, manifest.journal_hash
    if (head.seq, head.hash.hex()) != wanted:
        raise JournalError(
            f"the restored journal ends at event {head.seq} with another hash than the one that "
            f"was backed up, which had {manifest.journal_seq}"
        )
    with JournalReader(journal) as reader:
        return sum(1 for _ in reader.events())
