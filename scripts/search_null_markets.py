"""Search markets without edge: ``python scripts/search_null_markets.py --seeds 100 --out F``."""

import argparse
import json
from pathlib import Path

from mia.optimize.null_market import Setup, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=80)
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--trades-per-day", type=int, default=5_000)
    parser.add_argument("--no-costs", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/null"))
    given = parser.parse_args()
    setup = Setup(
        sessions=given.sessions,
        trials=given.trials,
        trades_per_day=given.trades_per_day,
        costs=not given.no_costs,
        jobs=given.jobs,
    )
    found = run(range(given.first, given.first + given.seeds), setup, given.out)
    print(json.dumps(found, indent=2))
