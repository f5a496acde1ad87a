"""``mia backtest`` and ``mia replay``."""

import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.cli.source import (
    ChainsOption,
    DataOption,
    DaysOption,
    FromOption,
    FrontOption,
    NullOption,
    SeedOption,
    Source,
    SymbolOption,
    SyntheticOption,
    ToOption,
    TradesOption,
    WidthOption,
    chains_digest,
    open_chains,
    open_source,
)
from mia.command_line import (
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
    output_console,
    progress_bar,
)

if TYPE_CHECKING:
    from mia.performance.lookahead import Violation

SHOWN_TEXT = 300

WireOption = Annotated[
    bool,
    typer.Option(
        "--as-wire",
        help="Read trades as Interactive Brokers sends them: whole seconds, inferred sides.",
    ),
]


def backtest(
    source: DataOption = None,
    symbol: SymbolOption = None,
    first: FromOption = None,
    last: ToOption = None,
    days: DaysOption = None,
    synthetic: SyntheticOption = False,
    null: NullOption = False,
    seed: SeedOption = 1,
    trades_per_day: TradesOption = 100_000,
    front: FrontOption = True,
    width: WidthOption = None,
    as_wire: WireOption = False,
    chains: ChainsOption = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/backtest"),
    export_features: Annotated[
        Path | None, typer.Option(help="Also write every closed bar's features to this file.")
    ] = None,
    vix: Annotated[Path | None, typer.Option(help="VIX history, Cboe daily or minutes.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder with models, made by `mia ml train`.")
    ] = None,
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
    from mia.backtest import Backtest, known_inputs, replay
    from mia.config.settings import load_settings
    from mia.data import wire_tape
    from mia.performance.output import write_all
    from mia.performance.results import result_file, results_folder

    loaded = load_settings(config_name, assignments or ())
    where = Source(
        source,
        loaded.settings.symbol if symbol is None else symbol,
        first,
        last,
        days,
        front,
        width,
        synthetic,
        null,
        seed,
        trades_per_day,
    )
    writes = not dry_run and not check_lookahead
    with ExitStack() as stack:
        if writes:
            stack.enter_context(results_folder(out))
            if export_features is not None:
                stack.enter_context(result_file(export_features))
        tape = stack.enter_context(open_source(where, quiet))
        if as_wire:
            tape = wire_tape.as_wire(tape)
        inputs = known_inputs(where.folder(), vix)
        if chains is not None:
            inputs = replace(
                inputs,
                chains=open_chains(chains, tape),
                chains_sha256=chains_digest(chains),
            )
        if model is not None and loaded.settings.ml.use_model:
            _say_in_sample(model, tape.first_session, quiet)
            inputs = replace(inputs, models=model, note=_say_model)
        test = Backtest(loaded, tape, inputs, send=not dry_run)
        if check_lookahead:
            _report_lookahead(*test.check_lookahead(samples, seed), as_json)
            return
        with progress_bar("backtest", quiet) as progress:
            run = test.run(progress)
        if writes and export_features is not None:
            with progress_bar("features", quiet) as progress:
                replay(loaded, tape, export_features, progress, inputs.chains)
        if writes:
            write_all(out, run.record, run.summary, tape, loaded.settings.account.start_equity)
    if as_json:
        print(json.dumps(run.summary, indent=2, allow_nan=False))
    else:
        _print_summary(run.summary, None if dry_run else out)


def _say_model(level: str, text: str, facts: dict[str, Any]) -> None:
    if text and level != "INFO":
        print(f"{level.lower()}: {text}", file=sys.stderr)


def _say_in_sample(models: Path, first_session: int, quiet: bool) -> None:
    """Say it if the run begins within what the model was trained on."""
    from mia.errors import MiaError
    from mia.ml.registry import Registry

    registry = Registry(models)
    try:
        current = registry.current()
        name = current.gate or current.shadow
        last = registry.load(name).manifest["last_session"] if name else 0
    except MiaError:
        # The run itself refuses it, and says so.
        return
    if first_session <= last and not quiet:
        print(
            f"note: the model saw trades up to session {last}: what it does before is in sample",
            file=sys.stderr,
        )


def _report_lookahead(violations: "list[Violation]", cuts: int, as_json: bool) -> None:
    if as_json:
        found = [
            {"ts": v.cut, "was": v.expected[:SHOWN_TEXT], "became": v.found[:SHOWN_TEXT]}
            for v in violations
        ]
        print(json.dumps({"bars_sampled": cuts, "violations": found}, indent=2))
    elif not violations:
        print(f"no look-ahead: at {cuts} sampled bars the past did not depend on the future")
    else:
        for violation in violations:
            print(f"look-ahead at {violation.cut}: {violation.expected[:SHOWN_TEXT]}")
    if violations:
        raise typer.Exit(1)


def _shown(value: float | None, form: str = ".2f") -> str:
    return "undefined" if value is None else format(value, form)


def _print_summary(summary: dict[str, Any], out: Path | None) -> None:
    from rich.table import Table

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
        "Win rate": f"{_shown(summary['win_rate'], '.1%')} (95 %: {low:.1%} to {high:.1%})",
        "Expectancy": f"{_shown(summary['expectancy_r'], '+.3f')} R, "
        f"{_shown(summary['expectancy_usd'], '+.2f')} USD "
        f"(95 %: {_shown(r_low, '+.3f')} to {_shown(r_high, '+.3f')} R)",
        "Net P&L": f"{summary['net_pnl_usd']:+,.2f} USD after {summary['costs_usd']:,.2f} costs",
        "Profit factor": _shown(summary["profit_factor"]),
        "Sharpe": f"{_shown(summary['sharpe'])} (standard error "
        f"{_shown(summary['sharpe_standard_error'])})",
        "Sortino": _shown(summary["sortino"]),
        "Max drawdown": f"{summary['max_drawdown_usd']:,.2f} USD",
        "Exposure": _shown(summary["exposure"], ".2%"),
    }
    for name, text in lines.items():
        table.add_row(name, text)
    for reason, count in summary["rejections"].items():
        table.add_row(f"  {reason}", f"{count:,}")
    output_console().print(table)
    if summary["open_at_end"]:
        print("a position was open when the data ended; it is in no figure")
    if out is not None:
        print(f"report: {out / 'report.html'}")


