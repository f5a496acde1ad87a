"""The trader's life on a gateway process: stopped, started again, and run without sending."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from live_runs import Market, ask_control, backtest, live_trader, store_of
from run_samples import easy

from mia.core.base_types import ExitReason, OrderRole
from mia.core.trading_types import Fill
from mia.performance.recorder import RunRecord
from mia.trader.gateway_process import gateway_process

MARKET = Market(4, 1, 80_000)
THIN = Market(4, 1, 20_000)


@dataclass
class Stopper:
    """Sends this process a signal when the entry of a trade has filled."""

    trade_id: str
    number: int
    record: RunRecord = field(default_factory=RunRecord)
    sent: bool = False

    def publish(self, topic: str, event: Any) -> None:
        self.record.publish(topic, event)
        ours = isinstance(event, Fill) and event.bracket_id == self.trade_id
        if ours and topic == "fill" and event.role is OrderRole.ENTRY and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


def fill_of(fill: Fill) -> tuple[object, ...]:
    return (fill.bracket_id, fill.role, fill.ts, fill.side, fill.quantity, fill.price)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_position_outlives_an_orderly_stop_and_the_next_start_finishes_it(
    tmp_path: Path, number: int
) -> None:
    whole = backtest(MARKET)
    resting = (ExitReason.STOP, ExitReason.TARGET)
    # A signal takes some steps of the market to be heard: the position must still be there then.
    candidates = [t for t in whole.record.trades if t.exit_reason in resting]
    chosen = max(candidates, key=lambda t: t.bars_held)
    assert chosen.bars_held > 3
    with ExitStack() as stack:
        gateway = stack.enter_context(
            gateway_process(
                MARKET.gateway("--by-minute", "--control-port", "0"), tmp_path / "gateway.log"
            )
        )
        stopper = Stopper(chosen.trade_id, number)
        with ExitStack() as first:
            live = live_trader(gateway, MARKET, tmp_path / "state", stopper, first)
            asyncio.run(live.run())
        assert live.stopped_by == number
        assert live.trader.position is not None
        stopped_at = live.session.now

        held = sum(p["quantity"] for p in ask_control(gateway, "positions")["positions"])
        assert held == chosen.side * live.trader.position.open_quantity
        open_refs = {
            order["order_ref"]
            for order in ask_control(gateway, "orders")["orders"]
            if order["status"] in ("Submitted", "PreSubmitted")
        }
        assert open_refs == {f"{chosen.trade_id}:S", f"{chosen.trade_id}:T"}

        after = RunRecord()
        recorded = easy(f"live.history={store_of(tmp_path, MARKET)}")
        again = live_trader(
            gateway, MARKET, tmp_path / "state", after, stack, recorded, now=stopped_at
        )
        assert again.trader.position is not None
        asyncio.run(again.run())

    fills = [fill_of(fill) for fill in (*stopper.record.fills, *after.fills)]
    assert fills == [fill_of(fill) for fill in whole.record.fills]
    trades = [*stopper.record.trades, *after.trades]
    assert [(t.trade_id, t.net_pnl, t.exit_reason, t.bars_held) for t in trades] == [
        (t.trade_id, t.net_pnl, t.exit_reason, t.bars_held) for t in whole.record.trades
    ]
    assert again.trader.risk.equity == pytest.approx(whole.trader.risk.equity)
    decisions = [*stopper.record.decisions, *after.decisions]
    assert [repr(d) for d in decisions] == [repr(d) for d in whole.record.decisions]


def test_a_dry_run_decides_and_sends_nothing(tmp_path: Path) -> None:
    whole = backtest(THIN)
    refused: list[str] = []

    class Listener(RunRecord):
        def publish(self, topic: str, event: object) -> None:
            if topic == "refused":
                _, refusal = event  # type: ignore[misc]
                refused.append(refusal.code)
            RunRecord.publish(self, topic, event)

    listener = Listener()
    with ExitStack() as stack:
        gateway = stack.enter_context(
            gateway_process(
                THIN.gateway("--by-minute", "--control-port", "0"), tmp_path / "gateway.log"
            )
        )
        live = live_trader(gateway, THIN, tmp_path / "state", listener, stack, dry_run=True)
        asyncio.run(live.run())
        assert ask_control(gateway, "orders")["orders"] == []
        assert ask_control(gateway, "positions")["positions"] == []
    accepted = [d for d in listener.decisions if d.accepted]
    assert Counter(refused) == {"DRY_RUN": len(accepted)}
    assert len(accepted) >= sum(d.accepted for d in whole.record.decisions) > 0
    assert listener.fills == []
