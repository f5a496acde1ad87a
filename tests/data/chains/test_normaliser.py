from dataclasses import replace

import numpy as np
import pytest
from chain_samples import at, contracts, reasons

from mia.core.chain import ChainMeta, Root
from mia.data.chains.normaliser import COLUMNS, RawColumns, normalise
from mia.errors import FormatError

META = ChainMeta("test", "SPX", at(12 * 60), 20240116, at(12 * 60 + 15))


def raw(*symbols: str, **columns: list[float]) -> RawColumns:
    values = {name: np.ones(len(symbols)) for name in COLUMNS}
    values["ask"] = np.full(len(symbols), 2.0)
    values |= {name: np.array(column, float) for name, column in columns.items()}
    return RawColumns("f.csv", symbols, np.arange(1, len(symbols) + 1), **values)


def test_contracts_are_ordered_by_root_settlement_strike_and_right() -> None:
    chain = normalise(
        raw(
            "SPXW240119C04700000",
            "SPXW240119P04700000",
            "SPXW240118P04800000",
            "SPX240119P04700000",
            "SPXW240119P04600500",
        ),
        META,
    )
    assert contracts(chain) == [
        (0, 20240119, 4700.0, -1),
        (1, 20240118, 4800.0, -1),
        (1, 20240119, 4600.5, -1),
        (1, 20240119, 4700.0, -1),
        (1, 20240119, 4700.0, 1),
    ]
    assert repr(chain.meta) == repr(META)  # nan is not equal to itself
    assert not chain.issues


def test_a_third_friday_has_both_roots_of_one_strike_with_their_own_settlement() -> None:
    chain = normalise(raw("SPX240119C04700000", "SPXW240119C04700000"), META)
    assert chain.root.tolist() == [Root.SPX, Root.SPXW]
    assert chain.settle_ns.tolist() == [at(570, 20240119), at(960, 20240119)]


def test_symbols_may_be_padded_within() -> None:
    chain = normalise(raw("SPXW  240119C04700000"), META)
    assert contracts(chain) == [(1, 20240119, 4700.0, 1)]


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "SPX",
        "SPXW240119X04700000",
        "SPXW24O119C04700000",
        "SPX240119C0470000",
        "ŚPX240119C04700000",
        "2SPX240119C04700000",
        "X" * 5000,
    ],
)
def test_a_row_with_another_symbol_is_set_aside_by_name(symbol: str) -> None:
    chain = normalise(raw("SPX240119C04700000", symbol), META)
    assert len(chain) == 1
    assert [(issue.source, issue.row) for issue in chain.issues] == [("f.csv", 2)]
    assert reasons(chain) == ["not an SPX option symbol"]


def test_options_of_another_underlying_are_refused() -> None:
    with pytest.raises(FormatError, match=r"f\.csv holds options on SPY, not on SPX"):
        normalise(raw("SPY240119C00470000", "SPY240119P00470000"), META)


def test_a_payload_without_contracts_is_refused() -> None:
    with pytest.raises(FormatError, match="no contracts"):
        normalise(raw(), META)
    with pytest.raises(FormatError, match="no SPX option symbol, first is 'abc'"):
        normalise(raw("abc"), META)


def test_settled_series_are_dropped_and_counted() -> None:
    chain = normalise(
        raw(
            "SPXW240116C04700000",
            "SPXW240116P04700000",
            "SPX240117C04700000",
            "SPXW240117C04700000",
        ),
        META,
    )
    assert contracts(chain) == [(1, 20240117, 4700.0, 1)]
    assert [(issue.row, issue.reason, issue.text) for issue in chain.issues] == [
        (1, "series expired before the quotes: 2 contracts dropped", "SPXW 20240116"),
        (3, "series expired before the quotes: 1 contracts dropped", "SPX 20240117"),
    ]


def test_dates_and_strikes_that_cannot_be_are_set_aside() -> None:
    chain = normalise(raw("SPX240231C04700000", "SPX240119C00000000", "SPX240119C04700000"), META)
    assert len(chain) == 1
    assert reasons(chain) == ["expiry is no date", "strike is zero"]


def test_values_that_cannot_be_become_unknown_and_are_named() -> None:
    names = [f"SPX240119C0{k}000" for k in range(4700, 4707)]
    chain = normalise(
        raw(
            *names,
            bid=[-1.0, 5.0, 1.0, 1.0, 1.0, 0.0, 1.0],
            ask=[2.0, 4.0, 2.0, 2.0, 2.0, 0.0, 1.0],
            open_interest=[1.0, 1.0, -3.0, np.nan, 1.0, 1.0, 1.0],
            volume=[1.0, 1.0, 1.0, 1.0, np.inf, 1.0, 1.0],
        ),
        META,
    )
    assert [(issue.row, issue.reason) for issue in chain.issues] == [
        (1, "bid is negative"),
        (2, "quote is crossed"),
        (3, "open_interest is negative"),
        (4, "open_interest is unknown"),
        (5, "volume is infinite"),
    ]
    np.testing.assert_array_equal(chain.bid, [np.nan, np.nan, 1.0, 1.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(chain.ask, [2.0, np.nan, 2.0, 2.0, 2.0, 0.0, 1.0])
    np.testing.assert_array_equal(chain.open_interest, [1.0, 1.0, np.nan, np.nan, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(chain.volume, [1.0, 1.0, 1.0, 1.0, np.nan, 1.0, 1.0])


def test_sentinels_of_vendors_are_unknown() -> None:
    names = ["SPX240119C04700000", "SPX240119C04800000", "SPX240119C04900000"]
    chain = normalise(
        raw(
            *names,
            vendor_iv=[0.0, 0.2, np.nan],
            vendor_delta=[-999.0, 0.5, 1.0],
            vendor_gamma=[-999.0, 0.0, 0.001],
        ),
        META,
    )
    np.testing.assert_array_equal(chain.vendor_iv, [np.nan, 0.2, np.nan])
    np.testing.assert_array_equal(chain.vendor_delta, [np.nan, 0.5, 1.0])
    np.testing.assert_array_equal(chain.vendor_gamma, [np.nan, 0.0, 0.001])


def test_equal_repetitions_leave_one_contract_and_contradictory_ones_none() -> None:
    same, other, single = "SPX240119C04700000", "SPX240119C04800000", "SPX240119C04900000"
    chain = normalise(raw(same, other, single, same, other, bid=[1.0, 1.0, 1.0, 1.0, 0.5]), META)
    assert chain.strike.tolist() == [4700.0, 4900.0]
    assert [(issue.row, issue.reason) for issue in chain.issues] == [
        (2, "contract is repeated with other values"),
        (4, "contract is repeated"),
        (5, "contract is repeated with other values"),
    ]


def test_a_day_of_zeros_is_named() -> None:
    chain = normalise(raw("SPX240119C04700000", bid=[0.0], ask=[0.0], open_interest=[0.0]), META)
    assert reasons(chain) == ["no contract is quoted", "no contract has open interest"]
    assert (chain.bid[0], chain.ask[0], chain.open_interest[0]) == (0.0, 0.0, 0.0)


def test_a_payload_whose_series_have_all_expired_is_an_empty_chain() -> None:
    chain = normalise(raw("SPX230120C04700000"), META)
    assert len(chain) == 0
    assert "no series is alive" in reasons(chain)


def test_without_quotes_the_arrival_decides_what_has_expired() -> None:
    meta = replace(META, quotes_asof=0, received_at=at(600, 20240119))
    chain = normalise(raw("SPX240119C04700000", "SPXW240119C04700000"), meta)
    assert chain.root.tolist() == [Root.SPXW]
