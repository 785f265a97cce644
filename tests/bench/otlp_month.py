"""A data directory with 30 days of a team of agents' users, summed up, next to one session of 50,000 spans.

Filled by a process of its own, `python -m tests.bench.otlp_month CUSTOMER FACTS`, before the server starts on it. Rows are
made where they are stored: 10 million of them would take an hour as messages. A prompt is 100 facts: 41 spans (one
interaction, ten rounds of model request, tool call, permission, execution), 31 events, 10 decisions, 18 points. Every tenth
prompt starts a subagent. Four in five people use the command line, the others each another source; ids are random.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from string import Template
from typing import Final

from raingauge.contracts import CONTRACTS
from raingauge.settings import CORE_KNOBS, load
from raingauge.store.store import Store

USERS: Final = 100
PROMPT_FACTS: Final = 100
PROMPTS_PER_INSERT: Final = 10_000
SESSION_PROMPTS: Final = 8
DAYS: Final = 30
LONG_SPANS: Final = 50_000
LONG_TURN_SPANS: Final = 200
_FAR: Final = 10**9
"""Number of the long session's first prompt: far beyond all others."""

_PROMPT: Final = """
    intDiv(number, $parts) AS p, number % $parts AS part, p % $users AS u, intDiv(p, $users) AS k,
    intDiv(k, $session_prompts) AS s, cityHash64(u, s, 'session') AS hs, cityHash64(p, 'prompt') AS hp,
    $begin_us + toInt64((s + (u % 24) / 24) * $session_us) + (k % $session_prompts) * 400000000 AS prompt_us,
    ['claude_code', 'agent_sdk', 'codex', 'cowork', 'gen_ai'][if(u % 20 < 16, 1, u % 20 - 14)] AS source,
    lower(hex(sipHash128(u, 'user'))) AS user, lower(hex(sipHash128(hs))) AS session, lower(hex(sipHash128(hp))) AS prompt,
    concat('team/repository-', toString((u * 3 + hs % 3) % 40)) AS repo, concat('team-', toString(u % 8)) AS team,
    ['claude-opus-5', 'claude-sonnet-5', 'claude-haiku-5'][hs % 3 + 1] AS model,
    ['Bash', 'Read', 'Edit', 'Write', 'Grep', 'WebFetch', 'Agent', 'mcp_tool'][cityHash64(p, intDiv(part, 4)) % 8 + 1] AS some_tool,
    ['low', 'medium', 'high'][intDiv(hs, 3) % 3 + 1] AS effort, hp % 10 = 0 AS splits,
    lower(hex(sipHash128(hp, 'agent'))) AS some_agent, reinterpretAsFixedString(sipHash128(hp, 'trace')) AS trace_id"""
_ORIGIN: Final = "source, user, repo, team"

