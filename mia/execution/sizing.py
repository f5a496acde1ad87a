"""How many contracts: Kelly on the record of a strategy family, budgets in USD, whole contracts."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, isfinite

from mia.config.instruments import INSTRUMENTS
from mia.config.limits import EffectiveLimits
from mia.config.method import Cost, Group, Risk
from mia.core.base_types import OrderType
from mia.strategies.proposals import EPS, group

MES_PER_ES = 10
HISTORY = 100
"""Closed trades of a family that its Kelly fraction looks at."""

_PAYOFF_WITHOUT_LOSS = 2.0
_LIMIT = OrderType.LIMIT


@dataclass(frozen=True, slots=True)
class Kelly:
    """Record of a strategy family.

    Attributes
    ----------
    trades : int
        Closed trades counted, at most `HISTORY`.
    probability : float
        Smoothed chance to win, p.
    payoff : float
        Mean win over mean loss, b.
    fraction : float
        Kelly fraction after the cap, f*.
    """

    trades: int
    probability: float
    payoff: float
    fraction: float


def kelly(
    trades: int, wins: int, mean_win: float, mean_loss: float, prior: float, cap: float
) -> Kelly:
    """Compute the capped Kelly fraction.

    Parameters
    ----------
    trades, wins : int
        Closed trades and those with a net profit.
    mean_win, mean_loss : float
        USD, both positive; 0 where there is none.
    prior : float
        Imagined trades added to the record, half of them won.
    cap : float
        Largest fraction returned.

    Returns
    -------
    Kelly
        Its fraction is 0 without an edge, without a win, and for a mean that is no number.
    """
    probability = (wins + prior / 2) / (trades + prior)
    if not mean_win > 0:
        payoff = 0.0
    elif mean_loss == 0:
        payoff = _PAYOFF_WITHOUT_LOSS
    else:
        payoff = mean_win / mean_loss
    fraction = 0.0
    if payoff > 0:
        edge = (probability * payoff - (1 - probability)) / payoff
        fraction = min(edge, cap) if edge > 0 else 0.0
    return Kelly(trades, probability, payoff, fraction)


class FamilyRecord:
    """Net results of the newest closed trades of one family.

    Parameters
    ----------
    prior, cap : float
        See `kelly`.
    results : iterable of float
        Net P&L in USD, oldest first.
    """

    __slots__ = ("_cap", "_prior", "kelly", "results")

    def __init__(self, prior: float, cap: float, results: Iterable[float] = ()) -> None:
        self._prior = prior
        self._cap = cap
        self.results: deque[float] = deque(results, maxlen=HISTORY)
        self.kelly = self._recompute()

    def add(self, net_pnl: float) -> None:
        """Count one closed trade."""
        self.results.append(net_pnl)
        self.kelly = self._recompute()

    def _recompute(self) -> Kelly:
        won = [x for x in self.results if x > 0]
        lost = [-x for x in self.results if x < 0]
        return kelly(
            len(self.results),
            len(won),
            sum(won) / len(won) if won else 0.0,
            sum(lost) / len(lost) if lost else 0.0,
            self._prior,
            self._cap,
        )


@dataclass(frozen=True, slots=True)
class Sizing:
    """Result of sizing one proposal.

    Attributes
    ----------
    quantity : int
        Contracts of `symbol`; 0 if none fits.
    edge : bool
        False if a long enough record shows no edge, whatever the budgets.
    risk_per_contract : float
        USD lost at the stop, costs and slippage included.
    costs_per_contract : float
        USD of commissions and slippage in it.
    kelly_budget, risk_budget : float
        USD.
    """

    symbol: str
    quantity: int
    edge: bool
    risk_per_contract: float
    costs_per_contract: float
    kelly_budget: float
    risk_budget: float


def _whole(x: float) -> int:
    # A size that is no number is no size.
    return max(0, floor(x + EPS)) if isfinite(x) else 0


class Sizer:
    """Turns budgets into whole contracts of ES or MES, never rounding up.

    Parameters
    ----------
    limits : EffectiveLimits
        Limits in force.
    groups : mapping of str to Group, optional
        Groups of the method by name; ``risk`` and ``cost`` are read, once.
    """

    __slots__ = (
        "_auto",
        "_cost",
        "_daily_share",
        "_fraction",
        "_margin",
        "_max_size",
        "_min_trades",
        "_per_trade_pct",
        "_per_trade_usd",
        "_symbol",
        "_tick_value",
    )

    def __init__(self, limits: EffectiveLimits, groups: Mapping[str, Group] | None = None) -> None:
        risk = group(groups, "risk", Risk)
        cost = group(groups, "cost", Cost)
        self._auto = risk.instrument == "auto"
        self._symbol = "ES" if self._auto else risk.instrument
        self._min_trades = risk.kelly_min_trades
        self._daily_share = risk.daily_share
        self._fraction = limits.kelly_fraction
        self._per_trade_usd = limits.per_trade_usd
        self._per_trade_pct = limits.per_trade_pct
        self._max_size = {"ES": limits.max_size, "MES": limits.max_size * MES_PER_ES}
        self._margin = {symbol: INSTRUMENTS[symbol].margin for symbol in self._max_size}
        self._tick_value = {symbol: INSTRUMENTS[symbol].tick_value for symbol in self._max_size}
        commission = {"ES": cost.es_side, "MES": cost.mes_side}
        # Costs of a round trip by (instrument, fills at market).
        self._cost = {
            (symbol, fills): 2 * commission[symbol] + fills * cost.slip_ticks * tick_value
            for symbol, tick_value in self._tick_value.items()
            for fills in (1, 2)
        }

    def set_margin(self, symbol: str, usd: float) -> None:
        """Replace the assumed initial margin of one contract by what the broker asks."""
        self._margin[symbol] = usd

    def size(
        self,
        distance: int,
        entry_type: OrderType,
        equity: float,
        remaining: float,
        record: Kelly,
        mult: float,
        half: bool = False,
    ) -> Sizing:
        """Size one trade.

        Parameters
        ----------
        distance : int
            Ticks from entry to stop.
        entry_type : OrderType
            A limit entry slips once, at its stop; any other twice.
        equity, remaining : float
            USD: of the account, and what the day may still lose.
        record : Kelly
            Of the strategy family.
        mult : float
            Product of the size factors, acting on both budgets.
        half : bool
            Whether the hour asks for half the size.

        Returns
        -------
        Sizing
            With ``risk.instrument = auto`` in MES where not one ES fits.
        """
        long_record = record.trades >= self._min_trades
        kelly_budget = self._fraction * record.fraction * equity * mult
        risk_budget = mult * min(
            self._per_trade_usd, self._per_trade_pct * equity, self._daily_share * remaining
        )
        edge = not long_record or record.fraction > 0
        # min() may pass over a nan, so amounts are looked at before they are compared.
        known = isfinite(equity) and isfinite(remaining)
        fills = 1 if entry_type is _LIMIT else 2
        symbol = self._symbol
        while True:
            costs = self._cost[symbol, fills]
            risk = distance * self._tick_value[symbol] + costs
            quantity = 0
            if edge and known:
                quantity = min(
                    _whole(kelly_budget / risk)
                    if long_record
                    else (1 if symbol == "ES" else MES_PER_ES),
                    _whole(risk_budget / risk),
                    self._max_size[symbol],
                    _whole(equity / self._margin[symbol]),
                )
                if half:
                    quantity //= 2
            if quantity or not (edge and self._auto) or symbol == "MES":
                return Sizing(symbol, quantity, edge, risk, costs, kelly_budget, risk_budget)
            symbol = "MES"
