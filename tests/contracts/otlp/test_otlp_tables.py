"""The stored side: what arrives twice counts once, and rows can be read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.wire import JSON, PROTOBUF

if TYPE_CHECKING:
    from tests.conftest import StoreFacts
    from tests.contracts.otlp.conftest import Otlp

SAMPLES = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "samples").glob("*.json"))
}


class Count(msgspec.Struct):
    rows: int


class Tree(msgspec.Struct):
    span: str
    parent: str
    tool: str
    duration_ms: float


class Joined(msgspec.Struct):
    span: str
    event: str
    prompt: str


class Bucket(msgspec.Struct):
    bound: float
    held: int


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
def test_what_is_sent_again_is_stored_once(otlp: Otlp, stored_facts: StoreFacts, media_type: str) -> None:
    """A client's retry, in either encoding, adds no row to any table."""
    facts = stored_facts(OTLP)

    def counts() -> dict[str, int]:
        return {
            table.name: facts.rows(
                f"SELECT count() AS rows FROM {table.name} WHERE customer = {{customer:String}}", Count
            )[0].rows
            for table in OTLP.tables
        }

    for sample in SAMPLES.values():
        facts.insert(otlp.decode(sample["signal"], sample["request"]))
    first = counts()
    for sample in SAMPLES.values():
        facts.insert(otlp.decode(sample["signal"], sample["request"], media_type))
    assert first == counts()
    assert all(first.values())


def test_a_tree_can_be_walked(otlp: Otlp, stored_facts: StoreFacts) -> None:
    """Parents and children meet by their ids."""
    sample = SAMPLES["claude-code-2.1.289-traces"]
    facts = stored_facts(OTLP)
    facts.insert(otlp.decode("traces", sample["request"]))
    sql = """SELECT c.name AS span, p.name AS parent, p.tool AS tool, c.duration_us / 1000 AS duration_ms FROM spans AS c
        INNER JOIN spans AS p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE c.customer = {customer:String} AND p.customer = {customer:String} ORDER BY span"""
    assert [
        Tree("claude_code.llm_request", "claude_code.interaction", "", 3200.0),
        Tree("claude_code.tool", "claude_code.interaction", "", 2000.0),
        Tree("claude_code.tool.blocked_on_user", "claude_code.tool", "Bash", 1500.0),
        Tree("claude_code.tool.execution", "claude_code.tool", "Bash", 500.0),
    ] == facts.rows(sql, Tree)


def test_events_join_spans_by_call(otlp: Otlp, stored_facts: StoreFacts) -> None:
    """A span gets its prompt from the events of the same tool call or model request."""
    facts = stored_facts(OTLP)
    for name in ("claude-code-2.1.289-traces", "claude-code-2.1.329-logs"):
        facts.insert(otlp.decode(SAMPLES[name]["signal"], SAMPLES[name]["request"]))
    sql = """SELECT DISTINCT s.name AS span, e.name AS event, e.prompt AS prompt FROM spans AS s
        INNER JOIN events AS e ON e.call_id = s.call_id WHERE s.customer = {customer:String}
        AND e.customer = {customer:String} AND s.call_id != 0 AND e.name IN ('api_request', 'tool_result')
        ORDER BY span"""
    prompt = "5e5e5e5e-0000-4000-8000-000000000005"
    assert [
        Joined("claude_code.llm_request", "api_request", prompt),
        Joined("claude_code.tool", "tool_result", prompt),
        Joined("claude_code.tool.execution", "tool_result", prompt),
    ] == facts.rows(sql, Joined)


def test_histograms_of_many_points_merge(otlp: Otlp, stored_facts: StoreFacts) -> None:
    """Bucket counts add up under their bounds, whatever buckets each point had."""

    def histogram(session: str, bounds: list[float], counts: list[str]) -> dict[str, Any]:
        point = {"timeUnixNano": "1791795600000000000", "count": "9", "sum": 1, "attributes": []}
        point |= {"explicitBounds": bounds, "bucketCounts": counts}
        point["attributes"] = [{"key": "session.id", "value": {"stringValue": session}}]
        return {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [point]}}

    facts = stored_facts(OTLP)
    metrics = histogram("a", [1.0, 2.0], ["1", "2", "0"]), histogram("b", [2.0, 4.0], ["3", "4", "0"])
    facts.insert(otlp.decode("metrics", otlp.metrics(*metrics)))
    sql = """SELECT bound, held FROM (SELECT sumMap(bucket_bounds, bucket_counts) AS merged FROM points
        WHERE customer = {customer:String}) ARRAY JOIN merged.1 AS bound, merged.2 AS held"""
    assert [Bucket(1.0, 1), Bucket(2.0, 5), Bucket(4.0, 4)] == facts.rows(sql, Bucket)
