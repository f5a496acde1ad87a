"""How messages of the DTC protocol lie in bytes: little endian, aligned as a C compiler does it."""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mia.errors import FormatError

UNSET_F8 = 1.7976931348623157e308
UNSET_F4 = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]

_CODES = {
    "i1": ("b", 1),
    "u1": ("B", 1),
    "u2": ("H", 2),
    "i4": ("i", 4),
    "u4": ("I", 4),
    "i8": ("q", 8),
    "f4": ("f", 4),
    "f8": ("d", 8),
}
_RANGES = {
    code: (-(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    if code[0] == "i"
    else (0, 2 ** (8 * width) - 1)
    for code, (_, width) in _CODES.items()
    if code[0] != "f"
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """One kind of message.

    Attributes
    ----------
    name : str
        As in ``LOGON_REQUEST``.
    number : int
        Its type on the wire.
    fields : tuple of (str, str)
        Name and kind of each field after size and type: ``i4``, ``u1``, ``f8``, ``s32``. A
        float may be unset, which is the largest number of its width in bytes and None here.
    pack : int
        Largest alignment, 8 or 1.
    """

    name: str
    number: int
    fields: tuple[tuple[str, str], ...]
    pack: int = 8

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte at which each field begins."""
        return self._placed[0]

    @cached_property
    def size(self) -> int:
        """Bytes of the message, size and type included."""
        return self._packer.size

    @cached_property
    def _placed(self) -> tuple[dict[str, int], str]:
        offsets, code, at, widest = {}, "<HH", 4, min(2, self.pack)
        for name, kind in self.fields:
            if kind[0] == "s":
                letter, width, align = f"{kind[1:]}s", int(kind[1:]), 1
            else:
                letter, width = _CODES[kind]
                align = min(width, self.pack)
            gap = -at % align
            code += f"{gap}x{letter}" if gap else letter
            offsets[name] = at + gap
            at += gap + width
            widest = max(widest, align)
        return offsets, code + f"{-at % widest}x"

    @cached_property
    def _packer(self) -> struct.Struct:
        return struct.Struct(self._placed[1])

    @cached_property
    def _empty(self) -> bytes:
        return self.encode({})

    def encode(self, values: Values) -> bytes:
        """Return the message in binary; what is not given is 0, empty or unset.

        Raises
        ------
        FormatError
            If a value does not fit its field, or there is no such field.
        """
        unknown = values.keys() - self.offsets.keys()
        if unknown:
            raise FormatError(f"{self.name} has no field {min(unknown)}")
        parts: list[Any] = [self._packer.size, self.number]
        for name, kind in self.fields:
            parts.append(_to_binary(self.name, name, kind, values.get(name)))
        return self._packer.pack(*parts)

    def decode(self, data: bytes) -> Values:
        """Return the fields of a message in binary.

        A message of an older version that lacks its last fields has them empty; what a newer
        one has behind them is passed over.
        """
        if len(data) < self._packer.size:
            data += self._empty[len(data) :]
        raw = self._packer.unpack_from(data)
        values: Values = {}
        for (name, kind), value in zip(self.fields, raw[2:], strict=True):
            if kind[0] == "s":
                values[name] = value.split(b"\0", 1)[0].decode("utf-8", "replace")
            elif value in {UNSET_F8, UNSET_F4} and kind[0] == "f":
                values[name] = None
            else:
                values[name] = value
        return values

    @cached_property
    def _rules(self) -> tuple[tuple[str, str, Any, int, int], ...]:
        """Name, kind in one letter, empty value and range of each field."""
        empty = {"s": "", "f": None}
        return tuple(
            (name, kind[0], empty.get(kind[0], 0), *_RANGES.get(kind, (0, 0)))
            for name, kind in self.fields
        )

    def checked(self, given: Values) -> Values:
        """Return all fields out of those of a JSON object; others are passed over.

        Raises
        ------
        FormatError
            If a value is not of the kind of its field.
        """
        values: Values = {}
        for name, kind, empty, low, high in self._rules:
            value = given.get(name)
            if value is None:
                values[name] = empty
                continue
            # Exact types: a truth value is an int to Python, and none to the protocol.
            found = type(value)
            if kind == "s":
                good = found is str
            elif kind == "f":
                good = found is float or (found is int and abs(value) < 2**63)
                if good:
                    value = None if value in {UNSET_F8, UNSET_F4} else float(value)
            else:
                good = found is int and low <= value <= high
            if not good:
                raise FormatError(f"{self.name}: {name} cannot be {value!r}")
            values[name] = value
        return values


def _to_binary(message: str, name: str, kind: str, value: Any) -> Any:
    if kind[0] == "s":
        text = str(value or "").encode("utf-8")
        # The last byte stays 0, as readers of C expect.
        if len(text) >= int(kind[1:]) or b"\0" in text:
            raise FormatError(
                f"{message}: {name} {value!r} has a byte 0 or more than {int(kind[1:]) - 1}"
            )
        return text
    if kind[0] == "f":
        if value is None:
            return UNSET_F8 if kind == "f8" else UNSET_F4
        return float(value)
    number = int(value or 0)
    low, high = _RANGES[kind]
    if not low <= number <= high:
        raise FormatError(f"{message}: {name} {number} does not fit {kind}")
    return number
