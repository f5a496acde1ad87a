"""Sends brackets, keeps them protected, and believes nothing but executions.

The manager is told by a connection (it is an `OrderListener`) and tells it through an
`OrderWire`. It has no thread and never waits: the clocks are handed in, `check` is called every
second, and when `wants_query` gives a reason, somebody takes a `BrokerSnapshot` and hands it to
`mia.execution.reconciler.Reconciler`.

What is wanted (an entry gone, a position closed, a stop tighter) is written down and stays
wanted: it is sent at once where the link allows, and otherwise after the next reconciliation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import (
    CommissionReport,
    ExecutionReport,
    LinkState,
    Notice,
    OpenOrderReport,
    OrderWire,
    StatusReport,
)
from mia.core.protocols import Clock
from mia.core.trading_types import BracketOrder, Fill
from mia.errors import BrokerError
from mia.execution.orders.broker_reports import BrokerReports
from mia.execution.orders.keeper import OrderKeeper
from mia.execution.orders.recorder import OrderJournal, OrderRecorder
from mia.execution.orders.sender import OrderSender, OrderSettings
from mia.execution.orders.states import UNITS, Alarm, Bracket, FillCorrection


class OrderManager:
    """Implements `Broker`, but for the tape, and `OrderListener`.

    Parameters
    ----------
    wire : OrderWire
    journal : OrderJournal
    settings : OrderSettings
    clock : Clock
        Market or wall time of records, ns UTC.
    monotonic : callable
        Returns ns for deadlines.

    Attributes
    ----------
    keeper : OrderKeeper
        Link, queries and deadlines; the reconciler works on it.
    ledger : OrderLedger
        Our orders as they are known.
    last_price : int
        Newest traded price in ticks, 0 while unknown: reference of market orders.
    """

    def __init__(
        self,
        wire: OrderWire,
        journal: OrderJournal,
        settings: OrderSettings,
        *,
        clock: Clock,
        monotonic: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.last_price = 0
        self._log = OrderRecorder(journal, clock)
        self.ledger = self._log.ledger
        self._reports = BrokerReports(self._log, settings)
        self._sender = OrderSender(wire, self._log, settings)
        self.keeper = OrderKeeper(self._log, self._sender, self._reports, settings, monotonic)

    def submit(self, order: BracketOrder) -> None:
        """Send a bracket as one transmit chain.

        Raises
        ------
        BrokerError
            If the bracket contradicts itself, its id is known, nothing new may be opened now,
            or the journal or the connection does not take it.
        """
        _check(order)
        name = f"bracket {order.bracket_id}"
        if order.bracket_id in self.ledger.brackets:
            raise BrokerError(f"{name} was submitted before: an id serves once")
        why = self.why_no_risk
        if why:
            raise BrokerError(f"{name} is not sent: {why}")
        try:
            bracket = self._sender.send_bracket(order)
        except BrokerError:
            if order.bracket_id in self.ledger.brackets:
                broken = self.ledger.brackets[order.bracket_id]
                self.keeper.want(broken, "cancel", "its chain broke off")
                self.keeper.ask_query(f"{name} broke off")
            raise
        finally:
            self._log.wake()
        for leg in bracket.legs.values():
            self.keeper.watch(leg)

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        """Cancel what is unfilled of an entry; protection of what is filled stays."""
        bracket = self._bracket(bracket_id)
        if bracket.entry.may_fill:
            self.keeper.want(bracket, "cancel", "asked for")
            self.keeper.tend(bracket)

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        """Tighten the protective stop; a looser one, or a bracket that is done, changes nothing.

        While the link is not ready the wish is kept and carried out after the reconciliation: a
        change sent into a broken link may leave two orders alive.

        Raises
        ------
        BrokerError
            If the newest price has passed the stop already: flatten instead.
        """
        bracket = self._bracket(bracket_id)
        side = bracket.order.side
        if not bracket.is_open or (stop - bracket.stop_wanted) * side <= 0:
            return
        if bracket.position and self.last_price and (stop - self.last_price) * side >= 0:
            raise BrokerError(
                f"stop {stop} of bracket {bracket_id} would trigger at once, the market is at "
                f"{self.last_price}: flatten instead"
            )
        self._log.record("want", {"bracket_id": bracket_id, "what": "stop", "price": stop})
        self.keeper.tend(bracket)

    def flatten(self, bracket_id: str, ts: int) -> None:
        """Close a bracket at market and cancel what is unfilled of its entry.

        The market order joins the group of stop and target, which work until the position is
        zero. Once is enough; nothing happens to a bracket that is done.
        """
        bracket = self._bracket(bracket_id)
        if bracket.is_open:
            self.keeper.want(bracket, "flatten", "asked for")
            self.keeper.tend(bracket)

    def position(self, bracket_id: str) -> int:
        """Return the signed position of a bracket, by its executions."""
        return self._bracket(bracket_id).position

    def is_open(self, bracket_id: str) -> bool:
        """Whether a bracket has a position, an entry that may still fill, or fills to come."""
        return self._bracket(bracket_id).is_open

    def is_working(self, bracket_id: str) -> bool:
        """Whether a bracket's entry may still fill."""
        return self._bracket(bracket_id).entry.may_fill

    def order_ids(self, bracket_id: str) -> dict[OrderRole, int]:
        """Return the newest order id of each role of a bracket."""
        legs = self._bracket(bracket_id).legs.values()
        return {leg.role: leg.order_ids[0] for leg in legs if leg.order_ids}

    def poll(self) -> Sequence[Fill]:
        """Return the fills since the last call, in the order in which they were told."""
        return self._reports.take_fills()

    def take_corrections(self) -> list[FillCorrection]:
        """Return the corrections of fills since the last call."""
        return self._reports.take_corrections()

    def take_alarms(self) -> list[Alarm]:
        """Return the alarms since the last call."""
        return self._log.take_alarms()

    def fills(self, bracket_id: str) -> list[Fill]:
        """Return all fills of a bracket as they stand now, in order of time: for a restart."""
        return self._reports.fills_of(self._bracket(bracket_id))

    @property
    def wants_query(self) -> str:
        """Why a snapshot of the broker is needed; empty if it is not, or cannot be had."""
        return self.keeper.query if self.link is LinkState.READY else ""

    @property
    def why_no_risk(self) -> str:
        """Why nothing new may be opened now; empty if it may."""
        if self.link is not LinkState.READY:
            return f"the link to the broker is {self.link.value}"
        if not self.reconciled:
            return "orders are not reconciled with the broker yet"
        if self._log.failed:
            return "the journal does not take events"
        doubtful = next(self.ledger.unsettled(), None)
        if doubtful is not None:
            return f"order {doubtful.ref} is {doubtful.state.value} ({doubtful.reason})"
        turned = next((b for b in self.ledger.live() if b.open < 0), None)
        if turned is not None:
            return f"bracket {turned.order.bracket_id} has closed more than it is known to open"
        if self.settings.foreign == "halt":
            if self.ledger.quarantine:
                return f"position in {min(self.ledger.quarantine)} is not explained by our fills"
            if self.ledger.foreign:
                return f"order {min(self.ledger.foreign)} at the broker is not ours"
        return ""

    @property
    def unknown_position(self) -> bool:
        """Whether the kill switch should hold ``UNKNOWN_POSITION``."""
        return self.settings.foreign == "halt" and bool(
            self.ledger.quarantine or self.ledger.foreign
        )

    @property
    def link(self) -> LinkState:
        """State of the connection."""
        return self.keeper.link

    @property
    def reconciled(self) -> bool:
        """Whether what we believe was held against the broker since the link came up."""
        return self.keeper.reconciled

    def exposure(self, side: int) -> int:
        """Return what is held on one side once every entry of that side has filled.

        A position of the other side offsets nothing: its stop may close it first. Foreign
        contracts count where they are adopted.

        Returns
        -------
        int
            At least 0, in MES contracts: one ES is ten.
        """
        held = 0
        for bracket in self.ledger.live():
            told = bracket.expected * bracket.order.side
            quantity = max(0, bracket.position * side, told * side)
            if bracket.order.side == side:
                quantity += bracket.entry.remaining
            held += quantity * UNITS[bracket.order.symbol]
        if self.settings.foreign == "adopt":
            for contract, quantity in self.ledger.quarantine.items():
                held += max(0, quantity * side) * UNITS.get(contract[:-3], UNITS["ES"])
        return held

    def state_hash(self) -> str:
        """Return the hash of the ledger."""
        return self.ledger.state_hash()

    def restore(self, events: Iterable[tuple[int, int, str, Mapping[str, object]]]) -> None:
        """Take the past from the journal: (sequence, ts, kind, payload) in order.

        Fills of the past are not polled again: `fills` gives them. Nothing is sent before a
        reconciliation.
        """
        self._log.replay(events)
        self.keeper.restart()

    def check(self) -> None:
        """See to what is overdue, and that every position is protected; call it every second."""
        self.keeper.check()

    def on_status(self, report: StatusReport) -> None:
        """Take message 3."""
        self.keeper.follow_up(self._reports.on_status(report))

    def on_open_order(self, report: OpenOrderReport) -> None:
        """Take message 5."""
        self.keeper.follow_up(self._reports.on_open_order(report))

    def on_execution(self, report: ExecutionReport) -> None:
        """Take message 11."""
        self.keeper.follow_up(self._reports.on_execution(report, self.last_price))

    def on_commission(self, report: CommissionReport) -> None:
        """Take message 59."""
        self._reports.on_commission(report)

    def on_notice(self, notice: Notice) -> None:
        """Take message 4; a code never ends an order, but for definitive refusals."""
        self.keeper.follow_up(self._reports.on_notice(notice))

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection's state."""
        self.keeper.set_link(state, reason)

    def _bracket(self, bracket_id: str) -> Bracket:
        try:
            return self.ledger.brackets[bracket_id]
        except KeyError:
            raise BrokerError(f"bracket {bracket_id} was never submitted here") from None


def _check(order: BracketOrder) -> None:
    name, side = f"bracket {order.bracket_id}", order.side
    if side not in (-1, 1) or order.quantity < 1:
        raise BrokerError(f"{name}: side {side} and quantity {order.quantity} make no order")
    if order.entry_type is OrderType.STOP_LIMIT:
        raise BrokerError(f"{name}: an entry is MARKET, LIMIT or STOP")
    entry = order.stop + side if order.entry_type is OrderType.MARKET else order.entry
    if order.stop <= 0 or not order.stop * side < entry * side < order.target * side:
        raise BrokerError(
            f"{name}: entry {order.entry} must lie between stop {order.stop} and target "
            f"{order.target}, in the direction of side {side}"
        )
