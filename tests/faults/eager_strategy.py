"""A strategy for faults: brackets as often as it may, whatever the market does."""

from pathlib import Path
from typing import Any

from trading_cases import a_context

from mia.core import sessions
from mia.core.base_types import (
    OrderType,
    Phase,
    Reason,
    Regime,
    SetupKind,
    Signal,
    Strategy,
    TradeBlock,
)
from mia.core.trading_types import Decision, Proposal
from mia.errors import BrokerError
from mia.trader.live import LiveTrader

SECOND = 1_000_000_000


class EagerStrategy:
    """Takes the place of the signal generator: it is asked after every block of trades."""

    def __init__(self, live: LiveTrader, wish: dict[str, Any]) -> None:
        self._live = live
        self._wish = wish
        self._side = int(wish.get("side", 0))
        self._pause = round(float(wish.get("pause_s", 15.0)) * SECOND)
        self._next = 0
        self._count = 0

    def held(self) -> int:
        position = self._live.trader.position
        return 0 if position is None else position.open_quantity

    def on_block(self, block: TradeBlock) -> None:
        trader = self._live.trader
        now, price = self._live.session.now, int(block.price[-1])
        if self._wish.get("hostile"):
            # Not before the market is known to trade: all that came earlier would be refused.
            if self._live.session.status.is_halted(now) is False:
                for _ in range(int(self._wish["hostile"])):
                    held, trader.position = trader.position, None
                    self._send(now, price)
                    trader.position = trader.position or held
            return
        position = trader.position
        if position is None:
            hold = self._wish.get("hold")
            if hold and Path(hold).exists():
                return
            if now >= self._next and not trader.kill_switch.state:
                self._next = now + self._pause
                self._send(now, price)
            return
        side = position.decision.proposal.side
        if self._wish.get("trail") and position.open_quantity:
            stop = price - side * int(self._wish.get("distance", 8))
            try:
                trader.broker.modify_stop(position.trade_id, stop, now)
            except BrokerError:
                trader.broker.flatten(position.trade_id, now)
        close_s = float(self._wish.get("close_s", 0.0))
        age = now - position.decision.ts
        if close_s and age > close_s * SECOND:
            if position.open_quantity:
                trader.broker.flatten(position.trade_id, now)
            else:
                trader.broker.cancel_entry(position.trade_id, now)

    def _send(self, now: int, price: int) -> None:
        trader, wish = self._live.trader, self._wish
        self._count += 1
        side = self._side or (1 if (now // SECOND + self._count) % 2 else -1)
        distance = int(wish.get("distance", 8))
        kind = OrderType[wish.get("kind", "MARKET")]
        entry = price if kind is OrderType.MARKET else price - side * int(wish.get("away", 1))
        stop, target = entry - side * distance, entry + side * distance
        proposal = Proposal(
            Strategy.TREND,
            SetupKind.T1,
            side,
            0.8,
            kind,
            entry,
            stop,
            target,
            distance,
            int(wish.get("bars", 1000)),
        )
        session = sessions.session_id(now)
        context = a_context(
            ts=now,
            t_open=now,
            session_id=session,
            contract=trader.contract,
            close=price,
            t_rth_close=int(sessions.session_table(session, session)["t_rth_close"][0]),
        )
        decision = Decision(
            now,
            session,
            trader.contract,
            proposal,
            Signal.LONG_TREND if side > 0 else Signal.SHORT_TREND,
            Reason.OK,
            0.8,
            "good",
            {},
            (),
            "MES",
            int(wish.get("quantity", 1)),
            {},
            context.features,
            context.valid,
            Regime.STRONG_TREND_BULL,
            Phase.ny_open,
        )
        trader._session_facts(context)
        refusal = trader._submit(decision, context)
        if refusal is not None:
            trader._refuse(decision, context, refusal)
