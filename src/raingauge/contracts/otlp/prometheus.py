"""Cost and tokens of agents for `GET /metrics`: one series per tool, and as many models as the cap allows."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from raingauge.contract import Facts, Family, Sample, label_text
from raingauge.contracts.otlp.reads.query import FIRST_MOMENT, Filters, Range, best, looked_at, usd
from raingauge.contracts.otlp.rollups import TOKENS

MODELS_MAX: Final = 50
"""Models with series of their own, by the first day and then the name; all others are summed up as `other`."""

_OTHER: Final = "other"
_LAST_MOMENT: Final = datetime(2100, 1, 1, tzinfo=UTC)
_TYPES: Final = dict(zip(TOKENS, ("input", "output", "cacheRead", "cacheCreation"), strict=True))


class Total(msgspec.Struct, frozen=True):
    """What one model cost and used with one tool, since the beginning of what is kept."""

    source: str
    model: str
    first_day: str
    cost: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int


async def families(facts: Facts, buckets_per_decade: int) -> Sequence[Family]:  # noqa: ARG001 - no histograms here
    """`claude_code_cost_usage_USD_total` and `claude_code_token_usage_tokens_total`, as Claude Code itself calls them."""
    everything = Range(FIRST_MOMENT, _LAST_MOMENT)
    filters = Filters([], [], [], [], [], [])
    sums = best(
        facts,
        filters,
        {"told_on": "day", "by_source": "toString(source)", "by_model": "toString(model)"},
        "1",
        spend={"cost": "sum(cost_nano)", **{f"sum_{name}": f"sum({name})" for name in TOKENS}},
    )
    tokens = ", ".join(f"greatest(sum(sum_{name}), 0) AS {name}" for name in TOKENS)
    sql = f"""
        SELECT by_source AS source, by_model AS model, toString(min(told_on)) AS first_day,
            toInt64(sum(totals.cost)) AS cost, {tokens}
        FROM ({sums}) AS totals WHERE {{customer:String}} != '' GROUP BY by_source, by_model
        ORDER BY first_day, model, source
    """
    totals = await facts.rows(sql, Total, **filters.parameters, **looked_at(everything))
    return exposed(totals)


def exposed(totals: Sequence[Total]) -> list[Family]:
    """The two families; models beyond `MODELS_MAX` share the label `other`."""
    models = list(dict.fromkeys(total.model for total in totals))[:MODELS_MAX]
    cost: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for total in totals:
        model = total.model if total.model in models else _OTHER
        labels = label_text(source=total.source, model=model)
        if total.cost:
            cost[labels] = cost.get(labels, 0) + total.cost
        for name, kind in _TYPES.items():
            if count := getattr(total, name):
                typed = label_text(source=total.source, model=model, type=kind)
                tokens[typed] = tokens.get(typed, 0) + count
    return [
        Family(
            "claude_code_cost_usage_USD",
            "counter",
            "Cost of agents in USD, as they report it or from list prices.",
            [Sample(labels, usd(nano)) for labels, nano in sorted(cost.items())],
        ),
        Family(
            "claude_code_token_usage_tokens",
            "counter",
            "Tokens used by agents; input excludes what came from or went into the prompt cache.",
            [Sample(labels, count) for labels, count in sorted(tokens.items())],
        ),
    ]
