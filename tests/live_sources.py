"""A trader on a simulated gateway in a process of its own, in the middle of a trading day."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
from run_samples import easy

from mia.core.chain import Chain
from mia.data.chains import option_clock
from mia.data.synthetic.chain_archive import spot_of_market
from mia.data.synthetic.chains import SyntheticChains
from mia.data.synthetic.market import SyntheticMarket
from mia.performance.recorder import RunRecord
from mia.trader.gateway_process import GatewayProcess, gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions

ACCOUNT = "DU1234567"
SEED, FIRST, DAY, TRADES = 7, 20250307, 20250310, 20_000
TEN = "2025-03-10T10:00-04:00"
START = int(datetime.fromisoformat(TEN).timestamp()) * 10**9
SOURCE = f"synth:{SEED}:{FIRST}:2"


@contextmanager
def gateway(folder: Path, *more: str) -> Iterator[GatewayProcess]:
    arguments = ["--market", SOURCE, "--trades-per-day", str(TRADES), "--account", ACCOUNT]
    with gateway_process([*arguments, "--start", TEN, *more], folder / "gateway.log") as process:
        yield process


@cache
def chains() -> SyntheticChains:
    market = SyntheticMarket(SEED, FIRST, 2, trades_per_day=TRADES)
    return SyntheticChains(spot_of_market(market), SEED)


@cache
def friday() -> Chain:
    """The whole chain of the day before, a quarter of an hour before its close."""
    return chains().chain(option_clock.new_york(FIRST, 15 * 60 + 45))


def run_trader(
    folder: Path,
    process: GatewayProcess,
    enough: Callable[[LiveTrader], bool],
    patience_s: float,
    *assignments: str,
) -> tuple[LiveTrader, np.ndarray]:
    """Let a trader run until it has seen enough; return it and the rows of its closes."""
    loaded = easy("stream.primary=time:1", "live.close_grace_s=0", *assignments)
    options = LiveOptions(
        process.host, process.port, ACCOUNT, folder / "state", RunRecord(), now=START
    )
    with ExitStack() as stack:
        trader = LiveTrader(loaded, options, stack)
        trader.trader.state.record = True

        async def watch() -> None:
            run = asyncio.create_task(trader.run())
            loop = asyncio.get_running_loop()
            until = loop.time() + patience_s
            while loop.time() < until and not run.done() and not enough(trader):
                await asyncio.sleep(0.1)
            trader.session.stop()
            await run

        asyncio.run(watch())
        return trader, trader.trader.state.take_rows()
