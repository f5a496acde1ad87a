"""Backtest from a checkout: ``python scripts/run_backtest.py --days 30 --data STORE``."""

import sys

from mia.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "backtest")
    main()
