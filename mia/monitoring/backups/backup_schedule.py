"""Backups at intervals, for as long as something runs, and one more when it stops."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from mia.errors import DataError, MiaError

EVERY_S = 4 * 3_600.0

Backup = Callable[[], Awaitable[None]]


async def keep_backed_up(
    backup: Backup,
    stop: asyncio.Event,
    complain: Callable[[MiaError], None],
    every_s: float = EVERY_S,
    *,
    first_s: float = 0.0,
) -> bool:
    """Back up, then again and again, and a last time once `stop` is set.

    An entry point sets `stop` after it has closed what is backed up, and awaits this.

    Parameters
    ----------
    backup : callable
        Makes one backup, or raises `MiaError`.
    complain : callable
        Told of a backup that failed; the next one comes at its time all the same.
    every_s : float
        From the start of one backup to that of the next.
    first_s : float
        How long to wait for the first.

    Returns
    -------
    bool
        Whether the last backup succeeded.
    """
    loop = asyncio.get_running_loop()
    if first_s > 0.0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), first_s)
    while True:
        is_last = stop.is_set()
        began = loop.time()
        try:
            await backup()
            good = True
        except MiaError as error:
            complain(error)
            good = False
        if is_last:
            return good
        try:
            await asyncio.wait_for(stop.wait(), max(0.0, began + every_s - loop.time()))
        except TimeoutError:
            continue


def backup_process(arguments: Sequence[str]) -> Backup:
    """Return a backup that ``mia backup run`` makes in a process of its own, at low priority.

    To check a long journal takes seconds of a core, which the process of a trader must not give.

    Parameters
    ----------
    arguments : sequence of str
        Of the command.
    """

    async def backup() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mia.cli",
            "backup",
            "run",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # It is told to stop by whoever started it, not by the terminal.
            start_new_session=True,
        )
        if hasattr(os, "setpriority"):
            with_low_priority(process.pid)
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if process.returncode:
            words = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise DataError(f"the backup failed with code {process.returncode}: {words[-1]}")

    return backup


def with_low_priority(process: int) -> None:
    """Let a process take only what others leave; one that has ended is no error."""
    try:
        os.setpriority(os.PRIO_PROCESS, process, 10)
    except OSError:
        return
