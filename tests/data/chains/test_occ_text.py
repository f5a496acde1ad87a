import numpy as np
import pytest
from chain_samples import at, contracts, reasons, small_chain
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.chain import Chain
from mia.data.chains import parse_chain
from mia.data.synthetic.chain_payloads import occ_text
from mia.errors import FormatError

BEFORE_OPEN = at(6 * 60 + 45)
PAYLOAD = occ_text(small_chain())
TITLE = "ProductSymbol\t\tyear\tMonth\tDay\tInteger\tDec\tC/P\tCall\tPut\tPosition Limit\n"
ROW = "SPXW\t\t2024\t01\t19\t4700\t000\tC P\t12\t34\t25000000\n"


def parse(text: str | bytes, received_at: int | None = BEFORE_OPEN) -> Chain:
    content = text.encode() if isinstance(text, str) else text
    return parse_chain(content, "occ.txt", received_at=received_at)


def test_open_interest_is_read_and_everything_else_is_unknown() -> None:
    chain, expected = parse(PAYLOAD), small_chain()
    # The AM series of the day have not settled before the open.
    assert set(contracts(expected)) <= set(contracts(chain))
    assert chain.open_interest.sum() == expected.open_interest.sum()
    for name in ("bid", "ask", "volume", "vendor_iv", "vendor_delta", "vendor_gamma"):
        assert np.isnan(getattr(chain, name)).all()
    assert (chain.meta.source, chain.meta.quotes_asof) == ("occ", 0)
    assert (chain.meta.received_at, chain.meta.oi_session) == (BEFORE_OPEN, 20240116)
    assert not chain.issues


def test_call_and_put_of_a_row_are_two_contracts_with_and_without_the_title() -> None:
    for text in (TITLE + ROW, ROW, ROW.replace("SPXW\t\t", "SPXW  \t \t")):
        chain = parse(text)
        assert contracts(chain) == [(1, 20240119, 4700.0, -1), (1, 20240119, 4700.0, 1)]
        assert chain.open_interest.tolist() == [34.0, 12.0]


def test_thousandths_of_a_strike_count() -> None:
    assert parse(ROW.replace("\t000\t", "\t500\t")).strike.tolist() == [4700.5, 4700.5]


def test_the_text_has_no_date_so_the_arrival_must_be_given() -> None:
    with pytest.raises(FormatError, match=r"occ\.txt: .* no date: give received_at"):
        parse(PAYLOAD, None)


def test_one_side_only_is_one_contract() -> None:
    chain = parse(ROW.replace("C P", "C"))
    assert contracts(chain) == [(1, 20240119, 4700.0, 1)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.replace("SPXW", "2SPX"), "adjusted contract"),
        (ROW.replace("2024", "24"), "expiry or strike is no number"),
        (ROW.replace("\t4700\t", "\tx\t"), "expiry or strike is no number"),
        (ROW.replace("\t000\t", "\t5\t"), "strike is not understood"),
        (ROW.replace("\t000\t", "\t\t"), "strike is not understood"),
        (ROW.replace("\t4700\t", "\t\t"), "strike is not understood"),
        (ROW.replace("C P", "1 2"), "sides are neither C nor P"),
        ("SPXW\t\t2024\t01\n", "3 fields of at least 9"),
        (ROW.replace("\t01\t19\t", "\t02\t31\t"), "expiry is no date"),
        (ROW.replace("SPXW", "XSP"), "not an SPX option symbol"),
        (ROW.replace("4700", "4800").replace("\t12\t", "\t-12\t"), "open_interest is negative"),
        (ROW.replace("4700", "4800").replace("\t12\t", "\t\t"), "open_interest is unknown"),
        (ROW, "contract is repeated"),
        (ROW.replace("12", "13"), "contract is repeated with other values"),
    ],
)
def test_a_bad_row_is_named_by_its_line(row: str, reason: str) -> None:
    chain = parse(TITLE + ROW + row)
    assert reason in reasons(chain)
    assert {issue.row for issue in chain.issues if issue.reason == reason} <= {2, 3}


def test_another_underlying_is_refused() -> None:
    with pytest.raises(FormatError, match="options on SPY, not on SPX"):
        parse(TITLE + ROW.replace("SPXW", "SPY"))
    with pytest.raises(FormatError, match="no contracts"):
        parse(TITLE)


@settings(max_examples=60)
@given(st.data())
def test_damage_is_named_or_refused_and_never_crashes(data: st.DataObject) -> None:
    content = bytearray((TITLE + ROW * 2).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        k = data.draw(st.integers(0, len(content) - 1))
        content[k : k + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        chain = parse(bytes(content))
    except FormatError:
        return
    assert not (chain.open_interest < 0).any()
