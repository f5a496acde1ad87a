"""Small synthetic chains for tests of readers, archive and providers."""

from functools import cache

from mia.core.chain import Chain
from mia.data.chains import option_clock
from mia.data.synthetic.chains import ChainPlan, SyntheticChains

SECOND = 10**9
DAY = 20240117
SMALL = ChainPlan(strike_step=100)


def at(minutes: int, day: int = DAY) -> int:
    """Return a time of day in New York, ns UTC."""
    return option_clock.new_york(day, minutes)


@cache
def small_chain(minutes: int = 12 * 60, day: int = DAY) -> Chain:
    """Return a chain of 100-point strikes whose quotes were downloaded 15 minutes later."""
    chains = SyntheticChains(lambda ts: 4700.0, seed=3, plan=SMALL)
    return chains.chain(at(minutes, day), delayed_s=900)


def contracts(chain: Chain) -> list[tuple[int, int, float, int]]:
    return list(
        zip(
            chain.root.tolist(),
            chain.expiry.tolist(),
            chain.strike.tolist(),
            chain.right.tolist(),
            strict=True,
        )
    )


def reasons(chain: Chain) -> list[str]:
    return [issue.reason for issue in chain.issues]
