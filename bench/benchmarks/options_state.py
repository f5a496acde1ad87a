"""Options at a close: what a chain in force adds to the evaluation of a bar."""

import timeit

import numpy as np

from mia._fast import market_state, options_state, records
from mia.core import sessions
from mia.core.kernel_params import kernel_params
from mia.features import options_quality

MINUTE = 60_000_000_000
YEAR = 365 * 86_400e9
CARRY = 0.03
DAYS = 20


class OptionsAtAClose:
    """Minute bars of 20 sessions with a snapshot every quarter of an hour."""

    def setup(self):
        days = sessions.trading_days(20230103, 20230316)[:DAYS]
        self.table = sessions.session_table(days[0], days[-1])
        settles = int(sessions.session_table(20230317, 20230317)[0]["t_rth_open"])
        rng = np.random.default_rng(3)
        self.bars = np.zeros(DAYS * 390, records.BAR_DTYPE)
        prices = 16_000 * np.exp(np.cumsum(rng.normal(0, 3e-4, len(self.bars))))
        snapshots = []
        for k, price in enumerate(prices):
            day = days[k // 390]
            opened = int(sessions.session_table(day, day)[0]["t_rth_open"])
            bar = self.bars[k : k + 1]
            bar["t_open"] = opened + (k % 390) * MINUTE
            bar["t_close"] = bar["t_open"] + MINUTE
            for name in ("open", "high", "low", "close"):
                bar[name] = round(price)
            bar["volume"] = 1000
            if k % 15 == 0:
                snapshots.append(self.snapshot(day, int(bar["t_close"][0]), price, settles))
        self.snapshots = np.concatenate(snapshots)
        for _ in range(3):
            self.run(chains=True)

    def snapshot(self, day, asof, price, settles):
        spot = price / 4 * np.exp(-CARRY * (settles - asof) / YEAR)
        record = np.zeros(1, options_state.SNAPSHOT_DTYPE)
        record["asof"] = record["effective"] = asof
        record["oi_until"] = options_quality.oi_steps(sessions.previous_trading_day(day))
        record["session_id"] = day
        record["quarter_settle"][0, 0], record["quarter_carry"][0, 0] = settles, CARRY
        record["chain_quality"], record["expected_move"], record["gex"] = 1.0, 40.0, 1e9
        record["spot"], record["flip"] = spot, spot - 20.0
        record["call_wall"], record["put_wall"] = spot + 50.0, spot - 60.0
        record["profile_low"], record["profile_step"] = 0.85 * spot, 0.0025 * spot
        return record

    def run(self, *, chains):
        params = kernel_params(sources_options=int(chains))
        state = market_state.MarketState(params, self.table, ready_made=True)
        state.wake = 0
        if chains:
            state.add_options(self.snapshots)
        start = timeit.default_timer()
        state.advance_bars(self.bars)
        return timeit.default_timer() - start

    def track_microseconds_added(self):
        """Options in force, their levels and touches included, against none."""
        with_chains = min(self.run(chains=True) for _ in range(7))
        without = min(self.run(chains=False) for _ in range(7))
        return 1e6 * (with_chains - without) / len(self.bars)

    track_microseconds_added.unit = "us a close"
