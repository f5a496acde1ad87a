"""Frames and fields of the TWS socket protocol in its text era (server versions up to 200).

A frame is a length of four bytes, big-endian, and fields of text, each ended by NUL. Reading is
strict: a field that is missing, left over or not what it should be raises `WireError`.
"""

import math
import re
import struct
from collections.abc import Sequence
from decimal import Decimal

from mia.errors import FormatError

__all__ = [
    "MAX_FRAME",
    "UNSET_DOUBLE",
    "UNSET_INT",
    "Fields",
    "FrameReader",
    "WireError",
    "double",
    "frame",
    "payload",
    "text",
]

MAX_FRAME = 0x00FF_FFFF
"""Longest payload that the real gateway and the official clients accept, bytes."""

UNSET_INT = "2147483647"
UNSET_DOUBLE = "1.7976931348623157E308"
UNSET_LONG = "9223372036854775807"
UNSET_DECIMAL = "170141183460469231731687303715884105727"
_UNSET_NUMBERS = {"", UNSET_INT, UNSET_LONG, UNSET_DECIMAL}

INFINITE = "Infinite"

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"1": True, "0": False, "True": True, "False": False, "true": True, "false": False}
_LENGTH = struct.Struct(">I")

Value = str | int | float | None


class WireError(FormatError):
    """A frame or a field is not what the protocol calls for."""


def double(value: float) -> str:
    """Spell a double as the gateway does: shortest digits, an exponent from 1E7 on and below 1E-3.

    Infinity is ``Infinite``.

    Raises
    ------
    WireError
        If it is not a number.
    """
    if math.isnan(value):
        raise WireError("a number on the wire must not be nan")
    if math.isinf(value):
        return INFINITE if value > 0 else "-" + INFINITE
    size = abs(value)
    if size == 0.0 or 1e-3 <= size < 1e7:
        return repr(float(value))
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    whole = "".join(map(str, digits))
    power = int(exponent) + len(whole) - 1
    return f"{'-' if sign else ''}{whole[0]}.{whole[1:] or '0'}E{power}"


def text(value: Value) -> str:
    """Spell one value as a field; None is an empty one.

    Raises
    ------
    WireError
        If it is a float that is not a number.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    return double(value)


def payload(fields: Sequence[Value]) -> bytes:
    """Return the payload of a frame.

    Characters beyond ASCII are escaped as Java does: backslash, ``u``, four hex digits.

    Raises
    ------
    WireError
        If a text holds a NUL, or a float is not a number.
    """
    try:
        # Ticks, which are most of what is sent, are texts already.
        whole = "\0".join(fields)  # type: ignore[arg-type]  # others raise
    except TypeError:
        whole = "\0".join(map(text, fields))
    if whole.count("\0") != max(len(fields) - 1, 0):
        raise WireError("a field must not hold a NUL")
    if not whole.isascii():
        whole = "".join(map(_escaped, whole))
    return (whole + "\0").encode("ascii") if fields else b""


def _escaped(character: str) -> str:
    if character.isascii():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


def frame(fields: Sequence[Value]) -> bytes:
    """Return a whole frame: length and payload.

    Raises
    ------
    WireError
        See `payload`; also if it is longer than a frame may be.
    """
    body = payload(fields)
    if len(body) > MAX_FRAME:
        raise WireError(f"a frame holds at most {MAX_FRAME} bytes, not {len(body)}")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into payloads."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._data)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived and return the payloads that are complete.

        Raises
        ------
        WireError
            If a length is impossible. Framing is lost then: the connection is of no more use.
        """
        self._data += data
        done = []
        start = 0
        while len(self._data) - start >= 4:
            (length,) = _LENGTH.unpack_from(self._data, start)
            if not 0 < length <= MAX_FRAME:
                raise WireError(f"a frame must be 1 to {MAX_FRAME} bytes long, was {length}")
            stop = start + 4 + length
            if len(self._data) < stop:
                break
            done.append(bytes(self._data[start + 4 : stop]))
            start = stop
        del self._data[:start]
        return done


class Fields:
    """Reads the fields of one payload in order.

    Parameters
    ----------
    body : bytes
        Payload, ended by NUL.

    Raises
    ------
    WireError
        If the payload does not end with NUL or is not UTF-8.
    """

    __slots__ = ("_next", "_values")

    def __init__(self, body: bytes) -> None:
        if not body.endswith(b"\0"):
            raise WireError("a payload must end with NUL")
        try:
            whole = body.decode("utf-8")
        except UnicodeDecodeError:
            raise WireError("a payload must be text") from None
        self._values = whole.split("\0")
        self._values.pop()
        self._next = 0

    @property
    def left(self) -> int:
        """Fields not read yet."""
        return len(self._values) - self._next

    def text(self, name: str) -> str:
        """Read a text.

        Raises
        ------
        WireError
            If no field is left.
        """
        if self._next >= len(self._values):
            raise WireError(f"the message ends before {name}")
        value = self._values[self._next]
        self._next += 1
        return value

    def integer(self, name: str) -> int:
        """Read an integer.

        Raises
        ------
        WireError
            If no field is left or it is none.
        """
        value = self.text(name)
        if not _INTEGER.fullmatch(value):
            raise WireError(f"{name} must be an integer, was {value[:40]!r}")
        return int(value)

    def optional_integer(self, name: str) -> int | None:
        """Read an integer that may be unset: an empty field or the largest number.

        Raises
        ------
        WireError
            If no field is left or it is none.
        """
        if self._peek(name) in _UNSET_NUMBERS:
            self._next += 1
            return None
        return self.integer(name)

    def number(self, name: str) -> float:
        """Read a finite number.

        Raises
        ------
        WireError
            If no field is left or it is none.
        """
        value = self.text(name)
        if not _NUMBER.fullmatch(value) or math.isinf(float(value)):
            raise WireError(f"{name} must be a number, was {value[:40]!r}")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """Read a number that may be unset (empty or the largest), or infinite.

        Raises
        ------
        WireError
            If no field is left or it is none.
        """
        value = self._peek(name)
        if value in (INFINITE, "Infinity"):
            self._next += 1
            return math.inf
        if value in _UNSET_NUMBERS or value.upper().replace("+", "") == UNSET_DOUBLE:
            self._next += 1
            return None
        return self.number(name)

    def boolean(self, name: str) -> bool:
        """Read a truth value.

        Raises
        ------
        WireError
            If no field is left or it is none.
        """
        value = self.text(name)
        if value not in _BOOLEANS:
            raise WireError(f"{name} must be 0 or 1, was {value[:40]!r}")
        return _BOOLEANS[value]

    def end(self) -> None:
        """Make sure that nothing is left.

        Raises
        ------
        WireError
            If fields are left.
        """
        if self.left:
            raise WireError(f"{self.left} fields too many, from {self._values[self._next][:40]!r}")

    def _peek(self, name: str) -> str:
        value = self.text(name)
        self._next -= 1
        return value
