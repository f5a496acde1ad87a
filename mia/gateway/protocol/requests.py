"""Reads every request of a client into a name and named values, to the last field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mia.gateway.protocol.place_order import read_place_order
from mia.gateway.protocol.query import ContractQuery, read_contract, read_legs
from mia.gateway.protocol.wire import Fields, WireError

Reader = Callable[[Fields, str], Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes
    ----------
    name : str
        As in ``contract_details``; the handler is called so.
    values : dict
        Arguments of the handler.
    """

    message_id: int
    name: str
    values: Mapping[str, Any]


class RequestError(WireError):
    """A request that cannot be read.

    Attributes
    ----------
    message_id : int
        -1 if not even that could be read.
    request_id : int
        Number of the request or of the order, -1 if unknown.
    known : bool
        Whether there is such a message.
    """

    def __init__(self, message_id: int, request_id: int, known: bool, why: str) -> None:
        super().__init__(why)
        self.message_id = message_id
        self.request_id = request_id
        self.known = known


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    read: Reader
    since: int = 0


@dataclass(frozen=True, slots=True)
class _Layout:
    """Fields of a message after its id; a version field comes first if `versioned`."""

    name: str
    fields: tuple[_Field, ...]
    versioned: bool = True


def _contract(fields: Fields, _: str) -> ContractQuery:
    return read_contract(fields)


def _bag_legs(fields: Fields, _: str) -> int:
    return read_legs(fields)


def _delta_neutral(fields: Fields, name: str) -> bool:
    if not fields.boolean(name):
        return False
    fields.integer("deltaNeutralContract.conId")
    fields.number("deltaNeutralContract.delta")
    fields.number("deltaNeutralContract.price")
    return True


def _rows(fields: Fields, name: str) -> int:
    value = fields.optional_integer(name)
    return 0 if value is None else value


def _text(name: str, since: int = 0) -> _Field:
    return _Field(name, Fields.text, since)


def _integer(name: str) -> _Field:
    return _Field(name, Fields.integer)


def _boolean(name: str) -> _Field:
    return _Field(name, Fields.boolean)


_ID = _integer("request_id")
_C12 = _Field("query", _contract)
_EXPIRED = _boolean("include_expired")
_OPTIONS = _text("options")
_LEGS = _Field("legs", _bag_legs)
"""Present only if the contract is a combination."""

