"""What is open at the broker, whether the cycle knows of it or not, and how it is left."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from mia.core.broker_types import LinkState
from mia.errors import MiaError
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.simple_trader import SimpleTrader

log = logging.getLogger(__name__)

_FAREWELL_S = 10.0


class OpenBrackets:
    """Cancels and closes what is ours at the broker.

    Parameters
    ----------
    trader : SimpleTrader
    broker : IbkrBroker
    """

    def __init__(self, trader: SimpleTrader, broker: IbkrBroker) -> None:
        self._trader = trader
        self._broker = broker
        self._manager = broker.manager

    @property
    def are_none(self) -> bool:
        """Whether no entry works and nothing is held."""
        return self._trader.position is None and not any(self._beside_the_cycle())

    def held_beside_the_cycle(self) -> Iterator[str]:
        """Yield the brackets with a position that is not the cycle's."""
        position = self._trader.position
        ours = None if position is None else position.trade_id
        for bracket in self._manager.ledger.live():
            if bracket.position and bracket.order.bracket_id != ours:
                yield bracket.order.bracket_id

    def _beside_the_cycle(self) -> Iterator[str]:
        """Yield the open brackets that are ours and that the cycle knows nothing of.

        They were taken back from the broker without their journal, or filled after their end.
        """
        position = self._trader.position
        managed = "" if position is None else position.trade_id
        for bracket in self._manager.ledger.live():
            name = bracket.order.bracket_id
            if name != managed and bracket.is_open:
                yield name

    def obey(self, command: str, now: int) -> None:
        """Do at once what a command asks for beside the state that it sets."""
        if command == "reset":
            self._broker.gate.reopen()
        position = self._trader.position
        if position is not None and command in ("halt", "flatten"):
            self._broker.cancel_entry(position.trade_id, now)
            position.bars_left = 0

    def close_beside_the_cycle(self, now: int) -> None:
        """Cancel and close what the cycle knows nothing of."""
        for name in list(self._beside_the_cycle()):
            self._broker.cancel_entry(name, now)
            self._broker.flatten(name, now)

    def leave_nothing(self, now: int) -> None:
        """Cancel our entries and close our positions, as far as the broker can be reached."""
        # What the cycle holds may be what went wrong: the ledger knows everything that is ours.
        for bracket in self._manager.ledger.live():
            name = bracket.order.bracket_id
            try:
                self._broker.cancel_entry(name, now)
                self._broker.flatten(name, now)
            except MiaError as error:
                log.error("could not close %s: %s", name, error)

    def leave_entry(self, now: int) -> None:
        """Cancel an entry that works; a position keeps its stop and its target."""
        position = self._trader.position
        if position is not None and position.entry_works:
            with suppress(MiaError):
                self._broker.cancel_entry(position.trade_id, now)

    async def farewell(self, *, flat: bool, ask: Callable[[], None]) -> None:
        """Give the broker time to cancel what works and, if asked, to close what is held.

        Parameters
        ----------
        flat : bool
            Whether positions are being closed.
        ask : callable
            Called on each round: moves a market that stands still without it.
        """
        until = time.monotonic() + _FAREWELL_S
        names = [bracket.order.bracket_id for bracket in self._manager.ledger.live()]
        while time.monotonic() < until:
            left = self._manager.is_open if flat else self._manager.is_working
            if not any(map(left, names)) or self._manager.link is not LinkState.READY:
                return
            self._manager.check()
            ask()
            await asyncio.sleep(0.05)
