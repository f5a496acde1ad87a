"""The trader: the trading cycle, run as a program."""

from typing import NoReturn

from mia import interrupts


def main() -> NoReturn:
    """Run the program."""
    interrupts.leave_at_once()
    from mia.command_line import run_app
    from mia.core.logs import cover_tracebacks
    from mia.trader.app import app

    cover_tracebacks()
    run_app(app, "python -m mia.trader")
