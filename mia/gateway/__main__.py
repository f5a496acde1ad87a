"""Run a simulated gateway: ``python -m mia.gateway --port 4002 --market synth:1``."""

import argparse
import asyncio
import logging
import sys

from mia.errors import MiaError
from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway


def _options(arguments: list[str] | None) -> GatewayOptions:
    defaults = GatewayOptions()
    parser = argparse.ArgumentParser(prog="mia.gateway", description=__doc__)
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=4002)
    parser.add_argument(
        "--market",
        default=defaults.source,
        help="synth:SEED[:DATE[:DAYS]], store:PATH or scid:FILE",
    )
    parser.add_argument("--speed", type=float, default=defaults.speed)
    parser.add_argument("--lockstep", action="store_true")
    parser.add_argument("--latency-ms", type=float, default=defaults.latency_ms)
    parser.add_argument("--version", type=int, default=defaults.version)
    parser.add_argument("--zone", default=defaults.zone)
    parser.add_argument("--account", action="append")
    parser.add_argument("--start", type=int, default=0, help="market time, ns UTC")
    parser.add_argument("--trades-per-day", type=int, default=defaults.trades_per_day)
    parsed = parser.parse_args(arguments)
    return GatewayOptions(
        host=parsed.host,
        port=parsed.port,
        source=parsed.market,
        start=parsed.start,
        speed=parsed.speed,
        lockstep=parsed.lockstep,
        latency_ms=parsed.latency_ms,
        version=parsed.version,
        zone=parsed.zone,
        accounts=tuple(parsed.account or defaults.accounts),
        trades_per_day=parsed.trades_per_day,
    )


async def _run(options: GatewayOptions) -> None:
    async with running_gateway(options) as gateway:
        print(f"listening on {options.host}:{gateway.port}", flush=True)
        await gateway.serve()


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        asyncio.run(_run(_options(arguments)))
    except KeyboardInterrupt:
        return 0
    except MiaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"the gateway cannot listen: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
