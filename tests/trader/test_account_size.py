"""A first run sizes by what the account holds where that is less than the settings say."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_runs import Market
from run_samples import easy

from mia.errors import BrokerError
from mia.performance.recorder import RunRecord
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions

MARKET = Market(4, 1, 5_000)


class Account:
    """A connection that knows what an account is worth."""

    def __init__(self, **values: float) -> None:
        self._values = values

    async def account_values(self) -> dict[str, float]:
        return self._values


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveTrader]:
    with ExitStack() as stack:
        options = LiveOptions(
            "127.0.0.1",
            1,
            "DU1234567",
            tmp_path / "state",
            RunRecord(),
            lockstep=True,
            now=MARKET.opens,
        )
        yield LiveTrader(easy(), options, stack)


def sized(live: LiveTrader, **values: float) -> tuple[float, float]:
    asyncio.run(live.start_up._ask_equity(Account(**values)))  # type: ignore[arg-type]
    risk = live.trader.risk
    return risk.equity, risk.equity_high


def test_less_in_the_account_is_what_counts_and_more_is_not(live) -> None:
    assert sized(live, NetLiquidation=150_000.0) == (100_000.0, 100_000.0)
    assert sized(live, NetLiquidation=40_000.0) == (40_000.0, 40_000.0)


def test_a_later_run_keeps_the_equity_that_its_journal_knows(live) -> None:
    live.is_first_run = False
    assert sized(live, NetLiquidation=40_000.0) == (100_000.0, 100_000.0)


@pytest.mark.parametrize("values", [{}, {"NetLiquidation": 0.0}, {"NetLiquidation": float("nan")}])
def test_an_account_without_a_worth_is_refused(live, values) -> None:
    with pytest.raises(BrokerError, match="net liquidation"):
        sized(live, **values)
