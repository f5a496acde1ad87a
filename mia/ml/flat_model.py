"""A trained model as flat arrays, and the probability it gives."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import trees
from mia.errors import FormatError
from mia.ml.boosted import TreeModel
from mia.ml.calibrate import CalibrationMap
from mia.ml.inputs import WIDTH
from mia.ml.logistic import LinearModel

LOGISTIC = "logistic"
BOOSTED = "boosted"
FAMILIES = (LOGISTIC, BOOSTED)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FlatModel:
    """A model of either family with its calibration.

    Attributes
    ----------
    fitted : LinearModel or TreeModel
    calibration : CalibrationMap
    """

    fitted: LinearModel | TreeModel
    calibration: CalibrationMap

    @property
    def family(self) -> str:
        """``logistic`` or ``boosted``."""
        return LOGISTIC if isinstance(self.fitted, LinearModel) else BOOSTED

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name, for a file."""
        found = {"family": np.array(FAMILIES.index(self.family), dtype=np.int64)}
        for prefix, part in (("model", self.fitted), ("calibration", self.calibration)):
            found |= {f"{prefix}_{name}": np.asarray(v) for name, v in asdict(part).items()}
        return found


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> FlatModel:
    """Make the model that `FlatModel.arrays` described.

    Raises
    ------
    FormatError
        If an array is missing, of another type, or one too many.
    """
    family = arrays.get("family")
    if family is None or family.shape != () or int(family) not in range(len(FAMILIES)):
        raise FormatError("the arrays name no family of models")
    kind = (LinearModel, TreeModel)[int(family)]
    wanted = {f"model_{field.name}" for field in fields(kind)}
    wanted |= {f"calibration_{field.name}" for field in fields(CalibrationMap)} | {"family"}
    if set(arrays) != wanted:
        raise FormatError(f"the arrays are not those of a model: {sorted(set(arrays) ^ wanted)}")

    def part(prefix: str, of: Any) -> dict[str, Any]:
        return {
            field.name: float(value) if field.type is float else np.ascontiguousarray(value)
            for field in fields(of)
            for value in (arrays[f"{prefix}_{field.name}"],)
        }

    try:
        calibration = CalibrationMap(**part("calibration", CalibrationMap))
        model = FlatModel(kind(**part("model", kind)), calibration)
        Scorer(model)
    except (TypeError, ValueError) as error:
        raise FormatError(f"the arrays make no model: {error}") from None
    return model


class Scorer:
    """Gives P(net R > 0) of input vectors.

    Parameters
    ----------
    model : FlatModel

    Raises
    ------
    ValueError
        If the arrays contradict one another.
    """

    __slots__ = ("_calibration", "_score")

    def __init__(self, model: FlatModel) -> None:
        fitted, c = model.fitted, model.calibration
        self._calibration = trees.Calibration(c.slope, c.offset, c.x, c.y)
        if isinstance(fitted, LinearModel):
            self._score: trees.Linear | trees.Trees = trees.Linear(
                fitted.columns,
                fitted.weight,
                fitted.centre,
                fitted.scale,
                fitted.missing,
                fitted.intercept,
                WIDTH,
            )
        else:
            self._score = trees.Trees(
                fitted.starts,
                fitted.value,
                fitted.feature,
                fitted.left,
                fitted.right,
                fitted.missing_left,
                fitted.baseline,
                WIDTH,
            )

    def probability(self, row: Floats) -> float:
        """Return the probability of one vector, shape (22,)."""
        return self._calibration.probability(self._score.score(row))

    def scores(self, rows: Floats) -> Floats:
        """Return the log-odds of vectors before calibration, shape (n,)."""
        out = np.empty(len(rows))
        self._score.scores(np.ascontiguousarray(rows), out)
        return out

    def probabilities(self, rows: Floats) -> Floats:
        """Return the probabilities of vectors, shape (n,)."""
        out = np.empty(len(rows))
        self._calibration.probabilities(self.scores(rows), out)
        return out
