"""``mia report``: a run's report again from its files, and two runs side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mia.command_line import JsonOption, output_console
from mia.errors import UsageError

if TYPE_CHECKING:
    from mia.performance.recorder import RunRecord

SHOWN = 10
SHOW = "show"


class _ShowByDefault(TyperGroup):
    """Takes a first argument that is no command for the folder to show."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


report = typer.Typer(
    cls=_ShowByDefault,
    no_args_is_help=True,
    help="Reports of finished runs: `mia report FOLDER`, `mia report compare A B`.",
)


@report.command(SHOW)
def show(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a run, or state directory of an account.")
    ],
    trials: Annotated[
        Path | None,
        typer.Option(help="Folder with one run per variant that was tried, for the deflation."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write this page only, and leave the run as it is.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write the tables as CSV into this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute summary.json and report.html of a run again from its tables.

    Of an account nothing is written without --out or --csv.

    Example: mia report show results/a --trials results (the word show may be left out)
    """
    from mia.performance.account import is_state_directory
    from mia.performance.report import write_report
    from mia.performance.results import result_file, staged, write_json
    from mia.performance.stored_run import read_run, read_variants

    if is_state_directory(folder):
        _show_account(folder, trials, out, csv, as_json)
        return
    run = read_run(folder)
    if trials is None:
        summary = run.summarised()
    else:
        tried = read_variants(run, trials)
        summary = run.summarised(tried.trials, tried.overfitting)
    if out is not None:
        with result_file(out):
            write_report(out, run.record, summary, run.bars, run.start_equity)
    else:
        with staged(folder) as staging:
            page = staging / "report.html"
            write_report(page, run.record, summary, run.bars, run.start_equity)
            write_json(staging / "summary.json", summary)
    _write_csv(csv, run.record, summary)
    _tell(summary, out if out is not None else folder / "report.html", as_json)


def _show_account(
    folder: Path, trials: Path | None, out: Path | None, csv: Path | None, as_json: bool
) -> None:
    from mia.performance.account import read_account
    from mia.performance.report import write_report
    from mia.performance.results import result_file

    if trials is not None:
        raise UsageError("--trials is about backtests: an account was traded once")
    account = read_account(folder)
    if out is not None:
        empty: dict[str, list[int]] = {
            name: [] for name in ("t_open", "open", "high", "low", "close")
        }
        with result_file(out):
            write_report(out, account.record, account.summary, empty, account.start_equity)
    _write_csv(csv, account.record, account.summary)
    _tell(account.summary, out, as_json)


def _write_csv(folder: Path | None, record: "RunRecord", summary: dict[str, Any]) -> None:
    from mia.performance.results import results_folder
    from mia.performance.tables_csv import write_tables

    if folder is not None:
        with results_folder(folder):
            write_tables(folder, record, summary)


def _tell(summary: dict[str, Any], page: Path | None, as_json: bool) -> None:
    from mia.performance.wording import remarks

    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
        return
    for remark in remarks(summary):
        output_console().print(f"* {remark.text}", markup=False, highlight=False)
    if page is not None:
        print(f"report: {page}")


@report.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(help="Folder of a run.")],
    b: Annotated[Path, typer.Argument(help="Folder of another, e.g. live against its backtest.")],
    out: Annotated[Path | None, typer.Option(help="Also write this page.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how two runs differ, with intervals, and where decisions, fills and trades part.

    Example: mia report compare results/a results/b --out comparison.html
    """
    from mia.performance.comparison import compare as compared
    from mia.performance.comparison_page import write_page
    from mia.performance.divergence import diverge
    from mia.performance.results import result_file
    from mia.performance.stored_run import read_run

    run_a, run_b = read_run(a), read_run(b)
    comparison, divergence = compared(run_a, run_b), diverge(run_a.record, run_b.record)
    if out is not None:
        with result_file(out):
            write_page(out, comparison, divergence)
    if as_json:
        both = {"comparison": comparison, "divergence": divergence}
        print(json.dumps(both, indent=2, allow_nan=False))
    else:
        _print(comparison, divergence)
        if out is not None:
            print(f"report: {out}")


def _print(comparison: dict[str, Any], divergence: dict[str, Any]) -> None:
    from rich.table import Table

    from mia.performance import comparison_page

    console = output_console()
    for heads, rows in (
        (("", "A", "B", "B less A", "95 %"), comparison_page.difference_rows(comparison)),
        (
            ("", "in both", "only A", "only B", "differ", "fields"),
            comparison_page.divergence_rows(divergence),
        ),
    ):
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    print(comparison_page.verdict(comparison))
    if divergence["identical"]:
        print("every decision, fill and trade is the same")
    lines = comparison_page.apart_lines(divergence)
    for kind, label, text in lines[:SHOWN]:
        print(f"  {kind} {label}: {text}")
    if len(lines) > SHOWN:
        print(f"  and {len(lines) - SHOWN} more; --json has them all")


@report.command("day")
def day(
    state: Annotated[
        Path,
        typer.Option(
            "--state", "--state-dir", envvar="MIA_STATE_DIR", help="State directory of the trader."
        ),
    ],
    session: Annotated[
        int | None, typer.Option(help="As in 20251118; the newest with an event otherwise.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sum a session of an account up: uptime, trades, what stopped trading, what failed.

    Example: mia report day --state state/DU1234567 --session 20251118
    """
    import time

    from mia.core import sessions
    from mia.data.journal_reader import JournalReader
    from mia.data.state_files import JOURNAL
    from mia.monitoring.daily_report import daily_report, lines

    with JournalReader(state / JOURNAL) as journal:
        events = list(journal.events())
    newest = max((event.ts for event in events), default=time.time_ns())
    if session is None:
        # What happens at the very end of a session belongs to it.
        session = sessions.session_id(newest - 1)
        if not sessions.is_trading_day(session):
            session = sessions.previous_trading_day(session)
    # The market of a simulated gateway may be ahead of this machine's clock.
    done = daily_report(events, session, max(newest, time.time_ns()))
    if as_json:
        print(json.dumps(done.to_dict(), indent=2, allow_nan=False))
        return
    for line in lines(done):
        output_console().print(line, markup=False, highlight=False)
