"""The command ``mia``."""

import sys
from typing import NoReturn

from mia import interrupts


def main() -> NoReturn:
    """Run the command line."""
    interrupts.leave_at_once()
    if sys.argv[1:2] == ["kill"]:
        # Before anything else is imported: it must work when nothing else does.
        from mia.kill.command_line import main as kill

        sys.exit(kill(sys.argv[2:]))
    if sys.argv[1:2] == ["health"]:
        from mia.monitoring.health_checker import main as health

        sys.exit(health(sys.argv[2:]))
    from mia.cli.app import app
    from mia.command_line import run_app
    from mia.core.logs import cover_tracebacks

    cover_tracebacks()
    run_app(app, "mia")
