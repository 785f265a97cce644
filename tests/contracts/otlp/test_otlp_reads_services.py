"""Traces of services that are no agents, and of those that call one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts.otlp.otlp_reads import Agents

from raingauge.contracts.otlp import OTLP

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

TEN_NS = 1_795_168_800_000_000_000
"""2026-11-20 10:00 UTC."""
SECOND_NS = 1_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def agents(open_store: Any) -> Agents:
    return Agents(open_store(OTLP))


def span(otlp: Otlp, number: int, parent: int, name: str, at: int, seconds: int, **attributes: Any) -> dict[str, Any]:
    made = otlp.span(number, **attributes) | {
        "traceId": TRACE.upper(), "name": name, "startTimeUnixNano": str(TEN_NS + at * SECOND_NS),
        "endTimeUnixNano": str(TEN_NS + (at + seconds) * SECOND_NS),
    }  # fmt: skip
    return made | {"parentSpanId": f"{parent:016x}"} if parent else made


@pytest.mark.parametrize("summed_up", [False, True])
def test_a_trace_of_any_service_is_a_tree(otlp: Otlp, agents: Agents, summed_up: bool) -> None:
    """A service that knows no agents sees its own trace, and the agent that it called as a part of it."""
    shop = [
        span(otlp, 1, 0, "POST /ask", 0, 10) | {"status": {"code": 2}},
        span(otlp, 2, 1, "SELECT", 1, 1),
    ]
    called = [
        span(otlp, 3, 1, "claude_code.interaction", 2, 7, session__id="s1"),
        span(otlp, 4, 3, "claude_code.llm_request", 3, 5, session__id="s1", model="claude-sonnet-5", input_tokens=7),
    ]
    agents.deliver("traces", otlp.spans(*shop, resource={"service.name": "shop"}))
    if summed_up:
        agents.roll_up()
    tree = agents.ask("spans/tree", trace=TRACE)
    assert [("POST /ask", 0, 10_000, "error"), ("SELECT", 1, 1_000, "")] == [
        (node["name"], node["depth"], node["duration_ms"], node["status"]) for node in tree["nodes"]
    ]
    agents.deliver("traces", otlp.spans(*called, resource={"service.name": "claude-code"}))
    if summed_up:
        agents.roll_up()
    tree = agents.ask("spans/tree", trace=TRACE.upper())
    assert [("POST /ask", 0), ("SELECT", 1), ("claude_code.interaction", 1), ("claude_code.llm_request", 2)] == [
        (node["name"], node["depth"]) for node in tree["nodes"]
    ]
    assert (4, 0, "s1", 7) == (tree["spans"], tree["orphans"], tree["session"], tree["nodes"][0]["subtree_tokens"])
    assert [] == agents.ask("rollups", source="other")


@pytest.mark.parametrize("unknown", ["0" * 32, "ab", "x" * 32, "ab" * 17, "ab" * 1000, "' OR 1", "\0", "ü" * 16])
def test_an_unknown_trace_is_empty(otlp: Otlp, agents: Agents, unknown: str) -> None:
    """Whatever is given as an id, the answer is a tree without nodes."""
    agents.deliver("traces", otlp.spans(span(otlp, 1, 0, "POST /ask", 0, 10), resource={"service.name": "shop"}))
    assert ([], 0) == ((tree := agents.ask("spans/tree", trace=unknown))["nodes"], tree["spans"])
