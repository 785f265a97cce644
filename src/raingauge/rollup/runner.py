"""Keeps the daily sums up to date: finds days with newer facts, computes each anew, replaces it as a whole.

A day is computed from all its facts, unless retention has deleted some of them: then its old sums are kept and only
newer facts are added. Either way the result is a new generation of the day, which counts from the moment its marker is
written; a crash before that leaves rows that nobody reads and the next run removes.
"""

# ruff: noqa: S608 - SQL is built from declared names; values are bound
from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from raingauge.contract import Numbering, Rollup
from raingauge.rollup.windows import WHERE, Coverage, Windows
from raingauge.store import schema
from raingauge.store.client import Session
from raingauge.store.writer import Writer

KEEP_SUPERSEDED: Final = timedelta(minutes=5)
"""How long replaced sums stay for reads that had already begun; longer than any read may take."""

_ALLOWED_SKEW: Final = timedelta(days=1)
_AFTER_ALL_DAYS: Final = date(2149, 6, 6)


@dataclass(frozen=True, slots=True)
class DaysDone:
    """What one run did for one rollup."""

    rollup: str
    days: tuple[date, ...]


class RollupRunner:
    """One run at a time; `clock` gives the time as an aware datetime."""

    def __init__(self, session: Session, writer: Writer, windows: Windows, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._writer = writer
        self._windows = windows
        self._clock = clock
        self._lock = threading.Lock()
        self._replaced: dict[tuple[str, int], datetime] = {}
        self._numbered: dict[tuple[str, date, int], int] = {}

    def run(self, since: date | None = None) -> list[DaysDone]:
        """Compute every day that has newer facts, and with `since` every stored day from then on."""
        with self._lock:
            self._numbered.clear()
            return [DaysDone(rollup.table, self._run(rollup, since)) for rollup in self._windows.rollups.values()]

    def _run(self, rollup: Rollup, since: date | None) -> tuple[date, ...]:
        self._remove_superseded(rollup)
        covered = self._writer.barrier()
        days = self._days(rollup, self._windows.coverage(rollup.table).covered, covered, since)
        for day in days:
            # Facts must not be deleted while they are being summed up, or their sums would outlive them.
            with self._writer.upkeep:
                self._compute(rollup, day)
        covered = self._raised(rollup, covered)
        self._session.command(
            "INSERT INTO rollup_progress SELECT {target:String}, {covered:UInt64}",
            {"target": rollup.table, "covered": covered},
        )
        self._windows.run_done(rollup.table, covered)
        return days

    def _days(self, rollup: Rollup, after: int, up_to: int, since: date | None) -> tuple[date, ...]:
        answer = self._session.rows(
            f"SELECT DISTINCT day FROM {schema.name(rollup.source)}"
            " WHERE (batch > {after:UInt64} AND batch <= {up_to:UInt64}) OR day >= {since:Date} ORDER BY day",
            {"after": after, "up_to": up_to, "since": since or _AFTER_ALL_DAYS},
        )
        return tuple(day for (day,) in answer)

    def _raised(self, rollup: Rollup, covered: int) -> int:
        """Up to which insert all facts are summed up: to the end of the run, unless some came meanwhile."""
        generations = self._windows.coverage(rollup.table).generations.values()
        end = max((covered, *generations))
        ((first_since,),) = self._session.rows(
            f"SELECT min(batch) FROM {schema.name(rollup.source)}"
            " WHERE batch > {covered:UInt64} AND batch <= {end:UInt64}",
            {"covered": covered, "end": end},
        )
        return first_since - 1 if first_since else end

    def _compute(self, rollup: Rollup, day: date) -> None:
        generation = self._writer.barrier()
        earlier = self._windows.coverage(rollup.table).generations.get(day, 0)
        complete = self._is_complete(rollup, day)
        columns = schema.names(("customer", "day", *(column.name for column in rollup.columns)))
        newer = "day = {day:Date} AND batch > {after:UInt64} AND batch <= {generation:UInt64}"
        sums = rollup.select.replace(WHERE, newer)
        if not complete:
            kept = "day = {day:Date} AND generation = {after:UInt64}"
            sums = f"SELECT {columns} FROM {schema.name(rollup.table)} WHERE {kept} UNION ALL {sums}"
        parameters: dict[str, Any] = {"day": day, "after": 0 if complete else earlier, "generation": generation}
        for numbering in rollup.numberings:
            self._give_numbers(numbering, rollup.source, newer, parameters)
        self._session.command(
            f"INSERT INTO {schema.name(rollup.table)} ({columns}, generation)"
            f" SELECT *, {{generation:UInt64}} FROM ({sums})",
            parameters,
        )
        self._session.command(
            "INSERT INTO rollup_days SELECT {target:String}, {day:Date}, {generation:UInt64}",
            {**parameters, "target": rollup.table},
        )
        self._windows.day_done(rollup.table, day, generation)
        self._replaced[rollup.table, earlier] = self._clock()

    def _give_numbers(self, numbering: Numbering, source: str, where: str, parameters: dict[str, Any]) -> None:
        """Number what has no number yet, unless another rollup of this run has seen to the same facts."""
        facts = (numbering.table, parameters["day"], parameters["after"])
        newest = self._windows.newest(source)
        if newest is None or newest > self._numbered.get(facts, 0):
            self._session.command(_numbers(numbering, source, where), parameters)
            self._numbered[facts] = parameters["generation"]

    def _is_complete(self, rollup: Rollup, day: date) -> bool:
        """Whether every fact of the day is still stored, as far as events arrive on their day or later."""
        deleted_before = self._session.rows(
            "SELECT max(deleted_before) FROM retention_horizons WHERE source = {source:String}",
            {"source": rollup.source},
        )[0][0]
        today = self._clock().astimezone(UTC).date()
        return bool(deleted_before + _ALLOWED_SKEW < day <= today + _ALLOWED_SKEW)

    def _remove_superseded(self, rollup: Rollup) -> None:
        replaced_before = self._clock() - KEEP_SUPERSEDED
        self._replaced = {found: at for found, at in self._replaced.items() if at > replaced_before}
        replaced = [generation for table, generation in self._replaced if table == rollup.table]
        kept = [*self._windows.coverage(rollup.table).generations.values(), *replaced]
        self._session.delete(schema.name(rollup.table), "generation NOT IN {kept:Array(UInt64)}", {"kept": kept})
        self._windows.cleaned(rollup.table, frozenset(replaced) - {0})


def _numbers(numbering: Numbering, source: str, where: str) -> str:
    """A statement that numbers the values of some facts; one insert, so all of them or none."""
    table = schema.name(numbering.table)
    return f"""
        INSERT INTO {table} (customer, value, number)
        WITH found AS (SELECT DISTINCT customer, {numbering.value} AS value FROM {schema.name(source)} WHERE {where})
        SELECT found.customer, found.value, highest.number + row_number() OVER (PARTITION BY found.customer)
        FROM found LEFT JOIN (SELECT customer, max(number) AS number FROM {table} GROUP BY customer) AS highest
            ON highest.customer = found.customer
        WHERE found.value NOT IN (SELECT value FROM {table} WHERE value IN (SELECT value FROM found))
        SETTINGS max_insert_threads = 1
    """


def load_coverage(session: Session) -> dict[str, Coverage]:
    """What the markers in the store say, per rollup."""
    answer = session.rows("SELECT target, max(covered) FROM rollup_progress GROUP BY target")
    covered: dict[str, int] = {table: number for table, number in answer}  # noqa: C416 - gives the types
    generations: dict[str, dict[date, int]] = {}
    answer = session.rows("SELECT target, day, max(generation) FROM rollup_days GROUP BY target, day")
    for table, day, generation in answer:
        generations.setdefault(table, {})[day] = generation
    return {table: Coverage(covered.get(table, 0), generations.get(table, {})) for table in {*covered, *generations}}
