"""How stored tables grow, and when they are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from raingauge.contract import Column, Contract, Decoded, Rollup, Table
from raingauge.errors import DataDirectoryError, QueryError
from raingauge.settings import STORE_MEMORY_BYTES, STORE_URL, Settings
from raingauge.store.schema import SCHEMA_VERSION
from raingauge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import OpenStore, StoreFacts

CUSTOMER = "cust_0123456789abcdef"
NAME = Column("name", "LowCardinality(String)", "what")
COST = Column("cost", "Float64", "how much")
CALLS = Table("calls", (NAME,))
DAILY = Rollup(
    "calls_daily",
    (Column("calls", "UInt64", "how many"),),
    (),
    "calls",
    "SELECT customer, day, count() FROM calls WHERE {where} GROUP BY customer, day",
)


def contract(*tables: Table, rollups: tuple[Rollup, ...] = ()) -> Contract:
    return Contract("calls", "Calls", (), tables, rollups)


class Call(msgspec.Struct):
    name: str
    cost: float


def test_a_new_column_of_a_table_is_added_to_the_stored_one(stored_facts: StoreFacts) -> None:
    """After an update rows stored before read as the column's default, and new rows hold the value."""
    older = stored_facts(contract(CALLS))
    older.insert(Decoded(items=1, rows={"calls": [(0, "before")]}))
    older.store.close()
    newer = stored_facts(contract(replace(CALLS, columns=(NAME, COST))))
    newer.insert(Decoded(items=1, rows={"calls": [(0, "after", 1.5)]}), message_id=1_795_000_000_000_001)
    read = "SELECT name, cost FROM calls WHERE customer = {customer:String} ORDER BY cost"
    assert [Call("before", 0.0), Call("after", 1.5)] == newer.rows(read, Call)


def test_a_new_column_of_a_rollup_is_added_to_the_stored_one(stored_facts: StoreFacts) -> None:
    """After an update days are summed up into the new column too, of every rollup."""
    other = replace(DAILY, table="calls_other")
    older = stored_facts(contract(CALLS, rollups=(DAILY, other)))
    older.store.close()
    wider = replace(
        DAILY,
        columns=(*DAILY.columns, Column("names", "UInt64", "how many different")),
        select="SELECT customer, day, count(), uniqExact(name) FROM calls WHERE {where} GROUP BY customer, day",
    )
    newer = stored_facts(contract(CALLS, rollups=(wider, other)))
    newer.insert(Decoded(items=2, rows={"calls": [(0, "a"), (1, "b")]}))
    newer.store.rollups.run()
    read = (
        "SELECT toString(names) AS name, toFloat64(calls) AS cost FROM calls_daily WHERE customer = {customer:String}"
    )
    assert [Call("2", 2.0)] == newer.rows(read, Call)


def test_a_column_that_code_no_longer_names_stays_and_hinders_nobody(stored_facts: StoreFacts) -> None:
    """Going back to code without a column still stores rows."""
    newer = stored_facts(contract(replace(CALLS, columns=(NAME, COST))))
    newer.store.close()
    older = stored_facts(contract(CALLS))
    older.insert(Decoded(items=1, rows={"calls": [(0, "x")]}))
    read = "SELECT name, cost FROM calls WHERE customer = {customer:String}"
    assert [Call("x", 0.0)] == older.rows(read, Call)


def test_a_store_of_newer_code_is_refused(open_store: OpenStore) -> None:
    """Data of a newer version is left alone, and the message says what to do."""
    store = open_store(contract(CALLS))
    store._look.command(f"INSERT INTO schema_versions SELECT {SCHEMA_VERSION + 1}, now()")
    store.close()
    with pytest.raises(DataDirectoryError, match="start the newer version"):
        open_store(contract(CALLS))


def test_a_column_stored_with_another_type_is_refused(open_store: OpenStore) -> None:
    """A type that changed under a name is found at start, not at the first insert."""
    open_store(contract(CALLS)).close()
    changed = replace(CALLS, columns=(replace(NAME, type="UInt64"),))
    with pytest.raises(DataDirectoryError, match=r"calls\.name is stored as"):
        open_store(contract(changed))