LAYOUTS: dict[int, _Layout] = {
    1: _Layout(
        "market_data",
        (
            _ID,
            _C12,
            _LEGS,
            _Field("delta_neutral", _delta_neutral),
            _text("generic_ticks"),
            _boolean("snapshot"),
            _boolean("regulatory_snapshot"),
            _OPTIONS,
        ),
    ),
    2: _Layout("cancel_market_data", (_ID,)),
    4: _Layout("cancel_order", (_integer("order_id"), _text("manual_time", 169))),
    5: _Layout("open_orders", ()),
    6: _Layout("account_updates", (_boolean("subscribe"), _text("account"))),
    7: _Layout(
        "executions",
        (
            _ID,
            _Field("client_id", _rows),
            _text("account"),
            _text("time"),
            _text("symbol"),
            _text("sec_type"),
            _text("exchange"),
            _text("side"),
        ),
    ),
    8: _Layout("ids", (_integer("count"),)),
    9: _Layout(
        "contract_details",
        (_ID, _C12, _EXPIRED, _text("sec_id_type"), _text("sec_id"), _text("issuer_id", 176)),
    ),
    10: _Layout("depth", (_ID, _C12, _Field("rows", _rows), _boolean("smart"), _OPTIONS)),
    11: _Layout("cancel_depth", (_ID, _boolean("smart"))),
    12: _Layout("news_bulletins", (_boolean("all_messages"),)),
    13: _Layout("cancel_news_bulletins", ()),
    14: _Layout("log_level", (_integer("level"),)),
    15: _Layout("auto_open_orders", (_boolean("bind"),)),
    16: _Layout("all_open_orders", ()),
    17: _Layout("managed_accounts", ()),
    20: _Layout(
        "historical_data",
        (
            _ID,
            _C12,
            _EXPIRED,
            _text("end"),
            _text("bar_size"),
            _text("duration"),
            _integer("use_rth"),
            _text("what"),
            _integer("date_format"),
            _LEGS,
            _boolean("keep_up_to_date"),
            _OPTIONS,
        ),
        versioned=False,
    ),
    25: _Layout("cancel_historical_data", (_ID,)),
    49: _Layout("current_time", ()),
    50: _Layout(
        "realtime_bars",
        (_ID, _C12, _Field("seconds", _rows), _text("what"), _boolean("use_rth"), _OPTIONS),
    ),
    51: _Layout("cancel_realtime_bars", (_ID,)),
    58: _Layout("global_cancel", ()),
    59: _Layout("market_data_type", (_integer("kind"),)),
    61: _Layout("positions", ()),
    62: _Layout("account_summary", (_ID, _text("group"), _text("tags"))),
    63: _Layout("cancel_account_summary", (_ID,)),
    64: _Layout("cancel_positions", ()),
    71: _Layout("start_api", (_integer("client_id"), _text("capabilities"))),
    74: _Layout("positions_multi", (_ID, _text("account"), _text("model"))),
    75: _Layout("cancel_positions_multi", (_ID,)),
    76: _Layout(
        "account_updates_multi", (_ID, _text("account"), _text("model"), _boolean("ledger"))
    ),
    77: _Layout("cancel_account_updates_multi", (_ID,)),
    78: _Layout(
        "option_parameters",
        (
            _ID,
            _text("symbol"),
            _text("exchange"),
            _text("sec_type"),
            _integer("con_id"),
        ),
        versioned=False,
    ),
    79: _Layout("soft_dollar_tiers", (_ID,), versioned=False),
    80: _Layout("family_codes", (), versioned=False),
    81: _Layout("matching_symbols", (_ID, _text("pattern")), versioned=False),
    82: _Layout("depth_exchanges", (), versioned=False),
    83: _Layout("smart_components", (_ID, _text("exchange")), versioned=False),
    85: _Layout("news_providers", (), versioned=False),
    87: _Layout(
        "head_timestamp",
        (_ID, _C12, _EXPIRED, _integer("use_rth"), _text("what"), _integer("date_format")),
        versioned=False,
    ),
    90: _Layout("cancel_head_timestamp", (_ID,), versioned=False),
    91: _Layout("market_rule", (_integer("rule_id"),), versioned=False),
    92: _Layout("pnl", (_ID, _text("account"), _text("model")), versioned=False),
    93: _Layout("cancel_pnl", (_ID,), versioned=False),
    94: _Layout(
        "pnl_single",
        (_ID, _text("account"), _text("model"), _integer("con_id")),
        versioned=False,
    ),
    95: _Layout("cancel_pnl_single", (_ID,), versioned=False),
    96: _Layout(
        "historical_ticks",
        (
            _ID,
            _C12,
            _EXPIRED,
            _text("start"),
            _text("end"),
            _integer("count"),
            _text("what"),
            _integer("use_rth"),
            _boolean("ignore_size"),
            _OPTIONS,
        ),
        versioned=False,
    ),
    97: _Layout(
        "tick_by_tick",
        (_ID, _C12, _text("kind"), _integer("count"), _boolean("ignore_size")),
        versioned=False,
    ),
    98: _Layout("cancel_tick_by_tick", (_ID,), versioned=False),
    99: _Layout("completed_orders", (_boolean("api_only"),), versioned=False),
    104: _Layout("user_info", (_ID,), versioned=False),
}

PLACE_ORDER = 3
_NUMBERED = {"request_id", "order_id"}


def read_request(body: bytes, version: int) -> Request:
    """Read a payload.

    Parameters
    ----------
    version : int
        Server version agreed on.

    Raises
    ------
    RequestError
        If there is no such message, or a field is missing, left over or not what it should be.
    """
    message_id, request_id, known = -1, -1, False
    try:
        fields = Fields(body)
        message_id = fields.integer("message id")
        known = message_id == PLACE_ORDER or message_id in LAYOUTS
        if message_id == PLACE_ORDER:
            request_id = _first_number(body)
            placed = read_place_order(fields, version)
            return Request(message_id, "place_order", {"placed": placed})
        if not known:
            raise WireError(f"there is no request {message_id}")
        layout = LAYOUTS[message_id]
        if layout.versioned:
            fields.integer("version")
        values: dict[str, Any] = {}
        for field in layout.fields:
            if version < field.since or (field is _LEGS and values["query"].sec_type != "BAG"):
                continue
            values[field.name] = field.read(fields, field.name)
            if field.name in _NUMBERED:
                request_id = values[field.name]
        fields.end()
    except WireError as error:
        raise RequestError(message_id, request_id, known, str(error)) from None
    return Request(message_id, layout.name, _merged(values))


def _first_number(body: bytes) -> int:
    part = body.split(b"\0", 2)[1]
    return int(part) if part.isdigit() and len(part) < 12 else -1


def _merged(values: dict[str, Any]) -> dict[str, Any]:
    """Put what belongs to the contract into it, and leave out what nothing depends on."""
    for name in ("options", "issuer_id", "manual_time", "delta_neutral", "capabilities"):
        values.pop(name, None)
    query = values.get("query")
    if query is not None:
        given = {
            name: values.pop(name)
            for name in ("include_expired", "sec_id_type", "sec_id", "legs")
            if name in values
        }
        values["query"] = replace(query, **given)
    return values
