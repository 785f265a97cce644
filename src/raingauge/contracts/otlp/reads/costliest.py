"""Which prompts cost most, and everything that is stored of them."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import Filters, joined
from raingauge.contracts.otlp.reads.standing import COUNTS, MONEY, Rows, Standing, standing
from raingauge.contracts.otlp.reads.touched import works
from raingauge.contracts.otlp.reads.work import HOSTED, RELATIONS, Compared, Work, begun, decoded
from raingauge.contracts.otlp.rollups import PROMPTS, TRACES

_SPARE: Final = 256
"""At least so many more are ranked of the sums than wanted, as touched ones may drop out."""

_SORTS: Final = ("named", "nameless")
"""Prompts, and traces that no event names: of two that are alike otherwise, the former come first."""

_COLUMNS: Final = (
    "session", "user", "repo", "source", "started_us", "ended_us", "tools", "agents", *MONEY, *COUNTS,
)  # fmt: skip
_MERGED: Final = f"""
    max(toString(session)) AS of_session, max(toString(user)) AS of_user, max(toString(repo)) AS of_repo,
    min(toString(source)) AS of_source, min(started_us) AS begun_us, max(ended_us) AS over_us, toJSONString(sumMap(tools)) AS all_tools,
    {RELATIONS} AS relations, {", ".join(f"toDecimal128(sum({name}), 0) AS sum_{name}" for name in MONEY)},
    {", ".join(f"sum({name}) AS sum_{name}" for name in COUNTS)}
