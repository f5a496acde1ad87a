"""A simulated gateway in lock-step that stamps decisions: run as a process by `live.Orders`.

Stamped are the newest trades on their way out and the orders that they lead to on their way in;
both processes have one monotonic clock. In lock-step the trader is idle when the trades come.
"""

import asyncio
import json
import re
import sys
import time

from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway

TICK = re.compile(rb"\0\0\0.99\0", re.DOTALL)


class Stamps:
    """What a gateway tells of its bytes."""

    def __init__(self):
        self.found = []
        self.out = 0

    def opened(self, connection):
        pass

    closed = opened

    def sent(self, connection, data):
        if TICK.search(data):
            self.out = time.perf_counter_ns()

    def received(self, connection, data):
        # The target is the last order of a bracket.
        if b":T\x00" in data:
            self.found.append((self.out, time.perf_counter_ns()))


async def main(source, trades_per_day):
    options = GatewayOptions(
        source=source, trades_per_day=trades_per_day, lockstep=True, lockstep_by_minute=True
    )
    async with running_gateway(options) as gateway:
        gateway.recorder = Stamps()
        print(f"listening on 127.0.0.1:{gateway.port}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        print(json.dumps(gateway.recorder.found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
