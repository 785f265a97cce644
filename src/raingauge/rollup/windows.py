"""Which inserts a rollup already holds, day by day, and how a read joins it with the rest.

    batch numbers ──────────────────────────────────────────────────────────▶
    every day      ██████████ covered │ newer: read from the facts
    a day redone   ██████████████████ generation │ newer: read from the facts

`covered` holds for all days at once, so stored facts below it are skipped by their index, and the facts are not asked
at all when none is newer. While a run is on its way, the days it has finished are ahead of `covered`; their own
generation is the border then. A generation number is used for one computation of one day and never again, so whatever a
crash left behind is never read.

Naming every generation that counts costs a look-up for each row, so once a run has cleaned up, a read names the few
that do not: later ones, and those that were replaced and wait for reads that had already begun.
"""

# ruff: noqa: S608 - SQL is built from declared names and our own numbers
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from raingauge.contract import Parts, Rollup
from raingauge.store import schema

WHERE: Final = "{where}"
_NAMED_MAX: Final = 8
"""Comparing with so many numbers one by one is quicker than looking a number up in a set."""
_WINDOW: Final = "customer = {customer:String} AND day BETWEEN {since_day:Date} AND {until_day:Date}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Inserts up to number `covered` are summed up for all days; `generations` are the sums that count.

    `replaced` are all earlier sums that are still stored, or None when there may be others.
    """

    covered: int = 0
    generations: Mapping[date, int] = field(default_factory=dict)
    replaced: frozenset[int] | None = None


class Windows:
    """The coverage of every rollup, as of the last finished step of the runner. Safe to use from any thread."""

    def __init__(
        self,
        rollups: Iterable[Rollup],
        coverage: Mapping[str, Coverage],
        newest: Callable[[str], int] | None = None,
    ) -> None:
        """`newest` gives the number of the last insert into a table of facts, None when it cannot be known."""
        self._newest = newest
        self.rollups = {rollup.table: rollup for rollup in rollups}
        self._coverage = {table: coverage.get(table, Coverage()) for table in self.rollups}
        self._lock = threading.Lock()

    def coverage(self, table: str) -> Coverage:
        return self._coverage[table]

    def newest(self, source: str) -> int | None:
        """The number of the last insert into a table of facts, None when it cannot be known."""
        return self._newest(source) if self._newest else None

    def day_done(self, table: str, day: date, generation: int) -> None:
        """From now on reads use this generation of the day."""
        with self._lock:
            known = self._coverage[table]
            replaced = known.replaced
            if replaced is not None and (earlier := known.generations.get(day)):
                replaced |= {earlier}
            self._coverage[table] = Coverage(known.covered, {**known.generations, day: generation}, replaced)

    def cleaned(self, table: str, replaced: frozenset[int]) -> None:
        """From now on nothing is stored but the sums that count and these."""
        with self._lock:
            self._coverage[table] = replace(self._coverage[table], replaced=replaced)

    def run_done(self, table: str, covered: int) -> None:
        """Every insert up to this number is in some day's current generation."""
        with self._lock:
            self._coverage[table] = replace(self._coverage[table], covered=covered)

    def rolled(self, table: str) -> str:
        """See `contract.Facts.rolled`. Raises KeyError for a table that is no rollup."""
        rollup = self.rollups[table]
        return combined(rollup, self.parts(table))

    def parts(self, table: str) -> Parts:
        """See `contract.Facts.parts`. Raises KeyError for a table that is no rollup."""
        rollup, coverage = self.rollups[table], self._coverage[table]
        return split(rollup, coverage, None if self._newest is None else self._newest(rollup.source))

    def newer(self, parts: Parts, select: str, after: int) -> str:
        """A SELECT of what the rollup would hold of newer facts, of all days, from later inserts than number `after`."""
        where = f"customer = {{customer:String}} AND {parts.since} AND batch > {after}"
        if parts.newest is not None:
            where += f" AND batch <= {parts.newest}"
        return f"SELECT {select} FROM ({self.rollups[parts.table].select.replace(WHERE, where)})"

    @property
    def are_fixed(self) -> bool:
        """Whether what a text of `parts` names stays the same until rows are deleted."""
        return self._newest is not None


def split(rollup: Rollup, coverage: Coverage, newest: int | None) -> Parts:
    """The current generations, and facts that are newer than them up to insert number `newest`, or all of them."""
    sums = f"{schema.name(rollup.table)} WHERE {_WINDOW} AND {_current(coverage)}"
    since = f"batch > {coverage.covered}"
    ahead = {day: number for day, number in coverage.generations.items() if number > coverage.covered}
    if ahead:
        days = ", ".join(f"toDate('{day.isoformat()}')" for day in ahead)
        numbers = ", ".join(f"toUInt64({number})" for number in ahead.values())
        since += f" AND batch > transform(day, [{days}], [{numbers}], toUInt64(0))"
    if newest is None:
        return Parts(sums, f"{_WINDOW} AND {since}", rollup.table, since)
    if newest <= coverage.covered:
        return Parts(sums, "", rollup.table)
    return Parts(sums, f"{_WINDOW} AND {since} AND batch <= {newest}", rollup.table, since, newest)


def combined(rollup: Rollup, parts: Parts) -> str:
    """Both parts as one subquery."""
    columns = schema.names(("customer", "day", *(column.name for column in rollup.columns)))
    sums = f"SELECT {columns} FROM {parts.sums}"
    return f"({sums} UNION ALL {rollup.select.replace(WHERE, parts.newer)})" if parts.newer else f"({sums})"


def _current(coverage: Coverage) -> str:
    """A condition for the sums that count, also for those that a run has added by the time it is evaluated."""
    if coverage.replaced is None or len(coverage.replaced) > _NAMED_MAX:
        return f"generation IN ({', '.join(map(str, (0, *coverage.generations.values())))})"
    newest = max(coverage.generations.values(), default=0)
    return " AND ".join([f"generation <= {newest}", *(f"generation != {one}" for one in sorted(coverage.replaced))])
