"""Which signal counts, and what rows that count add up to. Everything here is pure.

Per day, person and family of tools, spend is what the best signal that tells spend says of it, and what was done is
what the best that tells that says, see `spend.SPEND_SIGNALS`. Newer rows may change which signal that is, but only for
their own days, people and families, so that only the groups with rows of these are made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import Final, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contracts.otlp.reads.query import Range
from raingauge.contracts.otlp.rollups import USAGE_EVENTS, USAGE_POINTS, USAGE_SPANS, Usage
from raingauge.contracts.otlp.sources import Source
from raingauge.contracts.otlp.spend import FAMILY, SPEND_SIGNALS

COST: Final = {"cost": ("cost_nano",), "estimated": ("estimated_nano",)}
"""Values of spend, in 10^-9 USD: all of it, and the part that comes from list prices."""

SIGNALS: Final = (USAGE_EVENTS, USAGE_SPANS, USAGE_POINTS)
"""In the order in which they are believed about what was done."""

_SOURCES: Final = [str(source) for source in Source]
# A list: pyarrow imports pandas for its first array, which commands that read nothing need not wait for.
_FAMILY: Final = [_SOURCES.index(FAMILY[source]) for source in Source]
"""By place of the source in `_SOURCES`."""

_LAST: Final = 9
"""Rank of signals that are no good for spend."""

_FLAGS: Final = ("spending", "doing")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a panel wants to know of the hours that it looks at.

    `groups` are what it tells its groups apart by: `day`, any dimension, and `moment`, the last of `edges` up to an
    hour, in seconds since 1970, or the hour itself without any.
    A value is a sum of measures: those of `spend` are taken from the signal that tells the spend, those of `done` from
    the one that tells what was done, those of `told` from all. Filters take no part in the choice of the signal.
    `sessions` says of which rows the sessions are listed: of `any`, or of those that tell of any use.
    Values and sessions are those of days `since` then; `only_people` leaves out what nobody is known for.
    """

    hours: Range
    groups: Sequence[str]
    edges: Sequence[int] | None = None
    spend: Mapping[str, Sequence[str]] = field(default_factory=dict)
    done: Mapping[str, Sequence[str]] = field(default_factory=dict)
    told: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sessions: Literal["", "any", "active"] = ""
    since: date | None = None
    only_people: bool = False

    @property
    def values(self) -> dict[str, Sequence[str]]:
        return {**self.spend, **self.done, **self.told}

    @property
    def shape(self) -> tuple[tuple[str, ...], ...]:
        """What tells this from other questions that lead to the same statements."""
        return tuple(map(tuple, (self.groups, self.spend, self.done, self.told)))

    @property
    def keys(self) -> list[str]:
        """What rows are told apart by: enough to choose the signal, and the groups."""
        return [*dict.fromkeys(("day", "user", "source", *self.groups))]


Summed: TypeAlias = Callable[[Asked, pa.Table], pa.Table]
"""Makes one row per group, with its number in `of_group`, of rows that the filters keep.

These are one per signal, day, user, source and group. Besides these, `of_group` and the values there are the columns
`spending` and `doing`, whether the row's signal is the one that tells, `active`, whether it tells of any use at all, and
`sessions`, a list of numbers.
"""


class Still(NamedTuple):
    """What the sums tell: rows with the signal that counts, and the groups made of them."""

    told: pa.Schema
    """Of the statements."""
    rows: pa.Table
    numbers: pa.Array
    """The groups' names in order, each at the place that is its number."""
    groups: pa.Table

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.numbers.nbytes + self.groups.nbytes)

    @property
    def looked(self) -> int:
        return int(pc.sum(self.rows["looked"]).as_py() or 0)


