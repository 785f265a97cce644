"""Most records of a message differ in ids, counts and times only, so what follows from all the rest is derived once."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar, TypeVarTuple

from raingauge.contracts.otlp.attributes import INDIVIDUAL, Attributes

REMEMBERED_MAX: Final = 256
"""Somebody could make up values whose hashes are all equal: among so many, finding one is quick nevertheless."""

DerivedT = TypeVar("DerivedT")
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
GivenTs = TypeVarTuple("GivenTs")
_Pick: TypeAlias = Callable[[Attributes], tuple[Any, ...]]


class Repeated(Generic[DerivedT, *GivenTs]):
    """`derive(attributes, *given)` for the records of one message, remembered for those that come again.

    Of the attributes in `INDIVIDUAL`, `derive` may know which there are, but not their values, unless the operator
    `configured` their keys.
    """

    def __init__(self, derive: Callable[[Attributes, *GivenTs], DerivedT], *configured: str) -> None:
        self._derive = derive
        self._individual = INDIVIDUAL.difference(configured)
        self._by_keys: dict[tuple[str, ...], tuple[_Pick, dict[Any, DerivedT]]] = {}

    def of(self, attributes: Attributes, *given: *GivenTs) -> DerivedT:
        keys = tuple(attributes)
        if (shape := self._by_keys.get(keys)) is None:
            shape = _remembered(self._by_keys, keys, (self._picker(keys), {}))
        pick, known = shape
        values = pick(attributes)
        # With their types: to Python 1, 1.0 and True are equal, but they do not mean the same.
        alike = given, values, tuple(map(type, values))
        if (found := known.get(alike)) is None:
            found = _remembered(known, alike, self._derive(attributes, *given))
        return found

    def _picker(self, keys: tuple[str, ...]) -> _Pick:
        """Takes the values that repeat out of attributes with these keys."""
        repeating = [key for key in keys if key not in self._individual]
        if len(repeating) > 1:
            return itemgetter(*repeating)
        # With one key or none, an itemgetter does not give a tuple.
        return lambda attributes: tuple(attributes[key] for key in repeating)


def _remembered(known: dict[KeyT, ValueT], key: KeyT, value: ValueT) -> ValueT:
    if len(known) >= REMEMBERED_MAX:
        known.clear()
    known[key] = value
    return value
