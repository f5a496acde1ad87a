"""Live: from a tick to an order, what a tick costs at the gate, and the snapshots of a proposal."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core import sessions
from mia.core.ibkr.wire_socket import GatewaySocket
from mia.core.trading_types import Decision
from mia.data.live_ticks import TickGate
from mia.data.snapshot_files import SnapshotWriter
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.features.context import context_of
from mia.performance.recorder import RunRecord
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions, settle_collector


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
            def evaluate(listener, context, facts):  # noqa: N805 - takes a method's place
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


class Orders:
    """From the bytes of the trades that close a bar to the bytes of the bracket, over TCP.

    The trader is the whole of it, on the connection of the client library, with a journal that
    commits each event; the gateway is a process of its own (`order_market`). The order path is
    what the last gate, the journal and the wire take of it.
    """

    timeout = 900
    seed, start, days, trades_per_day = 4, 20250324, 40, 10_000
    eased = (
        "trading_mode=data_collection",
        "gate.session_min=0",
        "gate.regime_cooldown_s=0",
        "gate.regime_conf=0.3",
        "gate.weak_conf=0.3",
        "gate.mtf_min=0",
        "gate.signal_cooldown_s=0",
        "gate.loss_cooldown_s=0",
        "gate.min_rr=0.2",
        "gate.feature_quality=0.1",
        "gate.wall_ticks=1",
        "reg.strong=0.4",
        "reg.strong_counts=2",
        "reg.slope_strong=0",
        "reg.intact=1",
        "reg.weak=0.3",
        "reg.weak_counts=1",
        "reg.slope_weak=0",
        "reg.respect=0.5",
        "reg.min_tests=2",
        "reg.min_minutes=5",
        "es_pattern.repeat_min=5",
        "trend.leg_bars=15",
        "trend.leg_atr=1",
        "range.confirm_bn=0.1",
        "range.confirm_pattern=0.3",
        "conf.price_norm=0.5",
        "conf.zone_norm=0.5",
        "risk.max_stop_ticks=60",
        "risk.max_stop_atr=6",
        "risk.loss_streak=1000",
        "evid.micro_veto=1",
        "account.start_equity=200000",
    )

    def setup_cache(self):
        return measure(self)

    def track_tick_to_order_p50(self, found):
        return found["tick to order"][0]

    def track_tick_to_order_p99(self, found):
        return found["tick to order"][1]

    def track_socket_to_socket_p50(self, found):
        return found["socket to socket"][0]

    def track_socket_to_socket_p99(self, found):
        return found["socket to socket"][1]

    def track_order_path_p99(self, found):
        return found["order path"][1]

    track_socket_to_socket_p50.unit = "us"
    track_socket_to_socket_p99.unit = "us"
    track_tick_to_order_p50.unit = "us"
    track_tick_to_order_p99.unit = "us"
    track_order_path_p99.unit = "us"


class SocketToSocket:
    """Time that the trader works on the packets of a step before the order has left.

    A step comes in several packets, on two connections; the time between them is the gateway's.
    """

    def __init__(self):
        self.kept = []
        self.carried = self.start = 0
        self.drained = False

    def watch_packets(self, owner):
        inner = owner.data_received

        def timed(socket, data):
            self.start, self.drained = time.perf_counter_ns(), False
            inner(socket, data)
            spent = time.perf_counter_ns() - self.start
            self.carried = 0 if self.drained else self.carried + spent

        owner.data_received = timed
        return inner

    def watch_drain(self, session):
        inner = session.drain

        def noted():
            self.drained = True
            inner()

        session.drain = noted

    def watch_orders(self, broker):
        inner = broker.submit

        def timed(order):
            inner(order)
            self.kept.append(self.carried + time.perf_counter_ns() - self.start)

        broker.submit = timed


class Spans:
    """Time spent in functions since the newest packet of market data, by name."""

    def __init__(self):
        self.spent = {}
        self.kept = []
        self.began = 0

    def watch(self, owner, attribute, name, *, begins=False, ends=False):
        inner = getattr(owner, attribute)

        def timed(*arguments, **more):
            start = time.perf_counter_ns()
            if begins:
                self.began, self.spent = start, {}
            try:
                return inner(*arguments, **more)
            finally:
                end = time.perf_counter_ns()
                self.spent[name] = self.spent.get(name, 0) + end - start
                if ends:
                    self.kept.append({**self.spent, "all": end - self.began})
                    self.spent = {}

        setattr(owner, attribute, timed)


def measure(market, instrumented=False):
    """Return p50 and p99 in us by what was measured, and under ``count`` how many orders."""
    tape = as_wire(synthetic_tape(market.seed, market.start, market.days, market.trades_per_day))
    loaded = load_settings("demo", market.eased, env_file=Path("absent"), environ={})
    spans = Spans()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = f"synth:{market.seed}:{market.start}:{market.days}"
        script = str(Path(__file__).with_name("order_market.py"))
        gateway = stack.enter_context(
            subprocess.Popen(
                [sys.executable, script, source, str(market.trades_per_day)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        )
        stack.callback(gateway.kill)
        port = int(gateway.stdout.readline().rpartition(":")[2])
        options = LiveOptions(
            "127.0.0.1",
            port,
            "DU1234567",
            folder / "state",
            RunRecord(),
            lockstep=True,
            now=sessions.session_open(tape.first_session),
            end=int(sessions.session_table(tape.last_session, tape.last_session)["t_end"][0]),
        )
        trader = LiveTrader(loaded, options, stack)
        broker, session = trader.trader.broker, trader.session
        path = SocketToSocket()
        stack.callback(setattr, GatewaySocket, "data_received", path.watch_packets(GatewaySocket))
        path.watch_drain(session)
        path.watch_orders(broker)
        if instrumented:
            spans.watch(session, "drain", "drain", begins=True)
            spans.watch(broker.gate, "check", "last gate")
            spans.watch(broker.manager, "submit", "journal, encoding and sending")
            spans.watch(trader.journal, "append", "journal")
            spans.watch(trader.wire, "place", "encoding and sending")
        spans.watch(broker, "submit", "order path", ends=True)
        asyncio.run(trader.run(settle_collector))
        gateway.stdin.write("\n")
        gateway.stdin.flush()
        stamps = json.loads(gateway.stdout.readline())
    found = {"tick to order": [last - out for out, last in stamps], "socket to socket": path.kept}
    for name in sorted({name for kept in spans.kept for name in kept} - {"all", "drain"}):
        found[name] = [kept.get(name, 0) for kept in spans.kept]
    if instrumented:
        found["trades taken to order sent"] = [kept["all"] for kept in spans.kept]
        found["cycle without orders"] = [k["all"] - k["order path"] for k in spans.kept]
    result = {
        name: tuple(float(x) / 1000 for x in np.percentile(values, (50, 99)))
        for name, values in found.items()
    }
    return {**result, "count": len(stamps)}
