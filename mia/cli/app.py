"""All commands of ``mia``."""

from typing import Annotated

import typer

import mia
from mia.cli import (
    backtest,
    backup,
    collect,
    config,
    dashboard,
    data,
    doctor,
    gateway,
    health,
    kill,
    metrics,
    ml,
    monitor,
    optimize,
    options,
    report,
    snapshots,
    trade,
    watch,
)
from mia.command_line import EXIT_CODES

app = typer.Typer(
    no_args_is_help=True,
    # Those of Typer show the values of variables, and with them secrets.
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
)
app.command()(backtest.backtest)
app.command()(backtest.replay)
app.command()(dashboard.dashboard)
app.command()(optimize.optimize)
app.command()(gateway.gateway)
app.command()(metrics.metrics)
app.command()(monitor.monitor)
app.command()(watch.watch)
app.command()(doctor.doctor)
for passed_on in (trade.trade, kill.kill, health.health):
    app.command(
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "help_option_names": [],
        }
    )(passed_on)
data.data.command("collect")(collect.collect)
app.add_typer(data.data, name="data")
app.add_typer(data.calendar, name="calendar")
app.add_typer(config.config, name="config")
app.add_typer(ml.ml, name="ml")
app.add_typer(options.options, name="options")
app.add_typer(report.report, name="report")
app.add_typer(snapshots.snapshots, name="snapshots")
app.add_typer(backup.backup, name="backup")


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
    """MIA: order-flow trading of E-mini S&P 500 futures.

    Example: mia trade --config demo --out results/demo
    """
