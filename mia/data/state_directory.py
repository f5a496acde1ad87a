"""The state directory of one account: who may use it, and where its files are.

One account, one directory, one trader: the operating system holds the lock for as long as the
process lives, so a lock never outlives its holder. Locks of a directory that two computers share
over a network may not reach the other one; the note of the run names its computer, and a note
from elsewhere that did not end in order is refused. Two computers with a directory each are kept
apart by the broker alone, which lets a client id in once.
"""

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from mia.data import state_files
from mia.data.process_lock import ProcessLock
from mia.data.state_files import RunInfo
from mia.errors import AlreadyRunning, ConfigError

_PUBLIC = frozenset({state_files.KILL})
"""Files that people make by hand, with whatever rights: the directory keeps others out."""


class StateDirectory:
    """A state directory that this process holds; made by `open`.

    Attributes
    ----------
    path : Path
    journal_path : Path
    arm_token : Path
        File that names the session for which live trading is armed.
    """

    def __init__(self, path: Path, lock: ProcessLock) -> None:
        self.path = path
        self.journal_path = path / state_files.JOURNAL
        self.arm_token = path / state_files.ARM
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the directory if it is absent, and hold it until `close` or the process's end.

        Raises
        ------
        AlreadyRunning
            If another trader holds it, naming its process or computer.
        ConfigError
            If somebody else may read or write in it, or it cannot be made.
        """
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_rights(path)
            lock = ProcessLock(path / state_files.LOCK)
            lock.acquire(f"the state directory {path}")
        except OSError as error:
            raise ConfigError(f"cannot use the state directory {path}: {error.strerror}") from error
        run = state_files.read_run(path / state_files.RUN)
        if run is not None and run.machine != socket.gethostname():
            lock.release()
            raise AlreadyRunning(
                f"a trader on {run.machine} (process {run.pid}) uses {path} and has not ended in "
                f"order: if it is surely dead, delete {path / state_files.RUN}"
            )
        return cls(path, lock)

    def write_run(
        self,
        *,
        account: str,
        host: str,
        port: int,
        client_id: int,
        started: int,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        """Note how this process reaches the broker, for the kill command.

        Parameters
        ----------
        client_id : int
            Of the connection that places orders: only it may cancel them.
        started : int
            ns UTC.
        identity : mapping, optional
            ``config_hash`` and ``code_version``.
        """
        run = RunInfo(
            os.getpid(),
            socket.gethostname(),
            account,
            host,
            port,
            client_id,
            started,
            **(identity or {}),
        )
        state_files.write_run(self.path / state_files.RUN, run)

    def close(self) -> None:
        """End in order: forget the run and let the next trader in."""
        (self.path / state_files.RUN).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        """Return the directory."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of it; after an error the note of the run stays, for the kill command."""
        if error[0] is None:
            self.close()
        else:
            self._lock.release()


def _check_rights(path: Path) -> None:
    """Refuse what others could read or change; Windows keeps its rights elsewhere."""
    if os.name != "posix":
        return
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to user {found.st_uid}: use a directory of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"{path} is open to others: chmod 700 {path}")
    for file in path.iterdir():
        mode = file.lstat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077 and file.name not in _PUBLIC:
            raise ConfigError(f"{file} is open to others: chmod 600 {file}")
