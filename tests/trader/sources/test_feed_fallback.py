"""A trader with feeds to fall back on: files, IQConnect and a gateway that stall in mid-session."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faults.eager_strategy import EagerStrategy
from iqfeed_server import IQConnect
from run_samples import easy
from sierra_writer import SetClock

from mia.core.base_types import TradeBlock, TradingState
from mia.core.market_feed import FeedNoticeKind
from mia.data.feed_gate import FeedGate
from mia.data.feed_switches import FeedSwitch, SwitchReason
from mia.data.journal_reader import JournalReader
from mia.data.synthetic.market import SyntheticMarket
from mia.data.synthetic.sierra_file import SierraFiles
from mia.errors import ConfigError
from mia.trader.gateway_process import GatewayProcess, gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions
from mia.trader.sources.feed_choice import close_delay, fallbacks, open_feed, require_feed

ACCOUNT = "DU1234567"
SEED, DAY, TRADES, SPEED = 7, 20250310, 120_000, 1
TEN = "2025-03-10T10:00-04:00"
START = int(datetime.fromisoformat(TEN).timestamp()) * 10**9
NS = 10**9
PACE = (
    "fallback.age_s=3",
    "fallback.back_s=4",
    "sierra.delay_s=3",
    "iqfeed.delay_s=3",
    "live.tick_age_s=8",
    "live.close_grace_s=0",
    "live.ack_s=30",
    "live.orders_per_minute=60",
    "live.reentries=100",
    "live.refusals=100",
)
WISH = {"pause_s": 1.5, "close_s": 1.0, "distance": 30, "bars": 100_000}


@cache
def market() -> SyntheticMarket:
    return SyntheticMarket(SEED, DAY, 1, trades_per_day=TRADES)


@cache
def tape() -> TradeBlock:
    return next(market().blocks())


class Kept:
    """Keeps what a run publishes, and lets a strategy see the trades."""

    def __init__(self) -> None:
        self.strategy: EagerStrategy | None = None
        self.blocks: list[TradeBlock] = []
        self.events: list[tuple[str, Any]] = []

    def publish(self, topic: str, event: Any) -> None:
        if topic == "block" and self.strategy is not None:
            self.blocks.append(event)
            self.strategy.on_block(event)
        elif topic in ("feed", "feed_switch", "kill", "hole", "sent", "fill"):
            self.events.append((topic, event))

    def of(self, topic: str) -> list[Any]:
        return [event for name, event in self.events if name == topic]

    @property
    def switches(self) -> list[FeedSwitch]:
        return self.of("feed_switch")


class Scene:
    """A trader, the feeds that it has, and what a test does to them.

    Attributes
    ----------
    file_stalls, stream_stalls : bool
        Nothing more comes from the file, or from IQConnect.
    """

    def __init__(self, folder: Path, gateway: GatewayProcess) -> None:
        self.folder, self.gateway = folder, gateway
        self.kept = Kept()
        self.file_stalls = self.stream_stalls = False
        (folder / "sierra").mkdir()
        self.files = SierraFiles(folder / "sierra", market(), 100)
        self.files.advance(START)
        self.server = IQConnect(tape())
        self.server.sent = int(np.searchsorted(tape().ts_event, START))
        self.server.upto = lambda: self._upto
        self._upto = START
        self.trader: LiveTrader

    def fault(self, **words: Any) -> None:
        with socket.create_connection(("127.0.0.1", self.gateway.control_port), 10) as link:
            link.sendall(json.dumps({"command": "fault", **words}).encode() + b"\n")
            answer = json.loads(link.makefile().readline())
        assert answer["ok"], answer

    async def until(self, condition: Callable[[], object], patience_s: float = 60.0) -> None:
        limit = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < limit, self.story()
            assert not self.task.done(), self.task
            await asyncio.sleep(0.02)

    def story(self) -> list[str]:
        """Say in few words what happened, for a failure."""
        kills = [f"{cause.rule.value} {new.name}" for cause, _, new in self.kept.of("kill")]
        return kills + [f"{s.left} {s.reason.value} {s.taken}" for s in self.kept.switches]

    async def _market(self) -> None:
        while True:
            now = self.trader.clock.now()
            if not self.file_stalls:
                self.files.advance(now)
            if not self.stream_stalls:
                self._upto = now
            await asyncio.sleep(0.05)

    async def play(self, story: Callable[["Scene"], Any], *assignments: str) -> None:
        async with self.server.running():
            ports = self.server.ports
            loaded = easy(
                *PACE,
                f"sierra.folder={self.folder / 'sierra'}",
                f"iqfeed.level1_port={ports['level1']}",
                f"iqfeed.lookup_port={ports['lookup']}",
                *assignments,
            )
            loaded = replace(loaded, limits=replace(loaded.limits, daily_loss_usd=1e6))
            with ExitStack() as stack:
                options = LiveOptions(
                    self.gateway.host,
                    self.gateway.port,
                    ACCOUNT,
                    self.folder / "state",
                    self.kept,
                    now=START,
                )
                self.trader = LiveTrader(loaded, options, stack)
                strategy = EagerStrategy(self.trader, WISH)

                def ready() -> None:
                    self.kept.strategy = strategy

                feeding = asyncio.create_task(self._market())
                self.task = asyncio.create_task(self.trader.run(ready))
                try:
                    await self.until(lambda: self.kept.strategy is not None)
                    await story(self)
                finally:
                    self.trader.session.stop()
                    await asyncio.wait({self.task})
                    feeding.cancel()
                self.task.result()

    async def trades(self, more: int = 2) -> None:
        """Wait until so many further brackets were filled."""
        before = len(self.kept.of("fill"))
        await self.until(lambda: len(self.kept.of("fill")) >= before + more)


def play(folder: Path, story: Callable[[Scene], Any], *assignments: str) -> Scene:
    arguments = ["--market", f"synth:{SEED}:{DAY}:1", "--trades-per-day", str(TRADES)]
    arguments += ["--account", ACCOUNT, "--start", TEN, "--speed", str(SPEED)]
    with gateway_process([*arguments, "--control-port", "0"], folder / "gateway.log") as gateway:
        scene = Scene(folder, gateway)
        asyncio.run(asyncio.wait_for(scene.play(story, *assignments), 120))
    return scene


def prints(block: TradeBlock) -> list[tuple[int, int, int]]:
    columns = block.ts_event // NS, block.price, block.size
    return list(zip(*(column.tolist() for column in columns), strict=True))


def assert_each_trade_once(scene: Scene) -> None:
    """What the state got, whatever it came from, is the market without a gap or a copy.

    Trades that were too old to decide on when they came have only been learned; they count too.
    """
    ticks = scene.trader.trader.state.ticks
    seconds = ticks.ts_event // NS
    columns = seconds.tolist(), ticks.price.tolist(), ticks.size.tolist()
    got = list(zip(*columns, strict=True))
    first = scene.kept.blocks[0].ts_event[0] // NS - 60
    last = got[-1][0] - 1
    whole = [one for one in prints(tape()) if first <= one[0] <= last]
    ours = [one for one in got if first <= one[0] <= last]
    assert len(whole) > 100
    assert Counter(whole) == Counter(ours)
    assert (np.diff(ticks.ts_event) >= 0).all()


@pytest.mark.slow
def test_a_file_that_stalls_is_left_for_the_gateway_and_taken_up_again(tmp_path: Path) -> None:
    halted: list[TradingState] = []

    async def story(scene: Scene) -> None:
        kept, switch = scene.kept, scene.trader.trader.kill_switch
        await scene.trades()
        scene.file_stalls = True
        await scene.until(lambda: len(kept.switches) == 1)
        await scene.trades(4)
        assert switch.state is TradingState.NORMAL
        scene.file_stalls = False
        await scene.until(lambda: len(kept.switches) == 2)
        await scene.trades()
        scene.file_stalls = True
        scene.fault(name="farm_lost")
        await scene.until(lambda: switch.state >= TradingState.HALT_ENTRIES)
        halted.append(switch.state)

    scene = play(tmp_path, story, "feed=sierra", 'feed_fallbacks=["ibkr"]')
    switches = scene.kept.switches
    # At the end the gateway may have had a trade more than the file before it fell silent too.
    assert [(s.left, s.taken, s.reason) for s in switches[:2]] == [
        ("sierra", "ibkr", SwitchReason.AGE),
        ("ibkr", "sierra", SwitchReason.RECOVERED),
    ]
    assert all(switch.whole for switch in switches)
    assert scene.kept.of("hole") == []
    assert halted
    assert_each_trade_once(scene)
    with JournalReader(tmp_path / "state" / "journal.db") as journal:
        told = [event.payload for event in journal.events() if event.kind == "feed_switch"]
    assert len(told) == len(switches)
    assert [(one["reason"], one["taken"]) for one in told[:2]] == [
        ("AGE", "ibkr"),
        ("RECOVERED", "sierra"),
    ]


@pytest.mark.slow
def test_with_two_feeds_to_fall_back_on_the_last_one_that_is_left_is_traded_on(
    tmp_path: Path,
) -> None:
    async def story(scene: Scene) -> None:
        kept = scene.kept
        await scene.trades()
        scene.server.cut_all()
        await scene.until(lambda: len(kept.switches) == 1)
        await scene.trades()
        scene.file_stalls = True
        await scene.until(lambda: len(kept.switches) == 2)
        await scene.trades()
        assert scene.trader.trader.kill_switch.state is TradingState.NORMAL

    scene = play(tmp_path, story, "feed=iqfeed", 'feed_fallbacks=["sierra", "ibkr"]')
    assert [(s.left, s.taken, s.reason) for s in scene.kept.switches] == [
        ("iqfeed", "sierra+ibkr", SwitchReason.LINK),
        ("sierra", "ibkr", SwitchReason.AGE),
    ]
    kinds = [(name, notice.kind) for name, notice in scene.kept.of("feed")]
    assert ("iqfeed", FeedNoticeKind.LINK_DOWN) in kinds
    assert scene.kept.of("hole") == []
    assert_each_trade_once(scene)


def test_what_is_fallen_back_on_is_another_feed_and_follows_one_with_sides(tmp_path: Path) -> None:
    folder = f"sierra.folder={tmp_path}"
    assert fallbacks(easy("feed=sierra", 'feed_fallbacks=["ibkr"]').settings) == ("ibkr",)
    # A profile's list stays as it is when another feed is chosen.
    for feed in ("ibkr", "synth"):
        settings = easy(f"feed={feed}", 'feed_fallbacks=["ibkr"]').settings
        require_feed(settings)
        assert fallbacks(settings) == ()
    with pytest.raises(ConfigError, match="feed=ibkr cannot fall back on iqfeed"):
        require_feed(easy("feed=ibkr", 'feed_fallbacks=["iqfeed"]').settings)
    with pytest.raises(ConfigError, match=r"set sierra\.folder"):
        require_feed(easy("feed=iqfeed", 'feed_fallbacks=["sierra"]').settings)
    require_feed(easy("feed=iqfeed", 'feed_fallbacks=["sierra"]', folder).settings)
    for wrong in ('["synth"]', '["ibkr", "ibkr"]'):
        with pytest.raises(ConfigError, match="feed_fallbacks"):
            easy("feed=sierra", f"feed_fallbacks={wrong}")


def test_a_simulation_in_lock_step_has_one_feed() -> None:
    gate = FeedGate(SetClock(0), lambda ts, good: None, "ESH25", 400_000)
    session = SimpleNamespace(ticks=gate, options=SimpleNamespace(lockstep=True))
    settings = easy("feed=sierra", 'feed_fallbacks=["ibkr"]').settings
    with pytest.raises(ConfigError, match="lock-step: leave feed_fallbacks out"):
        open_feed(SimpleNamespace(settings=settings, session=session), None)


def test_bars_wait_longer_for_their_trades_when_a_feed_may_take_the_place_of_another() -> None:
    alone = easy("feed=sierra").settings
    both = easy("feed=sierra", 'feed_fallbacks=["ibkr"]').settings
    assert close_delay(alone) == alone.sierra.delay_s
    assert close_delay(both) > both.sierra.delay_s
    assert close_delay(easy("feed=synth").settings) == 0.0
