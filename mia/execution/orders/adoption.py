"""Brackets that the broker knows and the journal does not: taken back by their references.

A journal that lost its end, or was set aside as damaged, leaves orders of ours at the broker.
What can be known of their bracket is read from whatever names it; nothing new is opened by it:
the entry is cancelled, a position keeps its stop or, without one, is flattened.
"""

from collections.abc import Iterable, Mapping

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import BrokerSnapshot, ExecutionReport, OpenOrderReport
from mia.execution.orders.ledger import OrderLedger
from mia.execution.orders.states import parse_reference

Named = OpenOrderReport | ExecutionReport


def lost_events(
    ledger: OrderLedger, snapshot: BrokerSnapshot, account: str, client_id: int
) -> list[tuple[str, Mapping[str, object]]]:
    """Return the events, kind and payload, that bring orders of ours into the ledger.

    Completed orders carry no client id; those of other accounts and clients are left alone.
    """
    named: dict[str, dict[str, Named]] = {}
    reports: Iterable[Named] = (
        *snapshot.executions,
        *snapshot.completed_orders,
        *snapshot.open_orders,
    )
    for report in reports:
        parsed = parse_reference(report.order_ref)
        mine = report.account == account and report.client_id in (client_id, 0)
        if parsed is None or not mine or ledger.leg(report.order_ref) is not None:
            continue
        # The last one wins: an open order knows price and size, an execution only its part.
        named.setdefault(parsed[0], {})[report.order_ref] = report
    events: list[tuple[str, Mapping[str, object]]] = []
    for bracket_id, legs in named.items():
        if bracket_id in ledger.brackets:
            events += [("leg", {**_leg(r), "bracket_id": bracket_id}) for r in legs.values()]
        else:
            events.append(("bracket", _bracket(bracket_id, legs)))
    return events


def _leg(report: Named) -> dict[str, object]:
    parsed = parse_reference(report.order_ref)
    assert parsed is not None
    role = parsed[1]
    if isinstance(report, OpenOrderReport):
        kind = report.order_type
    else:
        kind = {OrderRole.STOP: OrderType.STOP, OrderRole.TARGET: OrderType.LIMIT}.get(
            role, OrderType.MARKET
        )
    return {
        "ref": report.order_ref,
        "order_id": max(report.order_id, 0),
        "role": role.value,
        "side": report.side,
        "quantity": report.quantity,
        "order_type": int(kind),
        "price": report.price,
        "grouped": role is not OrderRole.ENTRY,
    }


def _bracket(bracket_id: str, legs: Mapping[str, Named]) -> dict[str, object]:
    rows = {ref: _leg(report) for ref, report in legs.items()}
    some = next(iter(legs.values()))
    entry_ref = f"{bracket_id}:E"
    entry = legs.get(entry_ref)
    side = entry.side if entry is not None else -some.side
    quantity = entry.quantity if entry is not None else max(r.quantity for r in legs.values())
    price = entry.price if entry is not None else 0
    if entry is None:
        # It is done and forgotten; what the position shows of it is for the reconciliation.
        rows[entry_ref] = {
            "ref": entry_ref,
            "order_id": 0,
            "role": OrderRole.ENTRY.value,
            "side": side,
            "quantity": quantity,
            "order_type": int(OrderType.MARKET),
            "price": 0,
            "grouped": False,
        }
    stop, target = legs.get(f"{bracket_id}:S"), legs.get(f"{bracket_id}:T")
    order = [entry_ref, *(ref for ref in rows if ref != entry_ref)]
    return {
        "bracket_id": bracket_id,
        "symbol": some.contract[:-3],
        "contract": some.contract,
        "side": side,
        "quantity": quantity,
        "entry_type": rows[entry_ref]["order_type"],
        "entry": price,
        "stop": stop.price if isinstance(stop, OpenOrderReport) else 0,
        "target": target.price if isinstance(target, OpenOrderReport) else 0,
        "ts": 0,
        "con_id": some.con_id,
        "legs": [rows[ref] for ref in order],
        "adopted": True,
    }
