"""``mia backup``: copies of a state directory that are known to be good."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mia.command_line import JsonOption, output_console
from mia.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mia.errors import MiaError
    from mia.monitoring.backup import BackupReport
    from mia.monitoring.backups.backup_objects import BackupRepository, Manifest
    from mia.monitoring.backups.backup_restore import Verification

backup = typer.Typer(no_args_is_help=True, help="Backups of a trader's state and of a store.")

PlaceArgument = Annotated[Path, typer.Argument(help="Folder of the backups.", metavar="BACKUPS")]
IdOption = Annotated[str | None, typer.Option("--id", help="Which backup; the newest otherwise.")]
_UNITS = {"s": 1, "m": 60, "h": 3600}


@backup.command("run")
def backup_run(
    place: PlaceArgument,
    state: Annotated[
        Path,
        typer.Option(
            "--state", "--state-dir", envvar="MIA_STATE_DIR", help="State directory of the trader."
        ),
    ],
    store: Annotated[Path | None, typer.Option(help="Store to back up too.")] = None,
    settings: Annotated[
        list[Path] | None, typer.Option(help="File of settings to keep; may be repeated.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again.")] = False,
    every: Annotated[
        str | None, typer.Option(help="Go on until stopped, e.g. 4h, and once more then.")
    ] = None,
    hours: Annotated[int, typer.Option(min=0, help="Keep every backup this long.")] = 48,
    days: Annotated[int, typer.Option(min=0, help="Keep one a day this long.")] = 30,
    months: Annotated[int, typer.Option(min=0, help="Keep one a month this long.")] = 12,
    as_json: JsonOption = False,
) -> None:
    """Back up, also while a trader runs, and restore the result on trial.

    Example: mia backup run /mnt/backups --state state --every 4h
    """
    import time

    from mia.monitoring.backup import BackupSource, run_backup
    from mia.monitoring.backups.backup_objects import BackupRepository
    from mia.monitoring.backups.backup_restore import verify_backup
    from mia.monitoring.backups.backup_retention import Retention

    interval = None if every is None else _interval(every)
    repository = BackupRepository(place)
    source = BackupSource(state, store, tuple(settings or ()))
    keep = Retention(hours, days, months)

    def once() -> None:
        now = time.time_ns()
        report = run_backup(repository, source, now, full=full, retention=keep)
        trial = verify_backup(repository, report.manifest)
        if as_json:
            print(json.dumps(_run_facts(report, trial)), flush=True)
        else:
            print(_run_line(report, trial), flush=True)
        _require_good([trial])

    if interval is None:
        once()
    else:
        _go_on(once, interval)


@backup.command("list")
def backup_list(place: PlaceArgument, as_json: JsonOption = False) -> None:
    """List the backups, oldest first.

    Example: mia backup list /mnt/backups
    """
    from rich.table import Table

    from mia.monitoring.backups.backup_objects import BackupRepository

    good, bad = BackupRepository(place).manifests()
    if as_json:
        facts = [_facts(manifest) for manifest in good]
        print(json.dumps({"backups": facts, "damaged": bad}, indent=2))
    else:
        table = Table("id", "kind", "made (UTC)", "files", "MB", "events", "of")
        for m in good:
            made = f"{datetime.fromtimestamp(m.made // 10**9, UTC):%Y-%m-%d %H:%M:%S}"
            cells = (str(len(m.files)), f"{m.size / 1e6:.1f}", f"{m.journal_seq}")
            table.add_row(m.backup_id, m.kind, made, *cells, m.state)
        output_console().print(table)
    if bad:
        raise DataError(f"manifests of {', '.join(bad)} in {place} are damaged")


@backup.command("verify")
def backup_verify(
    place: PlaceArgument,
    backup_id: IdOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every backup.")] = False,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder with room for a restored state directory.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Restore on trial, and compare the journal's hash; name whatever is damaged.

    Example: mia backup verify /mnt/backups --all
    """
    from mia.monitoring.backups.backup_objects import BackupRepository
    from mia.monitoring.backups.backup_restore import verify_backup

    if everything and backup_id is not None:
        raise UsageError("--all and --id exclude each other")
    repository = BackupRepository(place)
    bad: list[str] = []
    if everything:
        repository.newest()
        chosen, bad = repository.manifests()
    else:
        chosen = [_chosen(repository, backup_id)]
    trials = [verify_backup(repository, manifest, scratch) for manifest in chosen]
    if as_json:
        print(json.dumps([_trial_facts(trial) for trial in trials], indent=2))
    else:
        for trial in trials:
            print(_trial_line(trial))
            for damage in trial.damaged:
                print(f"  {damage.problem}")
    if bad:
        raise DataError(f"manifests of {', '.join(bad)} in {place} are damaged")
    _require_good(trials)


