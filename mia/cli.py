"""The command ``mia``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

import mia
from mia.command_line import (
    EXIT_CODES,
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
    progress_bar,
    run_app,
)
from mia.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="MIA: order-flow trading of E-mini S&P 500 futures.",
    epilog=EXIT_CODES,
)
data = typer.Typer(no_args_is_help=True, help="Import, inspect and generate market data.")
calendar = typer.Typer(no_args_is_help=True, help="Economic events.")
config = typer.Typer(no_args_is_help=True, help="Settings.")
app.add_typer(data, name="data")
app.add_typer(calendar, name="calendar")
app.add_typer(config, name="config")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="MIA_DATA", help="A store, or a file of market data."),
]
SymbolOption = Annotated[str, typer.Option(help="Root for the leading contract, or a contract.")]
FromOption = Annotated[str | None, typer.Option("--from", help="First session, yyyy-mm-dd.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last session, yyyy-mm-dd.")]
DaysOption = Annotated[
    int | None, typer.Option(min=1, help="Only the latest sessions, this many.")
]
SyntheticOption = Annotated[
    bool, typer.Option("--synthetic", help="Use the synthetic market instead of data.")
]
NullOption = Annotated[
    bool, typer.Option("--null", help="Synthetic market without any planted pattern.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the synthetic market.")]
TradesOption = Annotated[
    int, typer.Option("--trades-per-day", min=100, help="Activity of the synthetic market.")
]
FrontOption = Annotated[
    bool,
    typer.Option("--front/--all-rows", help="Only bars that their source calls the front's."),
]
WidthOption = Annotated[
    int | None, typer.Option("--width", help="Width of bars in seconds, where there are several.")
]


def _version(shown: bool) -> None:
    if shown:
        print(f"mia {mia.__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """MIA: order-flow trading of E-mini S&P 500 futures."""


def _session(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a date as 2024-03-28, was {text!r}") from None
    return day.year * 10_000 + day.month * 100 + day.day


@contextmanager
def _tape(
    source: Path | None,
    *,
    synthetic: bool,
    null: bool = False,
    seed: int = 1,
    trades_per_day: int = 100_000,
    symbol: str = "ES",
    first: str | None = None,
    last: str | None = None,
    days: int | None = None,
    front: bool = True,
    width: int | None = None,
    quiet: bool = False,
) -> Iterator[Any]:
    from mia.config.instruments import INSTRUMENTS
    from mia.data.tape import Selection, open_tape, synthetic_tape
    from mia.errors import ConfigError, DataError

    start, end = _session(first, "--from"), _session(last, "--to")
    if start is not None and end is not None and start > end:
        raise UsageError(f"the range is empty: --from {first} is after --to {last}")
    if symbol.rstrip("0123456789")[:-1] not in INSTRUMENTS and symbol not in INSTRUMENTS:
        raise ConfigError(f"unknown symbol {symbol!r}: choose one of {', '.join(INSTRUMENTS)}")
    if synthetic:
        if source is not None:
            raise UsageError("--data and --synthetic exclude each other")
        yield synthetic_tape(seed, start or 20250310, days or 5, trades_per_day, null=null)
        return
    if source is None:
        raise DataError(
            "no market data: name a store or a file with --data, or choose the synthetic "
            "market with --synthetic"
        )
    selection = Selection(symbol, start, end, days, front, width)
    with progress_bar("reading", quiet) as progress, open_tape(
        source, selection, progress=progress
    ) as tape:
        yield tape


@app.command()
def backtest(
    source: DataOption = None,
    symbol: SymbolOption = "ES",
    first: FromOption = None,
    last: ToOption = None,
    days: DaysOption = None,
    synthetic: SyntheticOption = False,
    null: NullOption = False,
    seed: SeedOption = 1,
    trades_per_day: TradesOption = 100_000,
    front: FrontOption = True,
    width: WidthOption = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/backtest"),
    export_features: Annotated[
        Path | None, typer.Option(help="Also write every closed bar's features to this file.")
    ] = None,
    vix: Annotated[Path | None, typer.Option(help="VIX history, Cboe daily or minutes.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide everything, send no order, write no file.")
    ] = False,
    check_lookahead: Annotated[
        bool, typer.Option("--check-lookahead", help="Change the future; fail if the past moves.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, help="Bars that the look-ahead check samples.")
    ] = 20,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Backtest the rule-based method, and write tables, summary.json and report.html.

    Example: mia backtest --synthetic --days 5 --out results/synthetic
    """
    from mia.backtest import Backtest, replay
    from mia.config.settings import load_settings
    from mia.performance.output import write_all
    from mia.performance.results import prepare_folder

    loaded = load_settings(config_name, assignments or ())
    if not dry_run and not check_lookahead:
        prepare_folder(out)
    with _tape(
        source,
        synthetic=synthetic,
        null=null,
        seed=seed,
        trades_per_day=trades_per_day,
        symbol=symbol,
        first=first,
        last=last,
        days=days,
        front=front,
        width=width,
        quiet=quiet,
    ) as tape:
        test = Backtest(loaded, tape, _inputs(source, vix), send=not dry_run)
        if check_lookahead:
            _report_lookahead(*test.check_lookahead(samples, seed), as_json)
            return
        with progress_bar("backtest", quiet) as progress:
            run = test.run(progress)
        if not dry_run:
            write_all(
                out, run.record, run.summary, tape, loaded.settings.account.start_equity
            )
        if export_features is not None and not dry_run:
            with progress_bar("features", quiet) as progress:
                replay(loaded, tape, export_features, progress)
    if as_json:
        print(json.dumps(run.summary, indent=2))
    else:
        _print_summary(run.summary, None if dry_run else out)


