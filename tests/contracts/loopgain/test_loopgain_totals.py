"""The loops on `GET /metrics`."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from tests.conftest import ARRIVAL, CUSTOMER, StoredFacts
from tests.contracts.loopgain.conftest import loop

from raingauge.contract import Facts, Received
from raingauge.contracts.loopgain import LOOPGAIN
from raingauge.contracts.loopgain.decode import decode_aggregate
from raingauge.contracts.loopgain.prometheus import families
from raingauge.web.prometheus import lines

LOOPS = (
    ("converged", 4, False, "search"),
    ("converged", 3, True, None),
    ("diverged", 9, True, "search"),
    ("gave up", 2, False, "search"),
    ("lost count", 5, False, "search"),
    ("diverged", 99, True, "calibration"),
)
TEXT = """\
# HELP raingauge_loops_total Finished agent loops.
# TYPE raingauge_loops_total counter
raingauge_loops_total{outcome="converged"} 2
raingauge_loops_total{outcome="diverged"} 1
raingauge_loops_total{outcome="other"} 2
# HELP raingauge_loop_rollbacks_total Finished agent loops that went back to their best output.
# TYPE raingauge_loop_rollbacks_total counter
raingauge_loop_rollbacks_total{outcome="converged"} 1
raingauge_loop_rollbacks_total{outcome="diverged"} 1
raingauge_loop_rollbacks_total{outcome="other"} 0
# HELP raingauge_loop_iterations_total Iterations of finished agent loops.
# TYPE raingauge_loop_iterations_total counter
raingauge_loop_iterations_total{outcome="converged"} 7.0
raingauge_loop_iterations_total{outcome="diverged"} 9.0
raingauge_loop_iterations_total{outcome="other"} 7.0
"""


class Totals:
    """The part of `Facts` that totals use, over real facts."""

    def __init__(self, stored: StoredFacts) -> None:
        self._stored = stored

    async def rows(self, sql: str, row: Any, /, **parameters: Any) -> list[Any]:
        return self._stored.rows(sql, row, **parameters)

    def rolled(self, table: str) -> str:
        return self._stored.rolled(table)


def page(stored: StoredFacts) -> str:
    facts: Facts = Totals(stored)  # type: ignore[assignment]
    return "".join(lines(asyncio.run(families(facts, 18)), openmetrics=False))


def test_totals_are_the_same_before_and_after_a_rollup_and_without_the_loops(stored_facts: Any) -> None:
    """Counted by outcome, unlisted outcomes together, calibration left out, and still there once loops expired."""
    clock = [ARRIVAL]
    stored: StoredFacts = stored_facts(LOOPGAIN, clock=lambda: clock[0])
    received = Received(int(ARRIVAL.timestamp() * 1_000_000), CUSTOMER)
    for outcome, iterations, rolled_back, team in LOOPS:
        body = loop(
            loop__outcome=outcome, loop__iterations_used=iterations, loop__rollback_triggered=rolled_back, team=team,
            timestamp_hour="2026-11-20T11:00:00+00:00",
        )  # fmt: skip
        stored.insert(decode_aggregate(json.dumps(body).encode(), received))
    assert TEXT == page(stored)
    stored.store.rollups.run()
    assert TEXT == page(stored)
    clock[0] = ARRIVAL + timedelta(days=400)
    stored.store.retention.run({})
    stored.store.rollups.run()
    assert TEXT == page(stored)
