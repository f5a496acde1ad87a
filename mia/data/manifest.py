"""What was imported into a store, in ``manifest.json``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mia.data.files import reading, write_json
from mia.data.raw import ImportSource
from mia.errors import DataError

FILE_NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """One import.

    Attributes
    ----------
    source, sha256, format : str
        Of the `ImportSource`.
    table : str
        ``ticks`` or ``bars_<width>s``.
    kind : str
        ``summary`` or ``fill`` for trades, empty for bars.
    rows, rejected, dropped, repaired, duplicates : int
        Rows stored; rows that were not, or not unchanged; rows that repeated another.
    first, last : int
        Times of the first and last row, ns UTC.
    days : mapping of str to sequence of int
        Trade dates written, by contract.
    """

    source: str
    sha256: str
    format: str
    table: str
    kind: str
    rows: int
    rejected: int
    dropped: int
    repaired: int
    duplicates: int
    first: int
    last: int
    days: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All imports of a store in the order in which they were made."""

    imports: tuple[ImportEntry, ...] = ()

    def find(self, source: ImportSource, table: str) -> ImportEntry | None:
        """Return the import of the same content into a table, if there is one."""
        for entry in self.imports:
            if entry.sha256 == source.sha256 and entry.table == table:
                return entry
        return None

    def with_entry(self, entry: ImportEntry) -> "Manifest":
        """Return the manifest with an entry, which replaces one of the same content."""
        kept = [e for e in self.imports if (e.sha256, e.table) != (entry.sha256, entry.table)]
        return Manifest((*kept, entry))

    def save(self, root: Path) -> None:
        """Write it atomically.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        entries = [asdict(entry) for entry in self.imports]
        write_json(root / FILE_NAME, {"version": VERSION, "imports": entries})

    @classmethod
    def load(cls, root: Path) -> "Manifest":
        """Read the manifest of a store.

        Raises
        ------
        DataError
            If it is missing, damaged, or of a newer version.
        """
        path = root / FILE_NAME
        with reading(path):
            text = path.read_text(encoding="utf-8")
        try:
            data = json.loads(text)
            version = data["version"]
            if version > VERSION:
                raise DataError(f"{path} has version {version}, this program reads {VERSION}")
            return cls(tuple(ImportEntry(**entry) for entry in data["imports"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(
                f"{path} is no manifest of a store: restore it, or import into a new store"
            ) from None
