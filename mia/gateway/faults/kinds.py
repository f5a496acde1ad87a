"""All faults by name: to which messages they happen, and what can be set.

`rows` are those of the table in ``docs/gateway.md`` that lists how a broker connection fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPEN_ORDER, ORDER_STATUS, ERROR, EXECUTION, COMMISSION = 5, 3, 4, 11, 59
PLACE_ORDER, CANCEL_ORDER, START_API = 3, 4, 71
NEXT_ID, TICK_BY_TICK = 9, 99
MARKET_DATA = frozenset({1, 2, 12, 13, 21, 45, 46, 50, 90, 99})
SUBSCRIPTIONS = frozenset({1, 10, 50, 97})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes
    ----------
    style : str
        ``outgoing``: changes what a client is sent; ``incoming``: changes what it sent;
        ``occasion``: happens at a time, or when a message has passed, or before it passes where
        there is a parameter `after` that says no.
    direction, messages, times, order_ref, status
        Defaults of the trigger.
    parameters : dict
        What can be set, with defaults; the type of a default is the type asked for.
    choices : dict
        Values that a parameter may have, where not all may.
    rows : tuple of int
        Of the table of failures.
    live : bool
        Whether only fills that just happened count, not those that a client asks for again.
    """

    name: str
    style: str
    direction: str = ""
    messages: frozenset[int] = frozenset()
    times: int = 1
    order_ref: str = ""
    status: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    live: bool = False


def _ids(*messages: int) -> frozenset[int]:
    return frozenset(messages)


def _out(name: str, messages: frozenset[int], rows: tuple[int, ...], **more: Any) -> Kind:
    return Kind(name, "outgoing", "out", messages, rows=rows, **more)


def _in(name: str, messages: frozenset[int], rows: tuple[int, ...], **more: Any) -> Kind:
    return Kind(name, "incoming", "in", messages, rows=rows, **more)


def _event(name: str, rows: tuple[int, ...], **more: Any) -> Kind:
    return Kind(name, "occasion", rows=rows, parameters=more)


_FALSE_CODES = (10349, 161, 104, 105, 10147, 10148, 321, 110, 103)
_WARNING_CODES = (399, 404, 2109, 2137, 2161)

