"""Usage by hour, in which no spend counts twice although tools tell the same by several signals.

    events  ── sums ──┐
    spans   ── sums ──┼ short statements ─▶ choice of signal ─▶ groups of the panel, kept     ──┐
    points  ── sums ──┘                                                                        ├▶ Groups
    events  ── newer ─┐                                                                        │
    spans   ── newer ─┼ all at once ──────▶ choice again ─────▶ groups that newer rows touch ──┘
    points  ── newer ─┘  where they touch it
    cumulative points  only when there are any

One statement with all this in it takes the store ten times as long to understand as to carry out. The choice is in
`choice`.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from string import Template
from typing import Final

import pyarrow as pa

from raingauge.contract import Facts, Page, Parts, Window
from raingauge.contracts.otlp.reads.choice import SIGNALS, Asked, Groups, Still, Summed, chosen, renewed
from raingauge.contracts.otlp.reads.query import Filters, joined
from raingauge.contracts.otlp.rollups import CUMULATIVE, DIMENSIONS, INCREASES, MEASURES, PROMPTS, USAGE_POINTS, Usage

_NAMES: Final = {name: name for name in ("hour", *DIMENSIONS, *MEASURES)}
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
_SESSIONS_WITH_TOOL: Final = (
    "$session IN (SELECT session FROM $prompts WHERE customer = {customer:String}"
    " AND session != '' AND hasAny(mapKeys(tools), {only_tool:Array(String)}))"
)


async def usage(
    facts: Facts, window: Window, filters: Filters, asked: Asked, summed: Summed, /, **parameters: object
) -> Page[Groups]:
    """Ask all signals. `parameters` are those of `asked` and of `query.looked_at`.

    `summed` makes a row per group of rows in which it is told what counts; what it makes of the sums is kept under its
    name, so it is a function of a module and pure.
    """
    known = {**filters.parameters, **parameters}
    of_points = not (filters.session or filters.tool)  # Points do not know their session.
    builder = _Builder(facts, filters, asked)
    statements = [(signal, *builder.of(signal)) for signal in SIGNALS if of_points or signal is not USAGE_POINTS]
    still = {sums: signal for signal, sums, _ in statements}
    newer = {text: signal for signal, _, text in statements if text}
    readings = facts.parts(CUMULATIVE.table)
    stored, coming = _any_cumulative(readings) if of_points else ([], [])
    looked = await facts.columns(window, {text: text for text in stored}, **known)
    any_stored = any(found.num_rows for found in looked.data.values())
    if any_stored and not coming:
        still[builder.of_cumulative()] = USAGE_POINTS

    def derive(sums: Mapping[str, pa.Table]) -> Still:
        return chosen(asked, still, sums, summed)

    sums, later = await asyncio.gather(
        facts.derived(window, {text: text for text in still}, derive, summed, **known),
        facts.columns(window, {text: text for text in (*newer, *coming)}, **known),
    )
    meta, tables = joined(looked.meta, sums.meta, later.meta), later.data
    if coming and (any_stored or any(tables[text].num_rows for text in coming)):
        # Increases are only known with the reading before, so that newer readings cannot be told apart.
        text = builder.of_cumulative()
        more = await facts.columns(window, {text: text}, **known)
        newer[text] = USAGE_POINTS
        tables |= more.data
        meta = joined(meta, more.meta)
    return Page(await asyncio.to_thread(renewed, asked, sums.data, newer, tables, summed), meta)


def _any_cumulative(readings: Parts) -> tuple[list[str], list[str]]:
    """Statements that find something if there are points that count from a start: summed up, and newer."""
    look = "SELECT 1 AS looked FROM"
    newer = [f"{look} points WHERE {readings.newer} AND temporality = 'cumulative' LIMIT 1"] if readings.newer else []
    return [f"{look} {readings.sums} LIMIT 1"], newer


class _Builder:
    """Statements for one question."""

    def __init__(self, facts: Facts, filters: Filters, asked: Asked) -> None:
        self._facts = facts
        self._asked = asked
        named = {name: f"${name}" for name in ("user", "repo", "model", "source", "session")}
        self._wanted = filters.condition(**named)
        if filters.tool:
            self._wanted += f" AND {_SESSIONS_WITH_TOOL.replace('$prompts', facts.rolled(PROMPTS.rollup.table))}"

    def of(self, usage: Usage) -> tuple[str, str]:
        """For the sums, and for newer facts or nothing when there are none."""
        parts = self._facts.parts(usage.rollup.table)
        sums = self._of_sums(usage, f"{parts.sums} AND")
        if not parts.newer:
            return sums, ""
        names = {"hour": "toStartOfHour(f.time)", **usage.dimensions, **usage.values}
        only = usage.of_use if self._asked.done or self._asked.told else usage.spends
        newer = f"{usage.rollup.source} AS f WHERE {parts.newer} AND {only} AND"
        return sums, self._statement(newer, names, usage.spends, usage.does, usage.is_active)

    def of_cumulative(self) -> str:
        """For points that count from a start: an increase is only known with the reading before."""
        increases = _INCREASES.replace("$cumulative", self._facts.rolled(CUMULATIVE.table))
        return self._of_sums(USAGE_POINTS, f"({increases}) WHERE")

    def _of_sums(self, usage: Usage, source: str) -> str:
        return self._statement(source, _NAMES, usage.sums_spend, usage.sums_do, usage.sums_are_active)

    def _statement(self, source: str, names: Mapping[str, str], spends: str, does: str, is_active: str) -> str:
        asked = self._asked
        if_wanted = f" FILTER (WHERE {self._wanted})" if self._wanted != "1" else ""
        # Rows of a group are found by one number sooner than by days and texts.
        group = f"cityHash64({', '.join(asked.groups)})"
        columns = {"person_day": "cityHash64(day, user)", **asked.keys, "of_group": group, "looked": "count()"}
        for name, text in {**asked.spend, **asked.done, **asked.told}.items():
            # Of whole 10^-9 USD no sum may lose any.
            columns[name] = f"toDecimal128(sum({text}){if_wanted}, 0)" if "_nano" in text else f"sum({text}){if_wanted}"
        if asked.spend:
            columns["spent"] = f"toBool(max({spends}))"
        if asked.done:
            columns["did"] = f"toBool(max({does}))"
        if asked.told:
            columns["active"] = f"toBool(max(({self._wanted}) AND ({is_active})))"
        if asked.sessions:
            listed = f"$session != '' AND ({self._wanted}) AND {asked.sessions}"
            columns["sessions"] = f"groupUniqArray(cityHash64($session)) FILTER (WHERE {listed})"
            names = {**names, "is_active": f"({is_active})"}
        if if_wanted:
            columns["kept"] = f"toBool(max({self._wanted}))"
        selected = ", ".join(f"{text} AS {name}" for name, text in columns.items())
        keys = ", ".join(("day", "user", "source", *asked.keys, "of_group"))
        text = f"SELECT day, user, source, {selected} FROM {source} {asked.within} GROUP BY {keys}"
        return Template(text).substitute(names)
