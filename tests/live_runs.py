"""Whole runs of the trader on a simulated gateway in lock-step, and the same of a backtest.

What either asks of its broker is noted on the way, and the gateway records what came to it.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from run_samples import easy

from mia.backtest import Backtest
from mia.config.instruments import TICK
from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.broker_types import LinkState
from mia.core.trading_types import BracketOrder
from mia.data.raw import ImportSource, RawTrades, SourceFormat
from mia.data.store import Store
from mia.data.tape import Tape, synthetic_tape
from mia.data.wire_tape import as_wire
from mia.execution.position.open_position import Position
from mia.execution.simple_trader import SimpleTrader
from mia.gateway.protocol.place_order import PlaceOrder, read_place_order
from mia.gateway.protocol.wire import Fields
from mia.performance.recorder import RunRecord
from mia.trader.gateway_process import GatewayProcess, gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions

ACCOUNT = "DU1234567"
START = 20250310
SERVER_VERSION = 176
PLACE_ORDER = "3"


@dataclass(frozen=True, slots=True)
class Market:
    """A synthetic market, by what makes it."""

    seed: int
    days: int
    trades_per_day: int
    start: int = START

    @property
    def tape(self) -> Tape:
        """The market as the wire tells it."""
        return as_wire(synthetic_tape(self.seed, self.start, self.days, self.trades_per_day))

    @property
    def opens(self) -> int:
        """When its first session begins, ns UTC."""
        return sessions.session_open(self.start)

    @property
    def ends(self) -> int:
        """When its last session ends, ns UTC."""
        last = self.tape.last_session
        return int(sessions.session_table(last, last)["t_end"][0])

    def gateway(self, *more: str) -> list[str]:
        """Return the arguments of a gateway that plays this market in lock-step."""
        source = f"synth:{self.seed}:{self.start}:{self.days}"
        activity = str(self.trades_per_day)
        return [
            *("--market", source, "--trades-per-day", activity, "--account", ACCOUNT),
            *("--lockstep", *more),
        ]


@dataclass(frozen=True, slots=True)
class Request:
    """What a cycle asked of its broker."""

    ts: int
    what: str
    bracket_id: str
    order: BracketOrder | None = None
    stop: int = 0
    trailing: bool = False
    at_entry: bool = False


class NotedBroker:
    """Passes everything on to a broker and notes the requests."""

    def __init__(self, trader: SimpleTrader) -> None:
        self._trader = trader
        self._broker: Any = trader.broker
        self.requests: list[Request] = []
        trader.broker = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def submit(self, order: BracketOrder) -> None:
        self.requests.append(Request(order.ts, "submit", order.bracket_id, order))
        self._broker.submit(order)

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        self.requests.append(Request(ts, "cancel_entry", bracket_id))
        self._broker.cancel_entry(bracket_id, ts)

    def flatten(self, bracket_id: str, ts: int) -> None:
        self.requests.append(Request(ts, "flatten", bracket_id))
        self._broker.flatten(bracket_id, ts)

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        position = self._trader.position
        assert isinstance(position, Position)
        assert position.trade is not None
        self.requests.append(
            Request(
                ts,
                "modify_stop",
                bracket_id,
                stop=stop,
                trailing=position.trade.trailing,
                at_entry=stop == position.trade.entry,
            )
        )
        self._broker.modify_stop(bracket_id, stop, ts)


@dataclass(slots=True)
class Outcome:
    """A run and what it asked for.

    Attributes
    ----------
    placed : list of PlaceOrder
        Orders that came to the gateway, those that only ask for a margin left out.
    links : list of tuple
        Changes of the connections: (which, state, reason).
    """

    record: RunRecord
    requests: list[Request]
    trader: SimpleTrader
    placed: list[PlaceOrder] = field(default_factory=list)
    links: list[tuple[str, LinkState, str]] = field(default_factory=list)


class Listener:
    """Keeps what a run leaves, and what its session says of connections."""

    def __init__(self) -> None:
        self.record = RunRecord()
        self.links: list[tuple[str, LinkState, str]] = []

    def publish(self, topic: str, event: Any) -> None:
        if topic == "link":
            self.links.append(event)
        self.record.publish(topic, event)


@cache
def backtest(market: Market, *more: str) -> Outcome:
    """Run the backtest of a market."""
    record = RunRecord()
    trader = Backtest(easy(*more), market.tape).make_trader(record)
    noted = NotedBroker(trader)
    for block in market.tape.blocks():
        trader.run(block)
    return Outcome(record, noted.requests, trader)


def live_trader(
    gateway: GatewayProcess,
    market: Market,
    state: Path,
    sink: Any,
    stack: ExitStack,
    loaded: LoadedSettings | None = None,
    **options: Any,
) -> LiveTrader:
    """Make a trader for a gateway in lock-step."""
    where = LiveOptions(
        gateway.host,
        gateway.port,
        ACCOUNT,
        state,
        sink,
        lockstep=True,
        **{"now": market.opens, "end": market.ends} | options,
    )
    return LiveTrader(loaded or easy(), where, stack)


def live_run(
    folder: Path,
    market: Market,
    *more: str,
    settings: tuple[str, ...] = (),
    faults: str = "",
) -> Outcome:
    """Run the trader over a market on a gateway process.

    Parameters
    ----------
    more : str
        Further arguments of the gateway.
    faults : str
        Scenario, TOML.
    """
    frames, scenario = folder / "frames.jsonl", folder / "faults.toml"
    arguments = market.gateway(*more, "--record", str(frames))
    if faults:
        scenario.write_text(faults)
        arguments += ["--faults", str(scenario)]
    listener = Listener()
    with ExitStack() as stack:
        gateway = stack.enter_context(gateway_process(arguments, folder / "gateway.log"))
        live = live_trader(gateway, market, folder / "state", listener, stack, easy(*settings))
        noted = NotedBroker(live.trader)
        asyncio.run(live.run())
    orders = list(placed_orders(frames))
    return Outcome(listener.record, noted.requests, live.trader, orders, listener.links)


def placed_orders(frames: Path) -> Iterator[PlaceOrder]:
    """Return the orders in a gateway's recording, those that only ask for a margin left out."""
    with frames.open(encoding="utf-8") as lines:
        for line in lines:
            frame = json.loads(line)
            if frame.get("d") != "in" or frame.get("f", [""])[0] != PLACE_ORDER:
                continue
            body = "".join(f"{text}\0" for text in frame["f"]).encode()
            fields = Fields(body)
            fields.text("message")
            placed = read_place_order(fields, SERVER_VERSION)
            if not placed.order.what_if:
                yield placed


def store_of(folder: Path, market: Market) -> Path:
    """Record a market as the wire tells it, and return the store."""

    def raw() -> Iterator[RawTrades]:
        for block in market.tape.blocks():
            assert isinstance(block, TradeBlock)
            quotes = [
                np.where(side == MISSING_PRICE, np.nan, side * TICK)
                for side in (block.bid_price, block.ask_price)
            ]
            yield RawTrades(
                block.contract,
                block.ts_event,
                block.price * TICK,
                block.size,
                block.aggressor_side,
                *quotes,
            )

    path = folder / "store"
    store = Store.create(path)
    store.write_trades(raw(), ImportSource("recorded", "1" * 64, SourceFormat.COLLECTED))
    return path


def ask_control(gateway: GatewayProcess, command: str) -> dict[str, Any]:
    """Ask a gateway through its control socket."""
    with socket.create_connection(("127.0.0.1", gateway.control_port), timeout=10) as link:
        link.sendall(json.dumps({"command": command}).encode() + b"\n")
        with link.makefile() as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    assert answer["ok"], answer
    return answer
