"""Writes openOrder and completedOrder, which repeat an order as it was sent."""

from mia.gateway.model import MarginImpact, OrderRecord
from mia.gateway.protocol.place_order import CONDITION_FIELDS
from mia.gateway.protocol.replies import Reply, contract_fields, wall_time
from mia.gateway.protocol.wire import UNSET_DOUBLE, UNSET_INT, Value


class _Echo:
    """Fields as the client sent them; what it left empty comes back unset."""

    __slots__ = ("_sent",)

    def __init__(self, sent: dict[str, str]) -> None:
        self._sent = sent

    def text(self, name: str, default: str = "") -> str:
        return self._sent.get(name) or default

    def number(self, name: str) -> str:
        return self._sent.get(name) or UNSET_DOUBLE

    def integer(self, name: str) -> str:
        return self._sent.get(name) or UNSET_INT

    def zero(self, name: str) -> str:
        return self._sent.get(name) or "0"

    def several(self, name: str) -> int:
        return int(self._sent.get(name) or 0)

    def pairs(self, name: str) -> list[Value]:
        count = self.several(name)
        values: list[Value] = [count]
        for k in range(count):
            values += [self.text(f"{name}.{k}.tag"), self.text(f"{name}.{k}.value")]
        return values


def open_order(version: int, record: OrderRecord) -> Reply:
    """Message 5."""
    order, echo = record.order, _Echo(record.order.echo)
    return 5, (
        order.order_id,
        *_head(version, record, echo),
        order.order_ref,
        record.client_id,
        record.perm_id,
        order.outside_rth,
        echo.zero("hidden"),
        echo.zero("discretionaryAmt"),
        echo.text("goodAfterTime"),
        f"{record.perm_id}.0/{order.account}/100",
        *_advisor(version, echo),
        echo.text("goodTillDate"),
        echo.text("rule80A"),
        echo.number("percentOffset"),
        echo.text("settlingFirm"),
        echo.zero("shortSaleSlot"),
        echo.text("designatedLocation"),
        echo.text("exemptCode", "-1"),
        echo.zero("auctionStrategy"),
        echo.number("startingPrice"),
        echo.number("stockRefPrice"),
        echo.number("delta"),
        echo.number("stockRangeLower"),
        echo.number("stockRangeUpper"),
        echo.zero("displaySize"),
        echo.zero("blockOrder"),
        echo.zero("sweepToFill"),
        echo.zero("allOrNone"),
        echo.integer("minQty"),
        order.oca_type,
        echo.zero("eTradeOnly"),
        echo.zero("firmQuoteOnly"),
        echo.number("nbboPriceCap"),
        order.parent_id,
        echo.zero("triggerMethod"),
        *_volatility(echo, opening=True),
        echo.number("trailStopPrice"),
        echo.number("trailingPercent"),
        UNSET_DOUBLE,
        UNSET_INT,
        *_legs(echo),
        *_scale(echo),
        *_hedge(echo),
        echo.zero("optOutSmartRouting"),
        echo.text("clearingAccount"),
        echo.text("clearingIntent", "IB"),
        echo.zero("notHeld"),
        *_delta_neutral_contract(echo),
        *_algorithm(echo),
        echo.zero("solicited"),
        order.what_if,
        record.status,
        *_margin(record.margin),
        echo.zero("randomizeSize"),
        echo.zero("randomizePrice"),
        *_benchmark(record, echo),
        *_conditions(echo),
        echo.text("adjustedOrderType", "None"),
        echo.number("triggerPrice"),
        echo.number("trailStopPrice"),
        echo.number("lmtPriceOffset"),
        echo.number("adjustedStopPrice"),
        echo.number("adjustedStopLimitPrice"),
        echo.number("adjustedTrailingAmount"),
        echo.zero("adjustableTrailingUnit"),
        echo.text("softDollarTier.name"),
        echo.text("softDollarTier.value"),
        "",
        echo.text("cashQty", "0"),
        echo.zero("dontUseAutoPriceForHedge"),
        echo.zero("isOmsContainer"),
        echo.zero("discretionaryUpToLimitPrice"),
        echo.zero("usePriceMgmtAlgo"),
        *((echo.integer("duration"),) if version >= 158 else ()),
        *((echo.integer("postToAts"),) if version >= 160 else ()),
        *((echo.zero("autoCancelParent"),) if version >= 162 else ()),
        *_offsets(version, echo),
    )


