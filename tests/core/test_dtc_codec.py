"""Messages of the DTC protocol in bytes and in JSON."""

import ctypes
import struct

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.dtc.codec import DtcFrames, decode, encode
from mia.core.dtc.layout import UNSET_F8, Layout
from mia.core.dtc.messages import BY_NAME, BY_NUMBER, MARKET_DATA, Encoding
from mia.errors import FormatError

ENCODINGS = list(Encoding)

# Sizes of structures as a compiler lays them out, and some places within.
SIZES = {
    1: 284, 2: 256, 3: 16, 5: 102, 6: 16, 7: 16, 101: 96, 103: 104, 107: 40, 108: 40, 112: 24,
    137: 40, 144: 32, 146: 27, 208: 296,
}  # fmt: skip
PLACES = {
    (1, "Username"): 8,
    (1, "HeartbeatIntervalInSeconds"): 144,
    (1, "TradeAccount"): 152,
    (1, "ClientName"): 248,
    (2, "Result"): 8,
    (2, "ResultText"): 12,
    (2, "OneHistoricalPriceDataRequestPerConnection"): 248,
    (2, "MarketDataSupported"): 252,
    (101, "Exchange"): 76,
    (107, "AtBidOrAsk"): 8,
    (107, "Price"): 16,
    (108, "AskPrice"): 24,
    (112, "AtBidOrAsk"): 20,
    (137, "UnbundledTradeIndicator"): 9,
    (137, "Price"): 16,
    (137, "DateTime"): 32,
    (144, "DateTime"): 24,
    (146, "AtBidOrAsk"): 24,
    (146, "TradeCondition"): 26,
}
CTYPES = {
    "i1": ctypes.c_int8,
    "u1": ctypes.c_uint8,
    "u2": ctypes.c_uint16,
    "i4": ctypes.c_int32,
    "u4": ctypes.c_uint32,
    "i8": ctypes.c_int64,
    "f4": ctypes.c_float,
    "f8": ctypes.c_double,
}


def structure(layout: Layout):
    kinds = [("Size", ctypes.c_uint16), ("Type", ctypes.c_uint16)]
    for name, kind in layout.fields:
        kinds.append((name, ctypes.c_char * int(kind[1:]) if kind[0] == "s" else CTYPES[kind]))
    return type("Message", (ctypes.Structure,), {"_pack_": layout.pack, "_fields_": kinds})


@pytest.mark.parametrize("layout", BY_NUMBER.values(), ids=lambda layout: layout.name)
def test_messages_lie_in_bytes_as_c_lays_them(layout):
    message = structure(layout)
    assert layout.size == ctypes.sizeof(message)
    for name in layout.offsets:
        assert layout.offsets[name] == getattr(message, name).offset


def test_sizes_and_places_are_those_of_the_published_header():
    assert {number: BY_NUMBER[number].size for number in SIZES} == SIZES
    found = {(number, name): BY_NUMBER[number].offsets[name] for number, name in PLACES}
    assert found == PLACES


def test_the_request_for_an_encoding_is_known_to_the_byte():
    values = {"ProtocolVersion": 8, "Encoding": 2, "ProtocolType": "DTC"}
    data = encode(Encoding.BINARY, "ENCODING_REQUEST", values)
    assert data == bytes.fromhex("1000 0600 08000000 02000000") + b"DTC\0"


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=3)


@st.composite
def messages(draw):
    layout = draw(st.sampled_from(list(BY_NUMBER.values())))
    values = {}
    for name, kind in layout.fields:
        if kind[0] == "s":
            values[name] = draw(TEXT)
        elif kind == "f4":
            values[name] = draw(st.none() | st.integers(-4000, 40_000).map(lambda n: n / 4))
        elif kind == "f8":
            values[name] = draw(st.none() | st.floats(-1e12, 1e12))
        else:
            bits = 8 * int(kind[1])
            low = -(2 ** (bits - 1)) if kind[0] == "i" else 0
            high = 2 ** (bits - (kind[0] == "i")) - 1
            values[name] = draw(st.integers(low, high))
    return layout.name, values


@fuzz(100)
@given(messages(), st.sampled_from(ENCODINGS))
def test_what_is_encoded_is_decoded(message, encoding):
    name, values = message
    data = encode(encoding, name, values)
    frames = DtcFrames()
    frames.encoding = encoding
    frames.feed(data)
    found = decode(encoding, frames.next())
    assert found == (name, values)
    assert frames.next() is None


@fuzz(60)
@given(st.lists(messages(), max_size=4), st.sampled_from(ENCODINGS), st.integers(1, 40))
def test_frames_are_cut_wherever_the_bytes_are_cut(batch, encoding, step):
    data = b"".join(encode(encoding, name, values) for name, values in batch)
    frames, found = DtcFrames(), []
    frames.encoding = encoding
    for k in range(0, len(data), step):
        frames.feed(data[k : k + step])
        while (frame := frames.next()) is not None:
            found.append(tuple(decode(encoding, frame)))
    assert found == batch


