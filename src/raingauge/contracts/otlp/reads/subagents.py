"""`/api/subagent-stats`: how many subagents prompts start and how deep they nest."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, labels, usd
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
from raingauge.contracts.otlp.rollups import PROMPTS, TRACES


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


class _Alike(NamedTuple):
    """Prompts of a repository that have the same subagents: all that have none, or a single one."""

    repo: str
    relations: Sequence[Relation]
    nested: int
    agent_nano: Mapping[str, int]
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
    page = await facts.columns(window, _statements(facts, filters), **filters.parameters, **begun(window))
    depths: defaultdict[int, int] = defaultdict(int)
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for alike in _alike(page.data):
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


_REPO: Final = ", max(toString(repo)) AS of_repo"
_AGENTS: Final = f"{_REPO}, {RELATIONS} AS relations, toJSONString(sumMap(agent_nano)) AS of_agents"


def _statements(facts: Facts, filters: Filters) -> dict[str, str]:
    """All prompts by repository; what is known of those with subagents, and of traces with some; nameless traces."""
    compared = Compared(facts, filters)
    # A trace in several rows may have more hosts than each of them says.
    deep = f"""
        SELECT trace_id FROM {parts(facts, TRACES, "trace_id", "agents", "hosts")} GROUP BY trace_id
        HAVING max(notEmpty(agents)) OR max(length(hosts)) > 1 OR count() > 1
    """
    branching = f"""prompt IN (
        SELECT prompt FROM {parts(facts, PROMPTS, "prompt", "traces", "agents", "agent_nano")}
        WHERE notEmpty(agents) OR notEmpty(mapKeys(agent_nano)) OR arrayExists(one -> one IN ({deep}), traces)
    )"""
    traces = ", groupUniqArrayArray(traces) AS trace_ids"
    return {
        "all": f"""
            SELECT of_repo, toInt64(count()) AS prompts, toDecimal128(sum(cost), 0) AS whole, sum(rows) AS looked
            FROM ({compared.named("repo", select=_REPO)}) GROUP BY of_repo
        """,
        "branching": f"""
            SELECT of_repo, relations, of_agents, toDecimal128(cost, 0) AS whole,
                toJSONString(arrayMap(one -> lower(hex(one)), trace_ids)) AS traces, rows AS looked
            FROM ({compared.named("repo", "agents", "agent_nano", "traces", select=_AGENTS + traces, where=branching)})
        """,
        "traces": f"""
            SELECT lower(hex(trace_id)) AS id, {RELATIONS} AS relations, {HOSTED} AS nested, count() AS looked
            FROM {parts(facts, TRACES, "trace_id", "agents", "hosts")} WHERE trace_id IN ({deep}) GROUP BY trace_id
        """,
        "nameless": f"""
            SELECT of_repo, relations, nested, of_agents, toInt64(count()) AS prompts, toDecimal128(sum(cost), 0) AS whole,
                sum(rows) AS looked
            FROM ({compared.nameless("repo", "agents", "agent_nano", "hosts", select=f"{_AGENTS}, {HOSTED} AS nested")})
            GROUP BY of_repo, relations, nested, of_agents
        """,
    }


def _alike(found: Mapping[str, pa.Table]) -> Iterator[_Alike]:
    """Every prompt once: those without subagents together, by repository."""
    traces = {row["id"]: row for row in found["traces"].to_pylist()}
    plain = {row["of_repo"]: (row["prompts"], int(row["whole"])) for row in found["all"].to_pylist()}
    for row in found["branching"].to_pylist():
        seen = [traces[one] for one in texts_of(row["traces"]) if one in traces]
        relations = [relation for one in (row, *seen) for relation in relations_of(one["relations"])]
        nested = sum(trace["nested"] for trace in seen)
        whole = int(row["whole"])
        yield _Alike(row["of_repo"], relations, nested, counts_of(row["of_agents"]), 1, whole)
        prompts, left = plain.get(row["of_repo"], (0, 0))
        plain[row["of_repo"]] = prompts - 1, left - whole
    for repo, (prompts, whole) in plain.items():
        if prompts > 0:
            yield _Alike(repo, [], 0, {}, prompts, whole)
    for row in found["nameless"].to_pylist():
        relations, agents = relations_of(row["relations"]), counts_of(row["of_agents"])
        yield _Alike(row["of_repo"], relations, row["nested"], agents, row["prompts"], int(row["whole"]))