def _inputs(source: Path | None, vix: Path | None) -> Any:
    from mia.backtest import Inputs
    from mia.data.calendar import NewsCalendar
    from mia.data.importers.reading import ImportLog
    from mia.data.importers.vix import read
    from mia.data.index_levels import LevelSeries, load_levels

    levels = news = None
    if source is not None and source.is_dir():
        levels = load_levels(source, "VIX")
        held = NewsCalendar.load(source)
        news = held if held.spans else None
    if vix is not None:
        levels = LevelSeries(read(vix, ImportLog()))
    return Inputs(levels, news)


def _report_lookahead(violations: list[Any], cuts: int, as_json: bool) -> None:
    if as_json:
        found = [{"ts": v.cut, "was": v.expected[:300], "became": v.found[:300]} for v in violations]
        print(json.dumps({"bars_sampled": cuts, "violations": found}, indent=2))
    elif not violations:
        print(f"no look-ahead: at {cuts} sampled bars the past did not depend on the future")
    else:
        for violation in violations:
            print(f"look-ahead at {violation.cut}: {violation.expected[:160]}")
    if violations:
        raise typer.Exit(1)


def _print_summary(summary: dict[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    def shown(value: float | None, form: str = ".2f") -> str:
        return "undefined" if value is None else format(value, form)

    low, high = summary["win_rate_wilson_95"]
    r_low, r_high = summary["expectancy_r_95"]
    table = Table(title=f"Backtest of {summary['source']}", show_header=False)
    rate = summary["ticks_per_second"]
    lines = {
        "Sessions": f"{summary['sessions']} ({summary['first_session']} to "
        f"{summary['last_session']})",
        "Data": f"{summary['rows']:,} rows, {summary['bars']:,} bars"
        + (f", {rate:,.0f} ticks/s" if summary["ticks"] else ""),
        "Decisions": f"{summary['decisions']}, accepted {summary['accepted']}, "
        f"unfilled {summary['unfilled']}",
        "Trades": f"{summary['trades']}",
        "Win rate": f"{shown(summary['win_rate'], '.1%')} (95 %: {low:.1%} to {high:.1%})",
        "Expectancy": f"{shown(summary['expectancy_r'], '+.3f')} R, "
        f"{shown(summary['expectancy_usd'], '+.2f')} USD "
        f"(95 %: {shown(r_low, '+.3f')} to {shown(r_high, '+.3f')} R)",
        "Net P&L": f"{summary['net_pnl_usd']:+,.2f} USD after {summary['costs_usd']:,.2f} costs",
        "Profit factor": shown(summary["profit_factor"]),
        "Sharpe": f"{shown(summary['sharpe'])} (standard error "
        f"{shown(summary['sharpe_standard_error'])})",
        "Sortino": shown(summary["sortino"]),
        "Max drawdown": f"{summary['max_drawdown_usd']:,.2f} USD",
        "Exposure": shown(summary["exposure"], ".2%"),
    }
    for name, text in lines.items():
        table.add_row(name, text)
    for reason, count in summary["rejections"].items():
        table.add_row(f"  {reason}", f"{count:,}")
    Console().print(table)
    if summary["open_at_end"]:
        print("a position was open when the data ended; it is in no figure")
    if out is not None:
        print(f"report: {out / 'report.html'}")


@app.command()
def replay(
    source: DataOption = None,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("features.parquet"),
    symbol: SymbolOption = "ES",
    first: FromOption = None,
    last: ToOption = None,
    days: DaysOption = None,
    synthetic: SyntheticOption = False,
    seed: SeedOption = 1,
    trades_per_day: TradesOption = 100_000,
    front: FrontOption = True,
    width: WidthOption = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write one row per closed bar with everything that the method computed.

    Example: mia replay --data STORE --days 1 --out features.parquet
    """
    from mia.backtest import replay as run_replay
    from mia.config.settings import load_settings

    loaded = load_settings(config_name, assignments or ())
    with _tape(
        source,
        synthetic=synthetic,
        seed=seed,
        trades_per_day=trades_per_day,
        symbol=symbol,
        first=first,
        last=last,
        days=days,
        front=front,
        width=width,
        quiet=quiet,
    ) as tape, progress_bar("replay", quiet) as progress:
        written = run_replay(loaded, tape, out, progress)
    print(f"{written} bars: {out}")


@data.command("import")
def data_import(
    files: Annotated[list[Path], typer.Argument(help="Files to import.")],
    out: Annotated[Path, typer.Option(help="Store, made if need be.")],
    symbol: Annotated[
        str, typer.Option(help="Root, or the contract where the file does not name it.")
    ] = "ES",
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of wall-clock times, e.g. America/Chicago.")
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
    from mia.data.importers.reading import ImportLog, ReadOptions
    from mia.data.importers.vix import read
    from mia.data.index_levels import save_levels
    from mia.data.store import Store
    from mia.data.tape import import_file
    from mia.errors import ConfigError

    contract = None if symbol in INSTRUMENTS else symbol
    if contract is not None and contract[:-3] not in INSTRUMENTS:
        raise ConfigError(f"unknown symbol {symbol!r}: choose one of {', '.join(INSTRUMENTS)}")
    store = Store.create(out)
    results = []
    for path in files:
        log = ImportLog()
        with progress_bar(path.name, quiet) as progress:
            if vix or vix3m:
                index = "VIX3M" if vix3m else "VIX"
                held = save_levels(out, index, read(path, log, progress))
                results.append({"source": path.name, "table": index, "rows": held})
                text = f"{path.name}: {index} now has {held} levels"
            else:
                options = ReadOptions(
                    contract=contract, time_zone=time_zone, bars=bars, keep_fills=fills
                )
                report = import_file(store, path, options, log, progress)
                results.append(_import_result(report, log))
                text = "\n".join([report.summary(), *(f"  {note}" for note in log.notes)])
        if not as_json:
            print(text)
            for row in log.rejected[:5]:
                print(f"  row {row.row}: {row.reason}: {row.text[:80]}")
    if as_json:
        print(json.dumps(results, indent=2))


def _import_result(report: Any, log: Any) -> dict[str, Any]:
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
) -> None:
    """Show coverage, gaps and quality of a store.

    Example: mia data info store
    """
    from rich.console import Console

    from mia.data import quality
    from mia.data.store import Store

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    quality.render(quality.inspect(Store(store)), console)


@data.command("synth")
def data_synth(
    out: Annotated[Path, typer.Option(help="Store for the trades, made if need be.")],
    days: Annotated[int, typer.Option(min=1, help="Sessions.")] = 5,
    seed: SeedOption = 1,
    first: FromOption = None,
    trades_per_day: TradesOption = 325_000,
    null: NullOption = False,
    scid: Annotated[bool, typer.Option("--scid", help="Also write .scid files.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Also write Sierra CSV of minute bars.")] = False,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also write what was planted to truth.parquet.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Damage the data as a bad vendor would.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Generate the synthetic market; the same seed gives the same bytes.

    Example: mia data synth --days 3 --seed 7 --out store
    """
    from mia.data.synthetic.export import export_market

    start = _session(first, "--from") or 20250310
    with progress_bar("synth", quiet) as progress:
        lines = export_market(
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
    for line in lines:
        print(line)


@calendar.command("import")
def calendar_import(
    file: Annotated[Path, typer.Argument(help="CSV or iCal file of economic events.")],
    out: Annotated[Path, typer.Option(help="Store that the events belong to.")],
    first: FromOption = None,
    last: ToOption = None,
    impact: Annotated[str, typer.Option(help="Impact of events that state none.")] = "high",
) -> None:
    """Import economic events; days outside the imported range count as unknown.

    Example: mia calendar import events.csv --out store --from 2024-01-01 --to 2024-12-31
    """
    from mia.data.calendar import import_events
    from mia.data.store import Store

    start, end = _session(first, "--from"), _session(last, "--to")
    if (start is None) != (end is None):
        raise UsageError("give both --from and --to, or neither")
    span = None if start is None or end is None else (start, end)
    Store.create(out)
    print(import_events(file, out, span, impact).summary())


@config.command("show")
def config_show(
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print each effective setting and limit, and where it comes from.

    Example: mia config show --config demo --set gate.min_rr=2
    """
    from rich.console import Console
    from rich.table import Table

    from mia.config.settings import flatten, load_settings
    from mia.performance.identity import effective_limits

    loaded = load_settings(config_name, assignments or ())
    values = {
        key: (value, loaded.origin.get(key, "default"))
        for key, value in flatten(loaded.settings.model_dump()).items()
        if not key.startswith("limits.")
    }
    limits = {
        f"limits.{name}": (value, loaded.limits.sources.get(name, ""))
        for name, value in effective_limits(loaded).items()
        if name not in ("mode", "level")
    }
    if as_json:
        plain = {
            key: {"value": None if value == float("inf") else value, "source": source}
            for key, (value, source) in (values | limits).items()
        }
        print(json.dumps(plain, indent=2))
        return
    table = Table("setting", "value", "source")
    for key, (value, source) in (values | limits).items():
        table.add_row(key, str(value), source)
    Console().print(table)


def main() -> None:
    """Run the command line."""
    run_app(app)


if __name__ == "__main__":
    main()
