"""The messages of the DTC protocol, version 8, that orders, positions and trades need."""

from enum import IntEnum

from mia.core.dtc.layout import Layout

PROTOCOL_VERSION = 8


class Encoding(IntEnum):
    """Encodings of the protocol that are spoken here."""

    BINARY = 0
    JSON = 2
    JSON_COMPACT = 3


class LogonStatus(IntEnum):
    """Result of a logon."""

    SUCCESS = 1
    ERROR = 2
    ERROR_NO_RECONNECT = 3
    RECONNECT_NEW_ADDRESS = 4


class DtcOrderStatus(IntEnum):
    """Status of an order."""

    UNSPECIFIED = 0
    ORDER_SENT = 1
    PENDING_OPEN = 2
    PENDING_CHILD = 3
    OPEN = 4
    PENDING_CANCEL_REPLACE = 5
    PENDING_CANCEL = 6
    FILLED = 7
    CANCELED = 8
    REJECTED = 9
    PARTIALLY_FILLED = 10


class UpdateReason(IntEnum):
    """Why an update of an order was sent."""

    UNSET = 0
    OPEN_ORDERS_REQUEST_RESPONSE = 1
    NEW_ORDER_ACCEPTED = 2
    GENERAL_ORDER_UPDATE = 3
    ORDER_FILLED = 4
    ORDER_FILLED_PARTIALLY = 5
    ORDER_CANCELED = 6
    ORDER_CANCEL_REPLACE_COMPLETE = 7
    NEW_ORDER_REJECTED = 8
    ORDER_CANCEL_REJECTED = 9
    ORDER_CANCEL_REPLACE_REJECTED = 10


