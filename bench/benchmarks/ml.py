"""Model inference: times of one row, and the ratio to scikit-learn in one process."""

import timeit

import numpy as np
from threadpoolctl import threadpool_limits

from mia._fast import trees
from mia.ml.boosted import export_trees
from mia.ml.calibrate import unchanged
from mia.ml.flat_model import FlatModel, Scorer
from mia.ml.logistic import fit_logistic

FEATURES, TREES = 18, 200


class Inference:
    """200 trees of 31 leaves over 18 features with missing values."""

    timeout = 300

    def setup(self):
        from sklearn.ensemble import HistGradientBoostingClassifier

        rng = np.random.default_rng(0)
        x = rng.normal(size=(4000, FEATURES))
        x[rng.random(x.shape) < 0.1] = np.nan
        z = np.nan_to_num(x[:, 0] * x[:, 1])
        y = (z + rng.normal(size=4000) > 0).astype(int)
        with threadpool_limits(1):
            self.theirs = HistGradientBoostingClassifier(
                max_iter=TREES, max_leaf_nodes=31, early_stopping=False
            ).fit(x, y)
        model = export_trees(self.theirs)
        self.trees = trees.Trees(
            model.starts,
            model.value,
            model.feature,
            model.left,
            model.right,
            model.missing_left,
            model.baseline,
            FEATURES,
        )
        self.rows = x
        wide = rng.normal(size=(500, 22))
        self.wide = wide
        linear = fit_logistic(wide, (wide[:, 0] > 0).astype(float), np.ones(500))
        self.linear = Scorer(FlatModel(linear, unchanged()))

    def _median(self, call, rows):
        times = [timeit.timeit(lambda row=row: call(row), number=20) / 20 for row in rows]
        return float(np.median(times)) * 1e6

    def track_microseconds_per_row_of_200_trees(self):
        return self._median(self.trees.score, self.rows[:1000])

    def track_microseconds_per_row_of_the_logistic_model(self):
        return self._median(self.linear.probability, self.wide)

    def track_speedup_over_scikit_learn(self):
        with threadpool_limits(1):
            one = [
                timeit.timeit(lambda row=row: self.theirs.predict_proba(row), number=3) / 3
                for row in self.rows[:60, None, :]
            ]
        return float(np.median(one)) * 1e6 / self.track_microseconds_per_row_of_200_trees()


Inference.track_microseconds_per_row_of_200_trees.unit = "us"
Inference.track_microseconds_per_row_of_the_logistic_model.unit = "us"
Inference.track_speedup_over_scikit_learn.unit = "x"
