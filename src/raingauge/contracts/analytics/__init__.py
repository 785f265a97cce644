"""Product usage events (`analytics.v2`): `POST /collect` and the reads under `/api/analytics`."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Contract
from raingauge.contracts.analytics.intake import COLLECT
from raingauge.contracts.analytics.tables import EVENT_DAYS, EVENTS

ANALYTICS: Final = Contract(
    name="analytics",
    title="Product usage",
    intakes=(COLLECT,),
    tables=(EVENTS,),
    knobs=(EVENT_DAYS,),
)
