"""Sessions as Claude Code and the Agent SDK report them: traces, events and metrics in OTLP/JSON.

Names and types of attributes are those of the clients: https://code.claude.com/docs/en/monitoring-usage
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from raingauge.demo import story
from raingauge.demo.wire import Request, Value, attributes, envelope, export
from raingauge.demo.work import Call, Prompt, Session, Step, Tool

SENDER: Final = "agents"
VERSION: Final = "2.1.329"

_STATUS_OVERLOADED: Final = 529
_EDITING: Final = frozenset({"Edit", "Write"})


def requests(session: Session) -> Iterator[Request]:
    """What the client of one session sends, all of a kind at once: traces, then events, then metrics."""
    reporter = _Reporter(session)
    yield from reporter.requests()


class _Reporter:
    def __init__(self, session: Session) -> None:
        person = session.person
        self._session = session
        self._bot = person in story.BOTS
        self._resource: dict[str, Value] = {
            "service.name": person.tool if self._bot else "claude-code",
            "service.version": VERSION,
            "os.type": "linux" if self._bot else "darwin",
            "host.arch": "arm64",
            "team.id": person.team,
        }
        if self._bot:
            # A program has no e-mail address of its own; its operator names it by OTEL_RESOURCE_ATTRIBUTES.
            self._resource["user.email"] = person.email
        self._standard = attributes(_standard(session))
        self._sequence = 0

    def requests(self) -> Iterator[Request]:
        prompts = self._session.prompts
        spans = [span for number, prompt in enumerate(prompts, 1) for span in self._spans(number, prompt)]
        yield self._export("Spans", "com.anthropic.claude_code.tracing", "1.0.0", spans)
        records = [record for prompt in prompts for record in self._records(prompt)]
        yield self._export("Logs", "com.anthropic.claude_code.events", VERSION, records)
        points = self._points()
        metrics = [_sum(name, unit, found) for (name, unit), found in points.items()]
        message = envelope(
            "Metrics", self._resource, {"name": "com.anthropic.claude_code", "version": VERSION}, metrics
        )
        yield export(SENDER, "Metrics", message, sum(map(len, points.values())))

    def _export(self, signal: str, scope: str, version: str, records: list[dict[str, Any]]) -> Request:
        message = envelope(signal, self._resource, {"name": scope, "version": version}, records)
        return export(SENDER, signal, message, len(records))

    # ---- traces --------------------------------------------------------------------------------------------

    def _spans(self, number: int, prompt: Prompt) -> Iterator[dict[str, Any]]:
        """The interaction and everything below it. Children come first: the root is sent when the turn ends."""
        root = _span_id(prompt.id)
        for step in prompt.steps:
            yield from self._step_spans(prompt.trace_id, root, step, "interaction")
        yield self._span(prompt.trace_id, root, "", "interaction", prompt.at_us, prompt.end_us, {
            "user_prompt": "<REDACTED>", "user_prompt_length": prompt.length, "interaction.sequence": number,
            "parent.source": "none", "interaction.duration_ms": (prompt.end_us - prompt.at_us) // 1000,
        })  # fmt: skip

    def _step_spans(self, trace_id: str, parent: str, step: Step, context: str) -> Iterator[dict[str, Any]]:
        agent: dict[str, Value] = {}
        if step.agent:
            agent = {"agent_id": step.agent.id}
            if step.agent.parent_id:
                agent["parent_agent_id"] = step.agent.parent_id
        if isinstance(step, Call):
            about = agent | _call_span(step, self._bot) | {"llm_request.context": context}
            span_id = _span_id(step.request_id)
            yield self._span(
                trace_id, span_id, parent, "llm_request", step.at_us, step.end_us, about, failed=bool(step.error)
            )
            return
        span_id = _span_id(step.use_id)
        for inner in step.steps:
            yield from self._step_spans(trace_id, span_id, inner, "tool")
        use: dict[str, Value] = {"tool_use_id": step.use_id, "gen_ai.tool.call.id": step.use_id}
        decided_us = step.at_us + step.wait_ms * 1000
        waited: dict[str, Value] = {"duration_ms": step.wait_ms, "decision": step.decision, "source": step.decided_by}
        yield self._span(
            trace_id, _span_id("w" + step.use_id), span_id, "tool.blocked_on_user", step.at_us, decided_us, waited
        )
        if step.decision == "accept":
            ran: dict[str, Value] = {"duration_ms": step.run_ms, "success": not step.error, **use}
            if step.error:
                ran["error_class"] = step.error.replace(":", "_")
            yield self._span(
                trace_id, _span_id("x" + step.use_id), span_id, "tool.execution", decided_us, step.end_us, ran,
                failed=bool(step.error),
            )  # fmt: skip
        whole: dict[str, Value] = {
            "tool_name": step.name, "tool_name_safe": step.name, "duration_ms": step.wait_ms + step.run_ms, **use, **agent
        }  # fmt: skip
        yield self._span(trace_id, span_id, parent, "tool", step.at_us, step.end_us, whole)

    def _span(
        self, trace_id: str, span_id: str, parent: str, kind: str, start_us: int, end_us: int,
        about: Mapping[str, Value], *, failed: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        span = {
            "traceId": trace_id, "spanId": span_id, "name": f"claude_code.{kind}", "kind": 1,
            "startTimeUnixNano": f"{start_us}000", "endTimeUnixNano": f"{end_us}000",
            "attributes": [*self._standard, *attributes({"span.type": kind, **about})],
            "droppedAttributesCount": 0, "events": [], "links": [], "status": {"code": 2 if failed else 0}, "flags": 257,
        }  # fmt: skip
        if parent:
            span["parentSpanId"] = parent
        return span

    # ---- events --------------------------------------------------------------------------------------------

    def _records(self, prompt: Prompt) -> Iterator[dict[str, Any]]:
        """The prompt and what came of it, in the order of time."""
        asked: dict[str, Value] = {"prompt_length": str(prompt.length), "prompt": "<REDACTED>"}
        root = _span_id(prompt.id)
        found = [(prompt.at_us, "user_prompt", root, asked)]
        for step in prompt.walk():
            if isinstance(step, Call):
                name = "api_error" if step.error else "api_request"
                found.append((step.end_us, name, _span_id(step.request_id), _call_event(step, self._bot)))
                continue
            decided_us = step.at_us + step.wait_ms * 1000
            span_id = _span_id(step.use_id)
            found.append((decided_us, "tool_decision", span_id, _decision(step)))
            if step.decision == "accept":
                found.append((step.end_us, "tool_result", span_id, _result(step)))
        for at_us, name, span_id, about in sorted(found, key=lambda one: one[:2]):
            yield self._record(prompt, at_us, name, span_id, about)

    def _record(
        self, prompt: Prompt, at_us: int, name: str, span_id: str, about: Mapping[str, Value]
    ) -> dict[str, Any]:
        at_ms = at_us // 1000
        moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event: dict[str, Value] = {
            "event.name": name, "event.timestamp": moment, "event.sequence": self._sequence, "prompt.id": prompt.id, **about
        }  # fmt: skip
        self._sequence += 1
        return {
            "timeUnixNano": f"{at_ms}000000", "observedTimeUnixNano": f"{at_ms}000000",
            "body": {"stringValue": f"claude_code.{name}"}, "attributes": [*self._standard, *attributes(event)],
            "droppedAttributesCount": 0, "traceId": prompt.trace_id, "spanId": span_id,
        }  # fmt: skip

    # ---- metrics -------------------------------------------------------------------------------------------

    def _points(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Data points by metric and unit, one export per prompt."""
        points: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)

        def add(name: str, unit: str, prompt: Prompt, value: float, **about: Value) -> None:
            if value:
                points[name, unit].append({
                    "attributes": [*self._standard, *attributes(about)], "startTimeUnixNano": f"{prompt.at_us}000",
                    "timeUnixNano": f"{prompt.end_us}000", "asDouble": value,
                })  # fmt: skip

        first = self._session.prompts[0]
        add("session.count", "", first, 1.0, start_type="fresh")
        for prompt in self._session.prompts:
            steps = list(prompt.walk())
            calls = [step for step in steps if isinstance(step, Call) and not step.error]
            for (model, source, agent), spent in _spent(calls).items():
                about: dict[str, Value] = {"model": model, "query_source": source, "effort": "high"}
                if agent:
                    about["agent.name"] = agent
                add("cost.usage", "USD", prompt, round(spent.pop("cost", 0.0), 6), **about)
                for kind, tokens in spent.items():
                    add("token.usage", "tokens", prompt, tokens, **about, type=kind)
            tools = [step for step in steps if isinstance(step, Tool)]
            waited_seconds = sum(tool.wait_ms for tool in tools if tool.decided_by != "config") / 1000
            add(
                "active_time.total",
                "s",
                prompt,
                round((prompt.end_us - prompt.at_us) / 1e6 - waited_seconds, 3),
                type="cli",
            )
            if not self._bot:
                add("active_time.total", "s", prompt, round(waited_seconds + prompt.length / 12, 3), type="user")
            self._add_edits(add, prompt, [tool for tool in tools if tool.name in _EDITING])
        return points

    def _add_edits(self, add: Any, prompt: Prompt, edits: list[Tool]) -> None:
        decided = Counter((edit.name, edit.decision, edit.decided_by) for edit in edits)
        for (name, decision, source), count in decided.items():
            about = {"tool_name": name, "decision": decision, "source": source, "language": "TypeScript"}
            add("code_edit_tool.decision", "", prompt, float(count), **about)
        done = sum(edit.decision == "accept" and not edit.error for edit in edits)
        add("lines_of_code.count", "", prompt, float(done * (5 + prompt.length % 23)), type="added")
        add("lines_of_code.count", "", prompt, float(done * (prompt.length % 11)), type="removed")
        add("commit.count", "", prompt, float(done > 2))
        add("pull_request.count", "", prompt, float(done > 4))


