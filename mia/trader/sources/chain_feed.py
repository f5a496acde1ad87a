"""Option chains of the live connection: lines that rotate, and snapshots for the trading cycle.

The lines go round the contracts that mattered yesterday. Every so often what they saw becomes a
chain, and a thread beside the event loop computes what it says; the cycle takes that from its
next block on. Nothing here stops trading: without options the cycle decides as it does without.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mia._fast.options_state import SNAPSHOT_DTYPE
from mia.core.broker_types import LinkState
from mia.core.chain import Chain, Root
from mia.core.ibkr.contracts import OptionSeries
from mia.core.ibkr_connector import IbkrConnector
from mia.data.chains import ChainArchive, Contract, option_clock, read_chain
from mia.data.chains.rotation import LineRotation, RotationLimits
from mia.data.chains.selection import choose_contracts
from mia.errors import BrokerError, DataError, MiaError
from mia.features import options_quality
from mia.features.chain_gamma import chain_gamma
from mia.features.options_feed import OptionsFeed
from mia.features.positioning import Positioning

log = logging.getLogger(__name__)

T = TypeVar("T")

MINUTE = 60_000_000_000
REQUESTS_PER_S = 35.0
"""Of the 40 messages a second that the data connection allows itself."""

_STEP_S = 0.2
_RETRY_S = 60.0
_MOST_REFUSALS = 40
_OI_GRACE = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class ChainPace:
    """How a chain is read.

    Attributes
    ----------
    lines : int
        Market-data lines used at a time.
    contracts : int
        Followed, most.
    chain_s : float
        Seconds of the wall from one chain to the next.
    requests_per_s : float
        Subscriptions and cancellations.
    """

    lines: int = 90
    contracts: int = 2400
    chain_s: float = 60.0
    requests_per_s: float = REQUESTS_PER_S


class LiveSnapshots:
    """Snapshots as they are made, for a cycle that takes them: a `SnapshotSource`."""

    def __init__(self) -> None:
        self._waiting: deque[NDArray[np.void]] = deque()
        self.made = 0

    def add(self, snapshots: list[NDArray[np.void]]) -> None:
        """Take new snapshots, in the order of their effect."""
        self._waiting.extend(snapshots)
        self.made += len(snapshots)

    def until(self, ts: int) -> NDArray[np.void]:
        """Return what was not returned before and acts by `ts` (ns UTC)."""
        found = []
        while self._waiting and self._waiting[0]["effective"][0] <= ts:
            found.append(self._waiting.popleft())
        return np.concatenate(found) if found else np.zeros(0, SNAPSHOT_DTYPE)


class ChainFeed:
    """Follows the options on the S&P 500 index through one connection.

    Parameters
    ----------
    path : Path
        Yesterday's whole chain, or an archive of chains.
    now : callable
        Time of the market, ns UTC.
    pace : ChainPace
    keep : callable, optional
        Given what each new chain says, and the time, in the thread beside the event loop.

    Attributes
    ----------
    snapshots : LiveSnapshots
        What a trading cycle is given.
    chain : Chain or None
        The newest that was read.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], int],
        pace: ChainPace | None = None,
        keep: Callable[[Positioning, int], None] | None = None,
    ) -> None:
        self._path = path
        self._now = now
        self._keep = keep
        self._pace = pace or ChainPace()
        self._feed = OptionsFeed()
        self._executor = ThreadPoolExecutor(1, "options")
        self._quotes = self._refusals = 0
        self._why = ""
        self._rotation: LineRotation | None = None
        self.snapshots = LiveSnapshots()
        self.chain: Chain | None = None

    async def run(self, market: IbkrConnector) -> None:
        """Follow the options until cancelled, or until they cannot be had."""
        try:
            await self._run(market)
        except MiaError as error:
            log.warning("options stay unknown: %s", error)
        except Exception:
            log.exception("options are followed no more: what is known of them ages")
        finally:
            if self._rotation is not None:
                self._rotation.stop()
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _work(self, act: Callable[..., T], *given: object) -> T:
        """Do something in the thread beside the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(act, *given))

    async def _run(self, market: IbkrConnector) -> None:
        while True:
            oi_session = newest_open_interest(self._now())
            try:
                series = await market.option_series()
            except BrokerError as error:
                log.warning("options are not known yet: %s", error)
                await asyncio.sleep(_RETRY_S)
                continue
            contracts, shares = await self._work(self._choose, series, self._now())
            log.info("following %d options, %.0f %% of gamma", len(contracts), 100 * shares.sum())
            limits = RotationLimits(
                lines=self._pace.lines, requests_per_s=self._pace.requests_per_s
            )
            lines = market.option_lines(self, on_refused=self._on_refused)
            self._rotation = LineRotation(lines, contracts, shares, limits, read_open_interest=True)
            await self._follow(market, self._rotation, oi_session)
            self._rotation.stop()

    def _choose(
        self, series: Sequence[OptionSeries], now: int
    ) -> tuple[list[Contract], NDArray[np.float64]]:
        """Read yesterday's chain and choose among what the broker lists."""
        chain = yesterday(self._path, now)
        gamma = chain_gamma(chain)
        gamma = np.where(np.isfinite(gamma), gamma, chain.vendor_gamma)
        contracts, shares = choose_contracts(
            chain, gamma, limit=self._pace.contracts, after=now, listed=_listed(chain, series)
        )
        if not contracts:
            raise DataError(
                f"{self._path.name} has no contract that the gateway lists: import a newer chain"
            )
        return contracts, shares

    async def _follow(self, market: IbkrConnector, rotation: LineRotation, oi_session: int) -> None:
        """Rotate until newer open interest is due."""
        closes = option_clock.option_close(options_quality.next_cash_day(oi_session))
        now, due = self._now(), time.monotonic()
        while newest_open_interest(now) == oi_session:
            await asyncio.sleep(_STEP_S)
            now = max(now, self._now())
            if market.state is not LinkState.READY:
                continue
            if now < closes:
                rotation.advance(now)
            elif rotation.open_lines:
                rotation.stop()
            if self._refusals >= _MOST_REFUSALS and not self._quotes:
                raise DataError(f"the gateway refuses their quotes, {self._why}")
            if time.monotonic() >= due:
                due = time.monotonic() + self._pace.chain_s
                await self._publish(rotation, now, oi_session)

    async def _publish(self, rotation: LineRotation, now: int, oi_session: int) -> None:
        chain = None
        # Quotes of the night say nothing that the quality would let pass.
        if rotation.sweeps and (
            options_quality.in_rth(now) or options_quality.evening_span(now) != (0, 0)
        ):
            try:
                chain = rotation.chain(now, oi_session)
            except DataError as error:
                log.debug("no chain: %s", error)
        made = await self._work(self._make, chain, now)
        self.chain = chain or self.chain
        self.snapshots.add(made)

    def _make(self, chain: Chain | None, now: int) -> list[NDArray[np.void]]:
        made = self._feed.expire(now) if chain is None else self._feed.take(chain)
        found = self._feed.newest
        if made and found is not None and self._keep is not None:
            self._keep(found, now)
        return made

    # What the lines bring.

    def on_quote(self, contract: Contract, bid: float, ask: float, now: int) -> None:
        """Take a side of a quote."""
        self._quotes += 1
        if self._rotation is not None:
            self._rotation.on_quote(contract, bid, ask, now)

    def on_open_interest(self, contract: Contract, open_interest: float) -> None:
        """Take open interest."""
        if self._rotation is not None:
            self._rotation.on_open_interest(contract, open_interest)

    def on_volume(self, contract: Contract, volume: float) -> None:
        """Take the volume of the day."""
        if self._rotation is not None:
            self._rotation.on_volume(contract, volume)

    def _on_refused(self, contract: Contract, why: str) -> None:
        self._refusals += 1
        self._why = why
        log.debug("%s was refused, %s", contract, why)


