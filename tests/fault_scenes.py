"""Scenes in which faults happen, for the tests of the gateway."""

import asyncio

from wire_client import stage

SHORT = 0.3
"""Seconds in which nothing may come where nothing should."""


def play(act, *faults, **options):
    """Run a scene against a gateway with faults."""

    async def scene():
        async with stage(*faults, **options) as here:
            await act(here)

    asyncio.run(scene())


def at(name, when=None, **parameters):
    return {"name": name, "when": when or {}, **parameters}


async def works(trader, order_id):
    """Whether the gateway has an order among those that work."""
    start = len(trader.frames)
    trader.client.reqAllOpenOrders()
    await trader.message(53, start=start)
    return any(f[0] == "5" and f[1] == str(order_id) for f in trader.frames[start:])


async def open_references(trader):
    start = len(trader.frames)
    trader.client.reqAllOpenOrders()
    await trader.message(53, start=start)
    return sorted(f[23] for f in trader.frames[start:] if f[0] == "5")


async def ready(here, client_id=1):
    """Connect a trader that hears of trades, and let one second of them pass."""
    trader = await here.trader(client_id)
    await trader.listen()
    await trader.step_until(lambda: trader.of(99))
    return trader


async def far_order(trader):
    """Place an order that will not fill."""
    return trader.place("BUY", "LMT", 1, trader.last - 50.0, "far:E")


async def one_fill(here, kind="MKT"):
    """Buy one contract; return the trader and the order."""
    trader = await ready(here)
    order = trader.place("BUY", kind)
    await trader.fills(order)
    await trader.step()
    await trader.barrier()
    return trader, order
