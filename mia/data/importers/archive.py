"""Zip files, opened with the mistrust that a download deserves."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mia.data.importers.reading import check_file
from mia.errors import FormatError

LARGEST_MEMBER = 1 << 29
"""Bytes of the largest member read; those of a full day have 30 MB."""

DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, EOFError)
"""What zipfile raises at a file that it cannot read."""


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file; what is wrong with it or its members becomes a `FormatError`.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is no zip, or damaged.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGE as error:
        raise FormatError(f"{path.name} is no readable zip file: {error}") from None
    except RuntimeError as error:
        # How zipfile says that a member is encrypted.
        raise FormatError(f"{path.name}: {error}") from None


@contextmanager
def open_member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open a member for reading.

    Raises
    ------
    FormatError
        If it would unpack to more than half a gigabyte.
    """
    size = archive.getinfo(name).file_size
    if size > LARGEST_MEMBER:
        raise FormatError(f"{name} unpacks to {size} bytes, more than any such file has")
    with archive.open(name) as member:
        yield member
