"""`/api/spans/tree`: the spans of one prompt, trace or session as a tree, whatever is missing of them."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.nodes import Span, Tree, grown
from raingauge.contracts.otlp.reads.query import FILTERS, FIRST_MOMENT, Filters
from raingauge.contracts.otlp.rollups import PROMPTS, TRACES
from raingauge.errors import Reason, Refused

TRACES_MAX: Final = 1_000
"""A tree is drawn of at most so many traces: a session's first ones."""


class _Trace(msgspec.Struct, frozen=True):
    id: str
    first_day: date
    last_day: date
    started_us: int
    ended_us: int
    spans: int
    prompt: str
    session: str
    user: str


class _Prompt(msgspec.Struct, frozen=True):
    traces: list[str]
    started_us: int
    ended_us: int


class _Shared(msgspec.Struct, frozen=True):
    prompts: int


class _Cost(msgspec.Struct, frozen=True):
    call: str
    cost_usd: float


_PROMPT: Final = """
    SELECT arrayMap(one -> lower(hex(one)), groupUniqArrayArray(part.traces)) AS traces,
        min(part.started_us) AS started_us, max(part.ended_us) AS ended_us
    FROM $prompts AS part WHERE customer = {customer:String} AND part.prompt = {id:String} HAVING count() > 0
"""
_SHARED: Final = """
    SELECT uniqExact(part.prompt) AS prompts FROM $prompts AS part
    WHERE customer = {customer:String} AND part.prompt != ''
        AND hasAny(arrayMap(one -> lower(hex(one)), part.traces), {traces:Array(String)})
"""
_TRACES: Final = """
    SELECT lower(hex(part.trace_id)) AS id, min(part.started_us) AS started_us, max(part.ended_us) AS ended_us,
        toString(min(part.day)) AS first_day, toString(max(part.day)) AS last_day,
        sum(part.spans) AS spans, max(part.prompt) AS prompt, max(part.session) AS session, max(part.user) AS user
    FROM $traces AS part WHERE customer = {customer:String}
    GROUP BY id HAVING $wanted
    ORDER BY started_us, id LIMIT {traces_max:UInt32}
"""
# Looked up in the spans themselves: the sums by trace leave out services that are no agents.
_ONE_TRACE: Final = """(
    SELECT customer, trace_id, day, toUnixTimestamp64Micro(time) AS started_us,
        started_us + toInt64(least(duration_us, 31536000000000)) AS ended_us, toInt64(1) AS spans,
        toString(prompt) AS prompt, toString(session) AS session, toString(user) AS user
    FROM spans WHERE customer = {customer:String} AND trace_id = unhex({trace:String})
)"""
_WANTED: Final = {
    "trace": "1",
    "traces": "id IN {traces:Array(String)}",
    "prompt": "prompt = {id:String}",
    "session": "session IN {sessions:Array(String)}",
}
_PLACE: Final = """customer = {customer:String} AND day BETWEEN {since_day:Date} AND {until_day:Date}
    AND time BETWEEN fromUnixTimestamp64Micro({from_us:Int64}) AND fromUnixTimestamp64Micro({to_us:Int64})"""
_SPANS: Final = f"""
    SELECT lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS id, lower(hex(parent_span_id)) AS parent_id, name, tool,
        model, if(agent = '', agent_id, agent) AS agent, toUnixTimestamp64Micro(time) AS started_us, duration_us, status,
        error_class, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, cost_usd,
        toString(call_id) AS call, count() OVER () AS spans
    FROM spans
    WHERE {_PLACE} AND trace_id IN (SELECT toFixedString(unhex(arrayJoin({{traces:Array(String)}})), 16))
    ORDER BY time, id LIMIT {{nodes_max:UInt32}}
"""
_COSTS: Final = f"""
    SELECT toString(call_id) AS call, max(cost_usd) AS cost_usd FROM events
    WHERE {_PLACE} AND call_id != 0 AND cost_source = 'reported' AND session IN {{sessions:Array(String)}}
    GROUP BY call_id LIMIT {{nodes_max:UInt32}}
"""
_EVENT_LAG_US: Final = 600_000_000
"""How far a request's event may lie from the spans of its trace."""


