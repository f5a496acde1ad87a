"""What faults and the control socket can do to a gateway, beyond its messages."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mia.config.instruments import TICK
from mia.core.sessions import SECOND
from mia.errors import ConfigError
from mia.gateway.faults.fault_box import FaultBox
from mia.gateway.faults.target import FaultLink
from mia.gateway.model import ApiContract, ApiOrder, OrderRecord
from mia.gateway.protocol.query import ContractQuery

if TYPE_CHECKING:
    from mia.gateway.server import Gateway

_KINDS = ("MKT", "LMT", "STP")
_SIDES = ("BUY", "SELL")


class GatewayControl:
    """The hand on a running gateway.

    Parameters
    ----------
    gateway : Gateway

    Attributes
    ----------
    box : FaultBox, optional
        The faults in force, for the status.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._start = gateway.market.now
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self.box: FaultBox | None = None

    @property
    def links(self) -> Sequence[FaultLink]:
        """Connections of clients that have started."""
        return self._gateway.started()

    @property
    def market_time(self) -> int:
        """Market time, ns UTC."""
        return self._gateway.market.now

    @property
    def start_time(self) -> int:
        """Market time at the start, ns UTC."""
        return self._start

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after real seconds."""
        asyncio.get_running_loop().call_later(max(seconds, 0.0), action)

    def refuse(self, seconds: float, port: int) -> None:
        """Refuse connections for real seconds, 0 for ever; then listen on `port`, 0 for the old."""
        gateway = self._gateway
        gateway.stop_listening()
        if seconds > 0 or port:
            self._spawn(self._listen_later(seconds, port or gateway.port))

    def place_by_hand(
        self, symbol: str, side: str, quantity: int, order_type: str, price: float
    ) -> None:
        """Place an order as a person at the gateway's screen does.

        Raises
        ------
        ConfigError
            If it makes no sense.
        BrokerError
            If the gateway refuses it.
        """
        if order_type not in _KINDS or side not in _SIDES or quantity < 1:
            raise ConfigError(
                f"an order by hand is MKT, LMT or STP, BUY or SELL, of 1 or more contracts, "
                f"was {order_type} {side} {quantity}"
            )
        order = ApiOrder(
            order_id=0,
            action=side,
            quantity=quantity,
            order_type=order_type,
            limit_price=price if order_type == "LMT" else None,
            aux_price=price if order_type == "STP" else None,
            tif="DAY",
            oca_group="",
            oca_type=0,
            account=self._account,
            order_ref="",
            transmit=True,
            parent_id=0,
            outside_rth=True,
            what_if=False,
        )
        self._gateway.exchange.place_by_hand(order, self._contract(symbol))

    def seed_position(self, symbol: str, quantity: int, price: float) -> None:
        """Set what the first account holds of the leading contract, without an order.

        Raises
        ------
        ConfigError
            If the symbol is unknown.
        """
        contract = self._contract(symbol)
        paid = price or (self._gateway.market.day.last or 0) * TICK
        self._gateway.exchange.seed_position(self._account, contract, quantity, paid)

    def correct_execution(self, exec_id: str, price: float) -> None:
        """Correct the price of a fill."""
        self._gateway.exchange.correct_execution(exec_id, price)

    def bust_execution(self, exec_id: str) -> None:
        """Undo a fill; clients hear of the position only."""
        self._gateway.exchange.bust_execution(exec_id)

    def halt(self, halted: bool) -> None:
        """Stop trading, or let it go on; the clock runs in either case."""
        self._gateway.exchange.halt(self._gateway.market.front, halted)

    def limit_price(self, points: float) -> None:
        """Refuse limit orders further than so many points from the last price; 0 ends that."""
        gateway = self._gateway
        last, distance = gateway.market.day.last, round(points / TICK)
        limits = (last - distance, last + distance) if distance and last is not None else None
        gateway.exchange.set_price_limits(gateway.market.front, limits)

    def jump(self, seconds: float) -> None:
        """Let the market run on at once, orders included."""
        self._gateway.loop.jump(seconds)

    def status(self) -> dict[str, Any]:
        """Return market time, clients and counts."""
        now = self.market_time
        box = self.box
        return {
            "market_time_ns": now,
            "market_time": datetime.fromtimestamp(now / SECOND, UTC).isoformat(),
            "port": self._gateway.port,
            "lockstep": self._gateway.options.lockstep,
            "clients": [link.client_id for link in self.links],
            "connections": len(self._gateway.sessions),
            "frozen": box is not None and box.frozen,
            "link_down": box is not None and box.link_down,
            "faults": 0 if box is None else len(box.faults),
        }

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders, open ones first; staged ones are nobody's business."""
        exchange = self._gateway.exchange
        return [_as_table(record) for record in exchange.open_orders()] + [
            _as_table(record) for record in exchange.completed_orders()
        ]

    def positions(self) -> list[dict[str, Any]]:
        """Return what the accounts hold."""
        return [
            {
                "account": name,
                "contract": held.contract.local_symbol,
                "con_id": held.contract.con_id,
                "quantity": held.quantity,
                "average_price": held.average_price,
            }
            for name, account in self._gateway.exchange.accounts.items()
            for held in account.positions.values()
            if held.quantity
        ]

    def shutdown(self) -> None:
        """End the gateway."""
        self._ended.set()

    async def ended(self) -> None:
        """Wait for `shutdown`."""
        await self._ended.wait()

    @property
    def _account(self) -> str:
        return self._gateway.options.accounts[0]

    def _contract(self, symbol: str) -> ApiContract:
        gateway = self._gateway
        found = gateway.catalogue.find(ContractQuery(symbol=symbol, sec_type="FUT"))
        for contract in found:
            if gateway.market.is_front(contract):
                return contract
        raise ConfigError(f"{symbol} has no contract that trades here: take ES or MES")

    async def _listen_later(self, seconds: float, port: int) -> None:
        await asyncio.sleep(seconds)
        await self._gateway.listen(port)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _as_table(record: OrderRecord) -> dict[str, Any]:
    order = record.order
    return {
        "client": record.client_id,
        "order_id": order.order_id,
        "perm_id": record.perm_id,
        "order_ref": order.order_ref,
        "contract": record.contract.local_symbol,
        "action": order.action,
        "type": order.order_type,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "stop_price": order.aux_price,
        "status": record.status,
        "filled": record.filled,
        "average_price": record.average_price,
        "parent_id": order.parent_id,
        "oca_group": order.oca_group,
    }
