"""``mia watch``: the watchdog of a trader."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from mia.command_line import ConfigOption, SetOption

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="MIA_STATE_DIR",
        help="State directory of the trader; the one of the profile otherwise.",
    ),
]
LogJsonOption = Annotated[
    bool, typer.Option("--log-json", help="Log lines of JSON; also logs.json_lines.")
]


def watch(
    config: ConfigOption = None,
    assignments: SetOption = None,
    state: StateOption = None,
    with_trader: Annotated[
        bool, typer.Option("--with-trader", help="End when the trader has ended in order.")
    ] = False,
    log_json: LogJsonOption = False,
) -> None:
    """Watch over a trader: send alerts, notice that it hangs or is dead, pull the kill switch.

    Example: mia watch --config paper --state-dir state/DU1234567
    """
    from mia.config.settings import default_state, load_settings
    from mia.core import logs
    from mia.monitoring.watch_process import WatchProcess

    loaded = load_settings(config, assignments or ())
    settings = loaded.settings.logs
    redact = logs.set_up(
        logging.getLevelName(settings.level),
        as_json=log_json or settings.json_lines,
        secrets=loaded.secrets,
    )
    process = WatchProcess(state or default_state(loaded.settings), loaded, redact)
    process.listen()
    process.run(with_trader=with_trader)
