"""The collector: processor time of what comes at 20,000 trades a second, and writing a day."""

import tempfile
import time
import timeit
from pathlib import Path

from mia.core.base_types import TradeBlock
from mia.data.collected_days import compact_all
from mia.data.collector import Collector
from mia.data.store import Store
from mia.data.synthetic import SyntheticMarket

SEED = 11
TRADES = 400_000
RATE = 20_000
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


class FixedClock:
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


class Collect:
    """Batches of so many trades, as they come from a file or, one by one, from a socket."""

    params = [1, 20, 1000]
    param_names = ["trades_per_batch"]

    def setup(self, trades_per_batch):
        block = next(SyntheticMarket(SEED, 20250310, 1, trades_per_day=TRADES).blocks())
        self.count = min(len(block), 100_000 if trades_per_batch == 1 else len(block))
        self.clock = FixedClock(int(block.ts_event[-1]))
        self.pieces = [
            TradeBlock(
                block.contract,
                **{name: getattr(block, name)[k : k + trades_per_batch] for name in COLUMNS},
            )
            for k in range(0, self.count, trades_per_batch)
        ]
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self, trades_per_batch):
        self.folder.cleanup()

    def collect(self):
        place = tempfile.mkdtemp(dir=self.folder.name)
        with Collector(Path(place), "bench", self.clock) as collector:
            for piece in self.pieces:
                collector.add(piece)
        return Path(place)

    def seconds(self):
        return min(timeit.repeat(self.collect, timer=time.process_time, number=1, repeat=3))

    def track_share_of_a_core_at_20000_a_second(self, trades_per_batch):
        return self.seconds() / (self.count / RATE)

    track_share_of_a_core_at_20000_a_second.unit = "of a core"

    def track_trades_per_second(self, trades_per_batch):
        return self.count / self.seconds()

    track_trades_per_second.unit = "trades/s"

    def plain_write(self):
        path = Path(self.folder.name) / "plain"
        with path.open("wb") as file:
            for piece in self.pieces:
                for name in COLUMNS:
                    file.write(getattr(piece, name).tobytes())

    def track_cost_over_plain_writing(self, trades_per_batch):
        plain = min(timeit.repeat(self.plain_write, timer=time.process_time, number=1, repeat=3))
        return self.seconds() / plain

    track_cost_over_plain_writing.unit = "x"


class Compact:
    """A day of 400,000 trades into the store."""

    def setup(self):
        self.collect = Collect()
        self.collect.setup(1000)

    def teardown(self):
        self.collect.teardown(1000)

    def track_trades_per_second(self):
        place = self.collect.collect()
        began = time.process_time()
        (day,) = compact_all(Store.create(place), "bench")
        assert day.stored == self.collect.count
        return day.stored / (time.process_time() - began)

    track_trades_per_second.unit = "trades/s"
