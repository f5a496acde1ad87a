"""``mia gateway``: a simulated IB Gateway for anything that speaks the TWS socket protocol."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia import interrupts
from mia.errors import BrokerError, UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mia.gateway.faults.scenario import Fault
    from mia.gateway.options import GatewayOptions

NO_CONTROL = -1
DAYS_FROM_NOW = 3


def gateway(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 4002,
    market: Annotated[
        str, typer.Option(help="synth:SEED[:DATE[:DAYS]], store:PATH or scid:FILE.")
    ] = "synth:1",
    speed: Annotated[float, typer.Option(help="Market seconds a second; inf for no limit.")] = 1.0,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Time moves when all clients ask for it.")
    ] = False,
    by_minute: Annotated[
        bool, typer.Option("--by-minute", help="In lock-step, minutes without orders at once.")
    ] = False,
    faults: Annotated[Path | None, typer.Option(help="Scenario of faults, TOML.")] = None,
    record: Annotated[Path | None, typer.Option(help="Write every frame to this file.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Serve a recording instead of a market.")
    ] = None,
    control_port: Annotated[
        int, typer.Option(min=-1, max=65535, help="Control socket; 0 any free port, -1 none.")
    ] = NO_CONTROL,
    max_version: Annotated[int, typer.Option(help="Highest server version offered.")] = 176,
    latency_ms: Annotated[
        float, typer.Option(min=0, help="From an order to its effect, market time.")
    ] = 20.0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    account: Annotated[list[str] | None, typer.Option(help="Account; may be repeated.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the gateway's computer.")] = "US/Central",
    now: Annotated[
        bool,
        typer.Option("--now", help="The market runs at the present time, by the clock."),
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(help="Market time at the start, ISO 8601 with a zone; history lies before."),
    ] = None,
    while_down: Annotated[
        float, typer.Option(min=0, help="In lock-step, market seconds without a client.")
    ] = 0.0,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="End when standard input ends, with its writer.")
    ] = False,
    trades_per_day: Annotated[
        int, typer.Option(min=100, max=5_000_000, help="Activity of the synthetic market.")
    ] = 50_000,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log lines of JSON.")] = False,
) -> None:
    """Run a simulated IB Gateway until it is interrupted.

    Example: mia gateway --port 4002 --market synth:7 --speed 60 --control-port 4102
    """
    import asyncio

    from mia.core import logs
    from mia.gateway.faults.scenario import read_scenario
    from mia.gateway.options import GatewayOptions

    logs.set_up(as_json=log_json)
    if now and start is not None:
        raise UsageError("--now is a start of its own: leave out --start")
    if replay is not None:
        if record is not None or faults is not None:
            raise UsageError("a replay adds nothing of its own: leave out --record and --faults")
        _leave(asyncio.run(_replay(replay, host, port)))
        return
    options = GatewayOptions(
        host=host,
        port=port,
        source=_market_of_today(market) if now else market,
        speed=speed,
        lockstep=lockstep,
        lockstep_by_minute=by_minute,
        latency_ms=latency_ms,
        version=max_version,
        zone=zone,
        while_down_s=while_down,
        start=time.time_ns() if now else _instant(start),
        wall=now,
        trades_per_day=trades_per_day,
        accounts=tuple(account or GatewayOptions().accounts),
    )
    scenario = read_scenario(faults) if faults is not None else []
    _leave(asyncio.run(_run(options, scenario, record, control_port, until_eof)))


def _market_of_today(market: str) -> str:
    """Date a synthetic market that has no date with the session that runs, or comes next."""
    if not market.startswith("synth:") or market.count(":") != 1:
        return market
    from mia.core import sessions

    session = sessions.session_id(time.time_ns())
    if not sessions.is_trading_day(session):
        session = sessions.next_trading_day(session)
    return f"{market}:{session}:{DAYS_FROM_NOW}"


def _instant(text: str | None) -> int:
    """Read a time as ns UTC, 0 without one."""
    from datetime import datetime

    if text is None:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"--start takes a time with its zone, 2025-03-10T10:00-04:00: {text!r}")
    return int(moment.timestamp()) * 1_000_000_000


async def _run(
    options: "GatewayOptions",
    faults: "list[Fault]",
    record: Path | None,
    control_port: int,
    until_eof: bool,
) -> int:
    import asyncio
    from contextlib import AsyncExitStack

    from mia.gateway.faults.control import ControlServer
    from mia.gateway.faults.fault_box import FaultBox
    from mia.gateway.faults.gateway_control import GatewayControl
    from mia.gateway.recording import Recorder
    from mia.gateway.server import opened_gateway

    async with AsyncExitStack() as stack:
        gateway = stack.enter_context(opened_gateway(options))
        hand = GatewayControl(gateway)
        box = FaultBox(hand, faults)
        hand.box = box
        gateway.interceptor = box
        if record is not None:
            gateway.recorder = Recorder(record, lambda: gateway.market.now)
            stack.callback(gateway.recorder.close)
        try:
            await gateway.start()
            stack.push_async_callback(gateway.stop)
            control = ControlServer(hand, box)
            if control_port != NO_CONTROL:
                await control.start(control_port)
                stack.push_async_callback(control.stop)
        except OSError as error:
            raise BrokerError(
                f"cannot listen on {options.host}, port {options.port} "
                f"(control {control_port}): {error.strerror or error}"
            ) from None
        if until_eof:
            _at_eof(hand.shutdown)
        where = f"listening on {options.host}:{gateway.port}"
        print(
            f"{where}, control on 127.0.0.1:{control.port}" if control.port else where, flush=True
        )
        signalled = _signals()
        works: list[asyncio.Future[Any]] = [
            signalled,
            asyncio.ensure_future(gateway.serve()),
            asyncio.ensure_future(hand.ended()),
        ]
        done, waiting = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for task in done:
            task.result()
        return signalled.result() if signalled in done else 0


def _at_eof(act: "Callable[[], None]") -> None:
    import asyncio
    import sys
    import threading

    loop = asyncio.get_running_loop()

    def read() -> None:
        sys.stdin.buffer.read()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(act)

    threading.Thread(target=read, daemon=True).start()


def _signals() -> "asyncio.Future[int]":
    """Return what is done when the process is told to stop: an exception in the loop could hang."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()

    def tell(number: int) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, tell, number)
    return told


def _leave(number: int) -> None:
    if number:
        interrupts.stop_as_signalled(number)


async def _replay(path: Path, host: str, port: int) -> int:

    from mia.gateway.recording import Replay, read_recording

    replay = Replay(read_recording(path))
    try:
        await replay.start(host, port)
    except OSError as error:
        raise BrokerError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    print(f"replaying {path.name} on {host}:{replay.port}", flush=True)
    try:
        return await _signals()
    finally:
        await replay.stop()
