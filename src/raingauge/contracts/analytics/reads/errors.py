"""`GET /api/analytics/errors`: what goes wrong, each error once."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, bound, statement


class Errors(msgspec.Struct, frozen=True):
    """Errors of one kind. The client names provider and model on the failed twin only, so `contract` shows none."""

    error_category: str
    code: str
    module: str
    provider: str
    model: str
    errors: int
    installations: int


_KEY: Final = "error_category, code, module, provider, model"
_CONTRACT: Final = """
    SELECT $key, sum(raised) AS errors, uniqExact(installation) AS installations
    FROM $failures WHERE raised > 0 AND $filter
    GROUP BY $key ORDER BY errors DESC, $key LIMIT {limit:UInt32}
"""
# An error and its failed twin share everything but provider and model; either may be missing.
_CORRECTED: Final = """
    SELECT $key, sum(happened) AS errors, uniqExact(installation) AS installations FROM (
        SELECT error_category, code, module, max(f.provider) AS provider, max(f.model) AS model, installation,
            greatest(sum(raised), sum(failed)) AS happened
        FROM $failures AS f WHERE $filter
        GROUP BY failure, installation, error_category, code, module
    ) GROUP BY $key ORDER BY errors DESC, $key LIMIT {limit:UInt32}
"""


@get("/api/analytics/errors", dependencies=FILTERS)
async def errors(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    view: View = "contract",
) -> Page[list[Errors]]:
    """Errors by category, code, module, provider and model, most frequent first."""
    sql = statement(facts, _CORRECTED if view == "corrected" else _CONTRACT, filters, key=_KEY)
    return await facts.page(window, sql, Errors, **bound(window, filters, view))
