import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_samples import GATES, tape

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.base_types import BarBlock, TradeBlock
from mia.errors import DataError
from mia.optimize.columns import Columns, columns_of


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    return columns_of(tape(4), tmp_path_factory.mktemp("columns"))


def test_columns_are_those_of_the_tape_session_by_session(held):
    source = tape(4)
    assert len(held.ids) == source.sessions
    for block, read in zip(source.blocks(), held.blocks(0, 4), strict=True):
        assert isinstance(read, TradeBlock)
        assert read.contract == block.contract
        for name in ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price"):
            column = getattr(read, name)
            assert column.dtype == getattr(block, name).dtype
            assert np.array_equal(column, getattr(block, name))
            assert not column.flags.writeable


def test_a_backtest_of_the_columns_is_that_of_the_tape(held):
    loaded = load_settings(assignments=list(GATES), environ={})
    source = tape(4)
    mapped = replace(source, blocks=lambda: held.blocks(0, 4))
    a, b = (Backtest(loaded, data, record_rows=True).run() for data in (source, mapped))
    assert a.record.decisions
    assert repr(a.record.decisions) == repr(b.record.decisions)
    rows_a, rows_b = (np.concatenate(run.record.rows) for run in (a, b))
    assert rows_a.tobytes() == rows_b.tobytes()


def test_bars_made_of_trades_hold_all_their_volume(held, tmp_path):
    bars = columns_of(tape(4), tmp_path, 300)
    assert bars.sha256 != held.sha256
    for trades, block in zip(held.blocks(0, 4), bars.blocks(0, 4), strict=True):
        assert isinstance(block, BarBlock)
        assert block.volume.sum() == trades.size.sum()
        assert (block.bid_volume + block.ask_volume == block.volume).all()
        assert block.high.max() == trades.price.max()
        assert (np.diff(block.t_open) >= 300 * 10**9).all()
    again = replace(tape(4), ready_made=True, width_s=300)
    with pytest.raises(DataError, match="leave out --bars"):
        columns_of(again, tmp_path, 300)


def test_columns_are_made_once(tmp_path):
    made = columns_of(tape(3), tmp_path)
    inodes = {path.name: path.stat().st_ino for path in made.folder.iterdir()}
    again = columns_of(tape(3), tmp_path)
    assert {path.name: path.stat().st_ino for path in again.folder.iterdir()} == inodes


def test_a_file_that_was_cut_is_refused(tmp_path):
    made = columns_of(tape(3), tmp_path)
    path = made.folder / f"{made.ids[1]}.columns"
    os.truncate(path, path.stat().st_size - 64)
    list(made.blocks(0, 1))
    with pytest.raises(DataError, match="remove"):
        list(made.blocks(1, 2))
    (made.folder / "index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="remove"):
        Columns(made.folder)


READER = """
import json, sys
from pathlib import Path
from mia.optimize.columns import Columns
columns = Columns(Path(sys.argv[1]))
held = list(columns.blocks(0, len(columns.ids)))
total = sum(int(getattr(b, n).sum()) for b in held for n in columns.layout)
shares = {}
for line in Path("/proc/self/smaps").read_text().splitlines():
    if line[:1] in "0123456789abcdef" and "-" in line.split(" ")[0]:
        name = line.split(maxsplit=5)[-1]
    elif line.split()[0] in ("Rss:", "Pss:") and name.endswith(".columns"):
        shares[line.split()[0]] = shares.get(line.split()[0], 0) + int(line.split()[1])
print(json.dumps(shares), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc/self/smaps")
def test_two_workers_share_the_memory_of_the_data(tmp_path):
    columns = columns_of(tape(8), tmp_path)
    arguments = [sys.executable, "-c", READER, str(columns.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, **pipes) as one:
        alone = json.loads(one.stdout.readline())
        with subprocess.Popen(arguments, **pipes) as two:
            beside = json.loads(two.stdout.readline())
            two.stdin.close()
        one.stdin.close()
    size = sum(path.stat().st_size for path in columns.folder.glob("*.columns")) / 1024
    assert alone["Rss:"] >= 0.9 * size
    assert beside["Rss:"] >= 0.9 * size
    # A page that two processes have mapped counts half for each.
    assert beside["Pss:"] <= 0.6 * beside["Rss:"]
