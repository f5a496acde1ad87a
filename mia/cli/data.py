"""``mia data`` and ``mia calendar``: what comes into a store, and what it holds."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.cli.source import (
    FIRST_SYNTHETIC,
    DataOption,
    DaysOption,
    FromOption,
    NullOption,
    SeedOption,
    Source,
    SymbolOption,
    SyntheticOption,
    ToOption,
    TradesOption,
    open_source,
    root_of,
    session_option,
    session_range,
)
from mia.command_line import JsonOption, QuietOption, output_console, progress_bar
from mia.errors import DataError, UsageError

if TYPE_CHECKING:
    from mia.data.importers.reading import ImportLog
    from mia.data.writer import ImportReport

SHOWN_ROWS = 5

data = typer.Typer(no_args_is_help=True, help="Import, inspect and generate market data.")
calendar = typer.Typer(no_args_is_help=True, help="Economic events.")


@data.command("import")
def data_import(
    files: Annotated[list[Path], typer.Argument(help="Files to import.")],
    out: Annotated[Path, typer.Option(help="Store, made if need be.")],
    symbol: Annotated[
        str | None,
        typer.Option(help="Root, or the contract where the file does not name it."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of wall-clock times, e.g. America/Chicago.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=1, help="Width of bars in seconds, where times do not show it."),
    ] = None,
    price_scale: Annotated[
        float | None, typer.Option(help="Points per unit of price, where prices do not show it.")
    ] = None,
    bars: Annotated[
        bool, typer.Option("--bars", help="Read a .scid file of bars as bars.")
    ] = False,
    fills: Annotated[
        bool, typer.Option("--fills", help="Keep single fills instead of their sums.")
    ] = False,
    vix: Annotated[bool, typer.Option("--vix", help="The files are VIX history.")] = False,
    vix3m: Annotated[bool, typer.Option("--vix3m", help="The files are VIX3M history.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import files of any known format into a store; importing one again adds nothing.

    Example: mia data import ESU24.scid --symbol ES --out store
    """
    from mia.config.instruments import INSTRUMENTS
    from mia.data.importers.detect import detect
    from mia.data.importers.reading import ImportLog, ReadOptions, zone
    from mia.data.importers.vix import read
    from mia.data.index_levels import save_levels
    from mia.data.store import filling
    from mia.data.tape import import_file

    if vix and vix3m:
        raise UsageError("--vix and --vix3m exclude each other: import one after the other")
    if price_scale is not None and not 0 < price_scale < float("inf"):
        raise UsageError(f"--price-scale must be above 0, was {price_scale}")
    if time_zone is not None:
        zone(time_zone)
    root = None if symbol is None else root_of(symbol)
    options = ReadOptions(
        contract=None if symbol in INSTRUMENTS else symbol,
        time_zone=time_zone,
        bars=bars,
        keep_fills=fills,
        price_scale=price_scale,
        bar_seconds=width,
    )
    for path in files:
        # All of them before the first is imported: a wrong name then costs nothing.
        detect(path)
    results: list[dict[str, Any]] = []
    with filling(out) as store:
        for path in files:
            log = ImportLog()
            with progress_bar(path.name, quiet) as progress:
                if vix or vix3m:
                    index = "VIX3M" if vix3m else "VIX"
                    held = save_levels(out, index, read(path, log, progress))
                    results.append({"source": path.name, "table": index, "rows": held})
                    text = f"{path.name}: {index} now has {held:,} levels"
                else:
                    report = import_file(store, path, options, log, progress, root)
                    results.append(_import_result(report, log))
                    text = report.summary()
            if not as_json:
                _print_import(text, log)
    if as_json:
        print(json.dumps(results, indent=2))


def _print_import(text: str, log: "ImportLog") -> None:
    print(text)
    for note in log.notes:
        print(f"  {note}")
    for row in log.rejected[:SHOWN_ROWS]:
        print(f"  row {row.row}: {row.reason}: {row.text[:80]}")
    if log.rejected_count > SHOWN_ROWS:
        print(f"  and {log.rejected_count - SHOWN_ROWS:,} more rows that could not be parsed")