@get("/api/spans/tree", summary="Spans as a tree", tags=["agents"], dependencies=FILTERS)
async def spans_tree(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    prompt: Annotated[str, QueryParameter(description="Id of a prompt.")] = "",
    trace: Annotated[str, QueryParameter(description="Id of a trace, 32 hexadecimal digits.")] = "",
) -> Page[Tree]:
    """The spans of one prompt, trace or session. Ids are looked up in everything that is kept, not in the window."""
    if not (prompt or trace or filters.session):
        raise Refused(Reason.INVALID_PARAMETER, "prompt: give a prompt, a trace or a session")
    asked = _Asked(facts, prompt, trace.lower(), filters.session)
    traces, from_us, to_us = await asked.traces()
    days = [day for each in traces for day in (each.first_day, each.last_day)] or [FIRST_MOMENT.date()]
    place: dict[str, Any] = {
        "since_day": min(days),
        "until_day": max(days),
        "nodes_max": window.limit,
        "sessions": sorted({each.session for each in traces if each.session}),
    }
    page = await facts.page(
        window, _SPANS, Span, **place, traces=[each.id for each in traces], from_us=from_us, to_us=to_us
    )
    costs = await facts.rows(
        _COSTS, _Cost, **place, from_us=max(0, from_us - _EVENT_LAG_US), to_us=to_us + _EVENT_LAG_US
    )
    users = [each.user for each in traces if each.user]
    names = await facts.names(users[:1])
    sessions = place["sessions"] or filters.session
    # Tens of thousands of spans take a good part of a second: not on the loop that answers senders.
    tree = await asyncio.to_thread(grown, page.data, {cost.call: cost.cost_usd for cost in costs})
    tree = msgspec.structs.replace(
        tree,
        prompt=prompt or next((each.prompt for each in traces if each.prompt), ""),
        session=sessions[0] if sessions else "",
        user_name=names.get(users[0]) if users else None,
    )
    return Page(tree, page.meta)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the tree is wanted of: the first that is given."""

    facts: Facts
    prompt: str
    trace: str
    sessions: Sequence[str]

    async def traces(self) -> tuple[list[_Trace], int, int]:
        """The traces and the time range in them, in microseconds since 1970."""
        everything = {"since_day": FIRST_MOMENT.date(), "until_day": (self.facts.now + timedelta(days=2)).date()}
        if self.prompt:
            return await self._of_prompt(everything)
        if self.trace:
            return await self._found("trace", everything, trace=self.trace)
        return await self._found("session", everything, sessions=self.sessions)

    async def _of_prompt(self, everything: dict[str, date]) -> tuple[list[_Trace], int, int]:
        sql = _PROMPT.replace("$prompts", self.facts.rolled(PROMPTS.rollup.table))
        found = await self.facts.rows(sql, _Prompt, **everything, id=self.prompt)
        if not found or not found[0].traces:
            return await self._found("prompt", everything, id=self.prompt)
        told = found[0]
        begin, end = (datetime.fromtimestamp(us / 1_000_000, UTC) for us in (told.started_us, told.ended_us))
        near = {"since_day": (begin - timedelta(days=1)).date(), "until_day": (end + timedelta(days=1)).date()}
        traces, from_us, to_us = await self._found("traces", near, traces=told.traces)
        sql = _SHARED.replace("$prompts", self.facts.rolled(PROMPTS.rollup.table))
        shared = await self.facts.rows(sql, _Shared, **near, traces=told.traces)
        if shared[0].prompts > 1:
            # Several prompts of one caller's trace: spans know no prompt, so time has to tell.
            from_us, to_us = max(from_us, told.started_us), min(to_us, told.ended_us)
        return traces, from_us, to_us

    async def _found(self, by: str, days: dict[str, date], **values: object) -> tuple[list[_Trace], int, int]:
        looked_in = _ONE_TRACE if by == "trace" else self.facts.rolled(TRACES.rollup.table)
        sql = _TRACES.replace("$traces", looked_in).replace("$wanted", _WANTED[by])
        traces = await self.facts.rows(sql, _Trace, **days, **values, traces_max=TRACES_MAX)
        if not traces:
            return [], 0, 0
        return traces, min(each.started_us for each in traces), max(each.ended_us for each in traces)
