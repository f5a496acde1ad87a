"""Planted order-flow patterns, with the table of what was really planted.

Each pattern builds for a while and then lets the price go: `side` is the direction of the move
that follows. Its strength in [0, 1] scales the drift, the one-sided flow and the trade sizes;
at strength 0 nothing is planted and the session has no edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mia._fast import synth
from mia.data.synthetic import exact, intraday
from mia.data.synthetic.clock import SECOND_NS, SyntheticSession
from mia.errors import UsageError

LEVEL_SPACING = 40
"""Ticks between round levels, 10 index points."""


class PatternKind(IntEnum):
    """What is planted."""

    ABSORPTION = 0
    ICEBERG = 1
    SWEEP = 2
    DELTA_DIVERGENCE = 3
    STOP_RUN = 4
    VWAP_REVERSION = 5
    LEVEL_REJECTION = 6


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind looks at strength 1; see the directive of `mia._fast.synth`."""

    trigger: int
    reach: float
    build_s: float
    build_drift: float
    build_flow: float
    build_size: float
    pin: float
    follow_s: float
    follow_drift: float
    follow_flow: float


RECIPES = {
    # Heavy selling (side +1) into a bid that does not give way, then the turn.
    PatternKind.ABSORPTION: Recipe(0, 0.0, 120, 0.0, -0.8, 1.8, 0.5, 300, 10.0, 0.2),
    # The same price served again and again, ordinary sizes.
    PatternKind.ICEBERG: Recipe(0, 0.0, 90, 0.0, -0.6, 1.0, 0.25, 240, 7.0, 0.1),
    # An aggressor through several levels within a second, and its continuation.
    PatternKind.SWEEP: Recipe(0, 0.0, 0.6, 7.0, 1.0, 2.0, -1.0, 90, 4.0, 0.3),
    # A new extreme against the flow, then the turn.
    PatternKind.DELTA_DIVERGENCE: Recipe(0, 0.0, 480, -9.0, 0.35, 1.0, -1.0, 600, 12.0, 0.15),
    # Beyond the session's extreme, and quickly back.
    PatternKind.STOP_RUN: Recipe(1, 6.0, 20, -8.0, -0.9, 1.5, -1.0, 300, 14.0, 0.2),
    # Back towards the VWAP from two standard deviations away.
    PatternKind.VWAP_REVERSION: Recipe(2, 2.0, 30, 0.0, 0.0, 1.0, -1.0, 900, 0.5, 0.1),
    # A round level that holds.
    PatternKind.LEVEL_REJECTION: Recipe(3, 3.0, 120, -1.0, -0.4, 1.2, 1.5, 300, 11.0, 0.2),
}

TRUTH_DTYPE = np.dtype(
    [
        ("session_id", np.int64),
        ("ts_event", np.int64),
        ("ts_end", np.int64),
        ("kind", np.int64),
        ("side", np.int64),
        ("level", np.int64),
        ("strength", np.float64),
    ]
)
"""A row of the truth: trade date, first and last instant (ns UTC), `PatternKind`, side, price of
the start or of the level in ticks, strength."""


@dataclass(frozen=True, slots=True)
class PatternPlan:
    """What to plant.

    Attributes
    ----------
    strength : float
        In [0, 1]; 0 plants nothing.
    per_session : mapping of PatternKind to float
        Mean number in the cash session of a day; kinds that wait for a condition may come to
        fewer.
    """

    strength: float = 0.5
    per_session: Mapping[PatternKind, float] = field(
        default_factory=lambda: dict.fromkeys(PatternKind, 0.3)
    )

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"strength must lie in [0, 1], was {self.strength}")
        bad = [kind for kind, mean in self.per_session.items() if not 0.0 <= mean <= 20.0]
        if bad:
            raise UsageError(f"per_session must lie in [0, 20], {bad[0].name} does not")


NO_PATTERNS = PatternPlan(0.0)

RTH_START_S = intraday.slot_of("08:30") * intraday.SLOT_S
RTH_END_S = intraday.slot_of("15:00") * intraday.SLOT_S
WAIT_S = 5400
REST_S = 1200
MAX_PER_SESSION = 200


