"""Writes what was known, decided and done about every proposal, for those who look back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia._fast import market_state
from mia.core.base_types import BarBlock, Block
from mia.core.trading_types import ClosedTrade, Context, Decision, Fill
from mia.data.snapshot_files import SCHEMA_VERSION, SnapshotType, SnapshotWriter
from mia.execution import snapshot_blocks as blocks
from mia.execution.position.open_position import Position, trade_id

POST_TRADE_NS = 20 * 60 * 1_000_000_000
UPDATE_BARS = 10


@dataclass(slots=True)
class _Aftermath:
    """A trade whose prices after its exit are followed."""

    trade: ClosedTrade
    high: int | None = None
    low: int | None = None

    def see(self, high: int, low: int) -> None:
        self.high = high if self.high is None else max(self.high, high)
        self.low = low if self.low is None else min(self.low, low)


class TradeSnapshotter:
    """An `EventSink` that turns what the trading cycle tells into snapshots.

    It takes ``analysis``, ``decision``, ``fill``, ``position``, ``closed``, ``followed``,
    ``refused``, ``unfilled`` and ``block``, copies what may change, and leaves the rest to the
    writer's thread.

    Parameters
    ----------
    writer : SnapshotWriter
    identity : mapping
        Goes into every record: hash of the configuration and version of the code.
    quote : callable, optional
        Returns the bid and ask that stand, in ticks.
    options_at : callable, optional
        Returns the as-of time of the option chain in use, ns UTC, 0 without one.
    """

    def __init__(
        self,
        writer: SnapshotWriter,
        identity: Mapping[str, str],
        *,
        quote: Callable[[], tuple[int, int]] | None = None,
        options_at: Callable[[], int] | None = None,
    ) -> None:
        self._writer = writer
        self._identity = dict(identity)
        self._quote = quote
        self._options_at = options_at
        self._analysis: blocks.Analysis | None = None
        self._decisions: dict[str, Decision] = {}
        self._counts: dict[str, int] = {}
        self._aftermath: list[_Aftermath] = []
        self._take: dict[str, Callable[[Any], None]] = {
            "analysis": self._on_analysis,
            "decision": self._on_decision,
            "fill": self._on_fill,
            "position": self._on_position,
            "closed": self._on_closed,
            "followed": self._on_followed,
            "refused": lambda event: self._forget(event[0]),
            "unfilled": self._forget,
            "block": self._on_block,
        }

    def publish(self, topic: str, event: object) -> None:
        """Take one event of a topic that is known, pass over others."""
        take = self._take.get(topic)
        if take is not None:
            take(event)

    def stop(self) -> bool:
        """Record what is still followed as it stands, and write everything; False if late."""
        for after in self._aftermath:
            self._record_aftermath(after, after.trade.ts_exit, complete=False)
        self._aftermath.clear()
        return self._writer.stop()

    def _put(
        self,
        kind: SnapshotType,
        name: str,
        ts: int,
        session: int,
        contract: str,
        body: Callable[[], Mapping[str, Any]],
    ) -> None:
        count = self._counts.get(name, 0) + 1
        self._counts[name] = count
        # What the cycle would wait for is left to the writer's thread.
        self._writer.put(
            lambda: {
                "schema": SCHEMA_VERSION,
                "type": kind.value,
                "snapshot_id": f"{name}-{count:03d}",
                "trade_id": name,
                "ts": ts,
                "session_id": session,
                "contract": contract,
                **self._identity,
                **body(),
            }
        )

    def _on_analysis(self, event: tuple[Context, market_state.MarketState]) -> None:
        context, state = event
        quote = None if self._quote is None else self._quote()
        at = 0 if self._options_at is None else self._options_at()
        self._analysis = blocks.analysis_of(context, state, quote, at)

    def _on_decision(self, decision: Decision) -> None:
        name = trade_id(decision)
        where = (name, decision.ts, decision.session_id, decision.contract)
        analysis, self._analysis = self._analysis, None
        if analysis is not None and analysis.context.ts == decision.ts:
            known = analysis
            self._put(SnapshotType.PRE_ANALYSIS, *where, lambda: blocks.analysis_blocks(known))
        self._put(
            SnapshotType.DECISION, *where, lambda: {"decision": blocks.decision_block(decision)}
        )
        if decision.accepted:
            self._decisions[name] = decision
        else:
            self._counts.pop(name, None)

    def _forget(self, decision: Decision) -> None:
        name = trade_id(decision)
        self._decisions.pop(name, None)
        self._counts.pop(name, None)

    def _on_fill(self, fill: Fill) -> None:
        decision = self._decisions.get(fill.bracket_id)
        self._put(
            SnapshotType.EXECUTION,
            fill.bracket_id,
            fill.ts,
            0 if decision is None else decision.session_id,
            "" if decision is None else decision.contract,
            lambda: {"execution": blocks.execution_block(fill, decision)},
        )

    def _on_position(self, event: tuple[Position, Context]) -> None:
        position, context = event
        trade = position.trade
        if trade is not None and trade.bars_held and trade.bars_held % UPDATE_BARS == 0:
            body = {"position": blocks.position_block(position, context)}
            self._put(
                SnapshotType.POSITION_UPDATE,
                position.trade_id,
                context.ts,
                context.session_id,
                context.contract,
                lambda: body,
            )

    def _on_closed(self, trade: ClosedTrade) -> None:
        self._put(
            SnapshotType.FINAL_RESULT,
            trade.trade_id,
            trade.ts_exit,
            trade.session_id,
            trade.contract,
            lambda: {"result": blocks.result_block(trade)},
        )
        self._decisions.pop(trade.trade_id, None)
        self._aftermath.append(_Aftermath(trade))

    def _on_followed(self, trade: ClosedTrade) -> None:
        """Record what became on paper of a proposal that only the model refused."""
        self._put(
            SnapshotType.REFUSED_RESULT,
            trade.trade_id,
            trade.ts_exit,
            trade.session_id,
            trade.contract,
            lambda: {"result": blocks.result_block(trade)},
        )
        self._counts.pop(trade.trade_id, None)

    def _on_block(self, block: Block) -> None:
        """Follow prices after the exits of the last twenty minutes."""
        if not self._aftermath or not len(block):
            return
        if isinstance(block, BarBlock):
            ts, high, low = block.t_open, block.high, block.low
        else:
            ts, high, low = block.ts_event, block.price, block.price
        over: list[_Aftermath] = []
        for after in self._aftermath:
            trade = after.trade
            end = trade.ts_exit + POST_TRADE_NS
            inside = (ts > trade.ts_exit) & (ts <= end)
            if trade.contract == block.contract and inside.any():
                after.see(int(np.max(high[inside])), int(np.min(low[inside])))
            if int(ts[-1]) > end:
                self._record_aftermath(after, end, complete=True)
                over.append(after)
        for after in over:
            self._aftermath.remove(after)

    def _record_aftermath(self, after: _Aftermath, ts: int, *, complete: bool) -> None:
        trade = after.trade
        best, worst = (after.high, after.low) if trade.side > 0 else (after.low, after.high)
        body = {
            "exit": trade.exit,
            "best": best,
            "worst": worst,
            "best_ticks": None if best is None else trade.side * (best - trade.exit),
            "worst_ticks": None if worst is None else trade.side * (worst - trade.exit),
            "complete": complete,
        }
        self._put(
            SnapshotType.POST_TRADE,
            trade.trade_id,
            ts,
            trade.session_id,
            trade.contract,
            lambda: {"after": body},
        )
        self._counts.pop(trade.trade_id, None)