@fuzz(150)
@given(st.binary(max_size=300), st.sampled_from(ENCODINGS), st.booleans())
def test_no_bytes_make_the_codec_crash(data, encoding, typed):
    if typed:
        data = struct.pack("<HH", len(data) + 4, 301) + data
    frames = DtcFrames()
    frames.encoding = encoding
    frames.feed(data + b"\0")
    try:
        for _ in range(len(data) + 2):
            frame = frames.next()
            if frame is None:
                break
            decode(encoding, frame)
        else:
            raise AssertionError("frames come without end")
    except FormatError:
        pass


def test_compact_json_lists_market_data_and_nothing_else():
    trade = {"SymbolID": 3, "AtBidOrAsk": 2, "Price": 5000.25, "Volume": 2.0, "DateTime": 7}
    name = "MARKET_DATA_UPDATE_TRADE_COMPACT"
    data = encode(Encoding.JSON_COMPACT, name, trade)
    assert data == b'{"Type":112,"F":[5000.25,2.0,7,3,2]}\0'
    assert b'"F"' not in encode(Encoding.JSON_COMPACT, "HEARTBEAT", {})
    assert all(name.startswith("MARKET_DATA_UPDATE") for name in map(name_of, MARKET_DATA))


def name_of(number: int) -> str:
    return BY_NUMBER[number].name


def test_a_shorter_or_longer_message_of_another_version_is_read():
    data = encode(Encoding.BINARY, "ORDER_UPDATE", {"RequestID": 7, "Price1": 5000.25})
    cut = struct.pack("<H", 300) + data[2:300]
    values = decode(Encoding.BINARY, cut).values
    assert (values["RequestID"], values["LastFillPrice"], values["FreeFormText"]) == (7, None, "")
    more = struct.pack("<H", len(data) + 8) + data[2:] + bytes(8)
    assert decode(Encoding.BINARY, more).values == decode(Encoding.BINARY, data).values


def test_unset_numbers_are_none():
    data = BY_NAME["ORDER_UPDATE"].encode({"Price1": None, "Price2": UNSET_F8})
    values = BY_NAME["ORDER_UPDATE"].decode(data)
    assert values["Price1"] is values["Price2"] is None


def test_a_message_that_is_not_known_has_no_name():
    assert decode(Encoding.BINARY, struct.pack("<HH", 4, 9999)).name == ""
    assert decode(Encoding.JSON, b'{"Type":9999}').name == ""


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"{", "is no JSON"),
        (b"[1]", "has no type"),
        (b'{"Type":"1"}', "has no type"),
        (b'{"Type":3,"CurrentDateTime":1.5}', r"CurrentDateTime cannot be 1\.5"),
        (b'{"Type":3,"NumDroppedMessages":-1}', "NumDroppedMessages cannot be -1"),
        (b'{"Type":5,"Reason":5}', "Reason cannot be 5"),
        (b'{"Type":301,"Price1":"5000"}', "Price1 cannot be '5000'"),
        (b'{"Type":301,"Price1":true}', "Price1 cannot be True"),
        (b'{"Type":112,"F":7}', "F must list 5 values, was 7"),
        (b'{"Type":112,"F":[5000.25,2.0,7,3]}', "F must list 5 values"),
    ],
)
def test_json_that_is_not_right_is_refused(frame, message):
    with pytest.raises(FormatError, match=message):
        decode(Encoding.JSON_COMPACT, frame)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("LOGOFF", {"Reason": "x" * 96}, "Reason 'x+' has a byte 0 or more than 95"),
        ("LOGOFF", {"Reason": "a\0b"}, "has a byte 0"),
        ("HEARTBEAT", {"NumDroppedMessages": 2**32}, "does not fit u4"),
        ("HEARTBEAT", {"Nothing": 1}, "HEARTBEAT has no field Nothing"),
    ],
)
def test_values_that_do_not_fit_are_refused(name, values, message):
    for encoding in ENCODINGS:
        with pytest.raises(FormatError, match=message):
            encode(encoding, name, values)


def test_a_size_that_cannot_be_is_refused():
    frames = DtcFrames()
    frames.feed(b"\x03\x00\x01\x00")
    with pytest.raises(FormatError, match="cannot have 3 bytes"):
        frames.next()
    frames = DtcFrames()
    frames.encoding = Encoding.JSON
    frames.feed(b"{" * (1 << 20) + b"{{")
    with pytest.raises(FormatError, match="has more than 1048576 bytes"):
        frames.next()
