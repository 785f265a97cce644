"""The public keys by which an issuer's JWTs are checked: fetched, kept, renewed; never waited for in vain.

    kid known ─────────────────▶ key at once; an old set is renewed meanwhile
    kid unknown ─▶ asked lately? ─ no ─▶ fetch, then look again      (the issuer has rotated its keys)
                       └─ yes ────────▶ none                         (made-up kids cause no traffic)

A set that cannot be renewed stays good for a day: an outage of the issuer locks nobody out.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import httpx
import msgspec
import structlog
from jwt import PyJWK, PyJWKSet

log = structlog.get_logger()

RENEW_SECONDS: Final = 600.0
KEEP_SECONDS: Final = 86_400.0
PAUSE_SECONDS: Final = 10.0
"""Least time between two fetches, whatever is asked for."""

FETCH_SECONDS: Final = 5.0
SET_MAX_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    fetched_at: float = float("-inf")


class SigningKeys:
    """The keys of one issuer. `find` is for event loops; one thread does all fetching, one fetch at a time."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to fetch at once and does not wait for it."""
        self._url = url
        self._clock = clock
        self._set = _KeySet()
        self._tried_at = float("-inf")
        self._fetching: Future[None] | None = None
        self._lock = Lock()
        self._failing = False
        self._tls = ssl.create_default_context()  # takes a while, so not on the event loop
        self._thread = ThreadPoolExecutor(1, "signing-keys")
        self._fetch_soon()

    async def find(self, key_id: str) -> PyJWK | None:
        """The key with this id, or None when the issuer has none or cannot be asked."""
        if fresh := self._kept(key_id, RENEW_SECONDS):
            return fresh
        key = self._kept(key_id, KEEP_SECONDS)
        fetching = self._fetch_soon()
        if key is not None or fetching is None:
            return key
        await asyncio.shield(asyncio.wrap_future(fetching))
        return self._kept(key_id, KEEP_SECONDS)

    def _kept(self, key_id: str, seconds: float) -> PyJWK | None:
        """The key, if the set that it is in was fetched within this time."""
        return self._set.keys.get(key_id) if self._clock() - self._set.fetched_at < seconds else None

    def _fetch_soon(self) -> Future[None] | None:
        """The fetch under way or a new one, or None when the last one is too short ago."""
        with self._lock:
            if self._fetching is not None and not self._fetching.done():
                return self._fetching
            if self._clock() - self._tried_at < PAUSE_SECONDS:
                return None
            self._tried_at = self._clock()
            self._fetching = self._thread.submit(self._fetch)
            return self._fetching

    def _fetch(self) -> None:
        try:
            found = PyJWKSet.from_dict(msgspec.json.decode(self._download(), type=dict))
        except Exception as error:  # noqa: BLE001 - whatever the issuer answers, the keys we have stay good
            if not self._failing:
                log.warning("keys for sign-in are not renewed", action="keys.failed", error=type(error).__name__)
            self._failing = True
            return
        keys = {key.key_id: key for key in found.keys if key.key_id and key.public_key_use in ("sig", None)}
        self._set = _KeySet(keys, self._clock())
        if self._failing:
            log.info("keys for sign-in are renewed again", action="keys.recovered")
        self._failing = False

    def _download(self) -> bytes:
        """The key set as sent. Raises httpx.HTTPError, also when it takes too long or is too large."""
        deadline = time.monotonic() + FETCH_SECONDS
        body = b""
        with (
            httpx.Client(verify=self._tls, timeout=FETCH_SECONDS) as http,
            http.stream("GET", self._url, headers={"Accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes():
                body += part
                if len(body) > SET_MAX_BYTES or time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the key set is too large or comes too slowly")
        return body
