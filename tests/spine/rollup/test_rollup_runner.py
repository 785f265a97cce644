"""Daily sums and the reads that combine them with newer facts."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Column, Contract, Knob, Rollup, Table
from raingauge.rollup.runner import DaysDone
from raingauge.settings import Settings
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

if TYPE_CHECKING:
    from tests.conftest import OpenStore

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CUSTOMER = "cust_0123456789abcdef"
OTHER = "cust_fedcba9876543210"
DAYS_KEPT = Knob("calls_days", 30, "How long calls stay.", "days")

CALLS = Table(
    "calls",
    (
        Column("at", "DateTime64(3, 'UTC')", "when"),
        Column("name", "LowCardinality(String)", "what"),
        Column("cost", "UInt32", "how much"),
        Column("user", "String", "who, hashed"),
    ),
    time="at",
    retention_days=DAYS_KEPT,
)
DAILY = Rollup(
    table="calls_daily",
    columns=(
        Column("name", "LowCardinality(String)", "what"),
        Column("calls", "UInt64", "how many"),
        Column("cost", "UInt64", "how much"),
        Column("users", "AggregateFunction(uniqExact, String)", "distinct hashes"),
    ),
    order=("name",),
    source="calls",
    select="SELECT customer, day, name, count(), sum(cost), uniqExactState(user) FROM calls"
    " WHERE {where} GROUP BY customer, day, name",
    retention_days=None,
)
CONTRACT = Contract("calls", "Calls", (), (CALLS,), (DAILY,))


class Total(msgspec.Struct, frozen=True, order=True):
    day: str
    name: str
    calls: int
    cost: int
    users: int


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class World:
    """A store under a clock, with one-row messages."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._sent = 0

    def call(self, at: datetime, name: str = "a", cost: int = 1, *, user: str = "u", customer: str = CUSTOMER) -> None:
        self._sent += 1
        message_id = int(self.clock().timestamp() * 1_000_000) + self._sent
        rows = build(CALLS, customer, message_id, [(0, at, name, cost, user)])
        self.store.writer.insert(InsertBatch({"calls": pa.Table.from_batches([rows])}))

    def totals(self, source: str, customer: str = CUSTOMER) -> list[Total]:
        sql = (
            "SELECT toString(day) AS day, name, sum(calls) AS calls, sum(cost) AS cost, uniqExactMerge(users) AS users"
            f" FROM {source} GROUP BY day, name"
        )
        everything = {"customer": customer, "since_day": date(1970, 1, 1), "until_day": date(2149, 1, 1)}
        return sorted(self.store.reader.rows(sql, everything, Total).rows)

    def rolled(self, customer: str = CUSTOMER) -> list[Total]:
        return self.totals(self.store.reader.rolled("calls_daily"), customer)

    def direct(self, customer: str = CUSTOMER) -> list[Total]:
        selected = "SELECT customer, day, name, count() AS calls, sum(cost) AS cost, uniqExactState(user) AS users"
        source = f"({selected} FROM calls WHERE customer = {{customer:String}} GROUP BY customer, day, name)"
        return self.totals(source, customer)


@pytest.fixture
def world(open_store: OpenStore) -> World:
    clock = Clock()
    return World(open_store(CONTRACT, clock=clock), clock)


def test_reads_are_complete_before_after_and_between_runs(world: World) -> None:
    """A read of sums plus newer facts equals a read of all facts, whether or not a run has happened."""
    world.call(NOW, "a", 2)
    assert [Total("2026-11-20", "a", 1, 2, 1)] == world.rolled()
    world.store.rollups.run()
    assert world.direct() == world.rolled()
    world.call(NOW, "a", 3, user="v")
    world.call(NOW - timedelta(days=9), "late", 4)
    assert world.direct() == world.rolled()
    assert [Total("2026-11-11", "late", 1, 4, 1), Total("2026-11-20", "a", 2, 5, 2)] == world.rolled()


def test_reads_leave_the_facts_alone_when_all_of_them_are_summed_up(world: World, open_store: OpenStore) -> None:
    """After a run, however many days it computed and also after a restart, only the sums are read until facts come."""
    for days_ago in range(3):
        world.call(NOW - timedelta(days=days_ago))
    world.store.rollups.run()
    assert "UNION ALL" not in world.store.reader.rolled("calls_daily")
    assert world.direct() == world.rolled()
    world.call(NOW, cost=7)
    assert "UNION ALL" in world.store.reader.rolled("calls_daily")
    world.store.rollups.run()
    assert world.direct() == world.rolled()
    world.store.close()
    again = World(open_store(CONTRACT, clock=world.clock), world.clock)
    assert "UNION ALL" not in again.store.reader.rolled("calls_daily")
    assert again.direct() == again.rolled()


