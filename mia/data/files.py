"""Files that are either whole or absent, and I/O errors in one line."""

import csv
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mia.errors import DataError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def _arrow_error() -> type[Exception]:
    """Return what pyarrow raises; imported when something was raised, for it takes long."""
    import pyarrow as pa

    found: type[Exception] = pa.ArrowException
    return found


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write below into a `DataError` that names `path`."""
    try:
        yield
    except (OSError, _arrow_error()) as error:
        raise DataError(f"cannot write {path}: {reason(error)}") from None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a failure to read below into a `DataError` that names `path`."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, _arrow_error()) as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from None


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block succeeds.

    Raises
    ------
    DataError
        If it cannot be written; `path` is then as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force the content of a file to the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either the new or the old one.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; it is released when the process ends, however.

    Raises
    ------
    DataError
        If another process holds it or it cannot be written.
    """
    with writing(path):
        file = path.open("a")
    with file:
        try:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(
                f"another import is writing to {path.parent}: wait until it is done"
            ) from None
        yield


def reason(error: Exception) -> str:
    """Say in one line why reading or writing failed."""
    text = getattr(error, "strerror", None) or str(error)
    if number := re.search(r"\[errno (\d+)\]", text):
        # Arrow wraps the system's word into its own.
        text = os.strerror(int(number[1]))
    return " ".join(text.split())
