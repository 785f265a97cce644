"""Usage by hour, in which no spend counts twice although tools tell the same by several signals.

    sums of events, spans, points ─▶ a statement each ─▶ choice of signal ─▶ groups of the panel, kept ─┐
    newer facts of each ─▶ `live` ─▶ choice again where they touch it ─▶ the groups they touch ─────────┴▶ Groups
    points that count from a start, when there are any: a statement over both

One statement with all this in it takes the store ten times as long to understand as to carry out. The choice is in
`choice`.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from raingauge.contract import Facts, Meta, Page, Parts, Window
from raingauge.contracts.otlp.reads.choice import SIGNALS, Asked, Groups, Still, Summed, chosen, renewed
from raingauge.contracts.otlp.reads.live import later, selected
from raingauge.contracts.otlp.reads.query import Filters, joined, looked_at
from raingauge.contracts.otlp.rollups import CUMULATIVE, DIMENSIONS, INCREASES, PROMPTS, USAGE_POINTS, Usage

_DIMENSIONS: Final = ", ".join(DIMENSIONS)
_INCREASES: Final = f"""
    SELECT day, hour, {_DIMENSIONS}, {INCREASES}
    FROM (
        SELECT day, hour, {_DIMENSIONS}, measure, unit_cost_usd,
            lagInFrame(reading, 1, 0) OVER series_of AS before,
            multiIf(
                row_number() OVER series_of > 1, if(reading >= before, reading - before, reading),
                start > toDateTime64(0, 6, 'UTC') AND start < {{look_back:DateTime64(6)}}, 0,
                reading
            ) AS value
        FROM (
            SELECT day, hour, {_DIMENSIONS}, measure, unit_cost_usd, series, start,
                arrayJoin(readings) AS one, one.1 AS at, one.2 AS reading
            FROM $cumulative
        )
        WINDOW series_of AS (PARTITION BY series, start ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    ) AS f
    GROUP BY day, hour, {_DIMENSIONS}
"""
_HAS_TOOL: Final = "session != '' AND hasAny(mapKeys(tools), {only_tool:Array(String)})"


async def usage(facts: Facts, window: Window, filters: Filters, asked: Asked, summed: Summed) -> Page[Groups]:
    """Ask all signals.

    `summed` makes a row per group of rows in which it is told what counts; what it makes of the sums is kept under its
    name, so it is a function of a module and pure.
    """
    return await _Question(facts, window, filters, asked).answer(summed)


class _Question:
    """All parts are of the moment at which it is made."""

    def __init__(self, facts: Facts, window: Window, filters: Filters, asked: Asked) -> None:
        self._facts, self._window, self._filters, self._asked = facts, window, filters, asked
        self._of_points = not (filters.session or filters.tool)  # Points do not know their session.
        signals = [signal for signal in SIGNALS if self._of_points or signal is not USAGE_POINTS]
        self._signals = [(signal, facts.parts(signal.rollup.table)) for signal in signals]
        self._readings = facts.parts(CUMULATIVE.table) if self._of_points else Parts("", "")
        self._prompts = facts.parts(PROMPTS.rollup.table)
        self._meta: list[Meta] = []
        """Of all steps, the first of which tells how fresh the answer is."""
        self._known: dict[str, Any] = {
            **filters.parameters,
            **asked.hours.parameters("asked"),
            **looked_at(asked.hours),
            "edges": asked.edges,
            "counted_since": asked.since,
        }

    async def answer(self, summed: Summed) -> Page[Groups]:
        facts, asked = self._facts, self._asked
        with_tool = await self._sessions_with_tool() if self._filters.tool else frozenset()
        still = {self._statement(signal, f"{parts.sums} AND"): signal for signal, parts in self._signals}
        counting = self._of_points and await self._any_reading_stored()
        if counting and not self._readings.newer:
            still[self._increases()] = USAGE_POINTS

        def derive(tables: Mapping[str, pa.Table]) -> Still:
            return chosen(asked, still, tables, summed)

        sums, readings, *newer = await asyncio.gather(
            facts.derived(self._window, {text: text for text in still}, derive, (summed, asked.shape), **self._known),
            facts.newer(self._readings, "1 AS looked"),
            *(facts.newer(parts, selected(signal)) for signal, parts in self._signals),
        )
        self._meta.append(sums.meta)
        coming = [(signal, tables) for (signal, _), tables in zip(self._signals, newer, strict=True) if tables]
        increases = []
        if readings or (counting and self._readings.newer):
            # Increases are only known with the reading before, so that newer readings cannot be told apart.
            text = self._increases()
            page = await facts.columns(self._window, {text: text}, **self._known)
            increases = [(USAGE_POINTS, page.data[text])]
            self._meta.append(page.meta)

        def grouped() -> Groups:
            like = sums.data.told
            rows = [(signal, later(asked, self._filters, with_tool, tables, like)) for signal, tables in coming]
            return renewed(asked, sums.data, [*rows, *increases], summed)

        return Page(await asyncio.to_thread(grouped), joined(*self._meta))

    async def _sessions_with_tool(self) -> frozenset[str]:
        """Sessions in which a wanted tool was called. Those of newer facts become a parameter of the statements."""
        sql = f"SELECT DISTINCT session FROM {self._prompts.sums} AND {_HAS_TOOL}"
        stored, newer = await asyncio.gather(
            self._facts.columns(self._window, {"sums": sql}, **self._known),
            self._facts.newer(self._prompts, "toString(session) AS session, mapKeys(tools) AS called"),
        )
        self._meta.append(stored.meta)
        wanted = set(self._filters.tool)
        found = {
            session
            for table in newer
            for session, called in zip(table["session"].to_pylist(), table["called"].to_pylist(), strict=True)
            if session and not wanted.isdisjoint(called)
        }
        self._known["newer_with_tool"] = sorted(found)
        return frozenset(found).union(stored.data["sums"]["session"].to_pylist())

    async def _any_reading_stored(self) -> bool:
        """Whether the sums hold points that count from a start."""
        sql = f"SELECT 1 AS looked FROM {self._readings.sums} LIMIT 1"
        found = await self._facts.columns(self._window, {"sums": sql}, **self._known)
        self._meta.append(found.meta)
        return bool(found.data["sums"].num_rows)

    def _increases(self) -> str:
        """For points that count from a start: an increase is only known with the reading before."""
        increases = _INCREASES.replace("$cumulative", self._facts.rolled(CUMULATIVE.table))
        return self._statement(USAGE_POINTS, f"({increases}) WHERE")

    def _statement(self, usage: Usage, source: str) -> str:
        asked, wanted = self._asked, self._wanted
        if_wanted = f" FILTER (WHERE {wanted})" if wanted != "1" else ""
        counted = "day >= {counted_since:Date}" if asked.since else "1"
        columns = {name: name for name in asked.keys}
        if asked.edges is not None:
            columns["moment"] = "roundDown(toUInt32(hour), {edges:Array(UInt32)})" if asked.edges else "toUInt32(hour)"
        columns |= {"person_day": "cityHash64(day, user)", "looked": "count()"}
        for name, measures in asked.values.items():
            only = f" FILTER (WHERE ({wanted}) AND {counted})" if asked.since else if_wanted
            value = f"sum({' + '.join(measures)}){only}"
            # Of whole 10^-9 USD no sum may lose any.
            columns[name] = f"toDecimal128({value}, 0)" if "_nano" in value else value
        if asked.spend:
            columns["spent"] = f"toBool(max({usage.spends}))"
        if asked.done:
            columns["did"] = f"toBool(max({usage.does}))"
        if asked.told:
            columns["active"] = f"toBool(max(({wanted}) AND ({usage.is_active})))"
        if asked.sessions:
            of_use = f"({usage.is_active})" if asked.sessions == "active" else "1"
            listed = f"session != '' AND ({wanted}) AND {of_use} AND {counted}"
            columns["sessions"] = f"groupUniqArray(cityHash64(session)) FILTER (WHERE {listed})"
        if if_wanted:
            columns["kept"] = f"toBool(max({wanted}))"
        chosen_columns = ", ".join(text if text == name else f"{text} AS {name}" for name, text in columns.items())
        people = " AND user != ''" if asked.only_people else ""
        return (
            f"SELECT {chosen_columns} FROM {source} {asked.hours.condition('asked')}{people}"
            f" GROUP BY {', '.join(asked.keys)}"
        )

    @property
    def _wanted(self) -> str:
        wanted = self._filters.condition("user", "repo", "model", "source", "session")
        if self._filters.tool:
            stored = f"session IN (SELECT session FROM {self._prompts.sums} AND {_HAS_TOOL})"
            wanted += f" AND ({stored} OR session IN {{newer_with_tool:Array(String)}})"
        return wanted
