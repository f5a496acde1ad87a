"""Levels of SPX, VIX and VIX3M, and options on SPX, at the prices of the tape."""

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from mia.core.chain import Chain, Root
from mia.core.sessions import MINUTE
from mia.data.chains import option_clock
from mia.data.synthetic.chain_archive import spot_of_market
from mia.data.synthetic.chains import ChainPlan, SyntheticChains
from mia.errors import UsageError
from mia.gateway.catalogue import Listing
from mia.gateway.market.option_quotes import OptionQuote, quote
from mia.gateway.market.tape_market import Market
from mia.gateway.model import ApiContract

RTH_OPEN = 9 * 60 + 30
VIX_DAYS, VIX3M_DAYS = 30.0, 93.0
LEVERAGE = 4.0
"""How far VIX moves against SPX, log on log; VIX3M moves half as far."""


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """An index in a cash session: levels since its opening at `opened`, ns UTC; `ts` of `last`."""

    opened: int
    ts: int
    last: float
    open: float
    high: float
    low: float
    close: float


def cash_span(day: int) -> tuple[int, int]:
    """Return opening and close of the stocks on a cash day (yyyymmdd), ns UTC."""
    close = option_clock.option_close(day) - option_clock.AFTER_CLOSE * MINUTE
    return option_clock.new_york(day, RTH_OPEN), close


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
        self._days: dict[str, IndexFigures] = {}

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

    def level(self, symbol: str, at: int) -> float:
        """Return SPX, VIX or VIX3M at a time (ns UTC), rounded to a hundredth."""
        spot = self.spot_at(at)
        if symbol == "SPX":
            return round(spot, 2)
        days = VIX_DAYS if symbol == "VIX" else VIX3M_DAYS
        base = float(self.plan.smile(np.zeros(1), np.full(1, days / 365.0))[0])
        day = option_clock.cash_day_at_or_before(option_clock.new_york_date(at))
        moved = log(spot / self.spot_at(min(option_clock.new_york(day, RTH_OPEN), at)))
        leverage = LEVERAGE if symbol == "VIX" else LEVERAGE / 2
        return round(100.0 * base * exp(-leverage * moved), 2)

    def index_day(self, symbol: str) -> IndexFigures:
        """Return the figures of an index at market time; it moves in cash hours only."""
        now = self._market.now
        day = option_clock.cash_day_at_or_before(option_clock.new_york_date(now))
        if now < option_clock.new_york(day, RTH_OPEN):
            day = option_clock.cash_day_before(day)
        opened, closed = cash_span(day)
        at = min(now, closed)
        figures = self._days.get(symbol)
        if figures is None or figures.opened != opened:
            before = cash_span(option_clock.cash_day_before(day))[1]
            start = self.level(symbol, opened)
            figures = IndexFigures(
                opened, at, start, start, start, start, self.level(symbol, before)
            )
        if figures.ts != at:
            last = self.level(symbol, at)
            figures = replace(
                figures,
                ts=at,
                last=last,
                high=max(figures.high, last),
                low=min(figures.low, last),
            )
        self._days[symbol] = figures
        return figures

    def quote(self, contract: ApiContract) -> OptionQuote | None:
        """Return the quote of an option at market time, None if it is not listed any more."""
        spot = self.spot_at(self._market.now // MINUTE * MINUTE)
        return quote(self.chain(), contract, spot, self.plan.rate, self.plan.dividend)

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
