import pytest
from chain_samples import SECOND, at, contracts, reasons, small_chain
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.chain import Chain
from mia.data.chains import parse_chain
from mia.data.chains.normaliser import COLUMNS
from mia.data.synthetic.chain_payloads import cboe_csv
from mia.errors import FormatError

PAYLOAD = cboe_csv(small_chain())
LINES = PAYLOAD.decode().splitlines()


def parse(text: str | bytes, **options: int) -> Chain:
    content = text.encode() if isinstance(text, str) else text
    return parse_chain(content, "quotedata.csv", **options)


def edited(line: int, old: str, new: str) -> str:
    lines = list(LINES)
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new, 1)
    return "\n".join(lines) + "\n"


def test_a_file_gives_back_the_chain_that_it_was_written_from() -> None:
    chain, expected = parse(PAYLOAD), small_chain()
    assert contracts(chain) == contracts(expected)
    for name in ("bid", "ask", "open_interest", "volume", "settle_ns"):
        assert getattr(chain, name).tolist() == getattr(expected, name).tolist()
    assert chain.meta.quotes_asof == at(12 * 60)
    assert chain.meta.received_at == at(12 * 60 + 15)
    assert (chain.meta.source, chain.meta.delayed_s) == ("cboe-csv", 900)
    assert (chain.meta.index_print, chain.meta.oi_session) == (4700.0, 20240116)
    assert not chain.issues


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES[1:]) + "\n",
        "\ufeff" + "\n".join(LINES),
        "\r\n".join(LINES) + "\r\n",
        "\n".join(["", *(line + "," * (21 - line.count(",")) for line in LINES[1:3]), *LINES[3:]]),
        "\n".join(line + ",,," for line in LINES),
        "\n".join([*LINES[:2], LINES[2].replace('"', ""), *LINES[3:]]),
        "\n".join(line.replace(".00,SPX", ",SPX") for line in LINES),
        "\n".join([*LINES, "", ",,,"]),
    ],
    ids=["no blank", "bom", "crlf", "preamble padded", "padded", "unquoted", "integers", "tail"],
)
def test_every_layout_that_occurs_is_read_alike(text: str) -> None:
    chain, expected = parse(text), parse(PAYLOAD)
    assert chain.meta == expected.meta
    assert contracts(chain) == contracts(expected)
    assert all(
        getattr(chain, name).tobytes() == getattr(expected, name).tobytes() for name in COLUMNS
    )


def test_a_date_in_another_language_gives_the_same_instant() -> None:
    line = "17 января 2024 г., 20:15 GMT+3"
    assert parse(cboe_csv(small_chain(), date_line=line)).meta.quotes_asof == at(12 * 60)


def test_an_unreadable_date_is_refused_unless_the_time_of_the_quotes_is_given() -> None:
    payload = cboe_csv(small_chain(), date_line="17/01/2024, 12:15")
    with pytest.raises(FormatError, match=r"quotedata\.csv: the date .*17/01/2024.*quotes_asof"):
        parse(payload)
    with pytest.raises(FormatError, match="quotes_asof"):
        parse(payload, received_at=at(13 * 60))
    chain = parse(payload, quotes_asof=at(12 * 60))
    assert chain.meta.quotes_asof == at(12 * 60)
    assert chain.meta.received_at == at(12 * 60) + 900 * SECOND
    later = parse(payload, quotes_asof=at(12 * 60), received_at=at(14 * 60))
    assert later.meta.received_at == at(14 * 60)


def test_a_file_without_a_date_line_is_refused() -> None:
    with pytest.raises(FormatError, match="no date line"):
        parse("\n".join([LINES[1], *LINES[3:]]))


def test_quotes_cannot_have_arrived_before_they_were_made() -> None:
    with pytest.raises(FormatError, match="cannot have been received"):
        parse(PAYLOAD, received_at=at(11 * 60))


def test_another_underlying_is_refused_whatever_the_file_is_called() -> None:
    text = PAYLOAD.decode().replace("SPXW", "SPY").replace("SPX2", "SPY2")
    with pytest.raises(FormatError, match="holds options on SPY, not on SPX"):
        parse_chain(text.encode(), "spx_quotedata.csv")


def test_a_file_that_ends_within_a_row_is_refused() -> None:
    with pytest.raises(FormatError, match=rf"quotedata\.csv:{len(LINES)}: .* ends within a row"):
        parse(PAYLOAD[:-60])


def test_other_columns_or_no_rows_are_refused() -> None:
    with pytest.raises(FormatError, match=":4: other columns"):
        parse(edited(3, "IV,Delta", "Delta,IV"))
    with pytest.raises(FormatError, match="no contracts"):
        parse("\n".join(LINES[:4]))
    with pytest.raises(FormatError, match="no option chain"):
        parse("Time,Open,High\n1,2,3\n")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("C0", "C1", "symbols contradict expiry or strike"),
        ("Jan", "Feb", "symbols contradict expiry or strike"),
        ("Jan", "Xan", "symbols contradict expiry or strike"),
        ("SPXW", "SPX", "symbols contradict expiry or strike"),
        (",0,0,", ",0,", "21 fields of 22"),
    ],
)
def test_a_row_that_contradicts_itself_is_set_aside_with_its_line(
    old: str, new: str, reason: str
) -> None:
    line = next(k for k, text in enumerate(LINES) if "Jan" in text and "SPXW" in text and k > 3)
    chain = parse(edited(line, old, new))
    assert [(issue.source, issue.row) for issue in chain.issues] == [("quotedata.csv", line + 1)]
    assert reasons(chain) == [reason]
    assert len(chain) == len(small_chain()) - 2


def test_a_field_that_is_no_number_is_unknown_and_named() -> None:
    fields = LINES[50].split(",")
    fields[10] = "n/a"
    fields[3] = ""
    text = "\n".join([*LINES[:50], ",".join(fields), *LINES[51:]])
    chain = parse(text)
    assert len(chain) == len(small_chain())
    assert sorted((issue.row, issue.reason, issue.text) for issue in chain.issues) == [
        (51, "open_interest is no number", "n/a"),
        (51, "open_interest is unknown", fields[1]),
    ]


def test_a_file_of_an_old_windows_is_read() -> None:
    payload = cboe_csv(small_chain(), date_line="17 février 2024 à 12:15 EST")
    chain = parse(payload.decode().encode("cp1252"))
    assert chain.meta.received_at == at(12 * 60 + 15, 20240217)


SHORT = "\n".join(LINES[:12]) + "\n"


@fuzz(60)
@given(st.data())
def test_damage_is_named_or_refused_and_never_crashes(data: st.DataObject) -> None:
    content = bytearray(SHORT.encode())
    for _ in range(data.draw(st.integers(1, 8))):
        k = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 12))
        content[k : k + length] = data.draw(st.binary(max_size=8))
        if not content:
            return
    try:
        chain = parse(bytes(content), quotes_asof=at(720))
    except FormatError:
        return
    assert not (chain.bid > chain.ask).any()
    assert not (chain.open_interest < 0).any()
    assert len(set(contracts(chain))) == len(chain)
