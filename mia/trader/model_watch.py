"""The model of a live run: what it tells goes to the journal, the log and the event bus."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mia.core.event_bus import EventBus
from mia.errors import MiaError
from mia.ml.dataset import read_snapshots
from mia.ml.model_filter import ModelFilter
from mia.ml.registry import Registry

log = logging.getLogger(__name__)

KIND = "model"
"""Kind of the journal's events, and topic on the bus: (what happened, one line)."""

_WORDS = {
    "MODEL_LOADED": "promoted",
    "MODEL_DEMOTED": "demoted",
    "MODEL_ROLLED_BACK": "rolled back",
    "MODEL_REFUSED": "refused",
}
"""What people are told of: a model that decides now, and one that does not any more."""

_LEVELS = {"INFO": logging.INFO, "WARNING": logging.WARNING, "CRITICAL": logging.CRITICAL}


def live_model(
    state_dir: Path, bus: EventBus, append: Callable[[dict[str, Any]], object]
) -> ModelFilter:
    """Make the model of a run, judged by what earlier runs recorded, and let it hear the bus.

    Parameters
    ----------
    state_dir : Path
        Holds ``models`` and ``snapshots``.
    bus : EventBus
    append : callable
        Writes facts to the journal.

    Returns
    -------
    ModelFilter
        Without a model while there is none; it follows the registry at session breaks.
    """

    def note(level: str, text: str, facts: dict[str, Any]) -> None:
        append(facts)
        if text:
            log.log(_LEVELS[level], "%s", text)
        what = _WORDS.get(facts["event"])
        if what is not None and (what != "promoted" or facts["stage"] == "gate"):
            bus.publish(KIND, (what, text))

    model = ModelFilter(Registry(state_dir), note)
    if model.stage == "gate":
        try:
            model.prime(read_snapshots(state_dir / "snapshots"))
        except MiaError as error:
            log.warning("results of earlier runs do not judge the model: %s", error)
    bus.subscribe("*", model.publish, "model")
    return model
