"""What faults do to a library that keeps orders for its user: why none may be believed."""

import asyncio

from fault_scenes import at
from ib_insync import IB, Contract, LimitOrder, MarketOrder
from wire_client import stage

from mia.gateway.recording import Recorder, read_recording


async def connected(here):
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", here.gateway.port, 5, timeout=20)
    found = await ib.reqContractDetailsAsync(Contract(symbol="ES", secType="FUT", exchange="CME"))
    contract = min((d.contract for d in found), key=lambda c: c.lastTradeDateOrContractMonth)
    return ib, contract


def play(act, *faults):
    async def scene():
        async with stage(*faults) as here:
            ib, contract = await connected(here)
            try:
                await act(here, ib, contract)
            finally:
                ib.disconnect()
                await asyncio.sleep(0)

    asyncio.run(scene())


def order(ib, make, *arguments):
    return make(*arguments, tif="DAY", outsideRth=True, account=ib.managedAccounts()[0])


async def steps(ib, condition):
    for _ in range(200):
        if condition():
            return
        await ib.reqCurrentTimeAsync()
    raise TimeoutError


def test_the_library_believes_a_live_order_cancelled() -> None:
    async def act(here, ib, contract):
        trade = ib.placeOrder(contract, order(ib, LimitOrder, "BUY", 1, 3000.0))
        await steps(ib, lambda: here.hand.orders()[0]["status"] == "Submitted")
        assert trade.orderStatus.status == "Cancelled"
        assert ib.openTrades() == []
        assert [o["status"] for o in here.hand.orders()] == ["Submitted"]

    play(act, at("false_cancel", {"message": 3, "status": "Submitted"}, code=10349))


def test_the_library_loses_a_fill_whose_zone_it_does_not_know() -> None:
    async def act(here, ib, contract):
        trade = ib.placeOrder(contract, order(ib, MarketOrder, "BUY", 1))
        await steps(ib, lambda: trade.orderStatus.status == "Filled")
        assert trade.fills == []
        assert [held["quantity"] for held in here.hand.positions()] == [1]

    play(act, at("execution_zone", zone="Central European Standard Time"))


def test_the_library_counts_a_corrected_fill_twice() -> None:
    async def act(here, ib, contract):
        trade = ib.placeOrder(contract, order(ib, MarketOrder, "BUY", 1))
        await steps(ib, lambda: len(trade.fills) == 2)
        assert trade.filled() == 2
        assert [held["quantity"] for held in here.hand.positions()] == [1]

    play(act, at("corrected_execution"))


def test_a_recorder_may_come_while_clients_are_connected(tmp_path) -> None:
    path = tmp_path / "late.jsonl"

    async def act(here, ib, contract):
        here.gateway.recorder = Recorder(path, lambda: here.gateway.market.now)
        await ib.reqCurrentTimeAsync()
        here.gateway.recorder.close()

    play(act)
    (frames,) = read_recording(path)
    assert str(frames[0]) == "49,1"
    assert [frame.is_incoming for frame in frames if str(frame).startswith("49,")] == [True, False]
