"""`/api/top-prompts`: the costliest prompts and all that they set in motion."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.cost import ESTIMATED, NONE, REPORTED
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, usd
from raingauge.contracts.otlp.reads.work import (
    HOSTED,
    RELATIONS,
    Compared,
    Relation,
    begun,
    counts_of,
    nesting,
    parts,
    relations_of,
    texts_of,
)
from raingauge.contracts.otlp.rollups import PROMPTS, TOKENS, TRACES

_MONEY: Final = ("cost_nano", "estimated_nano")
_COUNTS: Final = (*TOKENS, "requests", "priced", "tool_calls", "errors")
_COLUMNS: Final = (
    "session", "user", "repo", "source", "started_us", "ended_us", "tools", "agents", *_MONEY, *_COUNTS,
)  # fmt: skip
_MERGED: Final = f"""
    max(toString(session)) AS of_session, max(toString(user)) AS of_user, max(toString(repo)) AS of_repo,
    min(toString(source)) AS of_source, min(started_us) AS begun_us, max(ended_us) AS over_us, toJSONString(sumMap(tools)) AS all_tools,
    {RELATIONS} AS relations, {", ".join(f"toDecimal128(sum({name}), 0) AS sum_{name}" for name in _MONEY)},
    {", ".join(f"sum({name}) AS sum_{name}" for name in _COUNTS)}
"""


class ToolCalls(msgspec.Struct, frozen=True):
    tool: str
    calls: int


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and all that it set in motion. `prompt` is empty for a trace of which no event tells the prompt.

    `depth` counts levels of subagents: 0 is the main agent alone.
    """

    prompt: str
    trace: str
    session: str
    user: str
    user_name: str | None
    repo: str
    source: str
    started_at: datetime
    cost_usd: float
    cost_source: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    requests: int
    tool_calls: int
    duration_ms: float
    depth: int
    subagents: int
    tools: list[ToolCalls]
    errors: int


@get("/api/top-prompts", summary="Costliest prompts", tags=["agents"], dependencies=FILTERS)
async def top_prompts(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[list[Prompt]]:
    """Prompts that began in the window with what they cost, used and started; costliest first."""
    known = {**filters.parameters, **begun(window)}
    compared = Compared(facts, filters)
    ranked = await facts.columns(
        window,
        {
            name: f"SELECT id, toDecimal128(cost, 0) AS cost, asked, rows AS looked FROM ({groups})"
            " ORDER BY cost DESC, asked DESC, id LIMIT {limit:UInt32}"
            for name, groups in (("named", compared.named()), ("nameless", compared.nameless()))
        },
        **known,
    )
    found = [
        (-row["cost"], -row["asked"], name == "nameless", row["id"])
        for name, table in ranked.data.items()
        for row in table.to_pylist()
    ]
    chosen = sorted(found)[: window.limit]
    ids = {name: [one for *_, nameless, one in chosen if nameless == (name == "nameless")] for name in ranked.data}
    told = (await facts.columns(window, _details(facts, ids), **known, **ids)).data if chosen else {}
    rows = {name: {row["id"]: row for row in table.to_pylist()} for name, table in told.items()}
    prompts = [
        _of_trace(rows["nameless"][one]) if nameless else _of_prompt(rows["named"][one], rows["traces"])
        for *_, nameless, one in chosen
        # What has been erased meanwhile is not there any more.
        if one in rows["nameless" if nameless else "named"]
    ]
    names = await facts.names(sorted({prompt.user for prompt in prompts if prompt.user}))
    return Page([msgspec.structs.replace(one, user_name=names.get(one.user)) for one in prompts], ranked.meta)


def _details(facts: Facts, ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Statements for everything about these prompts, their traces, and these nameless traces."""
    statements = {}
    if ids["named"]:
        its_traces = f"SELECT arrayJoin(traces) FROM {parts(facts, PROMPTS, 'prompt', 'traces')} WHERE prompt IN {{named:Array(String)}}"
        statements["named"] = f"""
            SELECT prompt AS id, toJSONString(arraySort(arrayMap(one -> lower(hex(one)), groupUniqArrayArray(traces)))) AS trace_ids,
                {_MERGED}
            FROM {parts(facts, PROMPTS, "prompt", "traces", *_COLUMNS)} WHERE prompt IN {{named:Array(String)}} GROUP BY id
        """
        statements["traces"] = f"""
            SELECT lower(hex(trace_id)) AS id, min(started_us) AS begun_us, max(ended_us) AS over_us,
                {RELATIONS} AS relations, {HOSTED} AS nested
            FROM {parts(facts, TRACES, "trace_id", "started_us", "ended_us", "agents", "hosts")}
            WHERE trace_id IN ({its_traces}) GROUP BY trace_id
        """
    if ids["nameless"]:
        statements["nameless"] = f"""
            SELECT lower(hex(trace_id)) AS id, max(toString(prompt)) AS of_prompt, {HOSTED} AS nested, {_MERGED}
            FROM {parts(facts, TRACES, "trace_id", "prompt", "hosts", *_COLUMNS)}
            WHERE trace_id IN (SELECT toFixedString(unhex(arrayJoin({{nameless:Array(String)}})), 16)) GROUP BY trace_id
        """
    return statements


def _of_prompt(row: Mapping[str, Any], traces: Mapping[str, Mapping[str, Any]]) -> Prompt:
    ids = texts_of(row["trace_ids"])
    seen = [traces[one] for one in ids if one in traces]
    return _prompt(
        row,
        row["id"],
        next(iter(ids), ""),
        [relation for one in (row, *seen) for relation in relations_of(one["relations"])],
        sum(trace["nested"] for trace in seen),
        min([row["begun_us"], *(trace["begun_us"] for trace in seen)]),
        max([row["over_us"], *(trace["over_us"] for trace in seen)]),
    )


def _of_trace(row: Mapping[str, Any]) -> Prompt:
    return _prompt(
        row, row["of_prompt"], row["id"], relations_of(row["relations"]), row["nested"], row["begun_us"], row["over_us"]
    )


def _prompt(
    row: Mapping[str, Any],
    prompt: str,
    trace: str,
    relations: Sequence[Relation],
    nested: int,
    begun_us: int,
    over_us: int,
) -> Prompt:
    subagents, depth = nesting(relations, nested)
    tools = sorted(counts_of(row["all_tools"]).items(), key=lambda tool: (-tool[1], tool[0]))
    return Prompt(
        prompt=prompt,
        trace=trace,
        session=row["of_session"],
        user=row["of_user"],
        user_name=None,
        repo=row["of_repo"],
        source=row["of_source"],
        started_at=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=begun_us),
        cost_usd=usd(row["sum_cost_nano"]),
        cost_source=_cost_source(row),
        input_tokens=row["sum_input_tokens"],
        output_tokens=row["sum_output_tokens"],
        cache_read_tokens=row["sum_cache_read_tokens"],
        cache_creation_tokens=row["sum_cache_creation_tokens"],
        requests=row["sum_requests"],
        tool_calls=row["sum_tool_calls"],
        duration_ms=(over_us - begun_us) / 1000,
        depth=depth,
        subagents=subagents,
        tools=[ToolCalls(tool, calls) for tool, calls in tools],
        errors=row["sum_errors"],
    )


def _cost_source(row: Mapping[str, Any]) -> str:
    """`reported`, `estimated`, `mixed`, or `none` when no request's cost is known."""
    if not row["sum_priced"]:
        return NONE
    if not row["sum_estimated_nano"]:
        return REPORTED
    return ESTIMATED if row["sum_estimated_nano"] == row["sum_cost_nano"] else "mixed"
