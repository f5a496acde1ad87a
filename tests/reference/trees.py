"""Plain twin of `mia._fast.trees`."""

from math import exp, isnan


def logistic(x):
    # C divides by an overflowing exponential; Python raises where C gives infinity.
    return 1.0 / (1.0 + exp(-x)) if x > -709.0 else 0.0


def tree_score(model, row):
    total = model.baseline
    for start in model.starts:
        node = 0
        while model.feature[start + node] >= 0:
            at = start + node
            value = row[model.feature[at]]
            left = model.missing_left[at] if isnan(value) else value <= model.value[at]
            node = int(model.left[at] if left else model.right[at])
        total += model.value[start + node]
    return float(total)


def linear_score(model, row):
    total = model.intercept
    for k, column in enumerate(model.columns):
        value = model.missing[k] if isnan(row[column]) else row[column]
        total += model.weight[k] * ((value - model.centre[k]) / model.scale[k])
    return float(total)


def probability(calibration, score):
    x, y = calibration.x, calibration.y
    if not len(x):
        return logistic(calibration.slope * score + calibration.offset)
    if score <= x[0]:
        return float(y[0])
    if score >= x[-1]:
        return float(y[-1])
    k = max(i for i in range(len(x)) if x[i] <= score)
    return float(y[k] + (y[k + 1] - y[k]) * ((score - x[k]) / (x[k + 1] - x[k])))
