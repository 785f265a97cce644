"""Usage by hour, in which no spend counts twice although tools tell the same by several signals.

    events  ── sums ──┐
               newer ─┤                    per day, person and family of tools
    spans   ── sums ──┤ short statements,  the best signal that tells spend, the   rows by the panel's keys
               newer ─┼ all at once     ─▶ best that tells what was done        ─▶
    points  ── sums ──┤
               newer ─┘
    cumulative points ┘ only when there are any

One statement with all this in it takes the store ten times as long to understand as to carry out.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from string import Template
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import Filters, joined
from raingauge.contracts.otlp.rollups import (
    CUMULATIVE,
    DIMENSIONS,
    INCREASES,
    MEASURES,
    PROMPTS,
    USAGE_EVENTS,
    USAGE_POINTS,
    USAGE_SPANS,
    Usage,
)
from raingauge.contracts.otlp.sources import Source
from raingauge.contracts.otlp.spend import FAMILY, SPEND_SIGNALS

COST: Final = {"cost": "$cost_nano", "estimated": "$estimated_nano"}
"""Values of spend, in 10^-9 USD: all of it, and the part that comes from list prices."""

_SIGNALS: Final = (USAGE_EVENTS, USAGE_SPANS, USAGE_POINTS)
"""In the order in which they are believed about what was done."""

_NAMES: Final = {name: name for name in ("hour", *DIMENSIONS, *MEASURES)}
_SOURCES: Final = [str(source) for source in Source]
# A list: pyarrow imports pandas for its first array, which commands that read nothing need not wait for.
_FAMILY: Final = [_SOURCES.index(FAMILY[source]) for source in Source]
"""By place of the source in `_SOURCES`."""

_LAST: Final = 9
"""Rank of signals that are no good for spend."""

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a panel wants to know.

    Texts are SQL for one row, with `$hour`, the dimensions (`$user`, …) and the measures (`$cost_nano`, …) as names.
    `keys` are what rows are told apart by, besides `day`, `user` and `source`, and `within` the hours that are looked
    at. Of the values, which are summed up, `spend` is taken from the signal that tells the spend, `done` from the one
    that tells what was done, `told` from all. Filters take no part in the choice of the signal.
    `sessions` says of which rows the sessions are listed, by number; `$is_active` holds for those that tell of any use.
    """

    within: str
    keys: Mapping[str, str] = field(default_factory=dict)
    spend: Mapping[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    sessions: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One row per signal, day, user, source and key, of those that the filters keep.

    Besides these and the values there are the columns `spending` and `doing`, whether the row's signal is the one that
    tells, `active`, whether it tells of any use at all, and `sessions`, a list of numbers.
    """

    asked: Asked
    rows: pa.Table

    def sums(self, *keys: str) -> pa.Table:
        """All values by these keys. Only the parts that count are in the sums."""
        asked, rows = self.asked, self.rows
        # Columns are chosen before rows: those that are left out need not be copied.
        parts = [
            rows.select([*keys, *asked.spend]).filter(rows["spending"]) if asked.spend else None,
            rows.select([*keys, *asked.done]).filter(rows["doing"]) if asked.done else None,
            rows.select([*keys, *asked.told]) if asked.told else None,
        ]
        return summed([part for part in parts if part is not None], keys)


def sessions_by(rows: pa.Table, *keys: str) -> pa.Table:
    """How many different sessions the rows of the same keys list, in column `sessions`. Those without any are left out."""
    lists = rows["sessions"].combine_chunks()
    row = pc.list_parent_indices(lists)
    each = pa.table({**{key: rows[key].take(row) for key in keys}, "session": pc.list_flatten(lists)})
    counted = each.group_by(list(keys), use_threads=False).aggregate([("session", "count_distinct")])
    return counted.rename_columns([*keys, "sessions"])


def telling(sums: pa.Table, names: Iterable[str]) -> pa.Table:
    """The rows in which any of these columns is not 0."""
    return sums.filter(reduce(pc.or_, (pc.not_equal(sums[name], pa.scalar(0, sums[name].type)) for name in names)))


def summed(parts: Iterable[pa.Table], keys: tuple[str, ...]) -> pa.Table:
    """Rows of the same keys added up, over all parts."""
    rows = pa.concat_tables(parts, promote_options="default")
    values = [name for name in rows.column_names if name not in keys]
    # min_count 0: a key that only some parts have is 0 in the others.
    summing = [(name, "sum", pc.ScalarAggregateOptions(min_count=0)) for name in values]
    return rows.group_by(keys, use_threads=False).aggregate(summing).rename_columns([*keys, *values])


async def usage(facts: Facts, window: Window, filters: Filters, asked: Asked, /, **parameters: object) -> Page[Found]:
    """Ask all signals. `parameters` are those of `asked` and of `query.looked_at`."""
    known = {**filters.parameters, **parameters}
    of_points = not (filters.session or filters.tool)  # Points do not know their session.
    signals = [signal for signal in _SIGNALS if of_points or signal is not USAGE_POINTS]
    builder = _Builder(facts, filters, asked)
    statements = {text: signal for signal in signals for text in builder.of(signal)}
    looks = _any_cumulative(facts) if of_points else []
    page = await facts.columns(window, {text: text for text in (*statements, *looks)}, **known)
    told = [(signal, page.data[text]) for text, signal in statements.items()]
    meta = page.meta
    if any(page.data[text].num_rows for text in looks):
        text = builder.of_cumulative()
        more = await facts.columns(window, {text: text}, **known)
        told.append((USAGE_POINTS, more.data[text]))
        meta = joined(meta, more.meta)
    return Page(Found(asked, await asyncio.to_thread(_chosen, told)), meta)


def _any_cumulative(facts: Facts) -> list[str]:
    """Statements that find something if there are points that count from a start."""
    parts = facts.parts(CUMULATIVE.table)
    look = "SELECT 1 AS looked FROM"
    sums = f"{look} {parts.sums} LIMIT 1"
    return (
        [sums, f"{look} points WHERE {parts.newer} AND temporality = 'cumulative' LIMIT 1"] if parts.newer else [sums]
    )


class _Builder:
    """Statements for one question."""

    def __init__(self, facts: Facts, filters: Filters, asked: Asked) -> None:
        self._facts = facts
        self._asked = asked
        named = {name: f"${name}" for name in ("user", "repo", "model", "source", "session")}
        self._wanted = filters.condition(**named)
        if filters.tool:
            self._wanted += f" AND {_SESSIONS_WITH_TOOL.replace('$prompts', facts.rolled(PROMPTS.rollup.table))}"

    def of(self, usage: Usage) -> list[str]:
        """For the sums, and for newer facts if there are any."""
        parts = self._facts.parts(usage.rollup.table)
        sums = self._of_sums(usage, f"{parts.sums} AND")
        if not parts.newer:
            return [sums]
        names = {"hour": "toStartOfHour(f.time)", **usage.dimensions, **usage.values}
        only = usage.of_use if self._asked.done or self._asked.told else usage.spends
        newer = f"{usage.rollup.source} AS f WHERE {parts.newer} AND {only} AND"
        return [sums, self._statement(newer, names, usage.spends, usage.does, usage.is_active)]

    def of_cumulative(self) -> str:
        """For points that count from a start: an increase is only known with the reading before."""
        increases = _INCREASES.replace("$cumulative", self._facts.rolled(CUMULATIVE.table))
        return self._of_sums(USAGE_POINTS, f"({increases}) WHERE")

    def _of_sums(self, usage: Usage, source: str) -> str:
        return self._statement(source, _NAMES, usage.sums_spend, usage.sums_do, usage.sums_are_active)

    def _statement(self, source: str, names: Mapping[str, str], spends: str, does: str, is_active: str) -> str:
        asked = self._asked
        if_wanted = f" FILTER (WHERE {self._wanted})" if self._wanted != "1" else ""
        columns = {"person_day": "cityHash64(day, user)", **asked.keys, "looked": "count()"}
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
        keys = ", ".join(("day", "user", "source", *asked.keys))
        text = f"SELECT day, user, source, {selected} FROM {source} {asked.within} GROUP BY {keys}"
        return Template(text).substitute(names)


def _chosen(told: Iterable[tuple[Usage, pa.Table]]) -> pa.Table:
    """All rows that the filters keep, and which of them count."""
    rows = pa.concat_tables([_ranked(usage, table) for usage, table in told], promote_options="permissive")
    rows = rows.combine_chunks()
    names = rows.column_names
    if "spent" in names:
        rows = rows.append_column("spending", _tells(rows, "spent", "rank"))
    if "did" in names:
        rows = rows.append_column("doing", _tells(rows, "did", "signal"))
    return rows.filter(rows["kept"]) if "kept" in names else rows


def _ranked(usage: Usage, rows: pa.Table) -> pa.Table:
    """With the family of each row's source, and the place of its signal in the two orders of belief."""
    ranks = [SPEND_SIGNALS[source] for source in Source]
    rank = pa.array([found.index(usage.signal) if usage.signal in found else _LAST for found in ranks], pa.int8())
    source = pc.fill_null(pc.index_in(rows["source"], pa.array(_SOURCES)), _SOURCES.index(Source.OTHER))
    signal = pa.repeat(pa.scalar(_SIGNALS.index(usage), pa.int8()), rows.num_rows)
    return (
        rows.append_column("family", pa.array(_FAMILY, pa.int8()).take(source.combine_chunks()))
        .append_column("rank", rank.take(source.combine_chunks()))
        .append_column("signal", signal)
    )


def _tells(rows: pa.Table, flag: str, order: str) -> pa.Array:
    """Whether a row is of the first signal in this order that has the flag at the row's day, person and family."""
    who = pc.bit_wise_xor(rows["person_day"], rows["family"].cast(pa.uint64()))
    flagged = pa.table({"who": who, "order": rows[order]}).filter(rows[flag])
    first = flagged.group_by("who", use_threads=False).aggregate([("order", "min")])
    place = pc.index_in(who, first["who"])
    return pc.fill_null(pc.equal(rows[order], first["order_min"].take(place)), False)
