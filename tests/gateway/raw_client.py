"""A client that speaks the bare protocol, and takes no message with a field too few or too many."""

import asyncio
import functools
import struct
from contextlib import asynccontextmanager, suppress

from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway

COUNTS = {
    1: 7,
    2: 5,
    3: 12,
    6: 6,
    7: 20,
    8: 3,
    9: 3,
    12: 8,
    13: 10,
    15: 3,
    21: 12,
    45: 5,
    46: 5,
    49: 3,
    50: 11,
    52: 3,
    53: 2,
    54: 3,
    55: 3,
    57: 3,
    58: 4,
    59: 8,
    61: 16,
    62: 2,
    63: 7,
    64: 3,
    71: 18,
    72: 3,
    73: 8,
    74: 3,
    76: 2,
    77: 3,
    80: 7,
    81: 5,
    85: 2,
    88: 3,
    90: 10,
    94: 5,
    95: 7,
    100: 4,
    102: 1,
    107: 3,
}
CONTRACT = (
    "conId symbol secType expiry strike right multiplier exchange currency localSymbol tradingClass"
)
ORDER = "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin"
MARGINS = (
    "initBefore maintBefore equityBefore initChange maintChange equityChange initAfter "
    "maintAfter equityAfter commission minCommission maxCommission commissionCurrency warningText"
)
HEDGE = "hedgeConId hedgeFirm hedgeAccount hedgeIntent hedgeOpenClose hedgeShort hedgeSlot hedgeAt"
SHORT_HEDGE = "hedgeConId hedgeShort hedgeSlot hedgeAt"
PEG = "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"


def open_order_names(version):
    """Return the fields of a plain future order in message 5, by name."""
    return (
        f"id orderId {CONTRACT} {ORDER} orderRef clientId permId outsideRth hidden "
        "discretionaryAmt goodAfterTime sharesAllocation faGroup faMethod faPercentage "
        f"{'faProfile ' if version < 177 else ''}modelCode goodTillDate rule80A percentOffset "
        "settlingFirm shortSaleSlot designatedLocation exemptCode auctionStrategy startingPrice "
        "stockRefPrice delta rangeLower rangeUpper displaySize blockOrder sweepToFill allOrNone "
        "minQty ocaType eTradeOnly firmQuoteOnly nbboPriceCap parentId triggerMethod volatility "
        f"volatilityType hedgeType_ hedgePrice {HEDGE} continuousUpdate referencePriceType "
        "trailStopPrice trailingPercent basisPoints basisPointsType legsText nLegs nOrderLegs "
        "nSmart scaleInit scaleSubs scaleIncrement hedgeType optOut clearingAccount "
        "clearingIntent notHeld deltaNeutral algoStrategy solicited whatIf status "
        f"{MARGINS} randomizeSize randomizePrice nConditions adjustedOrderType triggerPrice "
        "adjTrailStopPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice "
        "adjustedTrailingAmount adjustableTrailingUnit tierName tierValue tierText cashQty "
        "dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo"
        f"{' duration' if version >= 158 else ''}{' postToAts' if version >= 160 else ''}"
        f"{' autoCancelParent' if version >= 162 else ''}{f' {PEG}' if version >= 170 else ''}"
    ).split()


def completed_order_names(version):
    """Return the fields of a plain future order in message 101, by name."""
    return (
        f"id {CONTRACT} {ORDER} orderRef permId outsideRth hidden discretionaryAmt goodAfterTime "
        f"faGroup faMethod faPercentage {'faProfile ' if version < 177 else ''}modelCode "
        "goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation "
        "exemptCode startingPrice stockRefPrice delta rangeLower rangeUpper displaySize "
        "sweepToFill allOrNone minQty ocaType triggerMethod volatility volatilityType hedgeType_ "
        f"hedgePrice {SHORT_HEDGE} continuousUpdate referencePriceType trailStopPrice "
        "trailingPercent legsText nLegs nOrderLegs nSmart scaleInit scaleSubs scaleIncrement "
        "hedgeType clearingAccount clearingIntent notHeld deltaNeutral algoStrategy solicited "
        "status randomizeSize randomizePrice nConditions adjTrailStopPrice lmtPriceOffset cashQty "
        "dontUseAutoPriceForHedge isOmsContainer autoCancelDate filledQuantity refFuturesConId "
        "autoCancelParent shareholder imbalanceOnly routeMarketableToBbo parentPermId "
        f"completedTime completedStatus{f' {PEG}' if version >= 170 else ''}"
    ).split()


def contract_names(version):
    """Return the fields of message 10, by name."""
    old = version < 164
    sizes = "minSize sizeIncrement suggestedSizeIncrement" if not old else ""
    return (
        f"id {'version ' if old else ''}reqId symbol secType lastTrade strike right exchange "
        "currency localSymbol marketName tradingClass conId minTick "
        f"{'mdSizeMultiplier ' if old else ''}multiplier orderTypes validExchanges "
        "priceMagnifier underConId longName primaryExchange contractMonth industry category "
        "subcategory timeZoneId tradingHours liquidHours evRule evMultiplier nSecIds aggGroup "
        "underSymbol underSecType marketRuleIds realExpirationDate stockType "
        f"{sizes if not old else 'sizeIncrement' if version == 163 else ''}"
    ).split()


