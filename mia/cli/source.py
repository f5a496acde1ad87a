"""Where the data of a command come from: the options, and the tape that they name."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mia.command_line import progress_bar
from mia.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from mia.data.tape import Tape
    from mia.features.options_feed import SnapshotTape

DATA_VARIABLE = "MIA_DATA"
SYNTHETIC_ROOT = "ES"
FIRST_SYNTHETIC = 20250310
SYNTHETIC_DAYS = 5

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help=f"A store, or a file of market data; {DATA_VARIABLE} where it is not given."
    ),
]
SymbolOption = Annotated[
    str | None,
    typer.Option(help="Root for the leading contract, or a contract; the setting symbol if none."),
]
FromOption = Annotated[str | None, typer.Option("--from", help="First session, yyyy-mm-dd.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last session, yyyy-mm-dd.")]
DaysOption = Annotated[int | None, typer.Option(min=1, help="Only the latest sessions, this many.")]
SyntheticOption = Annotated[
    bool, typer.Option("--synthetic", help="Use the synthetic market instead of data.")
]
NullOption = Annotated[
    bool, typer.Option("--null", help="Synthetic market without any planted pattern.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the synthetic market.")]
TradesOption = Annotated[
    int,
    typer.Option(
        "--trades-per-day", min=100, max=5_000_000, help="Activity of the synthetic market."
    ),
]
FrontOption = Annotated[
    bool,
    typer.Option("--front/--all-rows", help="Only bars that their source calls the front's."),
]
WidthOption = Annotated[
    int | None, typer.Option("--width", help="Width of bars in seconds, where there are several.")
]
ChainsOption = Annotated[
    Path | None,
    typer.Option("--chains", help="Archive of option chains, made by `mia options import`."),
]
HISTORY_DAYS = 400
"""Calendar days of chains before the data: 252 sessions and room."""


@dataclass(frozen=True, slots=True)
class Source:
    """Options that say where data come from; those of the command line, unchecked.

    Attributes
    ----------
    path : Path, optional
    symbol : str
    first, last : str, optional
        Dates as given.
    days, width : int, optional
    front, synthetic, null : bool
    seed, trades_per_day : int
    """

    path: Path | None
    symbol: str
    first: str | None
    last: str | None
    days: int | None
    front: bool
    width: int | None
    synthetic: bool
    null: bool
    seed: int
    trades_per_day: int

    def folder(self) -> Path | None:
        """Return the store, None if the data come from elsewhere."""
        path = self.named()
        return path if path is not None and path.is_dir() else None

    def named(self) -> Path | None:
        """Return the file or the store that was named, here or in the environment."""
        default = os.environ.get(DATA_VARIABLE)
        if self.path is None and not self.synthetic and default:
            return Path(default)
        return self.path


def session_option(text: str | None, option: str) -> int | None:
    """Read the date of an option as yyyymmdd.

    Raises
    ------
    UsageError
        If it is no date.
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a date as 2024-03-28, was {text!r}") from None
    return day.year * 10_000 + day.month * 100 + day.day


def session_range(first: str | None, last: str | None) -> tuple[int | None, int | None]:
    """Read ``--from`` and ``--to``.

    Raises
    ------
    UsageError
        If one is no date, or the range is empty.
    """
    start, end = session_option(first, "--from"), session_option(last, "--to")
    if start is not None and end is not None and start > end:
        raise UsageError(f"the range is empty: --from {first} is after --to {last}")
    return start, end


def root_of(symbol: str) -> str:
    """Return the root of a symbol that may name a contract.

    Raises
    ------
    ConfigError
        If nothing of that name is known.
    """
    from mia.config.instruments import INSTRUMENTS
    from mia.data.contracts import is_contract, parse_contract

    if symbol in INSTRUMENTS:
        return symbol
    try:
        root = parse_contract(symbol).root if is_contract(symbol) else ""
    except DataError as error:
        raise ConfigError(str(error)) from None
    if root not in INSTRUMENTS:
        known = ", ".join(INSTRUMENTS)
        raise ConfigError(
            f"unknown symbol {symbol!r}: choose one of {known}, or a contract as ESU24"
        )
    return root


@contextmanager
def open_source(source: Source, quiet: bool) -> "Iterator[Tape]":
    """Open what the options name.

    Raises
    ------
    UsageError
        If options contradict one another.
    ConfigError
        If the symbol is unknown.
    DataError
        If there are no such data.
    """
    from mia.data.tape import Selection, open_tape

    start, end = session_range(source.first, source.last)
    root_of(source.symbol)
    path = source.named()
    if source.synthetic:
        yield _synthetic(source, start, end)
        return
    if source.null:
        raise UsageError("--null is about the synthetic market: give --synthetic too")
    if path is None:
        raise DataError(
            "no market data: name a store or a file with --data, or choose the synthetic "
            "market with --synthetic"
        )
    selection = Selection(source.symbol, start, end, source.days, source.front, source.width)
    with (
        progress_bar("reading", quiet) as progress,
        open_tape(path, selection, progress=progress) as tape,
    ):
        if not quiet:
            for note in tape.notes:
                print(f"note: {note}", file=sys.stderr)
        yield tape


def _synthetic(source: Source, start: int | None, end: int | None) -> "Tape":
    from mia.core import sessions
    from mia.data.tape import synthetic_tape

    if source.path is not None:
        raise UsageError("--data and --synthetic exclude each other: leave one out")
    if source.symbol != SYNTHETIC_ROOT:
        raise UsageError(
            f"the synthetic market has {SYNTHETIC_ROOT} only: leave out --symbol {source.symbol}"
        )
    if source.width is not None:
        raise UsageError("the synthetic market has trades, no bars: leave out --width")
    first, days = start or FIRST_SYNTHETIC, source.days or SYNTHETIC_DAYS
    if end is not None:
        held = sessions.trading_days(first, end)
        if not len(held):
            raise UsageError(f"the range is empty: no session from {first} to {end}")
        kept = held[-source.days :] if source.days else held
        first, days = int(kept[0]), len(kept)
    return synthetic_tape(source.seed, first, days, source.trades_per_day, null=source.null)


def open_chains(folder: Path, tape: "Tape") -> "SnapshotTape":
    """Read the chains that a tape can know, and what came before as history.

    Raises
    ------
    DataError
        If the archive holds no chain that was received by the end of the tape.
    """
    from mia.core import sessions
    from mia.data.chains import ChainArchive
    from mia.features.options_feed import SnapshotTape

    archive = ChainArchive(folder)
    end = int(sessions.session_table(tape.last_session, tape.last_session)["t_end"][0])
    start = sessions.session_open(tape.first_session) - HISTORY_DAYS * 86_400 * 1_000_000_000
    if not any(start <= entry.received_at < end for entry in archive.entries()):
        raise DataError(
            f"{folder} holds no chain received by the end of the data: "
            "archive chains with `mia options import`"
        )
    return SnapshotTape(archive.chains(start, end))


def chains_digest(folder: Path) -> str:
    """Hash what an archive of chains holds."""
    from mia.data.chains import ChainArchive
    from mia.data.digest import digest

    entries = ChainArchive(folder).entries()
    return digest([(entry.received_at, entry.kind, entry.sha256) for entry in entries])
