"""The command ``mia``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    try:
        from mia.cli.app import app
        from mia.command_line import run_app
    except KeyboardInterrupt:
        sys.stderr.write("mia: interrupted\n")
        raise SystemExit(130) from None
    run_app(app)
