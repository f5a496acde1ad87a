"""Chains beside a synthetic market, for tests of everything downstream."""

from dataclasses import replace

import numpy as np

from mia.data.chains import option_clock
from mia.data.synthetic.chain_archive import spot_of_market
from mia.data.synthetic.chains import ChainPlan, SyntheticChains
from mia.data.synthetic.market import SyntheticMarket

SECOND = 10**9
FIRST = 20250310
TRADES = 30_000
PLAN = ChainPlan(flip=-0.5, call_wall=0.5, put_wall=-1.0)


def a_market(seed=1, days=2, first=FIRST):
    return SyntheticMarket(seed, first, days, trades_per_day=TRADES)


def intraday_chains(market, plan=PLAN, step_minutes=30):
    """Make whole chains from 09:30 to 16:00, each known a second after its quotes."""
    source = SyntheticChains(spot_of_market(market, plan), market.seed, plan)
    made = []
    for session in market.sessions():
        opened = option_clock.new_york(session.session_id, 9 * 60 + 30)
        for minutes in range(0, 391, step_minutes):
            at = opened + minutes * 60 * SECOND
            made.append(source.chain(at, received_at=at + SECOND))
    return made


def truths(market, chains, plan=PLAN):
    source = SyntheticChains(spot_of_market(market, plan), market.seed, plan)
    return [source.truth(chain.meta.quotes_asof) for chain in chains]


def wiped(chain):
    """Take the bids away, as at night."""
    return replace(chain, bid=np.zeros(len(chain)))
