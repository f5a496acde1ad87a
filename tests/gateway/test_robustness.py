"""No request, whatever it holds, harms the gateway or the connection that it came through."""

import os
import random

import pytest
from gateway.raw_client import front, over_tcp, session
from gateway.test_requests import ES, REQUESTS, bracket_stop, encoded

from mia.core.sessions import SECOND
from mia.gateway.limits import Limits

MUTATIONS = int(os.environ.get("MIA_FUZZ_N", "25"))
BARRIER = 9
NASTY = (
    "",
    "x",
    "-1",
    "0",
    "1",
    "1000",
    "416904",
    "999999999999",
    "2147483647",
    "1.7976931348623157E308",
    "19700101 00:00:00",
    "00010101-00:00:00",
    "99991231-23:59:59",
    "20250312 12:00:00 Nowhere/City",
    "ES",
    "SPX",
    "VIX",
    "OPT",
    "FUT",
    "IND",
    "BAG",
    "C",
    "CME",
    "SMART",
    "1 D",
    "999999 D",
    "999999 S",
    "999999 Y",
    "1 day",
    "1 sec",
    "TRADES",
    "BID_ASK",
    "MIDPOINT",
    "SPXW  259999C05605000",
    "SPX   250321P05600000",
    "ESM5",
    "202513",
    "\u00e9",
)
SKIPPED = ("start_api",)


def mutated(body, generator):
    """Return a request of which one to three fields hold something else."""
    fields = body.decode().split("\0")[:-1]
    for _ in range(generator.randint(1, 3)):
        if len(fields) > 1:
            fields[generator.randrange(1, len(fields))] = generator.choice(NASTY)
    return fields


@pytest.mark.parametrize("name", [*(name for name in REQUESTS if name not in SKIPPED), "order"])
@over_tcp
async def test_a_request_that_makes_no_sense_leaves_the_connection_alone(name):
    limits = Limits(
        messages_per_second=10**6,
        historical_requests=10**6,
        historical_burst=10**6,
        historical_repeat_s=0.0,
        tick_by_tick_lines=10**6,
        depth_lines=10**6,
        output_bytes=10**9,
    )
    start = 1741787000 * SECOND
    async with session(limits=limits, start=start, lockstep=True) as (_, client):
        body = (
            encoded(176, "placeOrder", 12, ES, bracket_stop())
            if name == "order"
            else encoded(176, *REQUESTS[name])
        )
        contract = await front(client)
        generator = random.Random(name)
        for _ in range(MUTATIONS):
            client.send(*mutated(body, generator))
            client.send(8, 1, 1)
            while (await client.next(timeout=20.0))[0] != str(BARRIER):
                pass
        client.send(97, 99, *contract, "AllLast", 0, 0)
        for _ in range(3):
            _, now = await client.step()
        assert now > start // SECOND
