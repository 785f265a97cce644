"""The outermost fields of a protobuf message, found without building anything.

A library would make an object for each of millions of empty fields; walking over them costs no memory, so a hostile
body can be refused for its number of parts. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class Malformed(Exception):
    """A body that is not what its encoding says. The message names a place, never content."""


class TooManyParts(Malformed):
    """A body with more parts than a sender would ever fill into it."""


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each length-delimited field, in order; other fields are passed over.

    Raises Malformed where the message ends early or has what no current encoder writes.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _LENGTH:
            size, start = _varint(message, at)
            at = start + size
            if at <= end:
                yield number, message[start:at]
        elif wire_type == _VARINT:
            _, at = _varint(message, at)
        elif wire_type in {_FIXED64, _FIXED32}:
            at += 8 if wire_type == _FIXED64 else 4
        else:
            at = end + 1
        if at > end or number == 0:
            raise Malformed("protobuf message")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise Malformed("protobuf message")
