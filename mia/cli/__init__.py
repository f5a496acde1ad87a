"""The command ``mia``."""

from typing import NoReturn

from mia import interrupts


def main() -> NoReturn:
    """Run the command line."""
    interrupts.leave_at_once()
    from mia.cli.app import app
    from mia.command_line import run_app

    run_app(app, "mia")
