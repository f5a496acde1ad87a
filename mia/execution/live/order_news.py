"""What the order manager has learned, taken to the cycle and to the kill switch."""

import logging

from mia.config.instruments import INSTRUMENTS
from mia.core import sessions
from mia.core.base_types import TradingState
from mia.core.protocols import EventSink
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.orders.states import Trouble
from mia.execution.simple_trader import SimpleTrader

log = logging.getLogger(__name__)


class OrderNews:
    """Takes fills, late fills, corrections and alarms on.

    Parameters
    ----------
    trader : SimpleTrader
    broker : IbkrBroker
    bus : EventSink
        Told of ``orphan_fill``, ``late_correction`` and ``alarm``.
    """

    def __init__(self, trader: SimpleTrader, broker: IbkrBroker, bus: EventSink) -> None:
        self._trader = trader
        self._broker = broker
        self._manager = broker.manager
        self._bus = bus
        self._orphan_cash: dict[str, tuple[int, float]] = {}

    def collect(self, now: int) -> None:
        """Take on whatever there is at `now`, ns UTC."""
        self._trader.collect()
        self._book_orphans(now)
        for change in self._manager.take_corrections():
            old = (change.role, change.old_quantity, change.old_price)
            if not self._trader.correct(change.bracket_id, old, change.quantity, change.price):
                self._bus.publish("late_correction", change)
        self._heed_alarms(now)

    def _book_orphans(self, now: int) -> None:
        """Book what late fills of brackets that were done cost, once they are flat again."""
        for fill in self._broker.take_orphans():
            self._bus.publish("orphan_fill", fill)
            self._trader.kill_switch.record_trouble(now, TradingState.HALT_ENTRIES)
            held, cash = self._orphan_cash.get(fill.bracket_id, (0, 0.0))
            value = INSTRUMENTS[self._symbol(fill.bracket_id)].tick_value
            held += fill.side * fill.quantity
            cash -= fill.side * fill.quantity * fill.price * value + fill.commission
            self._orphan_cash[fill.bracket_id] = (held, cash)
            if held == 0:
                self._trader.risk.adjust(cash)
                del self._orphan_cash[fill.bracket_id]

    def _symbol(self, bracket_id: str) -> str:
        return self._manager.ledger.brackets[bracket_id].order.symbol

    def _heed_alarms(self, now: int) -> None:
        switch = self._trader.kill_switch
        for alarm in self._manager.take_alarms():
            self._bus.publish("alarm", alarm)
            log.warning("%s %s: %s", alarm.trouble.value, alarm.subject, alarm.text)
            if alarm.trouble is Trouble.REJECT:
                switch.record_reject(now, sessions.session_id(now))
            elif alarm.trouble not in (Trouble.UNKNOWN_ORDER, Trouble.UNKNOWN_POSITION):
                switch.record_trouble(now, alarm.halt)
