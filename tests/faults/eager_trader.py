"""The real trader with a strategy that wants to trade all the time, as a process for faults.

Everything but the decisions is what ``python -m mia.trader`` runs. Arguments: a JSON table with
``port``, ``state``, ``now`` (market time, ns UTC), ``settings`` (assignments), and how the
strategy behaves: ``pause_s`` (market seconds between brackets), ``distance`` (ticks of stop and
target), ``side`` (0: both in turn), ``quantity``, ``kind`` (MARKET or LIMIT), ``trail`` (stops are
moved with the market), ``close_s`` (market seconds until it closes what
it holds), ``hostile`` (brackets a block, without looking at anything), ``hold`` (a file while which
exists nothing new is sent), ``cold`` (the past is not learned).

What happens is told on stdout, a JSON line each with the monotonic time.
"""

import asyncio
import json
import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from faults.eager_strategy import EagerStrategy
from mia.config.settings import load_settings
from mia.errors import MiaError
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions
from mia.trader.start_up import StartUp

ACCOUNT = "DU1234567"
FIXED = ("feed=ibkr", "backup.every_h=0", "alerts.watchdog=false")


def say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **more}), flush=True)


class _Cold(StartUp):
    """Does not learn the past: started often, it would run into the gateway's pace."""

    async def prepare(self, *parts: object) -> None:
        del parts


class _Sink:
    """Tells what the harness wants to know."""

    def __init__(self) -> None:
        self.strategy: EagerStrategy | None = None

    def publish(self, topic: str, event: Any) -> None:
        if topic == "block" and self.strategy is not None:
            try:
                self.strategy.on_block(event)
            except Exception as error:
                say("strategy_error", text=repr(error))
                raise
        elif topic == "sent":
            say("sent", name=event.trade_id)
        elif topic == "refused":
            say("refused", code=event[1].code, text=str(event[1]))
        elif topic == "fill":
            say("fill", name=event.bracket_id, role=event.role.value, quantity=event.quantity)
        elif topic == "closed":
            say("closed", name=event.trade_id, net=event.net_pnl)
        elif topic == "kill":
            say("kill", rule=event[0].rule.value, state=event[2].name)
        elif topic == "alarm":
            say("alarm", trouble=event.trouble.value, subject=event.subject, text=event.text)
        elif topic == "link":
            say("link", which=event[0], state=event[1].value, reason=event[2])
        elif topic == "reconciled":
            say("reconciled", complete=event.complete, adopted=event.adopted, retry=event.retry)
        elif topic in ("bad_tick", "unfilled", "command", "notice"):
            say(topic, text=str(event))


def main(wish: dict[str, Any]) -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    say("start")
    loaded = load_settings(
        "paper",
        [*FIXED, f"ibkr.port={wish['port']}", f"ibkr.account={ACCOUNT}", *wish["settings"]],
        env_file=Path("no such file"),
        environ={},
    )
    if wish.get("daily_loss"):
        limits = replace(loaded.limits, daily_loss_usd=float(wish["daily_loss"]))
        if wish["daily_loss"] > 10_000:
            # An eager strategy loses steadily; what is tested there is not the loss.
            limits = replace(limits, per_trade_usd=1e6, max_drawdown=1.0)
        if wish.get("per_trade"):
            limits = replace(limits, per_trade_usd=float(wish["per_trade"]))
        loaded = replace(loaded, limits=limits)
    sink = _Sink()
    options = LiveOptions(
        "127.0.0.1",
        int(wish["port"]),
        ACCOUNT,
        Path(wish["state"]),
        sink,
        lockstep=bool(wish.get("lockstep")),
        now=int(wish["now"]),
    )
    try:
        with ExitStack() as stack:
            trader = LiveTrader(loaded, options, stack)
            if wish.get("cold"):
                trader.start_up = _Cold(trader)
            strategy = EagerStrategy(trader, wish)

            def ready() -> None:
                sink.strategy = strategy
                say("ready", position=strategy.held())

            asyncio.run(trader.run(ready))
        say("end", state=trader.trader.kill_switch.state.name, position=strategy.held())
    except MiaError as error:
        say("error", code=error.exit_code, text=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
