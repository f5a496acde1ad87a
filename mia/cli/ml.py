"""``mia ml``: labels, training, and the life of models."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.command_line import ConfigOption, JsonOption, QuietOption, SetOption, progress_bar
from mia.errors import UsageError

if TYPE_CHECKING:
    from mia.ml.dataset import LabelledTrades

ml = typer.Typer(no_args_is_help=True, help="Models that filter proposals.")

StateOption = Annotated[
    Path | None, typer.Option("--state-dir", "--state", help="State directory of a trader.")
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Folder of a run that `mia backtest --out` wrote.")
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of the models; the state directory or the run if none."),
]


def _place(state: Path | None, run: Path | None, models: Path | None) -> Path:
    place = models or state or run
    if place is None:
        raise UsageError("name a state directory with --state-dir, or a run with --run")
    return place


def _trades(state: Path | None, run: Path | None) -> "LabelledTrades":
    from mia.ml.dataset import read_run, read_snapshots

    if (state is None) == (run is None):
        raise UsageError("name either a state directory with --state-dir or a run with --run")
    if run is not None:
        return read_run(run)
    assert state is not None
    return read_snapshots(state / "snapshots")


@ml.command()
def train(
    state: StateOption = None,
    run: RunOption = None,
    models: ModelsOption = None,
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take every step that is due: train each 50 trades, promote and demote as the method says.

    A trader that runs follows at its next session break.

    Example: mia ml train --run results/backtest
    """
    from mia.config.settings import load_settings
    from mia.ml.life import live_through
    from mia.ml.registry import Registry

    wanted = load_settings(config_name, assignments or ()).settings.ml
    least = wanted.min_trades
    data = _trades(state, run)
    registry = Registry(_place(state, run, models))
    with progress_bar("training", quiet) as progress:
        changes = live_through(
            registry,
            data,
            least,
            progress,
            demote_on_moved_inputs=wanted.demote_on_moved_inputs,
        )
    current = registry.current()
    if as_json:
        found = [{"event": c.event, **c.facts} for c in changes]
        print(json.dumps({"trades": len(data), "stage": current.stage, "changes": found}, indent=1))
        return
    for change in changes:
        print(change.text)
    if not changes and len(data) < least:
        print(f"{len(data)} labelled trades of the {least} (ml.min_trades) that training needs")
    print(f"stage: {current.stage}")


@ml.command()
def status(
    state: StateOption = None,
    run: RunOption = None,
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which models are in use, since when, and what changed last.

    Example: mia ml status --state-dir state
    """
    from mia.ml.registry import Registry

    registry = Registry(_place(state, run, models))
    current = registry.current()
    found: dict[str, Any] = {
        "stage": current.stage,
        "gate": current.gate,
        "shadow": current.shadow,
        "demotions": dict(current.demotions),
        "retired": list(current.retired),
        "trained_trades": current.trained_trades,
        "models": {},
        "history": registry.history()[-10:],
    }
    for name in filter(None, (current.gate, current.shadow)):
        facts = registry.load(name).manifest
        keys = ("family", "trades", "first_session", "last_session", "promotion", "inputs_read")
        found["models"][name] = {key: facts[key] for key in keys}
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"stage: {current.stage}")
    for role in ("gate", "shadow"):
        name = found[role]
        if name:
            facts = found["models"][name]
            passed = "passed" if facts["promotion"]["passed"] else "did not pass"
            print(
                f"{role}: {name[:12]}, {facts['family']}, {facts['trades']} trades up to session "
                f"{facts['last_session']}, {passed} the promotion test"
            )
    for family in current.retired:
        print(f"retired: {family}; allow it again with `mia ml promote --enable {family}`")
    for change in found["history"]:
        print(f"{change['ts']} {change['event']} {change.get('model', '')[:12]}")


@ml.command()
def promote(
    state: StateOption = None,
    run: RunOption = None,
    models: ModelsOption = None,
    enable: Annotated[
        str | None, typer.Option(help="Allow a family again that was retired.")
    ] = None,
) -> None:
    """Promote the shadow if it has passed every test, or allow a retired family again.

    There is no way around the tests.

    Example: mia ml promote --state-dir state
    """
    import numpy as np

    from mia.errors import DataError
    from mia.ml.life import enabled, promoted, promotion_obstacle
    from mia.ml.registry import Registry

    registry = Registry(_place(state, run, models))
    current = registry.current()
    if enable is not None:
        registry.activate(enabled(current, enable), "ENABLED", time.time_ns(), family=enable)
        print(f"{enable} may be trained again")
        return
    data = _trades(state, run)
    known = data.take(np.argsort(data.ends, kind="stable"))
    obstacle, facts = promotion_obstacle(current, registry, known)
    if obstacle is not None:
        raise DataError(f"the shadow is not promoted: {obstacle}")
    after = promoted(current, int(known.ends.max()))
    registry.activate(after, "PROMOTED", time.time_ns(), model=after.gate, **facts)
    print(f"model {after.gate[:12]} decides from the next session break on")


@ml.command()
def rollback(state: StateOption = None, run: RunOption = None, models: ModelsOption = None) -> None:
    """Put back the model that decided before; without one, none decides.

    Example: mia ml rollback --state-dir state
    """
    from mia.ml.registry import Registry

    after = Registry(_place(state, run, models)).rollback(time.time_ns())
    print(f"model {after.gate[:12]} decides again" if after.gate else "no model decides")


@ml.command()
def report(
    state: StateOption = None,
    run: RunOption = None,
    models: ModelsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file; model_report.html beside the models if none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Validate the models on all labelled trades and write a report, HTML and JSON.

    It changes nothing and decides nothing.

    Example: mia ml report --run results/backtest
    """
    from mia.data.files import replace_file, write_json
    from mia.ml.registry import Registry
    from mia.ml.report import model_report, page

    place = _place(state, run, models)
    found = model_report(_trades(state, run), Registry(place))
    path = out or place / "model_report.html"
    with replace_file(path) as temporary:
        temporary.write_text(page(found), encoding="utf-8")
    write_json(path.with_suffix(".json"), found)
    print(json.dumps(found, indent=1) if as_json else f"report: {path}")
