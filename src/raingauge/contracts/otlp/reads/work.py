"""What prompts set in motion: from the events, which know their prompts, and from the spans.

    prompts (of events) ──┐  by the ids of traces that events name: subagents, length
    traces (of spans)   ──┴▶ a trace that no event names stands for a prompt of its own

There may be very many. They are compared by few columns, and only of those that matter is everything read.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from raingauge.contract import Window
from raingauge.contracts.otlp.reads.query import Filters, Range
from raingauge.contracts.otlp.reads.standing import Row, Rows
from raingauge.contracts.otlp.rollups import PROMPTS, TRACES

DEPTH_MAX: Final = 8
"""Deeper nested subagents count as this deep."""

LASTS: Final = timedelta(days=2)
"""A prompt is followed so long beyond the window on either side."""

Relation: TypeAlias = tuple[str, str, str]
"""Random id of a subagent, of the one that started it or empty, and its kind."""

# Lists and maps travel as JSON: Arrow makes Python objects of nested values twenty times as slowly.
RELATIONS: Final = "toJSONString(arrayMap(one -> [one.1, one.2, one.3], groupUniqArrayArray(agents)))"
HOSTED: Final = "toInt64(greatest(length(groupUniqArrayArray(hosts)), 1)) - 1"
"""How many subagents the spans of a trace let guess: spans that requests and calls hang under, but the main agent's."""

relations_of: Final = msgspec.json.Decoder(list[Relation]).decode
texts_of: Final = msgspec.json.Decoder(list[str]).decode
counts_of: Final = msgspec.json.Decoder(dict[str, int]).decode


_DECODERS: Final = {"trace_ids": texts_of, "relations": relations_of, "all_tools": counts_of}


def decoded(row: Row) -> Row:
    """A row with the lists and maps that came as JSON."""
    return {name: _DECODERS[name](value) if name in _DECODERS else value for name, value in row.items()}


class Work(NamedTuple):
    """What is known of a prompt and of its traces by id, or of a trace that no event names: `named` tells which."""

    named: bool
    row: Row
    traces: Mapping[str, Row]

    @property
    def seen(self) -> list[Row]:
        """Its own row, and those of a prompt's traces that have spans."""
        if not self.named:
            return [self.row]
        return [self.row, *(self.traces[one] for one in self.row["trace_ids"] if one in self.traces)]


_FILTERED: Final = {
    "user": ("user", "max(toString(user))"),
    "repo": ("repo", "max(toString(repo))"),
    "source": ("source", "min(toString(source))"),
    "session": ("session", "max(toString(session))"),
    "model": ("models", "groupUniqArrayArray(models)"),
    "tool": ("tools", "mapKeys(sumMap(tools))"),
}
"""By filter: the column of a group and what all its rows together say."""


def begun(window: Window) -> dict[str, Any]:
    """Parameters for prompts that begin in the hours of a window."""
    hours, days = Range.of(window), Range.days(window)
    return {
        "begun_since": int(hours.since.timestamp()) * 1_000_000,
        "begun_until": int(hours.until.timestamp()) * 1_000_000,
        "since_day": (days.since - LASTS).date(),
        "until_day": (days.until + LASTS).date(),
    }


class Compared:
    """Statements over the groups that begin in the window and that the filters keep."""

    def __init__(self, filters: Filters) -> None:
        used = {name: told for name, told in _FILTERED.items() if getattr(filters, name)}
        self._columns = ("cost_nano", "requests", "started_us", *(column for column, _ in used.values()))
        merged = {name: text for name, (_, text) in used.items()}
        lists = {name: merged.pop(name) for name in ("model", "tool") if name in merged}
        self._begun = (
            "begun >= {begun_since:Int64} AND begun < {begun_until:Int64}"
            f" AND {filters.condition(**merged)} AND {filters.any_of(**lists)}"
        )

    def named(self, rows: Rows, *columns: str, select: str = "", where: str = "1") -> str:
        """Prompts, one row each: `id`, `cost` in 10^-9 USD, `asked` requests, `begun`, and what `select` says of `columns`."""
        source = rows.of(PROMPTS, *dict.fromkeys(("prompt", *self._columns, *columns)))
        return f"""
            SELECT prompt AS id, sum(cost_nano) AS cost, sum(requests) AS asked, min(started_us) AS begun, count() AS rows
                {select}
            FROM {source} WHERE prompt != '' AND {where} GROUP BY id HAVING {self._begun}
        """

    def nameless(self, rows: Rows, *columns: str, select: str = "") -> str:
        """Traces that no event names and in which something was done, like `named`."""
        wanted = dict.fromkeys(("trace_id", "prompt", "tool_calls", *self._columns, *columns))
        told = rows.of(PROMPTS, "prompt", "traces")
        return f"""
            SELECT lower(hex(trace_id)) AS id, sum(cost_nano) AS cost, sum(requests) AS asked, min(started_us) AS begun,
                count() AS rows {select}
            FROM {rows.of(TRACES, *wanted)}
            WHERE trace_id NOT IN (SELECT arrayJoin(traces) FROM {told} WHERE prompt != '')
                AND (prompt = '' OR prompt NOT IN (SELECT prompt FROM {told}))
            GROUP BY trace_id HAVING {self._begun} AND (asked > 0 OR sum(tool_calls) > 0)
        """


def nesting(relations: Iterable[Relation], nested: int) -> tuple[int, int]:
    """How many subagents there are and how many levels of them, at most `DEPTH_MAX`.

    The first level are those whose starter is unknown or the main agent. `nested` is the number of subagents that
    spans let guess; it counts when none is named.
    """
    pairs = {(one, parent) for one, parent, _ in relations}
    # A subagent may be told of twice: with the one that started it (by its spans) and without (by its events).
    started = {one for one, parent in pairs if parent}
    pairs = {(one, parent) for one, parent in pairs if parent or one not in started}
    ids = {one for one, _ in pairs}
    if not ids:
        return nested, int(nested > 0)
    level = {one for one, parent in pairs if parent not in ids}
    depth = 0
    while level and depth < DEPTH_MAX:
        depth += 1
        level = {one for one, parent in pairs if parent in level}
    return len(ids), depth
