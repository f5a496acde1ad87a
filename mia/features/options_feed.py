"""From chains to the snapshots that a market state follows, in the order of their effect."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isnan, log

import numpy as np
from numpy.typing import NDArray

from mia._fast.options_state import SNAPSHOT_DTYPE
from mia.core import sessions
from mia.core.chain import Chain
from mia.features import options_features, options_quality
from mia.features.dealer_models import NAIVE, DealerModel
from mia.features.options_exposure import positioning
from mia.features.positioning import Positioning

YEAR = 365 * 86_400 * 1_000_000_000
QUARTERLIES = 4
"""How many a snapshot holds."""


def static_quality(found: Positioning) -> float:
    """Return the factor q_chain of what a chain says by itself, without the price of ES."""
    return options_quality.q_chain(
        two_sided_share=found.two_sided_share,
        parity_residual=found.parity_residual,
        expiries_seen=found.expiries_seen,
        expiries_expected=found.expiries_expected,
        pcr_oi=found.pcr_oi,
        iv_failure_share=found.iv_failure_share,
        captured_share=1.0 if found.complete else found.captured_share,
    )


@dataclass(frozen=True, slots=True)
class _Held:
    chain: Chain
    found: Positioning
    asof: int
    pending: tuple[int, ...]


class OptionsFeed:
    """Turns chains, given in the order received, into records of SNAPSHOT_DTYPE.

    A chain of no use does not replace one of use: that goes on ageing. What settles is dropped at
    its hour, and the rest recomputed, without a new chain.

    Parameters
    ----------
    model : DealerModel
        Sign of the dealers' position in each contract.
    rate : float, optional
        Continuous interest rate that pins the discount; estimated from the chain without it.

    Attributes
    ----------
    history : OptionsHistory
    """

    def __init__(self, model: DealerModel = NAIVE, rate: float | None = None) -> None:
        self.history = options_features.OptionsHistory()
        self._model = model
        self._rate = rate
        self._freeze = options_quality.FreezeDetector()
        self._held: _Held | None = None
        self._effective = 0

    @property
    def newest(self) -> Positioning | None:
        """What the newest usable chain says, without the series that have settled since."""
        return None if self._held is None else self._held.found

    @staticmethod
    def known_at(chain: Chain) -> int:
        """Return when a chain can have been known: on receipt, and not before its OI was."""
        meta = chain.meta
        if meta.oi_session == 0:
            return meta.received_at
        return max(meta.received_at, options_quality.oi_known_at(meta.oi_session))

    def take(self, chain: Chain) -> list[NDArray[np.void]]:
        """Return the snapshots that became due up to and with a chain; none of bare OI."""
        effective = max(self.known_at(chain), self._effective)
        made = self.expire(effective)
        if not chain.meta.quotes_asof:
            return made
        asof = self._freeze.asof(chain)
        previous = None if self._held is None else self._held.found
        found = self._position(chain, previous, None)
        usable = static_quality(found) > 0.0
        if not usable and self._held is not None:
            return made
        session_id = sessions.session_id(chain.meta.quotes_asof)
        if usable:
            self.history.open_session(session_id)
            self.history.record(found.gex_ratio, found.skew_30d)
        stale = options_quality.oi_steps(chain.meta.oi_session)[2]
        settles = np.unique(chain.settle_ns)
        pending = settles[(settles > effective) & (settles < stale)]
        self._held = _Held(chain, found, asof, tuple(pending.tolist())) if usable else None
        made.append(self._record(found, asof, effective))
        return made

    def expire(self, now: int) -> list[NDArray[np.void]]:
        """Return the snapshots made anew because series settled up to `now` (ns UTC)."""
        made: list[NDArray[np.void]] = []
        while self._held is not None and self._held.pending and self._held.pending[0] <= now:
            held = self._held
            settled = held.pending[0]
            found = self._position(held.chain, held.found, settled)
            self._held = _Held(held.chain, found, held.asof, held.pending[1:])
            made.append(self._record(found, held.asof, settled))
        return made

    def _position(self, chain: Chain, previous: Positioning | None, now: int | None) -> Positioning:
        return positioning(chain, rate=self._rate, model=self._model, previous=previous, now=now)

    def _record(self, found: Positioning, asof: int, effective: int) -> NDArray[np.void]:
        self._effective = effective
        return snapshot_record(found, asof, effective, self.history)


def snapshot_record(
    found: Positioning,
    asof: int,
    effective: int,
    history: options_features.OptionsHistory,
) -> NDArray[np.void]:
    """Lay out what one chain says for the market state.

    Parameters
    ----------
    found : Positioning
    asof : int
        Time from which the age of the quotes counts, ns UTC.
    effective : int
        The first close at or after it knows the snapshot, ns UTC.
    history : OptionsHistory

    Returns
    -------
    ndarray of SNAPSHOT_DTYPE, shape (1,)
    """
    record = np.zeros(1, SNAPSHOT_DTYPE)
    evening = options_quality.evening_span(asof)
    record["effective"] = effective
    record["asof"] = asof
    record["delayed"] = found.delayed_s > 0
    record["evening_from"], record["evening_until"] = evening
    record["oi_until"] = options_quality.oi_steps(found.oi_session)
    record["session_id"] = sessions.session_id(asof)
    for k, quarterly in enumerate(found.quarterlies[:QUARTERLIES]):
        years = (quarterly.settle_ns - found.asof) / YEAR
        record["quarter_settle"][0, k] = quarterly.settle_ns
        record["quarter_carry"][0, k] = log(quarterly.fair_ratio) / years
    record["chain_quality"] = static_quality(found)
    record["zero_dte_share"] = 0.0 if isnan(found.zero_dte_share) else found.zero_dte_share
    record["spot"] = found.spot
    record["expected_move"] = found.expected_move
    record["gex"] = found.gex_usd_per_pct
    record["cex"] = found.cex_usd_per_day
    record["vex"] = found.vex_usd_per_point
    record["flip"] = found.flip
    record["call_wall"] = found.call_wall
    record["put_wall"] = found.put_wall
    record["gamma_ratio"] = options_features.gamma_ratio(found.gex_ratio, history.gamma_ratios)
    record["skew"] = options_features.skew(found.skew_30d, history.skews)
    record["term"] = options_features.term(found.sigma_30d, found.sigma_90d)
    record["profile_low"] = found.levels[0]
    record["profile_step"] = (found.levels[-1] - found.levels[0]) / (len(found.levels) - 1)
    record["profile"] = found.profile
    return record


class SnapshotTape:
    """Snapshots of recorded chains, made when a run first asks for them.

    Parameters
    ----------
    chains : iterable of Chain
        In the order received; read once.
    feed : OptionsFeed
        Fresh.
    """

    def __init__(self, chains: Iterable[Chain], feed: OptionsFeed | None = None) -> None:
        self._chains: Iterator[Chain] = iter(chains)
        self._feed = feed or OptionsFeed()
        self._next: Chain | None = next(self._chains, None)
        self._made: list[NDArray[np.void]] = []

    def make_until(self, ts: int) -> list[NDArray[np.void]]:
        """Return all snapshots made so far, those in effect at `ts` (ns UTC) among them."""
        while self._next is not None and self._feed.known_at(self._next) <= ts:
            self._made += self._feed.take(self._next)
            self._next = next(self._chains, None)
        self._made += self._feed.expire(ts)
        return self._made

    def cursor(self) -> "SnapshotCursor":
        """Start a pass over the snapshots."""
        return SnapshotCursor(self)


class SnapshotCursor:
    """One run's pass over a tape of snapshots."""

    def __init__(self, tape: SnapshotTape) -> None:
        self._tape = tape
        self._taken = 0

    def until(self, ts: int) -> NDArray[np.void]:
        """Return the snapshots not yet returned whose effect begins up to `ts` (ns UTC)."""
        made = self._tape.make_until(ts)
        stop = self._taken
        while stop < len(made) and made[stop]["effective"][0] <= ts:
            stop += 1
        found = made[self._taken : stop]
        self._taken = stop
        return np.concatenate(found) if found else np.zeros(0, SNAPSHOT_DTYPE)
