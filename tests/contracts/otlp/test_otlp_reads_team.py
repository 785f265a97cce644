"""A team's day whose totals are known beforehand, on every route, half of it summed up.

Four people use the CLI (which tells spend by metrics and by events), one uses Cowork (events only). Each gives four
prompts of eight requests and eight tool decisions, with hook events around them as real sessions have. Request r of
person p costs (p + 1) * (r + 1) thousandths of a dollar.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.otlp.conftest import Otlp
from tests.contracts.otlp.otlp_reads import NOW, Agents

from raingauge.contracts.otlp import OTLP
from raingauge.settings import Settings
from raingauge.store import client, schema
from raingauge.store.store import Store

NINE_NS = 1_795_165_200_000_000_000
"""2026-11-20 09:00 UTC."""
MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
PEOPLE = ("ada", "bob", "cleo", "dan", "eve")
COWORKER = 4
PROMPTS = 4
REQUESTS = 8
HOOKS = 24
PROMPT_USD = sum(range(1, REQUESTS + 1)) / 1000
DAY_USD = PROMPTS * PROMPT_USD * (1 + 2 + 3 + 4 + 5)

Message = tuple[str, dict[str, Any]]


def team_day(otlp: Otlp) -> Iterator[Message]:
    """Every message of the day: one of logs per prompt, and for users of the CLI one of metrics."""
    for person in range(len(PEOPLE)):
        for prompt in range(PROMPTS):
            yield "logs", prompt_logs(otlp, person, prompt)
            if person != COWORKER:
                yield "metrics", prompt_metrics(otlp, person, prompt)


def who(person: int) -> dict[str, Any]:
    return {
        "user__email": f"{PEOPLE[person]}@example.com",
        "session__id": f"session-{person}",
        "team__id": "search" if person < 2 else "ads",
        "vcs__owner__name": "acme",
        "vcs__repository__name": "shop" if person < 3 else "site",
    }


def begin_ns(person: int, prompt: int) -> int:
    return NINE_NS + (person * 30 + prompt * 2) * MINUTE_NS


def prompt_logs(otlp: Otlp, person: int, prompt: int) -> dict[str, Any]:
    ids = {**who(person), "prompt__id": f"prompt-{person}-{prompt}"}
    found: list[dict[str, Any]] = []

    def add(name: str, second: int, **attributes: Any) -> None:
        given = {**ids, "event__name": name, "event__sequence": prompt * 1000 + len(found), **attributes}
        found.append(otlp.log(**given) | {"timeUnixNano": str(begin_ns(person, prompt) + second * SECOND_NS)})

    add("user_prompt", 0, prompt_length="42")
    for hook in range(HOOKS):
        add("hook_execution_start", hook, hook_event="PreToolUse", num_hooks="1")
        add("hook_execution_complete", hook, hook_event="PreToolUse", num_success="1", total_duration_ms="5")
    for r in range(REQUESTS):
        add(
            "api_request", 2 * r + 1, model="claude-sonnet-5", cost_usd=(person + 1) * (r + 1) / 1000, input_tokens=100,
            output_tokens=50, cache_read_tokens=800, cache_creation_tokens=100, duration_ms=1000, effort="high",
            query_source="repl_main_thread", request_id=f"req-{person}-{prompt}-{r}",
        )  # fmt: skip
        decided_by = "config" if r < 5 else ("user_temporary", "user_permanent", "user_reject")[r - 5]
        decision = "reject" if r == 7 else "accept"
        call = {"tool_name": "Bash" if r % 2 else "Edit", "tool_use_id": f"tool-{person}-{prompt}-{r}"}
        add("tool_decision", 2 * r + 1, **call, decision=decision, source=decided_by)
        if decision == "accept":
            add("tool_result", 2 * r + 2, **call, success="true", duration_ms="900")
    service, scope = ("cowork", "") if person == COWORKER else ("claude-code", "com.anthropic.claude_code.events")
    return otlp.logs(*found, resource={"service.name": service}, scope=scope)


def prompt_metrics(otlp: Otlp, person: int, prompt: int) -> dict[str, Any]:
    start, end = begin_ns(person, prompt), begin_ns(person, prompt) + MINUTE_NS
    request = {"model": "claude-sonnet-5", "query_source": "main", "effort": "high"}
    tokens = {"input": 100, "output": 50, "cacheRead": 800, "cacheCreation": 100}
    metrics = [
        otlp.sum("claude_code.cost.usage", PROMPT_USD * (person + 1), **who(person), **request),
        *(
            otlp.sum("claude_code.token.usage", float(REQUESTS * count), **who(person), **request, type=kind)
            for kind, count in tokens.items()
        ),
        otlp.sum("claude_code.active_time.total", 30.0, **who(person), type="cli"),
    ]
    if not prompt:
        metrics.append(otlp.sum("claude_code.session.count", 1.0, **who(person), start_type="fresh"))
    for metric in metrics:
        metric["sum"]["dataPoints"][0] |= {"startTimeUnixNano": str(start), "timeUnixNano": str(end)}
    return otlp.metrics(*metrics, resource={"service.name": "claude-code"}, scope="com.anthropic.claude_code")


def half_summed_up(agents: Agents, messages: list[Message]) -> None:
    for number, (signal, request) in enumerate([*messages[::2], *messages[1::2]]):
        if number == len(messages) // 2:
            agents.roll_up()
        agents.deliver(signal, request)


@pytest.fixture(scope="module")
def team(_engine: Path) -> Iterator[Agents]:
    """The day, half of it summed up; nobody changes it."""
    with closing(client.connect(Settings(), _engine, {})) as emptier:
        for (table,) in emptier.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
            emptier.command(f"DROP TABLE {schema.name(table)} SYNC")
    with closing(Store.open(Settings(), _engine, [OTLP], lambda: NOW)) as store:
        agents = Agents(store)
        half_summed_up(agents, list(team_day(Otlp())))
        yield agents


def per_person(figure: float) -> list[tuple[str, Any]]:
    return [(f"{PEOPLE[person]}@example.com", pytest.approx(figure * (person + 1))) for person in reversed(range(5))]


def test_cost_by_person(team: Agents) -> None:
    """Each person's spend counts once, whether it was told once or twice."""
    trend = team.ask("cost-trend")
    assert per_person(PROMPTS * PROMPT_USD) == [(row["label"], row["cost_usd"]) for row in trend["totals"]]
    assert pytest.approx(1.0) == sum(row["share"] for row in trend["totals"])
    assert (pytest.approx(DAY_USD), 0, 0, 0) == tuple(
        trend[name] for name in ("total_usd", "previous_total_usd", "unattributed_usd", "estimated_usd")
    )


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("repo", {"acme/shop": 6, "acme/site": 9}),
        ("team", {"search": 3, "ads": 12}),
        ("source", {"claude_code": 10, "cowork": 5}),
        ("model", {"claude-sonnet-5": 15}),
        ("query_source", {"main": 15}),
        ("effort", {"high": 15}),
    ],
)
def test_cost_by_anything(team: Agents, by: str, expected: dict[str, int]) -> None:
    """The same total splits by every dimension."""
    totals = team.ask("cost-trend", by=by)["totals"]
    parts = {key: pytest.approx(part * PROMPTS * PROMPT_USD) for key, part in expected.items()}
    assert parts == {row["key"]: row["cost_usd"] for row in totals}


