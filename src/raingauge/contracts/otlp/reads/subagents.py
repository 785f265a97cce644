"""`/api/subagent-stats`: how many subagents prompts start and how deep they nest."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, joined, labels, usd
from raingauge.contracts.otlp.reads.standing import Rows, standing
from raingauge.contracts.otlp.reads.touched import works
from raingauge.contracts.otlp.reads.work import (
    HOSTED,
    Compared,
    Relation,
    Work,
    begun,
    counts_of,
    nesting,
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
    """Works of a repository with the same subagents, but for their ids; `kinds` are those that cost anything."""

    repo: str
    relations: tuple[Relation, ...] = ()
    nested: int = 0
    kinds: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Sums:
    works: int = 0
    whole: int = 0
    agent_nano: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, sign: int, works: int, whole: int, agent_nano: Mapping[str, int]) -> None:
        self.works += sign * works
        self.whole += sign * whole
        for kind, nano in agent_nano.items():
            self.agent_nano[kind] += sign * nano


@dataclass(slots=True)
class _Group:
    prompts: int = 0
    subagents: int = 0
    widest: int = 0
    levels: int = 0
    deepest: int = 0
    cost: int = 0
    whole: int = 0

    def add(self, sums: _Sums, subagents: int, depth: int, cost: int) -> None:
        self.prompts += sums.works
        self.subagents += subagents * sums.works
        self.widest = max(self.widest, subagents)
        self.levels += depth * sums.works
        self.deepest = max(self.deepest, depth)
        self.cost += cost
        self.whole += sums.whole

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
    known = begun(window)
    now = await standing(facts, window, **known)
    page = await facts.columns(window, _statements(Compared(filters), now.rows), **filters.parameters, **known)

    def counted() -> tuple[dict[str, _Group], dict[int, int]]:
        found = _alike(page.data)
        for told, sign in ((now.before, -1), (now.after, 1)):
            for work in works(told, filters, known["begun_since"], known["begun_until"]):
                _add_work(found, work, sign)
        return _grouped(found, by)

    groups, depths = await asyncio.to_thread(counted)
    named = await labels(facts, by, groups)
    rows = [group.row(key, named[key]) for key, group in groups.items()]
    rows.sort(key=lambda row: (-row.subagents, -row.cost_usd, -row.prompts, row.key))
    histogram = [DepthCount(depth, prompts) for depth, prompts in sorted(depths.items())]
    return Page(SubagentStats(rows[: window.limit], histogram), joined(*now.meta, page.meta))


def _grouped(found: Mapping[_Alike, _Sums], by: str) -> tuple[dict[str, _Group], dict[int, int]]:
    """By repository or kind of subagent, and how many prompts there are of each depth."""
    depths: defaultdict[int, int] = defaultdict(int)
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for alike, sums in found.items():
        if not sums.works:
            continue
        subagents, depth = nesting(alike.relations, alike.nested)
        depths[depth] += sums.works
        if by == "repo":
            groups[alike.repo].add(sums, subagents, depth, sum(sums.agent_nano.values()))
            continue
        # Requests of a subagent whose kind no record tells are under the empty key.
        ids: dict[str, set[str]] = {kind: set() for kind in alike.kinds}
        for one, _, kind in alike.relations:
            ids.setdefault(kind, set()).add(one)
        for kind, those in ids.items():
            groups[kind].add(sums, len(those), depth, sums.agent_nano.get(kind, 0))
    return groups, depths


_REPO: Final = ", max(toString(repo)) AS of_repo"
_AGENTS: Final = f"""{_REPO}, groupUniqArrayArray(agents) AS own, sumMap(agent_nano) AS of_agents,
    mapKeys(of_agents) AS of_kinds"""

# Ids are random. Numbered in the order of the ids, those of most prompts are the same; `?` is nobody among them.
_NUMBERED: Final = """arraySort(arrayDistinct(arrayMap(one -> (
    toString(indexOf(ids, one.1)),
    multiIf(one.2 = '', '', has(ids, one.2), toString(indexOf(ids, one.2)), '?'),
    one.3
), pairs)))"""
_GROUPED: Final = f"""
    WITH arraySort(arrayDistinct(pairs.1)) AS ids
    SELECT of_repo, toJSONString(arrayMap(one -> [one.1, one.2, one.3], {_NUMBERED})) AS relations,
    toJSONString(arraySort(of_kinds)) AS kinds, toInt64(nested) AS nested, toInt64(count()) AS works,
    toDecimal128(sum(cost), 0) AS whole, sum(rows) AS looked,
    toJSONString(sumMap(mapApply((kind, nano) -> (kind, toInt128(nano)), of_agents))) AS agent_nano
