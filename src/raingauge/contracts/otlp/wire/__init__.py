"""What both encodings become: blocks of plain tuples that carry only allowed attributes.

    JSON ─────▶ json.py ─────┐
                             ├──▶ Block(resource, scope, records) ──▶ decode/ builds rows
    protobuf ─▶ protobuf.py ─┘

A record that cannot be read is `None`; it still takes its position, so that it is counted as one reject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from raingauge.contracts.otlp.attributes import Attributes, Value

RecordT = TypeVar("RecordT")

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

Span: TypeAlias = tuple[bytes, bytes, bytes, str, int, int, int, int, Attributes]
"""trace id, span id, parent's span id (empty: none), name, kind, start ns, end ns, status code, attributes."""

Buckets: TypeAlias = tuple[list[float], list[int]]
"""Upper bounds in ascending order and how many values fell into each bucket; empty buckets are left out."""


class Point(NamedTuple):
    """A data point of any kind. `value` is a histogram's sum and `entries` how many values it holds; `buckets` is None when they contradict themselves.

    `all_attributes` is text that is equal for equal attribute sets, listed or not. It is only ever hashed.
    """

    metric: str
    kind: str
    temporality: int
    start_ns: int
    time_ns: int
    value: float | None
    entries: int
    minimum: float | None
    maximum: float | None
    buckets: Buckets | None
    all_attributes: str
    attributes: Attributes


class Log(NamedTuple):
    """A log record. `body` is its text, or empty; it is only ever compared with names and hashed.

    `all_attributes` gives text like a point's, of the body too where it is no text. It takes long and is seldom
    needed: most senders number their records.
    """

    time_ns: int
    event_name: str
    body: str
    severity: int
    trace_id: bytes
    span_id: bytes
    all_attributes: Callable[[], str]
    attributes: Attributes


@dataclass(slots=True)
class Block(Generic[RecordT]):
    """The records of one resource and one scope. Attributes of records already include those of the resource.

    `all_attributes` tells resource and scope from all others, listed or not.
    """

    resource: Attributes
    scope: str
    records: list[RecordT | None]
    all_attributes: str = ""


Whole: TypeAlias = "Value | bytes | list[Whole] | dict[str, Whole] | None"
"""Any value of an attribute, listed or not. It is only ever hashed."""

DEPTH_MAX: Final = 32
"""Lists and maps that are nested deeper than so many levels count as no value: reading them must not end the stack."""

Read: TypeAlias = Callable[[bytes, frozenset[str]], Iterator[Block[RecordT]]]
"""Reads one signal in one encoding; the set is the allow-list."""


def fingerprint(pairs: list[tuple[str, Whole]]) -> str:
    """Text that is equal for equal attributes in any order and either encoding, and different for different ones."""
    return "\0".join(
        sorted(f"{key}={value!r}" if type(value) is str else f"{key}={_text(value)}" for key, value in pairs)
    )


def stream(resource: str, version: str, scope: str) -> str:
    """A block's `all_attributes` of the fingerprints of its resource and scope and the scope's version."""
    return f"{resource}\n{version}\n{scope}"


def content(attributes: str, body: Whole) -> str:
    """A log's `all_attributes`: with the body, where it is no text."""
    return attributes if body is None or isinstance(body, str) else f"{attributes}\n{_text(body)}"


def _text(value: Whole) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{key!r}:{_text(inner)}' for key, inner in value.items()))}}}"
    # A whole double and an integer are one value: JavaScript senders cannot tell them apart.
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)
