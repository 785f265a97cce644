"""Metrics that count from a beginning: differenced in the store, across days, restarts and any order of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts.otlp.otlp_reads import Agents

from raingauge.contracts.otlp import OTLP

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

EVENING_NS = 1_795_132_500_000_000_000
"""2026-11-19 23:55 UTC."""
MINUTE_NS = 60_000_000_000
DELTA, CUMULATIVE = 1, 2


@pytest.fixture
def agents(open_store: Any) -> Agents:
    return Agents(open_store(OTLP))


def cost(otlp: Otlp, minute: int, value: float, temporality: int, start_minute: int | None = 0) -> dict[str, Any]:
    """One reading of Claude Code's cost metric; a `start_minute` of None is a sender that does not tell its start."""
    metric = otlp.sum("claude_code.cost.usage", value, temporality, user__email="ada@example.com", model="m")
    metric["sum"]["dataPoints"][0] |= {
        "startTimeUnixNano": str(EVENING_NS + start_minute * MINUTE_NS) if start_minute is not None else "0",
        "timeUnixNano": str(EVENING_NS + minute * MINUTE_NS),
    }
    return otlp.metrics(metric, resource={"service.name": "claude-code"}, scope="com.anthropic.claude_code")


def by_day(agents: Agents, **query: str) -> list[tuple[str, float]]:
    return [(point["bucket"], point["cost_usd"]) for point in agents.ask("cost-trend", **query)["points"]]


STEPS = [0.5, 0.25, 0.125, 1.0, 2.0, 0.0, 4.0, 0.5, 0.25, 0.125]
"""What was spent in each minute from 23:56 on: the first four belong to the evening."""
TOTALS = [sum(STEPS[: minute + 1]) for minute in range(len(STEPS))]
EXPECTED = [("2026-11-19", 1.875), ("2026-11-20", 6.875)]


@pytest.mark.parametrize("start_minute", [0, None], ids=["told start", "no start"])
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_cumulative_is_delta(otlp: Otlp, agents: Agents, order: int, start_minute: int | None) -> None:
    """Both temporalities of the same spend give the same days; the first reading of a day needs the last one before."""
    readings = [cost(otlp, minute + 1, total, CUMULATIVE, start_minute) for minute, total in enumerate(TOTALS)][::order]
    for reading in readings[:5]:
        agents.deliver("metrics", reading)
    agents.roll_up()
    for reading in [*readings[5:], *readings]:
        agents.deliver("metrics", reading)
    assert EXPECTED == by_day(agents)
    agents.roll_up()
    assert EXPECTED == by_day(agents)
    assert EXPECTED[1:] == by_day(agents, since="2026-11-20T00:00:00")


def test_delta_sums_add_up(otlp: Otlp, agents: Agents) -> None:
    """Deltas of the same minutes as above."""
    for minute, step in enumerate(STEPS):
        agents.deliver("metrics", cost(otlp, minute + 1, step, DELTA, minute))
    assert EXPECTED == by_day(agents)


@pytest.mark.parametrize("told", [True, False], ids=["told start", "no start"])
def test_a_restart_begins_at_zero(otlp: Otlp, agents: Agents, told: bool) -> None:
    """After a restart the counter is lower than before, and all of it is new."""
    for minute, value, start in ((1, 3.0, 0), (2, 5.0, 0), (10, 1.0, 9), (11, 1.5, 9)):
        agents.deliver("metrics", cost(otlp, minute, value, CUMULATIVE, start if told else None))
    assert [("2026-11-19", 5.0), ("2026-11-20", 1.5)] == by_day(agents)


def test_an_old_series_does_not_begin_anew(otlp: Otlp, agents: Agents) -> None:
    """What a series counted before the readings that are kept is not spent in the window."""
    two_months = -86_400
    agents.deliver("metrics", cost(otlp, 1, 100.0, CUMULATIVE, two_months))
    agents.deliver("metrics", cost(otlp, 2, 100.5, CUMULATIVE, two_months))
    assert [("2026-11-19", 0.5)] == by_day(agents, since="2026-11-19T00:00:00")