def expected_count(fields, version):
    """Return how many fields a message must have."""
    message = int(fields[0])
    if message in COUNTS:
        return COUNTS[message]
    if message == 4:
        return 6 if version >= 166 else 5
    if message == 5:
        return len(open_order_names(version))
    if message == 10:
        return len(contract_names(version))
    if message == 101:
        return len(completed_order_names(version))
    if message == 11:
        return 32 if version >= 178 else 31
    if message == 17:
        return 5 + 8 * int(fields[4])
    if message == 75:
        expiries = int(fields[6])
        return 8 + expiries + int(fields[7 + expiries])
    if message == 78:
        return 2 + 2 * int(fields[1])
    if message == 82:
        return 3 + 3 * int(fields[2])
    if message == 93:
        return 3 + 2 * int(fields[2])
    if message in (96, 97, 98):
        return 4 + {96: 4, 97: 6, 98: 6}[message] * int(fields[2])
    if message == 99:
        return {"1": 9, "2": 9, "3": 9, "4": 5}[fields[2]]
    raise AssertionError(f"unknown message {message}")


def over_tcp(test):
    """Run a coroutine as a test."""

    async def alone(*arguments, **named):
        try:
            await test(*arguments, **named)
        finally:
            while LIVING:
                await LIVING.pop().close()

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(alone(*arguments, **named))

    return run


LIVING = []
"""Clients of the test that runs; it closes what it has left open."""


class RawClient:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.version = 0
        self.client_id = -1
        self.connection_time = ""
        self.next_id = 0
        self.seen = []
        LIVING.append(self)

    @classmethod
    async def stranger(cls, port):
        """Connect without a word."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def open(cls, port, client_id=1, version=176, options=""):
        client = await cls.stranger(port)
        client.write_raw(b"API\0")
        client.write_frame(f"v157..{version}{options}".encode())
        body = await client.read_frame()
        number, client.connection_time, rest = body.decode().split("\0")
        assert rest == ""
        client.version = int(number)
        client.client_id = client_id
        client.send(71, 2, client_id, "")
        return client

    async def ready(self):
        """Read up to the last of the notices that greet a client."""
        self.accounts = (await self.until(15))[2].split(",")
        self.next_id = int((await self.until(9))[2])
        for code in ("2104", "2104", "2106", "2158"):
            assert (await self.next())[3] == code
        return self

    def write_raw(self, data):
        self.writer.write(data)

    def write_frame(self, body):
        self.write_raw(struct.pack(">I", len(body)) + body)

    def send(self, *fields):
        self.write_frame("".join(f"{field}\0" for field in fields).encode())

    async def read_frame(self, timeout=5.0):
        async with asyncio.timeout(timeout):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            return await self.reader.readexactly(length)

    async def next(self, timeout=5.0):
        """Read one message."""
        body = await self.read_frame(timeout)
        assert body.endswith(b"\0"), body
        fields = body.decode("ascii").split("\0")[:-1]
        assert len(fields) == expected_count(fields, self.version), fields
        self.seen.append(fields)
        return fields

    async def until(self, *messages, timeout=5.0):
        """Read up to a message with one of these ids and return it."""
        while True:
            fields = await self.next(timeout)
            if int(fields[0]) in messages:
                return fields

    async def answer(self, end, *request, timeout=5.0):
        """Send a request and return every message up to its end."""
        self.send(*request)
        start = len(self.seen)
        await self.until(end, timeout=timeout)
        return self.seen[start:]

    async def error(self, *request):
        """Send a request and return the code and the text of the error that answers it."""
        self.send(*request)
        fields = await self.until(4)
        return int(fields[3]), fields[4]

    async def step(self):
        """Ask for the time and return what came up to the answer, and the answer, seconds."""
        messages = await self.answer(49, 49, 1)
        return messages[:-1], int(messages[-1][2])

    async def ended(self, timeout=5.0):
        """Wait until the gateway closes; return what was left to read."""
        async with asyncio.timeout(timeout):
            return await self.reader.read()

    async def close(self):
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def future(symbol="ES", expiry="", con_id="", local_symbol=""):
    """Return the twelve fields of a future."""
    return (con_id, symbol, "FUT", expiry, "0.0", "", "", "CME", "", "USD", local_symbol, "")


def index(symbol):
    """Return the twelve fields of an index."""
    return ("", symbol, "IND", "", "0.0", "", "", "CBOE", "", "USD", "", "")


def option(expiry="", strike="0.0", right="", trading_class="", exchange="SMART"):
    """Return the twelve fields of an option on SPX."""
    return ("", "SPX", "OPT", expiry, strike, right, "100", exchange, "", "USD", "", trading_class)


@asynccontextmanager
async def session(*, client_id=1, version=176, **options):
    """Run a gateway with one client that is ready."""
    given = {"source": "synth:5:20250312:2", "trades_per_day": 20_000, **options}
    async with running_gateway(GatewayOptions(**given)) as gateway:
        client = await RawClient.open(gateway.port, client_id, version)
        yield gateway, await client.ready()


async def front(client, symbol="ES"):
    """Return the twelve fields of the leading future, by its number."""
    answer = await client.answer(52, 9, 8, 900, *future(symbol), 0, "", "", "")
    names = contract_names(client.version)
    first = dict(zip(names, answer[0], strict=True))
    return future(symbol, con_id=first["conId"])