def test_cost_by_hour(team: Agents) -> None:
    """Points of one person's half hours lie in their hours; the sum is the total."""
    points = team.ask("cost-trend", step="hour", by="source")["points"]
    assert {"2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"} == {p["bucket"] for p in points}
    assert pytest.approx(DAY_USD) == sum(point["cost_usd"] for point in points)


def test_run_rate_and_previous_period(team: Agents) -> None:
    """A week later the day is part of the last seven full days, and of the period before a shorter window."""
    later = team.ask("cost-trend", since="2026-11-21T00:00:00", until="2026-11-22T00:00:00")
    assert (0, pytest.approx(DAY_USD)) == (later["total_usd"], later["previous_total_usd"])


def test_cache_hit(team: Agents) -> None:
    """800 of 1,000 input tokens came from the cache, for each and for all."""
    found = team.ask("cache-hit")
    calls = len(PEOPLE) * PROMPTS * REQUESTS
    assert {"key": "", "label": "total", "input_tokens": 100 * calls, "cache_read_tokens": 800 * calls,
            "cache_creation_tokens": 100 * calls, "rate": 0.8} == found["total"]  # fmt: skip
    assert [0.8] * 5 == [row["rate"] for row in found["rows"]]
    assert [("2026-11-20", 0.8)] == [(point["bucket"], point["rate"]) for point in found["points"]]


def test_daily_usage(team: Agents) -> None:
    """The sums of one person's day."""
    rows = [row for row in team.ask("rollups") if row["user_name"] == "ada@example.com"]
    names = (
        "cost_usd",
        "input_tokens",
        "output_tokens",
        "requests",
        "prompts",
        "tool_calls",
        "errors",
        "active_seconds",
    )
    assert (pytest.approx(PROMPTS * PROMPT_USD), 3200, 1600, 32, 4, 28, 0, 120) == tuple(
        sum(row[name] for row in rows) for name in names
    )
    assert [1, 1] == [row["sessions"] for row in rows]