def _standard(session: Session) -> dict[str, Value]:
    """What every record carries."""
    person = session.person
    random = story.seeded("account", person.name)
    owner, _, repository = person.repository.partition("/")
    common: dict[str, Value] = {
        "user.id": random.randbytes(32).hex(), "session.id": session.id, "vcs.owner.name": owner,
        "vcs.repository.name": repository, "vcs.provider.name": "github",
    }  # fmt: skip
    if person in story.BOTS:
        return common | {"terminal.type": "non-interactive", "app.entrypoint": "sdk-py"}
    return common | {
        "organization.id": "0a0a0a0a-0000-4000-8000-000000000003",
        "user.email": person.email,
        "user.account_uuid": f"{random.randbytes(4).hex()}-0000-4000-8000-000000000001",
        "terminal.type": random.choice(("iTerm.app", "vscode", "tmux", "ghostty")),
        "app.entrypoint": "cli",
    }


def _call_span(call: Call, bot: bool) -> dict[str, Value]:
    about: dict[str, Value] = {
        "model": call.model, "gen_ai.system": "anthropic", "gen_ai.request.model": call.model,
        "query_source_safe": _asked_by(call, bot), "duration_ms": call.duration_ms, "request_id": call.request_id,
        "gen_ai.response.id": call.request_id, "attempt": 1, "success": not call.error, "effort": "high",
    }  # fmt: skip
    if call.error:
        return about | {"error_class": call.error, "status_code": _STATUS_OVERLOADED}
    return about | _tokens(call) | {"ttft_ms": call.duration_ms // 3, "stop_reason": call.stop_reason}


def _call_event(call: Call, bot: bool) -> dict[str, Value]:
    about: dict[str, Value] = {
        "model": call.model, "duration_ms": call.duration_ms, "request_id": call.request_id, "speed": "normal",
        "query_source": _asked_by(call, bot), "effort": "high",
    }  # fmt: skip
    if call.agent:
        about |= {"agent.name": call.agent.kind, "agent_id": call.agent.id}
    if call.error:
        return about | {"status_code": _STATUS_OVERLOADED, "attempt": 11, "error": "Overloaded"}
    cost = {"cost_usd": call.cost_usd, "cost_usd_micros": round(call.cost_usd * 1e6)}
    return about | cost | _tokens(call)


def _asked_by(call: Call, bot: bool) -> str:
    if call.agent:
        return f"agent:builtin:{call.agent.kind}"
    return "sdk" if bot else "repl_main_thread"


def _tokens(call: Call) -> dict[str, Value]:
    return {
        "input_tokens": call.input_tokens, "output_tokens": call.output_tokens,
        "cache_read_tokens": call.cache_read_tokens, "cache_creation_tokens": call.cache_creation_tokens,
    }  # fmt: skip


def _decision(tool: Tool) -> dict[str, Value]:
    source = "mcp" if tool.name == "mcp_tool" else "builtin"
    return {
        "decision": tool.decision, "source": tool.decided_by, "tool_name": tool.name, "tool_use_id": tool.use_id,
        "tool_source": source,
    }  # fmt: skip


def _result(tool: Tool) -> dict[str, Value]:
    about: dict[str, Value] = {
        "tool_name": tool.name, "tool_use_id": tool.use_id, "success": "false" if tool.error else "true",
        "duration_ms": str(tool.run_ms), "decision_type": "accept", "decision_source": tool.decided_by,
        "tool_input_size_bytes": "180", "tool_result_size_bytes": "2400",
    }  # fmt: skip
    return about | ({"error_type": tool.error} if tool.error else {})


def _spent(calls: list[Call]) -> dict[tuple[str, str, str], Counter[str]]:
    """Cost and tokens by model, who asked, and kind of subagent."""
    spent: dict[tuple[str, str, str], Any] = defaultdict(Counter)
    for call in calls:
        kind = call.agent.kind if call.agent else ""
        sums = spent[call.model, "subagent" if kind else "main", kind]
        sums["cost"] += call.cost_usd
        sums["input"] += call.input_tokens
        sums["output"] += call.output_tokens
        sums["cacheRead"] += call.cache_read_tokens
        sums["cacheCreation"] += call.cache_creation_tokens
    return spent


def _sum(name: str, unit: str, points: list[dict[str, Any]]) -> dict[str, Any]:
    counted = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points}
    return {"name": f"claude_code.{name}", "description": "", "unit": unit, "sum": counted}


def _span_id(of: str) -> str:
    """An id that follows from what the span is about, so that events and spans agree on it."""
    return hashlib.blake2b(of.encode(), digest_size=8).hexdigest()
