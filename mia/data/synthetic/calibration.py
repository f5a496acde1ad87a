"""Compare the synthetic market with the real one: targets, tolerances, and the report.

``python -m mia.data.synthetic.calibration --days N --seed S`` measures and prints the table.
Figures of a single day are measured on N steady sessions, which all have the activity and
volatility of the reference day, 9 August 2019; figures of bars and days on sessions that differ
from one another. As years differ too, those of bars are medians over five markets of N sessions
with the seeds from S on.
"""

import argparse
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from mia.core.base_types import TradeBlock
from mia.data.synthetic import clock, figures
from mia.data.synthetic.market import SyntheticMarket

FIRST_DAY = 20240102
MARKETS = 5
QUIET_TRADES = 40_000


@dataclass(frozen=True, slots=True)
class Target:
    """What the real market shows.

    Attributes
    ----------
    value : float
        Measured on real data.
    relative, absolute : float
        Tolerance: the larger of ``relative * abs(value)`` and `absolute`.
    steady : bool
        Measured on sessions like the reference day; else on days that differ.
    """

    value: float
    relative: float
    absolute: float
    steady: bool

    def met(self, measured: float) -> bool:
        """Whether a measured value is within the tolerance."""
        return abs(measured - self.value) <= self.tolerance

    @property
    def tolerance(self) -> float:
        """Largest accepted distance."""
        return max(self.relative * abs(self.value), self.absolute)


def _day(value: float, relative: float, absolute: float = 0.0) -> Target:
    return Target(value, relative, absolute, True)


def _days(value: float, relative: float, absolute: float = 0.0) -> Target:
    return Target(value, relative, absolute, False)


# A slot's mean volume against the mean of the nine slots that also have a range.
_SLOT_VOLUMES = (
    39.4,
    27.8,
    27.3,
    17.1,
    12.4,
    12.3,
    14.1,
    14.7,
    80.3,
    32.0,
    1.7,
    2.0,
    0.75,
    2.7,
    9.3,
)
_SLOT_RANGES = (9.9, 8.1, 9.1, 6.4, 5.4, 5.6, 6.6, 6.3, 8.2)
_SCALE = sum(_SLOT_VOLUMES[: len(_SLOT_RANGES)]) / len(_SLOT_RANGES)

TARGETS = {
    "size_mean": _day(6.03, 0.10),
    "size_q25": _day(1, 0.0),
    "size_q50": _day(2, 0.0),
    "size_q75": _day(5, 0.0),
    "size_q90": _day(14, 0.10),
    "size_q99": _day(63, 0.10),
    "size_q99.9": _day(159, 0.10),
    "size_one": _day(0.456, 0.05),
    "size_max": _day(899, 0.15),
    "tick_0": _day(0.827, 0.05),
    "tick_1": _day(0.171, 0.20),
    "tick_2": _day(0.0017, 0.35),
    "tick_3+": _day(0.0006, 0.35),
    "reversal": _day(0.760, 0.10),
    "rate": _day(9.93, 0.10),
    "rate_max": _day(553, 0.40),
    "fano_1s": _day(22.8, 0.20),
    "fano_10s": _day(86, 0.20),
    "fano_60s": _day(307, 0.20),
    "fano_300s": _day(885, 0.25),
    "empty": _day(0.108, 0.25),
    "count_ac_1s": _day(0.38, 0.15),
    "count_ac_10s": _day(0.21, 0.20),
    "count_ac_60s": _day(0.13, 0.25),
    "signature_1s": _day(0.0413, 0.15),
    "signature_5s": _day(0.0312, 0.15),
    "signature_30s": _day(0.0305, 0.15),
    "signature_60s": _day(0.0305, 0.15),
    "minute_std": _day(1.37, 0.15),
    "spread_1": _day(0.96, 0.02),
    "spread_2": _day(0.04, 0.25),
    **{
        f"volume_{slot}": _days(volume / _SCALE, 0.15, 0.01)
        for slot, volume in zip(figures.PROFILE_SLOTS, _SLOT_VOLUMES, strict=True)
    },
    **{
        f"range_{slot}": _days(span, 0.25)
        for slot, span in zip(figures.RANGE_SLOTS, _SLOT_RANGES, strict=True)
    },
    "ret5_std": _days(4.19, 0.20),
    "ret5_kurtosis": _days(7.2, 0.40),
    "abs_ret5_ac_1": _days(0.42, 0.35),
    "abs_ret5_ac_50": _days(0.25, 0.60),
    "ret5_ac_1": _days(-0.012, 0.0, 0.04),
    "delta_share": _days(0.053, 0.35),
    "delta_ret_corr": _days(0.49, 0.25),
    "delta_next_ret_corr": _days(-0.007, 0.0, 0.04),
    "session_range": _days(60.0, 0.20),
    "day_volume_ac_1": _days(0.65, 0.20),
    "day_volume_ac_5": _days(0.44, 0.25),
}
"""Target of each figure of `mia.data.synthetic.figures.measure`.

Sources: trades of 9 August 2019; five-minute bars of later years for the profile, returns, delta
and days; books at a few opens for the spread.
"""


def measure(blocks: Iterable[TradeBlock]) -> figures.Figures:
    """Measure every figure; see `mia.data.synthetic.figures.measure`."""
    return figures.measure(blocks)


def measure_steady(days: int, seed: int) -> figures.Figures:
    """Measure the figures of a single day on `days` sessions like the reference day."""
    found = measure(SyntheticMarket(seed, FIRST_DAY, days, steady=True).blocks())
    return {name: found[name] for name, target in TARGETS.items() if target.steady}


def measure_varied(days: int, seed: int) -> figures.Figures:
    """Measure the figures of bars and days.

    Those of bars are medians over `MARKETS` markets of `days` sessions; the memory of the daily
    volume needs more days, and is measured on a quiet market that is ten times as long.
    """
    each = [measure(SyntheticMarket(seed + k, FIRST_DAY, days).blocks()) for k in range(MARKETS)]
    bars = {
        name: statistics.median(found[name] for found in each)
        for name, target in TARGETS.items()
        if not target.steady and name in each[0]
    }
    long = SyntheticMarket(seed, FIRST_DAY, 10 * days, null=True, trades_per_day=QUIET_TRADES)
    whole = (tape.block for tape in long.tapes() if tape.session.seconds == clock.SESSION_S)
    return bars | figures.day_figures(whole)


def report(measured: figures.Figures) -> str:
    """Return a Markdown table of targets and measured values."""
    lines = ["| figure | target | tolerance | measured | |", "|---|---:|---:|---:|---|"]
    for name, target in TARGETS.items():
        value = measured[name]
        verdict = "" if target.met(value) else "missed"
        lines.append(
            f"| {name} | {target.value:.4g} | {target.tolerance:.2g} | {value:.4g} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare the synthetic market with the real one.")
    parser.add_argument("--days", type=int, default=20, help="sessions of each tape")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    days, seed = arguments.days, arguments.seed
    print(report(measure_steady(days, seed) | measure_varied(days, seed)))


if __name__ == "__main__":
    main()
