"""A control database on each kind of server that this machine has."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from raingauge.control.database import Database
from raingauge.settings import Settings

OpenDatabase = Callable[[], Database]


def _postgresql_programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), default=None, key=lambda path: float(path.parent.name))


POSTGRESQL = _postgresql_programs()


def pytest_report_header() -> str:
    return f"control data on SQLite{f' and PostgreSQL ({POSTGRESQL})' if POSTGRESQL else ' only: no PostgreSQL found'}"


@contextmanager
def _running_postgresql(programs: Path) -> Iterator[str]:
    """A PostgreSQL of its own on a Unix socket, run by `postgres` where the tests run as root, which it refuses."""
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    place = Path(tempfile.mkdtemp(prefix="control-pg-"))
    os.chown(place, owner.pw_uid, owner.pw_gid)
    log = (place / "log").open("wb")

    def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(programs / program), "-D", str(place / "data"), *arguments]
        if os.geteuid() != 0:
            return subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        return subprocess.Popen(
            command, cwd=place, stdout=log, stderr=log, user=owner.pw_uid, group=owner.pw_gid, extra_groups=[]
        )

    try:
        initdb = start("initdb", "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        assert initdb.wait() == 0, (place / "log").read_text()
        server = start("postgres", "-k", str(place), "-c", "listen_addresses=", "-c", "fsync=off")
        try:
            url = f"postgresql://tester@/postgres?host={place}"
            _wait_for(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait()
    finally:
        log.close()
        shutil.rmtree(place)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "PostgreSQL did not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    assert POSTGRESQL is not None
    with _running_postgresql(POSTGRESQL) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """The URL of a PostgreSQL database with nothing in it. Emptying one is much quicker than making another."""
    with psycopg.connect(postgresql_server) as admin:
        admin.execute("DROP SCHEMA public CASCADE")
        admin.execute("CREATE SCHEMA public")
    return postgresql_server


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings that choose SQLite in the data directory, then PostgreSQL."""
    if request.param == "sqlite":
        return Settings()
    return Settings({"database_url": request.getfixturevalue("postgresql_url")})


@pytest.fixture
def open_database(settings: Settings, tmp_path: Path) -> Iterator[OpenDatabase]:
    """Opens the test's control database; each call is one more user of it."""
    opened: list[Database] = []

    def open_it() -> Database:
        opened.append(Database.open(settings, tmp_path / "data"))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: OpenDatabase) -> Database:
    return open_database()
