"""Frames of the DTC protocol in binary, JSON and compact JSON.

A binary message begins with its size and type. A JSON message is an object that ends with a
byte 0; compact JSON writes market data as ``{"Type":112,"F":[...]}``, its fields in the order
of the structure, and everything else as plain JSON does. Variable-length strings and protocol
buffers are not spoken here.
"""

from typing import NamedTuple

import msgspec

from mia.core.dtc.layout import Values
from mia.core.dtc.messages import BY_NAME, BY_NUMBER, MARKET_DATA, Encoding
from mia.errors import FormatError

LONGEST = 1 << 20


class DtcMessage(NamedTuple):
    """A message: its name and its fields; one that is not known here has its type alone."""

    name: str
    values: Values


def encode(encoding: Encoding, name: str, values: Values) -> bytes:
    """Return the bytes of a message.

    Raises
    ------
    FormatError
        If a value does not fit.
    """
    layout = BY_NAME[name]
    binary = layout.encode(values)
    if encoding is Encoding.BINARY:
        return binary
    if encoding is Encoding.JSON_COMPACT and layout.number in MARKET_DATA:
        listed = list(layout.decode(binary).values())
        return msgspec.json.encode({"Type": layout.number, "F": listed}) + b"\0"
    given = {key: value for key, value in values.items() if value is not None}
    return msgspec.json.encode({"Type": layout.number, **given}) + b"\0"


def decode(encoding: Encoding, frame: bytes) -> DtcMessage:
    """Return the message in a frame.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    if encoding is Encoding.BINARY:
        number = int.from_bytes(frame[2:4], "little")
        layout = BY_NUMBER.get(number)
        if layout is None:
            return DtcMessage("", {"Type": number})
        return DtcMessage(layout.name, layout.decode(frame))
    try:
        content = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"a DTC message is no JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("Type"), int):
        raise FormatError(f"a DTC message has no type: {frame[:80]!r}")
    layout = BY_NUMBER.get(content["Type"])
    if layout is None:
        return DtcMessage("", {"Type": content["Type"]})
    listed = content.get("F")
    if listed is not None:
        names = [name for name, _ in layout.fields]
        # A list of another length would put values into fields that are not theirs.
        if not isinstance(listed, list) or len(listed) != len(names):
            raise FormatError(f"{layout.name}: F must list {len(names)} values, was {listed!r}")
        content = dict(zip(names, listed, strict=True))
    return DtcMessage(layout.name, layout.checked(content))


class DtcFrames:
    """Cuts a stream of bytes into frames.

    Attributes
    ----------
    encoding : Encoding
        Of the frames that come next; it may be changed between two of them.
    """

    def __init__(self) -> None:
        self.encoding = Encoding.BINARY
        self._data = bytearray()
        self._begin = 0

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        if self._begin:
            del self._data[: self._begin]
            self._begin = 0
        self._data += data

    def next(self) -> bytes | None:
        """Return the next frame that is complete, None if there is none.

        Raises
        ------
        FormatError
            If the size of a message cannot be, or one has no end.
        """
        begin, there = self._begin, len(self._data) - self._begin
        if self.encoding is Encoding.BINARY:
            if there < 4:
                return None
            size = int.from_bytes(self._data[begin : begin + 2], "little")
            if size < 4:
                raise FormatError(f"a DTC message cannot have {size} bytes")
            if there < size:
                return None
            self._begin += size
            return bytes(self._data[begin : begin + size])
        end = self._data.find(0, begin)
        if end < 0:
            if there > LONGEST:
                raise FormatError(f"a DTC message has more than {LONGEST} bytes")
            return None
        self._begin = end + 1
        return bytes(self._data[begin:end])
