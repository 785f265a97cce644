"""The reads of what agents did, under `/api`."""

from typing import Any, Final

from raingauge.contracts.otlp.reads.prompts import subagent_stats, top_prompts
from raingauge.contracts.otlp.reads.spend import cache_hit, cost_trend, rollups
from raingauge.contracts.otlp.reads.tree import spans_tree

HANDLERS: Final[tuple[Any, ...]] = (rollups, cost_trend, cache_hit, top_prompts, subagent_stats, spans_tree)
