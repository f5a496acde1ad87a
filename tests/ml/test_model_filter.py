"""The filter in the trading cycle: what it was trained on is what it is asked, bit for bit."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from labelled import labelled
from run_samples import easy, market

from mia.backtest import Backtest, Inputs
from mia.core.base_types import Reason
from mia.data.snapshot_files import SnapshotWriter
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.ml import life
from mia.ml.dataset import of_objects, read_run, read_snapshots
from mia.ml.inputs import input_vector, recorded_vector
from mia.ml.model_filter import ModelFilter
from mia.ml.registry import CURRENT, Current, Registry
from mia.performance.output import write_all
from mia.performance.recorder import RunRecord


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a folder whose model decides, and its hash."""
    root = tmp_path_factory.mktemp("models")
    registry = Registry(root)
    life.live_through(registry, labelled(150, 0.8, seed=4), 100)
    name = registry.current().shadow
    registry.activate(Current(gate=name), "PROMOTED", 1)
    return root, name


@pytest.fixture
def notes():
    return []


def filter_of(root, notes, **options):
    return ModelFilter(Registry(root), lambda *note: notes.append(note), **options)


class Asked:
    """Remembers what the cycle asked a model."""

    def __init__(self):
        self.vectors = {}

    def probability(self, context, proposal):
        self.vectors[context.ts] = input_vector(context, proposal)


def test_training_sees_what_the_cycle_asked_bit_for_bit(tmp_path):
    from mia.execution.assembly import fit_settings, market_state, simulated_trader

    tape = market(days=3)
    plan = fit_settings(easy(), 0)
    record, asked = RunRecord(), Asked()
    writer = SnapshotWriter(tmp_path / "snapshots")
    snapshots = TradeSnapshotter(writer, {})

    class Both:
        def publish(self, topic, event):
            record.publish(topic, event)
            snapshots.publish(topic, event)

    state = market_state(plan, tape.first_session, tape.last_session, 0, record=False)
    trader = simulated_trader(plan, state, Both(), model=asked)
    for block in tape.blocks():
        trader.run(block)
    assert snapshots.stop()
    assert len(record.trades) > 3
    for decision in record.decisions:
        gates = {g.code.value: {"value": g.value, "known": g.known} for g in decision.gates}
        again = recorded_vector(
            decision.proposal.side, decision.features, decision.valid, decision.parts, gates
        )
        assert again.tobytes() == asked.vectors[decision.ts].tobytes()
    data = of_objects(record.decisions, record.trades)
    assert len(data) == len(record.trades)
    assert data.x[0].tobytes() == asked.vectors[record.trades[0].ts_signal].tobytes()
    assert data.r.tolist() == [trade.r_multiple for trade in record.trades]
    assert read_snapshots(tmp_path / "snapshots").digest() == data.digest()
    run = Backtest(easy(), tape).run()
    folder = tmp_path / "run"
    folder.mkdir()
    write_all(folder, run.record, run.summary, tape, 25_000.0)
    assert read_run(folder).digest() == data.digest()


def test_a_mirrored_proposal_in_a_mirrored_market_has_the_same_vector():
    gates = {n: {"value": 0.2, "known": True} for n in ("BN_AGAINST", "CONFLUENCE", "MTF")}
    parts = dict.fromkeys(
        ("strategy", "battle_navale", "confluence", "regime"), 0.6
    ) | dict.fromkeys(("multi_timeframe", "smart_money", "model", "gamma"), 0.5)
    features = np.linspace(-0.9, 0.9, 18)
    mirrored = features.copy()
    mirrored[[*range(8), 9, 10, 11, 14, 15]] *= -1
    valid = [True] * 18
    one = recorded_vector(1, features, valid, parts, gates)
    assert np.array_equal(one, recorded_vector(-1, mirrored, valid, parts, gates))


def test_a_model_that_decides_refuses_and_is_followed_on_paper(tmp_path):
    root, registry = tmp_path / "pessimist", Registry(tmp_path / "pessimist")
    data = labelled(120, 0.0, seed=6)
    data.r[:] = np.where(np.random.default_rng(7).random(120) < 0.2, 1.4, -1.1)
    life.live_through(registry, data, 100)
    registry.activate(Current(gate=registry.current().shadow), "PROMOTED", 1)
    tape = market(days=3)
    run = Backtest(easy(), tape, Inputs(models=root)).run()
    refused = [d for d in run.record.decisions if d.reason is Reason.MODEL]
    assert refused
    asked = 0
    for decision in run.record.decisions:
        gate = next(g for g in decision.gates if g.code is Reason.MODEL)
        if gate.known:
            asked += 1
            assert decision.parts["model"] == gate.value
            assert 0.0 <= gate.value <= 1.0
        else:
            assert decision.parts["model"] == 0.5
    assert asked == run.summary["model"]["asked"] > 0
    write_all(tmp_path, run.record, run.summary, tape, 25_000.0)
    data = read_run(tmp_path)
    assert data.paper.sum() == len(run.record.followed) > 0
    assert len(pq.read_table(tmp_path / "followed.parquet")) == len(run.record.followed)
    again = Backtest(easy(), tape, Inputs(models=root)).run()
    assert repr(again.record.decisions) == repr(run.record.decisions)


