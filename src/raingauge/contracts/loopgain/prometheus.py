"""Totals of loops as Prometheus text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from raingauge.contract import Facts, Family, Sample, label_text
from raingauge.contracts.loopgain.rollups import LOOP_TOTALS

OUTCOMES: Final = ("converged", "diverged", "max_iterations", "oscillating", "stalled")
"""Outcomes with a label of their own; the wire format takes any text, so the rest is counted as `other`."""

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2149, 6, 6)
"""The days that the store can hold."""

_SQL: Final = """
    SELECT if(has({outcomes:Array(String)}, outcome), outcome, 'other') AS name,
        sum(loops) AS loops_total, sum(rollbacks) AS rollbacks_total, sum(iterations) AS iterations_total
    FROM $totals GROUP BY name ORDER BY name
"""


class _Total(msgspec.Struct, frozen=True):
    name: str
    loops_total: int
    rollbacks_total: int
    iterations_total: float


async def families(facts: Facts, resolution: int) -> Sequence[Family]:  # noqa: ARG001 - there is no histogram here
    """Loops, rollbacks and iterations by outcome since the beginning, calibration left out; at most 18 lines."""
    sql = _SQL.replace("$totals", facts.rolled(LOOP_TOTALS.table))
    totals = await facts.rows(sql, _Total, since_day=FIRST_DAY, until_day=LAST_DAY, outcomes=list(OUTCOMES))
    labelled = [(label_text(outcome=total.name), total) for total in totals]
    return [
        Family(
            "raingauge_loops",
            "counter",
            "Finished agent loops.",
            [Sample(labels, total.loops_total) for labels, total in labelled],
        ),
        Family(
            "raingauge_loop_rollbacks",
            "counter",
            "Finished agent loops that went back to their best output.",
            [Sample(labels, total.rollbacks_total) for labels, total in labelled],
        ),
        Family(
            "raingauge_loop_iterations",
            "counter",
            "Iterations of finished agent loops.",
            [Sample(labels, total.iterations_total) for labels, total in labelled],
        ),
    ]
