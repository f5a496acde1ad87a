"""``mia data collect``: record a feed into a store."""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.command_line import ConfigOption, JsonOption, SetOption
from mia.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import asyncio

    from mia.config.settings import LoadedSettings
    from mia.data.collected_days import DayQuality

FEEDS = ("ibkr", "iqfeed", "sierra")


def collect(
    out: Annotated[Path, typer.Option(help="Store, made if need be.")],
    feed: Annotated[str, typer.Option(help="ibkr, iqfeed or sierra.")] = "sierra",
    symbol: Annotated[
        str | None, typer.Option(help="Contract, or root for the front one; `symbol` otherwise.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Sierra Chart's data folder, for the feed sierra.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="First session wanted of files, if nothing was collected yet."),
    ] = None,
    client_id: Annotated[int, typer.Option(min=1, help="Client id at IBKR.")] = 73,
    iqfeed_symbol: Annotated[
        str | None, typer.Option(help="Name of the contract at IQFeed, as @ESZ25.")
    ] = None,
    iqfeed_port: Annotated[int, typer.Option(min=1, max=65535)] = 5009,
    iqfeed_lookup_port: Annotated[int, typer.Option(min=1, max=65535)] = 9100,
    compact: Annotated[
        bool, typer.Option("--compact", help="Only write what was collected into the store.")
    ] = False,
    stop_mb: Annotated[
        int, typer.Option(min=0, help="Stop when less than this is free on the disk.")
    ] = 1024,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record a feed until interrupted; sessions that are over go into the store.

    Example: mia data collect --feed sierra --folder C:/SierraChart/Data --symbol ES --out store
    """
    import asyncio

    from mia import interrupts
    from mia.config.settings import load_settings
    from mia.data.collected_days import compact_all
    from mia.data.store import Store

    if feed not in FEEDS:
        raise UsageError(f"--feed must be one of {', '.join(FEEDS)}, was {feed!r}")
    report = partial(_report, as_json)
    if compact:
        for day in compact_all(Store.create(out), feed, time.time_ns()):
            report(day)
        return
    loaded = load_settings(config, assignments or ())
    name = symbol or loaded.settings.symbol
    choice: dict[str, Any] = {
        "folder": folder,
        "since": since,
        "client_id": client_id,
        "iqfeed_symbol": iqfeed_symbol,
        "iqfeed_port": iqfeed_port,
        "iqfeed_lookup_port": iqfeed_lookup_port,
    }
    received: list[int] = []
    work = _work(feed, name, out, loaded, choice, stop_mb << 20, report, received)
    asyncio.run(work)
    if received:
        interrupts.stop_as_signalled(received[0])


async def _work(
    feed: str,
    symbol: str,
    out: Path,
    loaded: "LoadedSettings",
    choice: dict[str, Any],
    stop_bytes: int,
    report: Any,
    received: list[int],
) -> None:
    import asyncio

    from mia.data.collected_days import compact_all
    from mia.data.collected_history import HoleFiller
    from mia.data.collecting import collect as record
    from mia.data.collector import Collector, DiskGuard
    from mia.data.ibkr_trades import GatewayClock
    from mia.data.store import Store

    stop = asyncio.Event()
    _listen(stop, received)
    clock = GatewayClock()
    guard = DiskGuard(stop_bytes, max(5 * stop_bytes, stop_bytes))
    Store.create(out)
    with Collector(out, feed, clock, guard=guard, alarm=_say) as collector:
        source, position, past = _open(feed, symbol, loaded, choice, clock, collector)
        print(f"collecting {symbol} from {feed} into {out}", flush=True)
        filler = HoleFiller(collector, past, clock)
        await record(source, collector, clock, stop, report, position=position, filler=filler)
        _say(f"{collector.trades} trades recorded")
    # What is there can be used at once; the segments of a session that goes on stay open.
    for day in compact_all(Store(out), feed, clock.now()):
        report(day)


def _open(
    feed: str,
    symbol: str,
    loaded: "LoadedSettings",
    choice: dict[str, Any],
    clock: Any,
    collector: Any,
) -> tuple[Any, Any, Any]:
    """Make the feed; return it, what tells its position, and its history."""
    from mia.core import sessions
    from mia.data.collected_history import IbkrPast, IqfeedPast, SierraPast
    from mia.data.collecting import sierra_position, sierra_start
    from mia.data.contracts import front_by_calendar, is_contract

    settings = loaded.settings

    def front(session: int) -> str:
        if is_contract(symbol):
            return symbol
        return front_by_calendar(symbol, session, settings.ibkr.roll_days)

    if feed == "sierra":
        from mia.cli.source import session_option
        from mia.core.sierra_connector import SierraConnector

        if choice["folder"] is None:
            raise UsageError("--feed sierra needs --folder, Sierra Chart's data folder")
        start: Any = sierra_start(collector.position)
        if start is None and choice["since"] is not None:
            first = session_option(choice["since"], "--from")
            start = None if first is None else sessions.session_open(first)
        notify = collector.on_notice
        connector = SierraConnector(choice["folder"], front, clock, start=start, notify=notify)
        past = SierraPast(choice["folder"], clock)
        return connector, partial(sierra_position, connector), past
    if feed == "iqfeed":
        from mia.core.iqfeed.history import IQFeedHistory
        from mia.core.iqfeed_connector import IQFeedConnector

        contract = front(sessions.session_id(clock.now()))
        names = {choice["iqfeed_symbol"] or f"@{contract}": contract}
        port = choice["iqfeed_port"]
        watched = IQFeedConnector(names, clock, port=port, notify=collector.on_notice)
        told = IqfeedPast(IQFeedHistory(port=choice["iqfeed_lookup_port"]), names)
        return watched, lambda: None, told
    from mia.core.ibkr_connector import Endpoint
    from mia.data.ibkr_trades import IbkrTrades

    ibkr = settings.ibkr
    if ibkr.port is None or ibkr.account is None:
        raise ConfigError("set ibkr.port and ibkr.account: the paper port of a gateway is 4002")
    if choice["client_id"] in (ibkr.orders_client_id, ibkr.data_client_id):
        raise ConfigError(f"client id {choice['client_id']} is the trader's: choose another")
    endpoint = Endpoint(ibkr.host, ibkr.port, choice["client_id"], ibkr.account)
    source = IbkrTrades(
        endpoint,
        symbol,
        clock,
        roll_days=ibkr.roll_days,
        backend=ibkr.backend,
        notify=collector.on_notice,
    )
    return source, lambda: None, IbkrPast(source)


def _listen(stop: "asyncio.Event", received: list[int]) -> None:
    import asyncio
    import signal

    def on_signal(number: int) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(as_json: bool, day: "DayQuality") -> None:
    from mia.data.collected_days import plain

    print(json.dumps(plain(day)) if as_json else day.summary(), flush=True)
