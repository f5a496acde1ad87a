"""Makes the gateway lie and die: every message passes here, in and out.

The kinds of faults are in `fault_kinds`, how they are written in `fault_scenario`; what they do
is in `fault_replies` (to what is sent), `fault_requests` (to what arrives) and `fault_events`
(to connections, links and the market). Without a fault what is sent costs one look at `active`.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from mia.gateway.faults.kinds import (
    CANCEL_ORDER,
    COMMISSION,
    ERROR,
    EXECUTION,
    MARKET_DATA,
    NEXT_ID,
    OPEN_ORDER,
    ORDER_STATUS,
    PLACE_ORDER,
)
from mia.gateway.faults.scenario import Fault, Frame
from mia.gateway.faults.target import FaultGateway, FaultLink

_LOG = logging.getLogger("mia.gateway")
FORK = 1_000_000_000
"""Added to an order id for the order that a lost change leaves beside the old one."""
_CANCELS = {2: 2, 11: 2, 25: 2, 51: 2, 98: 1}
"""Where cancellations of data have the number of the request, by message id."""
_REQUEST_ID = {1: 2, 3: 1, 4: 2, 9: 2, 10: 2, 20: 1, 50: 2, 96: 1, 97: 1}
"""Where requests have their number, by message id."""


@dataclass(slots=True)
class _Held:
    """A message that waits for others to pass."""

    link: FaultLink
    fields: list[str]
    messages: int
    until: Callable[[Frame], bool] | None


class FaultBox:
    """Faults of one gateway.

    Parameters
    ----------
    gateway : FaultGateway
    faults : iterable of Fault

    Attributes
    ----------
    references : dict
        orderRef of every order that passed, by client and order id.
    executions : dict
        Client and order id by execution, without revision.
    rewritten : dict
        What stands for an execution that was corrected, split or busted: its messages.
    forks : dict
        By client and hidden order id: the order id that the client knows.
    requests : dict
        Message id of every request, by client and request number.
    passed : set of (int, int)
        Client and id of orders that reached the gateway.
    ids_back : int
        By how much too small an order id new clients are told.
    quiet : set of str
        Why market data do not flow; empty if they do.
    """

    def __init__(self, gateway: FaultGateway, faults: Iterable[Fault] = ()) -> None:
        self.gateway = gateway
        self.references: dict[tuple[int, int], str] = {}
        self.executions: dict[str, tuple[int, int]] = {}
        self.rewritten: dict[str, list[list[str]]] = {}
        self.forks: dict[tuple[int, int], int] = {}
        self.requests: dict[tuple[int, int], int] = {}
        self.passed: set[tuple[int, int]] = set()
        self.link_down = False
        self.ids_back = 0
        self.quiet: set[str] = set()
        self.frozen = False
        self.pace_seconds: dict[int, float] = {}
        self._muted: set[int] = set()
        self._replying = False
        self._parked: list[Callable[[], None]] = []
        self._waiting: list[tuple[str, FaultLink, list[str]]] = []
        self._held: list[_Held] = []
        self._faults: list[Fault] = list(faults)
        self.active = bool(self._faults)

    @property
    def faults(self) -> Sequence[Fault]:
        """All faults that were given, spent ones included."""
        return self._faults

    def add(self, fault: Fault) -> None:
        """Take another fault; one that waits for no message happens when its time has come."""
        fault.number = len(self._faults)
        self._faults.append(fault)
        self.active = True
        self.tick()

    def clear(self) -> None:
        """Forget the faults, end freezes and lost links, let everything held go."""
        from mia.gateway.faults import events as fault_events

        self._faults.clear()
        self.quiet.clear()
        self.pace_seconds.clear()
        self.ids_back = 0
        if self.link_down:
            fault_events.restore_link(self, True)
        self.thaw()
        held, self._held = self._held, []
        for item in held:
            self._put(item.link, item.fields)

    def tick(self) -> None:
        """Let faults happen whose time has come; called when market time has moved."""
        from mia.gateway.faults import events as fault_events

        now, start = self.gateway.market_time, self.gateway.start_time
        for fault in list(self._faults):
            if fault.kind.style != "occasion" or fault.when.direction or fault.is_spent:
                continue
            if fault.when.is_due(now, start):
                fault.fired += 1
                _LOG.info("fault %s happens", fault.name)
                fault_events.happen(self, fault, None)

    def handshake(self, text: str) -> str:
        """Return the time that a new connection is told, with the zone that a fault wants."""
        for fault in self._faults:
            if fault.name == "handshake_zone":
                return f"{' '.join(text.split()[:2])} {fault['zone']}".rstrip()
        return text

    def defer(self, action: Callable[[], None]) -> bool:
        """Keep an action for the thaw if the gateway is frozen; return whether it was kept."""
        if self.frozen:
            self._parked.append(action)
        return self.frozen

    def incoming(self, link: FaultLink, fields: list[str]) -> None:
        """Take a message from a client and pass on what the faults leave of it."""
        from mia.gateway.faults import events as fault_events
        from mia.gateway.faults import requests as fault_requests

        if self.defer(lambda: self.incoming(link, fields)):
            return
        self._learn_request(link, fields)
        frame = self.frame("in", link, fields)
        after: list[Fault] = []
        for fault in self._faults:
            if fault.kind.style == "outgoing" or not self._takes(fault, frame):
                continue
            _LOG.info("fault %s happens to message %s in", fault.name, fields[0])
            if fault.kind.style == "incoming":
                if not fault_requests.happen(self, fault, link, frame):
                    return
            elif fault.parameters.get("after", True):
                after.append(fault)
            else:
                if fault.name == "freeze":
                    self._parked.append(lambda: self.incoming(link, fields))
                fault_events.happen(self, fault, link)
                return
        for fault in after:
            if not fault.parameters.get("answers", True):
                self._muted.add(id(link))
        if self.link_down and frame.message in (PLACE_ORDER, CANCEL_ORDER):
            self._waiting.append(("in", link, fields))
        else:
            self.deliver(link, fields)
        for fault in after:
            fault_events.happen(self, fault, link)

    def deliver(self, link: FaultLink, fields: list[str]) -> None:
        """Let the gateway act on a message."""
        message = int(fields[0])
        if message == PLACE_ORDER:
            self.passed.add((link.client_id, self.request_of(fields)))
        self._replying = True
        try:
            link.receive(fields)
            fork = self.request_of(fields) + FORK
            if message == CANCEL_ORDER and (link.client_id, fork) in self.forks:
                link.receive([*fields[:2], str(fork), *fields[3:]])
        finally:
            self._replying = False

    def outgoing(self, link: FaultLink, fields: list[str]) -> None:
        """Take a message to a client and send what the faults make of it."""
        from mia.gateway.faults import events as fault_events
        from mia.gateway.faults import replies as fault_replies

        if id(link) in self._muted or self.defer(lambda: self.outgoing(link, fields)):
            return
        self._learn_reply(link, fields)
        if self.ids_back and fields[0] == str(NEXT_ID):
            fields[2] = str(max(1, int(fields[2]) - self.ids_back))
        sent = [fields]
        if int(fields[0]) == EXECUTION and fields[1] != "-1":
            sent = fault_replies.replayed(self, fields)
        after: list[Fault] = []
        for fault in self._faults:
            if fault.kind.style == "incoming":
                continue
            changed: list[list[str]] = []
            for message in sent:
                frame = self.frame("out", link, message)
                if not self._takes(fault, frame):
                    changed.append(message)
                elif fault.kind.style == "outgoing":
                    changed += fault_replies.happen(self, fault, link, frame)
                elif fault.parameters.get("after", True):
                    after.append(fault)
                    changed.append(message)
                else:
                    _LOG.info("fault %s happens before message %s out", fault.name, fields[0])
                    if fault.name == "freeze":
                        self._parked.append(partial(self._put, link, message))
                    fault_events.happen(self, fault, link)
                    return
            sent = changed
        for message in sent:
            self.send(link, message)
        for fault in after:
            fault_events.happen(self, fault, link)

    def send(self, link: FaultLink, fields: list[str]) -> None:
        """Send a message that faults have seen, as far as links and farms stand."""
        message = int(fields[0])
        if message in MARKET_DATA and self.quiet:
            return
        told = message in (ORDER_STATUS, OPEN_ORDER, EXECUTION, COMMISSION)
        if self.link_down and told and not self._replying:
            self._waiting.append(("out", link, fields))
            return
        if self.link_down and message in MARKET_DATA:
            return
        delay = self.pace_seconds.get(id(link))
        if delay is not None:
            self.gateway.later(delay, lambda: self._put(link, fields))
        else:
            self._put(link, fields)

    def error(self, link: FaultLink, request_id: int, code: int, text: str) -> None:
        """Send message 4."""
        self.send(link, error_fields(link, request_id, code, text))

    def hold(
        self,
        link: FaultLink,
        fields: list[str],
        messages: int = 0,
        until: Callable[[Frame], bool] | None = None,
    ) -> None:
        """Keep a message until so many others have passed, or one that `until` accepts."""
        self._held.append(_Held(link, fields, messages, until))

    def freeze(self) -> None:
        """Stop reading and writing; sockets stay open."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on where the freeze began, with all that has arrived since."""
        self.frozen = False
        parked, self._parked = self._parked, []
        for k, action in enumerate(parked):
            if self.frozen:
                self._parked = parked[k:] + self._parked
                return
            action()

    def release(self) -> None:
        """Let go what waited for the link to the broker."""
        self.link_down = False
        waiting, self._waiting = self._waiting, []
        for direction, link, fields in waiting:
            if direction == "in":
                self.deliver(link, fields)
            else:
                self._put(link, fields)

    def closed(self, link: FaultLink) -> None:
        """Forget what was held for a connection."""
        self._held = [item for item in self._held if item.link is not link]
        self._muted.discard(id(link))
        self.pace_seconds.pop(id(link), None)

    def frame(self, direction: str, link: FaultLink, fields: list[str]) -> Frame:
        """Return a message with the order that it is about."""
        order = self.order_of(direction, link, fields)
        reference = self.references.get(order, "") if order is not None else ""
        return Frame(direction, link.client_id, fields, reference)

    def order_of(
        self, direction: str, link: FaultLink, fields: list[str]
    ) -> tuple[int, int] | None:
        """Return client and order id of the order that a message is about, if it is about one."""
        message = int(fields[0])
        if direction == "in":
            known = message in (PLACE_ORDER, CANCEL_ORDER)
            return (link.client_id, self.request_of(fields)) if known else None
        if message == ORDER_STATUS:
            return _integer(fields[9]), _integer(fields[1])
        if message == OPEN_ORDER:
            return _integer(fields[24]), _integer(fields[1])
        if message == EXECUTION:
            return _integer(fields[22]), _integer(fields[2])
        if message == COMMISSION:
            return self.executions.get(fields[2].rpartition(".")[0])
        return (link.client_id, _integer(fields[2])) if message == ERROR else None

    def request_of(self, fields: Sequence[str]) -> int:
        """Return the number of a request, -1 if it has none."""
        place = _REQUEST_ID.get(int(fields[0]), 0)
        return _integer(fields[place]) if 0 < place < len(fields) else -1

    def _takes(self, fault: Fault, frame: Frame) -> bool:
        return fault.takes(frame, self.gateway.market_time, self.gateway.start_time)

    def _learn_request(self, link: FaultLink, fields: list[str]) -> None:
        message = _integer(fields[0])
        if message == PLACE_ORDER and len(fields) > 26:
            self.references[link.client_id, _integer(fields[1])] = fields[26]
        elif message in _REQUEST_ID and len(fields) > _REQUEST_ID[message]:
            self.requests[link.client_id, self.request_of(fields)] = message
        elif message in _CANCELS and len(fields) > _CANCELS[message]:
            self.requests.pop((link.client_id, _integer(fields[_CANCELS[message]])), None)

    def _learn_reply(self, link: FaultLink, fields: list[str]) -> None:
        message = int(fields[0])
        place = {ORDER_STATUS: 1, OPEN_ORDER: 1, EXECUTION: 2, ERROR: 2, NEXT_ID: 2}.get(message)
        if place is not None:
            known = self.forks.get((link.client_id, _integer(fields[place])))
            if known is not None:
                fields[place] = str(known)
            elif message == NEXT_ID and int(fields[2]) > FORK:
                used = (order for client, order in self.passed if client == link.client_id)
                fields[2] = str(max(used, default=0) + 1)
        if message == EXECUTION:
            order = _integer(fields[22]), _integer(fields[2])
            self.executions[fields[14].rpartition(".")[0]] = order
            self.references[order] = fields[26]
        elif message == OPEN_ORDER:
            self.references[_integer(fields[24]), _integer(fields[1])] = fields[23]

    def _put(self, link: FaultLink, fields: list[str]) -> None:
        if self.defer(lambda: self._put(link, fields)):
            return
        link.write(fields)
        if not self._held:
            return
        frame = self.frame("out", link, fields)
        go: list[_Held] = []
        for item in self._held:
            if item.link is not link:
                continue
            item.messages -= 1
            if item.until(frame) if item.until is not None else item.messages <= 0:
                go.append(item)
        self._held = [item for item in self._held if item not in go]
        for item in go:
            self._put(link, item.fields)


def error_fields(link: FaultLink, request_id: int, code: int, text: str) -> list[str]:
    """Return message 4 for a connection."""
    fields = ["4", "2", str(request_id), str(code), text]
    return [*fields, ""] if link.version >= 166 else fields


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1
