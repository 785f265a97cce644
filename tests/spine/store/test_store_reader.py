"""What a read may ask and what it gets."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Column, Contract, Decoded, Table
from raingauge.errors import QueryError, Reason
from raingauge.settings import QUERY_MAX_ROWS, QUERY_MEMORY_BYTES, QUERY_TIMEOUT_SECONDS, READERS, STORE_URL, Settings
from raingauge.store import reader, writer
from raingauge.store.arrow import build
from raingauge.store.client import connect

if TYPE_CHECKING:
    from tests.conftest import OpenStore, StoredFacts, StoreFacts

CUSTOMER = "cust_0123456789abcdef"
MINE = "WHERE customer = {customer:String}"
EVERYTHING = Table(
    "everything",
    (
        Column("at", "DateTime64(6, 'UTC')", "time"),
        Column("second", "DateTime", "time"),
        Column("text", "String", "text"),
        Column("word", "LowCardinality(String)", "text"),
        Column("id", "UUID", "id"),
        Column("hash", "UInt64", "big number"),
        Column("delta", "Int64", "signed number"),
        Column("ratio", "Float64", "fraction"),
        Column("yes", "Bool", "flag"),
        Column("maybe", "Nullable(Int32)", "optional"),
        Column("tags", "Array(LowCardinality(String))", "list"),
        Column("counts", "Map(LowCardinality(String), UInt64)", "pairs"),
        Column("on", "Date", "day"),
    ),
    time="at",
)
CONTRACT = Contract("probe", "Probe", (), (EVERYTHING,))
AT = datetime(2026, 11, 20, 11, 59, 59, 123456, UTC)
ID = UUID("0b54a3cc-9f0d-4b0c-8f5f-0d6c0f0f2f11")


class Everything(msgspec.Struct):
    at: datetime
    second: datetime
    text: str
    word: str
    id: UUID
    hash: int
    delta: int
    ratio: float
    yes: bool
    maybe: int | None
    tags: list[str]
    counts: dict[str, int]
    on: date


class Text(msgspec.Struct):
    text: str


class Number(msgspec.Struct):
    n: int


def values(text: str = "x") -> tuple[Any, ...]:
    return (
        AT,
        AT,
        text,
        "w",
        str(ID),
        2**64 - 1,
        -(2**63),
        0.1,
        True,
        None,
        ["a", "b"],
        {"k": 2**53 + 1},
        date(2026, 11, 20),
    )


@pytest.fixture
def facts(stored_facts: StoreFacts) -> StoredFacts:
    return stored_facts(CONTRACT)


def store_rows(facts: StoredFacts, *texts: str) -> None:
    facts.insert(Decoded(items=len(texts), rows={"everything": [(i, *values(text)) for i, text in enumerate(texts)]}))


def test_every_column_type_comes_back_as_it_went_in(facts: StoredFacts) -> None:
    """Values of all types that tables use survive the way into the store and out of it, to the last digit."""
    store_rows(facts, "Grüße\n\t'\\\"\0")
    expected = Everything(
        AT, AT.replace(microsecond=0), "Grüße\n\t'\\\"\0", "w", ID, 2**64 - 1, -(2**63), 0.1, True, None, ["a", "b"],
        {"k": 2**53 + 1}, date(2026, 11, 20),
    )  # fmt: skip
    assert [expected] == facts.rows(f"SELECT * FROM everything {MINE}", Everything)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=20))
def test_parameters_are_values_never_sql(facts: StoredFacts, text: str) -> None:
    """Any text can be bound, comes back unchanged and matches nothing but itself."""
    sql = f"SELECT {{text:String}} AS text FROM numbers(1) WHERE {{customer:String}} = '{CUSTOMER}'"
    assert [Text(text)] == facts.rows(sql, Text, text=text)
    in_list = f"{sql} AND has({{texts:Array(String)}}, {{text:String}})"
    assert [Text(text)] == facts.rows(in_list, Text, text=text, texts=["a'); DROP TABLE everything; --", text])


def test_times_are_bound_with_all_their_digits_and_zone(facts: StoredFacts) -> None:
    """A window's borders are exact: inclusive since, exclusive until, whatever zone they are given in."""
    store_rows(facts, "x")
    sql = f"SELECT text FROM everything {MINE} AND at >= {{since:DateTime64(6)}} AND at < {{until:DateTime64(6)}}"
    microsecond = timedelta(microseconds=1)
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert [Text("x")] == facts.rows(sql, Text, since=elsewhere, until=AT + microsecond)
    assert [] == facts.rows(sql, Text, since=AT - microsecond, until=elsewhere)
    by_day = f"SELECT text FROM everything {MINE} AND day BETWEEN {{first:Date}} AND {{last:Date}} AND day IN {{days:Array(Date)}}"
    day = AT.date()
    assert [Text("x")] == facts.rows(by_day, Text, first=day, last=day, days=[day])