def test_rollup_tables_grow_like_fact_tables(open_store: OpenStore) -> None:
    """A new column of a rollup is there after the update."""
    open_store(contract(CALLS, rollups=(DAILY,))).close()
    wider = replace(DAILY, columns=(*DAILY.columns, Column("cost", "Float64", "how much")))
    store = open_store(contract(CALLS, rollups=(wider,)))
    assert [(0, 0.0)] == store._look.rows("SELECT sum(calls), sum(cost) FROM calls_daily")


def test_system_tells_rows_and_bytes_of_each_table(stored_facts: StoreFacts) -> None:
    """The system page sees what each table takes on disk."""
    facts = stored_facts(contract(CALLS))
    facts.insert(Decoded(items=2, rows={"calls": [(0, "x"), (1, "y")]}))
    sizes = {size.table: size for size in facts.store.system()}
    assert 2 == sizes["calls"].rows
    assert sizes["calls"].size_bytes > 0


def test_embedded_engine_keeps_to_its_memory_setting(data_dir: Path) -> None:
    """A fresh process gives the engine the configured memory and small caches instead of most of the machine."""
    program = (
        "import sys; from pathlib import Path; from raingauge.settings import Settings; from raingauge.store.client import connect;"
        f"s = connect(Settings({{{STORE_MEMORY_BYTES.name!r}: 777_000_000}}), Path(sys.argv[1]), {{}});"
        "print(dict(s.rows('SELECT name, toUInt64(value) FROM system.server_settings WHERE name IN"
        " (\\'max_server_memory_usage\\', \\'mark_cache_size\\') ORDER BY name')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(data_dir / "other")], capture_output=True, text=True, check=True, timeout=60
    )
    assert "{'mark_cache_size': 33554432, 'max_server_memory_usage': 777000000}" == answer.stdout.strip()


def test_a_path_that_cannot_be_opened_is_an_error_of_the_data_directory(open_store: OpenStore, tmp_path: Path) -> None:
    """Another path than the one this process has open is refused with a clear error."""
    elsewhere = Settings({STORE_URL.name: f"chdb://{tmp_path}/elsewhere"})
    open_store(contract(CALLS))
    with pytest.raises(DataDirectoryError, match="cannot be opened"):
        Store.open(elsewhere, tmp_path, ())


def test_a_closed_store_stays_closed(open_store: OpenStore) -> None:
    """A statement that comes too late is an error and does not open the data again."""
    store = open_store(contract(CALLS))
    store.close()
    assert not store.healthy()
    with pytest.raises(QueryError):
        store.reader.rows("SELECT 1 AS cost, {customer:String} AS name", {"customer": CUSTOMER}, Call)
    store.close()


def test_merges_keep_the_number_of_parts_small(stored_facts: StoreFacts) -> None:
    """Many small inserts are merged in the background into few parts, and no row goes missing."""
    facts = stored_facts(contract(CALLS))
    for i in range(40):
        facts.insert(Decoded(items=1, rows={"calls": [(0, f"{i}")]}))
    parts = "SELECT count(), sum(rows), max(level) > 0 FROM system.parts WHERE active AND table = 'calls'"
    deadline = time.monotonic() + 30
    while (found := facts.store._look.rows(parts))[0][0] >= 40 and time.monotonic() < deadline:
        time.sleep(0.05)
    ((count, rows, merged),) = found
    assert (40, 1) == (rows, merged)
    assert count < 40


def test_decode_workers_do_not_load_the_engine() -> None:
    """Building Arrow columns needs neither the engine nor its client, which cost hundreds of megabytes."""
    program = "import sys, raingauge.store.arrow; print([m for m in sys.modules if m.split('.')[0] in ('chdb', 'clickhouse_connect')])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert "[]" == answer.stdout.strip()
