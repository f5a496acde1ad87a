"""The demo: a synthetic session, traded over TCP on a simulated gateway that fails once.

The gateway runs in a process of its own and in lock-step, so the run is the same on any machine,
and a backtest of the same tape as the wire shows it decides and fills the same. With
``feed=sierra`` the trades come from a `.scid` file that another process appends to in step with
the market, with the exact side of each; orders go to the gateway.
"""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.performance.identity import identity
from mia.performance.output import write_all
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, summarise
from mia.trader.gateway_process import gateway_process
from mia.trader.live import LiveOptions, LiveTrader
from mia.trader.sierra_process import sierra_process

ACCOUNT = "DU1234567"


def run_demo(
    loaded: LoadedSettings, out: Path, console: Console, *, dry_run: bool = False
) -> dict[str, object]:
    """Trade the synthetic market of the settings, and write the files of the run.

    Returns
    -------
    dict
        The summary.
    """
    from mia.trader.app import watched

    demo = loaded.settings.demo
    start = int(demo.start.replace("-", ""))
    from_file = loaded.settings.feed == "sierra"
    tape = synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day)
    if not from_file:
        tape = as_wire(tape)
    console.print(f"{tape.name}, session {tape.first_session}, {loaded.settings.trading_mode} mode")
    record = RunRecord()
    began = time.perf_counter()
    with ExitStack() as stack:
        scenario = stack.enter_context(as_file(files("mia.trader") / "demo_faults.toml"))
        gateway = stack.enter_context(
            gateway_process(
                [
                    "--market",
                    f"synth:{demo.seed}:{start}:{demo.sessions}",
                    "--trades-per-day",
                    str(demo.trades_per_day),
                    "--account",
                    ACCOUNT,
                    "--lockstep",
                    "--by-minute",
                    *(["--faults", str(scenario), "--while-down", "45"] if demo.faults else []),
                ],
                out / "gateway.log",
            )
        )
        pace = None
        if from_file:
            files_of_sierra = out / "sierra"
            files_of_sierra.mkdir(exist_ok=True)
            market = (demo.seed, start, demo.sessions, demo.trades_per_day)
            writer = sierra_process(
                files_of_sierra, market, demo.flush_ms, out / "sierra_writer.log"
            )
            pace = stack.enter_context(writer).pace
            loaded = _reading(loaded, files_of_sierra)
            console.print(f"trades from {files_of_sierra}, flushed every {demo.flush_ms} ms")
        options = LiveOptions(
            gateway.host,
            gateway.port,
            ACCOUNT,
            out / "state",
            record,
            dry_run=dry_run,
            lockstep=True,
            now=sessions.session_open(tape.first_session),
            end=int(sessions.session_table(tape.last_session, tape.last_session)["t_end"][0]),
            pace=pace,
        )
        trader = LiveTrader(loaded, options, stack)
        console.print(f"simulated gateway on {gateway.host}:{gateway.port}, account {ACCOUNT}")
        asyncio.run(watched(trader, record, console))
    _, waits, no_setups = trader.trader.state.reasons
    equity = loaded.settings.account.start_equity
    ticks = trader.session.ticks.accepted
    facts = RunFacts(
        rows=ticks,
        bars=sum(trader.trader.state.reasons),
        ticks=ticks,
        seconds=time.perf_counter() - began,
        start_equity=equity,
        waits=waits,
        no_setups=no_setups,
        identity=identity(
            loaded,
            tape,
            primary_stream=loaded.settings.stream.primary,
            open_at_end=trader.trader.position is not None,
        ),
    )
    summary = summarise(record, facts)
    write_all(out, record, summary, tape, equity)
    return summary


def _reading(loaded: LoadedSettings, folder: Path) -> LoadedSettings:
    """Return settings that read a folder's `.scid` files."""
    settings = loaded.settings
    sierra = settings.sierra.model_copy(update={"folder": str(folder)})
    return replace(loaded, settings=settings.model_copy(update={"sierra": sierra}))
