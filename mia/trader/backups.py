"""Backups of a trader's state beside its work: made by a process of their own, never in its way."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mia.config.settings import LoadedSettings
from mia.errors import DataError, MiaError
from mia.monitoring.backups.backup_objects import BackupRepository
from mia.monitoring.backups.backup_schedule import Backup, backup_process, keep_backed_up

log = logging.getLogger(__name__)

Tell = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """What became of a backup; published with the topic ``backup``.

    Attributes
    ----------
    ts : int
        When it ended, ns UTC.
    good : bool
        Whether it was made and restored on trial.
    text : str
        One line.
    """

    ts: int
    good: bool
    text: str


class TraderBackups:
    """Has the state directory backed up while a trader runs, and once more when it has stopped.

    The first one comes when the newest is as old as the interval, so that a trader that starts
    again and again makes no more of them. One that fails is told of and changes nothing else.

    Parameters
    ----------
    loaded : LoadedSettings
        Its profile is kept too, if it is a file.
    state : Path
        State directory.
    tell : callable
        Told of each `BackupOutcome`, by topic.

    Attributes
    ----------
    place : Path
        Folder of the backups.
    """

    def __init__(self, loaded: LoadedSettings, state: Path, tell: Tell) -> None:
        settings = loaded.settings.backup
        self._every_s = settings.every_h * 3600.0
        self._wait_s = settings.wait_s
        self._state, self._tell = state, tell
        self.place = backup_folder(settings.folder, state)
        arguments = [str(self.place), "--state", str(state)]
        if Path(loaded.profile).is_file():
            arguments += ["--settings", loaded.profile]
        self._backup = backup_process(arguments)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop; nothing happens if backups are switched off."""
        if self._every_s > 0:
            self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Make the last backup, of a journal that is written no more, and end.

        What takes too long is given up.
        """
        if self._task is None:
            return
        self._stop.set()
        try:
            await asyncio.wait_for(self._task, self._wait_s)
        except TimeoutError:
            self._say(False, f"the last backup took more than {self._wait_s:g} s and was given up")

    async def _keep(self) -> None:
        try:
            first_s = await asyncio.to_thread(self._first_in)
            await keep_backed_up(
                self._one, self._stop, self._complain, self._every_s, first_s=first_s
            )
        except Exception as error:
            # Whatever is wrong with backups, trading goes on.
            log.exception("backups have ended")
            self._say(False, f"no more backups are made: {error!r}")

    async def _one(self) -> None:
        backup: Backup = self._backup
        try:
            await backup()
        except OSError as error:
            raise DataError(f"the backup could not be started: {error}") from None
        self._say(True, f"backed up to {self.place}")

    def _first_in(self) -> float:
        """Return the seconds until the newest backup is too old."""
        good, _ = BackupRepository(self.place).manifests()
        if not good:
            return 0.0
        age_s = (time.time_ns() - max(manifest.made for manifest in good)) / 1e9
        return max(0.0, self._every_s - max(0.0, age_s))

    def _complain(self, error: MiaError) -> None:
        self._say(False, str(error))

    def _say(self, good: bool, text: str) -> None:
        if good:
            log.info("%s", text)
        else:
            log.warning("%s", text)
        self._tell("backup", BackupOutcome(time.time_ns(), good, text))


def backup_folder(named: str | None, state: Path) -> Path:
    """Return where backups of a state directory go: by its name, or beside it if none is named."""
    if named is not None:
        return Path(named) / state.name
    return state.with_name(f"{state.name}.backups")
