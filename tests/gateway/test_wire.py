"""Frames and fields survive the way there and back; whatever is not a frame is refused."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.gateway.protocol.wire import (
    MAX_FRAME,
    UNSET_DOUBLE,
    UNSET_INT,
    Fields,
    FrameReader,
    WireError,
    double,
    frame,
    payload,
    text,
)

TEXTS = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=30)
VALUES = st.one_of(
    TEXTS,
    st.integers(-(2**62), 2**62),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=8), max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_frames_arrive_as_they_were_sent_however_the_stream_is_cut(messages, data):
    stream = b"".join(frame(fields) for fields in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, got = FrameReader(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:stop])
    assert got == [payload(fields) for fields in messages]
    assert reader.pending == 0


@given(st.lists(VALUES, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_fields_read_back_what_was_written(values):
    fields = Fields(payload(values))
    for value in values:
        if isinstance(value, bool):
            assert fields.boolean("x") is value
        elif isinstance(value, int):
            assert fields.integer("x") == value
        elif isinstance(value, float):
            assert fields.number("x") == value
        else:
            assert fields.text("x") == value
    fields.end()


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_payload_that_is_cut_anywhere_is_refused(values):
    whole = payload(values)
    for stop in range(len(whole)):
        with pytest.raises(WireError):
            read_texts(whole[:stop], len(values))


def read_texts(body, count):
    fields = Fields(body)
    return [fields.text("x") for _ in range(count)]


def test_a_field_left_over_is_refused():
    fields = Fields(b"1\x002\0")
    fields.integer("x")
    with pytest.raises(WireError, match="1 fields too many, from '2'"):
        fields.end()


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_ends_the_connection(length):
    with pytest.raises(WireError, match="a frame must be 1 to"):
        FrameReader().feed(struct.pack(">I", length))


@pytest.mark.parametrize("value", ["", "x", "1.5", "+1", " 1", "1_000", "\u0661", "1e3", "9" * 20])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(WireError, match="size must be an integer"):
        Fields(value.encode() + b"\0").integer("size")


@pytest.mark.parametrize("value", ["", "nan", "NaN", "inf", "1e999", "0x1", "1,5", "--1", "."])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(WireError, match="price must be a number"):
        Fields(value.encode() + b"\0").number("price")


@pytest.mark.parametrize("value", ["", "2", "yes", "TRUE", "01"])
def test_what_is_no_truth_value_is_refused(value):
    with pytest.raises(WireError, match="transmit must be 0 or 1"):
        Fields(value.encode() + b"\0").boolean("transmit")


@pytest.mark.parametrize("value", ["", UNSET_INT, UNSET_DOUBLE, "1.7976931348623157e+308"])
def test_the_unset_number_is_none(value):
    assert Fields(value.encode() + b"\0").optional_number("price") is None


def test_infinity_is_a_price_offset():
    assert Fields(b"Infinite\0").optional_number("offset") == math.inf
    assert double(math.inf) == "Infinite"


@pytest.mark.parametrize("body", [b"", b"1", b"\xff\0", b"1\x002"])
def test_a_payload_must_be_text_that_ends_with_nul(body):
    with pytest.raises(WireError):
        Fields(body)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (5000.25, "5000.25"),
        (0.0, "0.0"),
        (12_500_000.0, "1.25E7"),
        (1e7, "1.0E7"),
        (0.0005, "5.0E-4"),
        (-123456789.5, "-1.234567895E8"),
        (1.7976931348623157e308, UNSET_DOUBLE),
    ],
)
def test_doubles_are_spelled_as_java_spells_them(value, spelled):
    assert double(value) == spelled
    assert float(spelled) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_a_double_reads_back_to_the_bit(value):
    assert float(double(value)) == value


def test_a_number_that_is_none_never_reaches_the_wire():
    with pytest.raises(WireError, match="nan"):
        text(math.nan)


def test_a_nul_in_a_text_never_reaches_the_wire():
    with pytest.raises(WireError, match="NUL"):
        payload(["a\0b"])


def test_letters_beyond_ascii_are_escaped():
    assert payload(["Z\u00fcrich", "\U0001f600"]) == b"Z\\u00fcrich\x00\\ud83d\\ude00\0"
