from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_samples import small_chain
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.chain import Chain, ChainIssue
from mia.data.chains import load_chain, parse_chain, read_chain, save_chain
from mia.data.chains.chain_file import to_bytes
from mia.errors import DataError, FormatError

CHAIN = replace(
    small_chain(),
    meta=replace(
        small_chain().meta,
        captured_share=0.5,
        complete=False,
        provenance=(("open_interest", "occ"),),
    ),
    issues=(ChainIssue("a.csv", 7, "quote is crossed", "SPX240119C04700000"),),
)
PAYLOAD = to_bytes(CHAIN)


def assert_equal(a: Chain, b: Chain) -> None:
    assert (repr(a.meta), a.issues) == (repr(b.meta), b.issues)
    for field in fields(Chain):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


def test_a_saved_chain_is_loaded_as_it_was(tmp_path: Path) -> None:
    save_chain(tmp_path / "new" / "a.parquet", CHAIN)
    assert_equal(load_chain(tmp_path / "new" / "a.parquet"), CHAIN)
    assert_equal(read_chain(tmp_path / "new" / "a.parquet"), CHAIN)


def test_what_the_caller_knows_overrides_the_file() -> None:
    meta = parse_chain(PAYLOAD, "a", received_at=5, quotes_asof=4, source="mine").meta
    assert (meta.received_at, meta.quotes_asof, meta.source) == (5, 4, "mine")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.parquet"):
        read_chain(tmp_path / "none.parquet")


def rewritten(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


TABLE = pq.read_table(pa.BufferReader(PAYLOAD))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (PAYLOAD[:-20], "damaged"),
        (PAYLOAD[:100] + b"\0" * 50 + PAYLOAD[150:], "damaged"),
        (rewritten(TABLE.replace_schema_metadata({})), "no chain of ours"),
        (rewritten(TABLE.drop_columns(["ask"])), "other columns"),
        (rewritten(TABLE.take(list(range(len(TABLE)))[::-1])), "not in order"),
        (
            rewritten(TABLE.replace_schema_metadata({"mia_chain": '{"version": 9}'})),
            "version 9",
        ),
        (rewritten(TABLE.replace_schema_metadata({"mia_chain": "[1]"})), "damaged"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(payload: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_chain(payload, "a.parquet")


@settings(max_examples=60)
@given(st.data())
def test_damage_is_refused_or_harmless_and_never_crashes(data: st.DataObject) -> None:
    content = bytearray(PAYLOAD)
    for _ in range(data.draw(st.integers(1, 3))):
        k = data.draw(st.integers(4, len(content) - 1))
        content[k] ^= data.draw(st.integers(1, 255))
    try:
        chain = parse_chain(bytes(content), "a.parquet")
    except FormatError:
        return
    assert len(chain) == len(CHAIN)