def test_a_shadow_decides_nothing_and_tells_its_probability(models, tmp_path, notes):
    root, name = models
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    Registry(tmp_path).activate(Current(shadow=name), "TRAINED", 1)
    tape = market(days=2)
    inputs = Inputs(models=tmp_path, note=lambda *note: notes.append(note))
    run = Backtest(easy(), tape, inputs).run()
    plain = Backtest(easy(), tape).run()
    assert repr(run.record.decisions) == repr(plain.record.decisions)
    told = [facts for _, _, facts in notes if facts["event"] == "MODEL_SHADOW"]
    assert len(told) == len(run.record.decisions)
    assert all(0.0 < facts["p"] < 1.0 and facts["model"] == name for facts in told)


@pytest.mark.parametrize("damage", ["model.npz", "golden.npz", "manifest.json", "gone", "pointer"])
def test_a_damaged_model_is_told_and_trading_goes_on_without(models, tmp_path, notes, damage):
    root, name = models
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "models" / name
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "pointer":
        (tmp_path / "models" / CURRENT).write_text("{")
    else:
        data = bytearray((folder / damage).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / damage).write_bytes(data)
    tape = market()
    inputs = Inputs(models=tmp_path, note=lambda *note: notes.append(note))
    run = Backtest(easy(), tape, inputs).run()
    plain = Backtest(easy(), tape).run()
    assert repr(run.record.decisions) == repr(plain.record.decisions)
    critical = [text for level, text, _ in notes if level == "CRITICAL"]
    assert len(critical) == 1
    assert critical[0].endswith("trading goes on without a model")


def test_the_pointer_is_followed_at_a_session_break_only(models, tmp_path, notes):
    root, name = models
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    registry = Registry(tmp_path)
    registry.activate(Current(), "ROLLED_BACK", 1)
    model = filter_of(tmp_path, notes)
    assert model.stage == "collect"
    registry.activate(Current(gate=name), "PROMOTED", 2)
    assert model.stage == "collect"
    model.publish("session", 20240102)
    assert (model.stage, model.model) == ("gate", name)


def test_a_model_that_fails_is_asked_no_more(models, notes):
    model = filter_of(models[0], notes)

    class Fails:
        def probability(self, row):
            return float("nan")

    model._gate_score = Fails()
    tape = market()
    context, proposal = some_proposal(tape)
    assert model.probability(context, proposal) is None
    assert model.stage == "collect"
    assert notes[-1][0] == "CRITICAL"
    assert model.probability(context, proposal) is None


def some_proposal(tape):
    from mia.execution.assembly import fit_settings, market_state, simulated_trader

    found = []

    class Catches:
        def probability(self, context, proposal):
            found.append((context, proposal))

    plan = fit_settings(easy(), 0)
    state = market_state(plan, tape.first_session, tape.last_session, 0, record=False)
    trader = simulated_trader(plan, state, RunRecord(), model=Catches())
    for block in tape.blocks():
        trader.run(block)
    return found[0]


@pytest.mark.parametrize("writes", [True, False])
def test_results_that_contradict_the_model_demote_it(models, tmp_path, notes, writes):
    root, name = models
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    model = filter_of(tmp_path, notes, writes=writes)
    assert model.stage == "gate"
    turned = labelled(120, -1.5, seed=9)
    model.prime(turned)
    assert model.stage == "collect"
    level, text, facts = notes[-1]
    assert (level, facts["event"]) == ("WARNING", "MODEL_DEMOTED")
    assert "was demoted" in text
    model.publish("session", 20240103)
    assert model.stage == "collect", "the next session must not bring it back"
    current = Registry(tmp_path).current()
    assert current.gate == ("" if writes else name)
    assert dict(current.demotions) == ({"logistic": 1} if writes else {})
    if writes:
        line = json.loads((tmp_path / "models" / "history.ndjson").read_text().splitlines()[-1])
        assert (line["event"], line["model"]) == ("DEMOTED", name)


def test_results_that_agree_with_the_model_keep_it(models, notes):
    model = filter_of(models[0], notes, writes=False)
    model.prime(labelled(45, 0.8, seed=10))
    assert model.stage == "gate"
