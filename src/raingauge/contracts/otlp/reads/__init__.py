"""The reads of what agents did, under `/api`."""

from typing import Any, Final

from raingauge.contracts.otlp.reads.decisions import tool_decisions
from raingauge.contracts.otlp.reads.people import active_users
from raingauge.contracts.otlp.reads.prompts import top_prompts
from raingauge.contracts.otlp.reads.spend import cache_hit, rollups
from raingauge.contracts.otlp.reads.subagents import subagent_stats
from raingauge.contracts.otlp.reads.tree import spans_tree
from raingauge.contracts.otlp.reads.trend import cost_trend

HANDLERS: Final[tuple[Any, ...]] = (
    rollups, cost_trend, cache_hit, tool_decisions, active_users, top_prompts, subagent_stats, spans_tree,
)  # fmt: skip

__all__ = ["HANDLERS"]
