"""The recorded bodies of this folder, and a whole server to send them to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.support.server import Server, running, until

from raingauge.contract import Scope, Settings
from raingauge.control import customers, tokens
from raingauge.control.database import Database

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def protobuf() -> Callable[[str], bytes]:
    return lambda name: bytes.fromhex((SAMPLES / f"{name}.hex").read_text())


@pytest.fixture(scope="session")
def json_body() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / f"{name}.json").read_bytes()


class Team:
    """One customer of a running server. The label of its first token is `cf-resolver`."""

    def __init__(self, server: Server, database: Database) -> None:
        self._server = server
        self._database = database
        with database.write() as db:
            self._customer = customers.create(db, "Team", now=datetime.now(UTC)).customer_id
        self.token = self.issue("cf-resolver")

    def issue(self, label: str, scopes: Sequence[Scope] = (Scope.INGEST, Scope.READ)) -> str:
        """Another token of the customer, once the server knows it; its label is the resolver id."""
        with self._database.write() as db:
            token = tokens.issue(db, self._customer, label=label, scopes=list(scopes), now=datetime.now(UTC)).text
        until(lambda: self.request("GET", "/v1/stats", headers={"authorization": f"Bearer {token}"}).status_code != 401)
        return token

    def post(self, path: str, body: bytes, *, token: str = "", **headers: str) -> httpx.Response:
        """Send as a resolver does and wait until what was accepted is stored."""
        sent = {"authorization": f"ClientSecret {token or self.token}", **headers}
        answer = self.request("POST", path, content=body, headers=sent)
        self._server.accounting()
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, headers={"authorization": f"Bearer {self.token}", **headers})

    def request(self, method: str, path: str, *, headers: dict[str, str], content: bytes = b"") -> httpx.Response:
        with httpx.Client(base_url=self._server.url, timeout=30, trust_env=False) as client:
            return client.request(method, path, headers=headers, content=content)

    def roll_up(self) -> None:
        self._server.run("rollup", "run")


@pytest.fixture(scope="package")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Database]]:
    """One server for all tests of this folder: they differ in their customer."""
    data_dir = tmp_path_factory.mktemp("flags") / "data"
    limits = {"failed_auth_per_ip": 0, "decode_workers": 0, "rollup_seconds": 0}
    with running(data_dir, **limits) as server, closing(Database.open(Settings(), data_dir)) as database:
        yield server, database


@pytest.fixture
def team(_server: tuple[Server, Database]) -> Team:
    return Team(*_server)


other_team = team


@pytest.fixture(scope="package")
def shared_team(_server: tuple[Server, Database]) -> Team:
    """For tests that store nothing."""
    return Team(*_server)
