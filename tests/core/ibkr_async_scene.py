"""A scene for an environment with ib_async alone: connect, hear trades, trade a bracket, leave.

Arguments: port of a gateway, name of the client library.
"""

import asyncio
import sys

from mia.core.base_types import OrderType
from mia.core.broker_types import BrokerStatus, OrderTicket
from mia.core.ibkr.backend import new_event_loop
from mia.core.ibkr_connector import Endpoint, IbkrConnector


class Listener:
    def __init__(self):
        self.trades, self.levels, self.fills, self.statuses, self.orders = [], [], [], [], []
        self.notices, self.times = [], []

    def on_trade(self, *trade):
        self.trades.append(trade)

    def on_quote(self, *quote):
        pass

    def on_index(self, *level):
        self.levels.append(level)

    def on_bad_tick(self, contract, why):
        raise AssertionError(why)

    def on_server_time(self, ts):
        self.times.append(ts)

    def on_status(self, report):
        self.statuses.append(report)

    def on_open_order(self, report):
        self.orders.append(report)

    def on_execution(self, report):
        self.fills.append(report)

    def on_commission(self, report):
        pass

    def on_notice(self, notice):
        assert notice.code > 0, notice

    def on_link(self, state, reason):
        pass


async def until(condition):
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


async def main(port, library):
    heard = Listener()
    connector = IbkrConnector(
        Endpoint("127.0.0.1", port, 5, "DU1234567"), orders=heard, market=heard, backend=library
    )
    await connector.connect()
    contract = (await connector.contracts("ES"))[0]
    assert contract == await connector.resolve(contract.name)
    await connector.subscribe_trades(contract)
    await connector.subscribe_index("VIX")
    await until(lambda: heard.trades and heard.levels)
    last = heard.trades[-1][2]
    ids = [connector.next_order_id() for _ in range(3)]
    common = {"symbol": "ES", "con_id": contract.con_id, "contract": contract.name}
    common |= {"quantity": 1, "account": "DU1234567"}
    legs = {"side": -1, "tif": "GTC", "parent_id": ids[0], "oca_group": "a", "oca_type": 1}
    change = await connector.what_if(
        OrderTicket(
            connector.next_order_id(),
            "w:E",
            side=1,
            order_type=OrderType.MARKET,
            price=0,
            tif="DAY",
            **common,
        )
    )
    assert change.initial_after > 0
    for ticket in (
        OrderTicket(
            ids[0],
            "a:E",
            side=1,
            order_type=OrderType.MARKET,
            price=0,
            tif="DAY",
            transmit=False,
            **common,
        ),
        OrderTicket(
            ids[1],
            "a:S",
            order_type=OrderType.STOP,
            price=last - 80,
            transmit=False,
            **common,
            **legs,
        ),
        OrderTicket(ids[2], "a:T", order_type=OrderType.LIMIT, price=last + 80, **common, **legs),
    ):
        connector.place(ticket)
    await until(lambda: heard.fills)
    assert heard.fills[0].order_ref == "a:E"
    snapshot = await connector.snapshot()
    assert snapshot.complete
    assert {order.order_ref for order in snapshot.open_orders} == {"a:S", "a:T"}
    assert [position.quantity for position in snapshot.positions] == [1]
    connector.cancel(ids[2])
    await until(lambda: any(s.status is BrokerStatus.CANCELLED for s in heard.statuses))
    trades = await connector.historical_trades(
        contract, heard.trades[0][1] - 10**9, heard.trades[-1][1]
    )
    assert len(trades.ts_event) > 0
    await connector.disconnect()
    print(library, connector.server_version, connector.backend.version)


if __name__ == "__main__":
    loop = new_event_loop()
    loop.run_until_complete(main(int(sys.argv[1]), sys.argv[2]))
    loop.close()
