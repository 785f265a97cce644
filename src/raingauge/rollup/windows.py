"""Which inserts a rollup already holds, day by day, and how a read joins it with the rest.

    batch numbers ──────────────────────────────────────────────────────────▶
    every day      ██████████ covered │ newer: read from the facts
    a day redone   ██████████████████ generation │ newer: read from the facts

`covered` holds for all days at once, so stored facts below it are skipped by their index. While a run is on its way,
the days it has finished are ahead of `covered`; their own generation is the border then. A generation number is used
for one computation of one day and never again, so whatever a crash left behind is never read.
"""

# ruff: noqa: S608 - SQL is built from declared names and our own numbers
from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from raingauge.contract import Rollup
from raingauge.store import schema

WHERE: Final = "{where}"
_WINDOW: Final = "customer = {customer:String} AND day BETWEEN {since_day:Date} AND {until_day:Date}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Inserts up to number `covered` are summed up for all days; `generations` are the sums that count."""

    covered: int = 0
    generations: Mapping[date, int] = field(default_factory=dict)


class Windows:
    """The coverage of every rollup, as of the last finished step of the runner. Safe to use from any thread."""

    def __init__(self, rollups: Iterable[Rollup], coverage: Mapping[str, Coverage]) -> None:
        self.rollups = {rollup.table: rollup for rollup in rollups}
        self._coverage = {table: coverage.get(table, Coverage()) for table in self.rollups}
        self._lock = threading.Lock()

    def coverage(self, table: str) -> Coverage:
        return self._coverage[table]

    def day_done(self, table: str, day: date, generation: int) -> None:
        """From now on reads use this generation of the day."""
        with self._lock:
            known = self._coverage[table]
            self._coverage[table] = replace(known, generations={**known.generations, day: generation})

    def run_done(self, table: str, covered: int) -> None:
        """Every insert up to this number is in some day's current generation."""
        with self._lock:
            self._coverage[table] = replace(self._coverage[table], covered=covered)

    def rolled(self, table: str) -> str:
        """See `contract.Facts.rolled`. Raises KeyError for a table that is no rollup."""
        return combined(self.rollups[table], self._coverage[table])


def combined(rollup: Rollup, coverage: Coverage) -> str:
    """A subquery of the current generations and of all facts that are newer than them."""
    current = ", ".join(map(str, (0, *coverage.generations.values())))
    columns = schema.names(("customer", "day", *(column.name for column in rollup.columns)))
    newer = f"{_WINDOW} AND batch > {coverage.covered}"
    ahead = {day: number for day, number in coverage.generations.items() if number > coverage.covered}
    if ahead:
        days = ", ".join(f"toDate('{day.isoformat()}')" for day in ahead)
        numbers = ", ".join(f"toUInt64({number})" for number in ahead.values())
        newer += f" AND batch > transform(day, [{days}], [{numbers}], toUInt64(0))"
    return (
        f"(SELECT {columns} FROM {schema.name(rollup.table)} WHERE {_WINDOW} AND generation IN ({current})"
        f" UNION ALL {rollup.select.replace(WHERE, newer)})"
    )
