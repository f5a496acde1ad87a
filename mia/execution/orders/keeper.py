"""Keeps brackets as they should be: sends what they need, watches what is overdue.

Everything is bounded. The same thing is tried `OrderSettings.attempts` times on one connection;
then an alarm takes the place of the next try.
"""

from collections.abc import Callable

from mia.core.base_types import OrderRole, TradingState
from mia.core.broker_types import LinkState
from mia.errors import BrokerError
from mia.execution.orders.broker_reports import BrokerReports
from mia.execution.orders.deadlines import Deadlines
from mia.execution.orders.protection import Act, Need, is_protected, needs
from mia.execution.orders.recorder import OrderRecorder
from mia.execution.orders.sender import OrderSender, OrderSettings
from mia.execution.orders.states import Bracket, Leg, LegState, Trouble

HALT = TradingState.HALT_ENTRIES


class OrderKeeper:
    """State of the link, queries, deadlines, and the sending of what is needed.

    Parameters
    ----------
    log : OrderRecorder
    sender : OrderSender
    reports : BrokerReports
    settings : OrderSettings
    monotonic : callable
        Returns ns for deadlines.

    Attributes
    ----------
    link : LinkState
    reconciled : bool
        Whether what we believe was held against the broker since the link came up.
    query : str
        Why a snapshot of the broker is needed, empty if it is not.
    """

    def __init__(
        self,
        log: OrderRecorder,
        sender: OrderSender,
        reports: BrokerReports,
        settings: OrderSettings,
        monotonic: Callable[[], int],
    ) -> None:
        self.log = log
        self.ledger = log.ledger
        self.reports = reports
        self.settings = settings
        self.link = LinkState.DISCONNECTED
        self.reconciled = False
        self.query = "start"
        self._sender = sender
        self._deadlines = Deadlines(monotonic)
        self._query_mark = 0
        self._tries: dict[str, int] = {}

    @property
    def may_act(self) -> bool:
        """Whether orders may be sent: the link stands and what we believe was checked on it."""
        return self.link is LinkState.READY and self.reconciled

    def set_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the link; one that was lost needs a reconciliation."""
        if state is not LinkState.READY:
            self.reconciled = False
        elif self.link is not LinkState.READY:
            self._require_reconciliation(f"the link is back: {reason}")
        self.link = state

    def _require_reconciliation(self, why: str) -> None:
        self.reconciled = False
        self._tries.clear()
        self._deadlines.clear()
        self.ask_query(why)

    def restart(self) -> None:
        """Trust nothing until a reconciliation."""
        self.reports.forget_fills()
        self._require_reconciliation("restart")

    def ask_query(self, why: str) -> None:
        """Ask for a snapshot of the broker."""
        self.query = self.query or why

    def begin_query(self) -> None:
        """Note that a snapshot is being asked for: what is sent from now on it may not show."""
        self.query = ""
        self._query_mark = self._sender.sends
        self.reports.touched.clear()
        self.reports.heard.clear()
        self.reports.doubted.clear()

    def is_judged(self, leg: Leg) -> bool:
        """Tell whether a snapshot begun at `begin_query` must show an order if it lives."""
        return self._sender.last_send.get(leg.ref, 0) <= self._query_mark

    def unlock(self) -> None:
        """Let orders be sent again, after a complete reconciliation; protection comes first."""
        self.reconciled = True
        for bracket in self.ledger.live():
            for leg in bracket.legs.values():
                self.watch(leg)
            self.tend(bracket)

    def watch(self, leg: Leg) -> None:
        """Begin or end the deadlines that the state of an order calls for."""
        settings, ref = self.settings, leg.ref
        wanted = {
            "ack": (leg.state is LegState.SENT, settings.ack_ns),
            "query": (leg.unsettled, settings.query_ns),
            "fills": (leg.missing > 0, settings.fills_ns),
            "end": (leg.state is LegState.PENDING_CANCEL, settings.cancel_ns),
            "change": (leg.may_fill and leg.changing, settings.change_ns),
            "flat": (leg.may_fill and leg.role is OrderRole.FLATTEN, settings.flat_ns),
        }
        for what, (holds, lasts) in wanted.items():
            if holds:
                self._deadlines.start((ref, what), lasts)
            else:
                self._deadlines.stop((ref, what))

    def follow_up(self, leg: Leg | None) -> None:
        """Do what a report about an order, or about none of ours, calls for."""
        query = self.reports.take_query()
        if query:
            self.ask_query(query)
        if leg is None:
            return
        self.reports.heard.add(leg.ref)
        bracket = self.ledger.brackets[leg.bracket_id]
        self.reports.judge(bracket)
        query = self.reports.take_query()
        if query:
            self.ask_query(query)
        for each in bracket.legs.values():
            self.watch(each)
        self.tend(bracket)

    def want(self, bracket: Bracket, what: str, why: str) -> None:
        """Write down that an entry should go (``cancel``) or a position (``flatten``)."""
        standing = bracket.cancel_wanted if what == "cancel" else bracket.flatten_wanted
        if not standing:
            name = bracket.order.bracket_id
            self.log.record("want", {"bracket_id": name, "what": what, "why": why})

    def check(self) -> None:
        """See to what is overdue, and that every position is protected; call it every second."""
        for ref, what in self._deadlines.take_passed():
            leg = self.ledger.leg(ref)
            if leg is not None:
                self._overdue(leg, what)
        for bracket in self.ledger.live():
            self._flatten_if_naked(bracket)
            self.tend(bracket)

    def tend(self, bracket: Bracket, held: int | None = None, *, force: bool = False) -> None:
        """Send what a bracket needs now.

        Parameters
        ----------
        held : int, optional
            Contracts that the broker shows in its direction, where that is in dispute.
        force : bool, default False
            Act although the reconciliation is not complete: for a position that the broker
            shows and that surely has no stop.
        """
        if not (self.may_act or (force and self.link is LinkState.READY)):
            return
        contract, name = bracket.order.contract, bracket.order.bracket_id
        if held is None and contract in self.ledger.quarantine:
            shown = self.ledger.position(contract) + self.ledger.quarantine[contract]
            held = shown * bracket.order.side
        patient = set()
        for need in needs(bracket, held):
            key = (name, f"{need.act.value} {need.leg}")
            if need.patient:
                patient.add(key)
                if self._deadlines.lasted(key, True) < self.settings.settle_ns:
                    continue
            self._do(bracket, need)
        for act in Act:
            for ref in ("", *bracket.legs):
                key = (name, f"{act.value} {ref}")
                if key not in patient:
                    self._deadlines.lasted(key, False)

    def _do(self, bracket: Bracket, need: Need) -> None:
        subject = need.leg or bracket.order.bracket_id
        what = f"{need.act.value} {subject}"
        if need.act is Act.CHANGE:
            what += f" to {need.quantity} at {need.price}"
        if self._deadlines.runs((subject, need.act.value)):
            return
        tried = self._tries.get(what, 0)
        self._tries[what] = tried + 1
        if tried >= self.settings.attempts:
            if tried == self.settings.attempts:
                text = f"{what} was tried {tried} times: {need.why}; a person must see to it"
                halt = TradingState.HALT_TRADING if need.act is Act.FLATTEN else HALT
                self.log.alarm(Trouble.STUCK, subject, text, halt)
            return
        if need.act is not Act.CHANGE:
            self._deadlines.start((subject, need.act.value), self.settings.settle_ns)
        try:
            self._send(bracket, need)
        except BrokerError as error:
            self.log.alarm(Trouble.STUCK, subject, f"{what}: {error}", once=True)
            self.ask_query(f"{what} could not be sent")

    def _send(self, bracket: Bracket, need: Need) -> None:
        if need.act is Act.CANCEL:
            leg = bracket.legs[need.leg]
            self._sender.cancel(leg)
        elif need.act is Act.CHANGE:
            leg = bracket.legs[need.leg]
            self._sender.change(bracket, leg, need.quantity, need.price)
        else:
            role = OrderRole.FLATTEN if need.act is Act.FLATTEN else OrderRole.STOP
            if role is OrderRole.STOP:
                self.log.alarm(Trouble.UNPROTECTED, bracket.order.bracket_id, need.why, HALT)
            leg = self._sender.add(bracket, role, need.side, need.quantity, need.price)
        self.watch(leg)

    def _overdue(self, leg: Leg, what: str) -> None:
        ref, bracket = leg.ref, self.ledger.brackets[leg.bracket_id]
        if what == "ack":
            self.log.record("unknown", {"ref": ref, "why": "not acknowledged in time"})
            self.log.alarm(Trouble.NO_ANSWER, ref, "not acknowledged in time", HALT)
            self.ask_query(f"{ref} is not acknowledged")
        elif what == "query" and leg.unsettled:
            self.log.alarm(Trouble.NO_ANSWER, ref, "no query told what became of it", HALT)
            self.ask_query(f"{ref} is in doubt")
            self.want(bracket, "cancel", f"{ref} is in doubt")
            if bracket.expected > 0 and not is_protected(bracket):
                self.want(bracket, "flatten", f"{ref} is in doubt")
        elif what == "fills" and leg.missing:
            text = f"{leg.missing} contracts are told as filled without an execution"
            self.log.alarm(Trouble.FILLS_MISSING, ref, text, HALT, once=True)
            self.ask_query(f"fills of {ref} are missing")
        elif what == "end" and leg.may_fill:
            self.ask_query(f"{ref} was not cancelled in time")
        elif what == "change" and leg.changing:
            self.ask_query(f"the change of {ref} is not confirmed")
        elif what == "flat" and leg.may_fill:
            text = "the market order does not fill; the stop works on, no other order is sent"
            self.log.alarm(Trouble.STUCK, ref, text, TradingState.HALT_TRADING, once=True)
        self.watch(leg)

    def _flatten_if_naked(self, bracket: Bracket) -> None:
        """Close a position that was without an acknowledged stop for too long."""
        name = bracket.order.bracket_id
        naked = self.may_act and bracket.expected > 0 and not is_protected(bracket)
        lasts = self._deadlines.lasted((name, "naked"), naked)
        if naked and lasts >= self.settings.protect_ns and not bracket.flatten_wanted:
            text = f"no acknowledged stop for {lasts / 1e9:.1f} s: flattening"
            self.log.alarm(Trouble.UNPROTECTED, name, text, HALT)
            self.want(bracket, "flatten", "no stop was acknowledged in time")
