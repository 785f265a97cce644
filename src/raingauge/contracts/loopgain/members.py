"""Reading JSON the way the published clients expect: lenient in syntax, exact about each member that is stored.

The rules are those of a JavaScript receiver: every number is a double, `1e999` is infinity, a byte order mark and
broken UTF-8 are no errors, the last of two equal keys wins, and text is measured in UTF-16 code units.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from raingauge.errors import Reason, Refused

SAFE_INTEGER: Final = 2.0**53
"""Counts and amounts stay below this, so that sums of millions of them are still finite numbers."""


def _no_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's own extension of JSON."""
    raise ValueError(name)


def _whole(text: str) -> float:
    """A number without point and exponent; -0 is 0, as a JavaScript program writes it."""
    return float(text) + 0.0


_DECODER: Final = json.JSONDecoder(parse_int=_whole, parse_constant=_no_constant)


def read_json(body: bytes) -> Any:
    """The value of a JSON text; every number in it is a float.

    Raises Refused(INVALID_JSON), also for text that nests too deeply to be read.
    """
    try:
        return _DECODER.decode(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        raise Refused(Reason.INVALID_JSON) from None


def invalid(field: str, expected: str) -> Refused:
    """The refusal of one member. `field` is its path in the wire format; nothing the client sent is repeated."""
    return Refused(Reason.INVALID_PAYLOAD, f"{field}: expected {expected}", extra={"field": field})


class Members:
    """The members of one JSON object. Every method raises Refused(INVALID_PAYLOAD) that names the member."""

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise invalid(path or "body", "an object")
        self._members: dict[str, Any] = value
        self._path = path

    def field(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def invalid(self, key: str, expected: str) -> Refused:
        found = "" if key in self._members else " (it is missing)"
        return invalid(self.field(key), expected + found)

    def get(self, key: str) -> Any:
        return self._members.get(key)

    def items(self) -> list[tuple[str, Any]]:
        return list(self._members.items())

    def object(self, key: str) -> Members:
        if not isinstance(self.get(key), dict):
            raise self.invalid(key, "an object")
        return Members(self.get(key), self.field(key))

    def array(self, key: str, most: int) -> list[Any]:
        """A list of at most `most` entries."""
        value = self.get(key)
        if not isinstance(value, list) or len(value) > most:
            raise self.invalid(key, f"an array of at most {most:,} entries")
        return value

    def text(self, key: str, most: int, least: int = 0) -> str:
        """Text as `storable_text` gives it."""
        text = storable_text(self.get(key), most, least)
        if text is None:
            raise self.invalid(key, f"text of {least} to {most} characters")
        return text

    def text_or_none(self, key: str, most: int) -> str | None:
        """`text`, or None when the member is null or absent."""
        return None if self.get(key) is None else self.text(key, most)

    def boolean(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.invalid(key, "true or false")
        return value

    def number(self, key: str, limit: float = math.inf) -> float:
        """A finite number between -limit and limit."""
        value = self.get(key)
        if not is_number(value) or abs(value) > limit:
            raise self.invalid(key, "a number")
        return float(value)

    def number_or_null(self, key: str, limit: float = math.inf) -> float | None:
        """A number; null and infinity give None. The member itself must be there."""
        if key not in self._members:
            raise self.invalid(key, "a number or null")
        return self.optional_number(key, limit)

    def optional_number(self, key: str, limit: float = math.inf, least: float = -math.inf) -> float | None:
        """A number of at least `least`; absent, null and infinity give None."""
        value = self.get(key)
        if value is None or (isinstance(value, float) and math.isinf(value)):
            return None
        if not is_number(value) or abs(value) > limit or value < least:
            raise self.invalid(key, "a number or null" if least == -math.inf else f"a number from {least:g} or null")
        return float(value)

    def optional_count(self, key: str) -> int | None:
        """A whole number from 0; absent and null give None."""
        value = self.get(key)
        if value is None:
            return None
        if not is_count(value):
            raise self.invalid(key, "a whole number from 0, or null")
        return int(value)

    def lenient_number(self, key: str, limit: float = math.inf) -> float | None:
        """A finite number, or None for anything else."""
        value = self.get(key)
        return float(value) if is_number(value) and abs(value) <= limit else None


def is_number(value: Any) -> bool:
    """Whether a member is a finite number; JSON's true is none."""
    return isinstance(value, float) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether a member is a whole number from 0 that JSON readers keep exactly."""
    return isinstance(value, float) and value.is_integer() and 0 <= value < SAFE_INTEGER


def storable_text(value: Any, most: int, least: int = 0) -> str | None:
    """Text of `least` to `most` UTF-16 code units, each half of a surrogate pair replaced by U+FFFD; else None."""
    if not isinstance(value, str):
        return None
    if value.isascii():
        return value if least <= len(value) <= most else None
    units = value.encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace") if least <= len(units) // 2 <= most else None
