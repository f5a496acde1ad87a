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
        "--state",
        help="The trader's state directory; that of the profile otherwise.",
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
    from mia.config.settings import load_settings
    from mia.core import logs
    from mia.monitoring.state_choice import chosen_state
    from mia.monitoring.watch.watch_process import WatchProcess

    loaded = load_settings(config, assignments or ())
    settings = loaded.settings.logs
    redact = logs.set_up(
        logging.getLevelName(settings.level),
        as_json=log_json or settings.json_lines,
        secrets=loaded.secrets,
    )
    process = WatchProcess(chosen_state(loaded, state), loaded, redact)
    process.listen()
    process.run(with_trader=with_trader)
