"""The resolved identity of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from raingauge.contract import Scope


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that was found valid, as the edge and the reads see it. The token itself is nowhere in it."""

    customer: str
    token_id: str
    label: str
    scopes: frozenset[Scope]
    tier: str = ""
    expires_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes
