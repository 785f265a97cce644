"""What is summed up stands for a while; newer facts touch few prompts and traces. Both are asked apart.

    all sums ────────────────────────────▶ standing: by statements, remembered        +
    links of sums ─┐                       before: what the sums say of the touched   −
                   ├▶ what hangs      ──┬▶
    newer groups ──┘  together with them└▶ after: that and the newer groups           +

A read of everything is one of the sums, without what they say of the touched prompts and traces, and with what is true
of these now. The touched are few, and a statement takes as long to understand as thousands of rows to put together, so
they are put together here, see `touched`. Prompts and traces are numbers here, hashes of their ids: two with the same
number are touched together, which costs a little time and changes no answer.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contract import Facts, Meta, Parts, Window
from raingauge.contracts.otlp.rollups import PROMPTS, TOKENS, TRACES, WHERE, Groups

TOUCHED_MAX: Final = 10_000
"""With more prompts and traces than these touched, everything is asked at once."""

LINKS_MAX: Final = 500_000
"""With more links between prompts and traces than these in the sums, everything is asked at once."""

MONEY: Final = ("cost_nano", "estimated_nano")
COUNTS: Final = (*TOKENS, "requests", "priced", "tool_calls", "errors")

Row: TypeAlias = Mapping[str, Any]

_PROMPT: Final = "cityHash64(toString(prompt))"
_TRACE: Final = "cityHash64(trace_id)"
_SAME: Final = ("session", "user", "repo", "source", "started_us", "ended_us", *COUNTS)
# Lists and maps travel as JSON: Arrow makes Python objects of nested values twenty times as slowly.
_NESTED: Final = {
    "models": "toJSONString(models)",
    "tools": "toJSONString(tools)",
    "agent_nano": "toJSONString(agent_nano)",
    "agents": "toJSONString(arrayMap(one -> [one.1, one.2, one.3], agents))",
}
_ALIKE: Final = {name: name for name in _SAME} | _NESTED | {name: f"toDecimal128({name}, 0)" for name in MONEY}


@dataclass(frozen=True, slots=True)
class _Sort:
    """How rows of prompts or of traces are read: what links them by number, and all columns as they travel."""

    groups: Groups
    number: str
    others: str
    where: str
    columns: Mapping[str, str]

    @property
    def table(self) -> str:
        return self.groups.rollup.table

    @property
    def stored(self) -> tuple[str, ...]:
        """The stored columns that all of this is made from."""
        own = ("prompt", "traces") if self.groups is PROMPTS else ("trace_id", "prompt", "hosts")
        return (*own, *_SAME, *_NESTED, *MONEY)

    @property
    def selected(self) -> str:
        """All columns, as `row_…`, besides `number` and the numbers of `others` that it is linked with."""
        columns = ", ".join(f"{text} AS row_{name}" for name, text in self.columns.items())
        return f"day, {self.number} AS number, {self.others} AS others, {columns}"

    def rows(self, source: str, most: int) -> str:
        return f"SELECT {self.selected} FROM {source} AND {self.where} LIMIT {most}"

    def links(self, rows: Rows) -> str:
        source = rows.of(self.groups, "day", *self.stored[:2])
        links = f"{self.number} AS number, arrayJoin({self.others}) AS other"
        return f"SELECT day, {links} FROM {source} WHERE {self.where} LIMIT {LINKS_MAX}"


def _hex(column: str) -> str:
    return f"toJSONString(arrayMap(one -> lower(hex(one)), {column}))"


_SORTS: Final = (
    _Sort(
        PROMPTS,
        _PROMPT,
        "if(empty(traces), [number], arrayMap(trace_id -> cityHash64(trace_id), traces))",
        "prompt != ''",
        {"id": "toString(prompt)", "traces": _hex("traces")} | _ALIKE,
    ),
    _Sort(
        TRACES,
        _TRACE,
        f"[if(prompt = '', number, {_PROMPT})]",
        "1",
        {"id": "lower(hex(trace_id))", "prompt": "toString(prompt)", "hosts": _hex("hosts")} | _ALIKE,
    ),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of prompts and traces that statements look at."""

    parts: Mapping[str, Parts]
    newer: bool

    def of(self, groups: Groups, *columns: str) -> str:
        """A subquery of these columns. A group may be in several rows."""
        told = self.parts[groups.rollup.table]
        sums = f"SELECT {', '.join(columns)} FROM {told.sums}"
        return f"({sums} UNION ALL {newer_of(groups, told, columns)})" if self.newer and told.newer else f"({sums})"


def newer_of(groups: Groups, told: Parts, columns: Iterable[str]) -> str:
    """A SELECT of these columns of the groups of newer facts."""
    made = ", ".join(f"{groups.values.get(name, name)} AS {name}" for name in columns)
    return f"SELECT {made} FROM {groups.source.replace(WHERE, told.newer)} GROUP BY {groups.by}"


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of prompts and of traces."""

    prompts: Sequence[Row] = ()
    traces: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything is what `rows` say, without `before` and with `after`.

    `touched` are the numbers of prompts and traces of which `rows` say what is out of date.
    """

    rows: Rows
    touched: frozenset[int] = frozenset()
    before: Told = Told()
    after: Told = Told()
    meta: tuple[Meta, ...] = ()


