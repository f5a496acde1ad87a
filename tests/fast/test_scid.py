"""The kernel against records decoded one by one with the struct module."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import scid as twin

from mia._fast import scid

DTYPES = ("i8", "i4", "i4", "i4", "i1", "i4", "i4", "u2")
OPEN_BITS = [0, 0x80000000, 0xFD709EF9, 0xFD709F01, 0x457CC000]
START_US = twin.EPOCH_US + 1_700_000_000_000_000

bits32 = st.integers(0, 2**32 - 1)


def bits_of(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


prices = st.one_of(
    st.integers(16000, 16010).map(lambda ticks: bits_of(ticks * 0.25)),
    st.sampled_from([float("nan"), float("inf"), 0.0, -1.0, 4000.1, 3e38]).map(bits_of),
    bits32,
)
sizes = st.sampled_from([0, 1, 2, 5, 2**31 - 1, 2**31, 2**32 - 1])


@st.composite
def record(draw):
    time = draw(
        st.one_of(
            st.integers(0, 20_000).map(lambda us: START_US + us),
            st.integers(-(2**63), 2**63 - 1),
        )
    )
    open_ = draw(st.sampled_from(OPEN_BITS))
    high, low, close = draw(prices), draw(prices), draw(prices)
    volume = draw(sizes)
    side = draw(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]))
    return struct.pack(
        "<q8I", time, open_, high, low, close, draw(st.integers(0, 2)), volume, *side
    )


@st.composite
def plain_record(draw):
    """Make a readable trade, often of the same price as its neighbours."""
    time = START_US + draw(st.integers(0, 30_000))
    open_ = draw(st.sampled_from(OPEN_BITS[:4]))
    close = bits_of(draw(st.integers(16000, 16001)) * 0.25 + draw(st.sampled_from([0, 0, 0, 0.1])))
    size = draw(st.sampled_from([1, 3, 2**31 - 1]))
    side = draw(st.booleans())
    return struct.pack(
        "<q8I", time, open_, bits_of(4000.25), bits_of(4000.0), close, 1, size, side, not side
    )


def columns(n):
    return [np.zeros(n, dtype) for dtype in DTYPES]


def decoded(data, per_unit=4.0):
    out = columns(len(data) // 40)
    assert scid.decode(data, per_unit, *out) == len(data) // 40
    return out


def as_rows(arrays):
    return list(zip(*(array.tolist() for array in arrays), strict=True))


def twin_rows(trades):
    return [tuple(vars(trade).values()) for trade in trades]


@given(st.lists(record(), max_size=20), st.sampled_from([4.0, 0.04]), st.integers(0, 39))
def test_every_record_decodes_as_the_twin_says(records, per_unit, tail):
    data = b"".join(records) + bytes(tail)
    expected = [row[:-1] for row in twin_rows(twin.decode(data, per_unit))]
    assert as_rows(decoded(data, per_unit)) == expected


@given(st.lists(plain_record(), max_size=40))
def test_unbundled_parts_sum_as_the_twin_says(records):
    data = b"".join(records)
    arrays = [*decoded(data), np.arange(len(records), dtype=np.int64)]
    trades = twin.decode(data, 4.0)
    assert scid.complete_rows(arrays[0], arrays[7]) == twin.complete_rows(trades)
    expected, lost = twin.merge_unbundled(trades)
    n, broken = scid.merge_unbundled(len(records), *arrays)
    assert broken == lost
    assert as_rows([array[:n] for array in arrays]) == twin_rows(expected)


@given(st.lists(plain_record(), max_size=40))
def test_merging_keeps_the_volume_of_each_side(records):
    arrays = [*decoded(b"".join(records)), np.arange(len(records), dtype=np.int64)]
    before = [int(arrays[3][arrays[4] == side].sum(dtype=np.int64)) for side in (-1, 0, 1)]
    n, _ = scid.merge_unbundled(len(records), *arrays)
    size, side = arrays[3][:n], arrays[4][:n]
    assert [int(size[side == s].sum(dtype=np.int64)) for s in (-1, 0, 1)] == before


def test_an_order_that_sweeps_two_prices_is_two_trades():
    pack = struct.Struct("<q8I").pack
    quote = bits_of(4000.0)
    data = b"".join(
        pack(START_US + i, mark, quote, quote, bits_of(price), 1, 2, 2, 0)
        for i, (mark, price) in enumerate(
            [(0xFD709EF9, 4000.0), (0, 4000.0), (0, 3999.75), (0xFD709F01, 3999.75), (0, 3999.75)]
        )
    )
    arrays = [*decoded(data), np.arange(5, dtype=np.int64)]
    n, broken = scid.merge_unbundled(5, *arrays)
    assert (n, broken) == (3, 0)
    assert arrays[2][:n].tolist() == [16000, 15999, 15999]
    assert arrays[3][:n].tolist() == [4, 4, 2]
    assert arrays[8][:n].tolist() == [0, 2, 4]


def test_columns_that_are_too_short_are_refused():
    out = columns(2)
    out[5] = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="at least 2 records, the shortest holds 1"):
        scid.decode(bytes(80), 4.0, *out)
    with pytest.raises(ValueError, match="equally long, were 1 and 2"):
        scid.complete_rows(np.zeros(1, np.int64), np.zeros(2, np.uint16))
    with pytest.raises(ValueError, match="at least 3 rows"):
        scid.merge_unbundled(3, *columns(2), np.zeros(2, np.int64))


@pytest.mark.parametrize("per_unit", [0.0, -4.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(per_unit):
    with pytest.raises(ValueError, match="ticks_per_unit must be positive"):
        scid.decode(b"", per_unit, *columns(0))
