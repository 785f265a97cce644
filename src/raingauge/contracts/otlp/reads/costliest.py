"""Which prompts cost most, and everything that is stored of them."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import Filters, joined
from raingauge.contracts.otlp.reads.standing import COUNTS, MONEY, Row, Rows, Standing, standing
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


class _Place(NamedTuple):
    """In the order of rank. `sort` is a place in `_SORTS`."""

    minus_cost: int
    minus_asked: int
    sort: int
    id: str


@dataclass(frozen=True, slots=True)
class _Question:
    facts: Facts
    window: Window
    compared: Compared
    known: Mapping[str, Any]

    async def ranked(self, rows: Rows, most: int) -> Page[dict[str, pa.Table]]:
        """The costliest by these rows: `named` and `nameless`."""
        order = "ORDER BY cost DESC, asked DESC, id LIMIT {most:UInt64}"
        groups = {"named": self.compared.named(rows), "nameless": self.compared.nameless(rows)}
        numbers = {"named": "cityHash64(id)", "nameless": "cityHash64(toFixedString(unhex(id), 16))"}
        statements = {
            name: f"SELECT id, {numbers[name]} AS number, toDecimal128(cost, 0) AS cost, asked, rows AS looked"
            f" FROM ({groups[name]}) {order}"
            for name in groups
        }
        return await self.facts.columns(self.window, statements, **self.known, most=most)

    async def details(self, rows: Rows, **ids: Sequence[str]) -> dict[str, pa.Table]:
        """Everything about these `named` prompts, their `traces`, and these `nameless` traces."""
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
        return (await self.facts.columns(self.window, statements, **self.known, **ids)).data


async def costliest(facts: Facts, window: Window, filters: Filters) -> Page[list[Work]]:
    """Prompts that begin in the window and that the filters keep; costliest first."""
    known = begun(window)
    now = await standing(facts, window, **known)
    question = _Question(facts, window, Compared(filters), {**filters.parameters, **known})
    ranked = await question.ranked(now.rows, window.limit + _spare(len(now.touched)))
    touched = await asyncio.to_thread(_touched, now, filters, known)
    places = await asyncio.to_thread(_places, touched, now, ranked.data, window.limit)
    # All that were ranked, chosen or not: so the same is asked as the last time, and known already.
    details = await question.details(now.rows, **{name: table["id"].to_pylist() for name, table in ranked.data.items()})
    chosen = await asyncio.to_thread(_chosen, places, touched, details)
    return Page(chosen, joined(*now.meta, ranked.meta))


def _touched(now: Standing, filters: Filters, known: Mapping[str, Any]) -> dict[_Place, Work]:
    return {
        _Place(-row["sum_cost_nano"], -row["sum_requests"], int(not work.named), row["id"]): work
        for work in works(now.after, filters, known["begun_since"], known["begun_until"])
        for row in [work.row]
    }


def _places(touched: Iterable[_Place], now: Standing, ranked: Mapping[str, pa.Table], limit: int) -> list[_Place]:
    standing_still = (
        _Place(-cost, -asked, sort, one)
        for sort, name in enumerate(_SORTS)
        for one, number, cost, asked in zip(*(ranked[name][each].to_pylist() for each in _RANK), strict=True)
        if number not in now.touched
    )
    return sorted([*touched, *standing_still])[:limit]


def _chosen(places: Sequence[_Place], touched: Mapping[_Place, Work], details: Mapping[str, pa.Table]) -> list[Work]:
    wanted = [
        {place.id for place in places if place.sort == sort and place not in touched} for sort in range(len(_SORTS))
    ]
    found = [_by_id(details.get(name), ids) for name, ids in zip(_SORTS, wanted, strict=True)]
    traces = _by_id(details.get("traces"), {trace for row in found[0].values() for trace in row["trace_ids"]})
    asked = ((place, found[place.sort].get(place.id)) for place in places)
    # What has been erased meanwhile is not there any more.
    return [
        work
        for place, row in asked
        if (work := touched.get(place) or (Work(not place.sort, row, traces) if row else None))
    ]


def _by_id(table: pa.Table | None, ids: Iterable[str]) -> dict[str, Row]:
    """Rows of these ids."""
    if table is None:
        return {}
    rows = table.filter(pc.is_in(table["id"], pa.array(ids, table["id"].type)))
    return {row["id"]: decoded(row) for row in rows.to_pylist()}


def _spare(touched: int) -> int:
    """How many more are ranked than wanted. Seldom another number: a ranking is remembered with it."""
    return max(_SPARE, 1 << touched.bit_length())
