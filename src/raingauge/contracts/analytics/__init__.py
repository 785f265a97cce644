"""Product usage events (`analytics.v2`): `POST /collect` and the reads under `/api/analytics`."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Contract
from raingauge.contracts.analytics.connect import CONNECTIONS
from raingauge.contracts.analytics.exposition import families
from raingauge.contracts.analytics.intake import COLLECT, COLLECT_SLASHES
from raingauge.contracts.analytics.parts import ROLLUP_DAYS
from raingauge.contracts.analytics.reads import HANDLERS
from raingauge.contracts.analytics.rollups import ROLLUPS
from raingauge.contracts.analytics.tables import EVENTS, RETENTION_DAYS

ANALYTICS: Final = Contract(
    name="analytics",
    title="Product usage",
    intakes=(COLLECT, COLLECT_SLASHES),
    tables=(EVENTS,),
    rollups=ROLLUPS,
    handlers=HANDLERS,
    knobs=(RETENTION_DAYS, ROLLUP_DAYS),
    prometheus=families,
    connections=CONNECTIONS,
)
