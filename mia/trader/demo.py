"""The demo: a synthetic session, traded over TCP on a simulated gateway that fails once.

The gateway runs in a process of its own and in lock-step, so the run is the same on any machine,
and a backtest of the same tape as the wire shows it decides and fills the same.
"""

import asyncio
import shutil
import time
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.data.state_directory import StateDirectory
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.errors import ConfigError, UsageError
from mia.performance.identity import identity
from mia.performance.output import write_all
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, summarise
from mia.trader.gateway_process import gateway_process
from mia.trader.live import LiveOptions, LiveTrader

ACCOUNT = "DU1234567"
_MARK = "demo"


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

    state = _fresh_state(out / "state")
    demo = loaded.settings.demo
    start = int(demo.start.replace("-", ""))
    tape = as_wire(synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day))
    console.print(f"{tape.name}, session {tape.first_session}, {loaded.settings.trading_mode} mode")
    record = RunRecord()
    began = time.perf_counter()
    state, said = out / "state", out / "gateway.log"
    if state.exists():
        if not said.exists():
            raise UsageError(f"{state} is not of a demo: choose another --out")
        # An earlier demo traded the same session: it must not be remembered.
        shutil.rmtree(state)
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
                said,
            )
        )
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
