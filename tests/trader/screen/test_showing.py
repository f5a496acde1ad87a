"""What a trader shows of itself is what it knows, and showing changes nothing."""

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from live_runs import ACCOUNT, Market, backtest, live_trader
from numpy.typing import NDArray
from run_samples import easy

from mia._fast import feature_score
from mia.backtest import Backtest
from mia.core.base_types import BattleStatus, GoldenState, Reason, Regime, TradeBlock
from mia.core.frame import Frame
from mia.core.frame_memory import NAME, FrameReader
from mia.performance.recorder import RunRecord
from mia.trader.gateway_process import gateway_process
from mia.trader.live import LiveTrader

MARKET = Market(4, 1, 20_000)
SECOND = 1_000_000_000


@dataclass
class Looker:
    """Shows the frame at events of its choice, and holds it against the trader there and then."""

    path: Path
    record: RunRecord = field(default_factory=RunRecord)
    frames: list[tuple[str, Frame]] = field(default_factory=list)
    trader: LiveTrader | None = None
    wanted: tuple[str, ...] = ("decision", "sent", "fill", "managed", "closed")

    def publish(self, topic: str, event: Any) -> None:
        self.record.publish(topic, event)
        if self.trader is not None and topic in self.wanted:
            shown = self.look()
            self.frames.append((topic, shown))
            self.check(shown)

    def look(self) -> Frame:
        assert self.trader is not None
        self.trader.screen.publish()
        with FrameReader(self.path / NAME) as reader:
            return msgspec.json.decode(reader.read().payload, type=Frame)

    def check(self, shown: Frame) -> None:
        assert self.trader is not None
        session = self.trader.session
        trader, risk = session.trader, session.trader.risk
        exposure = trader.exposure()
        assert shown.day.realized_pnl == risk.day_pnl
        assert shown.day.open_pnl == exposure.open_pnl
        assert shown.day.worst_pnl == risk.day_pnl + min(exposure.open_pnl, exposure.worst_pnl)
        assert shown.day.equity == risk.equity
        assert shown.state == trader.kill_switch.state.name
        assert sorted(shown.state_reasons) == sorted(trader.kill_switch.causes)
        working = {
            leg.ref: (leg.side, leg.quantity, leg.filled)
            for bracket in session.manager.ledger.live()
            for leg in bracket.legs.values()
            if leg.may_fill
        }
        assert {
            order.client_order_id: (order.side, order.quantity, order.filled_quantity)
            for order in shown.orders
        } == working
        position = trader.position
        if position is None:
            assert shown.held is None or shown.held.quantity
            return
        assert shown.held is not None
        proposal = position.decision.proposal
        assert shown.held.trade_id == position.trade_id
        assert shown.held.quantity == proposal.side * position.open_quantity
        assert shown.held.open_pnl == exposure.open_pnl
        assert shown.held.kind == proposal.kind.name
        if position.trade is not None:
            assert shown.held.entry == position.trade.entry
            assert shown.held.target == position.trade.target
            assert shown.held.bars_held == position.trade.bars_held


@dataclass(frozen=True)
class Shown:
    """A run that was looked at."""

    looker: Looker
    last: Frame
    state: Path
    trader: LiveTrader


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shown")
    looker = Looker(folder / "state")
    with ExitStack() as stack:
        gateway = stack.enter_context(
            gateway_process(MARKET.gateway("--by-minute"), folder / "gateway.log")
        )
        live = live_trader(gateway, MARKET, folder / "state", looker, stack)
        looker.trader = live
        asyncio.run(live.run())
    looker.trader = None
    with FrameReader(folder / "state" / NAME) as reader:
        last = msgspec.json.decode(reader.read().payload, type=Frame)
    return Shown(looker, last, folder / "state", live)


@pytest.fixture(scope="module")
def rows() -> NDArray[np.void]:
    """Return what the kernels computed at each close of the same market, in a backtest."""
    record = RunRecord()
    trader = Backtest(easy(), MARKET.tape).make_trader(record)
    trader.state.record = True
    for block in MARKET.tape.blocks():
        trader.run(block)
    return np.concatenate([*record.rows, trader.state.take_rows()])


