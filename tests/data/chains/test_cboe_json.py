import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chain_samples import SECOND, at, contracts, reasons, small_chain
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.chain import Chain
from mia.data.chains import parse_chain
from mia.data.chains.normaliser import COLUMNS
from mia.data.synthetic.chain_payloads import cboe_json
from mia.data.synthetic.chains import SyntheticChains
from mia.errors import FormatError

PAYLOAD = cboe_json(small_chain())
SMALL: dict[str, Any] = json.loads(PAYLOAD)
SMALL["data"]["options"] = [
    option for option in SMALL["data"]["options"] if option["open_interest"] > 1000
][:6]


def parse(document: Any, **options: int) -> Chain:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_chain(content, "_SPX.json", **options)


def with_option(**changes: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(SMALL))
    document["data"]["options"][0].update(changes)
    return document


def test_a_document_gives_back_the_chain_that_it_was_written_from() -> None:
    chain, expected = parse(PAYLOAD), small_chain()
    assert contracts(chain) == contracts(expected)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(chain, name), getattr(expected, name))
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (at(720), at(735))
    assert (chain.meta.source, chain.meta.index_print) == ("cboe-json", 4700.0)
    assert not chain.issues


def test_the_page_that_embeds_the_document_gives_the_same() -> None:
    chain = parse(cboe_json(small_chain(), page=True))
    assert contracts(chain) == contracts(small_chain())
    assert chain.meta.quotes_asof == at(720)


def test_a_timestamp_without_a_date_needs_the_time_of_arrival() -> None:
    payload = cboe_json(small_chain(), timestamp="17:15:00")
    with pytest.raises(FormatError, match=r"17:15:00.*give received_at"):
        parse(payload)
    chain = parse(payload, received_at=at(12 * 60 + 16))
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (at(720), at(736))


def test_a_time_of_day_after_the_arrival_is_that_of_the_day_before() -> None:
    payload = cboe_json(small_chain(), timestamp="22:30:00")
    chain = parse(payload, received_at=at(9 * 60, 20240118))
    assert chain.meta.quotes_asof == at(720)
    document = with_option()
    document["timestamp"] = "22:30:00"
    document["data"]["last_trade_time"] = None
    assert parse(document, received_at=at(540, 20240118)).meta.quotes_asof == at(975)


@pytest.mark.parametrize(
    ("timestamp", "last_trade", "asof"),
    [
        ("2024-01-17 17:15:00", "2024-01-17T12:00:00", at(720)),
        ("2024-01-17 19:15:00", "2024-01-17T12:00:00", at(720)),
        ("2024-01-17 22:15:00", "2024-01-17T16:00:01", at(975)),
        ("2024-01-18 02:15:00", "2024-01-17T16:00:01", at(975)),
        ("2024-01-17 19:15:00", None, at(840)),
        ("2024-01-17 19:15:00", "yesterday", at(840)),
    ],
)
def test_quotes_are_never_newer_than_the_last_trade_of_the_index(
    timestamp: str, last_trade: str | None, asof: int
) -> None:
    document = with_option()
    document["timestamp"] = timestamp
    document["data"]["last_trade_time"] = last_trade
    assert parse(document).meta.quotes_asof == asof


def test_sentinels_are_unknown_values() -> None:
    chain = parse(with_option(iv=None, delta=-999, gamma=None, last_trade_time=None))
    first = chain.strike == chain.strike.min()
    assert np.isnan(chain.vendor_iv[first]).any()
    assert np.isnan(chain.vendor_delta).all()
    assert not chain.issues


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bid": "abc"}, "bid is no number"),
        ({"bid": True}, "bid is no number"),
        ({"ask": [1]}, "ask is no number"),
        ({"open_interest": -5}, "open_interest is negative"),
        ({"open_interest": None}, "open_interest is unknown"),
        ({"bid": 9e4}, "quote is crossed"),
        ({"option": 5}, "option without a symbol"),
        ({"option": "AAPL240119C00100000"}, "not an SPX option symbol"),
    ],
)
def test_a_bad_value_is_named_by_the_position_of_its_option(
    changes: dict[str, object], reason: str
) -> None:
    chain = parse(with_option(**changes))
    assert reasons(chain) == [reason]
    assert (chain.issues[0].source, chain.issues[0].row) == ("_SPX.json", 1)
    assert len(chain) == (5 if "option" in changes else 6)


