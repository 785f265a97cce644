"""Totals of product usage as Prometheus text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from raingauge.contract import Facts, Family, Sample, label_text
from raingauge.contracts.analytics.rollups import STEPS

MODULES: Final = ("session", "router", "always_on", "memory", "cron_job", "runtime", "ui")
"""Modules with a label of their own; whatever else a client names is counted as `other`."""

_SQL: Final = """
    SELECT if(has({modules:Array(String)}, module), module, 'other') AS name,
        sum(used) AS used_total, sum(raised) AS raised_total
    FROM $steps GROUP BY name ORDER BY name
"""


class _Total(msgspec.Struct, frozen=True):
    name: str
    used_total: int
    raised_total: int


async def families(facts: Facts, resolution: int) -> Sequence[Family]:  # noqa: ARG001 - there is no histogram here
    """Events of version 2 by module and name, since the beginning; at most 16 lines."""
    sql = _SQL.replace("$steps", facts.rolled(STEPS.table))
    since, until = date(2020, 1, 1), date(2099, 12, 31)
    totals = await facts.rows(sql, _Total, since_day=since, until_day=until, modules=list(MODULES))
    samples = [
        Sample(label_text(module=total.name, event=event), value)
        for total in totals
        for event, value in (("feature_used", total.used_total), ("error_occurred", total.raised_total))
    ]
    return [Family("raingauge_product_events", "counter", "Product usage events stored.", samples)]
