"""The trader on feeds of their own: a `.scid` file that grows, and IQConnect over TCP."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from iqfeed_server import IQConnect
from run_samples import EASY, easy
from sierra_writer import SetClock

import mia.trader.assembly
from mia.backtest import Backtest
from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNoticeKind
from mia.core.sierra.scid_records import EPOCH_US, HEADER, RECORD_DTYPE
from mia.core.state_hash import state_hash
from mia.data.exporters import write_scid
from mia.data.history_stitch import Hole
from mia.data.journal_reader import JournalReader
from mia.data.synthetic.market import SyntheticMarket
from mia.data.synthetic.sierra_file import SierraFiles
from mia.data.tape import Selection, open_tape, synthetic_tape
from mia.data.wire_tape import as_wire
from mia.errors import ConfigError
from mia.execution.assembly import fit_settings, market_state
from mia.performance.recorder import RunRecord
from mia.trader.gateway_process import GatewayProcess, gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions
from mia.trader.sierra_process import sierra_process
from mia.trader.sources.feeds import FeedPlace, SierraFeed

ACCOUNT = "DU1234567"
SEED, START, TRADES = 41, 20250310, 20_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
OPEN = sessions.session_open(START)
MARKET = SyntheticMarket(SEED, START, 1, trades_per_day=TRADES)
NAMES = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
QUIET = ("live.hole_s=3000", "live.hole_rth_s=600")
"""The thin synthetic market is silent for longer than the real one."""


class Kept:
    """Keeps what a run publishes."""

    def __init__(self) -> None:
        self.record = RunRecord()
        self.events: list[tuple[str, Any]] = []

    def publish(self, topic: str, event: Any) -> None:
        self.record.publish(topic, event)
        if topic in ("block", "feed", "hole", "repaired"):
            self.events.append((topic, event))

    def of(self, topic: str) -> list[Any]:
        return [event for name, event in self.events if name == topic]

    def trades(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(block, name) for block in self.of("block")])


def at(hour: float) -> int:
    """Return the last second before an hour of New York in the session."""
    return OPEN + round((hour + 6.0) * 3600) * SECOND - SECOND


def tape_until(end: int) -> TradeBlock:
    """Return the market up to the end of a second."""
    block = next(synthetic_tape(SEED, START, 1, TRADES).blocks())
    assert isinstance(block, TradeBlock)
    stop = int(np.searchsorted(block.ts_event, end + SECOND))
    return replace(block, **{name: getattr(block, name)[:stop] for name in NAMES})


@contextmanager
def gateway(folder: Path, *more: str) -> Iterator[GatewayProcess]:
    folder.mkdir(exist_ok=True)
    market = ("--market", f"synth:{SEED}:{START}:1", "--trades-per-day", str(TRADES))
    arguments = [*market, "--account", ACCOUNT, *(more or ("--lockstep", "--by-minute"))]
    with gateway_process(arguments, folder / "gateway.log") as process:
        yield process


def run(
    gateway: GatewayProcess,
    folder: Path,
    pace: Callable[[int], object],
    *,
    now: int = OPEN,
    end: int,
) -> tuple[LiveTrader, Kept]:
    """Run a trader on the `.scid` files of a folder until a time of the market."""
    kept = Kept()
    loaded = easy("feed=sierra", f"sierra.folder={folder / 'sierra'}", *QUIET)
    with ExitStack() as stack:
        options = LiveOptions(
            gateway.host,
            gateway.port,
            ACCOUNT,
            folder / "state",
            kept,
            lockstep=True,
            now=now,
            end=end,
            pace=pace,  # type: ignore[arg-type]
        )
        trader = LiveTrader(loaded, options, stack)
        asyncio.run(trader.run())
        kept.record.rows.append(trader.trader.state.take_rows())
        return trader, kept


@contextmanager
def writer(folder: Path) -> Iterator[Callable[[int], None]]:
    """Let a process write the market to a folder."""
    (folder / "sierra").mkdir(parents=True)
    market = (SEED, START, 1, TRADES)
    with sierra_process(folder / "sierra", market, 500, folder / "writer.log") as process:
        yield process.pace


def journalled(folder: Path, kind: str) -> list[dict[str, Any]]:
    with JournalReader(folder / "state" / "journal.db") as journal:
        return [event.payload for event in journal.events() if event.kind == kind]


@contextmanager
def recorded_rows() -> Iterator[None]:
    """Let the traders of a block record the rows of their kernels."""
    made = mia.trader.assembly.market_state

    def recording(*arguments: Any, record: bool) -> Any:
        return made(*arguments, record=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mia.trader.assembly, "market_state", recording)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveTrader, Kept]:
    """Run without interruption, rows recorded."""
    folder = tmp_path_factory.mktemp("whole")
    with gateway(folder) as here, writer(folder) as pace, recorded_rows():
        return run(here, folder, pace, end=at(11))


@pytest.mark.slow
def test_the_cycle_gets_what_the_file_got_tick_by_tick(whole: tuple[LiveTrader, Kept]) -> None:
    _, kept = whole
    block = tape_until(at(11))
    for name in NAMES:
        expected = getattr(block, name)
        if name == "ts_event":
            # A file keeps milliseconds.
            expected = expected // 1_000_000 * 1_000_000
        np.testing.assert_array_equal(kept.trades(name), expected, err_msg=name)
    assert kept.of("hole") == []


@pytest.mark.slow
def test_it_trades(whole: tuple[LiveTrader, Kept]) -> None:
    _, kept = whole
    assert kept.record.trades
    assert kept.record.fills


@pytest.mark.slow
def test_a_restart_in_mid_session_gives_the_rows_of_an_uninterrupted_run(
    whole, tmp_path: Path
) -> None:
    trader, kept = whole
    with gateway(tmp_path) as here, writer(tmp_path) as pace, recorded_rows():
        run(here, tmp_path, pace, end=at(10.25))
        again, later = run(here, tmp_path, pace, now=at(10.25), end=at(11))
    rows = np.concatenate(kept.record.rows)
    assert len(rows) > 400
    assert np.concatenate(later.record.rows).tobytes() == rows.tobytes()
    assert state_hash(again.trader.state) == state_hash(trader.trader.state)
    new = [d for d in kept.record.decisions if d.ts > at(10.25)]
    assert new
    assert [repr(d) for d in later.record.decisions] == [repr(d) for d in new]
    assert later.of("hole") == []


@pytest.mark.slow
def test_trades_that_the_file_never_got_are_a_hole_and_the_session_trades_no_more(
    tmp_path: Path,
) -> None:
    since, until = at(9.75), at(10.0)
    (tmp_path / "sierra").mkdir()
    files = SierraFiles(tmp_path / "sierra", MARKET, 500)
    path = tmp_path / "sierra" / "ESH25-CME.scid"

    def pace(ts: int) -> None:
        if since < ts <= until:
            return
        if ts > until and path.stat().st_size and not done:
            size = path.stat().st_size
            files.advance(until)
            with path.open("r+b") as file:
                file.truncate(size)
            done.append(size)
        files.advance(ts)

    done: list[int] = []
    with gateway(tmp_path) as here:
        trader, kept = run(here, tmp_path, pace, end=at(10.75))
    (hole,) = kept.of("hole")
    block = tape_until(at(10.75))
    before = block.ts_event[block.ts_event < since + SECOND][-1] // 1_000_000 * 1_000_000
    after = block.ts_event[block.ts_event >= until + SECOND][0] // 1_000_000 * 1_000_000
    assert hole == Hole(int(before), int(after))
    assert journalled(tmp_path, "hole") == [{"since": hole.since, "until": hole.until}]
    assert len(kept.trades("price")) == len(block) - count_between(block, since, until)
    accepted = [d.ts for d in kept.record.decisions if d.accepted]
    assert not [ts for ts in accepted if ts > until]
    assert trader.trader.position is None


@pytest.mark.slow
def test_a_file_written_anew_without_the_newest_trades_is_a_gap_with_a_reason(
    tmp_path: Path,
) -> None:
    when, begins = at(2.0), at(2.5)
    (tmp_path / "sierra").mkdir()
    files = SierraFiles(tmp_path / "sierra", MARKET, 500)
    path = tmp_path / "sierra" / "ESH25-CME.scid"
    cut: list[int] = []

    def pace(ts: int) -> None:
        if when < ts <= begins:
            return
        files.advance(ts)
        if ts > begins and not cut:
            whole = path.read_bytes()
            records = np.frombuffer(whole, RECORD_DTYPE, offset=HEADER.size)
            first = int(np.searchsorted((records["time"] - EPOCH_US) * 1000, begins))
            cut.append(first)
            path.unlink()
            path.write_bytes(whole[: HEADER.size] + records[first:].tobytes())

    with gateway(tmp_path) as here:
        _, kept = run(here, tmp_path, pace, end=at(3.0))
    assert cut
    kinds = [notice.kind for _, notice in kept.of("feed")]
    assert FeedNoticeKind.GAP in kinds
    events = journalled(tmp_path, "feed")
    assert [event["kind"] for event in events] == [kind.value for kind in kinds]
    gap = next(event for event in events if event["kind"] == "GAP")
    hole = kept.of("hole")[0]
    assert (hole.since, hole.until) == (gap["ts_from"], gap["ts_to"])
    block = tape_until(at(3.0))
    assert len(kept.trades("price")) == len(block) - count_between(block, when, begins - SECOND)


def count_between(block: TradeBlock, since: int, until: int) -> int:
    """Count the trades after the second of `since` up to that of `until`."""
    first, last = np.searchsorted(block.ts_event, [since + SECOND, until + SECOND])
    return int(last - first)


def test_a_folder_that_is_not_set_or_not_there_is_told_before_anything_connects(
    tmp_path: Path,
) -> None:
    kept = Kept()
    options = LiveOptions("127.0.0.1", 1, ACCOUNT, tmp_path / "state", kept)
    for more, words in (
        ((), "set sierra.folder"),
        ((f"sierra.folder={tmp_path / 'nowhere'}",), "is no folder"),
    ):
        with ExitStack() as stack, pytest.raises(ConfigError, match=words):
            LiveTrader(easy("feed=sierra", *more), options, stack)


def test_others_have_their_turn_while_a_long_session_is_learned(tmp_path: Path) -> None:
    now = OPEN + 23 * 3600 * SECOND
    SierraFiles(tmp_path, MARKET, 500).advance(now)
    learned: list[TradeBlock] = []
    turns: list[int] = []
    intake = SimpleNamespace(
        on_notice=lambda notice: None, begin=lambda ts: None, learn=learned.append, holes=0
    )
    session = SimpleNamespace(options=SimpleNamespace(lockstep=False), now=now)
    settings = easy("feed=sierra", f"sierra.folder={tmp_path}").settings
    contract = SimpleNamespace(name="ESH25", symbol="ES")

    async def count() -> None:
        while True:
            turns.append(len(learned))
            await asyncio.sleep(0)

    async def learn() -> None:
        place = FeedPlace(settings, session, None, contract, SetClock(now))
        feed = SierraFeed(place, intake)
        counting = asyncio.create_task(count())
        await feed.learn()
        counting.cancel()
        feed.close()

    asyncio.run(learn())
    # Between any two pieces of the file, links were answered and orders seen to.
    assert len(learned) >= 4
    assert set(turns) >= set(range(1, len(learned)))
    whole = tape_until(now)
    assert np.concatenate([block.price for block in learned]).tolist() == whole.price.tolist()


def run_iqfeed(
    folder: Path, server: IQConnect, enough: Callable[[LiveTrader], bool]
) -> tuple[LiveTrader, Kept]:
    """Run a trader on IQConnect until it has seen enough; the gateway only takes orders."""
    kept = Kept()

    async def scene(here: GatewayProcess, stack: ExitStack) -> LiveTrader:
        async with server.running():
            loaded = easy(
                "feed=iqfeed",
                f"iqfeed.level1_port={server.ports['level1']}",
                f"iqfeed.lookup_port={server.ports['lookup']}",
                *QUIET,
            )
            options = LiveOptions(here.host, here.port, ACCOUNT, folder / "state", kept, now=OPEN)
            trader = LiveTrader(loaded, options, stack)
            task = asyncio.create_task(trader.run())
            async with asyncio.timeout(40):
                while not enough(trader) and not task.done():
                    await asyncio.sleep(0.02)
            trader.session.stop()
            await task
            return trader

    with gateway(folder, "--speed", "1") as here, ExitStack() as stack:
        return asyncio.run(scene(here, stack)), kept


def reference(block: TradeBlock) -> str:
    """Hash the state that has seen a block."""
    plan = fit_settings(easy(*QUIET), 0)
    state = market_state(plan, START, sessions.next_trading_day(START), 0, record=False)
    state.wake = 0
    columns = (block.ts_event, block.price, block.size, block.aggressor_side)
    start = 0
    while start < len(block):
        start = state.advance(*columns, start)
    return state_hash(state)


def micros(block: TradeBlock) -> TradeBlock:
    """Return a block with times as IQFeed tells them."""
    return replace(block, ts_event=block.ts_event // 1000 * 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cuts",
    [
        [900],
        pytest.param([], marks=pytest.mark.slow),
        pytest.param([500, 1300], marks=pytest.mark.slow),
    ],
)
def test_the_cycle_sees_each_trade_of_iqfeed_once_whatever_the_connection_does(
    tmp_path: Path, cuts: list[int]
) -> None:
    block = micros(tape_until(at(3)))
    server = IQConnect(block)
    server.drop_after = list(cuts)
    newest = int(block.ts_event[-1])

    def all_of_it(trader: LiveTrader) -> bool:
        ticks = trader.trader.state.ticks.ts_event
        return len(ticks) > 0 and int(ticks[-1]) == newest and not trader.session.is_mending

    trader, kept = run_iqfeed(tmp_path, server, all_of_it)
    assert state_hash(trader.trader.state) == reference(block)
    assert kept.of("hole") == []
    kinds = [event["kind"] for event in journalled(tmp_path, "feed")]
    assert kinds.count("LINK_UP") == 1 + len(cuts)
    assert kinds.count("GAP") == len(cuts)


@pytest.mark.slow
def test_what_iqfeed_never_sent_and_cannot_tell_is_a_hole_in_the_state(tmp_path: Path) -> None:
    block = micros(tape_until(at(3)))
    server = IQConnect(block)
    server.drop_after, server.missed = [900], 40
    newest = int(block.ts_event[-1])

    def all_of_it(trader: LiveTrader) -> bool:
        if trader.session.is_ready:
            server.no_history = True
        ticks = trader.trader.state.ticks.ts_event
        return len(ticks) > 0 and int(ticks[-1]) == newest and not trader.session.is_mending

    trader, kept = run_iqfeed(tmp_path, server, all_of_it)
    assert sum(done.holes for done in kept.of("repaired")) >= 1
    assert state_hash(trader.trader.state) != reference(block)


def demo(folder: Path, *assignments: str) -> dict[str, Any]:
    """Run the trader as a program on a simulated market; return its summary."""
    settings = [part for text in assignments for part in ("--set", text)]
    command = [sys.executable, "-m", "mia.trader", "--config", "demo", "--json", "--quiet"]
    done = subprocess.run(
        [*command, "--out", str(folder), *settings],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_size > 0
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_demo_trades_from_a_growing_file_twice_the_same(tmp_path: Path) -> None:
    activity = f"demo.trades_per_day={TRADES}"
    quiet = ("live.hole_rth_s=600", "live.hole_s=3000")
    first, second = (
        demo(tmp_path / name, "feed=sierra", activity, *quiet) for name in ("first", "second")
    )
    file = tmp_path / "first" / "sierra" / "ESH25-CME.scid"
    records = np.frombuffer(file.read_bytes(), RECORD_DTYPE, offset=HEADER.size)
    assert first["ticks"] == len(next(MARKET.blocks()))
    assert len(records) >= first["ticks"]
    for key in ("decisions", "trades", "net_pnl_usd", "rejections", "bars"):
        assert first[key] == second[key], key
    assert first["decisions"] > 0


@pytest.mark.slow
def test_a_recorded_file_is_replayed_as_its_backtest_trades(tmp_path: Path) -> None:
    path = tmp_path / "ESH25-CME.scid"
    write_scid(path, next(MARKET.blocks()))
    summary = demo(tmp_path / "out", "feed=replay", f"replay.source={path}", *EASY)
    with open_tape(path, Selection()) as tape:
        expected = Backtest(easy(), as_wire(tape)).run().record
    assert expected.trades
    assert summary["trades"] == len(expected.trades)
    assert summary["net_pnl_usd"] == pytest.approx(sum(t.net_pnl for t in expected.trades))
    assert summary["decisions"] == len(expected.decisions)
