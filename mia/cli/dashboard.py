"""``mia dashboard``: the trader's screen in a browser."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from mia import interrupts
from mia.command_line import ConfigOption, QuietOption, SetOption


def dashboard(
    config: ConfigOption = None,
    assignments: SetOption = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            "--state-dir",
            "--state",
            help="The trader's state directory; that of the profile otherwise.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="dashboard.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="dashboard.port; 0 takes any free one.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of stored runs to list.")] = Path("results"),
    chain: Annotated[
        Path | None,
        typer.Option(help="Option chain or archive to show; live.chain otherwise."),
    ] = None,
    quiet: QuietOption = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log lines of JSON; also logs.json_lines.")
    ] = False,
) -> None:
    """Show a trader in the browser until interrupted; it may run, or not.

    Example: mia dashboard --state-dir results/demo/state
    """
    from mia.config.settings import load_settings
    from mia.core import logs
    from mia.monitoring.dashboard.server import Where, serve
    from mia.monitoring.state_choice import chosen_state

    loaded = load_settings(config, assignments or ())
    chosen = loaded.settings.dashboard
    logs.set_up(
        logging.ERROR if quiet else logging.WARNING,
        as_json=log_json or loaded.settings.logs.json_lines,
        secrets=loaded.secrets,
    )
    where = Where(
        chosen.host if host is None else host,
        chosen.port if port is None else port,
        _path(chosen.certificate),
        _path(chosen.key),
        _path(chosen.token_file),
        tuple(name for name in (chosen.names or "").replace(",", " ").split()),
    )
    number = serve(
        chosen_state(loaded, state_dir),
        where,
        lambda line: print(line, flush=True),
        hz=chosen.hz,
        results=results.expanduser(),
        chain=_path(loaded.settings.live.chain) if chain is None else chain.expanduser(),
    )
    if number:
        interrupts.stop_as_signalled(number)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()
