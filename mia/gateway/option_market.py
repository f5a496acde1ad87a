"""Levels of SPX, VIX and VIX3M, and options on SPX, at the prices of the tape."""

from math import exp, log

import numpy as np

from mia.core.chain import Chain, Root
from mia.core.sessions import MINUTE
from mia.data.chains import option_clock
from mia.data.synthetic.chain_archive import spot_of_market
from mia.data.synthetic.chains import ChainPlan, SyntheticChains
from mia.errors import UsageError
from mia.gateway.catalogue import Listing
from mia.gateway.market import Market

RTH_OPEN = 9 * 60 + 30
VIX_DAYS, VIX3M_DAYS = 30.0, 93.0
LEVERAGE = 4.0
"""How far VIX moves against SPX, log on log; VIX3M moves half as far."""


class OptionMarket:
    """Options and index levels that go with the tape.

    On a synthetic market they are those of `mia.data.synthetic`; on a recorded one the same
    model runs on the prices of the tape.

    Parameters
    ----------
    market : Market
    plan : ChainPlan, optional
    """

    def __init__(self, market: Market, plan: ChainPlan | None = None) -> None:
        self._market = market
        self.plan = plan or ChainPlan()
        synthetic = market.source.synthetic
        self._synthetic = None if synthetic is None else spot_of_market(synthetic, self.plan)
        self.chains = SyntheticChains(self.spot_at, market.source.seed, self.plan)
        self._listing: tuple[int, Listing] | None = None
        self._chain: Chain | None = None

    def spot_at(self, ts: int) -> float:
        """Return the level of SPX at a time, ns UTC; before the tape that of its first trade."""
        ts = max(ts, int(self._market.tapes[0].ts[0]))
        if self._synthetic is not None:
            try:
                return self._synthetic(ts)
            except UsageError:
                ts = int(self._market.tapes[0].ts[0])
        price = self._market.price_at(ts) or 0.0
        carry = self.plan.rate - self.plan.dividend
        return price * exp(-carry * self._market.years_to_expiry(ts))

    def level(self, symbol: str) -> float:
        """Return SPX, VIX or VIX3M at market time, rounded to a hundredth."""
        now = self._market.now
        spot = self.spot_at(now)
        if symbol == "SPX":
            return round(spot, 2)
        days = VIX_DAYS if symbol == "VIX" else VIX3M_DAYS
        base = float(self.plan.smile(np.zeros(1), np.full(1, days / 365.0))[0])
        opened = option_clock.new_york(self._cash_day(now), RTH_OPEN)
        moved = log(spot / self.spot_at(min(opened, now)))
        leverage = LEVERAGE if symbol == "VIX" else LEVERAGE / 2
        return round(100.0 * base * exp(-leverage * moved), 2)

    def chain(self) -> Chain:
        """Return the chain quoted at market time, of this minute at the latest."""
        at = self._market.now // MINUTE * MINUTE
        if self._chain is None or self._chain.meta.quotes_asof != at:
            self._chain = self.chains.chain(at)
        return self._chain

    def listing(self) -> Listing:
        """Return the series and strikes that are listed at market time."""
        day = option_clock.new_york_date(self._market.now)
        if self._listing is None or self._listing[0] != day:
            chain = self.chains.chain(option_clock.new_york(day, 0))
            expiries = {
                root.name: tuple(sorted(set(chain.expiry[chain.root == root].tolist())))
                for root in Root
            }
            strikes = tuple(sorted(set(chain.strike.tolist())))
            self._listing = (day, Listing(expiries, strikes))
        return self._listing[1]

    def _cash_day(self, ts: int) -> int:
        return option_clock.cash_day_at_or_before(option_clock.new_york_date(ts))
