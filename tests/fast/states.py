"""Market states, and trades to give them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import strategies_market as market
from compiled_engine import session_rows, split_params, trade_columns
from numpy.typing import NDArray
from reference.conventions import SECOND, Sessions

from mia._fast import market_state

SID = Sessions()
OPEN = SID.of(1_709_649_000 * SECOND).t_rth_open
Trades = Sequence[market.Trade]


def state_for(ts: Sequence[int], **options: Any) -> market_state.MarketState:
    params, _ = split_params(options.pop("params", {}))
    state = market_state.MarketState(params, session_rows(ts), **options)
    state.record = True
    return state


def state_of(trades: Trades, **options: Any) -> market_state.MarketState:
    return state_for([trade[0] for trade in trades], **options)


def print_at(seconds: float, price: int = 16_000, size: int = 1, side: int = 1) -> market.Trade:
    """Return a trade some seconds after 09:30."""
    return OPEN + round(seconds * SECOND), price, size, side


def run(state: market_state.MarketState, trades: Trades) -> NDArray[np.void]:
    """Apply all trades, whatever wakes, and return the rows."""
    columns = trade_columns(trades)
    done, taken = 0, [state.take_rows()]
    while done < len(trades):
        done = state.advance(*columns, done)
        taken.append(state.take_rows())
    return np.concatenate(taken)


def two_sessions() -> list[market.Trade]:
    """Make trades of three minutes in each of two sessions."""
    day = SID.of(OPEN).t_end - OPEN
    return [
        (OPEN + shift + 20 * SECOND * k, 16_000 + k % 3, 1, 1)
        for shift in (0, day)
        for k in range(9)
    ]
