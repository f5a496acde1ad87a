import os
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from options_samples import FIRST, TRADES, a_market, intraday_chains, truths, wiped

from mia.backtest import Backtest, Inputs, replay
from mia.config.settings import load_settings
from mia.core import sessions
from mia.core.base_types import FEATURE_NAMES, Reason, SetupKind
from mia.data.chains import ChainArchive, read_chain
from mia.data.synthetic.chain_archive import write_archive
from mia.data.tape import synthetic_tape
from mia.features.options_feed import OptionsFeed, SnapshotTape

OPTION_FEATURES = slice(8, 14)


def backtest(chains, seed=1, days=2, first=FIRST, **inputs):
    tape = synthetic_tape(seed, first, days, TRADES)
    snapshots = None if chains is None else SnapshotTape(chains)
    test = Backtest(load_settings(None, ()), tape, Inputs(chains=snapshots), record_rows=True)
    record = test.run().record
    return np.concatenate(record.rows), record


@cache
def live(seed=1):
    return backtest(intraday_chains(a_market(seed)), seed)


@cache
def blind(seed=1):
    return backtest(None, seed)


def test_levels_follow_the_planted_ones():
    market = a_market()
    chains = intraday_chains(market)
    hidden = truths(market, chains)
    rows, _ = live()
    closes = rows["bar"]["t_close"]
    compared = 0
    for truth, following in pairwise(hidden):
        span = (closes >= truth.ts + 10**9) & (closes < following.ts)
        if following.ts - truth.ts > 3600 * 10**9 or not span.any():
            continue
        row = rows[span][0]
        ratio = row["bar"]["close"] / 4 / truth.spot
        for name in ("call_wall", "put_wall"):
            planted = getattr(truth, name)
            if not np.isnan(planted) and not np.isnan(row[name]):
                assert row[name] / 4 == pytest.approx(planted * ratio, rel=2e-3)
                compared += 1
        assert row["gamma_flip"] / 4 == pytest.approx(truth.flip * ratio, rel=2e-3)
    assert compared > 10


def test_options_are_live_and_count_as_expected():
    rows, _ = live()
    good = rows[(rows["options_quality"] >= 0.2) & (rows["index"] > 120)]
    assert len(good) > 300
    assert (good["valid"][:, [8, 9, 12, 13]] == 1).all()
    assert (np.ptp(good["feature"][:, [8, 9, 10, 12, 13]], axis=0) > 0.05).all()
    # All but the hedging flow, which needs weeks of volume.
    assert good["feature_quality"].max() == pytest.approx(16 / 17)


def test_nothing_is_known_before_the_first_chain_was_received():
    rows, _ = live()
    first = intraday_chains(a_market())[0].meta.received_at
    before = rows["bar"]["t_close"] < first
    assert before.any()
    assert (rows["options_quality"][before] == 0).all()
    assert rows["options_quality"][~before][0] > 0.9


def test_later_chains_change_nothing_earlier():
    chains = intraday_chains(a_market())
    cut = chains[6].meta.received_at
    rows, _ = backtest([c for c in chains if c.meta.received_at < cut])
    whole, _ = live()
    early = rows["bar"]["t_close"] < cut
    assert early.sum() > 400
    assert rows[early].tobytes() == whole[early].tobytes()
    assert rows[~early].tobytes() != whole[~early].tobytes()


def test_walls_pin_flips_trigger_and_levels_add_confluence():
    rows, _ = live()
    without, _ = blind()
    assert (rows["gamma_pin"] > 0).sum() > 3
    kinds = [kind for row in rows for kind in row["setup_kind"][: row["n_setups"]]]
    assert SetupKind.P3 in kinds
    hit = next(row for row in rows if SetupKind.P3 in row["setup_kind"][: row["n_setups"]])
    k = hit["setup_kind"].tolist().index(SetupKind.P3)
    assert hit["setup_level"][k] == hit["gamma_flip"]
    near = np.abs(rows["bar"]["close"] - rows["gamma_flip"]) < 2
    assert (rows["price_score"] >= without["price_score"] - 1e-12).all()
    assert (rows["price_score"][near] > without["price_score"][near]).any()
    assert (without["gamma_pin"] == 0).all()


def test_the_dealer_wall_gate_refuses_what_runs_into_a_wall():
    _, record = live()
    gates = [
        (decision, gate)
        for decision in record.decisions
        for gate in decision.gates
        if gate.code is Reason.DEALER_WALL
    ]
    refused = [(d, g) for d, g in gates if not g.passed]
    assert refused
    assert all(0 <= gate.value <= 5 and gate.known for _, gate in refused)
    assert all(decision.features[8] > 0 for decision, _ in refused)
    assert any(gate.known and gate.passed for _, gate in gates)
    assert not any(
        gate.known
        for decision in blind()[1].decisions
        for gate in decision.gates
        if gate.code is Reason.DEALER_WALL
    )


