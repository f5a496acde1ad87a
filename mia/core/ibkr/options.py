"""Market-data lines on options of the S&P 500 index, for whoever rotates them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mia.core.chain import Root
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.contracts import OptionKey
from mia.core.ibkr.market import MarketData
from mia.core.ibkr.streams import (
    ASK,
    BID,
    CALL_OPEN_INTEREST,
    LIVE,
    MODEL_GREEKS,
    PUT_OPEN_INTEREST,
    VOLUME,
    Stream,
    to_number,
)

_NAN = float("nan")
_OPEN_INTEREST_TICKS = "101"


@dataclass(frozen=True, slots=True)
class OptionGreeks:
    """The gateway's own model of an option, nan where it computed nothing; for checks only."""

    implied_volatility: float
    delta: float
    gamma: float
    vega: float
    theta: float
    underlying: float


class OptionListener(Protocol):
    """Told what arrives on the lines; `LineRotation` of the chains is one."""

    def on_quote(self, contract: Any, bid: float, ask: float, now: int) -> None:
        """Take one side of a quote, nan for the other; negative means that there is none."""
        ...

    def on_open_interest(self, contract: Any, open_interest: float) -> None:
        """Take the open interest of a contract."""
        ...

    def on_volume(self, contract: Any, volume: float) -> None:
        """Take the volume of the day of a contract."""
        ...


class OptionLines:
    """Opens and closes lines; requests wait for the pace of the connection.

    Parameters
    ----------
    market : MarketData
    backend : Backend
    listener : OptionListener
    now : callable
        Time of receipt, ns UTC.
    on_greeks : callable, optional
        Given a contract and its `OptionGreeks`.
    on_refused : callable, optional
        Given a contract and why the gateway ended its line.
    """

    def __init__(
        self,
        market: MarketData,
        backend: Backend,
        client: Any,
        listener: OptionListener,
        now: Callable[[], int],
        on_greeks: Callable[[Any, OptionGreeks], None] | None = None,
        on_refused: Callable[[Any, str], None] | None = None,
    ) -> None:
        self._market = market
        self._backend = backend
        self._client = client
        self._listener = listener
        self._now = now
        self._on_greeks = on_greeks
        self._on_refused = on_refused

    def subscribe(self, contract: OptionKey, open_interest: bool) -> None:
        """Open a line on a contract, with its open interest or without."""
        wire = self._backend.contract(
            symbol="SPX",
            secType="OPT",
            lastTradeDateOrContractMonth=str(contract.last_trade),
            strike=contract.strike,
            right="C" if contract.right > 0 else "P",
            multiplier="100",
            exchange="SMART",
            currency="USD",
            tradingClass=Root(contract.root).name,
        )
        ticks = _OPEN_INTEREST_TICKS if open_interest else ""
        self._market.add(
            Stream(
                key=_key(contract),
                name=_key(contract),
                open=lambda number: self._client.reqMktData(number, wire, ticks, False, False, []),
                close=self._client.cancelMktData,
                take=lambda stream, fields: self._take(contract, stream, fields),
                refused=lambda why: self._refuse(contract, why),
            )
        )

    def cancel(self, contract: OptionKey) -> None:
        """Close the line on a contract."""
        self._market.drop(_key(contract))

    def _refuse(self, contract: OptionKey, why: str) -> None:
        if self._on_refused is not None:
            self._on_refused(contract, why)

    def _take(self, contract: OptionKey, stream: Stream, fields: Sequence[str]) -> None:
        message = fields[0]
        if stream.data_type != LIVE:
            # Frozen quotes would pass for those of now.
            return
        if len(fields) < (12 if message == "21" else 5):
            return
        kind = fields[2] if message == "21" else fields[3]
        if message == "1" and kind in (BID, ASK):
            price = to_number(fields[4])
            bid, ask = (price, _NAN) if kind == BID else (_NAN, price)
            self._listener.on_quote(contract, bid, ask, self._now())
        elif message == "2" and kind in (CALL_OPEN_INTEREST, PUT_OPEN_INTEREST):
            # A call also bears the open interest of puts, as 0, and the other way round.
            if (kind == CALL_OPEN_INTEREST) == (contract.right > 0):
                self._listener.on_open_interest(contract, to_number(fields[4]))
        elif message == "2" and kind == VOLUME:
            self._listener.on_volume(contract, to_number(fields[4]))
        elif message == "21" and kind == MODEL_GREEKS and self._on_greeks is not None:
            self._on_greeks(contract, read_greeks(fields))


def _key(contract: OptionKey) -> str:
    right = "C" if contract.right > 0 else "P"
    return f"{Root(contract.root).name} {contract.expiry} {contract.strike:g}{right}"


def read_greeks(fields: Sequence[str]) -> OptionGreeks:
    """Read message 21, in which -1 or -2 stands for what was not computed."""

    def value(k: int, missing: float) -> float:
        number = to_number(fields[k])
        return _NAN if number == missing or number > 1e300 else number

    return OptionGreeks(
        implied_volatility=value(4, -1.0),
        delta=value(5, -2.0),
        gamma=value(8, -2.0),
        vega=value(9, -2.0),
        theta=value(10, -2.0),
        underlying=value(11, -1.0),
    )
