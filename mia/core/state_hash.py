"""A fingerprint of a market state: equal for states that evaluate what follows alike."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from mia._fast import market_state

_TRADES = 64
"""Newest trades that are hashed; the buffer beyond serves no rule."""


def state_hash(state: market_state.MarketState) -> str:
    """Hash what a market state carries: its row, bars, trades, sums and reference rings.

    It does not depend on how the trades were split, nor on how many came before those that are
    still known. Two states with one hash whose parameters agree give the same rows from here on.

    Parameters
    ----------
    state : market_state.MarketState
        Not advanced by another thread meanwhile.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    levels, ticks = state.levels, state.ticks
    row = state.row
    for part in (
        state.session_id,
        state.has_gap,
        row if row is not None and _is_current(state) else None,
        state.open_bar,
        state.open_micro,
        state.footprint.rows if state.open_bar is not None else None,
        state.primary.bars,
        state.micro.bars,
        ticks.ts_event[-_TRADES:],
        ticks.price[-_TRADES:],
        ticks.size[-_TRADES:],
        ticks.aggressor_side[-_TRADES:],
        levels.cvd.value,
        *((profile.low, profile.rows) for profile in (levels.globex_profile, levels.rth_profile)),
        *((vwap.weight, vwap.value, vwap.std) for vwap in (levels.vwap_globex, levels.vwap_rth)),
        state.carried,
    ):
        _feed(digest, part)
    return digest.hexdigest()


def _is_current(state: market_state.MarketState) -> bool:
    """Whether the newest row is of the running session; that of an earlier one is history."""
    row = state.row
    return row is not None and int(row["bar"]["session_id"][0]) == state.session_id


def _feed(digest: "hashlib.blake2b", part: object) -> None:
    """Add a value in a form that no other value has."""
    if isinstance(part, np.ndarray):
        digest.update(f"array {part.dtype.str} {part.shape};".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, Mapping):
        digest.update(f"map {len(part)};".encode())
        for key, value in part.items():
            _feed(digest, str(key))
            _feed(digest, value)
    elif isinstance(part, Iterable) and not isinstance(part, str):
        items = list(part)
        digest.update(f"list {len(items)};".encode())
        for item in items:
            _feed(digest, item)
    else:
        digest.update(f"{type(part).__name__} {part!r};".encode())
