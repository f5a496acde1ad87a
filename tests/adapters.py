"""One face for every implementation of the method, so that one test serves them all.

An adapter has one method per family of test vectors. Inputs and results are plain Python values:
trades are ``(ts, price, size, side)``, bars are `BarRow`, undefined numbers are None.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Trade = tuple[int, int, int, int]
Columns = dict[str, list[Any]]


class BarRow(NamedTuple):
    """A ready-made bar as the vectors give it; times are 0 where they give none."""

    t_open: int
    t_close: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    bid_volume: int
    ask_volume: int


class Adapter(Protocol):
    """What the vectors ask of an implementation. `params` maps dotted names to values."""

    def clock(self, ts: Sequence[int]) -> Columns:
        """Return ``session_id``, ``session_open``, ``phase`` (name), ``in_rth`` per instant."""
        ...

    def ranks(self, x: Sequence[int], q: Sequence[int]) -> dict[str, Any]:
        """Return ``rank_hi`` and ``rank_lo`` (a list each), ``median`` and ``std``."""
        ...

    def build_bars(
        self, builder: str, argument: int, params: Mapping[str, Any], trades: Sequence[Trade]
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the bars, the flushed one included, by the vectors' names, and the rejected."""
        ...

    def vwap_of_trades(self, trades: Sequence[tuple[int, int]]) -> Columns:
        """Return ``w``, ``vwap``, ``sd`` after each ``(price, size)``."""
        ...

    def vwap_of_bars(self, bars: Sequence[BarRow]) -> Columns:
        """Return the same after each ready-made bar, restarted at a new session."""
        ...

    def profile_of_trades(self, trades: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """Return ``low``, ``rows_units``, ``poc``, ``val``, ``vah``, ``hvn``, ``lvn``."""
        ...

    def profile_of_bars(self, bars: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
        """Return the same from ``(low, high, volume)``."""
        ...

    def pattern_hits(
        self, bars: Sequence[BarRow], strict: bool, leg: float, legc: float, vol_ref: float
    ) -> list[list[tuple[str, int, float]]]:
        """Return (name, direction, strength) of the hits known at each close."""
        ...

    def battle_navale(
        self,
        params: Mapping[str, Any],
        bars: Sequence[BarRow],
        atr: float,
        vol_ref: float,
        patterns: Mapping[int, Sequence[tuple[int, float]]],
    ) -> Columns:
        """Return the kernel's results per bar; `patterns` by index of the bar."""
        ...

    def engine_on_bars(self, params: Mapping[str, Any], bars: Sequence[BarRow]) -> list[Any]:
        """Return one row per bar: a mapping from the flat names of the kernels' `Row`."""
        ...

    def engine_on_trades(self, params: Mapping[str, Any], trades: Sequence[Trade]) -> list[Any]:
        """Return one row per closed primary bar."""
        ...

    def stacked_imbalance(self, low: int, high: int, rows: Sequence[tuple[int, int, int]]) -> float:
        """Return F5 of one bar from its ``(price, bid, ask)``."""
        ...

    def book_imbalance(
        self, snapshots: Sequence[tuple[Sequence[int], Sequence[int], int]]
    ) -> list[tuple[float, bool]]:
        """Return F6 and its validity after each ``(bids, asks, spread)``."""
        ...

    def trade_features(self, trades: Sequence[Trade], t_close: int) -> dict[str, Any]:
        """Return ``F7``, ``F7_valid``, ``F8`` at a close to which all trades belong."""
        ...

    def regime(
        self, bars: Sequence[BarRow], atr: Sequence[float], vslope: Sequence[float]
    ) -> Columns:
        """Return raw and published regime, confidence, F15 and the tests' results per bar."""
        ...

    def feature_score(self, features: Sequence[float]) -> float:
        """Return the score of F1 to F18."""
        ...

    def confluence(
        self, close: int, atr: float, levels: Sequence[tuple[str, float, float, int, float]]
    ) -> dict[str, Any]:
        """Return ``w``, ``price_score``, ``zones`` of ``(kind, price, age, touches, q)``."""
        ...

    def multi_timeframe(
        self, vol01: float, frames: Mapping[int, tuple[float, float]]
    ) -> tuple[float, bool]:
        """Return mtf and its validity from S and confidence by width in minutes."""
        ...

    def position_size(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``p``, ``b``, ``f_star``, ``instrument``, ``contracts``, ``reason``."""
        ...

    def headfake(self, bars: Sequence[BarRow], vr: float) -> tuple[float, str | None]:
        """Return the score and the name of the trap at the last bar."""
        ...
