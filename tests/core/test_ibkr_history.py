"""History and options through the simulated gateway, held against the tape it plays."""

import time

import numpy as np
import pytest
from ibkr_samples import play, until

from mia.core.chain import Root
from mia.core.ibkr.pacing import HistoryLimits
from mia.data.chains.providers import Contract
from mia.data.chains.rotation import LineRotation, RotationLimits
from mia.errors import BrokerError
from mia.gateway.limits import Limits
from mia.gateway.market.tape import open_source

SECOND = 1_000_000_000
NOON = 1_741_622_400 * SECOND
TRADES = 20_000
LENIENT = Limits(historical_requests=10**6, historical_burst=10**6, historical_repeat_s=0.0)
UNPACED = {"endpoint": {"history": HistoryLimits(requests=0)}}


BEGAN = time.monotonic_ns()


def wall():
    """Return a time near noon of the tape's first day that passes as real time does."""
    return NOON + time.monotonic_ns() - BEGAN


@pytest.fixture(scope="module")
def tape():
    with open_source("synth:1", TRADES) as source:
        return next(iter(source.tapes))


def scene(act, *faults, limits=LENIENT, settings=UNPACED):
    play(act, *faults, start=NOON, trades_per_day=TRADES, limits=limits, settings=settings)


def test_trades_are_paged_without_a_gap_or_a_double(tape):
    start, end = NOON - 4 * 3600 * SECOND, NOON - 60 * SECOND

    async def act(desk):
        await desk.open()
        got = await desk.connector.historical_trades(desk.contract, start, end)
        rows = (tape.second >= start) & (tape.second < end)
        assert rows.sum() > 3000
        np.testing.assert_array_equal(got.ts_event, tape.second[rows])
        np.testing.assert_array_equal(got.price, tape.price[rows])
        np.testing.assert_array_equal(got.size, tape.size[rows])
        assert (got.refused, got.truncated) == (0, ())

    scene(act)


def test_quotes_are_paged_alike(tape):
    start, end = NOON - 3 * 3600 * SECOND, NOON - 60 * SECOND

    async def act(desk):
        await desk.open()
        got = await desk.connector.historical_quotes(desk.contract, start, end)
        assert len(got.ts_event) > 1000
        assert (np.diff(got.ts_event) >= 0).all()
        assert (got.bid_price < got.ask_price).all()
        rows = (tape.second >= start) & (tape.second < end)
        assert set(got.bid_price) <= set(tape.bid[rows])

    scene(act)


def test_no_history_is_an_empty_answer():
    async def act(desk):
        await desk.open()
        got = await desk.connector.historical_trades(
            desk.contract, NOON + 60 * SECOND, NOON + 120 * SECOND
        )
        assert len(got.ts_event) == len(got.price) == 0
        with pytest.raises(BrokerError, match="must end after it starts"):
            await desk.connector.historical_trades(desk.contract, NOON, NOON)

    scene(act)


def test_bars_are_those_of_the_tape(tape):
    async def act(desk):
        await desk.open()
        bars = await desk.connector.historical_bars(desk.contract, NOON, "1800 S", "1 min")
        assert len(bars.ts_event) == 30
        for k in (0, 13, 29):
            begin = bars.ts_event[k]
            rows = (tape.second >= begin) & (tape.second < begin + 60 * SECOND)
            assert bars.high[k] == tape.price[rows].max() / 4
            assert bars.low[k] == tape.price[rows].min() / 4
            assert bars.volume[k] == tape.size[rows].sum()
        levels = await desk.connector.historical_bars("VIX", NOON, "1 D", "30 mins")
        assert ((levels.low <= levels.close) & (levels.close <= levels.high)).all()

    scene(act)


@pytest.mark.slow
def test_the_pace_of_history_is_kept_so_that_the_gateway_never_complains():
    async def act(desk):
        await desk.open()
        for k in range(8):
            await desk.connector.historical_bars(
                desk.contract, NOON - k * 60 * SECOND, "600 S", "1 min"
            )
        assert 162 not in [notice.code for notice in desk.notices]

    scene(act, limits=Limits(), settings={})


@pytest.mark.parametrize("code", [162, 366, 420])
def test_a_gateway_that_complains_of_the_pace_is_asked_again_later(code, monkeypatch):
    monkeypatch.setattr("mia.core.ibkr.history._PACING_WAITS", (0.05, 0.05))

    async def act(desk):
        await desk.open()
        bars = await desk.connector.historical_bars(desk.contract, NOON, "600 S", "1 min")
        assert len(bars.ts_event) == 10

    scene(act, {"name": "history_pacing", "when": {}, "code": code})


@pytest.mark.slow
def test_lines_on_options_rotate_into_a_chain():
    async def act(desk):
        await desk.open()
        series = next(
            s for s in await desk.connector.option_series("SPX") if s.trading_class == "SPXW"
        )
        assert series.multiplier == "100"
        middle = series.strikes[len(series.strikes) // 2]
        round_ones = [strike for strike in series.strikes if strike % 25 == 0]
        strikes = sorted(round_ones, key=lambda strike: abs(strike - middle))[:6]
        contracts = [
            Contract(Root.SPXW, series.expiries[1], strike, right)
            for strike in strikes
            for right in (1, -1)
        ]
        greeks = {}
        rotation = None

        class Relay:
            def on_quote(self, *quote):
                rotation.on_quote(*quote)

            def on_open_interest(self, *level):
                rotation.on_open_interest(*level)

            def on_volume(self, *level):
                rotation.on_volume(*level)

        lines = desk.connector.option_lines(Relay(), greeks.__setitem__)
        rotation = LineRotation(
            lines,
            contracts,
            np.full(12, 1 / 12),
            RotationLimits(lines=5),
            read_open_interest=True,
        )
        now = [wall()]

        def swept():
            now[0] = wall()
            rotation.advance(now[0])
            return rotation.sweeps >= 1

        await until(swept, 20.0)
        chain = rotation.chain(now[0], 20250307)
        assert len(chain) == 12
        assert (chain.ask >= chain.bid).all()
        assert np.isfinite(chain.open_interest).all()
        assert all(0.0 <= g.gamma < 1.0 for g in greeks.values())
        rotation.stop()
        await until(lambda: not desk.connector._market._streams)

    play(
        act,
        start=NOON,
        trades_per_day=TRADES,
        lockstep=False,
        speed=1.0,
        settings={"clock": wall},
    )
