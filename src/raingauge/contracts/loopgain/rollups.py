"""Daily totals that outlive the loops themselves."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Rollup
from raingauge.contracts.loopgain.tables import LOOP_EVENTS

LOOP_TOTALS: Final = Rollup(
    table="loop_totals",
    columns=(
        Column("outcome", "LowCardinality(String)", "How the loops ended."),
        Column("loops", "UInt64", "Loops that ended so."),
        Column("rollbacks", "UInt64", "Those that went back to their best output."),
        Column("iterations", "Float64", "Iterations they took."),
    ),
    order=("outcome",),
    source=LOOP_EVENTS.name,
    # Rows of the team `calibration` are deliberate overruns, which the statistics leave out as well.
    select="""
        SELECT customer, day, outcome, count() AS loops, countIf(rollback_triggered) AS rollbacks,
            sum(iterations_used) AS iterations
        FROM loop_events
        WHERE {where} AND ifNull(team != 'calibration', true)
        GROUP BY customer, day, outcome
    """,
)
