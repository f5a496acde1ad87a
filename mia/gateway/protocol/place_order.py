"""Reads placeOrder, the longest message that a client sends, to its last field."""

import math
from dataclasses import dataclass

from mia.gateway.model import ApiOrder
from mia.gateway.protocol.query import ContractQuery, read_contract
from mia.gateway.protocol.wire import Fields, WireError

CONDITION_FIELDS = {
    1: ("isMore", "price", "conId", "exchange", "triggerMethod"),
    3: ("isMore", "time"),
    4: ("isMore", "percent"),
    5: ("secType", "exchange", "symbol"),
    6: ("isMore", "volume", "conId", "exchange"),
    7: ("isMore", "changePercent", "conId", "exchange"),
}
"""Fields of a condition after its type and conjunction: price, time, margin, ..."""


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """What placeOrder asks for; `order.echo` holds every field that the gateway does not act on."""

    query: ContractQuery
    order: ApiOrder


def read_place_order(fields: Fields, version: int) -> PlaceOrder:
    """Read the fields after the message id.

    Raises
    ------
    WireError
        If a field is missing, left over, or not what it should be.
    """
    order_id = fields.integer("orderId")
    query = read_contract(fields)
    echo: dict[str, str] = {}
    keep = _Keeper(fields, echo)
    keep.texts("secIdType", "secId")
    action = fields.text("action")
    quantity = fields.optional_number("totalQuantity")
    order_type = fields.text("orderType")
    limit_price = fields.optional_number("lmtPrice")
    aux_price = fields.optional_number("auxPrice")
    tif = fields.text("tif")
    oca_group = fields.text("ocaGroup")
    account = fields.text("account")
    keep.texts("openClose")
    keep.integers("origin")
    order_ref = fields.text("orderRef")
    transmit = fields.boolean("transmit")
    parent_id = fields.integer("parentId")
    keep.booleans("blockOrder", "sweepToFill")
    keep.integers("displaySize", "triggerMethod")
    outside_rth = fields.boolean("outsideRth")
    keep.booleans("hidden")
    if query.sec_type == "BAG":
        _read_legs(fields, keep)
    keep.texts("sharesAllocation")
    keep.numbers("discretionaryAmt")
    keep.texts("goodAfterTime", "goodTillDate", "faGroup", "faMethod", "faPercentage")
    if version < 177:
        keep.texts("faProfile")
    keep.texts("modelCode")
    keep.integers("shortSaleSlot")
    keep.texts("designatedLocation")
    keep.integers("exemptCode")
    oca_type = fields.integer("ocaType")
    keep.texts("rule80A", "settlingFirm")
    keep.booleans("allOrNone")
    keep.integers("minQty")
    keep.numbers("percentOffset")
    keep.booleans("eTradeOnly", "firmQuoteOnly")
    keep.numbers("nbboPriceCap")
    keep.integers("auctionStrategy")
    keep.numbers("startingPrice", "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper")
    keep.booleans("overridePercentageConstraints")
    keep.numbers("volatility")
    keep.integers("volatilityType")
    keep.texts("deltaNeutralOrderType")
    keep.numbers("deltaNeutralAuxPrice")
    if echo["deltaNeutralOrderType"]:
        keep.integers("deltaNeutralConId")
        keep.texts(
            "deltaNeutralSettlingFirm",
            "deltaNeutralClearingAccount",
            "deltaNeutralClearingIntent",
            "deltaNeutralOpenClose",
        )
        keep.booleans("deltaNeutralShortSale")
        keep.integers("deltaNeutralShortSaleSlot")
        keep.texts("deltaNeutralDesignatedLocation")
    keep.booleans("continuousUpdate")
    keep.integers("referencePriceType")
    keep.numbers("trailStopPrice", "trailingPercent")
    keep.integers("scaleInitLevelSize", "scaleSubsLevelSize")
    increment = keep.numbers("scalePriceIncrement")
    if increment is not None and 0 < increment < math.inf:
        keep.numbers("scalePriceAdjustValue")
        keep.integers("scalePriceAdjustInterval")
        keep.numbers("scaleProfitOffset")
        keep.booleans("scaleAutoReset")
        keep.integers("scaleInitPosition", "scaleInitFillQty")
        keep.booleans("scaleRandomPercent")
    keep.texts("scaleTable", "activeStartTime", "activeStopTime", "hedgeType")
    if echo["hedgeType"]:
        keep.texts("hedgeParam")
    keep.booleans("optOutSmartRouting")
    keep.texts("clearingAccount", "clearingIntent")
    keep.booleans("notHeld", "deltaNeutralContract")
    if echo["deltaNeutralContract"] == "1":
        keep.integers("deltaNeutralContract.conId")
        keep.numbers("deltaNeutralContract.delta", "deltaNeutralContract.price")
    keep.texts("algoStrategy")
    if echo["algoStrategy"]:
        keep.pairs("algoParams")
    keep.texts("algoId")
    what_if = fields.boolean("whatIf")
    keep.texts("orderMiscOptions")
    keep.booleans("solicited", "randomizeSize", "randomizePrice")
    if order_type == "PEG BENCH":
        keep.integers("referenceContractId")
        keep.booleans("isPeggedChangeAmountDecrease")
        keep.numbers("peggedChangeAmount", "referenceChangeAmount")
        keep.texts("referenceExchangeId")
    _read_conditions(fields, keep)
    _read_tail(keep, version, query.exchange, order_type)
    fields.end()
    if quantity is None or quantity <= 0 or quantity != int(quantity):
        raise WireError(f"totalQuantity must be a whole number above 0, was {quantity}")
    return PlaceOrder(
        query,
        ApiOrder(
            order_id=order_id,
            action=action,
            quantity=int(quantity),
            order_type=order_type,
            limit_price=limit_price,
            aux_price=aux_price,
            tif=tif,
            oca_group=oca_group,
            oca_type=oca_type,
            account=account,
            order_ref=order_ref,
            transmit=transmit,
            parent_id=parent_id,
            outside_rth=outside_rth,
            what_if=what_if,
            echo=echo,
        ),
    )