"""
_ITS_TRACES: Final = (
    "toJSONString(arraySort(arrayMap(one -> lower(hex(one)), groupUniqArrayArray(traces)))) AS trace_ids"
)

_RANK: Final = ("id", "number", "cost", "asked")
_PLACE_BYTES: Final = 400
_DESCRIBED_BYTES: Final = 2_000
"""About what one takes in memory."""

T = TypeVar("T")


class _Place(NamedTuple):
    """In the order of rank. `sort` is a place in `_SORTS`."""

    minus_cost: int
    minus_asked: int
    sort: int
    id: str


class _Ranking(NamedTuple):
    """Places in order, each with the number of its prompt or trace."""

    places: list[tuple[_Place, int]]
    looked: int

    @property
    def nbytes(self) -> int:
        return len(self.places) * _PLACE_BYTES


class _Described(NamedTuple, Generic[T]):
    """By place in `_SORTS` and id."""

    found: tuple[dict[str, T], ...]
    looked: int = 0

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.found)) * _DESCRIBED_BYTES


@dataclass(frozen=True, slots=True)
class _Question:
    facts: Facts
    window: Window
    compared: Compared
    known: Mapping[str, Any]

    async def ranked(self, rows: Rows, most: int) -> Page[_Ranking]:
        """The costliest by these rows."""
        order = "ORDER BY cost DESC, asked DESC, id LIMIT {most:UInt64}"
        groups = {"named": self.compared.named(rows), "nameless": self.compared.nameless(rows)}
        numbers = {"named": "cityHash64(id)", "nameless": "cityHash64(toFixedString(unhex(id), 16))"}
        statements = {
            name: f"SELECT id, {numbers[name]} AS number, toDecimal128(cost, 0) AS cost, asked, rows AS looked"
            f" FROM ({groups[name]}) {order}"
            for name in groups
        }
        return await self.facts.derived(self.window, statements, _ranking, "ranking", **self.known, most=most)

    async def described(self, rows: Rows, describe: Callable[[Work], T], **ids: Sequence[str]) -> _Described[T]:
        """These `named` prompts with all that is stored of them and their traces, and these `nameless` traces."""
        statements = {}
        if ids["named"]:
            its_traces = f"SELECT arrayJoin(traces) FROM {rows.of(PROMPTS, 'prompt', 'traces')} WHERE prompt IN {{named:Array(String)}}"
            statements["named"] = f"""
                SELECT prompt AS id, {_ITS_TRACES}, {_MERGED}
                FROM {rows.of(PROMPTS, "prompt", "traces", *_COLUMNS)} WHERE prompt IN {{named:Array(String)}} GROUP BY id
            """
            statements["traces"] = f"""
                SELECT lower(hex(trace_id)) AS id, min(started_us) AS begun_us, max(ended_us) AS over_us,
                    {RELATIONS} AS relations, {HOSTED} AS nested
                FROM {rows.of(TRACES, "trace_id", "started_us", "ended_us", "agents", "hosts")}
                WHERE trace_id IN ({its_traces}) GROUP BY trace_id
            """
        if ids["nameless"]:
            statements["nameless"] = f"""
                SELECT lower(hex(trace_id)) AS id, max(toString(prompt)) AS of_prompt, {HOSTED} AS nested, {_MERGED}
                FROM {rows.of(TRACES, "trace_id", "prompt", "hosts", *_COLUMNS)}
                WHERE trace_id IN (SELECT toFixedString(unhex(arrayJoin({{nameless:Array(String)}})), 16)) GROUP BY trace_id
            """

        def make(tables: Mapping[str, pa.Table]) -> _Described[T]:
            return _Described(tuple({work.row["id"]: describe(work) for work in works} for works in _works(tables)))

        return (await self.facts.derived(self.window, statements, make, describe, **self.known, **ids)).data


async def costliest(facts: Facts, window: Window, filters: Filters, describe: Callable[[Work], T]) -> Page[list[T]]:
    """Prompts that begin in the window and that the filters keep, as a function of a module describes them.

    Costliest first. What is described of the sums is kept.
    """
    known = begun(window)
    now = await standing(facts, window, **known)
    question = _Question(facts, window, Compared(filters), {**filters.parameters, **known})
    ranked = await question.ranked(now.rows, window.limit + _spare(len(now.touched)))
    touched = await asyncio.to_thread(_touched, now, filters, known)
    places = _places(touched, now, ranked.data, window.limit)
    # All that were ranked, chosen or not: so the same is asked as the last time, and known already.
    ids = {
        name: [place.id for place, _ in ranked.data.places if place.sort == sort] for sort, name in enumerate(_SORTS)
    }
    described = await question.described(now.rows, describe, **ids)

    def chosen() -> Iterator[T]:
        for place in places:
            if work := touched.get(place):
                yield describe(work)
            # What has been erased meanwhile is not there any more.
            elif found := described.found[place.sort].get(place.id):
                yield found

    return Page(await asyncio.to_thread(lambda: [*chosen()]), joined(*now.meta, ranked.meta))


def _ranking(tables: Mapping[str, pa.Table]) -> _Ranking:
    places = [
        (_Place(-cost, -asked, sort, one), number)
        for sort, name in enumerate(_SORTS)
        for one, number, cost, asked in zip(*(tables[name][each].to_pylist() for each in _RANK), strict=True)
    ]
    return _Ranking(sorted(places), sum(pc.sum(table["looked"]).as_py() or 0 for table in tables.values()))


def _touched(now: Standing, filters: Filters, known: Mapping[str, Any]) -> dict[_Place, Work]:
    return {
        _Place(-row["sum_cost_nano"], -row["sum_requests"], int(not work.named), row["id"]): work
        for work in works(now.after, filters, known["begun_since"], known["begun_until"])
        for row in [work.row]
    }


def _places(touched: Iterable[_Place], now: Standing, ranked: _Ranking, limit: int) -> list[_Place]:
    standing_still = (place for place, number in ranked.places if number not in now.touched)
    return sorted([*touched, *standing_still])[:limit]


def _works(tables: Mapping[str, pa.Table]) -> tuple[list[Work], list[Work]]:
    """Prompts, and traces that no event names."""
    rows = {name: [decoded(row) for row in table.to_pylist()] for name, table in tables.items()}
    traces = {row["id"]: row for row in rows.get("traces", ())}
    return [Work(True, row, traces) for row in rows.get("named", ())], [
        Work(False, row, {}) for row in rows.get("nameless", ())
    ]


def _spare(touched: int) -> int:
    """How many more are ranked than wanted. Seldom another number: a ranking is remembered with it."""
    return max(_SPARE, 1 << touched.bit_length())
