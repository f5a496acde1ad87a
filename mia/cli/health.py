"""``mia health`` as the help shows it; the entry point goes there before this module is loaded."""

import typer

from mia.monitoring.health_checker import main


def health(context: typer.Context) -> None:
    """Tell whether the trader is well: exit code 0, 1 or 2; see mia health --help."""
    raise typer.Exit(main(context.args))