@backup.command("restore")
def backup_restore(
    place: PlaceArgument,
    to: Annotated[Path, typer.Option(help="New state directory; absent or empty.")],
    store_to: Annotated[
        Path | None, typer.Option(help="New store; absent or empty. Without it, no store.")
    ] = None,
    backup_id: IdOption = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Do not leave the command to start stopped.")
    ] = False,
) -> None:
    """Restore into an empty directory; the trader that uses it starts stopped.

    Example: mia backup restore /mnt/backups --to state
    """
    from mia.monitoring.backups.backup_objects import BackupRepository
    from mia.monitoring.backups.backup_restore import restore_backup

    repository = BackupRepository(place)
    manifest = _chosen(repository, backup_id)
    restore_backup(repository, manifest, to, store_to, halted=not ready)
    print(f"{to} is as it was at {manifest.backup_id}, {manifest.journal_seq} events")
    if manifest.store and store_to is None:
        print("its store was not restored: name a place with --store-to")
    if not ready:
        print("a trader starts stopped in it: compare with the broker, then `mia kill reset`")


def _chosen(repository: "BackupRepository", backup_id: str | None) -> "Manifest":
    return repository.newest() if backup_id is None else repository.load(backup_id)


def _interval(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise UsageError(f"--every takes a time as 4h, 30m or 90s, was {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def _go_on(once: "Callable[[], None]", interval: float) -> None:
    """Back up at intervals until a signal comes, and once more then."""
    import asyncio
    import signal
    import sys

    from mia import interrupts
    from mia.monitoring.backups.backup_schedule import keep_backed_up

    received: list[int] = []

    async def backup() -> None:
        once()

    def complain(error: "MiaError") -> None:
        print(f"error: {error}", file=sys.stderr, flush=True)

    async def loop() -> bool:
        stop = asyncio.Event()

        def on_signal(number: int) -> None:
            received.append(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
        return await keep_backed_up(backup, stop, complain, interval)

    good = asyncio.run(loop())
    if not good:
        raise DataError("the last backup failed: see above")
    interrupts.stop_as_signalled(received[0])


def _require_good(trials: "list[Verification]") -> None:
    bad = [trial for trial in trials if trial.damaged]
    if bad:
        count = sum(len(trial.damaged) for trial in bad)
        raise DataError(
            f"{len(bad)} of {len(trials)} backups cannot be restored whole ({count} files, the "
            f"first {bad[0].damaged[0].file} of {bad[0].backup_id}): make one with --full"
        )


def _facts(manifest: "Manifest") -> dict[str, object]:
    return {
        "id": manifest.backup_id,
        "kind": manifest.kind,
        "made": manifest.made,
        "state": manifest.state,
        "store": manifest.store,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "events": manifest.journal_seq,
        "journal_hash": manifest.journal_hash,
    }


def _trial_facts(trial: "Verification") -> dict[str, object]:
    return {
        "id": trial.backup_id,
        "good": not trial.damaged,
        "files": trial.files,
        "bytes": trial.size,
        "events": trial.events,
        "seconds": round(trial.seconds, 3),
        "damaged": [{"file": d.file, "problem": d.problem} for d in trial.damaged],
    }


def _run_facts(report: "BackupReport", trial: "Verification") -> dict[str, object]:
    return {
        **_facts(report.manifest),
        "bytes_written": report.written,
        "pieces_repaired": list(report.repaired),
        "forgotten": list(report.forgotten),
        "verified": not trial.damaged,
        "restore_seconds": round(trial.seconds, 3),
    }


def _run_line(report: "BackupReport", trial: "Verification") -> str:
    m = report.manifest
    extra = f", {len(report.repaired)} damaged pieces repaired" if report.repaired else ""
    gone = f", {len(report.forgotten)} old ones removed" if report.forgotten else ""
    proof = "verified" if not trial.damaged else "DAMAGED"
    return (
        f"{m.backup_id} {m.kind}: {len(m.files)} files, {m.size / 1e6:.1f} MB, "
        f"{report.written / 1e6:.1f} MB new, {m.journal_seq} events, {proof}{extra}{gone}"
    )


def _trial_line(trial: "Verification") -> str:
    proof = "good" if not trial.damaged else f"{len(trial.damaged)} files damaged"
    return (
        f"{trial.backup_id}: {proof}, {trial.files} files, {trial.size / 1e6:.1f} MB, "
        f"{trial.events} events, {trial.seconds:.2f} s"
    )