@dataclass(frozen=True, slots=True)
class Groups:
    """One row per group: those of `still`, in the order in which they were made, but for those that `renewed` replaces.

    `touched` are the numbers of the groups that are made anew; one of which nothing is left is not in `renewed`.
    """

    still: pa.Table
    touched: pa.Array
    renewed: pa.Table

    def all(self) -> pa.Table:
        """All groups; those made anew last."""
        return self._joined(self.still)

    def first(self, count: int) -> pa.Table:
        """Groups among which are the first `count` of all, if the order in which they were made is any."""
        return self._joined(self.still.slice(0, count + len(self.touched)))

    def _joined(self, still: pa.Table) -> pa.Table:
        if not len(self.touched):
            return still
        rest = still.filter(pc.invert(pc.is_in(still["of_group"], self.touched)))
        return pa.concat_tables([rest, self.renewed], promote_options="permissive")


def chosen(asked: Asked, told: Mapping[str, Usage], tables: Mapping[str, pa.Table], summed: Summed) -> Still:
    """From the results of statements by text, and which signal's they are."""
    parts = [_ranked(usage, tables[text]) for text, usage in told.items()]
    rows = pa.concat_tables(parts, promote_options="permissive")
    names = _names(asked, rows)
    unordered = names.unique()
    numbers = unordered.take(pc.array_sort_indices(unordered))
    rows = rows.append_column("of_group", pc.index_in(names, numbers))
    rows = _flagged(asked, rows.combine_chunks())
    return Still(tables[next(iter(told))].schema, rows, numbers, summed(asked, _kept(rows)))


def renewed(asked: Asked, still: Still, newer: Iterable[tuple[Usage, pa.Table]], summed: Summed) -> Groups:
    """With rows that are newer, each signal's."""
    parts = [_ranked(usage, rows) for usage, rows in newer if rows.num_rows]
    if not parts:
        return Groups(still.groups, pa.array([], pa.int32()), still.groups.slice(0, 0))
    fresh = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    fresh = fresh.append_column("of_group", _numbered(_names(asked, fresh), still.numbers))
    nearby = pc.is_in(still.rows["who"], fresh["who"].unique())
    # Taking few rows by their places is quicker than going through all of many columns.
    near = still.rows.take(pc.indices_nonzero(nearby))
    near = near.drop_columns([name for name in _FLAGS if name in near.column_names])
    again = _flagged(asked, pa.concat_tables([near, fresh], promote_options="permissive").combine_chunks())
    touched = again["of_group"].unique()
    others = pc.and_(pc.is_in(still.rows["of_group"], touched), pc.invert(nearby))
    rows = pa.concat_tables(
        [still.rows.take(pc.indices_nonzero(others)), again], promote_options="permissive"
    ).combine_chunks()
    return Groups(still.groups, touched, summed(asked, _kept(rows)))


def _names(asked: Asked, rows: pa.Table) -> pa.Array:
    """A text for each row that tells its group."""
    columns = [rows[name] for name in asked.groups]
    columns = [column.cast(pa.int32()) if pa.types.is_date(column.type) else column for column in columns]
    return pc.binary_join_element_wise(*(column.cast(pa.string()) for column in columns), "\0").combine_chunks()


def _numbered(names: pa.Array, numbers: pa.Array) -> pa.Array:
    """The place of each name among `numbers`, which are in order, and places behind these for all others."""
    if not len(numbers):
        return pc.index_in(names, names.unique())
    places = pc.min_element_wise(pc.search_sorted(numbers, names), len(numbers) - 1).cast(pa.int32())
    known = pc.equal(numbers.take(places), names)
    others = names.filter(pc.invert(known)).unique()
    return pc.if_else(known, places, pc.add(pc.index_in(names, others), len(numbers)).cast(pa.int32()))


