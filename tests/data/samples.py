"""Small made-up trades and bars for the tests of the store."""

import numpy as np

from mia.core import sessions
from mia.data.raw import ImportSource, RawBars, RawTrades, SourceFormat

SECOND = 10**9


def source(name: str = "a.scid", content: str = "1") -> ImportSource:
    return ImportSource(name, content * 64, SourceFormat.SCID)


def trades(
    session_id: int = 20190809,
    count: int = 500,
    contract: str = "ESU19",
    seed: int = 1,
    start_s: int = 0,
    step_s: int = 30,
    **changes: object,
) -> RawTrades:
    """Make trades every `step_s` seconds from `start_s` seconds after the session's open."""
    rng = np.random.default_rng(seed)
    ts = sessions.session_open(session_id) + (start_s + step_s * np.arange(count)) * SECOND
    ticks = 11700 + np.cumsum(rng.integers(-1, 2, count))
    columns: dict = {
        "contract": contract,
        "ts_event": ts.astype(np.int64),
        "price": ticks * 0.25,
        "size": rng.integers(1, 20, count),
        "aggressor_side": rng.integers(-1, 2, count).astype(np.int8),
        "bid_price": (ticks - 1) * 0.25,
        "ask_price": ticks * 0.25,
    }
    return RawTrades(**(columns | changes))


def bars(
    session_id: int = 20190809,
    contract: str = "ESU19",
    width_s: int = 300,
    seed: int = 1,
    lots: int = 100,
    **changes: object,
) -> RawBars:
    """Make a bar for every slot of the session's open hours."""
    rng = np.random.default_rng(seed)
    spans = sessions.expected_intervals(session_id)
    t_open = np.concatenate([np.arange(a, b, width_s * SECOND) for a, b in spans])
    count = len(t_open)
    open_ = 11700 + np.cumsum(rng.integers(-3, 4, count))
    close = open_ + rng.integers(-3, 4, count)
    bid = rng.integers(1, lots // 2, count)
    columns: dict = {
        "contract": contract,
        "width_s": width_s,
        "t_open": t_open.astype(np.int64),
        "open": open_ * 0.25,
        "high": (np.maximum(open_, close) + 1) * 0.25,
        "low": (np.minimum(open_, close) - 1) * 0.25,
        "close": close * 0.25,
        "volume": np.full(count, lots),
        "bid_volume": bid,
        "ask_volume": lots - bid,
        "trades": np.full(count, 10),
    }
    return RawBars(**(columns | changes))