def directives(
    session: SyntheticSession, plan: PatternPlan, rng: np.random.Generator
) -> NDArray[np.void]:
    """Return the directives of a session by time, for the kernel.

    They do not overlap: the kernel leaves out those whose time passes while another acts, and
    those whose condition does not occur in time.
    """
    rows = []
    end = min(session.seconds, RTH_END_S) - REST_S
    for kind in PatternKind:
        table = exact.poisson_table(plan.per_session.get(kind, 0.0))
        u = rng.random((1 + MAX_PER_SESSION, 2))
        count = min(int(np.searchsorted(table, u[0, 0], side="right")), MAX_PER_SESSION)
        for at, way in u[1 : 1 + count].tolist():
            armed = RTH_START_S + 60 + int(at * (end - RTH_START_S - 60))
            rows.append((armed, int(kind), 1 if way < 0.5 else -1))
    rows.sort()
    out = np.zeros(len(rows) if plan.strength > 0.0 else 0, synth.DIRECTIVE_DTYPE)
    for row, (armed, number, side) in zip(out, rows, strict=False):
        recipe, w = RECIPES[PatternKind(number)], plan.strength
        wait = WAIT_S if recipe.trigger else REST_S
        if number == PatternKind.SWEEP:
            wait = 1  # at the burst of trades that belongs to it, or not at all
        row["trigger"], row["side"], row["reach"] = recipe.trigger, side, recipe.reach
        row["t_armed"] = session.t_open + armed * SECOND_NS
        row["t_expires"] = row["t_armed"] + wait * SECOND_NS
        row["build_ns"] = int(recipe.build_s * SECOND_NS)
        row["follow_ns"] = int(recipe.follow_s * SECOND_NS)
        row["build_drift"], row["build_flow"] = w * recipe.build_drift, w * recipe.build_flow
        row["build_size"] = 1.0 + w * (recipe.build_size - 1.0)
        row["pin"] = recipe.pin
        row["follow_drift"], row["follow_flow"] = w * recipe.follow_drift, w * recipe.follow_flow
        row["kind"] = number
    return out


def truth(
    session: SyntheticSession, plan: PatternPlan, planted: NDArray[np.void]
) -> NDArray[np.void]:
    """Return the patterns that really happened, by time, as `TRUTH_DTYPE`."""
    happened = planted[planted["t_start"] > 0]
    happened = happened[np.argsort(happened["t_start"], kind="stable")]
    out = np.zeros(len(happened), TRUTH_DTYPE)
    out["session_id"] = session.session_id
    out["ts_event"] = happened["t_start"]
    out["ts_end"] = happened["t_end"]
    for name in ("kind", "side", "level"):
        out[name] = happened[name]
    out["strength"] = plan.strength
    return out


def add_bursts(
    planted: NDArray[np.void],
    rng: np.random.Generator,
    trades: float,
    ts: NDArray[np.int64],
    columns: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]],
) -> tuple[NDArray[np.int64], tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]]:
    """Add the trades of sweeps to those of the market.

    Parameters
    ----------
    planted : ndarray of DIRECTIVE_DTYPE
        The session's patterns.
    rng : Generator
        Stream of the patterns.
    trades : float
        How many trades a sweep of strength 1 adds.
    ts : ndarray of int64, shape (n,)
        Times of the market's own trades, ns UTC, ascending.
    columns : tuple of ndarray
        Price steps (n,), sizes (n,) and uniforms (n, 2) of those trades. Added trades step by 0:
        what moves the price in a sweep is its drift.

    Returns
    -------
    ts, columns
        The same with the added trades in their places.
    """
    sweeps = planted[planted["kind"] == PatternKind.SWEEP]
    if not len(sweeps):
        return ts, columns
    parts = []
    for row in sweeps:
        share = float(row["build_drift"]) / RECIPES[PatternKind.SWEEP].build_drift
        offset = rng.random(int(trades * share)) * float(row["build_ns"])
        parts.append(row["t_armed"] + offset.astype(np.int64))
    added = np.sort(np.concatenate(parts))
    u = rng.random((len(added), 4))
    size = intraday.draw_sizes(u[:, 0], u[:, 1], np.zeros(len(added)))
    at = np.searchsorted(ts, added, side="right")
    step, sizes, uniforms = columns
    return np.insert(ts, at, added), (
        np.insert(step, at, 0.0),
        np.insert(sizes, at, size),
        np.insert(uniforms, at, u[:, 2:], axis=0),
    )
