"""Faults in what a client asks for: refused, held, ignored, misread."""

from collections.abc import Callable

from mia.gateway.faults.fault_box import FORK, FaultBox
from mia.gateway.faults.replies import text_of
from mia.gateway.faults.scenario import Fault, Frame
from mia.gateway.faults.target import FaultLink

Act = Callable[[FaultBox, Fault, FaultLink, Frame], bool]

OCA_GROUP = 22
_TEXTS = {
    162: "Historical Market Data Service error message:API historical data query cancelled",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:The order was refused.",
    309: "Max number (3) of market depth requests has been reached.",
    326: "Unable connect as the client id is already in use. Retry with a unique client id.",
    354: "Requested market data is not subscribed.",
    366: "No historical data query found for ticker id",
    420: "Invalid real-time query: Historical data request pacing violation",
    10089: "Requested market data requires additional subscription for API.",
    10090: "Part of requested market data is not subscribed.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10190: "Max number of tick-by-tick requests has been reached.",
}
READ_ONLY = (
    "Error validating request.-'b0' : cause - The API interface is currently in Read-Only mode."
)


def happen(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    """Do what the fault does to a request; return whether the gateway still acts on it."""
    return _ACTS[fault.name](box, fault, link, frame)


def _reject(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    order_id, code = int(frame.fields[1]), fault["code"]
    text = fault["text"] or _TEXTS.get(code) or text_of(code, order_id)
    status = fault["status"]
    told = [status] if status and (link.client_id, order_id) not in box.passed else []
    if not told or not fault["status_first"]:
        box.error(link, order_id, code, text)
    for name in told:
        quantity = frame.fields[17]
        end = ["0.0", "0", frame.fields[28], "0.0", str(link.client_id), "", "0.0"]
        box.send(link, ["3", str(order_id), name, "0", quantity, *end])
    if told and fault["status_first"]:
        box.error(link, order_id, code, text)
    return False


def _read_only(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    box.error(link, box.request_of(frame.fields), 321, READ_ONLY)
    return False


def _ignored(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    return False


def _dialog(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    if fault["seconds"] > 0:
        box.gateway.later(fault["seconds"], lambda: box.deliver(link, frame.fields))
    return False


def _forked(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    order_id = int(frame.fields[1])
    if (link.client_id, order_id) not in box.passed:
        fault.fired -= 1
        fault.seen -= 1
        return True
    new = list(frame.fields)
    new[1] = str(order_id + FORK)
    if not fault["keep_group"]:
        new[OCA_GROUP] = ""
    box.forks[link.client_id, order_id + FORK] = order_id
    link.receive(new)
    return False


def _crossed(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    """Let an order stand for itself: what others of its group fill meanwhile does not end it."""
    frame.fields[OCA_GROUP] = ""
    return True


def _no_cancel(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    order_id = box.request_of(frame.fields)
    box.error(link, order_id, fault["code"], text_of(fault["code"], order_id))
    return False


def _refused(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    symbol = fault.parameters.get("symbol", "")
    if symbol and symbol not in frame.fields:
        fault.fired -= 1
        fault.seen -= 1
        return True
    code = fault.parameters.get("code", 200)
    box.error(link, box.request_of(frame.fields), code, _TEXTS[code])
    # 10090 says that a part is missing; the rest is delivered.
    return bool(code == 10090)


def _taken(box: FaultBox, fault: Fault, link: FaultLink, frame: Frame) -> bool:
    box.error(link, -1, 326, _TEXTS[326])
    link.close(False)
    return False


_ACTS: dict[str, Act] = {
    "reject": _reject,
    "child_reject": _reject,
    "read_only": _read_only,
    "ignored": _ignored,
    "silent_start": _ignored,
    "held_behind_dialog": _dialog,
    "forked_modify": _forked,
    "crossed_exit": _crossed,
    "cancel_answer": _no_cancel,
    "expired_contract": _refused,
    "history_pacing": _refused,
    "no_market_data": _refused,
    "client_id_taken": _taken,
}

NAMES = frozenset(_ACTS)
"""Faults that happen here."""
