"""`/api/top-prompts` and `/api/subagent-stats`: what a prompt set in motion."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.cost import ESTIMATED, NONE, REPORTED
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, usd
from raingauge.contracts.otlp.rollups import PROMPTS, TOKENS, TRACES

DEPTH_MAX: Final = 8
"""Deeper nested subagents count as this deep."""

LASTS: Final = timedelta(days=2)
"""A prompt is followed so long beyond the window on either side."""

Relation: TypeAlias = tuple[str, str, str]
"""Random id of a subagent, of the one that started it or empty, and its kind."""

_SUMMED: Final = ("cost_nano", "estimated_nano", *TOKENS, "requests", "priced", "errors", "tool_calls")
_MERGED: Final = f"""
    max(part.session) AS of_session, max(part.user) AS of_user, max(part.repo) AS of_repo, min(part.source) AS of_source,
    min(part.started_us) AS begun_us, max(part.ended_us) AS over_us,
    groupUniqArrayArray(part.models) AS all_models, sumMap(part.tools) AS all_tools,
    groupUniqArrayArray(part.agents) AS all_agents, sumMap(part.agent_nano) AS all_agent_nano,
    {", ".join(f"sum(part.{name}) AS sum_{name}" for name in _SUMMED)}
"""
_COLUMNS: Final = (
    "of_session, of_user, of_repo, of_source, begun_us, over_us, all_models, all_tools, all_agents, all_agent_nano, "
    + ", ".join(f"sum_{name}" for name in _SUMMED)
)

_NAMED: Final = f"""
    SELECT part.prompt AS id, groupUniqArrayArray(part.traces) AS trace_ids, {_MERGED}
    FROM $prompts AS part WHERE part.prompt != '' GROUP BY id
"""
_FIRST_TRACE: Final = "if(empty(trace_ids), '', lower(hex(trace_ids[1])))"
_RELATIONS: Final = "arrayMap(one -> [one.1, one.2, one.3], relations)"


def work(facts: Facts) -> str:
    """A subquery of everything that prompts set in motion, one row each.

    Prompts come from events, which know them. What traces add (subagents, length) is joined by the ids of traces that
    the events name; a trace that no event names stands for a prompt of its own. Where a trace holds several prompts,
    each of them shows the trace's subagents.
    """
    named = _NAMED.replace("$prompts", facts.rolled(PROMPTS.table))
    return f"""(
        WITH
            named AS ({named}),
            traced AS (
                SELECT part.trace_id AS id, max(part.prompt) AS of_prompt, groupUniqArrayArray(part.hosts) AS all_hosts,
                    {_MERGED}
                FROM {facts.rolled(TRACES.table)} AS part GROUP BY id
            ),
            joined AS (
                SELECT link.id AS id, min(t.begun_us) AS first_us, max(t.over_us) AS last_us,
                    groupUniqArrayArray(t.all_agents) AS seen, sum(greatest(length(t.all_hosts), 1) - 1) AS nested
                FROM (SELECT id, arrayJoin(trace_ids) AS trace_id FROM named) AS link
                INNER JOIN traced AS t ON t.id = link.trace_id GROUP BY link.id
            )
        SELECT named.id AS prompt, {_FIRST_TRACE} AS trace, {_COLUMNS},
            if(joined.last_us > 0, least(begun_us, first_us), begun_us) AS started_us,
            greatest(over_us, joined.last_us) AS ended_us,
            arrayConcat(all_agents, joined.seen) AS relations, joined.nested AS nested
        FROM named LEFT JOIN joined ON joined.id = named.id
        UNION ALL
        SELECT of_prompt AS prompt, lower(hex(id)) AS trace, {_COLUMNS}, begun_us AS started_us, over_us AS ended_us,
            all_agents AS relations, greatest(length(all_hosts), 1) - 1 AS nested
        FROM traced
        WHERE id NOT IN (SELECT arrayJoin(trace_ids) FROM named)
            AND (of_prompt = '' OR of_prompt NOT IN (SELECT id FROM named))
            AND (sum_requests > 0 OR sum_tool_calls > 0)
    )"""


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


def _wanted(filters: Filters) -> str:
    one = filters.condition(user="of_user", repo="of_repo", source="of_source", session="of_session")
    return f"{one} AND {filters.any_of(model='all_models', tool='mapKeys(all_tools)')}"


def _begun(window: Window) -> tuple[str, dict[str, Any]]:
    condition = """started_us >= toUnixTimestamp64Micro({begun_since:DateTime64(6)})
        AND started_us < toUnixTimestamp64Micro({begun_until:DateTime64(6)})"""
    days = Range.days(window)
    parameters = {
        "begun_since": window.since,
        "begun_until": window.until,
        "since_day": (days.since - LASTS).date(),
        "until_day": (days.until + LASTS).date(),
    }
    return condition, parameters


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


class _PromptSums(msgspec.Struct, frozen=True, kw_only=True):
    prompt: str
    trace: str
    session: str
    user: str
    repo: str
    source: str
    started_us: int
    ended_us: int
    cost: int
    estimated: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    requests: int
    priced: int
    tool_calls: int
    relations: list[Relation]
    nested: int
    tools: dict[str, int]
    errors: int

    @property
    def cost_source(self) -> str:
        """`reported`, `estimated`, `mixed`, or `none` when no request's cost is known."""
        if not self.priced:
            return NONE
        if not self.estimated:
            return REPORTED
        return ESTIMATED if self.estimated == self.cost else "mixed"

    def row(self, names: dict[str, str]) -> Prompt:
        subagents, depth = nesting(self.relations, self.nested)
        tools = sorted(self.tools.items(), key=lambda tool: (-tool[1], tool[0]))
        return Prompt(
            prompt=self.prompt,
            trace=self.trace,
            session=self.session,
            user=self.user,
            user_name=names.get(self.user),
            repo=self.repo,
            source=self.source,
            started_at=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self.started_us),
            cost_usd=usd(self.cost),
            cost_source=self.cost_source,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_creation_tokens=self.cache_creation_tokens,
            requests=self.requests,
            tool_calls=self.tool_calls,
            duration_ms=(self.ended_us - self.started_us) / 1000,
            depth=depth,
            subagents=subagents,
            tools=[ToolCalls(tool, calls) for tool, calls in tools],
            errors=self.errors,
        )


