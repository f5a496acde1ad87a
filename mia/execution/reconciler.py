"""One procedure for start, reconnect, 1101, 1102 and every doubt: hold belief against truth.

In this order: what is ours and unknown is adopted by its reference; missed executions are
booked; every order is set to what the broker shows; orders that it does not show are marked as
gone; positions are compared, and a difference is explained or quarantined. Then, and before
anything else can be sent, unprotected positions are protected.

An incomplete snapshot proves what it shows and nothing about what it does not: it books and
finds, but no order is gone by it, and nothing is unlocked. Doing it twice changes nothing.

Orders and positions that are not ours are never traded. A difference in position that no fill
of ours explains is quarantined; new exits are then never larger than what the broker shows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from mia.core.base_types import OrderRole, TradingState
from mia.core.broker_types import BrokerSnapshot, BrokerStatus, OpenOrderReport
from mia.core.crash_points import crash_point
from mia.execution.order_manager import OrderManager
from mia.execution.orders.adoption import lost_events
from mia.execution.orders.broker_reports import order_payload
from mia.execution.orders.states import DONE, Bracket, Leg, LegState, Trouble

HALT = TradingState.HALT_ENTRIES
_WORKS = frozenset({BrokerStatus.PRE_SUBMITTED, BrokerStatus.SUBMITTED})


@dataclass(slots=True)
class Reconciliation:
    """What a reconciliation found and did.

    Attributes
    ----------
    complete : bool
        Whether trading is unlocked by it.
    retry : str
        Why another snapshot is needed; empty if none is.
    adopted, booked, vanished, inferred, foreign, repaired : list of str
        Brackets and orders taken back; executions booked; orders that are gone; orders with
        fills that the position alone shows; orders that are not ours; brackets whose turned
        position was confirmed.
    quarantined : dict of str to int
        Unexplained contracts by contract.
    """

    complete: bool = False
    retry: str = ""
    adopted: list[str] = field(default_factory=list)
    booked: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    quarantined: dict[str, int] = field(default_factory=dict)


class Reconciler:
    """Holds an `OrderManager` against snapshots of the broker.

    Call `begin` before the snapshot is asked for and `reconcile` with it: orders sent in between
    may be missing from it without being gone.
    """

    def __init__(self, manager: OrderManager) -> None:
        self._manager = manager
        self._keeper = manager.keeper
        self._log = manager.keeper.log
        self._reports = manager.keeper.reports
        self._ledger = manager.ledger
        self._settings = manager.settings
        self._heard: set[str] = set()

    def begin(self) -> None:
        """Note that a snapshot is being asked for."""
        self._keeper.begin_query()

    def reconcile(self, snapshot: BrokerSnapshot) -> Reconciliation:
        """Make belief agree with the broker, as far as the snapshot proves anything."""
        done = Reconciliation()
        crash_point("before_reconcile")
        touched = set(self._reports.touched)
        self._heard = set(self._reports.heard)
        self._adopt(snapshot, done)
        self._book(snapshot, done)
        shown = self._find(snapshot, done)
        if snapshot.complete:
            self._mark_vanished(shown, done)
            self._see_foreign(snapshot, done)
            self._compare_positions(snapshot, touched, done)
        else:
            done.retry = "the snapshot is incomplete"
            self._protect_what_is_shown(snapshot)
        done.complete = not done.retry
        query = self._reports.take_query()
        if done.retry:
            self._keeper.ask_query(done.retry)
        elif query and any(self._ledger.unsettled()):
            self._keeper.ask_query(query)
        self._log.record("reconciled", asdict(done))
        if done.complete:
            self._keeper.unlock()
        crash_point("after_reconcile")
        return done

    def _adopt(self, snapshot: BrokerSnapshot, done: Reconciliation) -> None:
        settings = self._settings
        events = lost_events(self._ledger, snapshot, settings.account, settings.client_id)
        for kind, payload in events:
            self._log.record(kind, payload)
            name = str(payload["ref" if kind == "leg" else "bracket_id"])
            text = f"{name} is ours, and the journal did not know it"
            self._log.alarm(Trouble.ADOPTED, name, text, HALT)
            done.adopted.append(name)

    def _book(self, snapshot: BrokerSnapshot, done: Reconciliation) -> None:
        for report in snapshot.executions:
            leg = self._reports.leg_of(report)
            if leg is None:
                continue
            known = leg.executions.get(report.identity)
            if known is None or report.revision > known.revision:
                self._reports.on_execution(report, self._manager.last_price)
                done.booked.append(report.exec_id)
        for cost in snapshot.commissions:
            self._reports.on_commission(cost)

    def _find(self, snapshot: BrokerSnapshot, done: Reconciliation) -> set[str]:
        """Set our orders to what is shown; return their references."""
        shown: dict[str, list[OpenOrderReport]] = {}
        for report in snapshot.open_orders:
            leg = self._reports.leg_of(report)
            if leg is not None and report.status not in DONE:
                shown.setdefault(leg.ref, []).append(report)
        for ref, reports in shown.items():
            leg = self._ledger.leg(ref)
            assert leg is not None
            alive = [report.perm_id for report in reports]
            for report in reports:
                self._take_order(leg, report, alive, done)
        for report in snapshot.completed_orders:
            leg = self._reports.leg_of(report)
            if leg is not None and leg.ref not in shown:
                self._take_order(leg, report, [], done)
                shown[leg.ref] = [report]
        return set(shown)

    def _take_order(
        self, leg: Leg, report: OpenOrderReport, alive: list[int], done: Reconciliation
    ) -> None:
        if not self._keeper.is_judged(leg):
            if alive and leg.state in (LegState.SENT, LegState.UNKNOWN):
                self._reports.on_open_order(report)
            return
        # An answer that shows an order at work says that a cancellation did not take.
        kept = leg.state is LegState.PENDING_CANCEL and report.status in _WORKS
        if leg.ref in self._heard:
            # What was told meanwhile may be newer than the snapshot, or older; but the answers
            # to the question are told too, and they settle what was in doubt before it.
            agrees = leg.may_fill == bool(alive)
            same = (leg.price, leg.quantity) == (report.price, report.quantity)
            settles = bool(alive) and same and leg.ref not in self._reports.doubted
            if not agrees or (leg.unsettled and not settles):
                done.retry = f"{leg.ref} was told of while the snapshot was taken"
                return
            if not (settles and (leg.unsettled or kept)):
                return
        payload = {**order_payload(leg, report), "alive": alive}
        was_over = not leg.may_fill
        if (
            report.status in DONE
            and was_over
            and not leg.suspect
            and self._tells_nothing(leg, payload)
        ):
            return
        self._log.record("found", payload)
        if was_over and leg.may_fill:
            bracket = self._ledger.brackets[leg.bracket_id]
            text = "it was taken for gone and works at the broker"
            self._log.alarm(Trouble.REAPPEARED, leg.ref, text, HALT)
            if leg.role is OrderRole.ENTRY:
                self._keeper.want(bracket, "cancel", "it reappeared")

    def _tells_nothing(self, leg: Leg, payload: Mapping[str, object]) -> bool:
        filled = payload["filled"]
        return isinstance(filled, int) and filled <= max(leg.told, leg.filled)

    def _mark_vanished(self, shown: set[str], done: Reconciliation) -> None:
        for bracket in self._ledger.live():
            for leg in bracket.legs.values():
                doubtful = leg.may_fill or leg.suspect
                if not doubtful or leg.ref in shown or not self._keeper.is_judged(leg):
                    continue
                if leg.ref in self._heard:
                    done.retry = f"{leg.ref} was told of while the snapshot was taken"
                else:
                    self._log.record("absent", {"ref": leg.ref, "why": "not at the broker"})
                    done.vanished.append(leg.ref)

    def _see_foreign(self, snapshot: BrokerSnapshot, done: Reconciliation) -> None:
        there = set()
        for report in snapshot.open_orders:
            if report.account != self._settings.account or report.status in DONE:
                continue
            if self._reports.leg_of(report) is None:
                there.add(str(report.perm_id))
                self._reports.note_foreign(report)
        for key in set(self._ledger.foreign) - there:
            self._log.record("foreign", {"key": key, "works": False})
            self._log.forget(Trouble.UNKNOWN_ORDER, key)
        done.foreign += sorted(there)

    def _compare_positions(
        self, snapshot: BrokerSnapshot, touched: set[str], done: Reconciliation
    ) -> None:
        held: dict[str, int] = {}
        for report in snapshot.positions:
            if report.account == self._settings.account:
                held[report.contract] = held.get(report.contract, 0) + report.quantity
        others: dict[str, int] = {}
        newest = {report.identity: report for report in snapshot.executions}
        for trade in newest.values():
            mine = self._reports.leg_of(trade) is not None
            if trade.account == self._settings.account and not mine:
                signed = trade.side * trade.quantity
                others[trade.contract] = others.get(trade.contract, 0) + signed
        ours = {bracket.order.contract for bracket in self._ledger.live()}
        for contract in sorted(ours | set(held) | set(self._ledger.quarantine)):
            there = held.get(contract, 0)
            if contract in touched and there != self._ledger.position(contract):
                done.retry = f"{contract} was traded while the snapshot was taken"
                continue
            foreign = others.get(contract)
            self._explain(contract, there, foreign, done)
            rest = there - self._ledger.position(contract)
            if rest != self._ledger.quarantine.get(contract, 0):
                payload = {"contract": contract, "quantity": rest}
                self._log.record("quarantine", payload)
                self._tell_of(contract, there, rest)
            if rest:
                done.quarantined[contract] = rest
            if rest != (foreign or 0):
                continue
            for bracket in self._brackets(contract):
                self._settle(bracket, done)

    def _tell_of(self, contract: str, there: int, rest: int) -> None:
        if rest and self._settings.foreign != "ignore":
            halt = HALT if self._settings.foreign == "halt" else TradingState.NORMAL
            text = f"{contract}: the broker holds {there}, our fills explain {there - rest}"
            self._log.alarm(Trouble.UNKNOWN_POSITION, contract, text, halt)

    def _brackets(self, contract: str) -> list[Bracket]:
        return [b for b in self._ledger.live() if b.order.contract == contract]

    def _explain(
        self, contract: str, there: int, foreign: int | None, done: Reconciliation
    ) -> None:
        """Infer the fills that a position shows and no execution does, where they are certain.

        Parameters
        ----------
        there : int
            Contracts that the broker shows.
        foreign : int, optional
            Contracts that executions of others account for, None without any. Where others
            trade, or a difference stands already, only what a status claimed is inferred.
        """
        brackets = self._brackets(contract)
        missing = [leg for b in brackets for leg in b.legs.values() if leg.missing]
        known = self._ledger.quarantine.get(contract)
        difference = there - self._ledger.position(contract)
        claimed = sum(leg.side * leg.missing for leg in missing)
        for others in (foreign or 0, known or 0):
            if missing and difference == claimed + others:
                for leg in missing:
                    self._infer(leg, leg.told, done)
                return
            if difference == others:
                return
        for bracket in brackets if foreign is None and known is None else ():
            difference = there - self._ledger.position(contract)
            if not difference:
                return
            self._explain_by_position(bracket, difference, done)

    def _explain_by_position(self, bracket: Bracket, difference: int, done: Reconciliation) -> None:
        entry, open_quantity = bracket.entry, bracket.open
        children = [leg for leg in bracket.exits if leg.may_fill]
        gone = [leg for leg in bracket.exits if not leg.may_fill and not leg.filled]
        rest = entry.quantity - entry.filled
        if not entry.may_fill and children and rest and difference == entry.side * rest:
            # Children leave with a parent that was cancelled: these have seen it fill.
            self._infer(entry, entry.quantity, done)
        elif (
            open_quantity > 0
            and not children
            and gone
            and difference == -bracket.order.side * open_quantity
        ):
            # One of them closed it and took the others along; the stop is the worse.
            flat = [leg for leg in gone if leg.role is OrderRole.FLATTEN]
            stops = [leg for leg in gone if leg.role is OrderRole.STOP]
            leg = (flat or stops or gone)[-1]
            self._infer(leg, leg.filled + open_quantity, done)

    def _infer(self, leg: Leg, quantity: int, done: Reconciliation) -> None:
        self._reports.infer(leg, quantity, leg.price or self._manager.last_price)
        done.inferred.append(leg.ref)

    def _settle(self, bracket: Bracket, done: Reconciliation) -> None:
        """Drop what statuses claimed beyond a position that agrees, and believe a turn."""
        for leg in bracket.legs.values():
            if leg.missing:
                self._log.record("settled", {"ref": leg.ref})
        if bracket.open < 0 and not bracket.repair_wanted:
            name = bracket.order.bracket_id
            why = {"bracket_id": name, "what": "repair", "why": "the broker confirms the turn"}
            self._log.record("want", why)
            self._reports.tell_overfill(bracket)
            done.repaired.append(name)

    def _protect_what_is_shown(self, snapshot: BrokerSnapshot) -> None:
        """Protect a position that is shown and surely has no stop, complete or not."""
        for report in snapshot.positions:
            for bracket in self._brackets(report.contract):
                held = report.quantity * bracket.order.side
                exits = bracket.exits
                sure = not any(leg.may_fill or leg.missing for leg in exits)
                if report.account == self._settings.account and held > 0 and sure:
                    self._keeper.tend(bracket, held, force=True)