def lines_of(shown: Shown) -> list[dict[str, Any]]:
    file = shown.state / "screen" / f"{MARKET.start}.ndjson"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_frames_were_held_against_the_trader_in_all_its_states(shown: Shown) -> None:
    topics = [topic for topic, _ in shown.looker.frames]
    assert {"decision", "sent", "fill", "managed", "closed"} <= set(topics)
    assert any(frame.held is not None and frame.held.quantity for _, frame in shown.looker.frames)
    assert any(frame.orders for _, frame in shown.looker.frames)
    assert any(frame.held is None for _, frame in shown.looker.frames)


def test_numbers_of_frames_rise_by_one(shown: Shown) -> None:
    seqs = [frame.seq for _, frame in shown.looker.frames]
    assert seqs == sorted(set(seqs))


def test_a_position_is_shown_as_protected_once_its_stop_works(shown: Shown) -> None:
    held = [f.held for t, f in shown.looker.frames if t == "managed" and f.held is not None]
    open_ones = [one for one in held if one.quantity]
    assert open_ones
    assert all(one.protected for one in open_ones)
    assert all(one.stop is not None and one.target is not None for one in open_ones)


def test_the_newest_decision_is_shown_with_gates_features_and_shares(shown: Shown) -> None:
    decisions = {d.ts: d for d in shown.looker.record.decisions}
    signals = [frame.signal for _, frame in shown.looker.frames if frame.signal is not None]
    assert {signal.ts for signal in signals} <= decisions.keys()
    assert len({signal.reason for signal in signals}) > 1
    for signal in [*signals, shown.last.signal]:
        assert signal is not None
        decision = decisions[signal.ts]
        assert (signal.ts, signal.reason) == (decision.ts, decision.reason.value)
        assert [gate.code for gate in signal.gates] == [g.code.value for g in decision.gates]
        failed = [gate.code for gate in signal.gates if not gate.passed]
        assert (failed[0] if failed else Reason.OK.value) == decision.reason.value
        for value, known, told in zip(
            decision.features, decision.valid, signal.features, strict=True
        ):
            assert told == (value if known else None)
        for told, share in zip(signal.features, signal.contributions, strict=True):
            assert (told is None) == (share is None)
        assert signal.feature_score == feature_score.score(np.array(decision.features))


def test_the_last_frame_agrees_with_the_record_of_the_run(shown: Shown) -> None:
    record, last = shown.looker.record, shown.last
    assert record.trades
    assert last.day.realized_pnl == pytest.approx(sum(t.net_pnl for t in record.trades))
    assert last.day.trades == len(record.trades)
    assert last.day.wins == sum(t.net_pnl > 0 for t in record.trades)
    assert last.counters["decisions"] == len(record.decisions)
    assert last.counters["accepted"] == sum(d.accepted for d in record.decisions)
    assert last.counters["fills"] == len(record.fills)
    assert last.counters["trades"] == len(record.trades)
    for reason in {d.reason for d in record.decisions}:
        count = sum(d.reason is reason for d in record.decisions)
        assert last.counters[f"reason_{reason.value}"] == count
    sent = last.counters["orders_buy_sent"] + last.counters["orders_sell_sent"]
    filled = last.counters["orders_buy_filled"] + last.counters["orders_sell_filled"]
    unfilled = last.counters["orders_buy_unfilled"] + last.counters["orders_sell_unfilled"]
    assert sent == len({fill.bracket_id for fill in record.fills}) + len(record.unfilled)
    assert (filled, unfilled) == (len(record.trades), len(record.unfilled))
    assert last.feed.ticks == shown.trader.session.ticks.accepted
    assert not last.ready
    assert (last.mode, last.simulated, last.contract) == ("data_collection", True, "ESH25")
    assert last.links.reconciled_at is not None
    assert (last.links.mismatches, last.links.reconnects) == (0, 0)


def test_the_account_is_covered(shown: Shown) -> None:
    assert shown.last.account == "DU****567"
    assert ACCOUNT.encode() not in (shown.state / NAME).read_bytes()


def test_the_stages_count_what_happened(shown: Shown, rows: NDArray[np.void]) -> None:
    stages = shown.last.stages
    assert list(stages) == ["data", "features", "decision", "orders", "frame"]
    assert sum(stages["features"].counts) == pytest.approx(len(rows), abs=2)
    sent = shown.last.counters["orders_buy_sent"] + shown.last.counters["orders_sell_sent"]
    assert sum(stages["orders"].counts) == sent
    for stage in stages.values():
        least = sum(count << k for k, count in enumerate(stage.counts))
        assert least <= stage.total_ns <= 2 * least


