"""``mia optimize``: a search over settings that counts its trials."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.cli.source import (
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
from mia.errors import UsageError

if TYPE_CHECKING:
    from mia.optimize.pool import Tls

LEDGER = "ledger.sqlite"
COLUMNS = "columns"


def optimize(
    space: Annotated[Path, typer.Option(help="TOML file of settings with ranges or choices.")],
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
    bars: Annotated[
        int | None, typer.Option(min=5, help="Make bars of this many seconds of the trades first.")
    ] = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    scheme: Annotated[
        str, typer.Option(help="anchored or rolling walk forward; purged or combinatorial CV.")
    ] = "anchored",
    folds: Annotated[int, typer.Option(min=1, help="Test blocks.")] = 5,
    train: Annotated[
        int, typer.Option(min=1, help="Blocks before the first test of a walk; its window.")
    ] = 1,
    warmup: Annotated[
        int, typer.Option(min=0, help="Sessions before a block that warm up the market state.")
    ] = 2,
    embargo: Annotated[
        int, typer.Option(min=0, help="Sessions after a test left out of the training, in CV.")
    ] = 1,
    trials: Annotated[
        int, typer.Option(min=1, help="Parameter sets, beside the settings as they are.")
    ] = 32,
    sampler: Annotated[str, typer.Option(help="sobol, random, grid, or tpe (Optuna).")] = "sobol",
    prune: Annotated[
        bool, typer.Option("--prune", help="Give up sets below the median in training (tpe).")
    ] = False,
    objective: Annotated[str, typer.Option(help="sharpe or net_usd.")] = "sharpe",
    search_seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 1,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes; all cores.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Dask scheduler as tcp://host:8786 or tls://host:8786.")
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Certificate authority, PEM.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Own certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Own key, PEM.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Ledger of all trials; in --out by default.")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(help="Folder of mapped columns; in --out by default.")
    ] = None,
    vix: Annotated[Path | None, typer.Option(help="VIX history, Cboe daily or minutes.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/optimize"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Try parameter sets, choose in sample, judge outside, and count what was tried.

    Run again, it goes on where it was interrupted.

    Example: mia optimize --space docs/examples/space.toml --config docs/examples/open.toml
    --synthetic --days 120 --trades-per-day 20000 --bars 60 --folds 4 --trials 15
    """
    from mia.config.settings import load_settings
    from mia.optimize.report import write_study
    from mia.optimize.search import Wishes, search
    from mia.optimize.study import OBJECTIVES
    from mia.performance.results import results_folder

    if objective not in OBJECTIVES:
        raise UsageError(f"unknown --objective {objective!r}: choose one of {OBJECTIVES}")
    tls = _tls(tls_ca, tls_cert, tls_key)
    given = list(assignments or ())
    loaded = load_settings(config_name, given)
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
    with results_folder(out), open_source(where, quiet) as tape:
        wishes = Wishes(
            space=space,
            profile=config_name,
            given=given,
            scheme=scheme,
            sampler=sampler,
            objective=objective,
            folds=folds,
            train=train,
            warmup=warmup,
            embargo=embargo,
            trials=trials,
            seed=search_seed,
            prune=prune,
            bar_seconds=bars,
            jobs=jobs or os.cpu_count() or 1,
            cluster=cluster,
            tls=tls,
            ledger=ledger or out / LEDGER,
            columns=columns or out / COLUMNS,
            store=where.folder(),
            vix=vix,
        )
        market = tape.name if synthetic else where.symbol
        found = search(wishes, tape, market, lambda label: progress_bar(label, quiet))
        write_study(out, found.report)
    if not quiet:
        print(
            f"note: {found.ran} results made now, {found.reused} from the ledger, "
            f"{found.seconds:.0f} s of processor time in all",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(found.report, indent=2, allow_nan=False))
    else:
        _print(found.report, out)


def _tls(ca: Path | None, cert: Path | None, key: Path | None) -> "Tls | None":
    from mia.optimize.pool import Tls

    if ca is None and cert is None and key is None:
        return None
    if ca is None or cert is None or key is None:
        raise UsageError("--tls-ca, --tls-cert and --tls-key belong together: give all three")
    return Tls(ca, cert, key)


def _print(report: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    from mia.optimize.page import remarks

    console = output_console()
    trials, best, outside = report["trials"], report["in_sample"], report["out_of_sample"]
    over = report["overfitting"]
    table = Table(title=f"Search over {report['market']}", show_header=False)
    lines = {
        "Sessions": f"{report['sessions']} ({report['first_session']} to "
        f"{report['last_session']}), {report['scheme']}, {report['blocks']} blocks",
        "Trials": f"{trials['asked']}: {trials['complete']} complete, {trials['pruned']} pruned, "
        f"{trials['repeated']} repeated, {trials['invalid']} refused; "
        f"{trials['variants_in_ledger']} variants counted",
        "Best in sample": f"trial {best['trial']}: Sharpe {_ratio(best)}, {_trades(best)}",
        "  with": _params(best["params"]),
        "Deflated Sharpe": f"{_shown(best['deflated_sharpe'])} (by chance alone "
        f"{_shown(best['best_sharpe_by_chance'])})",
        "Out of sample": f"Sharpe {_ratio(outside)}, {_trades(outside)}",
        "P(overfitted)": "too few trials or sessions"
        if over is None
        else f"{over['probability']:.2f} ({over['variants']} variants, {over['splits']} splits)",
    }
    for name, text in lines.items():
        table.add_row(name, text)
    for part in report["importance"]:
        table.add_row(
            f"  {part['name']}",
            f"{part['share']:.0%} of the variance ({part['by_chance']:.0%} by chance, "
            f"p {part['p_value']:.3f})",
        )
    console.print(table)
    for remark in remarks(report):
        console.print(f"* {remark.text}", markup=False, highlight=False)
    print(f"report: {out / 'study.html'}")


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _ratio(part: dict[str, Any]) -> str:
    return f"{_shown(part['sharpe'])} (standard error {_shown(part['sharpe_standard_error'])})"


def _trades(part: dict[str, Any]) -> str:
    low, high = part["win_rate_wilson_95"]
    rate = "no trades" if part["win_rate"] is None else f"{part['win_rate']:.1%} won"
    return (
        f"{part['trades']} trades, {rate} (95 %: {low:.1%} to {high:.1%}), "
        f"{part['net_pnl_usd']:+,.2f} USD after {part['costs_usd']:,.2f} costs"
    )


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items()) or "settings as they are"
