"""Styles, scripts and the chart library: read once, served from memory under their hash.

Nothing is looked up on the disk by what a request names, so no path leads out of the package.
The address changes with any byte of any file, so a browser may keep what it has for ever.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from mia.errors import DataError

VENDOR = "vendor"
SUMS = f"{VENDOR}/SHA256SUMS"

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Assets:
    """The static files.

    Attributes
    ----------
    version : str
        Hash of all of them together.
    files : dict of (str to (bytes, str))
        Content and media type by path.
    """

    version: str
    files: dict[str, tuple[bytes, str]]

    def url(self, path: str) -> str:
        """Return the address of a file.

        Raises
        ------
        KeyError
            If there is none.
        """
        self.files[path]
        return f"/static/{self.version}/{path}"

    def get(self, version: str, path: str) -> tuple[bytes, str] | None:
        """Return content and media type of a file, None if there is none of this version."""
        return self.files.get(path) if version == self.version else None


def load_assets() -> Assets:
    """Read all files of the package and hold those of others against their hashes.

    Raises
    ------
    DataError
        If a file that others wrote is not what it was when it was taken over.
    """
    content = dict(sorted(_walk(resources.files(__package__) / "static", "")))
    check_vendor(content)
    whole = hashlib.sha256()
    for path, data in content.items():
        whole.update(f"{path} {len(data)}\n".encode() + data)
    files = {
        path: (data, _KINDS.get(path[path.rfind(".") :] if "." in path else "", _TEXT))
        for path, data in content.items()
    }
    return Assets(whole.hexdigest()[:16], files)


def check_vendor(content: dict[str, bytes]) -> None:
    """Hold every vendored file against the list of hashes, and the list against the files.

    Raises
    ------
    DataError
        If one differs, is missing, or is not on the list.
    """
    listed = {}
    for line in content.get(SUMS, b"").decode().splitlines():
        digest, _, name = line.partition("  ")
        listed[f"{VENDOR}/{name}"] = digest
    found = {path for path in content if path.startswith(f"{VENDOR}/") and path != SUMS}
    for path in sorted(found | set(listed)):
        digest = hashlib.sha256(content.get(path, b"")).hexdigest()
        if path not in found or listed.get(path) != digest:
            raise DataError(f"{path} of the dashboard was changed: install MIA again")


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    files = []
    for entry in folder.iterdir():
        if entry.is_dir():
            files += _walk(entry, f"{prefix}{entry.name}/")
        else:
            files.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return files
