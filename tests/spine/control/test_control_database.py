"""The control database is made, migrated, protected and refused as promised."""

from __future__ import annotations

import multiprocessing
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from raingauge.control import customers, tokens
from raingauge.control.database import Database, _migrate
from raingauge.control.tables import CUSTOMERS, EMPTY_HASH, METADATA, TOKENS
from raingauge.errors import DataDirectoryError, SettingError
from raingauge.settings import Settings

NOW = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)
OpenDatabase = Callable[[], Database]


def schema(db: Connection) -> dict[str, Any]:
    """Everything the database says about its tables."""
    found = inspect(db)
    return {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(name)],
            "primary key": found.get_pk_constraint(name),
            "foreign keys": found.get_foreign_keys(name),
            "unique": found.get_unique_constraints(name),
            "indexes": found.get_indexes(name),
            "checks": found.get_check_constraints(name),
        }
        for name in sorted(found.get_table_names())
        if name != "alembic_version"
    }


def test_migrations_build_the_same_schema_as_the_tables(database: Database, tmp_path: Path) -> None:
    """A database that went through every migration equals one made from today's tables."""
    with database.write() as db:
        migrated = schema(db)
        db.execute(text("DROP TABLE alembic_version"))
        METADATA.drop_all(db)
        assert schema(db) == {}
        METADATA.create_all(db)
        assert migrated == schema(db)
    assert {"changes", "customers", "members", "people", "sessions", "signin_links", "tokens"} == set(migrated)


def test_opening_again_keeps_what_is_there(open_database: OpenDatabase) -> None:
    """A restart finds the customers of the last run, to the microsecond."""
    with open_database().write() as db:
        created = customers.create(db, "Ada Lovelace", contact_email="ada@example.com", now=NOW)
    with open_database().read() as db:
        assert [created] == customers.listed(db)


