from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from edge_parts import Parts  # type: ignore[import-not-found]


class Client:
    """Speaks to an edge in this process; each request runs in a loop of its own."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def request(self, method: str, path: str, *, address: str = "203.0.113.7", **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.parts.edge, client=(address, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def post(self, path: str, content: bytes = b"x", **options: Any) -> httpx.Response:
        return self.request("POST", path, content=content, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Builds a client of a fresh edge with these settings."""
    made: list[Client] = []

    def make(**settings: str | float) -> Client:
        made.append(Client(Parts(**settings)))
        return made[-1]

    yield make
    for client in made:
        client.parts.queue.close()


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()
