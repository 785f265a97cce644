"""The resolved identity of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from raingauge.contract import Scope


class Via(StrEnum):
    """How a caller proved who it is. Values are API text."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    SESSION = "session"  # a cookie
    OIDC = "oidc"  # a JWT of Access or another OpenID Connect provider


@dataclass(frozen=True, slots=True)
class Credential:
    """A caller that was found valid, as the edge and the reads see it. No secret is in it.

    `token_id` is the token's id, or that of a member: rates are counted by it. `email` is empty for tokens.
    `session` is the hash by which a session can be ended, empty without one.
    """

    customer: str
    token_id: str
    label: str
    scopes: frozenset[Scope]
    tier: str = ""
    expires_at: datetime | None = None
    email: str = ""
    via: Via = Via.TOKEN
    session: str = ""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes
