import io
from pathlib import Path

import numpy as np
import pytest
from data.samples import bars, source, trades
from rich.console import Console

from mia.data.calendar import NewsCalendar, NewsEvent
from mia.data.quality import inspect, render
from mia.data.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path)
    raw = bars(20190808)
    keep = np.arange(len(raw)) != 200
    columns = {name: getattr(raw, name) for name in raw.__slots__}
    holed = {n: c[keep] for n, c in columns.items() if isinstance(c, np.ndarray)}
    store.write_bars([bars(20190806), bars(20190808, **holed)], source("bars.txt", "1"))
    store.write_trades(
        trades(count=2730, kind="fill", size=np.full(2730, -1) ** 2), source("t", "2")
    )
    return store


def text(store: Store) -> str:
    console = Console(file=io.StringIO(), width=160, no_color=True)
    render(inspect(store), console)
    return console.file.getvalue()


def test_missing_days_and_gaps_are_counted(store: Store) -> None:
    info = inspect(store)
    of_bars, of_trades = info.contracts
    assert (of_bars.table, of_bars.contract, of_bars.days) == ("bars_300s", "ESU19", 2)
    assert of_bars.missing == (20190807,)
    assert info.missing == {"bars_300s ES": (20190807,), "ticks ES": ()}
    assert [(gap.session_id, gap.seconds) for gap in of_bars.gaps] == [(20190808, 300)]
    assert (of_trades.kinds, of_trades.rows, of_trades.volume) == (("fill",), 2730, 2730)
    assert len(info.imports) == 2


def test_the_summary_names_what_is_missing(store: Store) -> None:
    out = text(store)
    assert "bars_300s ES: 1 trading days without data, 2019-08-07" in out
    assert "gap ESU19 2019-08-08: 5 min from 2019-08-08 14:40 UTC" in out
    assert "none imported, news windows are unknown" in out
    NewsCalendar([NewsEvent(1, "CPI", "high")], [(20190801, 20190831)]).save(store.path)
    assert "economic calendar: 2019-08-01 to 2019-08-31" in text(store)


def test_an_empty_store_says_that_it_is_empty(tmp_path: Path) -> None:
    assert text(Store.create(tmp_path / "new")).strip().endswith("empty")