_FILL: Final = {
    "spans": (
        41,
        """
    INSERT INTO spans (customer, day, message_id, position, batch, trace_id, span_id, parent_span_id, time, duration_us,
        name, kind, source, user, repo, team, service, session, model, tool, effort, agent, agent_id, status, decision,
        decision_source, query_source, call_id, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
        cost_usd, cost_source)
    WITH $prompt, intDiv(part + 3, 4) AS round, (part + 3) % 4 AS kind_of, splits AND round > 5 AS below,
        kind_of = 0 AS calls, fromUnixTimestamp64Micro(prompt_us + round * 12000000 + kind_of * 3000000) AS at
    SELECT '$customer', toDate(at), toUInt64(toUnixTimestamp64Micro(at)), part, 1, trace_id,
        reinterpretAsFixedString(cityHash64(p, round, kind_of)),
        multiIf(part = 0, toFixedString('', 8), kind_of > 1, reinterpretAsFixedString(cityHash64(p, round, 1)),
            below, reinterpretAsFixedString(cityHash64(p, 5, 3)), reinterpretAsFixedString(cityHash64(p, 0, 3))),
        at, if(part = 0, 130000000, 1000000 + cityHash64(number) % 2000000),
        if(part = 0, 'claude_code.interaction', ['claude_code.llm_request', 'claude_code.tool',
            'claude_code.tool.blocked_on_user', 'claude_code.tool.execution'][kind_of + 1]), 1, $origin,
        'claude-code', session, if(calls, model, ''), if(kind_of > 0 AND part > 0, some_tool, ''), if(calls, effort, ''),
        if(below, 'general-purpose', ''), if(below, some_agent, ''),
        if(number % 50 = 0, 'error', 'ok'), if(kind_of = 2, 'accept', ''), if(kind_of = 2, 'config', ''),
        if(below, 'subagent', 'main'), if(kind_of < 2, cityHash64(p, round, kind_of, 'call'), 0),
        if(calls, 10 + cityHash64(number) % 90, 0), if(calls, 100 + cityHash64(number) % 900, 0),
        if(calls, 20000 + cityHash64(number) % 9000, 0), if(calls, cityHash64(number) % 3000, 0),
        if(calls, 0.01 + cityHash64(number) % 1000 / 1e5, 0), if(calls, 'estimated', 'none')
    FROM numbers($start * $parts, $count * $parts) WHERE source != 'cowork'""",
    ),
    "events": (
        31,
        """
    INSERT INTO events (customer, day, message_id, position, batch, event_id, time, name, trace_id, duration_us,
        source, user, repo, team, service, session, prompt, model, tool, effort, agent, agent_id, status, decision,
        decision_source, query_source, call_id, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
        cost_usd, cost_source)
    WITH $prompt, intDiv(part + 2, 3) AS round, (part + 2) % 3 AS kind_of, part > 0 AND kind_of = 0 AS calls,
        splits AND round > 5 AS below, fromUnixTimestamp64Micro(prompt_us + round * 12000000 + kind_of * 3000000) AS at
    SELECT '$customer', toDate(at), toUInt64(toUnixTimestamp64Micro(at)), part, 1, cityHash64(number, 'event'), at,
        if(part = 0, 'user_prompt', [if(source = 'codex', 'sse_event', 'api_request'), 'tool_decision', 'tool_result'][kind_of + 1]),
        trace_id, if(kind_of != 1, 1000000 + cityHash64(number) % 2000000, 0), $origin, 'claude-code', session, prompt,
        if(calls, model, ''), if(kind_of > 0 AND part > 0, some_tool, ''), if(calls, effort, ''),
        if(below, 'general-purpose', ''), if(below, some_agent, ''),
        if(number % 50 = 0, 'error', 'ok'), if(kind_of = 1, 'accept', ''), if(kind_of = 1, 'config', ''),
        if(below, 'subagent', 'main'), if(part > 0, cityHash64(p, round, kind_of, 'call'), 0),
        if(calls, 10 + cityHash64(number) % 90, 0), if(calls, 100 + cityHash64(number) % 900, 0),
        if(calls, 20000 + cityHash64(number) % 9000, 0), if(calls, cityHash64(number) % 3000, 0),
        if(calls, 0.01 + cityHash64(number) % 1000 / 1e5, 0), if(calls, 'reported', 'none')
    FROM numbers($start * $parts, $count * $parts)""",
    ),
    "tool_decisions": (
        10,
        """
    INSERT INTO tool_decisions (customer, day, message_id, position, batch, event_id, time, trace_id,
        source, user, repo, team, service, session, prompt, tool, decision, decision_source, call_id)
    WITH $prompt, fromUnixTimestamp64Micro(prompt_us + (part + 1) * 12000000 + 3000000) AS at, cityHash64(number) % 30 AS luck
    SELECT '$customer', toDate(at), toUInt64(toUnixTimestamp64Micro(at)), part, 1, cityHash64(number, 'decision'), at, trace_id,
        $origin, 'claude-code', session, prompt, some_tool, if(luck = 1, 'reject', 'accept'),
        multiIf(luck = 1, 'user_reject', luck < 4, 'user_temporary', luck = 4, 'hook', 'config'), cityHash64(p, part, 1, 'call')
    FROM numbers($start * $parts, $count * $parts)""",
    ),
    "points": (
        18,
        """
    INSERT INTO points (customer, day, message_id, position, batch, series, start, time, metric, kind, temporality, value,
        count, type, source, user, repo, team, service, model, effort, query_source, measure, unit_cost_usd)
    WITH $prompt, intDiv(part, 6) AS minute, part % 6 AS kind_of, kind_of < 5 AS of_model,
        if(splits AND minute = 2, 'subagent', 'main') AS asked_by,
        fromUnixTimestamp64Micro(prompt_us + minute * 60000000 + 60000000) AS at
    SELECT '$customer', toDate(at), toUInt64(toUnixTimestamp64Micro(at)), part, 1, cityHash64(hs, kind_of, asked_by),
        at - toIntervalMinute(1), at,
        ['claude_code.token.usage', 'claude_code.token.usage', 'claude_code.token.usage', 'claude_code.token.usage',
         'claude_code.cost.usage', if(part = 5 AND k % $session_prompts = 0, 'claude_code.session.count', 'claude_code.active_time.total')][kind_of + 1],
        'sum', 'delta', [200., 2000., 80000., 5000., 0.05, 20.][kind_of + 1], 0,
        ['input', 'output', 'cacheRead', 'cacheCreation', '', 'cli'][kind_of + 1], $origin, 'claude-code',
        if(of_model, model, ''), if(of_model, effort, ''), if(of_model, asked_by, ''),
        ['input', 'output', 'cache_read', 'cache_creation', 'cost', ''][kind_of + 1], if(kind_of = 4, 1, 0)
    FROM numbers($start * $parts, $count * $parts) WHERE source IN ('claude_code', 'agent_sdk')""",
    ),
}