def test_every_closed_bar_is_drawn_as_the_kernels_computed_it(
    shown: Shown, rows: NDArray[np.void]
) -> None:
    bars = [line for line in lines_of(shown) if "t" in line]
    # The clock closes the last bar in a live run; a tape ends within it.
    assert [bar["t"] for bar in bars[:-1]] == rows["bar"]["t_open"].tolist()
    for bar, row in zip(bars, rows, strict=False):
        of = row["bar"]
        names = ("open", "high", "low", "close", "volume")
        assert [bar[name] for name in "ohlcv"] == [int(of[name]) for name in names]
        assert bar["d"] == of["ask_volume"] - of["bid_volume"]
        assert bar["cvd"] == row["cvd"]
        assert (bar["vwap"], bar["sd"]) == (row["vwap"], row["vwap_sd"])
        profile = [int(row[name]) if row["profile_valid"] else None for name in ("poc", "vah")]
        assert [bar["poc"], bar["vah"]] == profile
        assert bar["score"] == row["battle"]["score"]
        assert bar["regime"] == Regime(row["regime"]["regime"]).name
        prices = [price for price, _, _ in bar["rows"]]
        assert prices == list(range(int(of["low"]), int(of["high"]) + 1))
        assert sum(sold for _, sold, _ in bar["rows"]) == of["bid_volume"]
        assert sum(bought for _, _, bought in bar["rows"]) == of["ask_volume"]


def test_the_footprint_of_a_bar_is_that_of_its_trades(shown: Shown) -> None:
    bars = [line for line in lines_of(shown) if "t" in line]
    expected: dict[int, dict[int, list[int]]] = {}
    for block in MARKET.tape.blocks():
        assert isinstance(block, TradeBlock)
        columns = (block.ts_event, block.price, block.size, block.aggressor_side)
        for ts, price, size, side in zip(*(c.tolist() for c in columns), strict=True):
            cells = expected.setdefault(ts // (60 * SECOND) * 60 * SECOND, {})
            cell = cells.setdefault(price, [0, 0, 0])
            cell[1 + side] += size
    sure = 0
    for bar in bars:
        cells = expected[bar["t"]]
        if any(unknown for _, unknown, _ in cells.values()):
            continue
        sure += 1
        traded = {price: [sold, bought] for price, sold, bought in bar["rows"] if sold or bought}
        assert traded == {price: [sold, bought] for price, (sold, _, bought) in cells.items()}
    assert sure > len(bars) // 2


def test_fills_and_marks_are_drawn_in_their_order(shown: Shown) -> None:
    lines, record = lines_of(shown), shown.looker.record
    fills = [line["fill"] for line in lines if "fill" in line]
    assert [(f["t"], f["side"], f["quantity"], f["price"], f["role"]) for f in fills] == [
        (f.ts, f.side, f.quantity, f.price, f.role.value) for f in record.fills
    ]
    assert [f["trade_id"] for f in fills] == [f.bracket_id for f in record.fills]
    marks = [line["mark"] for line in lines if "mark" in line]
    assert [(m["t"], m["equity"]) for m in marks] == [(t, e) for t, _, e in record.marks]


def test_battle_and_levels_are_those_of_the_newest_close(shown: Shown) -> None:
    row, battle, levels = shown.trader.trader.state.newest, shown.last.battle, shown.last.levels
    assert row is not None
    assert battle.score == row["battle"]["score"]
    assert battle.status == BattleStatus(row["battle"]["status"]).name
    assert battle.golden_state == GoldenState(row["battle"]["state"]).name
    assert (levels.vwap, levels.poc) == (row["vwap"], row["poc"])
    assert (levels.gamma_flip, levels.options_quality, battle.vix) == (None, None, None)
    assert shown.last.counters["bars"] == shown.trader.trader.state.primary.count


def test_a_run_that_is_looked_at_decides_what_a_backtest_does(shown: Shown) -> None:
    alone, looked_at = backtest(MARKET).record, shown.looker.record
    assert looked_at.decisions == alone.decisions
    assert [f.price for f in looked_at.fills] == [f.price for f in alone.fills]


def test_uptime_counts_the_time_in_which_the_market_was_open(shown: Shown) -> None:
    last = shown.last
    assert 0 < last.ready_s <= last.session_s
