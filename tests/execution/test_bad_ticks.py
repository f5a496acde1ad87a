"""Bad ticks in a live feed cause no order and change no feature."""

import numpy as np
import pytest
from execution.test_cycle import EASED
from wire_samples import through_a_gate

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.base_types import TradingState
from mia.data.tape import synthetic_tape
from mia.execution.kill_switch import Rule
from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord

LOADED = load_settings(None, EASED, environ={})
TAPE = synthetic_tape(4, 20250310, 3, 20_000)


def trade(blocks) -> tuple[RunRecord, SimpleTrader]:
    record = RunRecord()
    trader = Backtest(LOADED, TAPE).make_trader(record, rows=True)
    for block in blocks:
        trader.run(block)
    record.rows.append(trader.state.take_rows())
    return record, trader


@pytest.fixture(scope="module")
def clean() -> RunRecord:
    record, _ = trade(through_a_gate(TAPE)[0])
    assert len(record.fills) >= 4
    return record


@pytest.mark.parametrize("seed", range(2))
def test_bad_ticks_cause_no_order_and_leave_every_feature_as_it_is(clean, seed: int) -> None:
    blocks, gate, _, injected = through_a_gate(TAPE, bad_every=10, seed=seed, packet=500)
    record, trader = trade(blocks)
    caused = {repr(fill) for fill in record.fills} ^ {repr(fill) for fill in clean.fills}
    print(f"bad ticks injected {injected}, orders caused {len(caused)}")
    assert injected > 2000
    assert gate.refused.total() == injected
    assert not caused
    assert list(map(repr, record.decisions)) == list(map(repr, clean.decisions))
    found, wanted = np.concatenate(record.rows), np.concatenate(clean.rows)
    assert found.tobytes() == wanted.tobytes()
    assert trader.state.rejected == 0


def test_many_bad_ticks_stop_entries() -> None:
    record = RunRecord()
    trader = Backtest(LOADED, TAPE).make_trader(record)
    through_a_gate(TAPE, bad_every=25, tell=trader.kill_switch.record_quality)
    assert Rule.BAD_RECORDS in trader.kill_switch.causes
    assert trader.kill_switch.state is TradingState.HALT_ENTRIES


def test_a_clean_feed_stops_nothing() -> None:
    record = RunRecord()
    trader = Backtest(LOADED, TAPE).make_trader(record)
    through_a_gate(TAPE, tell=trader.kill_switch.record_quality)
    assert not trader.kill_switch.causes
