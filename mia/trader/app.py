"""``python -m mia.trader``: the trading cycle as a program."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

import mia
from mia import interrupts
from mia.command_line import EXIT_CODES, ConfigOption, JsonOption, QuietOption, SetOption
from mia.config.settings import LoadedSettings, load_settings
from mia.core import logs
from mia.core.base_types import TradingMode
from mia.errors import ConfigError, DataError, UsageError
from mia.performance.recorder import RunRecord
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions, gateway_address, settle_collector
from mia.trader.notes import Notes
from mia.trader.panel import panel, report_lines

_REFRESH_S = 0.25
DEMO = "demo"
"""Profile that simulates; any other trades on the gateway that the settings name."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog=EXIT_CODES)
def trade(
    config: ConfigOption = "demo",
    assignments: SetOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report of the demo.")] = Path(
        "results/demo"
    ),
    state: Annotated[
        Path | None, typer.Option(help="State directory; live.state_dir otherwise.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Everything up to the last gate; send nothing.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="One of the five things that real money needs.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log lines of JSON; also logs.json_lines.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Run the trading cycle.

    Example: mia trade --config demo --out results/demo
    """
    if version:
        print(f"mia {mia.__version__}")
        return
    loaded = load_settings(config, assignments or ())
    said = loaded.settings.logs
    logs.set_up(
        logging.WARNING if quiet else logging.getLevelName(said.level),
        as_json=log_json or said.json_lines,
        secrets=loaded.secrets,
    )
    console = Console(stderr=True, quiet=quiet)
    simulated = loaded.settings.feed in ("synth", "replay") or (
        loaded.settings.feed == "sierra" and loaded.profile == DEMO
    )
    if simulated:
        if live:
            raise UsageError("--live has no place in a simulation: choose another profile")
        if loaded.settings.trading_mode == TradingMode.LIVE.value:
            raise ConfigError("trading_mode live has no place in a simulation: choose paper")
        # Imported here: a trader that starts need not wait for what writes reports.
        from mia.performance.results import results_folder
        from mia.trader.demo import run_demo

        with results_folder(out):
            summary = run_demo(loaded, out, console, dry_run=dry_run)
        if as_json:
            print(json.dumps(summary, indent=2, allow_nan=False))
            return
        for line in report_lines(summary, out):
            print(line)
        return
    if loaded.settings.feed == "none":
        raise DataError(
            f"profile {config} names no market feed: choose feed=sierra, feed=iqfeed or "
            "feed=ibkr, or --config demo, or `mia backtest` for recorded data"
        )
    _trade(loaded, state, console, dry_run=dry_run, live=live, as_json=as_json)


def _trade(
    loaded: LoadedSettings,
    state: Path | None,
    console: Console,
    *,
    dry_run: bool,
    live: bool,
    as_json: bool,
) -> None:
    """Trade on the gateway that the settings name, until stopped."""
    host, port, account = gateway_address(loaded)
    record = RunRecord()
    notes = Notes(record, console)
    options = LiveOptions(
        host,
        port,
        account,
        state or Path(loaded.settings.live.state_dir) / account,
        notes,
        dry_run=dry_run,
        live_flag=live,
    )
    with ExitStack() as stack:
        trader = LiveTrader(loaded, options, stack)
        if loaded.settings.trading_mode == TradingMode.LIVE.value:
            trader.require_armed()
        feed = loaded.settings.feed
        for line in (
            f"account {account} at {host}:{port}, {loaded.settings.trading_mode} mode",
            "The feed is IBKR's: it does not say who crossed the spread; order flow is inferred."
            if feed == "ibkr"
            else f"trades come from {feed}, orders go to IBKR",
        ):
            notes.say(line)
        asyncio.run(watched(trader, record, console, settle_collector))
    ticks = trader.session.ticks
    result: dict[str, Any] = {
        "ticks": ticks.accepted,
        "refused_ticks": sum(ticks.refused.values()),
        "bars": sum(trader.trader.state.reasons),
        "trades": len(record.trades),
        "net_pnl_usd": sum(trade.net_pnl for trade in record.trades),
        "decisions": len(record.decisions),
        "state": trader.trader.kill_switch.state.name,
        "position": 0 if trader.trader.position is None else trader.trader.position.open_quantity,
    }
    if as_json:
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print(", ".join(f"{name} {value}" for name, value in result.items()))
        if result["position"]:
            print(
                "the position keeps its stop and target at the broker; the next start takes it up"
            )
    if trader.stopped_by:
        interrupts.stop_as_signalled(trader.stopped_by)


async def watched(
    trader: LiveTrader,
    record: RunRecord,
    console: Console,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Run a trader, and show how it does on a terminal."""
    if not console.is_terminal:
        await trader.run(started)
        return
    with Live(console=console, refresh_per_second=4) as live:

        async def show() -> None:
            while True:
                clock = time.strftime(
                    "%Y-%m-%d %H:%M:%S UTC", time.gmtime(trader.session.now // 1_000_000_000)
                )
                live.update(panel(trader.trader, record, clock))
                await asyncio.sleep(_REFRESH_S)

        task = asyncio.create_task(show())
        try:
            await trader.run(started)
        finally:
            task.cancel()