def replay(
    source: DataOption = None,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("features.parquet"),
    symbol: SymbolOption = None,
    first: FromOption = None,
    last: ToOption = None,
    days: DaysOption = None,
    synthetic: SyntheticOption = False,
    null: NullOption = False,
    seed: SeedOption = 1,
    trades_per_day: TradesOption = 100_000,
    front: FrontOption = True,
    width: WidthOption = None,
    as_wire: WireOption = False,
    chains: ChainsOption = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write one row per closed bar with everything that the method computed.

    Example: mia replay --synthetic --days 1 --out features.parquet
    """
    from mia.backtest import replay as run_replay
    from mia.config.settings import load_settings
    from mia.data import wire_tape
    from mia.performance.results import result_file

    loaded = load_settings(config_name, assignments or ())
    where = Source(
        source,
        loaded.settings.symbol if symbol is None else symbol,
        first,
        last,
        days,
        front,
        width,
        synthetic,
        null,
        seed,
        trades_per_day,
    )
    with (
        result_file(out),
        open_source(where, quiet) as tape,
        progress_bar("replay", quiet) as progress,
    ):
        shown = wire_tape.as_wire(tape) if as_wire else tape
        snapshots = None if chains is None else open_chains(chains, shown)
        written = run_replay(loaded, shown, out, progress, snapshots)
    if as_json:
        print(json.dumps({"rows": written, "file": str(out)}, indent=2))
    else:
        print(f"{written} bars: {out}")
