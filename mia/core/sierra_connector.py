"""Live trades from the files that Sierra Chart writes.

Data of CME, EUREX, NASDAQ and Cboe is not to be had over Sierra's DTC server, which rejects
such requests; the intraday file is the way. Its delay is that of Sierra's buffer: 5 seconds
unless "Intraday File Flush Time in Milliseconds" is set lower, 100 to 500 being usual.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mia.core import sessions
from mia.core.market_feed import (
    FeedNotice,
    FeedNoticeKind,
    Notify,
    ReceivedTrades,
    ignore_notices,
)
from mia.core.protocols import Clock
from mia.core.sierra.file_watch import FileWatch
from mia.core.sierra.scid_tail import TailPosition
from mia.core.sierra.scid_trades import ScidTrades
from mia.errors import ConfigError

IDLE_S = 0.5
"""Longest wait before the file is looked at whatever the system tells."""


def find_scid(folder: Path, contract: str) -> Path | None:
    """Return the file of a contract, as ``ESZ25-CME.scid`` or ``ESZ25_FUT_CME.scid``.

    Raises
    ------
    ConfigError
        If several files could be meant.
    """
    found = sorted(
        path for path in folder.glob(f"{contract}*.scid") if not path.name[len(contract)].isalnum()
    )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"several files could hold {contract}: {names}; name the one to read")
    return found[0] if found else None


class SierraConnector:
    """Follows the front contract from file to file.

    The contract changes only with the session: trades before its opening come from the file of
    the old contract, trades from it on come from the file of the new one, none from both.

    Parameters
    ----------
    folder : Path
        Sierra's data folder, or a copy of it that is kept up to date.
    front : callable
        Gives the contract (as ``ESZ25``) of a session id.
    clock : Clock
        Gives the time of receipt, and the session.
    start : int or (str, TailPosition), optional
        Time (ns UTC) of the first trade wanted, or a `position` to go on from. By default now.
    find : callable
        Gives the file of a contract, None as long as there is none.
    points_per_unit, summary, hold_s
        As for `ScidTrades`.
    watch : FileWatch, optional
        What wakes the reader; by default one on `folder`.
    notify : callable
        Told about the state of the feed.

    Raises
    ------
    ConfigError
        If the folder does not exist or the contract is unknown.
    """

    def __init__(
        self,
        folder: Path,
        front: Callable[[int], str],
        clock: Clock,
        *,
        start: int | tuple[str, TailPosition] | None = None,
        find: Callable[[Path, str], Path | None] = find_scid,
        points_per_unit: float | None = None,
        summary: bool = True,
        hold_s: float = 1.0,
        watch: FileWatch | None = None,
        notify: Notify = ignore_notices,
    ) -> None:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder: name Sierra Chart's data folder")
        self._folder = folder
        self._front = front
        self._clock = clock
        self._find = find
        self._points_per_unit = points_per_unit
        self._summary = summary
        self._hold_s = hold_s
        self._watch = watch or FileWatch(folder)
        self._notify = notify
        self._closed = False
        self._waiting_for = ""
        self._session = sessions.session_id(clock.now())
        self._session_ends = self._end_of(self._session)
        self._wanted = front(self._session)
        self._start: TailPosition | int = clock.now()
        self._trades: ScidTrades | None = None
        if isinstance(start, int):
            self._start = start
        elif start is not None:
            contract, self._start = start
            path = find(folder, contract)
            if contract != self._wanted and path is not None:
                # What is left of the old contract comes first.
                self._trades = self._reader(path, contract)
                self._trades.until = sessions.session_open(self._session)
            elif contract != self._wanted:
                self._start = sessions.session_open(self._session)

    @property
    def contract(self) -> str:
        """The contract whose trades come now."""
        return self._wanted if self._trades is None else self._trades.contract

    @property
    def position(self) -> tuple[str, TailPosition] | int:
        """Where to start again so that nothing is lost or doubled: for `start`."""
        at = self._start if self._trades is None else self._trades.position
        return at if isinstance(at, int) else (self.contract, at)

    @property
    def trades(self) -> ScidTrades | None:
        """Reader of the current file, with its counts."""
        return self._trades

    def poll(self) -> ReceivedTrades | None:
        """Return trades that came since the last call, None if there are none.

        Raises
        ------
        FormatError
            If a file is foreign, of an old version, or holds bars.
        """
        now = self._clock.now()
        if now >= self._session_ends:
            self._enter(sessions.session_id(now))
        trades = self._trades or self._open()
        if trades is None:
            return None
        rolling = trades.contract != self._wanted
        batch = trades.poll(hold=not rolling)
        if batch is None and rolling:
            old, self._trades = trades.contract, None
            self._start = sessions.session_open(self._session)
            text = f"from {old} to {self._wanted} with session {self._session}"
            self._notify(FeedNotice(FeedNoticeKind.ROLLED, text))
            return self.poll()
        return batch

    def wait(self, timeout_s: float = IDLE_S) -> None:
        """Block until files of the folder change, at most for a time."""
        self._watch.wait(min(timeout_s, IDLE_S))

    async def __aiter__(self) -> AsyncIterator[ReceivedTrades]:
        """Yield trades as they come, until the connector is closed."""
        while not self._closed:
            batch = self.poll()
            if batch is None:
                await self._watch.wait_async(IDLE_S)
            else:
                yield batch
                await asyncio.sleep(0)

    def close(self) -> None:
        """End the iteration and stop watching."""
        self._closed = True
        self._watch.close()

    def _enter(self, session: int) -> None:
        self._session, self._session_ends = session, self._end_of(session)
        self._wanted = self._front(session)
        if self._trades is not None and self._trades.contract != self._wanted:
            self._trades.until = sessions.session_open(session)

    def _open(self) -> ScidTrades | None:
        path = self._find(self._folder, self._wanted)
        if path is not None:
            self._trades = self._reader(path, self._wanted)
        elif self._waiting_for != self._wanted:
            self._waiting_for = self._wanted
            text = f"no file of {self._wanted} in {self._folder} yet"
            self._notify(FeedNotice(FeedNoticeKind.WAITING, text))
        return self._trades

    def _reader(self, path: Path, contract: str) -> ScidTrades:
        return ScidTrades(
            path,
            contract,
            self._clock,
            start=self._start,
            points_per_unit=self._points_per_unit,
            summary=self._summary,
            hold_s=self._hold_s,
            notify=self._notify,
        )

    @staticmethod
    def _end_of(session: int) -> int:
        row = sessions.session_table(session, session)[0]
        return int(row["t_end"])
