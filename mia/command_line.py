"""What the entry points share on the command line: errors, progress, common options."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mia.errors import MiaError

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="Profile: a shipped name or a TOML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Setting as key=value, e.g. gate.min_rr=2; may be repeated."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

EXIT_CODES = (
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration or limits invalid, 4 broker "
    "unreachable, 5 data missing or unusable, 6 risk halt, 7 another instance runs, "
    "8 journal quarantined, 130 interrupted."
)


def run_app(app: typer.Typer) -> None:
    """Run a Typer application; errors of MIA become one line and their own exit code."""
    try:
        app()
    except MiaError as error:
        print(f"mia: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("mia: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr if that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield update
