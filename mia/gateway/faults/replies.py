"""Faults in what a client is sent: late, doubled, changed, swallowed."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mia.gateway.faults.fault_box import FaultBox, error_fields
from mia.gateway.faults.kinds import COMMISSION, EXECUTION, ORDER_STATUS
from mia.gateway.faults.scenario import Fault, Frame
from mia.gateway.faults.target import FaultLink

Fields = list[str]
Act = Callable[[FaultBox, Fault, FaultLink, Frame], list[Fields]]

EXEC_ID, TIME, SHARES, PRICE, CUMULATIVE, AVERAGE = 14, 15, 19, 20, 23, 24
_DELAYED_PRICE = {"1": "66", "2": "67", "4": "68", "6": "72", "7": "73", "9": "75", "14": "76"}
_DELAYED_SIZE = {"0": "69", "3": "70", "5": "71", "8": "74"}
_DELAYED_GREEKS = {"10": "80", "11": "81", "12": "82", "13": "83"}
_TEXTS = {
    103: "Duplicate order id",
    104: "Cannot modify a filled order.",
    105: "Order being modified does not match original order",
    110: "The price does not conform to the minimum price variation for this contract.",
    161: "Cancel attempted when order is not in a cancellable state. Order permId = 0",
    321: "Error validating request.",
    399: "Order Message:\nWarning: your order will not be placed at the exchange until the open",
    404: "Order held while securities are located",
    2109: "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored based on "
    "the order type and destination. PlaceOrder is now being processed.",
    2137: "The closing order quantity is greater than your current position.",
    2161: "In accordance with our regulatory obligations, you may cancel this order.",
    10147: "OrderId {order} that needs to be cancelled is not found.",
    10148: "OrderId {order} that needs to be cancelled cannot be cancelled, state: Filled.",
    10349: "Order TIF was set to DAY based on order preset.",
}


def happen(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    """Return what is sent in place of a message."""
    return _ACTS[fault.name](box, fault, link, frame)


def text_of(code: int, order_id: int) -> str:
    """Return the text that goes with a code about an order."""
    return _TEXTS.get(code, "").format(order=order_id)


def replayed(box: FaultBox, fields: Fields) -> list[Fields]:
    """Return what stands for an execution that a client asks for again."""
    kept = box.rewritten.get(fields[EXEC_ID])
    if kept is None:
        return [fields]
    return [[message[0], fields[1], *message[2:]] for message in kept]


def _swallow(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    return []


def _copies(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    return [frame.fields] * (1 + max(fault["copies"], 0))


def _late(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    if fault["messages"] > 0:
        box.hold(link, frame.fields, fault["messages"])
    else:
        box.gateway.later(fault["seconds"], lambda: box.send(link, frame.fields))
    return []


def _swapped(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    number = fault["messages"]
    until = None if number > 0 else lambda passed: passed.message == EXECUTION
    box.hold(link, frame.fields, number, until)
    return []


def _slow(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    box.pace_seconds[id(link)] = fault["seconds"]
    return [frame.fields]


def _corrected(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    exec_id, price = frame.fields[EXEC_ID], float(frame.fields[PRICE]) + fault["price_change"]
    identity = exec_id.rpartition(".")[0]
    if identity in fault.memory:
        fault.fired -= 1
        return [frame.fields]
    fault.memory[identity] = True
    # The exchange tells the new revision itself, after all that belongs to this fill.
    box.gateway.later(0.0, lambda: box.gateway.correct_execution(exec_id, price))
    return [frame.fields]


def _busted(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    exec_id = frame.fields[EXEC_ID]
    box.gateway.later(0.0, lambda: box.gateway.bust_execution(exec_id))
    return [frame.fields]


def _split(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    whole = int(float(frame.fields[SHARES]))
    if whole < 2:
        fault.fired -= 1
        return [frame.fields]
    first, second = list(frame.fields), list(frame.fields)
    head, _, revision = frame.fields[EXEC_ID].rpartition(".")
    base, _, part = head.rpartition(".")
    first[EXEC_ID] = f"{base}.{int(part, 16) + 0x80:02x}.{revision}"
    first[SHARES], second[SHARES] = str(whole // 2), str(whole - whole // 2)
    first[CUMULATIVE] = _plain(float(frame.fields[CUMULATIVE]) - (whole - whole // 2))
    box.executions[first[EXEC_ID].rpartition(".")[0]] = box.executions[head]
    box.rewritten[frame.fields[EXEC_ID]] = [first, second]
    return [first, second]


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _after_fill(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    order = box.order_of("out", link, frame.fields)
    if order in fault.memory or order in box.executions.values():
        fault.memory[order] = True
        return [frame.fields]

    def filled(passed: Frame) -> bool:
        return passed.message == EXECUTION and (box.order_of("out", link, passed.fields) == order)

    box.hold(link, frame.fields, until=filled)
    return []


def _unacknowledged(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    done = frame.message == ORDER_STATUS and frame.fields[2] in ("Filled", "Cancelled", "Inactive")
    filled = box.order_of("out", link, frame.fields) in box.executions.values()
    return [frame.fields] if done or filled else []


def _after_status(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    if frame.message == EXECUTION and frame.fields[1] != "-1":
        return [frame.fields]
    order = box.order_of("out", link, frame.fields)
    if frame.message == COMMISSION and frame.fields[2] not in fault.memory:
        return [frame.fields]
    if frame.message == EXECUTION:
        fault.memory[frame.fields[EXEC_ID]] = True

    def told(passed: Frame) -> bool:
        return (
            passed.message == ORDER_STATUS
            and float(passed.fields[3]) > 0
            and box.order_of("out", link, passed.fields) == order
            and (frame.message == COMMISSION or fault.memory.pop(frame.fields[EXEC_ID]))
        )

    box.hold(link, frame.fields, until=told)
    return []


def _no_execution(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    if frame.message == COMMISSION:
        return [] if frame.fields[2] in fault.memory else [frame.fields]
    if frame.fields[1] == "-1":
        fault.memory[frame.fields[EXEC_ID]] = True
        return []
    fault.memory.pop(frame.fields[EXEC_ID], None)
    return [frame.fields]


def _zone(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    new = list(frame.fields)
    day, clock, *zone = new[TIME].split()
    if fault["zone"]:
        new[TIME] = f"{day} {clock} {fault['zone']}"
    else:
        local = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")
        known = ZoneInfo(zone[0]) if zone else UTC
        new[TIME] = f"{local.replace(tzinfo=known).astimezone(UTC):%Y%m%d-%H:%M:%S}"
    return [new]


def _id_back(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    return [[*frame.fields[:2], str(max(1, int(frame.fields[2]) - fault["by"]))]]


def _with_error(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    order_id, code = int(frame.fields[1]), fault["code"]
    text = fault.parameters.get("text") or text_of(code, order_id)
    return [frame.fields, error_fields(link, order_id, code, text)]


def _foreign(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    other = list(frame.fields)
    other[1], other[6] = str(fault["order"]), str(int(frame.fields[6]) + 77)
    return [frame.fields, other]


def _delayed(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    fields = list(frame.fields)
    if frame.message == 58:
        text = "Requested market data is not subscribed. Displaying delayed market data."
        return [error_fields(link, int(fields[2]), 10167, text), [*fields[:3], "3"]]
    place, new = {
        1: (3, _DELAYED_PRICE),
        2: (3, _DELAYED_SIZE),
        21: (2, _DELAYED_GREEKS),
        46: (3, {"45": "88"}),
    }.get(frame.message, (1, {}))
    if fields[place] not in new:
        return []
    fields[place] = new[fields[place]]
    return [fields]


def _bad_tick(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> list[Fields]:
    fields, kind = list(frame.fields), fault["kind"]
    is_quote = frame.message == 99 and fields[2] == "3"
    place = 4
    if kind == "crossed" and is_quote:
        fields[4], fields[5] = fields[5], fields[4]
        if fields[4] == fields[5]:
            fields[4] = repr(float(fields[5]) + 0.25)
    elif kind == "time_back" and frame.message == 99:
        fields[3] = str(int(fields[3]) - fault["seconds"])
    elif kind not in ("crossed", "time_back"):
        fields[place] = {
            "zero": "0.0",
            "negative": "-5.0",
            "nan": "NaN",
            "off_grid": repr(float(fields[place]) + 0.1),
            "huge": "1.0E9",
        }[kind]
    else:
        fault.fired -= 1
    return [fields]


_ACTS: dict[str, Act] = {
    "slow": _slow,
    "false_cancel": _with_error,
    "warning": _with_error,
    "foreign_status": _foreign,
    "missing_acknowledgement": _unacknowledged,
    "duplicated_status": _copies,
    "duplicated_execution": _copies,
    "duplicated_commission": _copies,
    "late_execution": _late,
    "late_commission": _late,
    "swapped_executions": _swapped,
    "corrected_execution": _corrected,
    "busted_execution": _busted,
    "fill_before_status": _after_fill,
    "status_before_execution": _after_status,
    "status_without_execution": _no_execution,
    "execution_without_status": _swallow,
    "missing_commission": _swallow,
    "split_execution": _split,
    "execution_zone": _zone,
    "swallow": _swallow,
    "missing_end": _swallow,
    "id_rollback": _id_back,
    "delayed_data": _delayed,
    "bad_tick": _bad_tick,
}

NAMES = frozenset(_ACTS)
"""Faults that happen here."""