def test_numbers_written_as_text_are_numbers() -> None:
    chain = parse(with_option(bid="0.05", ask="12000.5"))
    assert 12000.5 in chain.ask
    assert not chain.issues


def test_a_repeated_option_is_named() -> None:
    document = with_option()
    document["data"]["options"].append(document["data"]["options"][0])
    assert reasons(parse(document)) == ["contract is repeated"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (PAYLOAD[: len(PAYLOAD) // 2], "truncated or no JSON"),
        (b"{}", "no option chain"),
        (b'{"data": []}', "no option chain"),
        (b'{"data": {"options": {}}}', "no option chain"),
        (b'{"data": {"options": []}, "timestamp": "2024-01-17 17:15:00"}', "no contracts"),
        (b"<html><body>Access denied</body></html>", "web page without option data"),
        (b"<html>CTX.contextOptionsData = null;</html>", "web page without option data"),
        (b'<html>CTX.contextOptionsData = {"data": {"opt', "truncated"),
        (PAYLOAD.replace(b"SPXW", b"SPY").replace(b"SPX2", b"SPY2"), "options on SPY, not on SPX"),
    ],
)
def test_a_payload_of_another_kind_is_refused(payload: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=rf"_SPX\.json.*{message}"):
        parse(payload)


SHORT = json.dumps(SMALL).encode()


@fuzz(80)
@given(st.data())
def test_damage_is_named_or_refused_and_never_crashes(data: st.DataObject) -> None:
    content = bytearray(SHORT)
    for _ in range(data.draw(st.integers(1, 6))):
        k = data.draw(st.integers(0, len(content) - 1))
        content[k : k + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        chain = parse(bytes(content), received_at=at(740))
    except FormatError:
        return
    assert not (chain.bid > chain.ask).any()
    assert len(set(contracts(chain))) == len(chain)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@fuzz(60)
@given(JSON, st.sampled_from(["option", "bid", "open_interest", "delta"]), JSON)
def test_values_of_any_type_are_named_or_refused(stamp: Any, field: str, value: Any) -> None:
    document = with_option(**{field: value})
    document["timestamp"] = stamp
    try:
        chain = parse(document, received_at=at(740))
    except FormatError:
        return
    assert len(chain) >= 5


def large_document() -> bytes:
    chains = SyntheticChains(lambda ts: 4700.0, seed=1)
    document = json.loads(cboe_json(chains.chain(at(720), delayed_s=900)))
    options = document["data"]["options"]
    template = {
        **options[0], "bid_size": 12.0, "vega": 0.1234, "theta": -0.1234, "rho": 0.1234,
        "theo": 12.3456, "last_trade_price": 12.5, "last_trade_time": "2024-01-17T11:59:12",
        "prev_day_close": 12.3499999046326,
    }  # fmt: skip
    near = [option for option in options if "C0" in option["option"] or "P0" in option["option"]]
    more = [{**template, **option, "option": option["option"][:-3] + "500"} for option in near]
    document["data"]["options"] = [*({**template, **option} for option in options), *more][:30_000]
    return json.dumps(document).encode()


def best(action: Callable[[], object], rounds: int = 5) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_document_of_30000_options_is_read_faster_than_json_alone_can_parse_it() -> None:
    payload = large_document()
    assert len(payload) > 12_000_000
    chain = parse(payload)
    assert len(chain) == 30_000
    ratio = best(lambda: parse(payload)) / best(lambda: json.loads(payload))
    assert ratio < 0.6


def test_received_later_than_published_keeps_the_age_of_the_quotes() -> None:
    chain = parse(PAYLOAD, received_at=at(900))
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (at(720), at(900))
    assert chain.meta.received_at - chain.meta.quotes_asof == 3 * 3600 * SECOND
