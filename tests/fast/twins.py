"""Both implementations behind their adapters."""

from typing import Any

import strategies_market as market
from adapters import BarRow
from comparison import assert_same
from compiled_adapter import CompiledAdapter
from hypothesis import strategies as st
from reference.conventions import Sessions
from reference_adapter import ReferenceAdapter

TWIN, KERNEL = ReferenceAdapter(), CompiledAdapter()
SID = Sessions()
SIDES = st.sampled_from((-1, 0, 1))


def agree(method: str, *args: Any) -> None:
    """Call a method of both adapters and compare the results."""
    assert_same(getattr(TWIN, method)(*args), getattr(KERNEL, method)(*args))


def one_session(bars: list[market.Bar]) -> list[BarRow]:
    """Return the bars of the first session."""
    first = SID.of(bars[0][0]).session_id
    return [BarRow(*bar) for bar in bars if SID.of(bar[0]).session_id == first]
