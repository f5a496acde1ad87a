"""What the entry points share on the command line: errors, progress, common options."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mia import interrupts
from mia.errors import MiaError
from mia.redaction import Redactor, secrets_of

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="Profile: a shipped name or a TOML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Setting as key=value, e.g. gate.min_rr=2; may be repeated."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar, no notes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

EXIT_CODES = (
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration or limits invalid, 4 broker "
    "unreachable, 5 data missing or unusable, 6 risk halt, 7 another instance runs, "
    "8 journal quarantined, 130 interrupted, 143 terminated."
)
USAGE = 2
WIDTH = 140


def run_app(app: typer.Typer, name: str) -> NoReturn:
    """Run a Typer application and leave with its exit code; an error becomes one line on stderr.

    An interrupt or a termination unwinds like any error, so that nothing half-written stays.

    Parameters
    ----------
    app : typer.Typer
    name : str
        As its user calls it.
    """
    interrupts.unwind()
    for stream in (sys.stdout, sys.stderr):
        _escape_unknown_letters(stream)
    try:
        code = _run(app, name)
        sys.stdout.flush()
        interrupts.check()
    except MiaError as error:
        code = _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _complain("interrupted", interrupts.INTERRUPTED)
        interrupts.settle()
    except BrokenPipeError:
        _discard_output()
        code = 1
    except OSError as error:
        _discard_output()
        place = error.filename or "the output"
        code = _complain(f"cannot read or write {place}: {error.strerror or error}", 1)
    raise SystemExit(code)


def _run(app: typer.Typer, name: str) -> int:
    try:
        code = app(standalone_mode=False, prog_name=name)
    except Exception as error:
        # Typer brings its own copy of Click, whose errors it does not export.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            return USAGE
        path = getattr(getattr(error, "ctx", None), "command_path", name)
        return _complain(f"{error.format_message().rstrip('.')}; see `{path} --help`", USAGE)
    if code == interrupts.INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    # What somebody else's error says of itself may hold anything.
    text = Redactor(secrets_of(os.environ))(" ".join(message.split()))
    print(f"mia: {text}", file=sys.stderr)
    return code


def _escape_unknown_letters(stream: TextIO) -> None:
    # A file name may hold bytes that no encoding knows; to print it must not be an error.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    # What is still buffered would fail again, and loudly, when the interpreter ends.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        return


def output_console() -> Console:
    """Return a console for stdout, wide enough for tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr if that is a terminal; what reports it can be interrupted."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: interrupts.check()
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
            interrupts.check()
            progress.update(task, completed=done, total=total or None)

        yield update
