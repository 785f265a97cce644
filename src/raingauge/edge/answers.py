"""Response headers: the ones every answer carries, and CORS.

    path                allow-origin                 methods and headers
    / and /health       any                          GET, OPTIONS · Content-Type
    ingest routes       listed origins only          only on the preflight
    everything else     listed origins only          GET, POST, PUT, DELETE, OPTIONS · Authorization, Content-Type

An origin that is not listed gets the same answer without the allow header: its browser blocks it, a script does not
care.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from raingauge.contract import Answer
from raingauge.edge.ports import Event, Headers, Send

CACHE_CONTROL: Final = b"cache-control"
COMMON: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (CACHE_CONTROL, b"no-store"),
]
_OF_STATUS: Final[dict[int, Headers]] = {401: [(b"www-authenticate", b"Bearer")]}
"""RFC 9110 section 15.5.2: a 401 says what it wants."""

_OPEN: Final[Headers] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type"),
]
_LISTED: Final[Headers] = [
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"86400"),
    (b"vary", b"Origin"),
]
_OPEN_PATHS: Final = frozenset({"/", "/health"})


class Cors:
    """The CORS headers for a request, precomputed per listed origin."""

    def __init__(self, origins: str) -> None:
        listed = [origin.strip().rstrip("/").encode() for origin in origins.split(",") if origin.strip()]
        self._ingest = {origin: [(b"access-control-allow-origin", origin), (b"vary", b"Origin")] for origin in listed}
        self._api = {origin: [(b"access-control-allow-origin", origin), *_LISTED] for origin in listed}

    def api(self, path: str, origin: bytes) -> Headers:
        """For reads, unknown paths and preflights."""
        return _OPEN if path in _OPEN_PATHS else self._api.get(origin, _LISTED)

    def ingest(self, origin: bytes) -> Headers:
        """For the answer to a POST; nothing for a client that is no browser."""
        return self._ingest.get(origin, [])


def with_common(status: int, headers: Headers, extra: Headers) -> Headers:
    """An application's headers, what every answer of this status carries and `extra`; what is there already stays."""
    present = {name.lower() for name, _ in headers}
    common = (*COMMON, *_OF_STATUS.get(status, ()), *extra)
    return [*headers, *((name, value) for name, value in common if name not in present or name == b"vary")]


@lru_cache(maxsize=256)
def _encoded(status: int, headers: tuple[tuple[str, str], ...]) -> Headers:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return with_common(status, encoded, [])


def headers_of(answer: Answer, extra: Iterable[tuple[bytes, bytes]] = ()) -> Headers:
    """The answer's own headers, the common ones, Content-Length and `extra`."""
    headers = [*_encoded(answer.status, _pairs(answer.headers)), *extra]
    # RFC 9110 section 8.6: a 204 has no Content-Length.
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return headers


async def respond(send: Send, answer: Answer, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": headers_of(answer, extra)})
    await send(_body(answer.body))


def _pairs(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return headers if isinstance(headers, tuple) else tuple(headers)


def _body(body: bytes) -> Event:
    return {"type": "http.response.body", "body": body}