def newest_open_interest(now: int) -> int:
    """Return the session (yyyymmdd) whose open interest is the newest that is surely known.

    It is published at 06:30 New York of the next cash day; a quarter of an hour is granted.

    Raises
    ------
    DataError
        If the calendar does not cover it.
    """
    day = option_clock.cash_day_at_or_before(option_clock.new_york_date(now))
    while options_quality.oi_known_at(day) + _OI_GRACE > now:
        day = option_clock.cash_day_before(day)
    return day


def yesterday(path: Path, now: int) -> Chain:
    """Read the newest chain known at `now` (ns UTC) from a file or an archive.

    Raises
    ------
    DataError
        If there is none, or it has no quotes.
    FormatError
        If the file is no chain.
    """
    chain = ChainArchive(path).latest(now) if path.is_dir() else read_chain(path)
    if chain is None or not chain.meta.quotes_asof:
        raise DataError(f"{path.name} holds no chain with quotes: `mia options import` makes one")
    return chain


def _listed(chain: Chain, series: Sequence[OptionSeries]) -> NDArray[np.bool_]:
    """Mark the contracts of a chain whose last day and strike the broker lists."""
    listed = np.zeros(len(chain), np.bool_)
    for root in Root:
        ours = [one for one in series if one.trading_class == root.name]
        expiries = sorted({expiry for one in ours for expiry in one.expiries})
        strikes = sorted({strike for one in ours for strike in one.strikes})
        known = {
            int(expiry): Contract(root, int(expiry), 0.0, 1).last_trade
            for expiry in np.unique(chain.expiry[chain.root == root])
        }
        there = [expiry for expiry, last in known.items() if last in expiries]
        listed |= (
            (chain.root == root) & np.isin(chain.expiry, there) & np.isin(chain.strike, strikes)
        )
    return listed
