"""``python -m mia.monitoring.live_monitor``: the trader's screen in a terminal.

A process of its own that reads what the trader shows. It cannot trade, and stops nothing: for
that there is ``mia kill``.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from mia import interrupts
from mia.command_line import ConfigOption, JsonOption, SetOption, run_app
from mia.config.settings import load_settings
from mia.errors import UsageError
from mia.monitoring.state_choice import chosen_state

app = typer.Typer(add_completion=False)


@app.command()
def monitor(
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
    no_trading: Annotated[
        bool,
        typer.Option(
            "--no-trading", help="Accepted, and always so: a monitor only looks, it never trades."
        ),
    ] = False,
    hz: Annotated[float, typer.Option(min=0.5, max=10.0, help="Looks a second.")] = 4.0,
    as_json: JsonOption = False,
) -> None:
    """Show a trader in the terminal until q is pressed; it may run, or not.

    --json prints what is seen now, once: ``life``, ``trouble``, ``age_s`` and ``frame``. NO_COLOR
    does without colours.

    Example: mia monitor --state-dir results/demo/state
    """
    directory = chosen_state(load_settings(config, assignments or ()), state_dir)
    if as_json:
        print(_seen(directory))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the monitor needs a terminal: use --json for a program or a file")
    # Loaded when it is wanted: the other commands start in a fifth of the time.
    from mia.monitoring.terminal.app import Monitor

    Monitor(directory, hz).run()
    interrupts.check()


def _seen(directory: Path) -> str:
    from mia.monitoring.terminal.look import Looker

    looker = Looker(directory)
    try:
        look = looker.look()
    finally:
        looker.close()
    seen = {
        "life": look.life.value,
        "trouble": look.trouble,
        "age_s": look.age_s,
        "frame": None if look.frame is None else msgspec.to_builtins(look.frame),
    }
    return json.dumps(seen, allow_nan=False)


if __name__ == "__main__":
    run_app(app, "python -m mia.monitoring.live_monitor")
