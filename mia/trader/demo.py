"""The trading cycle as a program.

``python -m mia.trader --config demo`` runs it on a synthetic session against the simulated
exchange, accelerated, with the limits of paper trading, and leaves a report.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

import mia
from mia import interrupts
from mia.command_line import (
    EXIT_CODES,
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
)
from mia.config.settings import LoadedSettings, load_settings
from mia.core.base_types import TradeBlock, TradingMode
from mia.data.tape import Tape, synthetic_tape
from mia.errors import ConfigError, DataError, UsageError
from mia.execution.assembly import fit_settings, market_state, simulated_trader
from mia.execution.simple_trader import SimpleTrader
from mia.performance.identity import identity
from mia.performance.output import write_all
from mia.performance.recorder import RunRecord
from mia.performance.results import results_folder
from mia.performance.summary import RunFacts, summarise

SLICE_NS = 60 * 1_000_000_000

app = typer.Typer(add_completion=False)


def slices(block: TradeBlock, span_ns: int) -> Iterator[TradeBlock]:
    """Cut trades into pieces of `span_ns` of market time."""
    start, n = 0, len(block)
    while start < n:
        end = int(block.ts_event[start]) + span_ns
        stop = start + int(block.ts_event[start:].searchsorted(end))
        yield replace(
            block,
            ts_event=block.ts_event[start:stop],
            price=block.price[start:stop],
            size=block.size[start:stop],
            aggressor_side=block.aggressor_side[start:stop],
            bid_price=block.bid_price[start:stop],
            ask_price=block.ask_price[start:stop],
        )
        start = stop


def panel(trader: SimpleTrader, record: RunRecord, clock: str) -> Table:
    """Lay out what a trader wants to see at a glance."""
    table = Table(title=f"MIA paper session   {clock}", show_header=False, min_width=72)
    table.add_column(style="bold")
    table.add_column()
    row = trader.state.newest
    position = trader.position
    table.add_row("State", trader.kill_switch.state.name)
    if row is not None:
        bar, battle = row["bar"], row["battle"]
        table.add_row("Price", f"{bar['close'] / 4:.2f}   VWAP {row['vwap'] / 4:.2f}")
        table.add_row(
            "Battle Navale",
            f"S {battle['score']:+.2f}   vikings {battle['vikings']:.2f}"
            f"   defenders {battle['defenders']:.2f}",
        )
    held = "flat"
    if position is not None:
        side = "long" if position.decision.proposal.side > 0 else "short"
        what = f"{position.decision.quantity} {position.decision.symbol} {side}"
        held = f"{what} {'open' if position.open_quantity else 'working'}"
    table.add_row("Position", held)
    table.add_row("Day P&L", f"{trader.risk.day_pnl:+,.2f} USD net")
    wins = sum(trade.net_pnl > 0 for trade in record.trades)
    table.add_row("Trades", f"{len(record.trades)} closed, {wins} won")
    rejected: dict[str, int] = {}
    for decision in record.decisions:
        if not decision.accepted:
            rejected[decision.reason.value] = rejected.get(decision.reason.value, 0) + 1
    ranked = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    table.add_row("Rejected by", ", ".join(f"{k} {n}" for k, n in ranked[:6]) or "nothing yet")
    return table


def run_demo(
    loaded: LoadedSettings, tape: Tape, out: Path, speed: float, console: Console
) -> dict[str, object]:
    """Trade a tape as if it were happening, and write the files of the run.

    Parameters
    ----------
    speed : float
        Market seconds per second; 0 as fast as it goes.

    Returns
    -------
    dict
        The summary.
    """
    plan = fit_settings(loaded, tape.width_s)
    record = RunRecord()
    state = market_state(plan, tape.first_session, tape.last_session, tape.width_s, record=False)
    trader = simulated_trader(plan, state, record)
    elapsed = 0.0
    ticks = 0
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        for block in tape.blocks():
            if not isinstance(block, TradeBlock):
                raise ConfigError("the demo runs on trades: stream.primary decides the bars")
            began, first = time.monotonic(), int(block.ts_event[0])
            for piece in slices(block, SLICE_NS):
                interrupts.check()
                started = time.perf_counter()
                trader.run(piece)
                elapsed += time.perf_counter() - started
                ticks += len(piece)
                ts = int(piece.ts_event[-1])
                if speed > 0:
                    ahead = (ts - first) / 1e9 / speed - (time.monotonic() - began)
                    if ahead > 0:
                        time.sleep(ahead)
                if console.is_terminal:
                    clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ts // 1_000_000_000))
                    live.update(panel(trader, record, clock))
    _, waits, no_setups = state.reasons
    start = loaded.settings.account.start_equity
    facts = RunFacts(
        rows=ticks,
        bars=sum(state.reasons),
        ticks=ticks,
        seconds=elapsed,
        start_equity=start,
        waits=waits,
        no_setups=no_setups,
        identity=identity(
            loaded, tape, primary_stream=plan.primary, open_at_end=trader.position is not None
        ),
    )
    summary = summarise(record, facts)
    write_all(out, record, summary, tape, start)
    return summary


def report_lines(summary: dict[str, object], out: Path) -> Iterator[str]:
    """Say in a few lines what happened, and where the rest is."""
    yield (
        f"{summary['trades']} trades, {summary['wins']} won, net "
        f"{summary['net_pnl_usd']:+,.2f} USD after {summary['costs_usd']:,.2f} USD of costs"
    )
    rejections = summary["rejections"]
    assert isinstance(rejections, dict)
    yield "not traded: " + ", ".join(f"{reason} {n}" for reason, n in rejections.items())
    yield f"report: {out / 'report.html'}"


@app.command(epilog=EXIT_CODES)
def trade(
    config: ConfigOption = "demo",
    assignments: SetOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/demo"),
    speed: Annotated[
        float, typer.Option(min=0, help="Market seconds per second; 0: as fast as it goes.")
    ] = 7200.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Run the trading cycle.

    Example: python -m mia.trader --config demo --out results/demo
    """
    if version:
        print(f"mia {mia.__version__}")
        return
    loaded = load_settings(config, assignments or ())
    settings = loaded.settings
    if settings.trading_mode == TradingMode.LIVE.value:
        raise ConfigError(
            "trading_mode live needs a broker connection, which this version has not: choose paper"
        )
    if settings.feed == "none":
        raise DataError(
            f"profile {config} names no market feed, and this version has only the synthetic "
            "market: use --config demo, or `mia backtest` for recorded data"
        )
    if not isfinite(speed):
        raise UsageError(f"--speed must be a number, was {speed}")
    console = Console(stderr=True, quiet=quiet)
    demo = settings.demo
    start = int(demo.start.replace("-", ""))
    with results_folder(out):
        tape = synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day)
        console.print(f"{tape.name}, session {tape.first_session}, {settings.trading_mode} mode")
        summary = run_demo(loaded, tape, out, speed, console)
    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
        return
    for line in report_lines(summary, out):
        print(line)
