"""Order book and options of a live run, from a gateway in a process of its own."""

import json
import logging

import numpy as np
import pytest
from live_sources import START, chains, friday, gateway, run_trader
from typer.testing import CliRunner

from mia.cli.app import app
from mia.core.sessions import MINUTE
from mia.data.chains import save_chain
from mia.features.options_exposure import positioning

F6 = 5
OPTIONS = slice(8, 14)
HEDGE_FLOW = 11
REFUSED = """
[[fault]]
name = "no_market_data"
when = { message = 10, direction = "in", times = 0 }
code = 309

[[fault]]
name = "no_market_data"
when = { message = 1, direction = "in", times = 0 }
code = 354
"""


def sources(folder, *more: str) -> tuple[str, ...]:
    save_chain(folder / "friday.parquet", friday())
    chain = f"live.chain={folder / 'friday.parquet'}"
    return "sources.book=true", "sources.options=true", chain, *more


def test_a_live_book_makes_its_feature_valid_and_the_spread_known(tmp_path) -> None:
    with gateway(tmp_path, "--speed", "30") as process:
        trader, rows = run_trader(
            tmp_path,
            process,
            lambda t: bool((t.trader.state.newest or {}).get("spread")),
            12.0,
            "sources.book=true",
        )
    assert trader.chains is None
    good = rows["valid"][:, F6] == 1
    assert good.any()
    assert (rows["spread"][good] >= 1).all()
    assert (np.abs(rows["feature"][good, F6]) <= 1).all()


@pytest.mark.slow
def test_what_is_refused_stays_unknown_in_a_line_each_and_the_run_goes_on(tmp_path, caplog) -> None:
    scenario = tmp_path / "faults.toml"
    scenario.write_text(REFUSED)
    with gateway(tmp_path, "--speed", "30", "--faults", str(scenario)) as process:
        trader, rows = run_trader(
            tmp_path,
            process,
            lambda t: "options stay unknown" in caplog.text and t.trader.state.newest is not None,
            15.0,
            *sources(tmp_path),
        )
    for words, code in (("order book", "309"), ("options", "354")):
        lines = [r for r in caplog.records if words in r.message and r.levelno >= logging.WARNING]
        assert len(lines) == 1
        assert code in lines[0].getMessage()
    assert len(rows)
    assert (rows["valid"][:, F6] == 0).all()
    assert (rows["valid"][:, OPTIONS] == 0).all()
    assert not trader.session.ticks.refused
    assert trader.session.data_fault() == "the data connection is DISCONNECTED"


@pytest.mark.idle
def test_a_sweep_makes_the_option_features_valid_and_the_levels_those_of_the_whole_chain(
    tmp_path,
) -> None:
    with gateway(tmp_path) as process:
        trader, rows = run_trader(
            tmp_path,
            process,
            lambda t: (
                float((t.trader.state.newest or {}).get("options_quality", 0.0)) > 0.2
                and t.chains.snapshots.made > 2
            ),
            240.0,
            *sources(tmp_path, "live.chain_s=2", "live.option_contracts=600"),
        )
    row = rows[-1]
    assert row["valid"][F6] == 1
    # Hedging flow needs weeks of volume.
    assert row["valid"][OPTIONS].tolist() == [1, 1, 1, 0, 1, 1]
    read = trader.chains.chain
    assert row["options_quality"] == pytest.approx(read.meta.captured_share, rel=0.05)
    assert np.isfinite(read.open_interest).all()
    assert {0, 1} == set(read.root.tolist())

    at = read.meta.received_at // MINUTE * MINUTE
    save_chain(tmp_path / "whole.parquet", chains().chain(at))
    es = row["bar"]["close"] / 4
    answer = CliRunner().invoke(
        app,
        ["options", "levels", str(tmp_path / "whole.parquet"), "--es", str(es), "--json"],
    )
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    levels = {level["level"]: level["es"] for level in facts["levels"]}
    # Walls are the same strikes, but ES has moved since the minute of the quotes; a selection moves
    # the flip by up to two per cent.
    assert row["call_wall"] / 4 == pytest.approx(levels["call_wall"], rel=2e-3)
    assert row["put_wall"] / 4 == pytest.approx(levels["put_wall"], rel=2e-3)
    assert row["gamma_flip"] / 4 == pytest.approx(levels["flip"], rel=0.02)
    assert at >= START
    ours, whole = (positioning(chain) for chain in (read, chains().chain(at)))
    assert (ours.call_wall, ours.put_wall) == (whole.call_wall, whole.put_wall)