def test_a_run_does_only_days_with_newer_facts(world: World) -> None:
    """Late facts of an old day are found; a run with nothing new does nothing."""
    world.call(NOW)
    world.call(NOW - timedelta(days=1))
    assert [DaysDone("calls_daily", (date(2026, 11, 19), date(2026, 11, 20)))] == world.store.rollups.run()
    assert [DaysDone("calls_daily", ())] == world.store.rollups.run()
    world.call(NOW - timedelta(days=9))
    assert [DaysDone("calls_daily", (date(2026, 11, 11),))] == world.store.rollups.run()


def test_since_computes_stored_days_again(world: World) -> None:
    """A run from a date on does those days whether or not they have newer facts, and changes no number."""
    for days in (0, 1, 5):
        world.call(NOW - timedelta(days=days))
    world.store.rollups.run()
    done = world.store.rollups.run(since=date(2026, 11, 19))
    assert [DaysDone("calls_daily", (date(2026, 11, 19), date(2026, 11, 20)))] == done
    assert world.direct() == world.rolled()


def test_after_a_run_reads_take_sums_and_leave_facts_alone(world: World) -> None:
    """Once summed up, facts below the covered number are skipped, so the read looks at far fewer rows."""
    rows = [(i, NOW, "a", 1, "u") for i in range(20_000)]
    batch = pa.Table.from_batches([build(CALLS, CUSTOMER, int(NOW.timestamp() * 1_000_000), rows)])
    world.store.writer.insert(InsertBatch({"calls": batch}))
    world.store.rollups.run()
    everything = {"customer": CUSTOMER, "since_day": date(2026, 11, 1), "until_day": date(2026, 11, 30)}
    sql = f"SELECT toString(day) AS day, name, calls, cost, 0 AS users FROM {world.store.reader.rolled('calls_daily')}"
    found = world.store.reader.rows(sql, everything, Total)
    assert [Total("2026-11-20", "a", 20_000, 20_000, 0)] == found.rows
    assert found.rows_read < 100


def test_sums_outlive_their_facts(world: World) -> None:
    """Retention deletes facts but not their sums, and a straggler of such a day is added to them."""
    old_day = NOW - timedelta(days=3)
    world.call(old_day, "a", 10, user="u")
    world.store.rollups.run()
    world.clock.advance(days=31)
    world.store.retention.run()
    assert [] == world.direct()
    before = [Total("2026-11-17", "a", 1, 10, 1)]
    assert before == world.rolled()
    world.store.rollups.run(since=date(2026, 11, 1))
    assert before == world.rolled()
    world.call(old_day, "a", 5, user="v")
    after = [Total("2026-11-17", "a", 2, 15, 2)]
    assert after == world.rolled()
    world.store.rollups.run()
    assert after == world.rolled()
    world.store.rollups.run(since=date(2026, 11, 1))
    assert after == world.rolled()


def test_facts_that_no_run_had_seen_are_summed_up_before_they_go(world: World) -> None:
    """A server that was switched off for longer than the retention keeps the sums of what it had stored."""
    world.call(NOW, "a", 10)
    world.clock.advance(days=31)
    world.store.retention.run()
    assert ([], [Total("2026-11-20", "a", 1, 10, 1)]) == (world.direct(), world.rolled())


def test_facts_dated_in_the_future_outlive_their_retention_in_the_sums(world: World) -> None:
    """A sender whose clock is years ahead loses no sums when its facts expire before their day has come."""
    future = datetime(2090, 1, 1, tzinfo=UTC)
    world.call(future, cost=1)
    world.store.rollups.run()
    world.clock.advance(days=31)
    world.store.retention.run()
    world.call(future, cost=2)
    world.store.rollups.run()
    assert [Total("2090-01-01", "a", 2, 3, 1)] == world.rolled()


def test_erased_facts_leave_the_sums_as_well(world: World) -> None:
    """Erasing a customer's facts empties its sums, now and after later runs, and no other customer's."""
    world.call(NOW)
    world.call(NOW, customer=OTHER)
    world.store.rollups.run()
    assert 1 == world.store.writer.erase("calls", CUSTOMER)
    assert ([], 1) == (world.rolled(), len(world.rolled(OTHER)))
    world.store.rollups.run(since=date(2026, 11, 1))
    assert ([], 1) == (world.rolled(), len(world.rolled(OTHER)))


