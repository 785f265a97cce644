"""Who did it: a keyed hash on every row, a readable name on the side."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final

from raingauge.contract import Person, Received
from raingauge.contracts.otlp.attributes import Attributes, text
from raingauge.contracts.otlp.knobs import PEOPLE_NAMES
from raingauge.contracts.otlp.sources import Source

_EMAIL: Final = "user.email"
_IDS: Final = ("user.account_uuid", "user.account_id", "user.id", "enduser.id", "enduser.sub", "installation.id")


@lru_cache(maxsize=8192)
def person_key(identity_key: bytes, customer: str, value: str) -> str:
    """32 hex digits that stand for a person of this customer.

    HMAC-SHA256 of customer and value under the installation's secret, cut to 16 bytes: equal for equal people,
    useless to anybody without the key, and different for the same person at another customer.
    """
    digest = hmac.digest(identity_key, f"{customer}\0{value}".encode(errors="replace"), hashlib.sha256)
    return digest[:16].hex()


def person_keys(name: str, customer: str, identity_key: bytes) -> set[str]:
    """The keys of whoever has this e-mail address, account or id."""
    return {person_key(identity_key, customer, value) for value in (name, name.lower())}


class People:
    """Keys of the people in one message, and their readable names."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._names: dict[str, str] = {}
        self._readable = received.settings[PEOPLE_NAMES]

    def key(self, source: Source, attributes: Attributes) -> str:
        """The person's key, from the e-mail address, else the account, else the pseudonymous id; empty for nobody.

        The user of any other service is that service's customer, not one of the people who use agents: nobody.
        """
        if source is Source.OTHER:
            return ""
        email = attributes.get(_EMAIL)
        if isinstance(email, str) and (name := email.strip().lower()):
            key = person_key(self._received.identity_key, self._received.customer, name)
            if self._readable:
                self._names[key] = name[:320]
            return key
        for candidate in _IDS:
            if value := text(attributes.get(candidate)):
                return person_key(self._received.identity_key, self._received.customer, value)
        return ""

    def named(self) -> list[Person]:
        return [Person(key, name) for key, name in self._names.items()]