def completed_order(version: int, record: OrderRecord, zone: str) -> Reply:
    """Message 101."""
    order, echo = record.order, _Echo(record.order.echo)
    return 101, (
        *_head(version, record, echo),
        order.order_ref,
        record.perm_id,
        order.outside_rth,
        echo.zero("hidden"),
        echo.zero("discretionaryAmt"),
        echo.text("goodAfterTime"),
        *_advisor(version, echo),
        echo.text("goodTillDate"),
        echo.text("rule80A"),
        echo.number("percentOffset"),
        echo.text("settlingFirm"),
        echo.zero("shortSaleSlot"),
        echo.text("designatedLocation"),
        echo.text("exemptCode", "-1"),
        echo.number("startingPrice"),
        echo.number("stockRefPrice"),
        echo.number("delta"),
        echo.number("stockRangeLower"),
        echo.number("stockRangeUpper"),
        echo.zero("displaySize"),
        echo.zero("sweepToFill"),
        echo.zero("allOrNone"),
        echo.integer("minQty"),
        order.oca_type,
        echo.zero("triggerMethod"),
        *_volatility(echo, opening=False),
        echo.number("trailStopPrice"),
        echo.number("trailingPercent"),
        *_legs(echo),
        *_scale(echo),
        *_hedge(echo),
        echo.text("clearingAccount"),
        echo.text("clearingIntent", "IB"),
        echo.zero("notHeld"),
        *_delta_neutral_contract(echo),
        *_algorithm(echo),
        echo.zero("solicited"),
        record.status,
        echo.zero("randomizeSize"),
        echo.zero("randomizePrice"),
        *_benchmark(record, echo),
        *_conditions(echo),
        echo.number("trailStopPrice"),
        echo.number("lmtPriceOffset"),
        echo.text("cashQty", "0"),
        echo.zero("dontUseAutoPriceForHedge"),
        echo.zero("isOmsContainer"),
        "",
        record.filled,
        UNSET_INT,
        echo.zero("autoCancelParent"),
        "",
        False,
        False,
        0,
        wall_time(record.ts_done, zone),
        _completed_status(record),
        *_offsets(version, echo),
    )


def _completed_status(record: OrderRecord) -> str:
    if record.status == "Filled":
        return f"Filled Size: {record.filled}"
    return "Cancelled by Trader" if record.status == "Cancelled" else record.status


def _head(version: int, record: OrderRecord, echo: _Echo) -> tuple[Value, ...]:
    del version
    order = record.order
    return (
        *contract_fields(record.contract),
        order.action,
        order.quantity,
        order.order_type,
        0.0 if order.limit_price is None else order.limit_price,
        0.0 if order.aux_price is None else order.aux_price,
        order.tif,
        order.oca_group,
        order.account,
        echo.text("openClose"),
        echo.zero("origin"),
    )


def _advisor(version: int, echo: _Echo) -> tuple[Value, ...]:
    return (
        echo.text("faGroup"),
        echo.text("faMethod"),
        echo.text("faPercentage"),
        *((echo.text("faProfile"),) if version < 177 else ()),
        echo.text("modelCode"),
    )


def _volatility(echo: _Echo, *, opening: bool) -> tuple[Value, ...]:
    """Return the volatility fields; the hedge's order type says ``None`` where there is none."""
    hedge: tuple[Value, ...] = (
        echo.zero("deltaNeutralConId"),
        *(
            (
                echo.text("deltaNeutralSettlingFirm"),
                echo.text("deltaNeutralClearingAccount"),
                echo.text("deltaNeutralClearingIntent"),
                echo.text("deltaNeutralOpenClose", "?"),
            )
            if opening
            else ()
        ),
        echo.zero("deltaNeutralShortSale"),
        echo.zero("deltaNeutralShortSaleSlot"),
        echo.text("deltaNeutralDesignatedLocation"),
    )
    return (
        echo.number("volatility"),
        echo.zero("volatilityType"),
        echo.text("deltaNeutralOrderType", "None"),
        echo.number("deltaNeutralAuxPrice"),
        *hedge,
        echo.zero("continuousUpdate"),
        echo.zero("referencePriceType"),
    )


def _legs(echo: _Echo) -> list[Value]:
    count = echo.several("comboLegs")
    values: list[Value] = ["", count]
    for k in range(count):
        leg = f"comboLegs.{k}."
        values += [echo.zero(f"{leg}conId"), echo.zero(f"{leg}ratio"), echo.text(f"{leg}action")]
        values += [echo.text(f"{leg}exchange"), echo.zero(f"{leg}openClose")]
        values += [echo.zero(f"{leg}shortSaleSlot"), echo.text(f"{leg}designatedLocation")]
        values.append(echo.text(f"{leg}exemptCode", "-1"))
    prices = echo.several("orderComboLegs")
    values.append(prices)
    values += [echo.number(f"orderComboLegs.{k}.price") for k in range(prices)]
    return values + echo.pairs("smartComboRoutingParams")


def _scale(echo: _Echo) -> list[Value]:
    increment = echo.text("scalePriceIncrement")
    values: list[Value] = [
        echo.integer("scaleInitLevelSize"),
        echo.integer("scaleSubsLevelSize"),
        increment or UNSET_DOUBLE,
    ]
    if "scalePriceAdjustValue" in echo._sent:
        values += [
            echo.number("scalePriceAdjustValue"),
            echo.integer("scalePriceAdjustInterval"),
            echo.number("scaleProfitOffset"),
            echo.zero("scaleAutoReset"),
            echo.integer("scaleInitPosition"),
            echo.integer("scaleInitFillQty"),
            echo.zero("scaleRandomPercent"),
        ]
    return values


def _hedge(echo: _Echo) -> tuple[Value, ...]:
    kind = echo.text("hedgeType")
    return (kind, echo.text("hedgeParam")) if kind else ("",)


def _delta_neutral_contract(echo: _Echo) -> tuple[Value, ...]:
    if echo.zero("deltaNeutralContract") == "0":
        return (False,)
    name = "deltaNeutralContract"
    return True, echo.zero(f"{name}.conId"), echo.zero(f"{name}.delta"), echo.zero(f"{name}.price")


def _algorithm(echo: _Echo) -> list[Value]:
    strategy = echo.text("algoStrategy")
    return [strategy, *echo.pairs("algoParams")] if strategy else [""]


def _margin(impact: MarginImpact | None) -> tuple[Value, ...]:
    """Return nine margins, three commissions, their currency, and a warning."""
    if impact is None:
        return (*(UNSET_DOUBLE,) * 12, "", "")
    before = (impact.initial_before, impact.maintenance_before, impact.equity_before)
    after = (impact.initial_after, impact.maintenance_after, impact.equity_after)
    change = tuple(new - old for old, new in zip(before, after, strict=True))
    money = tuple(f"{value:.2f}" for value in (*before, *change, *after))
    return (*money, impact.commission, UNSET_DOUBLE, UNSET_DOUBLE, "USD", "")


def _benchmark(record: OrderRecord, echo: _Echo) -> tuple[Value, ...]:
    if record.order.order_type != "PEG BENCH":
        return ()
    return (
        echo.zero("referenceContractId"),
        echo.zero("isPeggedChangeAmountDecrease"),
        echo.zero("peggedChangeAmount"),
        echo.zero("referenceChangeAmount"),
        echo.text("referenceExchangeId"),
    )


def _conditions(echo: _Echo) -> list[Value]:
    count = echo.several("conditions")
    values: list[Value] = [count]
    for k in range(count):
        kind = echo.several(f"conditions.{k}.type")
        names = ("conjunction", *CONDITION_FIELDS[kind])
        values += [kind, *(echo.text(f"conditions.{k}.{name}") for name in names)]
    if count:
        values += [echo.zero("conditionsIgnoreRth"), echo.zero("conditionsCancelOrder")]
    return values


def _offsets(version: int, echo: _Echo) -> tuple[Value, ...]:
    if version < 170:
        return ()
    return (
        echo.integer("minTradeQty"),
        echo.integer("minCompeteSize"),
        echo.number("competeAgainstBestOffset"),
        echo.number("midOffsetAtWhole"),
        echo.number("midOffsetAtHalf"),
    )
