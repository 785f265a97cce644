"""The LoopGain contract: finished agent loops from the `loopgain` library, read by its dashboard."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Contract
from raingauge.contracts.loopgain.adoption import adoption
from raingauge.contracts.loopgain.alerts import ALERTS
from raingauge.contracts.loopgain.connect import CONNECTIONS
from raingauge.contracts.loopgain.intake import AGGREGATE, FUNNEL
from raingauge.contracts.loopgain.prometheus import families
from raingauge.contracts.loopgain.reads import READS
from raingauge.contracts.loopgain.rollups import LOOP_TOTALS
from raingauge.contracts.loopgain.tables import FUNNEL_EVENTS, LOOP_EVENTS, RETENTION_DAYS, TRAJECTORIES
from raingauge.contracts.loopgain.wire import FUNNEL_SCHEMA_VERSION, SCHEMA_VERSIONS

HEALTH: Final = {
    "status": "ok",
    "schema_version": SCHEMA_VERSIONS[-1],
    "supported_schema_versions": list(SCHEMA_VERSIONS),
    "funnel_schema_version": FUNNEL_SCHEMA_VERSION,
    "service": "loopgain-telemetry-receiver",
}

LOOPGAIN: Final = Contract(
    name="loopgain",
    title="LoopGain",
    intakes=(AGGREGATE, FUNNEL),
    tables=(LOOP_EVENTS, FUNNEL_EVENTS),
    rollups=(LOOP_TOTALS,),
    handlers=(*READS, *ALERTS, adoption),
    knobs=(TRAJECTORIES, RETENTION_DAYS),
    health=HEALTH,
    connections=CONNECTIONS,
    prometheus=families,
)
