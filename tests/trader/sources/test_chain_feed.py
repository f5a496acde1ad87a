import asyncio
import json
import logging
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from live_sources import DAY, FIRST, START, chains, friday

from mia.core.broker_types import LinkState
from mia.core.chain import Root
from mia.core.ibkr.contracts import OptionSeries
from mia.core.sessions import NEW_YORK
from mia.data.chains import ChainArchive, Contract, save_chain
from mia.data.chains.chain_file import to_bytes
from mia.data.state_files import POSITIONING
from mia.errors import DataError
from mia.features.options_feed import OptionsFeed
from mia.trader.screen.shown_files import note_positioning
from mia.trader.sources.chain_feed import (
    ChainFeed,
    ChainPace,
    LiveSnapshots,
    newest_open_interest,
    yesterday,
)

SECOND = 10**9


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2025-03-10T06:44", 20250306),
        ("2025-03-10T06:45", 20250307),
        ("2025-03-10T16:10", 20250307),
        ("2025-03-11T06:44", 20250307),
        ("2025-03-11T06:45", 20250310),
        # Good Friday: futures trade for a while, options do not.
        ("2025-04-18T10:00", 20250416),
        ("2025-04-21T06:50", 20250417),
    ],
)
def test_open_interest_is_that_of_the_last_session_once_it_is_surely_out(now, session) -> None:
    assert newest_open_interest(ns(now)) == session


def test_yesterdays_chain_comes_from_a_file_or_an_archive(tmp_path: Path) -> None:
    chain = friday()
    save_chain(tmp_path / "chain.parquet", chain)
    assert len(yesterday(tmp_path / "chain.parquet", START)) == len(chain)
    archive = ChainArchive(tmp_path / "chains")
    archive.put(to_bytes(chain), source="synthetic")
    archive.put(to_bytes(chains().chain(START + 3600 * SECOND)), source="synthetic")
    found = yesterday(tmp_path / "chains", START)
    assert found.meta.quotes_asof == chain.meta.quotes_asof


def test_without_a_chain_that_has_quotes_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no chain with quotes"):
        yesterday(tmp_path / "empty", START)


def test_snapshots_are_handed_out_once_from_their_effect_on() -> None:
    made = OptionsFeed().take(chains().chain(START))
    effect = int(made[0]["effective"][0])
    source = LiveSnapshots()
    source.add(made)
    assert len(source.until(effect - 1)) == 0
    assert len(source.until(effect)) == len(made)
    assert len(source.until(effect + 1)) == 0


class Gateway:
    """Lists options, and answers each line at once with the quote of a chain."""

    def __init__(self, chain, series) -> None:
        self.state, self.series, self.open = LinkState.READY, series, set()
        self.most = 0
        names = ("root", "expiry", "strike", "right")
        keys = zip(*(getattr(chain, name).tolist() for name in names), strict=True)
        self.quotes = {
            key: row
            for key, *row in zip(
                keys,
                chain.bid.tolist(),
                chain.ask.tolist(),
                chain.open_interest.tolist(),
                strict=True,
            )
        }

    async def option_series(self):
        return self.series

    def option_lines(self, listener, on_refused):
        self.listener = listener
        return self

    def subscribe(self, contract, open_interest) -> None:
        self.open.add(contract)
        self.most = max(self.most, len(self.open))
        bid, ask, held = self.quotes[tuple(contract)]
        self.listener.on_quote(contract, bid, ask, START)
        if open_interest:
            self.listener.on_open_interest(contract, held)

    def cancel(self, contract) -> None:
        self.open.remove(contract)


def listed(chain) -> list[OptionSeries]:
    """What a broker lists: the series of SPX by the day of their last trade."""
    series = []
    for root in Root:
        dates = np.unique(chain.expiry[chain.root == root]).tolist()
        last = tuple(Contract(root, date, 0.0, 1).last_trade for date in dates)
        strikes = tuple(np.unique(chain.strike).tolist())
        series.append(OptionSeries("SMART", root.name, "100", last, strikes))
    return series


def follow(tmp_path: Path, gateway: Gateway, enough, contracts=2400) -> ChainFeed:
    save_chain(tmp_path / "chain.parquet", friday())
    pace = ChainPace(50, contracts, 0.0, 1e6)
    keep = partial(note_positioning, tmp_path)
    feed = ChainFeed(tmp_path / "chain.parquet", lambda: START, pace, keep)

    async def main() -> None:
        task = asyncio.create_task(feed.run(gateway))
        async with asyncio.timeout(30):
            while not enough(feed) and not task.done():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    return feed


def test_a_sweep_says_what_the_same_contracts_say_and_ends_with_no_line_open(tmp_path) -> None:
    whole = chains().chain(START)
    gateway = Gateway(whole, listed(whole))
    feed = follow(tmp_path, gateway, lambda feed: feed.snapshots.made > 0, 400)
    assert gateway.most <= 50
    assert not gateway.open
    left = json.loads((tmp_path / POSITIONING).read_text())
    assert (left["ts"], left["oi_session"]) == (START, FIRST)
    assert len(left["profile"]) == 121
    read = feed.chain
    assert read is not None
    assert (read.meta.oi_session, read.meta.received_at) == (FIRST, START)
    names = ("root", "expiry", "strike", "right")
    keys = zip(*(getattr(read, name).tolist() for name in names), strict=True)
    expected = np.array([gateway.quotes[key] for key in keys])
    np.testing.assert_array_equal(
        np.column_stack((read.bid, read.ask, read.open_interest)), expected
    )
    (snapshot,) = OptionsFeed().take(read)
    assert feed.snapshots.until(START)[:1].tobytes() == snapshot.tobytes()


def test_contracts_that_the_gateway_does_not_list_are_not_asked_for(tmp_path, caplog) -> None:
    whole = chains().chain(START)
    few = [replace(s, expiries=tuple(e for e in s.expiries if e > DAY)) for s in listed(whole)]
    gateway = Gateway(whole, few)
    feed = follow(tmp_path, gateway, lambda feed: feed.chain is not None, 400)
    assert DAY not in feed.chain.expiry
    gateway = Gateway(whole, [])
    feed = follow(tmp_path, gateway, lambda feed: False, 400)
    assert feed.chain is None
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert lines == [
        "options stay unknown: chain.parquet has no contract that the gateway lists: "
        "import a newer chain"
    ]
