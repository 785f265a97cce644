"""Cost and tokens over the API: exact numbers, and nothing counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts.otlp.otlp_reads import Agents

from raingauge.contracts.otlp import OTLP

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

NOON_NS = 1_795_176_000_000_000_000
"""2026-11-20 12:00 UTC."""
HOUR_NS = 3_600_000_000_000


@pytest.fixture
def agents(open_store: Any) -> Agents:
    return Agents(open_store(OTLP))


def request(otlp: Otlp, hours_ago: float, number: int = 1, user: str = "ada", **attributes: Any) -> dict[str, Any]:
    time_ns = NOON_NS - int(hours_ago * HOUR_NS)
    given = {
        "event__name": "api_request", "event__sequence": number, "session__id": f"session-{user}", "model": "claude-sonnet-5",
        "user__email": f"{user}@example.com", "cost_usd": 0.1, "input_tokens": 10, "output_tokens": 20,
        "cache_read_tokens": 60, "cache_creation_tokens": 30, "query_source": "repl_main_thread", **attributes,
    }  # fmt: skip
    return otlp.logs(
        otlp.log(**given) | {"timeUnixNano": str(time_ns)},
        resource={"service.name": "claude-code"}, scope="com.anthropic.claude_code.events",
    )  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_the_costliest_come_first_whatever_the_limit(otlp: Otlp, agents: Agents, limit: int) -> None:
    """Of groups that cost the same, too, it is the first in order that stay."""
    for number, cost in enumerate((0.5, 0.2, 0.2, 0.2, 0.0)):
        agents.deliver("logs", request(otlp, 1, number, model=f"claude-{number}", cost_usd=cost))
    everything = agents.ask("rollups")
    assert ["claude-0", "claude-1", "claude-2", "claude-3", "claude-4"] == [row["model"] for row in everything]
    assert everything[:limit] == agents.ask("rollups", limit=limit)


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_newer_facts_change_the_order(otlp: Otlp, agents: Agents, limit: int) -> None:
    """A group that newer facts touch moves to its place among those that they leave alone."""
    for number, cost in enumerate((0.5, 0.4, 0.3, 0.2, 0.1)):
        agents.deliver("logs", request(otlp, 1, number, f"user-{number}", cost_usd=cost))
    agents.roll_up()
    assert 5 == len(agents.ask("rollups"))
    agents.deliver("logs", request(otlp, 1, 9, "user-4", cost_usd=0.35))
    told = [(row["user_name"], row["cost_usd"]) for row in agents.ask("rollups", limit=limit)]
    expected = [("0", 0.5), ("4", 0.45), ("1", 0.4), ("2", 0.3), ("3", 0.2)]
    assert [(f"user-{number}@example.com", cost) for number, cost in expected[:limit]] == told


def test_one_split_is_not_told_of_another(otlp: Otlp, agents: Agents) -> None:
    """What is kept of the sums by person is not taken for the sums by tool, although the store is asked the same."""
    agents.deliver("logs", request(otlp, 25))
    agents.roll_up()
    agents.deliver("logs", request(otlp, 1, 2, "bob"))
    for by, keys in (("user", {"ada@example.com", "bob@example.com"}), ("source", {"claude_code"})):
        trend = agents.ask("cost-trend", by=by)
        assert keys == {point["label"] for point in trend["points"]}
        assert 0.2 == trend["total_usd"]


def test_cost_of_events(otlp: Otlp, agents: Agents) -> None:
    """Three requests of one person on two days add up, exactly."""
    for number, hours_ago in enumerate((1, 2, 25)):
        agents.deliver("logs", request(otlp, hours_ago, number))
    agents.roll_up()
    trend = agents.ask("cost-trend")
    assert [("2026-11-19", 0.1), ("2026-11-20", 0.2)] == [(p["bucket"], p["cost_usd"]) for p in trend["points"]]
    assert (0.3, "ada@example.com") == (trend["total_usd"], trend["totals"][0]["label"])
    assert 0.6 == agents.ask("cache-hit")["total"]["rate"]
    rows = agents.ask("rollups")
    assert [(0.2, 2, 1), (0.1, 1, 1)] == [(r["cost_usd"], r["requests"], r["sessions"]) for r in rows]
