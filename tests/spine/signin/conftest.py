"""A whole server in this process, browsers that visit it, and an identity provider on the loopback interface."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import jwt
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from cryptography.hazmat.primitives.asymmetric import rsa

from raingauge.app import build
from raingauge.contract import Scope
from raingauge.control import customers, links, members, tokens
from raingauge.control.members import Role
from raingauge.control.sessions import Owner
from raingauge.settings import Settings
from raingauge.system import System, utc_now

AUDIENCE = "tag-of-the-application"
LIFETIME = timedelta(minutes=15)
BASE_URL = "http://gauge.example"


class Browser:
    """A visitor with a cookie jar of its own. It follows no redirects."""

    def __init__(self, portal: BlockingPortal, edge: Any, base_url: str, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(edge, client=("203.0.113.7", 50_000))
        self._client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)
        self._portal = portal

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, json=json, **options)


@dataclass
class Place:
    """An open server, one customer on it, and everything within reach."""

    system: System
    edge: Any
    portal: BlockingPortal
    customer: str = ""

    def browser(self, base_url: str = BASE_URL, **headers: str) -> Browser:
        return Browser(self.portal, self.edge, base_url, headers)

    def with_token(self, token: str) -> Browser:
        return self.browser(Authorization=f"Bearer {token}")

    def token(self, *scopes: Scope, customer: str = "", **options: Any) -> tokens.Issued:
        """A new token that the server knows."""
        with self.system.database.write() as db:
            issued = tokens.issue(db, customer or self.customer, scopes=scopes, now=utc_now(), **options)
        self.system.directory.refresh()
        return issued

    def member(self, email: str, role: Role = Role.MEMBER, customer: str = "") -> str:
        """A new member that the server knows."""
        with self.system.database.write() as db:
            members.add(db, customer or self.customer, email, role, now=utc_now())
        self.system.directory.refresh()
        return email

    def code(self, *, email: str | None = None, token_id: str | None = None, lifetime: timedelta = LIFETIME) -> str:
        """A one-time sign-in code."""
        with self.system.database.write() as db:
            return links.issue(db, Owner(email, token_id), lifetime=lifetime, now=utc_now())

    def signed_in(self, email: str, base_url: str = BASE_URL, **headers: str) -> Browser:
        """A visitor who opened the sign-in link of a member."""
        visitor = self.browser(base_url, **headers)
        assert 303 == visitor.get(f"/signin/{self.code(email=email)}").status_code
        return visitor


@contextmanager
def _open(engine: Path, data_dir: Path, **settings: str | float) -> Iterator[Place]:
    """A server on an empty data directory, with its first customer."""
    values = {"data_dir": str(data_dir), "store_url": f"chdb://{engine}/facts", **settings}
    with ExitStack() as stack:
        system = stack.enter_context(System.open(Settings(values)))
        edge = build(system, stack.enter_context(ThreadPoolExecutor(2)), BASE_URL)
        place = Place(system, edge, stack.enter_context(start_blocking_portal()))
        with _customer(place, "default") as first:
            yield first


@contextmanager
def _customer(place: Place, name: str) -> Iterator[Place]:
    """The same server with a new customer, which is deleted in the end with all that belongs to it."""
    with place.system.database.write() as db:
        customer_id = customers.create(db, name, now=utc_now()).customer_id
    place.system.directory.refresh()
    yield replace(place, customer=customer_id)
    with place.system.database.write() as db:
        customers.delete(db, customer_id)


@pytest.fixture(scope="module")
def installation(_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server for all tests of a file, with its first customer."""
    with _open(_engine, tmp_path_factory.mktemp("installation")) as place:
        yield place


@pytest.fixture
def place(installation: Place) -> Iterator[Place]:
    """The file's server with a customer for this test, which is not the first one."""
    with _customer(installation, "acme") as found:
        yield found


@pytest.fixture
def other(installation: Place) -> Iterator[Place]:
    """A second customer on the same server."""
    with _customer(installation, "other") as found:
        yield found


OpenPlace: TypeAlias = Callable[..., Place]


@pytest.fixture
def open_place(_engine: Path, tmp_path: Path) -> Iterator[OpenPlace]:
    """Opens a server of its own with these settings; its customer is the first one."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(_open(_engine, tmp_path / "data", **settings))


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    """The same few keys for all tests: making one takes a while."""
    return rsa.generate_private_key(65537, 2048)


def public_jwk(key: Any, key_id: str, algorithm: str = "RS256") -> dict[str, str]:
    """The public half of a key as an identity provider publishes it."""
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": key_id, "use": "sig", "alg": algorithm}


@dataclass
class IdentityProvider:
    """Publishes keys over real HTTP and signs tokens with them."""

    url: str
    issuer: str
    keys: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    asked: int = 0

    def settings(self, **others: str | float) -> dict[str, str | float]:
        """What an operator sets to trust this provider."""
        return {
            "access_issuer": self.issuer, "access_audience": AUDIENCE, "access_jwks_url": self.url, **others,
        }  # fmt: skip

    def publish(self, *keys: dict[str, str]) -> None:
        self.keys = list(keys)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token claims; a change to None leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": [AUDIENCE], "email": "ada@example.com", "email_verified": True,
            "iat": now, "nbf": now, "exp": now + 300, "sub": "7335d417", **changes,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, key: Any = None, *, key_id: str = "first", algorithm: str = "RS256", **changes: Any) -> str:
        """A token signed with this key, by default the first one."""
        return jwt.encode(self.claims(**changes), key or rsa_key(0), algorithm=algorithm, headers={"kid": key_id})


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback interface is not behind the proxy that the machine may have."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextmanager
def _running_provider() -> Iterator[IdentityProvider]:
    """Publishes one RSA key, `first`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            body = found.body if found.body is not None else json.dumps({"keys": found.keys}).encode()
            self.send_response(found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = IdentityProvider(f"http://127.0.0.1:{server.server_port}/certs", "https://login.example.com")
    found.publish(public_jwk(rsa_key(0), "first"))
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """A provider that publishes one RSA key, `first`."""
    with _running_provider() as found:
        yield found


@pytest.fixture(scope="module")
def _trusting(_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, IdentityProvider]]:
    """One server for all tests of a file, and the provider that it trusts."""
    with (
        _running_provider() as found,
        _open(_engine, tmp_path_factory.mktemp("trusting"), **found.settings()) as place,
    ):
        yield place, found


@pytest.fixture
def secured(_trusting: tuple[Place, IdentityProvider]) -> Iterator[Place]:
    """A new customer on a server that trusts a provider."""
    with _customer(_trusting[0], "acme") as place:
        yield place


@pytest.fixture
def trusted(_trusting: tuple[Place, IdentityProvider]) -> IdentityProvider:
    """The provider that `secured` trusts."""
    return _trusting[1]
