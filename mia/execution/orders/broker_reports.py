"""From the broker's words to events of the ledger and fills of the cycle.

A fill comes from an execution, once for each execution and whatever the order of arrival; a
newer revision replaces it. A status moves an order, a code at most makes it suspect, unless it
is a definitive refusal of an order that never worked.
"""

from mia.core.base_types import OrderRole, OrderType, TradingState
from mia.core.broker_types import (
    BrokerStatus,
    CommissionReport,
    ExecutionReport,
    Notice,
    OpenOrderReport,
    StatusReport,
)
from mia.core.crash_points import crash_point
from mia.core.trading_types import Fill
from mia.execution.orders.recorder import OrderRecorder
from mia.execution.orders.sender import OrderSettings
from mia.execution.orders.states import (
    DEFINITIVE_REJECTS,
    DONE,
    HELD,
    INFORMATIVE,
    Bracket,
    Execution,
    FillCorrection,
    Leg,
    LegState,
    Trouble,
    parse_reference,
)

HALT = TradingState.HALT_ENTRIES


class BrokerReports:
    """Takes reports, writes what is new in them, and remembers what the cycle must hear.

    Attributes
    ----------
    touched : set of str
        Contracts with executions told since it was last cleared.
    heard : set of str
        Orders told of since it was last cleared, be it live or in answer to a question.
    doubted : set of str
        Orders that a code made suspect since it was last cleared.
    """

    def __init__(self, log: OrderRecorder, settings: OrderSettings) -> None:
        self._log = log
        self._ledger = log.ledger
        self._settings = settings
        self._emitted: dict[str, int] = {}
        self._fills: list[Fill] = []
        self._corrections: list[FillCorrection] = []
        self._newest: dict[tuple[str, int], object] = {}
        self._early_costs: dict[str, float] = {}
        self._query = ""
        self.touched: set[str] = set()
        self.heard: set[str] = set()
        self.doubted: set[str] = set()

    def take_fills(self) -> list[Fill]:
        """Return the fills since the last call."""
        fills, self._fills = self._fills, []
        return fills

    def take_corrections(self) -> list[FillCorrection]:
        """Return the corrections since the last call."""
        corrections, self._corrections = self._corrections, []
        return corrections

    def take_query(self) -> str:
        """Return why a query is needed, if something since the last call needs one."""
        query, self._query = self._query, ""
        return query

    def forget_fills(self) -> None:
        """Count every fill of the ledger as told."""
        for bracket in self._ledger.brackets.values():
            for leg in bracket.legs.values():
                self._emitted[leg.ref] = leg.filled
        self._fills.clear()

    def fills_of(self, bracket: Bracket) -> list[Fill]:
        """Return the fills of a bracket as they stand now, in order of time."""
        fills: list[Fill] = []
        for leg in bracket.legs.values():
            fills += [
                self._fill(bracket, leg, execution, execution.quantity, leg.price)
                for execution in leg.executions.values()
                if execution.quantity
            ]
            if leg.inferred > leg.executed:
                told = Execution(0, 0, leg.inferred_price, bracket.order.ts)
                quantity = leg.inferred - leg.executed
                fills.append(self._fill(bracket, leg, told, quantity, leg.price))
        return sorted(fills, key=lambda fill: fill.ts)

    def on_status(self, report: StatusReport) -> Leg | None:
        """Take message 3; return the order of ours that it is about."""
        ours = report.client_id == self._settings.client_id
        leg = self._ledger.find(report.order_id, report.perm_id, ours)
        if leg is None:
            self._foreign_status(report)
            return None
        payload = {
            "ref": leg.ref,
            "perm_id": report.perm_id,
            "status": report.status.value,
            "filled": report.filled,
            "remaining": report.remaining,
        }
        self._move(leg, "status", payload, report.perm_id)
        return leg

    def on_open_order(self, report: OpenOrderReport) -> Leg | None:
        """Take message 5; return the order of ours that it is about."""
        leg = self.leg_of(report)
        if leg is None:
            if report.account == self._settings.account:
                self._unknown_order(report)
            return None
        payload = order_payload(leg, report)
        self._move(leg, "seen", payload, report.perm_id)
        return leg

    def leg_of(self, report: OpenOrderReport | ExecutionReport) -> Leg | None:
        """Return the order of ours that a report is about."""
        if report.account and report.account != self._settings.account:
            return None
        ours = report.client_id == self._settings.client_id
        return self._ledger.find(report.order_id, report.perm_id, ours, report.order_ref)

    def on_execution(self, report: ExecutionReport, last_price: int) -> Leg | None:
        """Take message 11; return the order of ours that it filled."""
        leg = self.leg_of(report)
        if leg is None:
            if report.account == self._settings.account and self._settings.foreign != "ignore":
                text = f"{report.contract}: execution {report.exec_id} is of no order of ours"
                self._log.alarm(Trouble.UNKNOWN_POSITION, report.contract, text, HALT)
                self._query = text
            return None
        bracket = self._ledger.brackets[leg.bracket_id]
        foreign = report.con_id and bracket.con_id and report.con_id != bracket.con_id
        if foreign or report.quantity < 0 or report.side not in (-1, 1):
            text = f"execution {report.exec_id} of {leg.ref} cannot be: {report.side} "
            text += f"{report.quantity} {report.contract}"
            self._log.alarm(Trouble.UNKNOWN_POSITION, report.contract, text, HALT)
            self._query = text
            return None
        known = leg.executions.get(report.identity)
        if known is not None and report.revision <= known.revision:
            return leg
        late = leg.state in (LegState.CANCELLED, LegState.REJECTED) and not leg.missing
        crash_point("before_fill_stored")
        self._log.record(
            "execution",
            {
                "ref": leg.ref,
                "identity": report.identity,
                "revision": report.revision,
                "order_id": report.order_id,
                "perm_id": report.perm_id,
                "side": report.side,
                "quantity": report.quantity,
                "price": report.price,
                "ts": report.ts,
            },
        )
        crash_point("after_fill_stored")
        self.touched.add(report.contract)
        execution = leg.executions[report.identity]
        if report.exec_id in self._early_costs:
            self._book_cost(leg, report.identity, self._early_costs.pop(report.exec_id))
        self._emit(bracket, leg, execution, known, last_price, report)
        if late and leg.role is OrderRole.ENTRY and known is None:
            text = "filled after its end: the position is closed"
            self._log.alarm(Trouble.LATE_FILL, leg.ref, text, HALT)
            self._want(leg.bracket_id, "flatten", "late fill")
        return leg

    def on_commission(self, report: CommissionReport) -> None:
        """Take message 59; it may come before its execution, late, twice or never."""
        identity = report.exec_id.rpartition(".")[0] or report.exec_id
        leg = self._ledger.holder_of(identity)
        if leg is None:
            self._early_costs[report.exec_id] = report.commission
        elif leg.executions[identity].commission != report.commission:
            self._book_cost(leg, identity, report.commission)

    def on_notice(self, notice: Notice) -> Leg | None:
        """Take message 4; return the order of ours that it is about."""
        leg = self._ledger.find(notice.request_id, 0, True) if notice.request_id > 0 else None
        if leg is None or notice.code in INFORMATIVE:
            return None
        text = f"{notice.code}: {notice.text}"
        if notice.code in HELD:
            self._log.alarm(Trouble.HELD, leg.ref, text)
            return leg
        if notice.code in DEFINITIVE_REJECTS and not leg.changing:
            self._log.alarm(Trouble.REJECT, leg.ref, text)
            if leg.state in (LegState.SENT, LegState.UNKNOWN) and not leg.perms:
                self._log.record("rejected", {"ref": leg.ref, "text": text})
                return leg
        if leg.may_fill:
            self._log.record("suspect", {"ref": leg.ref, "text": text})
            self.doubted.add(leg.ref)
            self._log.alarm(Trouble.SUSPECT, leg.ref, text)
            self._query = f"{leg.ref} is suspect after {text}"
        return leg

    def infer(self, leg: Leg, quantity: int, price: int) -> None:
        """Book fills that the broker's position shows and no execution does."""
        bracket = self._ledger.brackets[leg.bracket_id]
        payload = {"ref": leg.ref, "quantity": quantity, "price": price}
        self._log.record("inferred", payload)
        text = f"{quantity - leg.executed} contracts at {price} by the broker's position alone"
        self._log.alarm(Trouble.FILL_INFERRED, leg.ref, text, HALT)
        more = leg.filled - self._emitted.get(leg.ref, 0)
        if more > 0:
            self._emitted[leg.ref] = leg.filled
            told = Execution(0, more, price, bracket.order.ts)
            self._fills.append(self._fill(bracket, leg, told, more, price))

    def judge(self, bracket: Bracket) -> None:
        """Raise alarms about a bracket that has more than it should."""
        name, entry = bracket.order.bracket_id, bracket.entry
        if max(bracket.closed, entry.filled) > bracket.order.quantity:
            self.tell_overfill(bracket)
        if bracket.open < 0 and not bracket.repair_wanted:
            self._query = f"the position of {name} has turned round"
        for leg in bracket.legs.values():
            if leg.is_doubled:
                text = f"the broker works several orders for it: {sorted(leg.perms)}"
                self._log.alarm(Trouble.DUPLICATE_ORDER, leg.ref, text, HALT, once=True)

    def tell_overfill(self, bracket: Bracket) -> None:
        """Raise the alarm that more was filled than may be: the orders' sizes or a query say so.

        An exit whose execution is heard before that of the entry proves nothing of the kind: so
        it comes to a trader that is started while its bracket fills.
        """
        text = f"{bracket.position} contracts held of an order for {bracket.order.quantity}"
        self._log.alarm(Trouble.OVERFILL, bracket.order.bracket_id, text, HALT, once=True)

    def _move(self, leg: Leg, kind: str, payload: dict[str, object], perm_id: int) -> None:
        """Write a report unless it only repeats the last one about an order that is settled."""
        before = leg.state
        same = self._newest.get((kind, perm_id)) == payload
        if same and before is not LegState.SENT and not leg.unsettled and not leg.changing:
            return
        self._newest[kind, perm_id] = payload
        self._log.record(kind, payload)
        if leg.state is before:
            return
        if leg.state is LegState.UNKNOWN:
            self._log.alarm(Trouble.REAPPEARED, leg.ref, f"it was {before.value} and works", HALT)
            self._query = f"{leg.ref} works after its end"
            if leg.role is OrderRole.ENTRY:
                self._want(leg.bracket_id, "cancel", "it reappeared")
        elif leg.state is LegState.REJECTED:
            self._log.alarm(Trouble.REJECT, leg.ref, leg.reason)

    def _want(self, bracket_id: str, what: str, why: str) -> None:
        self._log.record("want", {"bracket_id": bracket_id, "what": what, "why": why})

    def _emit(
        self,
        bracket: Bracket,
        leg: Leg,
        execution: Execution,
        known: Execution | None,
        last_price: int,
        report: ExecutionReport,
    ) -> None:
        emitted = self._emitted.get(leg.ref, 0)
        self._emitted[leg.ref] = leg.filled
        if known is None and leg.filled > emitted:
            reference = leg.price
            if leg.order_type is OrderType.MARKET:
                reference = last_price or execution.price
            more = leg.filled - emitted
            self._fills.append(self._fill(bracket, leg, execution, more, reference))
        else:
            old = known
            if old is None:
                # A fill that was inferred has got its execution.
                old = Execution(0, execution.quantity, leg.inferred_price, execution.ts)
            if (old.quantity, old.price) == (execution.quantity, execution.price):
                return
            name = bracket.order.bracket_id
            self._corrections.append(
                FillCorrection(
                    name,
                    leg.role,
                    report.exec_id,
                    execution.ts,
                    old.quantity,
                    old.price,
                    execution.quantity,
                    execution.price,
                )
            )
            text = f"{leg.ref}: {old.quantity} at {old.price} became {execution.quantity} at "
            text += str(execution.price)
            self._log.alarm(Trouble.EXECUTION_CORRECTED, report.exec_id, text, HALT)

    def _fill(
        self, bracket: Bracket, leg: Leg, execution: Execution, quantity: int, reference: int
    ) -> Fill:
        cost = execution.commission
        if cost is None:
            cost = self._settings.commission.get(bracket.order.symbol, 0.0) * quantity
        return Fill(
            bracket_id=bracket.order.bracket_id,
            role=leg.role,
            ts=execution.ts,
            side=leg.side,
            quantity=quantity,
            price=execution.price,
            reference_price=reference or execution.price,
            commission=cost,
        )

    def _book_cost(self, leg: Leg, identity: str, commission: float) -> None:
        payload = {"ref": leg.ref, "identity": identity, "commission": commission}
        self._log.record("commission", payload)

    def _foreign_status(self, report: StatusReport) -> None:
        key = str(report.perm_id)
        if report.status in DONE:
            if key in self._ledger.foreign:
                self._log.record("foreign", {"key": key, "works": False})
        elif key not in self._ledger.foreign and self._settings.foreign != "ignore":
            text = f"order {report.order_id} (permanent id {report.perm_id}) is not ours"
            self._log.alarm(Trouble.UNKNOWN_ORDER, key, text, HALT, once=True)
            self._query = text

    def _unknown_order(self, report: OpenOrderReport) -> None:
        if parse_reference(report.order_ref) and report.client_id == self._settings.client_id:
            self._query = f"{report.order_ref} is ours and not in the journal"
            self._log.alarm(Trouble.UNKNOWN_ORDER, report.order_ref, self._query, HALT, once=True)
            return
        self.note_foreign(report)

    def note_foreign(self, report: OpenOrderReport) -> None:
        """Remember a working order that is not ours, and say so once."""
        key, works = str(report.perm_id), report.status not in DONE
        if (key in self._ledger.foreign) == works:
            return
        self._log.record(
            "foreign",
            {
                "key": key,
                "works": works,
                "contract": report.contract,
                "side": report.side,
                "quantity": report.quantity,
            },
        )
        if works:
            text = f"{report.contract}: order {report.perm_id} at the broker is not ours"
            halt = HALT if self._settings.foreign == "halt" else TradingState.NORMAL
            self._log.alarm(Trouble.UNKNOWN_ORDER, key, text, halt, once=True)


def order_payload(leg: Leg, report: OpenOrderReport) -> dict[str, object]:
    """Return the event of an order as the broker repeats it."""
    status = report.status
    filled = report.filled or 0
    if status is BrokerStatus.FILLED and report.filled is None:
        filled = report.quantity
    return {
        "ref": leg.ref,
        "order_id": report.order_id if report.order_id > 0 else 0,
        "perm_id": report.perm_id,
        "status": status.value,
        "filled": filled,
        "remaining": max(0, report.quantity - filled),
        "price": report.price,
        "quantity": report.quantity,
    }
