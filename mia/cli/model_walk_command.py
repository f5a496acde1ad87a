"""The command of `mia.cli.model_walk`, for ``scripts/model_walk.py``."""

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn

from mia.cli.model_honesty import research_settings
from mia.cli.model_walk import table, walk
from mia.config.settings import load_settings
from mia.errors import MiaError


def main() -> NoReturn:
    """Walk and print the table as JSON."""
    parser = argparse.ArgumentParser(
        prog="model_walk",
        description="The rules alone and with the model, year by year over a store. "
        "Example: model_walk.py --data store --from 2015 --to 2020",
    )
    parser.add_argument("--data", type=Path, required=True, help="a store")
    parser.add_argument("--symbol", default="ES")
    parser.add_argument("--from", dest="first", type=int, required=True, help="first year")
    parser.add_argument("--to", dest="last", type=int, required=True, help="last year")
    parser.add_argument("--models", type=Path, help="keep the models here")
    parser.add_argument(
        "--opened",
        action="store_true",
        help="with the gates open, as scripts/model_honesty.py: more trades, another method",
    )
    given = parser.parse_args()
    loaded = research_settings() if given.opened else load_settings(None, (), environ={})
    try:
        years = range(given.first, given.last + 1)
        done = walk(given.data, given.symbol, years, loaded, given.models)
    except MiaError as error:
        print(f"model_walk: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(json.dumps(table(done), indent=1))
    sys.exit(0)
