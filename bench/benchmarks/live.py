"""Live: what a tick costs at the gate, and a proposal's snapshots on the trading cycle."""

import tempfile
import timeit
from pathlib import Path

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.base_types import Decision
from mia.data.live_ticks import TickGate
from mia.data.snapshot_files import SnapshotWriter
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.features.context import context_of
from mia.performance.recorder import RunRecord


class Clock:
    def now(self):
        return 2**62


class Gate:
    timeout = 300

    def setup(self):
        self.ticks = []
        last = None
        for block in as_wire(synthetic_tape(1, 20250310, 1, 50_000)).blocks():
            columns = (block.ts_event, block.price, block.size, block.bid_price, block.ask_price)
            for ts, price, size, bid, ask in zip(*(c.tolist() for c in columns), strict=True):
                if (bid, ask) != last:
                    last = (bid, ask)
                    self.ticks.append((None, ts, bid, ask))
                self.ticks.append((price, ts, size, 0))

    def run(self):
        gate = TickGate(Clock(), lambda ts, good: None, "ESH25", 120_000)
        on_trade, on_quote = gate.on_trade, gate.on_quote
        for price, ts, a, b in self.ticks:
            if price is None:
                on_quote(ts, a, b)
            else:
                on_trade(ts, price, a)
        gate.take()

    def track_tick(self):
        return 1e9 * min(timeit.repeat(self.run, number=1, repeat=5)) / len(self.ticks)

    track_tick.unit = "ns"


class Snapshots:
    """Share of a proposal's decision that its two snapshots cost before the writer's thread."""

    timeout = 300

    def setup(self):
        tape = synthetic_tape(1, 20250310, 2, 100_000)
        trader = Backtest(load_settings(environ={}), tape, send=False).make_trader(RunRecord())
        generator = trader.generator
        self.context = self.decision = None

        class Listener:
            def evaluate(listener, context, facts):  # noqa: N805
                outcome = generator.evaluate(context, facts)
                if isinstance(outcome, Decision):
                    self.context, self.facts, self.decision = context, facts, outcome
                return outcome

        trader.generator = Listener()
        for block in tape.blocks():
            trader.run(block)
        self.generator, self.state = generator, trader.state
        self.folder = tempfile.TemporaryDirectory()
        self.snapshotter = TradeSnapshotter(SnapshotWriter(Path(self.folder.name)), {})

    def teardown(self):
        self.snapshotter.stop()
        self.folder.cleanup()

    def snap(self):
        self.snapshotter.publish("analysis", (self.context, self.state))
        self.snapshotter.publish("decision", self.decision)

    def decide(self):
        row = self.state.newest
        self.generator.evaluate(context_of(row, "ESH25", 15.0), self.facts)

    def track_snapshots(self):
        return 1e6 * min(timeit.repeat(self.snap, number=20, repeat=20)) / 20

    track_snapshots.unit = "us"

    def track_ratio(self):
        snap = min(timeit.repeat(self.snap, number=20, repeat=20))
        return snap / min(timeit.repeat(self.decide, number=20, repeat=20))

    track_ratio.unit = "x"
