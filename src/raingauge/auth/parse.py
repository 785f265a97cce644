"""Finding the token in a request's headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEMES: Final = ("Bearer ", "ClientSecret ")
"""Compared exactly, as LoopGain's receiver does: a client that writes `bearer` is refused there as well."""


def presented(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer <token>` or `ClientSecret <token>`, or None.

    Header names are lower case. Spaces around the token do not matter.
    """
    value = headers.get("authorization", "")
    for scheme in SCHEMES:
        if value.startswith(scheme):
            return value.removeprefix(scheme).strip() or None
    return None


def is_jwt(token: str) -> bool:
    """Whether it has the form of a JWT: three parts. A token of ours has no dot."""
    return token.count(".") == 2
