"""Opening the control database: one engine, brought to the current schema before anybody uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from raingauge.errors import DataDirectoryError, SettingError
from raingauge.files import make_private
from raingauge.settings import DATABASE_URL, Settings

FILE_NAME: Final = "control.db"
BUSY_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5
MIGRATIONS: Final = Path(__file__).with_name("migrations")

_MIGRATION_LOCK: Final = 0x7261696E  # any number that no other user of the PostgreSQL database takes
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")


class Database:
    """The control data. Safe to use from any thread; several processes may have it open at the same time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writes=True)

    @classmethod
    def open(cls, settings: Settings, data_dir: Path) -> Database:
        """Connect, create what is missing and migrate.

        Raises SettingError for a URL that cannot work and DataDirectoryError for a database that cannot be
        reached, is damaged or was written by a newer version.
        """
        url = _url(settings[DATABASE_URL], data_dir)
        try:
            engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _postgresql_engine(url)
        except ModuleNotFoundError:
            raise SettingError(f"{DATABASE_URL.env}: PostgreSQL needs `pip install 'raingauge[postgres]'`") from None
        except OSError as error:
            raise DataDirectoryError(f"{url.database}: {error.strerror}; check the owner of the directory") from None
        database = cls(engine)
        try:
            with database.write() as db:
                _migrate(db)
        except DBAPIError as error:
            database.close()
            # The user and the query may hold the password.
            where = url.set(drivername=url.get_backend_name(), username=None, password=None, query={})
            raise DataDirectoryError(f"control database {where}: {reason(error)}") from None
        except DataDirectoryError:
            database.close()
            raise
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only looks."""
        with self.engine.begin() as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change things; committed at the end, rolled back by an exception."""
        with self._writer.begin() as db:
            yield db

    def close(self) -> None:
        self.engine.dispose()


def reason(error: DBAPIError) -> str:
    """What the database said, in one line and without the statement or its values."""
    return (str(error.orig).strip().splitlines() or [type(error).__name__])[0]


def _url(text: str, data_dir: Path) -> URL:
    if not text:
        return URL.create("sqlite", database=str(data_dir / FILE_NAME))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingError(f"{DATABASE_URL.env}=(hidden): not a database URL") from None
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite")
    raise SettingError(f"{DATABASE_URL.env}=(hidden): expected postgresql://… or sqlite:///<file>")


def _sqlite_engine(url: URL) -> Engine:
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite gives its -wal and -shm files the permissions of this one.
    make_private(file)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: SQLiteConnection, _record: object) -> None:
        connection.isolation_level = None  # `begin` below says when a transaction starts, not the driver
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(db: Connection) -> None:
        # A transaction that reads before it writes cannot wait for another writer: SQLite refuses it at once.
        # One that will write therefore takes the lock first, and there the busy timeout applies.
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("writes") else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    query = {"connect_timeout": str(CONNECT_SECONDS), **url.query}
    return create_engine(url.set(query=query), hide_parameters=True, pool_pre_ping=True)


def _migrate(db: Connection) -> None:
    """Bring the schema up to date inside the transaction of `db`, so that two processes never do it at once."""
    if db.dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = db
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(db).get_current_heads()) - known
    if unknown:
        raise DataDirectoryError(
            f"the control database was written by a newer version of Raingauge (schema {min(unknown)}): "
            "run that version, or restore a backup made before the upgrade"
        )
    command.upgrade(config, "head")