@get("/api/top-prompts", summary="Costliest prompts", tags=["agents"], dependencies=FILTERS)
async def top_prompts(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[list[Prompt]]:
    """Prompts that began in the window with what they cost, used and started; costliest first."""
    begun, parameters = _begun(window)
    counts = ", ".join(f"sum_{name} AS {name}" for name in (*TOKENS, "requests", "priced", "tool_calls", "errors"))
    sql = f"""
        SELECT prompt, trace, of_session AS session, of_user AS user, of_repo AS repo, of_source AS source, started_us,
            ended_us, toInt64(sum_cost_nano) AS cost, toInt64(sum_estimated_nano) AS estimated, {counts},
            all_tools AS tools, {_RELATIONS} AS relations, nested
        FROM {work(facts)}
        WHERE {{customer:String}} != '' AND {begun} AND {_wanted(filters)}
        ORDER BY sum_cost_nano DESC, sum_requests DESC, prompt, trace LIMIT {{limit:UInt32}}
    """
    page = await facts.page(window, sql, _PromptSums, **filters.parameters, **parameters)
    names = await facts.names(sorted({row.user for row in page.data if row.user}))
    return Page([row.row(names) for row in page.data], page.meta)


class SubagentRow(msgspec.Struct, frozen=True):
    """Prompts of one repository or with one kind of subagent.

    Means are over these prompts, `fan_out` is subagents per prompt. `cost_usd` is what the subagents cost, `share`
    their part of everything these prompts cost.
    """

    key: str
    label: str
    prompts: int
    subagents: int
    fan_out_mean: float
    fan_out_max: int
    depth_mean: float
    depth_max: int
    cost_usd: float
    share: float


class DepthCount(msgspec.Struct, frozen=True):
    depth: int
    prompts: int


class SubagentStats(msgspec.Struct, frozen=True):
    rows: list[SubagentRow]
    depth_histogram: list[DepthCount]


class _Alike(msgspec.Struct, frozen=True):
    """Prompts of a repository that have the same subagents: all that have none, or a single one."""

    repo: str
    relations: list[Relation]
    nested: int
    agent_nano: dict[str, int]
    prompts: int
    whole: int


@dataclass(slots=True)
class _Group:
    prompts: int = 0
    subagents: int = 0
    widest: int = 0
    levels: int = 0
    deepest: int = 0
    cost: int = 0
    whole: int = 0

    def add(self, alike: _Alike, subagents: int, depth: int, cost: int) -> None:
        self.prompts += alike.prompts
        self.subagents += subagents * alike.prompts
        self.widest = max(self.widest, subagents)
        self.levels += depth * alike.prompts
        self.deepest = max(self.deepest, depth)
        self.cost += cost * alike.prompts
        self.whole += alike.whole

    def row(self, key: str, label: str) -> SubagentRow:
        return SubagentRow(
            key,
            label,
            self.prompts,
            self.subagents,
            self.subagents / self.prompts,
            self.widest,
            self.levels / self.prompts,
            self.deepest,
            usd(self.cost),
            self.cost / self.whole if self.whole else 0.0,
        )


@get("/api/subagent-stats", summary="Subagents", tags=["agents"], dependencies=FILTERS)
async def subagent_stats(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    by: Annotated[Literal["repo", "agent"], QueryParameter(description="What prompts are split by.")] = "repo",
) -> Page[SubagentStats]:
    """How many subagents prompts start, how deep they nest and what they cost."""
    begun, parameters = _begun(window)
    sql = f"""
        SELECT of_repo AS repo, {_RELATIONS} AS relations, nested, all_agent_nano AS agent_nano,
            toInt64(count()) AS prompts, toInt64(sum(sum_cost_nano)) AS whole
        FROM {work(facts)}
        WHERE {{customer:String}} != '' AND {begun} AND {_wanted(filters)}
        GROUP BY repo, relations, nested, agent_nano
    """
    page = await facts.page(window, sql, _Alike, **filters.parameters, **parameters)
    depths: defaultdict[int, int] = defaultdict(int)
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for alike in page.data:
        subagents, depth = nesting(alike.relations, alike.nested)
        depths[depth] += alike.prompts
        if by == "repo":
            groups[alike.repo].add(alike, subagents, depth, sum(alike.agent_nano.values()))
            continue
        # Requests of a subagent whose kind no record tells are under the empty key.
        ids: dict[str, set[str]] = {kind: set() for kind in alike.agent_nano}
        for one, _, kind in alike.relations:
            ids.setdefault(kind, set()).add(one)
        for kind, those in ids.items():
            groups[kind].add(alike, len(those), depth, alike.agent_nano.get(kind, 0))
    named = await labels(facts, by, groups)
    rows = [group.row(key, named[key]) for key, group in groups.items()]
    rows.sort(key=lambda row: (-row.subagents, -row.cost_usd, -row.prompts, row.key))
    histogram = [DepthCount(depth, prompts) for depth, prompts in sorted(depths.items())]
    return Page(SubagentStats(rows[: window.limit], histogram), page.meta)
