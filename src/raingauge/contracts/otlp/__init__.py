"""The OTLP contract: traces, metrics and logs of AI coding agents and of anything else that speaks OTLP."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Contract
from raingauge.contracts.otlp.connect import CONNECTIONS
from raingauge.contracts.otlp.intake import INTAKES, ROOT_HINT
from raingauge.contracts.otlp.knobs import KNOBS
from raingauge.contracts.otlp.people import person_keys
from raingauge.contracts.otlp.prometheus import families
from raingauge.contracts.otlp.reads import HANDLERS
from raingauge.contracts.otlp.rollups import ROLLUPS
from raingauge.contracts.otlp.tables import EVENTS, POINTS, SPANS, TOOL_DECISIONS

OTLP: Final = Contract(
    name="otlp",
    title="Agents (OTLP)",
    intakes=INTAKES,
    tables=(SPANS, EVENTS, TOOL_DECISIONS, POINTS),
    rollups=ROLLUPS,
    handlers=HANDLERS,
    connections=CONNECTIONS,
    prometheus=families,
    knobs=KNOBS,
    root_hint=ROOT_HINT,
    person_keys=person_keys,
)