def by_group(asked: Asked, rows: pa.Table) -> pa.Table:
    """All values by group, with `of_group` and what the groups are told apart by. Only parts that count are added."""
    # Columns are chosen before rows: those that are left out need not be copied.
    parts = [
        rows.select(["of_group", *asked.spend]).filter(rows["spending"]) if asked.spend else None,
        rows.select(["of_group", *asked.done]).filter(rows["doing"]) if asked.done else None,
        rows.select(["of_group", *asked.told]) if asked.told else None,
    ]
    sums = added([part for part in parts if part is not None], ("of_group",))
    row = pc.index_in(sums["of_group"], rows["of_group"].combine_chunks())
    for name in asked.groups:
        sums = sums.append_column(name, rows[name].take(row))
    return sums


def in_groups(rows: pa.Table, column: str, function: str, groups: pa.ChunkedArray) -> pa.ChunkedArray:
    """What an aggregate function says of a column of the rows of each of these groups; null where there are none."""
    found = rows.group_by("of_group", use_threads=False).aggregate([(column, function)])
    return found[f"{column}_{function}"].take(pc.index_in(groups, found["of_group"].combine_chunks()))


def sessions_in_groups(rows: pa.Table, groups: pa.ChunkedArray) -> pa.ChunkedArray:
    """How many different sessions the rows of each of these groups list."""
    lists = rows["sessions"].combine_chunks()
    row = pc.list_parent_indices(lists)
    each = pa.table({"of_group": rows["of_group"].take(row), "session": pc.list_flatten(lists)})
    return pc.fill_null(in_groups(each, "session", "count_distinct", groups), 0)


def telling(sums: pa.Table, names: Iterable[str]) -> pa.Table:
    """The rows in which any of these columns is not 0."""
    return sums.filter(reduce(pc.or_, (pc.not_equal(sums[name], pa.scalar(0, sums[name].type)) for name in names)))


def added(parts: Iterable[pa.Table], keys: tuple[str, ...]) -> pa.Table:
    """Rows of the same keys added up, over all parts."""
    rows = pa.concat_tables(parts, promote_options="default")
    values = [name for name in rows.column_names if name not in keys]
    # min_count 0: a key that only some parts have is 0 in the others.
    summing = [(name, "sum", pc.ScalarAggregateOptions(min_count=0)) for name in values]
    return rows.group_by(keys, use_threads=False).aggregate(summing).rename_columns([*keys, *values])


def _ranked(usage: Usage, rows: pa.Table) -> pa.Table:
    """With whose the rows are, and the place of their signal in the two orders of belief."""
    ranks = [SPEND_SIGNALS[source] for source in Source]
    rank = pa.array([found.index(usage.signal) if usage.signal in found else _LAST for found in ranks], pa.int8())
    source = pc.fill_null(pc.index_in(rows["source"], pa.array(_SOURCES)), _SOURCES.index(Source.OTHER))
    source = source.combine_chunks()
    family = pa.array(_FAMILY, pa.uint64()).take(source)
    signal = pa.repeat(pa.scalar(SIGNALS.index(usage), pa.int8()), rows.num_rows)
    return (
        rows.append_column("who", pc.bit_wise_xor(rows["person_day"], family))
        .append_column("rank", rank.take(source))
        .append_column("signal", signal)
    )


def _flagged(asked: Asked, rows: pa.Table) -> pa.Table:
    """With the flags that tell which rows count."""
    if asked.spend:
        rows = rows.append_column("spending", _tells(rows, "spent", "rank"))
    if asked.done:
        rows = rows.append_column("doing", _tells(rows, "did", "signal"))
    return rows


def _tells(rows: pa.Table, flag: str, order: str) -> pa.Array:
    """Whether a row is of the first signal in this order that has the flag at the row's day, person and family."""
    flagged = rows.select(["who", order]).filter(rows[flag])
    first = flagged.group_by("who", use_threads=False).aggregate([(order, "min")])
    place = pc.index_in(rows["who"], first["who"].combine_chunks())
    return pc.fill_null(pc.equal(rows[order], first[f"{order}_min"].take(place)), False)


def _kept(rows: pa.Table) -> pa.Table:
    """The rows that the filters keep."""
    return rows.filter(rows["kept"]) if "kept" in rows.column_names else rows
