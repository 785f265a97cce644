"""What holds for every input: two encodings agree, nothing private is kept, nothing raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Refused
from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.attributes import ALLOWED
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.store.arrow import build

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

PRIVATE = (
    "prompt", "prompt_text", "user_prompt", "response", "error", "error.message", "tool_parameters", "tool_input",
    "full_command", "bash_command", "bash_argv0", "file_path", "body", "body_ref", "new_context", "system_reminders",
    "system_prompt", "system_prompt_preview", "user_system_prompt", "response.model_output", "hook_definitions",
    "hook_matcher", "hook_name", "server_name", "managed_settings.settings", "managed_settings.helper.path",
    "workspace.host_paths", "process.owner", "host.name", "enduser.id", "enduser.sub", "user.groups", "user.id",
    "user.account_id", "content", "output", "diff", "tools", "arguments", "function_args", "request_text",
    "response_text", "reasoning", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions",
    "gen_ai.tool.definitions", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents", "url.full", "db.query.text", "exception.message", "exception.stacktrace",
    "command_name", "agent.name", "skill.name", "workflow.name", "plugin.name", "mcp_server.name", "file.path",
)  # fmt: skip
"""Keys whose values must not be found in anything stored, whoever sends them."""

MARK = "pr1vate/w0rds"
SERVICES = ("claude-code", "cowork", "codex_cli_rs", "gemini-cli", "opencode", "cursor", "bot", "")
NAMES = (
    "api_request",
    "tool_decision",
    "tool_result",
    "user_prompt",
    "claude_code.tool",
    "codex.sse_event",
    "tool_call",
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(
    st.builds(lambda v: {"stringValue": v}, text),
    st.builds(lambda v: {"intValue": str(v)}, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: {"doubleValue": v}, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(lambda v: {"boolValue": v}, st.booleans()),
    st.just({"arrayValue": {"values": [{"stringValue": "x"}]}}),
    st.just({}),
)
attributes = st.lists(
    st.builds(lambda key, value: {"key": key, "value": value}, st.sampled_from(sorted(ALLOWED)), scalars), max_size=8
)
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
times = st.one_of(st.just("1791795600000000000"), st.integers(0, 2**64 - 1).map(str))
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(otlp: Otlp, decoded: Any) -> int:
    """How many rows reach the store's columns; fails when one does not fit."""
    tables = {table.name: table for table in OTLP.tables}
    return sum(
        build(tables[name], otlp.customer, otlp.arrived_us, rows).num_rows for name, rows in decoded.rows.items()
    )


@quick
@given(service=st.sampled_from(SERVICES), found=attributes, shared=attributes, start=times, name=st.sampled_from(NAMES))
def test_both_encodings_give_the_same_rows(
    otlp: Otlp, service: str, found: list[Any], shared: list[Any], start: str, name: str
) -> None:
    """A request means the same in JSON and in protobuf, whatever its attributes are."""
    resource = {"attributes": [*shared, {"key": "service.name", "value": {"stringValue": service}}]}
    span = otlp.span() | {"name": name, "attributes": found, "startTimeUnixNano": start}
    log = {"eventName": name, "attributes": found, "timeUnixNano": start}
    metric = otlp.sum(name, 1.5)
    metric["sum"]["dataPoints"][0].update(attributes=found, startTimeUnixNano=start)
    for signal, request in (
        ("traces", otlp.spans(span)),
        ("logs", otlp.logs(log, log)),
        ("metrics", otlp.metrics(metric)),
    ):
        next(iter(request.values()))[0]["resource"] = resource
        as_json, as_protobuf = (otlp.decode(signal, request, media_type) for media_type in (JSON, PROTOBUF))
        assert as_json == as_protobuf
        assert stored(otlp, as_json) >= as_json.items - len(as_json.rejects)


def leaking(otlp: Otlp, service: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A span, a point and a record of every kind, with content under each private key wherever one can stand."""
    leaks = {key: f"{key} {MARK}" for key in PRIVATE}
    resource = {**leaks, "service.name": service}
    content = [{"key": key, "value": {"stringValue": value}} for key, value in leaks.items()]
    span = otlp.span(**leaks) | {
        "status": {"code": 2, "message": MARK},
        "traceState": MARK,
        "events": [{"name": "tool.output", "attributes": content}],
        "links": [{"traceId": "01" * 16, "spanId": "01" * 8, "attributes": content}],
    }
    yield "traces", otlp.spans(span, resource=resource)
    metric = otlp.sum("claude_code.cost.usage", 1.0, **leaks) | {"description": MARK, "unit": MARK}
    yield "metrics", otlp.metrics(metric, resource=resource)
    log = {"body": {"stringValue": f"claude_code.{MARK} of somebody"}, "severityText": MARK}
    for name in NAMES:
        named = [*content, {"key": "event.name", "value": {"stringValue": name}}]
        yield "logs", otlp.logs({**log, "attributes": named}, resource=resource)


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("service", SERVICES)
def test_nothing_private_is_kept(otlp: Otlp, service: str, media_type: str) -> None:
    """Content under any private key, on resource, record, event, link or body, leaves no trace in rows or people."""
    for signal, request in leaking(otlp, service):
        decoded = otlp.decode(signal, request, media_type)
        assert 1 == decoded.items - len(decoded.rejects)
        assert MARK not in repr([decoded.rows, decoded.people, decoded.rejects])


@quick
@given(value=garbage, key=st.sampled_from(sorted(ALLOWED)), field=st.sampled_from(["value", "stringValue", "intValue"]))
def test_no_attribute_value_raises_or_hurts_a_neighbour(otlp: Otlp, value: Any, key: str, field: str) -> None:
    """Whatever stands where a value belongs, the records beside it are stored."""
    pair = {"key": key, "value": value if field == "value" else {field: value}}
    for signal, request in (
        ("traces", otlp.spans(otlp.span(1), otlp.span(2) | {"attributes": [pair]}, otlp.span(3))),
        ("logs", otlp.logs(otlp.log(), otlp.log() | {"attributes": [pair]}, otlp.log())),
    ):
        decoded = otlp.decode_body(signal, msgspec.json.encode(request))
        assert 3 == decoded.items
        assert 2 <= decoded.items - len(decoded.rejects) <= stored(otlp, decoded)


@quick
@given(
    member=st.text(max_size=12) | st.sampled_from(["resource", "scopeSpans", "scopeMetrics", "scopeLogs"]),
    value=garbage,
)
def test_no_envelope_raises(otlp: Otlp, member: str, value: Any) -> None:
    """A request with anything in its envelopes is decoded or refused, never an error of ours."""
    for signal, envelope in (("traces", "resourceSpans"), ("metrics", "resourceMetrics"), ("logs", "resourceLogs")):
        for request in ({envelope: [{member: value}]}, {envelope: value}, value):
            try:
                decoded = otlp.decode_body(signal, msgspec.json.encode(request))
            except Refused:
                continue
            assert decoded.items == len(decoded.rejects) + sum(
                len(decoded.rows.get(name, ())) for name in ("spans", "points", "events")
            )


@quick
@given(body=st.binary(max_size=200), media_type=st.sampled_from([JSON, PROTOBUF]))
def test_no_bytes_raise(otlp: Otlp, body: bytes, media_type: str) -> None:
    """Arbitrary bytes are decoded or refused."""
    for signal in ("traces", "metrics", "logs"):
        try:
            decoded = otlp.decode_body(signal, body, media_type)
        except Refused:
            continue
        assert stored(otlp, decoded) >= 0
