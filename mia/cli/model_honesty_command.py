"""The command of `mia.cli.model_honesty`, for ``scripts/model_honesty.py``."""

import argparse
import json
import time
from pathlib import Path

from mia.cli.model_honesty import run


def main() -> None:
    """Run markets by seed and edge, and print how often the promotion test was passed."""
    parser = argparse.ArgumentParser(
        prog="model_honesty",
        description="How often is a model promoted where nothing, or something, can be known? "
        "Example: model_honesty.py --seeds 100 --edges 0,8,16 --out honesty.ndjson",
    )
    parser.add_argument("--seeds", type=int, default=100, help="markets of each edge")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument(
        "--edges", default="0", help="drifts in ticks over 20 minutes of full flow; 0 is no edge"
    )
    parser.add_argument("--days", type=int, default=100, help="sessions of each market")
    parser.add_argument("--trades-per-day", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, help="stop after this long; run again to go on")
    parser.add_argument("--out", type=Path, default=Path("results/model-honesty.ndjson"))
    given = parser.parse_args()
    start = time.monotonic()

    def late() -> bool:
        return given.minutes is not None and time.monotonic() - start > 60.0 * given.minutes

    table = run(
        given.out,
        range(given.first_seed, given.first_seed + given.seeds),
        tuple(float(edge) for edge in given.edges.split(",")),
        given.days,
        given.trades_per_day,
        until=late,
    )
    print(json.dumps(table, indent=1))
