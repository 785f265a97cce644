"""`/api/top-prompts`: the costliest prompts and all that they set in motion."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.cost import ESTIMATED, NONE, REPORTED
from raingauge.contracts.otlp.reads.costliest import costliest
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, usd
from raingauge.contracts.otlp.reads.work import Work, nesting

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ToolCalls(msgspec.Struct, frozen=True, gc=False):
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
    found = await costliest(facts, window, filters, _prompt)
    names = await facts.names(sorted({prompt.user for prompt in found.data if prompt.user}))
    return Page(await asyncio.to_thread(_named, found.data, names), found.meta)


def _named(found: Iterable[Prompt], names: Mapping[str, str]) -> list[Prompt]:
    return [
        msgspec.structs.replace(prompt, user_name=names[prompt.user]) if prompt.user in names else prompt
        for prompt in found
    ]


def _prompt(work: Work) -> Prompt:
    """Without the person's name, which may change."""
    row, seen = work.row, work.seen
    relations = [relation for one in seen for relation in one["relations"]]
    subagents, depth = nesting(relations, sum(one.get("nested", 0) for one in seen))
    begun_us, over_us = min(one["begun_us"] for one in seen), max(one["over_us"] for one in seen)
    tools = sorted(row["all_tools"].items(), key=lambda tool: (-tool[1], tool[0]))
    return Prompt(
        prompt=row["id"] if work.named else row["of_prompt"],
        trace=next(iter(row["trace_ids"]), "") if work.named else row["id"],
        session=row["of_session"],
        user=row["of_user"],
        user_name=None,
        repo=row["of_repo"],
        source=row["of_source"],
        started_at=_EPOCH + timedelta(microseconds=begun_us),
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
