"""The reads of what agents did, under `/api`."""

from typing import Any, Final

from raingauge.contracts.otlp.reads.spend import cache_hit, cost_trend, rollups

HANDLERS: Final[tuple[Any, ...]] = (rollups, cost_trend, cache_hit)
