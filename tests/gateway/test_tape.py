"""A gateway plays a store, or a file, as it plays the market that it came from."""

import numpy as np
import pytest

from mia.core.sessions import SECOND
from mia.data.synthetic.export import export_market
from mia.errors import DataError
from mia.gateway.market.tape import open_source
from mia.gateway.market.tape_market import Market

SEED, START, DAYS, TRADES = 5, 20250312, 2, 5_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("market") / "store"
    given = {"seed": SEED, "start": START, "days": DAYS, "trades_per_day": TRADES}
    list(export_market(path, **given, scid=True))
    return path


def played(text):
    """Return what a market passes over, column by column."""
    with open_source(text, TRADES) as source:
        market, pieces = Market(source), []
        while (second := market.next_second()) is not None:
            pieces += market.advance(second + 3600 * SECOND)
    days = [(piece.tape.session_id, piece.tape.contract) for piece in pieces]
    columns = {
        name: np.concatenate([getattr(p.tape, name)[p.start : p.stop] for p in pieces])
        for name in ("second", "price", "size", "bid", "ask")
    }
    return days, columns


def test_a_store_is_played_as_the_market_it_came_from(folder):
    expected, columns = played(f"synth:{SEED}:{START}:{DAYS}")
    days, found = played(f"store:{folder}")
    assert set(days) == set(expected)
    for name, column in columns.items():
        assert np.array_equal(found[name], column), name


def test_a_file_of_trades_is_played_too(folder):
    paths = sorted(folder.parent.rglob("*.scid"))
    assert paths
    _, columns = played(f"synth:{SEED}:{START}:{DAYS}")
    _, found = played(f"scid:{paths[0]}")
    assert np.array_equal(found["price"], columns["price"])
    assert np.array_equal(found["second"], columns["second"])


def test_a_market_that_is_stepped_passes_over_every_trade_once():
    with open_source(f"synth:{SEED}:{START}:1", TRADES) as source:
        market, seen = Market(source), 0
        whole = len(market.tapes[0])
        while (second := market.next_second()) is not None:
            pieces = market.advance(second)
            assert {int(s) for p in pieces for s in p.tape.second[p.start : p.stop]} == {second}
            seen += sum(map(len, pieces))
            assert market.day.count == seen
        assert seen == whole == sum(map(len, market.passed()))


def test_the_day_begins_anew_with_its_session():
    with open_source(f"synth:{SEED}:{START}:2", TRADES) as source:
        market = Market(source)
        first = market.tapes[0]
        market.advance(int(first.second[-1]))
        closed = market.day.last
        market.advance(market.next_second())
        assert market.day.close == closed == int(first.price[-1])
        assert market.day.session_id == 20250313
        assert market.day.count <= 5


def test_a_store_that_is_not_there_is_named():
    with (
        pytest.raises(DataError, match="nowhere does not exist"),
        open_source("store:nowhere", TRADES),
    ):
        pass
