"""Values of OTLP/JSON in the spellings that senders use. None of these functions raises.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from raingauge.contracts.otlp.attributes import PRESENCE, Attributes, Value
from raingauge.contracts.otlp.wire import DEPTH_MAX, Whole, fingerprint
from raingauge.contracts.otlp.wire.messages import AnyValue, KeyValue

Allowed: TypeAlias = frozenset[str]

_UINT64_END: Final = 2**64
_INT64_END: Final = 2**63


def attributes_of(pairs: Sequence[KeyValue] | None, allowed: Allowed, shared: Attributes) -> Attributes:
    """The allowed attributes of a record, on top of those it shares with its resource."""
    found = shared.copy()
    for pair in pairs or ():
        if (key := pair.key) in allowed and (held := pair.value) is not None:
            # Most values are text; the rest is sorted out where it costs nobody else.
            if type(text := held.string_value) is str:
                if text and key not in PRESENCE:
                    found[key] = text
                elif key in PRESENCE:
                    found[key] = True
            elif key in PRESENCE:
                found[key] = True
            elif (value := value_of(held)) is not None:
                found[key] = value
    return found


def value_of(held: AnyValue) -> Value | None:
    """Text, number or boolean; None for lists, maps, bytes and nothing."""
    if type(held.string_value) is str:
        return held.string_value
    if type(held.bool_value) is bool:
        return held.bool_value
    if held.int_value is not None:
        return _int64(held.int_value)
    return double(held.double_value)


def whole_of(held: AnyValue | None, depth: int = 0) -> Whole:
    """Like `value_of`, with lists, maps and bytes."""
    if held is None or depth > DEPTH_MAX:
        return None
    if (plain := value_of(held)) is not None:
        return plain
    if (inner := _inner(held.array_value)) is not None:
        return [_nested(one, depth) for one in inner]
    if (inner := _inner(held.kvlist_value)) is not None:
        return {str(one.get("key")): _nested(one.get("value"), depth) for one in inner if isinstance(one, dict)}
    return _bytes(held.bytes_value) if isinstance(held.bytes_value, str) else None


def _inner(value: object) -> Sequence[Any] | None:
    """The members of a list or map."""
    if not isinstance(value, dict):
        return None
    inner = value.get("values")
    return inner if isinstance(inner, list) else ()


def _nested(value: object, depth: int) -> Whole:
    return whole_of(msgspec.convert(value, AnyValue), depth + 1) if isinstance(value, dict) else None


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except ValueError:
        return None


def _int64(value: object) -> int | None:
    """A 64-bit integer from a JSON number or its text."""
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_INT64_END <= value < _INT64_END else None


def double(value: object) -> float | None:
    """A double from a JSON number or one of the texts of the protobuf mapping (`NaN`, `Infinity`, `1.5`)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def identifier(value: str | None) -> bytes:
    """Bytes of a hexadecimal id in either case; empty when it is none."""
    if not value:
        return b""
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b""


def integer(value: object) -> int:
    """An enum's or counter's value; 0 when it is not a number."""
    return value if type(value) is int and -_INT64_END <= value < _INT64_END else _int64(value) or 0


def nanoseconds(value: object) -> int:
    """Nanoseconds since 1970 from text or number; 0, which means unknown, when they are not a uint64."""
    try:
        found = int(value) if isinstance(value, (str, int)) else 0
    except ValueError:
        return 0
    return found if 0 <= found < _UINT64_END else 0


def numbers(values: Sequence[Any] | None) -> list[float] | None:
    """Doubles; None when one of them is none."""
    found = [double(value) for value in values or ()]
    return None if None in found else [value for value in found if value is not None]


def all_of(pairs: Sequence[KeyValue] | None) -> str:
    """The fingerprint of all attributes, listed or not."""
    return fingerprint([(pair.key, whole_of(pair.value)) for pair in pairs or ()])