def _fields(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``Name kind, Name kind``."""
    pairs = [part.split() for part in text.replace("\n", " ").split(",")]
    return tuple((name, kind) for name, kind in pairs)


_ENCODING = _fields("ProtocolVersion i4, Encoding i4, ProtocolType s4")

_LAYOUTS = (
    Layout(
        "LOGON_REQUEST",
        1,
        _fields(
            "ProtocolVersion i4, Username s32, Password s32, GeneralTextData s64, Integer_1 i4, "
            "Integer_2 i4, HeartbeatIntervalInSeconds i4, TradeMode i4, TradeAccount s32, "
            "HardwareIdentifier s64, ClientName s32, MarketDataTransmissionInterval i4"
        ),
    ),
    Layout(
        "LOGON_RESPONSE",
        2,
        _fields(
            "ProtocolVersion i4, Result i4, ResultText s96, ReconnectAddress s64, Integer_1 i4, "
            "ServerName s60, MarketDepthUpdatesBestBidAndAsk u1, TradingIsSupported u1, "
            "OCOOrdersSupported u1, OrderCancelReplaceSupported u1, SymbolExchangeDelimiter s4, "
            "SecurityDefinitionsSupported u1, HistoricalPriceDataSupported u1, "
            "ResubscribeWhenMarketDataFeedAvailable u1, MarketDepthIsSupported u1, "
            "OneHistoricalPriceDataRequestPerConnection u1, BracketOrdersSupported u1, "
            "UseIntegerPriceOrderMessages u1, UsesMultiplePositionsPerSymbolAndTradeAccount u1, "
            "MarketDataSupported u1"
        ),
    ),
    Layout("HEARTBEAT", 3, _fields("NumDroppedMessages u4, CurrentDateTime i8")),
    Layout("LOGOFF", 5, _fields("Reason s96, DoNotReconnect u1")),
    Layout("ENCODING_REQUEST", 6, _ENCODING),
    Layout("ENCODING_RESPONSE", 7, _ENCODING),
    Layout(
        "MARKET_DATA_REQUEST",
        101,
        _fields(
            "RequestAction i4, SymbolID u4, Symbol s64, Exchange s16, "
            "IntervalForSnapshotUpdatesInMilliseconds u4"
        ),
    ),
    Layout("MARKET_DATA_REJECT", 103, _fields("SymbolID u4, RejectText s96")),
    Layout(
        "MARKET_DATA_UPDATE_TRADE",
        107,
        _fields("SymbolID u4, AtBidOrAsk u2, Price f8, Volume f8, DateTime f8"),
    ),
    Layout(
        "MARKET_DATA_UPDATE_TRADE_COMPACT",
        112,
        _fields("Price f4, Volume f4, DateTime u4, SymbolID u4, AtBidOrAsk u2"),
    ),
    Layout(
        "MARKET_DATA_UPDATE_BID_ASK",
        108,
        _fields(
            "SymbolID u4, BidPrice f8, BidQuantity f4, AskPrice f8, AskQuantity f4, DateTime u4"
        ),
    ),
    Layout(
        "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR",
        137,
        _fields(
            "SymbolID u4, AtBidOrAsk u1, UnbundledTradeIndicator i1, TradeCondition u1, "
            "Reserve_1 u1, Reserve_2 u4, Price f8, Volume u4, Reserve_3 u4, DateTime f8"
        ),
    ),
    Layout(
        "MARKET_DATA_UPDATE_BID_ASK_FLOAT_WITH_MICROSECONDS",
        144,
        _fields(
            "SymbolID u4, BidPrice f4, BidQuantity f4, AskPrice f4, AskQuantity f4, DateTime i8"
        ),
        pack=1,
    ),
    Layout(
        "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR_2",
        146,
        _fields(
            "SymbolID u4, Price f4, Volume u4, DateTime i8, AtBidOrAsk u1, "
            "UnbundledTradeIndicator i1, TradeCondition i1"
        ),
        pack=1,
    ),
    Layout("CANCEL_ORDER", 203, _fields("ServerOrderID s32, ClientOrderID s32, TradeAccount s32")),
    Layout(
        "CANCEL_REPLACE_ORDER",
        204,
        _fields(
            "ServerOrderID s32, ClientOrderID s32, Price1 f8, Price2 f8, Quantity f8, "
            "Price1IsSet u1, Price2IsSet u1, Unused i4, TimeInForce i4, GoodTillDateTime i8, "
            "UpdatePrice1OffsetToParent u1, TradeAccount s32, Price1AsString s16, "
            "Price2AsString s16"
        ),
    ),
    Layout(
        "SUBMIT_NEW_SINGLE_ORDER",
        208,
        _fields(
            "Symbol s64, Exchange s16, TradeAccount s32, ClientOrderID s32, OrderType i4, "
            "BuySell i4, Price1 f8, Price2 f8, Quantity f8, TimeInForce i4, GoodTillDateTime i8, "
            "IsAutomatedOrder u1, IsParentOrder u1, FreeFormText s48, OpenOrClose i4, "
            "MaxShowQuantity f8, Price1AsString s16, Price2AsString s16"
        ),
    ),
    Layout(
        "OPEN_ORDERS_REQUEST",
        300,
        _fields("RequestID i4, RequestAllOrders i4, ServerOrderID s32, TradeAccount s32"),
    ),
    Layout(
        "ORDER_UPDATE",
        301,
        _fields(
            "RequestID i4, TotalNumMessages i4, MessageNumber i4, Symbol s64, Exchange s16, "
            "PreviousServerOrderID s32, ServerOrderID s32, ClientOrderID s32, "
            "ExchangeOrderID s32, OrderStatus i4, OrderUpdateReason i4, OrderType i4, BuySell i4, "
            "Price1 f8, Price2 f8, TimeInForce i4, GoodTillDateTime i8, OrderQuantity f8, "
            "FilledQuantity f8, RemainingQuantity f8, AverageFillPrice f8, LastFillPrice f8, "
            "LastFillDateTime i8, LastFillQuantity f8, LastFillExecutionID s64, "
            "TradeAccount s32, InfoText s96, NoOrders u1, ParentServerOrderID s32, "
            "OCOLinkedOrderServerOrderID s32, OpenOrClose i4, PreviousClientOrderID s32, "
            "FreeFormText s48, OrderReceivedDateTime i8, LatestTransactionDateTime f8"
        ),
    ),
    Layout("OPEN_ORDERS_REJECT", 302, _fields("RequestID i4, RejectText s96")),
    Layout("CURRENT_POSITIONS_REQUEST", 305, _fields("RequestID i4, TradeAccount s32")),
    Layout(
        "POSITION_UPDATE",
        306,
        _fields(
            "RequestID i4, TotalNumberMessages i4, MessageNumber i4, Symbol s64, Exchange s16, "
            "Quantity f8, AveragePrice f8, PositionIdentifier s32, TradeAccount s32, "
            "NoPositions u1, Unsolicited u1, MarginRequirement f8, EntryDateTime u4, "
            "OpenProfitLoss f8, HighPriceDuringPosition f8, LowPriceDuringPosition f8, "
            "QuantityLimit f8, MaxPotentialPostionQuantity f8"
        ),
    ),
    Layout("CURRENT_POSITIONS_REJECT", 307, _fields("RequestID i4, RejectText s96")),
)

BY_NAME = {layout.name: layout for layout in _LAYOUTS}
BY_NUMBER = {layout.number: layout for layout in _LAYOUTS}

MARKET_DATA = frozenset(
    layout.number for layout in _LAYOUTS if layout.name.startswith("MARKET_DATA_UPDATE")
)
"""Types that compact JSON writes as lists."""
