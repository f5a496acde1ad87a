"""Read a chain through few market-data lines, the contracts that matter most first.

A broker grants about 100 lines; a chain of SPX has 20,000 contracts. The lines rotate over the
contracts with the largest gamma times open interest of yesterday. No connection is made here:
lines are opened and closed through `OptionLines`, and quotes are handed in as they arrive.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, ChainMeta, Root
from mia.data.chains import option_clock
from mia.data.chains.providers import Contract
from mia.errors import DataError

SECOND = 1_000_000_000
SOURCE = "ibkr"


class OptionLines(Protocol):
    """Market-data lines of a broker."""

    def subscribe(self, contract: Contract, open_interest: bool) -> None:
        """Open a line on a contract, with its open interest or without."""

    def cancel(self, contract: Contract) -> None:
        """Close the line on a contract."""


@dataclass(frozen=True, slots=True)
class RotationLimits:
    """What the broker allows, with a reserve for futures and orders.

    Attributes
    ----------
    lines : int
        Open at a time.
    requests_per_s : float
        Subscriptions and cancellations together.
    dwell_s : float
        How long a line waits for a quote before it moves on.
    stale_s : float
        Quotes older than this are left out of a chain.
    """

    lines: int = 90
    requests_per_s: float = 40.0
    dwell_s: float = 4.0
    stale_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could be read."""
        if self.lines < 1 or min(self.requests_per_s, self.dwell_s, self.stale_s) <= 0.0:
            raise DataError(f"limits of the rotation must be positive, were {self}")


def rank_contracts(
    chain: Chain,
    gamma: NDArray[np.float64],
    *,
    limit: int = 1600,
    min_open_interest: float = 10.0,
) -> tuple[list[Contract], NDArray[np.float64]]:
    """Choose the contracts whose gamma times open interest is largest.

    Parameters
    ----------
    chain : Chain
        Yesterday's whole chain.
    gamma : ndarray of float64, shape (len(chain),)
        Per point; nan counts as 0.
    limit : int
        Most contracts.
    min_open_interest : float
        Contracts with less that were not traded either are left out.

    Returns
    -------
    contracts : list of Contract
        Largest first, equal ones in the order of the chain.
    shares : ndarray of float64
        Share of each in the gross gamma of the chain.
    """
    held = np.nan_to_num(chain.open_interest)
    weight = np.nan_to_num(gamma) * held
    total = float(weight.sum())
    live = (weight > 0.0) & ((held >= min_open_interest) | (np.nan_to_num(chain.volume) > 0.0))
    rows = np.flatnonzero(live)
    rows = rows[np.argsort(-weight[rows], kind="stable")][:limit]
    contracts = [
        Contract(
            Root(int(chain.root[k])),
            int(chain.expiry[k]),
            float(chain.strike[k]),
            int(chain.right[k]),
        )
        for k in rows
    ]
    return contracts, weight[rows] / total if total > 0.0 else weight[rows]