def test_a_newer_database_is_refused(open_database: OpenDatabase) -> None:
    """After a downgrade the program says what is wrong and leaves the data alone."""
    with open_database().write() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DataDirectoryError, match=r"newer version of Raingauge \(schema 9999\)"):
        open_database()


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """What is written before an error inside a transaction is not kept."""

    def fail_halfway() -> None:
        with database.write() as db:
            customers.create(db, "Nobody", now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    with database.read() as db:
        assert customers.listed(db) == []


def test_the_hash_of_nothing_cannot_be_stored(database: Database) -> None:
    """No row can ever let in an empty token."""
    with database.write() as db:
        owner = customers.create(db, "Ada", now=NOW)
    row = {
        "token_id": "tok_0", "customer_id": owner.customer_id, "token_hash": EMPTY_HASH, "label": "",
        "scopes": "ingest", "created_at": NOW, "replaced_by": "",
    }  # fmt: skip
    with pytest.raises(IntegrityError), database.write() as db:
        db.execute(insert(TOKENS).values(row))
    assert tokens.digest("") == EMPTY_HASH


def test_errors_do_not_quote_values(database: Database) -> None:
    """What a statement carried, such as an e-mail address, does not show up in the error's text."""
    with database.write() as db:
        owner = customers.create(db, "Ada", now=NOW)
    values = {"name": "n", "contact_email": "secret@example.com", "tier": "", "created_at": NOW}
    with pytest.raises(IntegrityError) as caught, database.write() as db:
        db.execute(insert(CUSTOMERS).values(customer_id=owner.customer_id, **values))
    assert "secret@example.com" not in str(caught.value)


def test_a_time_without_zone_is_refused(database: Database) -> None:
    """Local times cannot slip in among UTC ones."""
    with pytest.raises(Exception, match="time zone"), database.write() as db:
        customers.create(db, "Ada", now=NOW.replace(tzinfo=None))


def add_customers(settings: Settings, data_dir: Path, count: int) -> None:
    database = Database.open(settings, data_dir)
    for number in range(count):
        with database.write() as db:
            owner = customers.create(db, f"customer {number}", now=NOW)
            tokens.issue(db, owner.customer_id, now=NOW)
    database.close()


def test_opening_twice_in_one_process_keeps_its_changes_and_sees_others(settings: Settings, tmp_path: Path) -> None:
    """The second connection, when it is closed, does not take the first one's hold of the files away."""
    first = Database.open(settings, tmp_path / "data")
    with first.write() as db:
        customers.create(db, "before", now=NOW)
    Database.open(settings, tmp_path / "data").close()
    other = multiprocessing.get_context("spawn").Process(target=add_customers, args=(settings, tmp_path / "data", 1))
    other.start()
    other.join()
    with first.write() as db:
        customers.create(db, "after", now=NOW)
    second = Database.open(settings, tmp_path / "data")
    for database in (first, second):
        with database.read() as db:
            assert ["after", "before", "customer 0"] == sorted(one.name for one in customers.listed(db))
        database.close()


def test_processes_share_a_database_from_its_first_moment(settings: Settings, tmp_path: Path) -> None:
    """Several processes that start on an empty directory migrate it once and lose none of each other's changes."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=add_customers, args=(settings, tmp_path / "data", 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
        worker.close()
    database = Database.open(settings, tmp_path / "data")
    with database.read() as db:
        assert len(customers.listed(db)) == 60
        assert len(tokens.listed(db)) == 60
        assert list(db.execute(text("SELECT version_num FROM alembic_version")).scalars()) == ["0002"]
    database.close()


def test_a_start_waits_for_a_migration_that_is_under_way(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    """Two servers that start at the same moment do not both create the tables."""
    with database.write() as db:
        METADATA.drop_all(db)
        db.execute(text("DROP TABLE alembic_version"))
    with ThreadPoolExecutor() as pool:
        with database.write() as db:
            _migrate(db)
            second = pool.submit(Database.open, settings, tmp_path / "data")
            wait([second], timeout=0.3)  # long enough to get in the way if nothing stops it
        second.result().close()


def test_a_transaction_that_reads_before_it_writes_is_not_disturbed(database: Database) -> None:
    """A writer in between neither fails the transaction nor is lost."""

    def add(name: str) -> None:
        with database.write() as db:
            customers.create(db, name, now=NOW)

    with ThreadPoolExecutor() as pool:
        with database.write() as db:
            assert customers.listed(db) == []
            second = pool.submit(add, "second")
            wait([second], timeout=0.3)  # long enough to get in between if nothing stops it
            customers.create(db, "first", now=NOW)
        second.result()
    with database.read() as db:
        assert sorted(customer.name for customer in customers.listed(db)) == ["first", "second"]


# ---- SQLite ------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """Directory, database and SQLite's side files are closed to other users of the machine."""
    place = tmp_path / "deep" / "data"
    database = Database.open(Settings(), place)
    with database.write() as db:
        customers.create(db, "Ada", now=NOW)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert modes == {"control.db": 0o600, "control.db-wal": 0o600, "control.db-shm": 0o600}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    database.close()


def test_a_file_open_to_others_is_closed(tmp_path: Path) -> None:
    """A database that was copied with loose permissions is tightened when it is opened."""
    (tmp_path / "control.db").touch(mode=0o644)
    Database.open(Settings(), tmp_path).close()
    assert stat.S_IMODE((tmp_path / "control.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """A file that is no database stops the start with its name and stays as it was."""
    file = tmp_path / "control.db"
    file.write_bytes(content)
    with pytest.raises(DataDirectoryError, match=r"control\.db: "):
        Database.open(Settings(), tmp_path)
    assert content == file.read_bytes()


def test_a_file_in_the_way_of_the_directory_is_reported(tmp_path: Path) -> None:
    """A data directory that cannot be made is an error with the path in it, not a traceback."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(DataDirectoryError, match=r"data/control\.db"):
        Database.open(Settings(), tmp_path / "data")


def test_a_path_with_special_characters_works(tmp_path: Path) -> None:
    """Percent signs, question marks and spaces in the directory's name are just characters."""
    place = tmp_path / "100% sure? #1"
    Database.open(Settings(), place).close()
    assert (place / "control.db").is_file()


def test_a_database_url_can_name_a_sqlite_file(tmp_path: Path) -> None:
    """`sqlite:///<file>` puts the control data elsewhere."""
    file = tmp_path / "elsewhere" / "tenants.db"
    Database.open(Settings({"database_url": f"sqlite:///{file}"}), tmp_path / "data").close()
    assert file.is_file()
    assert not (tmp_path / "data").exists()


# ---- the setting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "hello",
        "mysql://u:hunter2@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "nope://hunter2@x",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_a_url_that_cannot_work_is_a_setting_error(tmp_path: Path, url: str) -> None:
    """The key is named, the value with its password is not."""
    with pytest.raises(SettingError, match="RAINGAUGE_DATABASE_URL") as caught:
        Database.open(Settings({"database_url": url}), tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgres://127.0.0.1:1/d?password=hunter2"])
def test_an_unreachable_server_is_reported_without_its_password(tmp_path: Path, url: str) -> None:
    """A wrong address of PostgreSQL stops the start with the address and not the password."""
    with pytest.raises(DataDirectoryError, match=r"127\.0\.0\.1") as caught:
        Database.open(Settings({"database_url": url}), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_postgresql_url_needs_no_driver_name(database: Database) -> None:
    """`postgresql://` is enough: the driver is ours to choose."""
    assert database.engine.driver == {"sqlite": "pysqlite", "postgresql": "psycopg"}[database.engine.dialect.name]


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    """While one user of the database writes, another one reads on without waiting."""
    with database.write() as writing:
        customers.create(writing, "Ada", now=NOW)
        with database.read() as reading:
            assert customers.listed(reading) == []
    with database.read() as db:
        assert list(db.execute(select(CUSTOMERS.c.name)).scalars()) == ["Ada"]


def test_the_file_is_in_write_ahead_mode_for_everybody(tmp_path: Path) -> None:
    """A tool of the operator that opens the file neither blocks the server nor is blocked."""
    Database.open(Settings(), tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'control.db'}")
    with engine.connect() as db:
        assert list(db.execute(text("PRAGMA journal_mode")).scalars()) == ["wal"]
    engine.dispose()
