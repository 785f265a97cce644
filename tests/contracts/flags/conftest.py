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
        self.token = self._issued("cf-resolver", (Scope.INGEST, Scope.READ))

    def issue(self, label: str, scopes: Sequence[Scope] = (Scope.INGEST, Scope.READ)) -> str:
        """Another token of the customer, once the server knows it; its label is the resolver id."""
        token = self._issued(label, scopes)
        self.until_known(token)
        return token

    def _issued(self, label: str, scopes: Sequence[Scope]) -> str:
        with self._database.write() as db:
            return tokens.issue(db, self._customer, label=label, scopes=list(scopes), now=datetime.now(UTC)).text

    def until_known(self, token: str) -> None:
        """The server looks for new tokens twice a second."""
        sent = {"authorization": f"Bearer {token}"}
        until(lambda: self.request("GET", "/v1/stats", headers=sent).status_code != 401)

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
def _teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Team]]:
    """One server for all tests of this folder: they differ in their customer, and all customers are made at once."""
    data_dir = tmp_path_factory.mktemp("flags") / "data"
    limits = {"failed_auth_per_ip": 0, "decode_workers": 0, "rollup_seconds": 0}
    with running(data_dir, **limits) as server, closing(Database.open(Settings(), data_dir)) as database:
        teams = [Team(server, database) for _ in range(40)]
        teams[-1].until_known(teams[-1].token)
        yield teams


@pytest.fixture
def team(_teams: list[Team]) -> Team:
    return _teams.pop()


other_team = team


@pytest.fixture(scope="module")
def shared_team(_teams: list[Team]) -> Team:
    """For tests that store nothing, or do not look at what is stored."""
    return _teams.pop()
