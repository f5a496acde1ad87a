"""What a backup consists of on disk: pieces of files by their hash, and manifests that name them.

::

    BACKUP/lock
    BACKUP/objects/3f/3f9a...      a piece of a file, named by the SHA-256 of its content
    BACKUP/manifests/<id>.json     everything that one backup consists of
    BACKUP/staging/                what is being written; emptied by the next run

Every piece and every manifest is either whole or absent, and no backup needs the manifest of
another one. Pieces that did not change are shared, so a damaged piece can belong to several
backups; a full backup reads the pieces it shares and writes damaged ones anew.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mia.data.files import reading, reason, writing
from mia.data.journal_disk import sync_directory
from mia.data.process_lock import ProcessLock
from mia.errors import DataError

PIECE_BYTES = 1 << 20
"""A multiple of a journal's page, so that the old part of a journal stays the same pieces."""

FULL, INCREMENTAL = "full", "incremental"
_FORMAT = 1
_PLAIN, _PACKED = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a backup.

    Attributes
    ----------
    part : str
        ``state``, ``store`` or ``settings``.
    path : str
        Within its part, with forward slashes.
    size : int
        Bytes.
    mtime_ns : int
        When it was changed, ns UTC, as its file system says.
    inode : int
        Its number there.
    pieces : tuple of str
        Hashes of its content, in order.
    """

    part: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    pieces: tuple[str, ...]

    @property
    def name(self) -> str:
        """Part and path."""
        return f"{self.part}/{self.path}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup.

    Attributes
    ----------
    backup_id : str
        UTC time at which it was begun; ids sort as times do.
    kind : str
        ``full`` or ``incremental``.
    made : int
        When it was begun, ns UTC.
    state, store : str
        What was backed up; `store` is empty without one.
    journal_seq : int
        Number of the last event in the journal.
    journal_hash : str
        Its hash, hexadecimal.
    files : tuple of StoredFile
    """

    backup_id: str
    kind: str
    made: int
    state: str
    store: str
    journal_seq: int
    journal_hash: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes when restored."""
        return sum(file.size for file in self.files)

    def pieces(self) -> Iterator[str]:
        """Yield the hash of every piece, as often as it is used."""
        for file in self.files:
            yield from file.pieces


class DamagedPieceError(DataError):
    """A piece is missing or is not what was written."""


class BackupRepository:
    """A folder of backups.

    Parameters
    ----------
    path : Path
        Need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.staging = path / "staging"
        self._objects = path / "objects"
        self._manifests = path / "manifests"
        self._unsynced: set[Path] = set()

    def lock(self) -> ProcessLock:
        """Return a lock that keeps other writers out; to be acquired and released.

        Raises
        ------
        DataError
            If the folder cannot be made.
        """
        with writing(self.path):
            for folder in (self.path, self.staging, self._objects, self._manifests):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ProcessLock(self.path / "lock")

    def has(self, digest: str) -> bool:
        """Tell whether a piece is there, whole or not."""
        return self._place(digest).exists()

    def put(self, content: bytes) -> tuple[str, int]:
        """Keep a piece unless it is there.

        Returns
        -------
        (str, int)
            Its hash, and how many bytes were written.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        digest = hashlib.sha256(content).hexdigest()
        return digest, 0 if self.has(digest) else self.write(digest, content)

    def write(self, digest: str, content: bytes) -> int:
        """Write a piece, in the place of a damaged one if need be; return the bytes written."""
        place = self._place(digest)
        packed = zlib.compress(content, 1)
        data = _PACKED + packed if len(packed) < len(content) else _PLAIN + content
        with writing(place):
            self._unsynced.add(place.parent)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            self._replace(place, data)
        return len(data)

    def get(self, digest: str) -> bytes:
        """Return the content of a piece.

        Raises
        ------
        DamagedPieceError
            If it is missing or does not have that hash.
        """
        try:
            data = self._place(digest).read_bytes()
            content = zlib.decompress(data[1:]) if data[:1] == _PACKED else data[1:]
        except FileNotFoundError:
            raise DamagedPieceError(f"piece {digest} is missing") from None
        except OSError as error:
            raise DamagedPieceError(f"piece {digest} is unreadable: {reason(error)}") from None
        except zlib.error:
            raise DamagedPieceError(f"piece {digest} is damaged") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise DamagedPieceError(f"piece {digest} is damaged")
        return content

    def save(self, manifest: Manifest) -> None:
        """Make a backup count: its pieces are synced first, then its manifest appears.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        place = self._manifests / f"{manifest.backup_id}.json"
        with writing(place):
            for folder in (*self._unsynced, self._objects):
                sync_directory(folder)
            self._unsynced.clear()
            body = {"format": _FORMAT, **asdict(manifest)}
            self._replace(place, _sealed(body))
            sync_directory(self._manifests)

    def ids(self) -> list[str]:
        """List the backups, oldest first; those with a damaged manifest are among them."""
        return sorted(path.stem for path in self._manifests.glob("*.json"))

    def load(self, backup_id: str) -> Manifest:
        """Read what a backup consists of.

        Raises
        ------
        DataError
            If there is no such backup or its manifest is damaged.
        """
        place = self._manifests / f"{backup_id}.json"
        if not place.exists():
            raise DataError(f"{self.path} has no backup {backup_id}: see `mia backup list`")
        with reading(place):
            data = place.read_bytes()
        try:
            body = json.loads(data)
            whole = data == _sealed({k: v for k, v in body.items() if k != "sha256"})
            if not whole or body["format"] != _FORMAT:
                raise ValueError
            return _manifest(body)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(f"the manifest of backup {backup_id} is damaged: {place}") from None

    def manifests(self) -> tuple[list[Manifest], list[str]]:
        """Read all backups, oldest first, and name those whose manifest is damaged."""
        good, bad = [], []
        for backup_id in self.ids():
            try:
                good.append(self.load(backup_id))
            except DataError:
                bad.append(backup_id)
        return good, bad

    def newest(self) -> Manifest:
        """Return the newest backup.

        Raises
        ------
        DataError
            If there is none, or its manifest is damaged.
        """
        ids = self.ids()
        if not ids:
            raise DataError(f"{self.path} holds no backup: make one with `mia backup run`")
        return self.load(ids[-1])

    def forget(self, manifests: Iterable[Manifest]) -> None:
        """Remove backups; their pieces stay until `sweep`."""
        with writing(self._manifests):
            for manifest in manifests:
                (self._manifests / f"{manifest.backup_id}.json").unlink()
            sync_directory(self._manifests)

    def sweep(self) -> int:
        """Remove the pieces that no backup uses, and return how many.

        Nothing is removed while a manifest is damaged, since what it uses is unknown.
        """
        good, bad = self.manifests()
        if bad:
            return 0
        used = {digest for manifest in good for digest in manifest.pieces()}
        removed = 0
        with writing(self._objects):
            for path in self._objects.glob("??/*"):
                if path.name not in used:
                    path.unlink()
                    removed += 1
        return removed

    def _place(self, digest: str) -> Path:
        return self._objects / digest[:2] / digest

    def _replace(self, place: Path, data: bytes) -> None:
        temporary = self.staging / place.name
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)


def _sealed(body: dict[str, Any]) -> bytes:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    seal = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**body, "sha256": seal}, sort_keys=True, indent=1).encode() + b"\n"


def _manifest(body: dict[str, Any]) -> Manifest:
    values = {name: value for name, value in body.items() if name not in ("format", "sha256")}
    files = tuple(StoredFile(**{**f, "pieces": tuple(f["pieces"])}) for f in values["files"])
    for file in files:
        # A restore writes where a manifest says, so it must stay below its folder.
        if file.path.startswith("/") or {"", ".", ".."} & set(file.path.split("/")):
            raise ValueError
    return Manifest(**{**values, "files": files})
