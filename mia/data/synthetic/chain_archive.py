"""An archive of chains for every session of a synthetic market."""

from collections.abc import Callable
from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np

from mia.config.instruments import MONTH_CODES
from mia.core.chain import Root
from mia.data.chains import chain_file, option_clock
from mia.data.chains.archive import ChainArchive
from mia.data.synthetic.chain_listing import third_friday
from mia.data.synthetic.chain_payloads import occ_text
from mia.data.synthetic.chains import SOURCE, YEAR_NS, ChainPlan, ChainTruth, SyntheticChains
from mia.data.synthetic.market import SyntheticMarket, Tape
from mia.errors import UsageError

TICK = 0.25
RTH_OPEN = 9 * 60 + 30
BEFORE_OPEN = 6 * 60 + 45
MINUTE = 60 * option_clock.SECOND
ARRIVAL = 1 * option_clock.SECOND
"""How long a snapshot is on its way."""


def spot_of_market(
    market: SyntheticMarket, plan: ChainPlan | None = None
) -> Callable[[int], float]:
    """Return the level of SPX at a time, by the efficient price of a market's futures.

    The future is the forward to the opening of its expiry, when both settle.

    Parameters
    ----------
    market : SyntheticMarket
    plan : ChainPlan, optional
        For rate and dividend.
    """
    plan = plan or ChainPlan()
    carry = plan.rate - plan.dividend

    def spot(at: int) -> float:
        tape = _tape(market, at)
        k = int(np.searchsorted(tape.block.ts_event, at, side="right")) - 1
        if k < 0:
            raise UsageError(f"the synthetic market has no trade by {at} ns")
        years = max(_expiry(tape.session.contract) - at, 0) / YEAR_NS
        return float(tape.latent[k]) * TICK * exp(-carry * years)

    return spot


def _tape(market: SyntheticMarket, at: int) -> Tape:
    for session in reversed(market.sessions()):
        if session.t_open <= at:
            return market.tape(session.ordinal)
    raise UsageError(f"the synthetic market begins after {at} ns")


def _expiry(contract: str) -> int:
    month = next(number for number, code in MONTH_CODES.items() if code == contract[-3])
    return option_clock.settlement(Root.SPX, third_friday(2000 + int(contract[-2:]), month))


def write_archive(
    folder: Path | str,
    market: SyntheticMarket,
    plan: ChainPlan | None = None,
    *,
    step_minutes: int = 15,
) -> list[ChainTruth]:
    """Archive what would have been known of the options in every session of a market.

    Before the open, at 06:45, the open interest arrives as text of the clearing house; then from
    09:30 to the close of the options a snapshot of quotes without open interest every
    `step_minutes`, on the cash days of the exchange's calendar.

    Returns
    -------
    list of ChainTruth
        One for each snapshot.

    Raises
    ------
    DataError
        If the archive cannot be written.
    """
    archive = ChainArchive(folder)
    chains = SyntheticChains(spot_of_market(market, plan), market.seed, plan)
    truths = []
    for session in market.sessions():
        day = session.session_id
        if not option_clock.is_cash_day(day):
            continue
        opened = option_clock.new_york(day, RTH_OPEN)
        held = chains.chain(opened)
        archive.put(occ_text(held), option_clock.new_york(day, BEFORE_OPEN), "occ")
        closed = min(option_clock.option_close(day), session.t_close)
        for at in range(opened, closed + 1, step_minutes * MINUTE):
            chain = chains.chain(at, received_at=at + ARRIVAL)
            unknown = np.full(len(chain), np.nan)
            quotes = replace(
                chain,
                open_interest=unknown,
                meta=replace(chain.meta, oi_session=0),
            )
            archive.put(chain_file.to_bytes(quotes), source=SOURCE)
            truths.append(chains.truth(at))
    return truths
