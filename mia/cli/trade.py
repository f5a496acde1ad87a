"""``mia trade``: the trader, by the options of ``python -m mia.trader``."""

import typer


def trade(context: typer.Context) -> None:
    """Trade, on the simulated gateway or a real one; see mia trade --help."""
    # Loaded when it is wanted: the other commands start in a fifth of the time.
    from mia.trader.app import app

    code = app(context.args, standalone_mode=False, prog_name="mia trade")
    raise typer.Exit(code if isinstance(code, int) else 0)