def test_a_flip_trade_carries_the_quality_of_its_options():
    rows, record = live(3)
    quality = dict(zip(rows["bar"]["t_close"].tolist(), rows["options_quality"], strict=True))
    flips = [d for d in record.decisions if d.proposal.kind is SetupKind.P3]
    assert flips
    for decision in flips:
        gate = next(g for g in decision.gates if g.code is Reason.OPTIONS_STALE)
        assert gate.passed
        assert gate.value == quality[decision.ts] >= 0.2


def test_decisions_with_chains_of_quality_0_are_those_without_chains():
    rows, record = backtest([wiped(chain) for chain in intraday_chains(a_market())])
    without, blind_record = blind()
    assert len(blind_record.decisions) > 20
    assert repr(record.decisions).encode() == repr(blind_record.decisions).encode()
    assert repr(record.fills) == repr(blind_record.fills)
    assert rows.tobytes() == without.tobytes()


def test_a_chain_of_no_use_does_not_replace_one_of_use():
    chains = intraday_chains(a_market())
    spoiled = [wiped(c) if k == 3 else c for k, c in enumerate(chains)]
    missing = [c for k, c in enumerate(chains) if k != 3]
    rows, _ = backtest(spoiled)
    assert rows.tobytes() == backtest(missing)[0].tobytes()


def test_no_look_ahead_with_chains():
    tape = synthetic_tape(1, FIRST, 1, TRADES)
    chains = SnapshotTape(intraday_chains(a_market(days=1)))
    test = Backtest(load_settings(None, ()), tape, Inputs(chains=chains))
    violations, cuts = test.check_lookahead(3)
    assert cuts == 3
    assert violations == []


def test_features_file_of_a_replay_shows_an_archive_live(tmp_path):
    market = a_market(days=1)
    write_archive(tmp_path / "chains", market, step_minutes=60)
    session = sessions.session_table(FIRST, FIRST)[0]
    archive = ChainArchive(tmp_path / "chains")
    chains = SnapshotTape(archive.chains(int(session["t_open"]), int(session["t_end"])))
    out = tmp_path / "features.parquet"
    replay(load_settings(None, ()), synthetic_tape(1, FIRST, 1, TRADES), out, chains=chains)
    table = pq.read_table(out)
    usable = table["options_quality"].to_numpy() >= 0.2
    assert usable.sum() > 100
    for name in FEATURE_NAMES[OPTION_FEATURES]:
        values = table[name].to_numpy()
        assert (values[~usable] == 0).all()
        if name != "hedge_flow":
            assert (values[usable] != 0).any()
    assert np.isnan(table["gamma_flip"].to_numpy()[~usable]).all()
    assert np.isfinite(table["gamma_flip"].to_numpy()[usable]).all()


def test_series_that_settle_are_dropped_without_a_new_chain():
    chain = intraday_chains(a_market(days=1))[-2]
    feed = OptionsFeed()
    (first,) = feed.take(chain)
    settled = int(chain.settle_ns.min())
    assert feed.expire(settled - 1) == []
    (second,) = feed.expire(settled)
    assert first["zero_dte_share"] > 0
    assert second["zero_dte_share"] == 0
    assert second["effective"] == settled
    assert second["asof"] == first["asof"]
    assert second["gex"] != first["gex"]


def test_open_interest_is_not_known_before_the_clearing_house_publishes_it():
    chain = intraday_chains(a_market(days=1))[0]
    early = replace(
        chain, meta=replace(chain.meta, oi_session=FIRST, received_at=chain.meta.quotes_asof)
    )
    (snapshot,) = OptionsFeed().take(early)
    row = sessions.session_table(20250311, 20250311)[0]
    assert snapshot["effective"] == row["t_pre_market"] + 150 * 60 * 10**9


@pytest.mark.skipif("MIA_REAL_DATA" not in os.environ, reason="needs MIA_REAL_DATA")
def test_quotes_wiped_at_night_say_nothing():
    folder = Path(os.environ["MIA_REAL_DATA"]) / "spx_chains"
    chain = read_chain(folder / "spx_chain_20230405_overnight_bad.csv")
    rows, record = backtest([chain], days=2, first=20230405)
    assert rows["bar"]["t_close"].max() > chain.meta.received_at
    assert (rows["options_quality"] == 0).all()
    assert (rows["feature"][:, OPTION_FEATURES] == 0).all()
    assert (rows["valid"][:, OPTION_FEATURES] == 0).all()
    for name in ("gamma_flip", "call_wall", "put_wall"):
        assert np.isnan(rows[name]).all()
    without, blind_record = backtest(None, days=2, first=20230405)
    assert rows.tobytes() == without.tobytes()
    assert repr(record.decisions) == repr(blind_record.decisions)
