"""Whole runs for tests: settings under which a quiet market trades, and tapes in other forms."""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np

from mia.backtest import Backtest, Run
from mia.config.settings import LoadedSettings, load_settings
from mia.core.base_types import BarBlock, Block, TradeBlock
from mia.data.digest import digest
from mia.data.synthetic.export import minute_bars
from mia.data.tape import Tape, synthetic_tape

TRADES_PER_DAY = 20_000
START = 20250310
BAR_SECONDS = 60

# Gates and regimes that let most proposals of a thin synthetic market pass.
EASY = (
    "trading_mode=data_collection",
    "gate.session_min=0",
    "gate.regime_cooldown_s=0",
    "gate.regime_conf=0.3",
    "gate.weak_conf=0.3",
    "gate.mtf_min=0",
    "gate.signal_cooldown_s=0",
    "gate.loss_cooldown_s=0",
    "gate.min_rr=0.2",
    "gate.feature_quality=0.1",
    "gate.wall_ticks=1",
    "reg.strong=0.4",
    "reg.strong_counts=2",
    "reg.slope_strong=0",
    "reg.intact=1",
    "reg.weak=0.3",
    "reg.weak_counts=1",
    "reg.slope_weak=0",
    "reg.respect=0.5",
    "reg.min_tests=2",
    "reg.min_minutes=5",
    "es_pattern.repeat_min=5",
    "trend.leg_bars=15",
    "trend.leg_atr=1",
    "range.confirm_bn=0.1",
    "range.confirm_pattern=0.3",
    "conf.price_norm=0.5",
    "conf.zone_norm=0.5",
    "risk.max_stop_ticks=60",
    "risk.max_stop_atr=6",
    "risk.loss_streak=50",
    "evid.micro_veto=1",
    "account.start_equity=100000",
)


def easy(*more: str) -> LoadedSettings:
    """Load `EASY` and more assignments, whatever the environment of the tests."""
    return load_settings("demo", [*EASY, *more], env_file=Path("no such file"), environ={})


def market(seed: int = 5, days: int = 2) -> Tape:
    """Make a tape of a thin synthetic market."""
    return synthetic_tape(seed, START, days, TRADES_PER_DAY)


def as_bars(tape: Tape) -> Tape:
    """Turn a tape of trades into one of ready-made minute bars."""

    def blocks() -> Iterator[Block]:
        for block in tape.blocks():
            assert isinstance(block, TradeBlock)
            yield minute_bars(block)

    return replace(
        tape,
        sha256=digest(tape.sha256, BAR_SECONDS),
        ready_made=True,
        width_s=BAR_SECONDS,
        kind="bars",
        blocks=blocks,
    )


def resliced(tape: Tape, rows: int) -> Tape:
    """Cut every block of a tape into blocks of at most `rows` rows."""

    def blocks() -> Iterator[Block]:
        for block in tape.blocks():
            for start in range(0, len(block), rows):
                yield part(block, start, start + rows)

    return replace(tape, blocks=blocks)


def part(block: Block, start: int, stop: int) -> Block:
    """Return rows of a block."""
    columns = {
        field.name: getattr(block, field.name)[start:stop]
        for field in fields(block)
        if isinstance(getattr(block, field.name), np.ndarray)
    }
    return replace(block, **columns)


def bars_of_tape(tape: Tape) -> BarBlock:
    """Return all bars of a tape of one contract as one block."""
    blocks = list(tape.blocks())
    columns = {
        field.name: np.concatenate([getattr(block, field.name) for block in blocks])
        for field in fields(blocks[0])
        if isinstance(getattr(blocks[0], field.name), np.ndarray)
    }
    return replace(blocks[0], **columns)


@cache
def run_of(kind: str, seed: int = 5) -> tuple[Tape, Run]:
    """Run the easy settings once on ``trades`` or ``bars`` of a market."""
    tape = market(seed) if kind == "trades" else as_bars(market(seed))
    return tape, Backtest(easy(), tape, record_rows=True).run()