class _Links(NamedTuple):
    """Which numbers are linked: each pair twice, in the order of `one`, with the day of the row that says so.

    `cut` tells that there are more.
    """

    one: pa.Array
    other: pa.Array
    day: pa.Array
    cut: bool

    @property
    def nbytes(self) -> int:
        return int(self.one.nbytes + self.other.nbytes + self.day.nbytes)

    @property
    def looked(self) -> int:
        return len(self.one) // 2

    def of(self, numbers: Collection[int]) -> tuple[set[int], set[date]]:
        """All that are linked with these, and the days."""
        wanted = pa.array(numbers, pa.uint64())
        first, end = (pc.search_sorted(self.one, wanted, side=side) for side in ("left", "right"))
        found = pc.less(first, end)
        others: set[int] = set()
        days: set[date] = set()
        for start, stop in zip(first.filter(found).to_pylist(), end.filter(found).to_pylist(), strict=True):
            others.update(self.other.slice(start, stop - start).to_pylist())
            days.update(self.day.slice(start, stop - start).to_pylist())
        return others, days


async def standing(facts: Facts, window: Window, /, **known: object) -> Standing:
    """Look for what newer facts touch. `known` are `since_day` and `until_day`."""
    parts = {sort.table: facts.parts(sort.table) for sort in _SORTS}
    sums = Rows(parts, newer=False)
    if not any(part.newer for part in parts.values()):
        return Standing(sums)
    statements = {sort.table: sort.links(sums) for sort in _SORTS}
    links, *newer = await asyncio.gather(
        facts.derived(window, statements, _links, "links", **known),
        *(_newer(facts, sort, parts[sort.table], known) for sort in _SORTS),
    )
    fresh = dict(zip(parts, newer, strict=True))
    if not any(newer):
        return Standing(sums, meta=(links.meta,))
    touched, days = await asyncio.to_thread(_together, [*chain(*fresh.values())], links.data)
    if max(len(touched), sum(table.num_rows for table in chain(*fresh.values()))) >= TOUCHED_MAX or links.data.cut:
        return Standing(Rows(parts, newer=True), meta=(links.meta,))
    meta, before = [links.meta], Told()
    if days:
        only = "day IN {{touched_days:Array(Date)}} AND {} IN {{touched:Array(UInt64)}}"
        old = {
            sort.table: sort.rows(f"{parts[sort.table].sums} AND {only.format(sort.number)}", LINKS_MAX)
            for sort in _SORTS
        }
        page = await facts.columns(window, old, **known, touched=sorted(touched), touched_days=sorted(days))
        before = await asyncio.to_thread(_told, {name: [table] for name, table in page.data.items()})
        meta.append(page.meta)
    after = await asyncio.to_thread(_told, fresh)
    after = Told([*before.prompts, *after.prompts], [*before.traces, *after.traces])
    return Standing(sums, touched, before, after, tuple(meta))


async def _newer(facts: Facts, sort: _Sort, parts: Parts, known: Mapping[str, Any]) -> list[pa.Table]:
    """Rows of newer facts of the days that are looked at."""
    first, last = pa.scalar(known["since_day"]), pa.scalar(known["until_day"])

    def looked_at(table: pa.Table) -> pa.Table:
        days = pc.and_(pc.greater_equal(table["day"], first), pc.less_equal(table["day"], last))
        return table.filter(pc.and_(days, pc.not_equal(table["row_id"], "")))

    found = map(looked_at, await facts.newer(parts, sort.selected))
    return [table for table in found if table.num_rows]


def _told(tables: Mapping[str, Sequence[pa.Table]]) -> Told:
    return Told(*([row for table in tables.get(sort.table, ()) for row in table.to_pylist()] for sort in _SORTS))


def _together(fresh: list[pa.Table], links: _Links) -> tuple[frozenset[int], set[date]]:
    """The numbers of all that hangs together with fresh rows, and the days of its stored rows."""
    touched: set[int] = set()
    days: set[date] = set()
    reached = {number for table in fresh for number in table["number"].to_pylist()}
    reached.update(number for table in fresh for numbers in table["others"].to_pylist() for number in numbers)
    while reached and len(touched) < TOUCHED_MAX:
        touched |= reached
        others, found = links.of(reached)
        days |= found
        reached = others - touched
    return frozenset(touched), days


def _links(tables: Mapping[str, pa.Table]) -> _Links:
    there = pa.concat_tables(tables.values())
    back = pa.table({"day": there["day"], "number": there["other"], "other": there["number"]})
    both = pa.concat_tables([there, back], promote_options="default").sort_by("number").combine_chunks()
    one, other, day = (both[name].combine_chunks() for name in ("number", "other", "day"))
    return _Links(one, other, day, any(table.num_rows >= LINKS_MAX for table in tables.values()))