def test_replaced_sums_stay_for_running_reads_and_go_later(world: World) -> None:
    """A read that began before a run still finds its sums; they are removed once no read can want them."""
    world.call(NOW)
    world.store.rollups.run()
    begun = world.store.reader.rolled("calls_daily")
    expected = world.totals(begun)
    world.call(NOW, "b")
    world.store.rollups.run()
    assert expected == [total for total in world.totals(begun) if total.name == "a"]
    world.clock.advance(hours=1)
    world.store.rollups.run()
    rows = world.store._look.rows("SELECT count(), uniqExact(generation) FROM calls_daily")
    assert [(2, 1)] == rows
    assert world.direct() == world.rolled()


def test_sums_without_marker_are_never_read(world: World, open_store: OpenStore) -> None:
    """What a crash left between sums and their marker is not read, and the next run removes it."""
    world.call(NOW)
    world.store.rollups.run()
    generation = world.store.writer.barrier()
    world.store._look.command(
        f"INSERT INTO calls_daily SELECT customer, day, {generation}, name, calls, cost, users FROM calls_daily"
    )
    world.store.close()
    again = World(open_store(CONTRACT, clock=world.clock), world.clock)
    assert again.direct() == again.rolled()
    again.clock.advance(hours=1)
    again.call(NOW)
    again.store.rollups.run()
    again.clock.advance(hours=1)
    again.store.rollups.run()
    assert again.direct() == again.rolled()
    rows = again.store._look.rows("SELECT count() FROM calls_daily")
    assert [(1,)] == rows


def test_a_run_that_died_half_way_counts_nothing_twice(world: World, open_store: OpenStore) -> None:
    """When some days were done and the end of the run was never noted, reads still agree, and so does the next run."""
    world.call(NOW)
    world.call(NOW - timedelta(days=1))
    world.store.rollups.run()
    world.store._look.command("TRUNCATE TABLE rollup_progress")
    world.store.close()
    again = World(open_store(CONTRACT, clock=world.clock), world.clock)
    assert again.direct() == again.rolled()
    world.clock.advance(seconds=1)
    again.call(NOW)
    assert again.direct() == again.rolled()
    again.store.rollups.run()
    assert again.direct() == again.rolled()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 4), st.sampled_from("ab"), st.integers(0, 3)),
        st.just(("run",)),
        st.just(("since",)),
        st.just(("hour",)),
        st.just(("reopen",)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 2**16))
def test_sums_and_newer_facts_equal_all_facts_at_every_moment(
    open_store: OpenStore, steps: list[tuple[Any, ...]], seed: int
) -> None:
    """Whatever arrives, runs and restarts in whatever order, both reads agree after every step."""
    shuffle = random.Random(seed)
    customer = f"cust_{uuid.uuid4().hex[:16]}"
    clock = Clock()
    world = World(open_store(CONTRACT, clock=clock), clock)
    for step, *values in steps:
        if step == "call":
            days, name, cost = values
            world.call(clock() - timedelta(days=days), name, cost, user=str(shuffle.random()), customer=customer)
        elif step == "run":
            world.store.rollups.run()
        elif step == "since":
            world.store.rollups.run(since=date(2026, 11, 18))
        elif step == "hour":
            clock.advance(hours=1)
        else:
            world.store.close()
            world.store = open_store(CONTRACT, clock=clock)
        assert world.direct(customer) == world.rolled(customer)


def test_reads_beside_inserts_and_runs_miss_nothing_and_count_nothing_twice(world: World) -> None:
    """While rows are inserted and days are summed up, a read sees at least what was stored before it and never more."""
    stop = threading.Event()
    failures: list[BaseException] = []
    stored: list[datetime] = []

    def store_one() -> None:
        world.call(NOW)
        stored.append(NOW)

    def repeat(step: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                step()
        except BaseException as failure:
            failures.append(failure)
            raise

    def calls(totals: list[Total]) -> int:
        return sum(total.calls for total in totals)

    threads = [threading.Thread(target=repeat, args=(step,)) for step in (store_one, world.store.rollups.run)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            before = len(stored)
            seen = calls(world.rolled())
            after = calls(world.direct())
            assert before <= seen <= after
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [] == failures
    assert world.direct() == world.rolled()


def test_a_read_of_something_that_is_no_rollup_is_an_error(world: World) -> None:
    """Asking for the sums of a table that has none names the table."""
    with pytest.raises(KeyError, match="calls_weekly"):
        world.store.reader.rolled("calls_weekly")


def test_retention_setting_is_the_tables_own(open_store: OpenStore) -> None:
    """The knob of a table decides how long its facts stay."""
    clock = Clock()
    world = World(open_store(CONTRACT, settings=Settings({DAYS_KEPT.name: 2}), clock=clock), clock)
    world.call(NOW)
    clock.advance(days=1)
    assert [] == world.store.retention.run()
    clock.advance(days=1, seconds=1)
    assert [("calls", 1)] == [(done.table, done.rows) for done in world.store.retention.run()]
    assert [] == world.direct()
