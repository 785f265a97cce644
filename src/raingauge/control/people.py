"""Readable names behind the keyed hashes of people, encrypted.

Facts know a person only by a keyed hash. The name stands here and nowhere else, so forgetting it makes the
person's facts anonymous at once.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from raingauge.contract import Person
from raingauge.control.database import Database
from raingauge.control.tables import CUSTOMERS, PEOPLE

log = structlog.get_logger()

KNOWN_MAX: Final = 50_000
"""How many people are remembered in memory, so that seeing them again costs no transaction."""

LISTED_MAX: Final = 10_000
"""How many people a list holds: each name has to be decrypted."""

_NONCE_BYTES: Final = 12
_KEYS_PER_QUERY: Final = 1_000


class People:
    """The people table. Safe to use from any thread; one instance per process."""

    def __init__(self, database: Database, master_key: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"raingauge people names").derive(master_key)
        self._database = database
        self._cipher = AESGCM(derived)
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def remember(self, customer: str, people: Iterable[Person]) -> None:
        """Keep the names of people; a newer name replaces an older one.

        Costs nothing for those who are known already. For a customer that does not exist nothing is kept.
        """
        with self._lock:
            # Sorted, so that two servers on one PostgreSQL take the row locks in the same order.
            fresh = sorted({person.key: person.name for person in people if self._is_new(customer, person)}.items())
            if not fresh:
                return
            with self._database.write() as db:
                if not _hold(db, customer):
                    return
                insert = (postgresql if db.dialect.name == "postgresql" else sqlite).insert(PEOPLE)
                db.execute(
                    insert.on_conflict_do_update(
                        index_elements=[PEOPLE.c.customer_id, PEOPLE.c.person_key],
                        set_={"name": insert.excluded.name},
                    ),
                    [
                        {"customer_id": customer, "person_key": key, "name": self._sealed(customer, key, name)}
                        for key, name in fresh
                    ],
                )
            self._known.update({(customer, key): name for key, name in fresh})
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)

    def names(self, customer: str, keys: Sequence[str]) -> dict[str, str]:
        """Name by key. Keys without a name, or with one under another master key, are left out."""
        found: dict[str, str] = {}
        unreadable = 0
        with self._database.read() as db:
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                chosen = PEOPLE.c.person_key.in_(keys[start : start + _KEYS_PER_QUERY])
                query = select(PEOPLE.c.person_key, PEOPLE.c.name).where(PEOPLE.c.customer_id == customer, chosen)
                for key, sealed in db.execute(query):
                    try:
                        found[key] = self._opened(customer, key, sealed)
                    except InvalidTag:
                        unreadable += 1
        if unreadable:
            log.warning("names cannot be decrypted with this master key", action="people.unreadable", count=unreadable)
        return found

    def listed(self, customer: str, limit: int = LISTED_MAX) -> tuple[list[Person], bool]:
        """People of a customer in the order of their names, at most so many, and whether there are more."""
        with self._database.read() as db:
            query = select(PEOPLE.c.person_key).where(PEOPLE.c.customer_id == customer).limit(limit + 1)
            keys = [key for (key,) in db.execute(query)]
        named = [Person(key, name) for key, name in self.names(customer, keys[:limit]).items()]
        return sorted(named, key=lambda person: (person.name.casefold(), person.key)), len(keys) > limit

    def forget(self, customer: str, key: str) -> bool:
        """Delete one person's name; whether there was one."""
        with self._lock, self._database.write() as db:
            self._known.pop((customer, key), None)
            deleted = db.execute(
                PEOPLE.delete().where(PEOPLE.c.customer_id == customer, PEOPLE.c.person_key == key)
            ).rowcount
        return deleted > 0

    def forget_all(self, customer: str) -> int:
        """Delete the names of all people of a customer; how many."""
        with self._lock, self._database.write() as db:
            for known in [known for known in self._known if known[0] == customer]:
                del self._known[known]
            return db.execute(PEOPLE.delete().where(PEOPLE.c.customer_id == customer)).rowcount

    def _is_new(self, customer: str, person: Person) -> bool:
        known = (customer, person.key)
        if self._known.get(known) != person.name:
            return True
        self._known.move_to_end(known)
        return False

    def _sealed(self, customer: str, key: str, name: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, name.encode("utf-8", "replace"), _owner(customer, key))

    def _opened(self, customer: str, key: str, sealed: bytes) -> str:
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _owner(customer, key)).decode()


def _owner(customer: str, key: str) -> bytes:
    """Authenticated along with the name, so that a row copied to another person or customer does not open."""
    return f"{customer}\0{key}".encode()


def _hold(db: Connection, customer: str) -> bool:
    """Whether the customer exists; it cannot be deleted before this transaction ends."""
    query = select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.customer_id == customer)
    return db.execute(query.with_for_update(read=True, key_share=True)).one_or_none() is not None
