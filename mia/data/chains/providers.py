"""Where chains come from: what a source can do, and one source made of two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mia.core.chain import Chain, Root
from mia.data.chains import option_clock
from mia.data.chains.merging import merge_chains
from mia.errors import DataError


class Contract(NamedTuple):
    """What identifies an option."""

    root: Root
    expiry: int
    """yyyymmdd."""
    strike: float
    """Index points."""
    right: int
    """+1 call, -1 put."""

    @property
    def last_trade(self) -> int:
        """The day on which it trades for the last time, by which brokers know it, yyyymmdd.

        Series that settle on the opening trade until the day before.
        """
        settles = option_clock.cash_day_at_or_before(self.expiry)
        return option_clock.cash_day_before(settles) if self.root is Root.SPX else self.expiry


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can deliver.

    Attributes
    ----------
    has_open_interest, has_quotes : bool
    realtime : bool
        Whether quotes are without delay.
    history : bool
        Whether it can deliver the past.
    max_contracts : int
        Of one snapshot; 0 without a limit.
    min_interval_s : float
        Least time between two snapshots.
    """

    has_open_interest: bool
    has_quotes: bool
    realtime: bool
    history: bool
    max_contracts: int = 0
    min_interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChainRequest:
    """What is wanted of a snapshot.

    Attributes
    ----------
    at : int
        Time of the request, ns UTC.
    contracts : sequence of Contract
        A selection; empty for the whole chain.
    """

    at: int
    contracts: Sequence[Contract] = ()


class ChainProvider(Protocol):
    """A source of option chains."""

    @property
    def capabilities(self) -> Capabilities:
        """What the source can deliver."""

    async def open_interest(self, at: int) -> Chain:
        """Return the open interest known at `at` (ns UTC); other columns do not count.

        Raises
        ------
        DataError
            If there is none.
        """

    async def snapshot(self, want: ChainRequest) -> Chain:
        """Return a chain as of `want.at`.

        Raises
        ------
        DataError
            If there is none.
        """


class ChainHistory(Protocol):
    """Chains by the time at which they were known; `ChainArchive` is one."""

    def latest(self, at: int) -> Chain | None:
        """Return what was known at `at` (ns UTC), None if nothing."""


class ArchiveProvider:
    """Serve what an archive knew at the time of the request.

    Parameters
    ----------
    history : ChainHistory
    """

    capabilities = Capabilities(
        has_open_interest=True, has_quotes=True, realtime=False, history=True
    )

    def __init__(self, history: ChainHistory) -> None:
        self._history = history

    async def open_interest(self, at: int) -> Chain:
        """Return the newest chain known at `at`; see `ChainProvider`."""
        return await self.snapshot(ChainRequest(at))

    async def snapshot(self, want: ChainRequest) -> Chain:
        """Return the newest whole chain known at `want.at`; see `ChainProvider`."""
        chain = self._history.latest(want.at)
        if chain is None:
            raise DataError(f"the archive has no chain received by {want.at} ns: import one first")
        return chain


class CompositeProvider:
    """Open interest from one source, quotes from another.

    Open interest changes once a day: it is asked for again only when `refresh_s` have passed.

    Parameters
    ----------
    open_interest, quotes : ChainProvider
    refresh_s : float
        Least time between two requests for open interest.
    """

    def __init__(
        self, open_interest: ChainProvider, quotes: ChainProvider, refresh_s: float = 3600.0
    ) -> None:
        if not open_interest.capabilities.has_open_interest:
            raise DataError("the source of open interest has none: swap the two sources")
        if not quotes.capabilities.has_quotes:
            raise DataError("the source of quotes has none: swap the two sources")
        self._oi_source = open_interest
        self._quote_source = quotes
        self._refresh_ns = int(refresh_s * 1e9)
        self._held: tuple[int, Chain] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What both together can deliver."""
        quotes = self._quote_source.capabilities
        return Capabilities(
            has_open_interest=True,
            has_quotes=True,
            realtime=quotes.realtime,
            history=quotes.history and self._oi_source.capabilities.history,
            max_contracts=quotes.max_contracts,
            min_interval_s=quotes.min_interval_s,
        )

    async def open_interest(self, at: int) -> Chain:
        """Return the open interest; see `ChainProvider`."""
        if self._held is None or not 0 <= at - self._held[0] < self._refresh_ns:
            self._held = (at, await self._oi_source.open_interest(at))
        return self._held[1]

    async def snapshot(self, want: ChainRequest) -> Chain:
        """Return quotes with open interest; see `ChainProvider` and `merge_chains`."""
        quotes = await self._quote_source.snapshot(want)
        return merge_chains(await self.open_interest(want.at), quotes)
