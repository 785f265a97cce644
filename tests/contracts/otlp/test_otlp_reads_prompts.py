"""Prompts over the API: what they cost, what they started, and the tree of their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts.otlp.otlp_reads import Agents

from raingauge.contracts.otlp import OTLP

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

TEN_NS = 1_795_168_800_000_000_000
"""2026-11-20 10:00 UTC."""
MS = 1_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
ADA = {
    "user__email": "ada@example.com",
    "session__id": "s1",
    "vcs__owner__name": "acme",
    "vcs__repository__name": "shop",
}
RESOURCE = {"service.name": "claude-code"}
SCOPE = "com.anthropic.claude_code"


def span(
    otlp: Otlp, number: int, parent: int, name: str, start_ms: int, length_ms: int, **given: Any
) -> dict[str, Any]:
    made = otlp.span(number, **{**ADA, **given}) | {
        "traceId": TRACE,
        "name": f"claude_code.{name}",
        "startTimeUnixNano": str(TEN_NS + start_ms * MS),
        "endTimeUnixNano": str(TEN_NS + (start_ms + length_ms) * MS),
    }
    return made | {"parentSpanId": f"{parent:016x}"} if parent else made


def log(otlp: Otlp, number: int, name: str, at_ms: int, prompt: str = "p1", **given: Any) -> dict[str, Any]:
    attributes = {**ADA, "event__name": name, "event__sequence": number, "prompt__id": prompt, **given}
    return otlp.log(**attributes) | {"timeUnixNano": str(TEN_NS + at_ms * MS), "traceId": TRACE}


def worked_spans(otlp: Otlp) -> list[dict[str, Any]]:
    """One turn: a request, a tool call that waits for its user, a subagent that starts another one."""
    tokens = {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_creation_tokens": 4}
    model: dict[str, Any] = {"model": "claude-sonnet-5", **tokens}
    outer: dict[str, Any] = {"agent_id": "a1"}
    inner: dict[str, Any] = {"agent_id": "a2", "parent_agent_id": "a1"}
    return [
        span(otlp, 1, 0, "interaction", 0, 10_000),
        span(otlp, 2, 1, "llm_request", 100, 900, **model, request_id="r1"),
        span(otlp, 3, 1, "tool", 1_000, 3_000, tool_name="Bash", tool_use_id="t1"),
        span(otlp, 4, 3, "tool.blocked_on_user", 1_000, 2_000, decision="accept", source="user_temporary"),
        span(otlp, 5, 3, "tool.execution", 3_000, 1_000, success=True, tool_use_id="t1"),
        span(otlp, 6, 1, "tool", 4_000, 5_000, tool_name="Agent", tool_use_id="t2"),
        span(otlp, 7, 6, "tool.execution", 4_000, 5_000, success=True, tool_use_id="t2"),
        span(otlp, 8, 7, "llm_request", 4_100, 900, **model, **outer, request_id="r2"),
        span(otlp, 9, 7, "tool", 5_000, 3_000, tool_name="Agent", tool_use_id="t3", **outer),
        span(otlp, 10, 9, "tool.execution", 5_000, 3_000, success=True, tool_use_id="t3", **outer),
        span(otlp, 11, 10, "llm_request", 5_100, 900, **model, **inner, request_id="r3"),
    ]


def worked_logs(otlp: Otlp) -> list[dict[str, Any]]:
    tokens = {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_creation_tokens": 4}
    request: dict[str, Any] = {"model": "claude-sonnet-5", "duration_ms": 900, **tokens}
    return [
        log(otlp, 0, "user_prompt", 0, prompt_length="5"),
        log(otlp, 1, "api_request", 1_000, **request, cost_usd=0.25, request_id="r1", query_source="repl_main_thread"),
        log(otlp, 2, "tool_decision", 3_000, tool_name="Bash", tool_use_id="t1", decision="accept", source="user_temporary"),
        log(otlp, 3, "tool_result", 4_000, tool_name="Bash", tool_use_id="t1", success="true", duration_ms="1000"),
        log(otlp, 4, "api_request", 5_000, **request, cost_usd=0.5, request_id="r2", query_source="agent:builtin:Explore",
            agent_id="a1", agent__name="Explore"),
        log(otlp, 5, "api_request", 6_000, **request, cost_usd=0.125, request_id="r3", query_source="agent:custom",
            agent_id="a2", agent__name="reviewer-of-acme"),
        log(otlp, 6, "tool_result", 8_000, tool_name="Agent", tool_use_id="t3", success="true", duration_ms="3000"),
        log(otlp, 7, "tool_result", 9_000, tool_name="Agent", tool_use_id="t2", success="false", duration_ms="5000"),
    ]  # fmt: skip


@pytest.fixture
def agents(open_store: Any) -> Agents:
    return Agents(open_store(OTLP))


@pytest.fixture
def worked(otlp: Otlp, agents: Agents) -> Agents:
    """The turn as it arrives: children before their parents, in separate messages, half of it summed up already."""
    spans, logs = worked_spans(otlp), worked_logs(otlp)
    agents.deliver("traces", otlp.spans(*reversed(spans[4:]), resource=RESOURCE, scope=f"{SCOPE}.tracing"))
    agents.deliver("logs", otlp.logs(*logs[:4], resource=RESOURCE, scope=f"{SCOPE}.events"))
    agents.roll_up()
    agents.deliver("traces", otlp.spans(*reversed(spans[:4]), resource=RESOURCE, scope=f"{SCOPE}.tracing"))
    agents.deliver("logs", otlp.logs(*logs[4:], resource=RESOURCE, scope=f"{SCOPE}.events"))
    return agents


def test_top_prompt(worked: Agents) -> None:
    """Cost, tokens, calls, duration, depth and tools of one prompt, exactly."""
    (row,) = worked.ask("top-prompts")
    person = row.pop("user")
    assert {
        "prompt": "p1", "trace": TRACE, "session": "s1", "user_name": "ada@example.com", "repo": "acme/shop",
        "source": "claude_code", "started_at": "2026-11-20T10:00:00Z", "cost_usd": 0.875, "cost_source": "reported",
        "input_tokens": 3, "output_tokens": 6, "cache_read_tokens": 9, "cache_creation_tokens": 12, "requests": 3,
        "tool_calls": 3, "duration_ms": 10_000.0, "depth": 2, "subagents": 2,
        "tools": [{"tool": "Agent", "calls": 2}, {"tool": "Bash", "calls": 1}], "errors": 1,
    } == row  # fmt: skip
    assert [row["prompt"]] == [found["prompt"] for found in worked.ask("top-prompts", user=person, tool="Bash,Edit")]
    assert [] == worked.ask("top-prompts", tool="Edit")


def test_subagents_by_repository_and_kind(worked: Agents) -> None:
    """Fan-out and depth per repository; cost and share per kind of subagent, names that people gave left out."""
    by_repo = worked.ask("subagent-stats")
    assert [
        {
            "key": "acme/shop", "label": "acme/shop", "prompts": 1, "subagents": 2, "fan_out_mean": 2.0, "fan_out_max": 2,
            "depth_mean": 2.0, "depth_max": 2, "cost_usd": 0.625, "share": 0.625 / 0.875,
        }
    ] == by_repo["rows"]  # fmt: skip
    assert [{"depth": 2, "prompts": 1}] == by_repo["depth_histogram"]
    by_kind = worked.ask("subagent-stats", by="agent")["rows"]
    assert {("Explore", 1, 0.5), ("custom", 1, 0.125)} == {
        (row["key"], row["subagents"], row["cost_usd"]) for row in by_kind if row["key"]
    }


@pytest.mark.parametrize("asked", [{"prompt": "p1"}, {"trace": TRACE}, {"session": "s1"}], ids=str)
def test_tree(worked: Agents, asked: dict[str, str]) -> None:
    """The turn in pre-order with depth, waiting time and what each subtree cost, however it is asked for."""
    tree = worked.ask("spans/tree", **asked)
    shape = [
        (int(node["id"], 16), node["depth"], node["kind"], node["waiting_ms"], node["subtree_cost_usd"])
        for node in tree["nodes"]
    ]
    assert [
        (1, 0, "interaction", 0, 0.875),
        (2, 1, "llm", 0, 0.25),
        (3, 1, "tool", 2000, 0),
        (4, 2, "waiting", 2000, 0),
        (5, 2, "execution", 0, 0),
        (6, 1, "tool", 0, 0.625),
        (7, 2, "execution", 0, 0.625),
        (8, 3, "llm", 0, 0.5),
        (9, 3, "tool", 0, 0.125),
        (10, 4, "execution", 0, 0.125),
        (11, 5, "llm", 0, 0.125),
    ] == shape
    assert (11, False, 0, 10_000, "s1", "ada@example.com") == tuple(
        tree[name] for name in ("spans", "truncated", "orphans", "duration_ms", "session", "user_name")
    )
    assert 30 == tree["nodes"][0]["subtree_tokens"]
