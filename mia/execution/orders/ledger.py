"""All our orders as a fold over the journal: the same events give the same state, always.

Nothing here sends, decides or knows the time. An event is a kind, which begins with ``order.``,
and a payload of plain values; `OrderManager` writes each into the journal before it is applied.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import BrokerStatus
from mia.core.trading_types import BracketOrder
from mia.execution.orders.states import DONE, NEVER_SENT, Bracket, Execution, Leg, LegState

PREFIX = "order."

_ACTIVE = frozenset({BrokerStatus.PRE_SUBMITTED, BrokerStatus.SUBMITTED})
FILLED = BrokerStatus.FILLED.value
_WISHES = {"cancel": "cancel_wanted", "flatten": "flatten_wanted"}


class OrderLedger:
    """Brackets, foreign orders and quarantined differences.

    Attributes
    ----------
    brackets : dict of str to Bracket
        By bracket id, in order of submission.
    foreign : dict of str to dict
        Working orders at the broker that are not ours, by permanent id.
    quarantine : dict of str to int
        Contracts of the broker's position that our fills do not explain, by contract.
    revision : int
        Rises with every event that was applied.
    """

    def __init__(self) -> None:
        self.brackets: dict[str, Bracket] = {}
        self.foreign: dict[str, dict[str, Any]] = {}
        self.quarantine: dict[str, int] = {}
        self.revision = 0
        self._legs: dict[str, Leg] = {}
        self._by_id: dict[int, Leg] = {}
        self._by_perm: dict[int, Leg] = {}
        self._by_execution: dict[str, Leg] = {}
        self._live: dict[str, Bracket] = {}
        self._kinds: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "bracket": self._on_bracket,
            "leg": self._on_leg,
            "change": self._on_change,
            "cancel": self._on_cancel,
            "unsent": self._on_unsent,
            "want": self._on_want,
            "status": self._on_status,
            "seen": self._on_seen,
            "found": self._on_found,
            "execution": self._on_execution,
            "commission": self._on_commission,
            "rejected": self._on_rejected,
            "suspect": self._on_suspect,
            "unknown": self._on_unknown,
            "absent": self._on_absent,
            "inferred": self._on_inferred,
            "settled": self._on_settled,
            "foreign": self._on_foreign,
            "quarantine": self._on_quarantine,
        }

    def apply(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take one event; kinds of others are passed over."""
        handler = self._kinds.get(kind.removeprefix(PREFIX)) if kind.startswith(PREFIX) else None
        if handler is None:
            return
        self.revision += 1
        handler(payload)
        bracket = self.brackets.get(str(payload.get("bracket_id", "")))
        if bracket is None and "ref" in payload:
            bracket = self.brackets[self._legs[payload["ref"]].bracket_id]
        if bracket is not None:
            name = bracket.order.bracket_id
            if bracket.is_live:
                self._live[name] = bracket
            else:
                self._live.pop(name, None)

    def leg(self, ref: str) -> Leg | None:
        """Return an order of ours by its reference."""
        return self._legs.get(ref)

    def find(self, order_id: int, perm_id: int, ours: bool, ref: str = "") -> Leg | None:
        """Return the order that a report is about, None if it is not ours.

        Parameters
        ----------
        ours : bool
            Whether the report carries our client id: order ids count for each client.
        ref : str
            Order reference, where the report has one: it decides alone.
        """
        if ref:
            return self._legs.get(ref)
        if perm_id and perm_id in self._by_perm:
            return self._by_perm[perm_id]
        return self._by_id.get(order_id) if ours else None

    def holder_of(self, identity: str) -> Leg | None:
        """Return the order that an execution filled."""
        return self._by_execution.get(identity)

    def live(self) -> list[Bracket]:
        """Return the brackets of which anything may still happen."""
        return list(self._live.values())

    def unsettled(self) -> Iterator[Leg]:
        """Yield the orders of which only a query can tell what has become."""
        return (leg for b in self._live.values() for leg in b.legs.values() if leg.unsettled)

    def position(self, contract: str) -> int:
        """Return our signed position in a contract, by fills."""
        return sum(b.position for b in self._live.values() if b.order.contract == contract)

    def high_order_id(self) -> int:
        """Return the highest order id ever used, 0 without one."""
        return max(self._by_id, default=0)

    def to_plain(self) -> dict[str, Any]:
        """Return the state as plain values, the same for the same state."""
        return {
            "brackets": {name: asdict(b) for name, b in sorted(self.brackets.items())},
            "foreign": dict(sorted(self.foreign.items())),
            "quarantine": dict(sorted(self.quarantine.items())),
        }

    def state_hash(self) -> str:
        """Return the SHA-256 of the state in hex."""
        text = json.dumps(self.to_plain(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _on_bracket(self, p: Mapping[str, Any]) -> None:
        order = BracketOrder(
            p["bracket_id"],
            p["symbol"],
            p["contract"],
            p["side"],
            p["quantity"],
            OrderType(p["entry_type"]),
            p["entry"],
            p["stop"],
            p["target"],
            p["ts"],
        )
        bracket = Bracket(order, p["con_id"], stop_wanted=order.stop)
        self.brackets[order.bracket_id] = bracket
        for leg in p["legs"]:
            self._on_leg({**leg, "bracket_id": order.bracket_id})
        if p.get("adopted"):
            bracket.cancel_wanted = "adopted"

    def _on_leg(self, p: Mapping[str, Any]) -> None:
        leg = Leg(
            ref=p["ref"],
            bracket_id=p["bracket_id"],
            role=OrderRole(p["role"]),
            side=p["side"],
            quantity=p["quantity"],
            order_type=OrderType(p["order_type"]),
            price=p["price"],
            grouped=p["grouped"],
            order_ids=[p["order_id"]] if p["order_id"] else [],
        )
        self.brackets[leg.bracket_id].legs[leg.ref] = leg
        self._legs[leg.ref] = leg
        if p["order_id"]:
            self._by_id[p["order_id"]] = leg

    def _on_change(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.wanted_quantity, leg.wanted_price = p["quantity"], p["price"]

    def _on_cancel(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.cancels += 1
        if leg.may_fill and leg.state is not LegState.UNKNOWN:
            leg.state = LegState.PENDING_CANCEL

    def _on_unsent(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        if p.get("change"):
            leg.wanted_quantity, leg.wanted_price = leg.quantity, leg.price
        else:
            self._end(leg, LegState.CANCELLED, NEVER_SENT)

    def _on_want(self, p: Mapping[str, Any]) -> None:
        bracket = self.brackets[p["bracket_id"]]
        if p["what"] == "stop":
            bracket.stop_wanted = p["price"]
        elif p["what"] == "repair":
            bracket.repair_wanted = True
        else:
            setattr(bracket, _WISHES[p["what"]], p["why"])

    def _learn(self, leg: Leg, p: Mapping[str, Any]) -> None:
        order_id, perm_id = p.get("order_id", 0), p.get("perm_id", 0)
        if order_id and order_id not in leg.order_ids:
            leg.order_ids.append(order_id)
            self._by_id.setdefault(order_id, leg)
        if perm_id:
            leg.perms.setdefault(perm_id, "")
            self._by_perm[perm_id] = leg

    def _on_status(self, p: Mapping[str, Any]) -> None:
        """Take a status; it moves the state but never fills."""
        leg, status = self._legs[p["ref"]], BrokerStatus(p["status"])
        self._learn(leg, p)
        leg.told = max(leg.told, p["filled"])
        if status is BrokerStatus.FILLED:
            leg.told = max(leg.told, p["filled"] + p["remaining"])
        perm = p.get("perm_id", 0)
        before = leg.perms.get(perm, "")
        if perm:
            leg.perms[perm] = status.value
        if status in _ACTIVE:
            if before in DONE or leg.state in (LegState.CANCELLED, LegState.REJECTED):
                # It ended and works again: nothing but a query can tell.
                if leg.state is not LegState.FILLED:
                    leg.state, leg.suspect = LegState.UNKNOWN, True
                    leg.reason = "works after its end"
            elif leg.state in (LegState.SENT, LegState.UNKNOWN):
                leg.state = LegState.WORKING
            self._size_at_broker(leg, p["filled"] + p["remaining"])
        elif status is BrokerStatus.PENDING_CANCEL and leg.may_fill:
            leg.state = LegState.PENDING_CANCEL
        elif status in (BrokerStatus.CANCELLED, BrokerStatus.INACTIVE):
            others = [s for key, s in leg.perms.items() if key != perm and s not in DONE]
            if leg.may_fill and not others:
                told = max(leg.told, leg.filled)
                self._end(leg, _ends_as(status, told), leg.reason or status.value)
        self._after_fill(leg)

    def _on_seen(self, p: Mapping[str, Any]) -> None:
        """Take an open order as the broker repeats it: an acknowledgement of price and size."""
        leg = self._legs[p["ref"]]
        self._on_status(p)
        if leg.may_fill and BrokerStatus(p["status"]) in _ACTIVE:
            if p["price"] == leg.wanted_price and p["quantity"] == leg.wanted_quantity:
                leg.price, leg.quantity = leg.wanted_price, leg.wanted_quantity
            elif not leg.changing or p["price"] == leg.wanted_price != leg.price:
                # A new price is confirmed with the size that the broker has: it lets the exits
                # follow what is open while our change is under way.
                leg.price, leg.quantity = p["price"], p["quantity"]
                leg.wanted_price, leg.wanted_quantity = leg.price, leg.quantity
            self._after_fill(leg)

    def _on_found(self, p: Mapping[str, Any]) -> None:
        """Take an order as a query found it: that is the truth of now."""
        leg, status = self._legs[p["ref"]], BrokerStatus(p["status"])
        self._learn(leg, p)
        leg.suspect = False
        if p.get("perm_id"):
            leg.perms[p["perm_id"]] = status.value
        for perm in leg.perms:
            if perm not in p["alive"] and perm != p["perm_id"]:
                leg.perms[perm] = BrokerStatus.CANCELLED.value
        leg.told = max(leg.filled, p["filled"])
        if status in DONE:
            if leg.may_fill:
                self._end(leg, _ends_as(status, leg.told), leg.reason or status.value)
            return
        leg.price, leg.quantity = p["price"], p["quantity"]
        leg.wanted_price, leg.wanted_quantity = leg.price, leg.quantity
        if status is BrokerStatus.PENDING_CANCEL:
            leg.state = LegState.PENDING_CANCEL
        elif status in _ACTIVE:
            leg.state, leg.reason = LegState.WORKING, ""
        self._after_fill(leg)

    def _on_execution(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        self._learn(leg, p)
        if p.get("perm_id"):
            leg.perms[p["perm_id"]] = leg.perms.get(p["perm_id"], "")
        old = leg.executions.get(p["identity"])
        quantity = p["quantity"] if p["side"] == leg.side else -p["quantity"]
        cost = None if old is None else old.commission
        if old is not None and quantity < old.quantity:
            taken = old.quantity - quantity
            leg.told = max(0, leg.told - taken)
            leg.inferred = max(0, leg.inferred - taken)
        leg.executions[p["identity"]] = Execution(
            p["revision"], quantity, p["price"], p["ts"], cost
        )
        self._by_execution[p["identity"]] = leg
        self._replace_inference(leg)
        self._after_fill(leg)

    def _replace_inference(self, leg: Leg) -> None:
        """Let executions take the place of fills that were inferred of a sibling order."""
        if leg.role is OrderRole.ENTRY:
            return
        bracket = self.brackets[leg.bracket_id]
        for other in bracket.exits:
            if other is not leg and other.inferred > other.executed and bracket.open < 0:
                surplus = min(-bracket.open, other.inferred - other.executed)
                other.inferred -= surplus

    def _on_commission(self, p: Mapping[str, Any]) -> None:
        self._legs[p["ref"]].executions[p["identity"]].commission = p["commission"]

    def _on_rejected(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        if leg.may_fill:
            self._end(leg, LegState.REJECTED, p["text"])

    def _on_suspect(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.suspect, leg.reason = True, p["text"]

    def _on_unknown(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        if leg.may_fill:
            leg.state, leg.reason = LegState.UNKNOWN, p["why"]

    def _on_absent(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.suspect = False
        leg.perms = dict.fromkeys(leg.perms, BrokerStatus.CANCELLED.value)
        if leg.may_fill:
            full = max(leg.filled, leg.told) >= leg.quantity
            self._end(leg, LegState.FILLED if full else LegState.CANCELLED, p["why"])

    def _on_inferred(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.inferred, leg.inferred_price = p["quantity"], p["price"]
        self._after_fill(leg)

    def _on_settled(self, p: Mapping[str, Any]) -> None:
        leg = self._legs[p["ref"]]
        leg.told = leg.filled
        self._after_fill(leg)

    def _on_foreign(self, p: Mapping[str, Any]) -> None:
        if p["works"]:
            self.foreign[p["key"]] = dict(p)
        else:
            self.foreign.pop(p["key"], None)

    def _on_quarantine(self, p: Mapping[str, Any]) -> None:
        if p["quantity"]:
            self.quarantine[p["contract"]] = p["quantity"]
        else:
            self.quarantine.pop(p["contract"], None)

    def _size_at_broker(self, leg: Leg, total: int) -> None:
        if leg.may_fill and not leg.changing and 0 < total < leg.quantity:
            # The broker let a child follow what is open.
            leg.quantity = leg.wanted_quantity = total

    def _end(self, leg: Leg, state: LegState, reason: str) -> None:
        leg.state, leg.reason, leg.suspect = state, reason, False
        leg.wanted_quantity, leg.wanted_price = leg.quantity, leg.price

    def _after_fill(self, leg: Leg) -> None:
        """Let the state follow the fills."""
        if leg.filled >= leg.quantity:
            several = [s for s in leg.perms.values() if s not in DONE]
            if len(several) < 2:
                self._end(leg, LegState.FILLED, leg.reason)
        elif leg.state is LegState.FILLED and not leg.missing:
            self._end(leg, LegState.CANCELLED, "an execution was taken back")
        elif leg.may_fill and not leg.missing and set(leg.perms.values()) == {FILLED}:
            self._end(leg, LegState.FILLED, "over at the broker with less than its size")
        elif leg.filled > 0 and leg.state in (LegState.SENT, LegState.WORKING, LegState.UNKNOWN):
            leg.state = LegState.PARTIAL


def _ends_as(status: BrokerStatus, told: int) -> LegState:
    if status is BrokerStatus.FILLED:
        return LegState.FILLED
    refused = status is BrokerStatus.INACTIVE and told == 0
    return LegState.REJECTED if refused else LegState.CANCELLED