def _read_legs(fields: Fields, keep: "_Keeper") -> None:
    for k in range(keep.count("comboLegs")):
        keep.integers(f"comboLegs.{k}.conId", f"comboLegs.{k}.ratio")
        keep.texts(f"comboLegs.{k}.action", f"comboLegs.{k}.exchange")
        keep.integers(f"comboLegs.{k}.openClose", f"comboLegs.{k}.shortSaleSlot")
        keep.texts(f"comboLegs.{k}.designatedLocation")
        keep.integers(f"comboLegs.{k}.exemptCode")
    for k in range(keep.count("orderComboLegs")):
        keep.numbers(f"orderComboLegs.{k}.price")
    keep.pairs("smartComboRoutingParams")


def _read_conditions(fields: Fields, keep: "_Keeper") -> None:
    count = keep.count("conditions")
    for k in range(count):
        kind = fields.integer(f"conditions.{k}.type")
        if kind not in CONDITION_FIELDS:
            raise WireError(f"conditions.{k}.type must be one of 1, 3, 4, 5, 6, 7, was {kind}")
        keep.echo[f"conditions.{k}.type"] = str(kind)
        keep.texts(f"conditions.{k}.conjunction")
        keep.texts(*(f"conditions.{k}.{name}" for name in CONDITION_FIELDS[kind]))
    if count:
        keep.booleans("conditionsIgnoreRth", "conditionsCancelOrder")


def _read_tail(keep: "_Keeper", version: int, exchange: str, order_type: str) -> None:
    keep.texts("adjustedOrderType")
    keep.numbers(
        "triggerPrice",
        "lmtPriceOffset",
        "adjustedStopPrice",
        "adjustedStopLimitPrice",
        "adjustedTrailingAmount",
    )
    keep.integers("adjustableTrailingUnit")
    keep.texts("extOperator", "softDollarTier.name", "softDollarTier.value")
    keep.numbers("cashQty")
    keep.texts(
        "mifid2DecisionMaker",
        "mifid2DecisionAlgo",
        "mifid2ExecutionTrader",
        "mifid2ExecutionAlgo",
    )
    keep.booleans("dontUseAutoPriceForHedge", "isOmsContainer", "discretionaryUpToLimitPrice")
    keep.texts("usePriceMgmtAlgo")
    if version >= 158:
        keep.integers("duration")
    if version >= 160:
        keep.integers("postToAts")
    if version >= 162:
        keep.booleans("autoCancelParent")
    if version >= 166:
        keep.texts("advancedErrorOverride")
    if version >= 169:
        keep.texts("manualOrderTime")
    if version >= 170:
        if exchange == "IBKRATS":
            keep.integers("minTradeQty")
        offsets = order_type == "PEG MID"
        if order_type == "PEG BEST":
            keep.integers("minCompeteSize")
            offsets = keep.numbers("competeAgainstBestOffset") == math.inf
        if offsets:
            keep.numbers("midOffsetAtWhole", "midOffsetAtHalf")


class _Keeper:
    """Checks fields by type and keeps them as text."""

    __slots__ = ("_fields", "echo")

    def __init__(self, fields: Fields, echo: dict[str, str]) -> None:
        self._fields = fields
        self.echo = echo

    def texts(self, *names: str) -> None:
        for name in names:
            self.echo[name] = self._fields.text(name)

    def integers(self, *names: str) -> None:
        for name in names:
            value = self._fields.optional_integer(name)
            self.echo[name] = "" if value is None else str(value)

    def numbers(self, *names: str) -> float | None:
        """Keep numbers and return the last."""
        value: float | None = None
        for name in names:
            value = self._fields.optional_number(name)
            self.echo[name] = "" if value is None else f"{value:.15g}"
        return value

    def booleans(self, *names: str) -> None:
        for name in names:
            self.echo[name] = "1" if self._fields.boolean(name) else "0"

    def count(self, name: str) -> int:
        value = self._fields.integer(f"count of {name}")
        if not 0 <= value <= 10_000:
            raise WireError(f"count of {name} must be 0 to 10000, was {value}")
        self.echo[name] = str(value)
        return value

    def pairs(self, name: str) -> None:
        for k in range(self.count(name)):
            self.texts(f"{name}.{k}.tag", f"{name}.{k}.value")
