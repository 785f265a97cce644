"""Cost and tokens of agents for `GET /metrics`: one series per tool, and as many models as the cap allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import pyarrow as pa

from raingauge.contract import Facts, Family, Sample, Window, label_text
from raingauge.contracts.otlp.reads.choice import Asked, by_group, in_groups
from raingauge.contracts.otlp.reads.query import FIRST_MOMENT, Filters, Range, usd
from raingauge.contracts.otlp.reads.usage import usage
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
    asked = Asked(
        everything,
        groups=("source", "model"),
        spend={"cost": ("cost_nano",), **{f"sum_{name}": (name,) for name in TOKENS}},
    )
    window = Window(everything.since, everything.until, 1)
    found = (await usage(facts, window, filters, asked, _since)).data.all()
    sums = found.sort_by([(name, "ascending") for name in ("first_day", "model", "source")])
    return exposed(
        [
            Total(
                source=row["source"],
                model=row["model"],
                first_day=row["first_day"].isoformat(),
                cost=int(row["cost"]),
                **{name: max(row[f"sum_{name}"], 0) for name in TOKENS},
            )
            for row in sums.to_pylist()
        ]
    )


def _since(asked: Asked, rows: pa.Table) -> pa.Table:
    """With the first day of each group."""
    sums = by_group(asked, rows)
    return sums.append_column("first_day", in_groups(rows, "day", "min", sums["of_group"]))


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
