"""A trader to be killed: it trades through ib_insync, keeps a journal, and then hangs or dies.

Arguments: state directory, port, what it forgets (``fills``, ``journal`` or ``nothing``), and
how it ends (``hang``: it lives and does nothing).
"""

import asyncio
import sys
import time
from pathlib import Path

from mia.data.journal import Journal
from mia.data.state_directory import StateDirectory

asyncio.set_event_loop(asyncio.new_event_loop())

from ib_insync import IB, Contract, Future, LimitOrder, MarketOrder, Order  # noqa: E402

ACCOUNT = "DU1234567"
CLIENT = 5
HELD = "TRADE_20250310_143000_00000001"
RESTING = "TRADE_20250310_143000_00000002"


def wait(ib: IB, condition: object) -> None:
    limit = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < limit, "the gateway did not do what was waited for"
        ib.sleep(0.02)


def connected(port: int, client: int) -> tuple[IB, Contract]:
    ib = IB()
    ib.connect("127.0.0.1", port, clientId=client, timeout=10)
    return ib, ib.reqContractDetails(Future("ES", exchange="CME"))[0].contract


def last_price(ib: IB, contract: Contract) -> float:
    ticker = ib.reqMktData(contract)
    wait(ib, lambda: ticker.last == ticker.last)
    ib.cancelMktData(contract)
    return float(ticker.last)


def send_bracket(
    ib: IB, contract: Contract, journal: Journal, bracket: str, entry: Order, price: float
) -> None:
    group = {"ocaGroup": bracket, "ocaType": 1, "tif": "GTC", "outsideRth": True}
    entry.orderId = ib.client.getReqId()
    stop = Order(
        orderId=ib.client.getReqId(),
        action="SELL",
        totalQuantity=entry.totalQuantity,
        orderType="STP",
        auxPrice=price - 50,
        **group,
    )
    target = Order(
        orderId=ib.client.getReqId(),
        action="SELL",
        totalQuantity=entry.totalQuantity,
        orderType="LMT",
        lmtPrice=price + 50,
        **group,
    )
    legs = []
    for leg, order in zip("EST", (entry, stop, target), strict=True):
        order.orderRef = f"{bracket}:{leg}"
        order.account = ACCOUNT
        order.transmit = leg == "T"
        order.parentId = 0 if leg == "E" else entry.orderId
        side = 1 if order.action == "BUY" else -1
        legs.append({"ref": order.orderRef, "role": leg, "side": side, "order_id": order.orderId})
    entry.outsideRth, entry.tif = True, "DAY"
    payload = {"bracket_id": bracket, "con_id": contract.conId, "legs": legs}
    journal.append("order.bracket", payload, ts=1)
    for order in (entry, stop, target):
        ib.placeOrder(contract, order)


def journal_fills(ib: IB, journal: Journal) -> None:
    for fill in ib.fills():
        execution = fill.execution
        identity, _, revision = execution.execId.rpartition(".")
        payload = {
            "ref": execution.orderRef,
            "identity": identity,
            "revision": int(revision),
            "side": 1 if execution.side == "BOT" else -1,
            "quantity": int(execution.shares),
        }
        journal.append("order.execution", payload, ts=2)


def main(state: Path, port: int, forgotten: str) -> None:
    directory = StateDirectory.open(state)
    directory.write_run(account=ACCOUNT, host="127.0.0.1", port=port, client_id=CLIENT, started=1)
    journal = Journal.open(directory.journal_path, clock=lambda: 1, reserve_bytes=0)
    ib, contract = connected(port, CLIENT)
    price = last_price(ib, contract)
    send_bracket(ib, contract, journal, HELD, MarketOrder("BUY", 2), price)
    wait(ib, lambda: sum(fill.execution.shares for fill in ib.fills()) == 2)
    send_bracket(ib, contract, journal, RESTING, LimitOrder("BUY", 1, price - 40), price - 40)
    statuses = ("Submitted", "PreSubmitted")
    wait(ib, lambda: sum(t.orderStatus.status in statuses for t in ib.trades()) == 5)
    if forgotten != "fills":
        journal_fills(ib, journal)
    journal.sync()
    if forgotten == "journal":
        for file in state.glob("journal.db*"):
            file.unlink()
    print("ready", flush=True)
    time.sleep(120)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