def fill(customer: str, facts: int) -> dict[str, object]:
    """Fill the data directory of the environment. Seconds of filling and summing up, rows and bytes by table."""
    settings = load(CORE_KNOBS)
    prompts = facts // PROMPT_FACTS
    sessions = -(-prompts // (USERS * SESSION_PROMPTS))
    month_us = DAYS * 86_400_000_000
    begin_us = int(time.time() * 1e6) - month_us + 2 * 3_600_000_000
    month = {
        "customer": customer, "users": USERS, "session_prompts": SESSION_PROMPTS, "begin_us": begin_us,
        "session_us": (month_us - 4 * 3_600_000_000) // (sessions + 1),
    }  # fmt: skip
    long = month | {"users": 1, "session_prompts": _FAR // 1_000, "begin_us": begin_us + month_us // 2, "session_us": 0}
    with closing(Store.open(settings, settings.data_dir, CONTRACTS)) as store:
        began = time.perf_counter()
        for table, (parts, _) in _FILL.items():
            for start in range(0, prompts, PROMPTS_PER_INSERT):
                _insert(store, table, parts, start, min(PROMPTS_PER_INSERT, prompts - start), month)
        filled = time.perf_counter()
        _insert(store, "spans", LONG_TURN_SPANS, _FAR, LONG_SPANS // LONG_TURN_SPANS, long)
    # Opened anew, the writer knows of the rows that it did not write itself.
    with closing(Store.open(settings, settings.data_dir, CONTRACTS)) as store:
        reopened = time.perf_counter()
        store.rollups.run()
        summed = time.perf_counter()
        biggest = "SELECT toString(session) FROM spans GROUP BY session ORDER BY count() DESC LIMIT 1"
        return {
            "fill": filled - began,
            "sums": summed - reopened,
            "tables": {table: (rows, size) for table, rows, size in store.system()},
            "long_session": store._look.rows(biggest)[0][0],
        }


def _insert(store: Store, table: str, parts: int, start: int, count: int, values: Mapping[str, object]) -> None:
    known = {**values, "parts": parts, "start": start, "count": count, "origin": _ORIGIN}
    prompt = Template(_PROMPT).substitute(known)
    store._upkeep.command(Template(_FILL[table][1]).substitute(known, prompt=prompt))


if __name__ == "__main__":
    print(json.dumps(fill(sys.argv[1], int(sys.argv[2]))))