"""


def _statements(compared: Compared, rows: Rows) -> dict[str, str]:
    """All prompts by repository; those with subagents among them; traces that no event names."""
    # A trace in several rows may have more hosts than each of them says.
    deep = f"""
        SELECT trace_id, groupUniqArrayArray(agents) AS theirs, {HOSTED} AS hosted
        FROM {rows.of(TRACES, "trace_id", "agents", "hosts")} GROUP BY trace_id HAVING notEmpty(theirs) OR hosted > 0
    """
    branching = f"""prompt IN (
        SELECT prompt FROM {rows.of(PROMPTS, "prompt", "traces", "agents", "agent_nano")}
        WHERE notEmpty(agents) OR notEmpty(mapKeys(agent_nano))
            OR arrayExists(one -> one IN (SELECT trace_id FROM ({deep})), traces)
    )"""
    traces = ", arrayJoin(arrayPushBack(groupUniqArrayArray(traces), toFixedString('', 16))) AS trace_id"
    columns = ("repo", "agents", "agent_nano")
    return {
        "all": f"""
            SELECT of_repo, toInt64(count()) AS works, toDecimal128(sum(cost), 0) AS whole, sum(rows) AS looked
            FROM ({compared.named(rows, "repo", select=_REPO)}) GROUP BY of_repo
        """,
        "branching": f"""
            {_GROUPED} FROM (
                SELECT any(of_repo) AS of_repo, any(cost) AS cost, any(rows) AS rows, any(of_agents) AS of_agents,
                    any(of_kinds) AS of_kinds, arrayConcat(any(own), groupArrayArray(theirs)) AS pairs, sum(hosted) AS nested
                FROM ({compared.named(rows, *columns, "traces", select=_AGENTS + traces, where=branching)}) AS prompts
                LEFT JOIN ({deep}) AS traces USING (trace_id) GROUP BY id
            ) GROUP BY of_repo, relations, nested, kinds
        """,
        "nameless": f"""
            {_GROUPED}
            FROM ({compared.nameless(rows, *columns, "hosts", select=f"{_AGENTS}, own AS pairs, {HOSTED} AS nested")})
            GROUP BY of_repo, relations, nested, kinds
        """,
    }


def _alike(found: Mapping[str, pa.Table]) -> defaultdict[_Alike, _Sums]:
    """Every work once: those of a repository that have the same subagents, or none, together."""
    groups: defaultdict[_Alike, _Sums] = defaultdict(_Sums)
    for row in found["all"].to_pylist():
        groups[_Alike(row["of_repo"])].add(1, row["works"], int(row["whole"]), {})
    for name in ("branching", "nameless"):
        for row in found[name].to_pylist():
            works, whole = row["works"], int(row["whole"])
            if name == "branching":
                groups[_Alike(row["of_repo"])].add(-1, works, whole, {})
            relations, kinds = tuple(relations_of(row["relations"])), frozenset(texts_of(row["kinds"]))
            alike = _Alike(row["of_repo"], relations, row["nested"], kinds)
            groups[alike].add(1, works, whole, counts_of(row["agent_nano"]))
    return groups


def _add_work(groups: defaultdict[_Alike, _Sums], work: Work, sign: int) -> None:
    """Add a single work, or take it away. Says the same of it as the statements do."""
    agent_nano = work.row["agent_nano"]
    relations = numbered({relation for row in work.seen for relation in row["relations"]})
    nested = sum(row.get("nested", 0) for row in work.seen)
    alike = _Alike(work.row["of_repo"], relations, nested, frozenset(agent_nano))
    groups[alike].add(sign, 1, int(work.row["sum_cost_nano"]), agent_nano)


def numbered(relations: set[Relation]) -> tuple[Relation, ...]:
    """Without ids, which are random: see `_NUMBERED`."""
    ids = sorted({one for one, _, _ in relations})
    numbers = {"": "", **{one: str(number) for number, one in enumerate(ids, 1)}}
    return tuple(sorted({(numbers[one], numbers.get(parent, "?"), kind) for one, parent, kind in relations}))