def test_tool_decisions(team: Agents) -> None:
    """The human rate leaves out what rules decided."""
    found = team.ask("tool-decisions")
    each = len(PEOPLE) * PROMPTS
    assert {
        "key": "", "label": "total", "decisions": 8 * each, "accepted": 7 * each, "rejected": each, "automatic": 5 * each,
        "human_accepted": 2 * each, "human_rejected": each, "human_rate": 2 / 3,
    } == found["total"]  # fmt: skip
    assert {"Bash": 0.5, "Edit": 1.0} == {row["key"]: row["human_rate"] for row in found["rows"]}
    assert {
        "config": (5 * each, 0),
        "user_temporary": (each, 0),
        "user_permanent": (each, 0),
        "user_reject": (0, each),
    } == {row["decision_source"]: (row["accepted"], row["rejected"]) for row in found["by_source"]}
    assert [8 * PROMPTS] * 5 == [row["decisions"] for row in team.ask("tool-decisions", by="user")["rows"]]


def test_active_users(team: Agents) -> None:
    """Five people on one day, none before."""
    found = team.ask("active-users")
    assert (5, 5, 5, 0, 0, 0) == tuple(
        found[name] for name in ("dau", "wau", "mau", "previous_dau", "previous_wau", "previous_mau")
    )
    assert [("2026-11-19", 0, 0, 0), ("2026-11-20", 5, 5, 5)] == [tuple(p.values()) for p in found["points"][-2:]]
    assert [(f"{PEOPLE[p]}@example.com", "2026-11-20", 1, 1, PROMPTS) for p in reversed(range(5))] == [
        tuple(row[name] for name in ("user_name", "last_seen", "days", "sessions", "prompts")) for row in found["users"]
    ]
    later = team.ask("active-users", since="2026-11-24", until="2026-11-29")
    assert [5, 5, 5, 0, 0] == [point["wau"] for point in later["points"]]


def test_top_prompts(team: Agents) -> None:
    """The costliest person's prompts come first, each with its own cost."""
    rows = team.ask("top-prompts")
    assert len(PEOPLE) * PROMPTS == len(rows)
    assert ["prompt-4-0", "prompt-4-1", "prompt-4-2", "prompt-4-3"] == [row["prompt"] for row in rows[:4]]
    assert (
        pytest.approx(5 * PROMPT_USD),
        8,
        7,
        23_000,
        [{"tool": "Edit", "calls": 4}, {"tool": "Bash", "calls": 3}],
    ) == tuple(rows[0][name] for name in ("cost_usd", "requests", "tool_calls", "duration_ms", "tools"))


def test_prompts_without_subagents(team: Agents) -> None:
    """Prompts that started no subagent have depth 0."""
    found = team.ask("subagent-stats")
    assert [{"depth": 0, "prompts": len(PEOPLE) * PROMPTS}] == found["depth_histogram"]
    assert {("acme/shop", 12), ("acme/site", 8)} == {(row["key"], row["prompts"]) for row in found["rows"]}


@pytest.mark.parametrize(
    ("restriction", "part"),
    [
        ({"repo": "acme/shop"}, 6), ({"repo": "acme/shop,acme/site"}, 15), ({"source": "cowork"}, 5),
        ({"session": "session-1"}, 2), ({"session": "session-1,session-2"}, 5), ({"model": "none-such"}, 0),
        ({"tool": "Bash"}, 15), ({"tool": "Read"}, 0),
    ],
    ids=str,
)  # fmt: skip
def test_filters(team: Agents, restriction: dict[str, str], part: int) -> None:
    """Every read of spend is restricted in the same way."""
    expected = pytest.approx(part * PROMPTS * PROMPT_USD)
    assert expected == team.ask("cost-trend", **restriction)["total_usd"]
    assert expected == sum(row["cost_usd"] for row in team.ask("rollups", **restriction))
    assert expected == sum(row["cost_usd"] for row in team.ask("active-users", **restriction)["users"])
    assert expected == sum(row["cost_usd"] for row in team.ask("top-prompts", **restriction))


@pytest.mark.parametrize("hidden", ["ada", "example.com", "sonnet'; DROP"])
def test_unknown_filter_values_find_nothing(team: Agents, hidden: str) -> None:
    """A value is a value, never a part of the statement."""
    assert [] == team.ask("rollups", user=hidden)


def test_prometheus_totals(team: Agents) -> None:
    """The day as counters, by tool and model."""
    cost, tokens = team.families()
    assert ["claude_code_cost_usage_USD", "claude_code_token_usage_tokens"] == [cost.name, tokens.name]
    assert {
        'source="claude_code",model="claude-sonnet-5"': pytest.approx(10 * PROMPTS * PROMPT_USD),
        'source="cowork",model="claude-sonnet-5"': pytest.approx(5 * PROMPTS * PROMPT_USD),
    } == {sample.labels: sample.value for sample in cost.samples}
    calls = len(PEOPLE) * PROMPTS * REQUESTS
    assert 1050 * calls == sum(sample.value for sample in tokens.samples)
