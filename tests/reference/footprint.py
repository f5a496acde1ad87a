"""Stacked imbalances of a bar's footprint (F5, section 8.1)."""

from collections.abc import Sequence
from types import SimpleNamespace

from reference.bars import Bar, Footprint
from reference.conventions import clip, ge


def _longest_run(flags: Sequence[bool]) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def stacked_imbalance(low: int, high: int, footprint: Footprint, p: SimpleNamespace) -> float:
    """Return the value of one bar in [-1, 1]."""

    def bid(price: int) -> int:
        return footprint.get(price, (0, 0))[0]

    def ask(price: int) -> int:
        return footprint.get(price, (0, 0))[1]

    def imbalanced(size: int, partner: int) -> bool:
        return size >= p.feat_f5_min_lots and ge(size, p.feat_f5_ratio * partner)

    buys = [imbalanced(ask(k), bid(k - 1)) for k in range(low + 1, high + 1)]
    sells = [imbalanced(bid(k), ask(k + 1)) for k in range(low, high)]
    nb, ns = _longest_run(buys), _longest_run(sells)
    nb = nb if nb >= p.feat_f5_min_run else 0
    ns = ns if ns >= p.feat_f5_min_run else 0
    return clip((nb - ns) / p.feat_f5_norm, -1.0, 1.0)


def feature(bars: Sequence[Bar], p: SimpleNamespace) -> tuple[float, bool]:
    """Return F5 and its validity at the last of the session's bars."""
    if bars[-1].footprint is None:
        return 0.0, False
    best = 0.0
    for bar in bars[-p.feat_f5_bars :]:
        if bar.footprint is not None:
            value = stacked_imbalance(bar.low, bar.high, bar.footprint, p)
            if ge(abs(value), abs(best)):
                best = value
    return best, True