def _import_result(report: "ImportReport", log: "ImportLog") -> dict[str, Any]:
    names = ("source", "table", "kind", "already", "read", "rows", "rejected", "dropped")
    more = ("repaired", "duplicates", "reasons", "late", "off_hours", "gaps", "first", "last")
    values = {name: getattr(report, name) for name in names + more}
    quarantine = report.quarantine
    return values | {
        "unreadable_rows": log.rejected_count,
        "notes": log.notes,
        "quarantine": None if quarantine is None else str(quarantine),
    }


@data.command("info")
def data_info(
    store: Annotated[Path, typer.Argument(help="The store.")],
    as_json: JsonOption = False,
) -> None:
    """Show coverage, gaps and quality of a store.

    Example: mia data info store
    """
    from mia.data import quality
    from mia.data.store import Store

    info = quality.inspect(Store(store))
    if as_json:
        print(json.dumps(asdict(info), indent=2))
    else:
        quality.render(info, output_console())


@data.command("sides")
def data_sides(
    source: DataOption = None,
    symbol: SymbolOption = None,
    first: FromOption = None,
    last: ToOption = None,
    days: DaysOption = None,
    synthetic: SyntheticOption = False,
    seed: SeedOption = 1,
    trades_per_day: TradesOption = 100_000,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell how often the aggressor inferred from quotes is the one that the data name.

    Example: mia data sides --synthetic --days 1
    """
    from mia.data.wire_tape import agreement

    root = "ES" if symbol is None else symbol
    where = Source(
        source, root, first, last, days, True, None, synthetic, False, seed, trades_per_day
    )
    with open_source(where, quiet) as tape:
        found = agreement(tape.blocks())
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    elif not found.known:
        print(f"{found.trades:,} trades, and the data name the aggressor of none")
    else:
        print(
            f"{found.trades:,} trades, aggressor known of {found.known:,}: "
            f"inferred right for {found.right / found.known:.2%} of them "
            f"and {found.right_contracts / found.known_contracts:.2%} of their contracts, "
            f"nothing inferred for {found.unknown:,}"
        )


@data.command("synth")
def data_synth(
    out: Annotated[Path, typer.Option(help="Store for the trades, made if need be.")],
    days: Annotated[int, typer.Option(min=1, help="Sessions.")] = 5,
    seed: SeedOption = 1,
    first: FromOption = None,
    trades_per_day: TradesOption = 325_000,
    null: NullOption = False,
    scid: Annotated[bool, typer.Option("--scid", help="Also write .scid files.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Also write Sierra CSV of minute bars.")
    ] = False,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also write what was planted to truth.parquet.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Damage the data as a bad vendor would.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Generate the synthetic market; the same seed gives the same bytes.

    Example: mia data synth --days 3 --seed 7 --out store
    """
    from mia.data.store import filling
    from mia.data.synthetic.export import export_market

    start = session_option(first, "--from") or FIRST_SYNTHETIC
    with filling(out), progress_bar("synth", quiet) as progress:
        lines = list(
            export_market(
                out,
                seed=seed,
                start=start,
                days=days,
                trades_per_day=trades_per_day,
                null=null,
                scid=scid,
                csv=csv,
                truth=truth,
                faults=faults,
                progress=progress,
            )
        )
    if as_json:
        print(json.dumps({"store": str(out), "written": lines}, indent=2))
    else:
        print(*lines, sep="\n")


@calendar.command("import")
def calendar_import(
    file: Annotated[Path, typer.Argument(help="CSV or iCal file of economic events.")],
    out: Annotated[Path, typer.Option(help="Store that the events belong to.")],
    first: FromOption = None,
    last: ToOption = None,
    impact: Annotated[
        str, typer.Option(help="Impact of iCal events: low, medium or high.")
    ] = "high",
    as_json: JsonOption = False,
) -> None:
    """Import economic events; days outside the imported range count as unknown.

    Example: mia calendar import events.csv --out store --from 2024-01-01 --to 2024-12-31
    """
    from mia.data.calendar import IMPACTS, import_events
    from mia.data.store import filling

    start, end = session_range(first, last)
    if (start is None) != (end is None):
        raise UsageError("give both --from and --to, or neither")
    if impact not in IMPACTS:
        raise UsageError(f"--impact must be one of {', '.join(IMPACTS)}, was {impact!r}")
    if not file.is_file():
        raise DataError(f"{file} does not exist: name a CSV or iCal file of events")
    span = None if start is None or end is None else (start, end)
    with filling(out):
        done = import_events(file, out, span, impact)
    print(json.dumps(asdict(done), indent=2) if as_json else done.summary())
