"""The demo: a synthetic session, traded over TCP on a simulated gateway that fails once.

The gateway runs in a process of its own and in lock-step, so the run is the same on any machine,
and a backtest of the same tape as the wire shows it decides and fills the same. With
``feed=sierra`` the trades come from a `.scid` file that another process appends to in step with
the market, with the exact side of each; orders go to the gateway.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.data.state_directory import StateDirectory
from mia.data.tape import Selection, Tape, open_tape, synthetic_tape
from mia.data.wire_tape import as_wire
from mia.errors import ConfigError, DataError
from mia.performance.identity import identity
from mia.performance.output import write_all
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, summarise
from mia.trader.gateway_process import gateway_process
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions
from mia.trader.sierra_process import sierra_process

ACCOUNT = "DU1234567"
_MARK = "demo"


def run_demo(
    loaded: LoadedSettings, out: Path, console: Console, *, dry_run: bool = False
) -> dict[str, object]:
    """Trade what the settings name on a simulated gateway, and write the files of the run.

    Returns
    -------
    dict
        The summary.
    """
    with ExitStack() as sources:
        tape, market = _market(loaded, sources)
        return _run(loaded, tape, market, out, console, dry_run=dry_run)


def _run(
    loaded: LoadedSettings,
    tape: Tape,
    market: list[str],
    out: Path,
    console: Console,
    *,
    dry_run: bool,
) -> dict[str, object]:
    from mia.trader.app import watched

    state, said = _fresh_state(out / "state"), out / "gateway.log"
    record = RunRecord()
    began = time.perf_counter()
    with ExitStack() as stack:
        mode = loaded.settings.trading_mode
        console.print(f"{tape.name}, session {tape.first_session}, {mode} mode")
        faults = loaded.settings.demo.faults and loaded.settings.feed != "replay"
        scenario = stack.enter_context(as_file(files("mia.trader") / "demo_faults.toml"))
        gateway = stack.enter_context(
            gateway_process(
                [
                    *market,
                    "--account",
                    ACCOUNT,
                    "--lockstep",
                    "--by-minute",
                    *(["--faults", str(scenario), "--while-down", "45"] if faults else []),
                ],
                said,
            )
        )
        pace = None
        if loaded.settings.feed == "sierra":
            loaded, pace = _written(loaded, out, stack)
            console.print(f"trades come from the files in {out / 'sierra'}")
        options = LiveOptions(
            gateway.host,
            gateway.port,
            ACCOUNT,
            state,
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
            broker="simulated gateway",
            primary_stream=loaded.settings.stream.primary,
            open_at_end=trader.trader.position is not None,
        ),
    )
    summary = summarise(record, facts)
    write_all(out, record, summary, tape, equity)
    return summary


def _market(loaded: LoadedSettings, stack: ExitStack) -> tuple[Tape, list[str]]:
    """Return what is played, as the cycle sees it, and the arguments with which a gateway plays it.

    Raises
    ------
    ConfigError
        If there is nothing to replay.
    DataError
        If what is to be replayed has no trades.
    """
    settings = loaded.settings
    if settings.feed == "replay":
        source = settings.replay.source
        if source is None:
            raise ConfigError("set replay.source to a store or a .scid file")
        tape = stack.enter_context(open_tape(Path(source), Selection(settings.symbol)))
        if tape.ready_made:
            raise DataError(f"{source} holds bars: a replay needs trades")
        kind = "store" if Path(source).is_dir() else "scid"
        return as_wire(tape), ["--market", f"{kind}:{source}"]
    demo = settings.demo
    start = _start(loaded)
    tape = synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day)
    arguments = ["--market", f"synth:{demo.seed}:{start}:{demo.sessions}"]
    arguments += ["--trades-per-day", str(demo.trades_per_day)]
    return tape if settings.feed == "sierra" else as_wire(tape), arguments


def _start(loaded: LoadedSettings) -> int:
    return int(loaded.settings.demo.start.replace("-", ""))


def _written(
    loaded: LoadedSettings, out: Path, stack: ExitStack
) -> tuple[LoadedSettings, Callable[[int], None]]:
    """Let a process write the market as Sierra does; return settings that read it, and its pace."""
    settings = loaded.settings
    demo, folder = settings.demo, out / "sierra"
    folder.mkdir(exist_ok=True)
    market = (demo.seed, _start(loaded), demo.sessions, demo.trades_per_day)
    process = stack.enter_context(
        sierra_process(folder, market, demo.flush_ms, out / "sierra_writer.log")
    )
    sierra = settings.sierra.model_copy(update={"folder": str(folder)})
    reading = replace(loaded, settings=settings.model_copy(update={"sierra": sierra}))
    return reading, process.pace


def _fresh_state(path: Path) -> Path:
    """Make a state directory anew: the account of the demo before it died with its gateway.

    Raises
    ------
    ConfigError
        If it is there and no demo made it.
    AlreadyRunning
        If a demo is using it.
    """
    mark = path / _MARK
    if path.exists():
        if not mark.exists():
            raise ConfigError(f"{path} was not made by a demo: choose another folder with --out")
        with StateDirectory.open(path):
            pass
        shutil.rmtree(path)
    path.mkdir(mode=0o700, parents=True)
    mark.touch(mode=0o600)
    return path