class LineRotation:
    """Send the lines round the contracts, sweep after sweep.

    A line moves on when its contract has both sides of a quote (and its open interest, in the
    sweep before the open that reads it) or after `dwell_s`. Call `advance` a few times a second.

    Parameters
    ----------
    lines : OptionLines
    contracts : sequence of Contract
        Most important first; see `rank_contracts`.
    shares : ndarray of float64
        Share of each in the gross gamma of the whole chain.
    limits : RotationLimits
    read_open_interest : bool
        Whether the first sweep also reads open interest, which does not change in the session;
        later sweeps ask again for what did not come, without waiting for it.

    Raises
    ------
    DataError
        If there is no contract, one is repeated, or shares and contracts differ in number.
    """

    def __init__(
        self,
        lines: OptionLines,
        contracts: Sequence[Contract],
        shares: NDArray[np.float64],
        limits: RotationLimits | None = None,
        *,
        read_open_interest: bool = False,
    ) -> None:
        if not contracts or len(set(contracts)) != len(contracts):
            raise DataError("a rotation needs contracts, each once: rank a whole chain first")
        if len(shares) != len(contracts):
            raise DataError(f"{len(contracts)} contracts but {len(shares)} shares")
        self._lines = lines
        self._contracts = tuple(contracts)
        self._shares = np.array(shares, np.float64)
        self._limits = limits or RotationLimits()
        self._row = {contract: k for k, contract in enumerate(self._contracts)}
        self._bid, self._ask, self._volume, self._open_interest = np.full(
            (4, len(contracts)), nan, np.float64
        )
        self._quoted_at = np.zeros(len(contracts), np.int64)
        self._fixed: dict[str, NDArray[Any]] = {
            "root": np.array([c.root for c in contracts], np.int8),
            "settle_ns": np.array(
                [option_clock.settlement(c.root, c.expiry) for c in contracts], np.int64
            ),
            "expiry": np.array([c.expiry for c in contracts], np.int32),
            "strike": np.array([c.strike for c in contracts], np.float64),
            "right": np.array([c.right for c in contracts], np.int8),
        }
        keys = ("right", "strike", "expiry", "settle_ns", "root")
        self._order = np.lexsort(tuple(self._fixed[key] for key in keys))
        self._waiting = deque(self._contracts)
        self._open: dict[Contract, int] = {}
        self._done: set[Contract] = set()
        self._reads_oi = self._needs_oi = read_open_interest
        self._allowance = 0.0
        self._advanced_at: int | None = None
        self.sweeps = 0
        """Sweeps completed."""

    @property
    def open_lines(self) -> int:
        """Lines in use."""
        return len(self._open)

    def advance(self, now: int) -> None:
        """Close lines that are done, open the next ones; `now` in ns UTC does not go back."""
        limits = self._limits
        if self._advanced_at is None:
            self._allowance = limits.requests_per_s
        else:
            passed = max(0, now - self._advanced_at) / SECOND
            self._allowance = min(
                limits.requests_per_s, self._allowance + passed * limits.requests_per_s
            )
        self._advanced_at = now
        dwell = int(limits.dwell_s * SECOND)
        for contract, since in list(self._open.items()):
            if self._allowance < 1.0:
                return
            if contract in self._done or now - since >= dwell:
                self._allowance -= 1.0
                del self._open[contract]
                self._lines.cancel(contract)
        if not self._waiting and not self._open:
            self.sweeps += 1
            self._reads_oi = False
            self._waiting.extend(self._contracts)
        while self._waiting and len(self._open) < limits.lines and self._allowance >= 1.0:
            contract = self._waiting.popleft()
            self._allowance -= 1.0
            self._done.discard(contract)
            self._open[contract] = now
            missing = self._needs_oi and not isfinite(self._open_interest[self._row[contract]])
            self._lines.subscribe(contract, self._reads_oi or missing)

    def stop(self) -> None:
        """Close every line; the next `advance` starts a new sweep."""
        for contract in self._open:
            self._lines.cancel(contract)
        self._open.clear()
        self._waiting = deque(self._contracts)

    def on_quote(self, contract: Contract, bid: float, ask: float, now: int) -> None:
        """Note a quote; nan leaves a side as it was, a negative price means that there is none."""
        since = self._open.get(contract)
        if since is None:
            return
        row = self._row[contract]
        if self._quoted_at[row] < since:
            self._bid[row] = self._ask[row] = nan
        if isfinite(bid):
            self._bid[row] = max(bid, 0.0)
        if isfinite(ask):
            self._ask[row] = max(ask, 0.0)
        self._quoted_at[row] = now
        self._finish(contract, row)

    def on_open_interest(self, contract: Contract, open_interest: float) -> None:
        """Note the open interest of a contract."""
        row = self._row.get(contract)
        if row is not None and isfinite(open_interest) and open_interest >= 0.0:
            self._open_interest[row] = open_interest
            self._finish(contract, row)

    def on_volume(self, contract: Contract, volume: float) -> None:
        """Note the volume of the day of a contract."""
        row = self._row.get(contract)
        if row is not None and isfinite(volume) and volume >= 0.0:
            self._volume[row] = volume

    def _finish(self, contract: Contract, row: int) -> None:
        quoted = isfinite(self._bid[row]) and isfinite(self._ask[row])
        if quoted and (not self._reads_oi or isfinite(self._open_interest[row])):
            self._done.add(contract)

    def chain(self, now: int, oi_session: int) -> Chain:
        """Return the contracts quoted within `stale_s`.

        Parameters
        ----------
        now : int
            ns UTC.
        oi_session : int
            Session whose close the open interest reflects.

        Returns
        -------
        Chain
            As old as its oldest quote; `captured_share` is the gross gamma that is quoted and, if
            open interest is read, whose open interest is known.

        Raises
        ------
        DataError
            If no contract has a fresh quote.
        """
        oldest = now - int(self._limits.stale_s * SECOND)
        fresh = (self._quoted_at > oldest) & np.isfinite(self._bid) & np.isfinite(self._ask)
        rows = self._order[fresh[self._order]]
        if not len(rows):
            raise DataError(f"no quote within {self._limits.stale_s:g} s: let a sweep pass first")
        captured = self._shares[rows]
        if self._needs_oi:
            captured = captured[np.isfinite(self._open_interest[rows])]
        bid, ask = self._bid[rows], self._ask[rows]
        crossed = bid > ask
        bid[crossed] = ask[crossed] = nan
        unknown = np.full(len(rows), nan)
        return Chain(
            meta=ChainMeta(
                source=SOURCE,
                underlying="SPX",
                quotes_asof=int(self._quoted_at[rows].min()),
                oi_session=oi_session,
                received_at=now,
                complete=False,
                captured_share=float(captured.sum()),
            ),
            issues=(),
            bid=bid,
            ask=ask,
            open_interest=self._open_interest[rows],
            volume=self._volume[rows],
            vendor_iv=unknown,
            vendor_delta=unknown,
            vendor_gamma=unknown,
            **{name: column[rows] for name, column in self._fixed.items()},
        )