def test_statement_without_its_customer_is_refused(facts: StoredFacts) -> None:
    """A read that forgets the customer never reaches the store, nor does one without a customer's name."""
    with pytest.raises(QueryError, match="customer"):
        facts.rows("SELECT text FROM everything", Text)
    with pytest.raises(QueryError, match="customer"):
        facts.rows(f"SELECT text FROM everything {MINE}", Text, customer="")


def test_other_customers_rows_are_not_seen(facts: StoredFacts) -> None:
    """The same read under another customer's name finds nothing."""
    store_rows(facts, "x")
    assert [] == facts.rows(f"SELECT text FROM everything {MINE}", Text, customer="cust_fedcba9876543210")


def test_a_read_cannot_write(facts: StoredFacts) -> None:
    """Statements that change anything are refused on the clients that read."""
    store_rows(facts, "x")
    with pytest.raises(QueryError):
        facts.rows("INSERT INTO everything (customer) SELECT {customer:String}", Text)
    with pytest.raises(QueryError):
        facts.rows(f"ALTER TABLE everything DELETE {MINE}", Text)
    assert [Text("x")] == facts.rows(f"SELECT text FROM everything {MINE}", Text)


@pytest.mark.parametrize(
    ("limits", "sql"),
    [
        ({QUERY_MAX_ROWS.name: 10}, "SELECT number AS n FROM numbers(11)"),
        ({QUERY_TIMEOUT_SECONDS.name: 0.2}, "SELECT sum(sipHash64(number)) AS n FROM numbers(100000000000)"),
        (
            {QUERY_MEMORY_BYTES.name: 50_000_000},
            "SELECT length(groupArray(sipHash64(number))) AS n FROM numbers(50000000)",
        ),
    ],
    ids=["rows", "time", "memory"],
)
def test_each_limit_ends_a_read_with_its_reason(open_store: OpenStore, limits: dict[str, int], sql: str) -> None:
    """A read that needs too much is stopped with `query_limit`, and the next read works."""
    store = open_store(CONTRACT, settings=Settings(limits))
    with pytest.raises(QueryError) as stopped:
        store.reader.rows(f"{sql} WHERE {{customer:String}} != ''", {"customer": CUSTOMER}, Number)
    assert Reason.QUERY_LIMIT == stopped.value.reason
    fine = store.reader.rows("SELECT 1 AS n WHERE {customer:String} != ''", {"customer": CUSTOMER}, Number)
    assert [Number(1)] == fine.rows


def test_a_broken_statement_is_an_error_without_content(facts: StoredFacts) -> None:
    """A mistake in SQL, or a result that does not fit its Struct, says so without quoting any value."""
    with pytest.raises(QueryError) as unknown:
        facts.rows(f"SELECT nothing FROM everything {MINE}", Text)
    assert (Reason.INTERNAL, False) == (unknown.value.reason, "nothing" in str(unknown.value))
    store_rows(facts, "secret words")
    with pytest.raises(QueryError) as unfit:
        facts.rows(f"SELECT text AS n FROM everything {MINE}", Number)
    assert "secret" not in str(unfit.value)


def test_reads_of_many_threads_share_few_clients(open_store: OpenStore) -> None:
    """More readers than clients wait for their turn, and each gets its own answer."""
    store = open_store(CONTRACT, settings=Settings({READERS.name: 2}))
    answers: dict[int, list[Number]] = {}

    def read(n: int) -> None:
        sql = "SELECT {n:UInt64} AS n WHERE {customer:String} != ''"
        answers[n] = store.reader.rows(sql, {"customer": CUSTOMER, "n": n}, Number).rows

    threads = [threading.Thread(target=read, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: [Number(n)] for n in range(12)} == answers


def test_rows_read_says_how_much_was_looked_at(facts: StoredFacts) -> None:
    """The answer tells how many stored rows the read went through."""
    store_rows(facts, "x", "y", "z")
    assert 3 == facts.read(f"SELECT sum(length(text)) AS n FROM everything {MINE}", Number).rows_read


def test_on_a_server_rows_that_two_writers_stored_at_once_are_read_once(open_store: OpenStore, data_dir: Path) -> None:
    """With a store that other processes write to, reads and sums see one row per identity."""
    once = Table("once", (Column("item", "String", "identity"),), identity=("item",))
    store = open_store(Contract("probe", "Probe", (), (once,)))
    for message_id in (1_795_000_000_000_000, 1_795_000_000_000_001):
        store._look.insert("once", pa.Table.from_batches([build(once, CUSTOMER, message_id, [(0, "x")])]))
    shared = Settings({STORE_URL.name: "https://facts.example:8443/raingauge"})
    sql = f"SELECT count() FROM once {MINE}"
    for bounds in (reader.client_settings(shared), writer.client_settings(shared)):
        with closing(connect(Settings(), data_dir, bounds)) as session:
            assert [(1,)] == session.rows(sql, {"customer": CUSTOMER})
