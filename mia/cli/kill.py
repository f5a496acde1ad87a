"""``mia kill`` as the help shows it; the entry point goes there before this module is loaded."""

import typer

from mia.kill.command_line import main


def kill(context: typer.Context) -> None:
    """Stop the trader: halt, flatten, status or reset; see mia kill --help."""
    raise typer.Exit(main(context.args))
