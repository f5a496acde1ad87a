import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from data.samples import source, trades

from mia.data.store import Store

CHILD = """
import sys
from pathlib import Path
from data.samples import source, trades
from mia.core.sessions import trading_days
from mia.data.store import Store

def blocks():
    for day in trading_days(20190808, 20190919):
        yield trades(day, 2000, seed=7)
        print(day, flush=True)
    sys.stdin.read()

Store(Path(sys.argv[1])).write_trades(blocks(), source("new", "2"))
"""


def test_a_killed_import_leaves_the_old_rows_and_can_be_repeated(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    old = trades(count=2000)
    store.write_trades(old, source("old", "1"))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("20190919"):
                child.kill()
    assert list(tmp_path.glob(".staging/ticks/*/*/*.parquet"))

    survivor = Store(tmp_path)
    (block,) = survivor.read("ESU19")
    assert (block.ts_event == old.ts_event).all()
    assert (block.price * 0.25 == old.price).all()
    assert [entry.source for entry in survivor.manifest.imports] == ["old"]
    new = [trades(day, 2000, seed=7) for day in (20190808, 20190809)]
    assert survivor.write_trades(new, source("new", "2")).rows == 4000
    assert not (tmp_path / ".staging").exists()
    prices = np.concatenate([b.price for b in survivor.read("ESU19")]) * 0.25
    assert (prices == np.concatenate([raw.price for raw in new])).all()
