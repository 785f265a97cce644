"""Prompts and traces that are partly summed up: asking sums and newer facts apart changes no answer."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts.otlp.otlp_reads import Agents

from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.reads import standing
from raingauge.store.store import Store

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

TEN_NS = 1_795_168_800_000_000_000
"""2026-11-20 10:00 UTC."""
DAY_NS = 86_400_000_000_000
PROMPTS = 12
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("top-prompts", {}), ("top-prompts", {"limit": 3}), ("top-prompts", {"tool": "Edit"}), ("top-prompts", {"model": "m1"}),
    ("top-prompts", {"repo": "acme/shop0"}),
    ("top-prompts", {"since": "2026-11-20T00:00:00"}), ("subagent-stats", {}), ("subagent-stats", {"by": "agent"}),
    ("subagent-stats", {"by": "agent", "session": "s1,s2"}),
)  # fmt: skip
Item = tuple[str, dict[str, Any]]
"""Signal and what it says."""
numbers = itertools.count(1)


@pytest.fixture
def store(open_store: Any) -> Store:
    opened: Store = open_store(OTLP)
    return opened


def sent(otlp: Otlp) -> list[Item]:
    """Single events and spans of prompts that cross midnight, nest subagents, share a trace or tell no event of theirs."""
    items: list[Item] = []
    for number, step in itertools.product(range(PROMPTS), range(6)):
        at_ns = TEN_NS - (DAY_NS if step < 2 and number % 3 == 0 else 0) + (100 * number + step) * 1_000_000
        # The last four have spans alone, of a trace each; of the others every two share one.
        trace = f"{100 + (number // 2 if number < 8 else number):032x}"
        agent = (
            {"agent_id": f"a{number}-{step}", "parent_agent_id": f"a{number}-{step - 1}"}
            if number % 2 and step > 2
            else {}
        )
        given: dict[str, Any] = {
            "session__id": f"s{number // 3}", "user__email": f"{number % 4}@example.com", "model": f"m{step % 2}",
            "vcs__owner__name": "acme", "vcs__repository__name": f"shop{number % 3}", "tool_name": ("Bash", "Edit")[number % 2],
            "input_tokens": number, "output_tokens": step, **agent,
        }  # fmt: skip
        names = ("llm_request", "tool", "tool.execution")
        span = otlp.span(1_000 * (number + 1) + step, **given) | {
            "traceId": trace, "name": f"claude_code.{names[step % 3]}", "parentSpanId": f"{1_000 * (number + 1) + step // 2:016x}",
            "startTimeUnixNano": str(at_ns), "endTimeUnixNano": str(at_ns + 500_000),
        }  # fmt: skip
        items.append(("traces", span))
        if number < 8 or (number == 8 and step == 5):
            event = {
                "event__name": ("api_request", "tool_result")[step % 2],
                "event__sequence": step,
                "prompt__id": f"p{number}",
            }
            log = otlp.log(**given, **event, cost_usd=(number + step) / 8) | {
                "timeUnixNano": str(at_ns),
                "traceId": trace,
            }
            items.append(("logs", log))
    return items


def deliver(otlp: Otlp, agents: Agents, items: Sequence[Item]) -> None:
    resource, scope = {"service.name": "claude-code"}, "com.anthropic.claude_code"
    spans, logs = ([one for told, one in items if told == signal] for signal in ("traces", "logs"))
    if spans:
        agents.deliver("traces", otlp.spans(*spans, resource=resource, scope=f"{scope}.tracing"))
    if logs:
        agents.deliver("logs", otlp.logs(*logs, resource=resource, scope=f"{scope}.events"))


def answers(otlp: Otlp, store: Store, items: Sequence[Item], summed_up: int) -> list[Any]:
    """What a new customer is told who sent these, the first so many of which are summed up."""
    agents = Agents(store, f"cust_{next(numbers):016x}")
    deliver(otlp, agents, items[:summed_up])
    if summed_up:
        agents.roll_up()
    deliver(otlp, agents, items[summed_up:])
    found = [agents.ask(read, **query) for read, query in QUESTIONS]
    for row in (row for rows in found if isinstance(rows, list) for row in rows):
        # Each customer has hashes of its own.
        row["user"] = row["user_name"]
    return found


def test_sums_and_newer_facts_together_say_the_same(otlp: Otlp, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of each prompt is summed up, whether what newer facts touch is asked apart or is too much for that."""
    items = sent(otlp)
    random.Random(7).shuffle(items)
    expected = answers(otlp, store, items, len(items))
    assert [12, 3] == [len(rows) for rows in expected[:2]]
    assert all(expected)
    assert expected == answers(otlp, store, items, 0)
    assert expected == answers(otlp, store, items, 60)
    monkeypatch.setattr(standing, "TOUCHED_MAX", 2)
    assert expected == answers(otlp, store, items, 60)