_CONNECTION = (
    _event("drop", (11, 14, 32), after=False, reset=False, answers=True),
    _event("freeze", (13,), seconds=0.0, after=False),
    _event("thaw", (13,)),
    _event("restart", (10, 14, 36), seconds=1.0, ids_back=0, reset=True),
    _event("nightly_reset", (35,), seconds=2.0, drop=False, data_kept=False),
    _event("link_lost", (15, 16), seconds=0.0, data_kept=True, repeat=1),
    _event("link_restored", (16,), data_kept=True),
    _event("farm_lost", (17,), farm="usfuture", kind="market"),
    _event("farm_restored", (17,), farm="usfuture", kind="market"),
    _event("server_lost", (17,)),
    _event("no_live_updates", (17,)),
    _event("port_change", (18,), port=4001),
    _event("competing_session", (41,), seconds=0.0),
    _event("depth_reset", (47,)),
    _event("notice", (8, 17), code=2104, text="a notice", request=-1),
    _in("client_id_taken", _ids(START_API), (19,)),
    _in("silent_start", _ids(START_API), (20,)),
    _out("slow", frozenset(), (12, 29), times=0, parameters={"seconds": 0.2}),
    _in("ignored", frozenset(), (11, 13, 20), parameters={}),
)
_ORDERS = (
    _in(
        "reject",
        _ids(PLACE_ORDER),
        (5, 6, 53),
        parameters={"code": 201, "text": "", "status": "Inactive", "status_first": False},
        choices={"status": ("", "Inactive", "Cancelled")},
    ),
    _in(
        "child_reject",
        _ids(PLACE_ORDER),
        (32,),
        order_ref="*:S",
        parameters={"code": 201, "text": "", "status": "Inactive", "status_first": False},
        choices={"status": ("", "Inactive", "Cancelled")},
    ),
    _in("read_only", _ids(PLACE_ORDER, CANCEL_ORDER, 58), (53,), times=0),
    _in("held_behind_dialog", _ids(PLACE_ORDER), (53,), parameters={"seconds": 0.0}),
    _in("forked_modify", _ids(PLACE_ORDER), (37,), parameters={"keep_group": False}),
    _in("crossed_exit", _ids(PLACE_ORDER), (3,), order_ref="*:F*"),
    _in(
        "cancel_answer",
        _ids(CANCEL_ORDER),
        (1, 3, 4),
        parameters={"code": 10147},
        choices={"code": (10147, 10148, 161)},
    ),
    _out(
        "false_cancel",
        _ids(OPEN_ORDER),
        (1, 2, 9),
        parameters={"code": 10349},
        choices={"code": _FALSE_CODES},
    ),
    _out(
        "warning",
        _ids(OPEN_ORDER),
        (8,),
        parameters={"code": 399, "text": ""},
        choices={"code": _WARNING_CODES},
    ),
    _out("foreign_status", _ids(ORDER_STATUS), (30,), parameters={"order": 987_654}),
    _out("missing_acknowledgement", _ids(OPEN_ORDER, ORDER_STATUS), (11, 27), times=0),
    _out("duplicated_status", _ids(ORDER_STATUS), (27,), parameters={"copies": 1}),
    _event("manual_order", (38,), symbol="ES", side="BUY", quantity=1, kind="LMT", price=0.0),
    _event("foreign_position", (38,), symbol="ES", quantity=1, price=0.0),
)
_FILLS = (
    _out("duplicated_execution", _ids(EXECUTION), (26, 27), live=True, parameters={"copies": 1}),
    _out(
        "late_execution",
        _ids(EXECUTION),
        (27, 35),
        live=True,
        parameters={"messages": 0, "seconds": 0.5},
    ),
    _out("swapped_executions", _ids(EXECUTION), (28,), live=True, parameters={"messages": 0}),
    _out(
        "corrected_execution",
        _ids(EXECUTION),
        (26,),
        live=True,
        parameters={"price_change": 0.25},
    ),
    _out("busted_execution", _ids(EXECUTION), (26,), live=True),
    _out("fill_before_status", _ids(OPEN_ORDER, ORDER_STATUS), (27,), times=0),
    _out("status_before_execution", _ids(EXECUTION, COMMISSION), (27,), times=0),
    _out("status_without_execution", _ids(EXECUTION, COMMISSION), (24, 27), times=0),
    _out("execution_without_status", _ids(ORDER_STATUS), (27,), times=0, status="Filled"),
    _out("late_commission", _ids(COMMISSION), (29,), parameters={"messages": 0, "seconds": 0.5}),
    _out("missing_commission", _ids(COMMISSION), (29,), times=0),
    _out("duplicated_commission", _ids(COMMISSION), (29,), parameters={"copies": 1}),
    _out("split_execution", _ids(EXECUTION), (28,), live=True),
    _out(
        "execution_zone",
        _ids(EXECUTION),
        (24, 25),
        times=0,
        parameters={"zone": "Central European Standard Time"},
    ),
)
_ANSWERS = (
    _out("swallow", frozenset(), (20, 22)),
    _out("missing_end", _ids(52, 53, 54, 55, 62, 64, 74, 102), (20, 22)),
    _out("id_rollback", _ids(NEXT_ID), (10,), parameters={"by": 100}),
    _event("handshake_zone", (24,), zone="Central European Standard Time"),
    _in("expired_contract", _ids(1, 3, 9, 20, 96, 97), (50,), parameters={"symbol": ""}),
    _in(
        "history_pacing",
        _ids(20, 96),
        (48,),
        parameters={"code": 162},
        choices={"code": (162, 366, 420)},
    ),
)
_MARKET = (
    _out("delayed_data", MARKET_DATA | {58}, (42,), times=0),
    _in(
        "no_market_data",
        SUBSCRIPTIONS,
        (42, 43),
        times=0,
        parameters={"code": 354},
        choices={"code": (354, 10089, 10090, 10168, 10190, 309)},
    ),
    _out(
        "bad_tick",
        _ids(1, TICK_BY_TICK),
        (44,),
        parameters={"kind": "zero", "seconds": 60},
        choices={"kind": ("zero", "negative", "nan", "off_grid", "crossed", "time_back", "huge")},
    ),
    _event("trading_halt", (53,), seconds=0.0),
    _event("trading_resumed", (53,)),
    _event("price_limit", (5,), points=10.0),
    _event("jump", (35, 36), seconds=60.0),
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (*_CONNECTION, *_ORDERS, *_FILLS, *_ANSWERS, *_MARKET)
}
"""Every kind by name."""
