"""Where spend is counted, so that no token and no dollar counts twice.

Most tools tell the same spend several times: as metrics, as events, as spans. For each source `SPEND_SIGNALS` lists
the signals from best to worst; a total takes, per day and person, the first one that has data for the source's
family and ignores the others. The family keeps one tool together whose signals can look like two sources: a headless
session marks its model calls as `agent_sdk`, its metrics may say `claude_code`.
"""

from __future__ import annotations

from typing import Final

from raingauge.contracts.otlp.attributes import Attributes, label
from raingauge.contracts.otlp.cost import rates_of
from raingauge.contracts.otlp.sources import PREFIXES, Source

SPEND_SIGNALS: Final[dict[Source, tuple[str, ...]]] = {
    Source.CLAUDE_CODE: ("points", "events", "spans"),
    Source.AGENT_SDK: ("points", "events", "spans"),
    Source.COWORK: ("events", "spans"),  # sends no metrics
    Source.CODEX: ("events", "points", "spans"),
    Source.GEMINI_CLI: ("events", "points", "spans"),
    Source.OPENCODE: ("points", "events", "spans"),
    Source.CURSOR: ("points", "events", "spans"),
    Source.GEN_AI: ("spans", "points", "events"),
    Source.OTHER: ("spans", "points", "events"),
}

FAMILY: Final[dict[Source, Source]] = {
    source: Source.CLAUDE_CODE if source is Source.AGENT_SDK else source for source in Source
}

SPEND_EVENTS: Final[dict[Source, frozenset[str]]] = {
    Source.CLAUDE_CODE: frozenset({"api_request"}),
    Source.AGENT_SDK: frozenset({"api_request"}),
    Source.COWORK: frozenset({"api_request"}),
    Source.OPENCODE: frozenset({"api_request"}),
    Source.CODEX: frozenset({"sse_event"}),
    Source.GEMINI_CLI: frozenset({"api_response"}),
    Source.CURSOR: frozenset({"api.request"}),
}
"""The one event of a source that carries tokens and cost; a source that is not listed may use any."""

_CLAUDE_TOKENS: Final = {
    "input": "input", "output": "output", "cacheRead": "cache_read", "cacheCreation": "cache_creation",
}  # fmt: skip
_TOKEN_METRICS: Final[dict[tuple[Source, str], dict[str, str]]] = {
    (Source.CLAUDE_CODE, "token.usage"): _CLAUDE_TOKENS,
    (Source.AGENT_SDK, "token.usage"): _CLAUDE_TOKENS,
    (Source.COWORK, "token.usage"): _CLAUDE_TOKENS,
    (Source.OPENCODE, "token.usage"): _CLAUDE_TOKENS,
    (Source.CURSOR, "token.usage"): {
        **_CLAUDE_TOKENS, "cache_read": "cache_read", "cache_write": "cache_creation", "cacheWrite": "cache_creation",
    },
    (Source.CODEX, "turn.token_usage"): {"input": "input_gross", "cached_input": "cached", "output": "output"},
    (Source.GEMINI_CLI, "token.usage"): {
        "input": "input_gross", "cache": "cached", "tool": "input", "output": "output", "thought": "output",
    },
    (Source.GEN_AI, "gen_ai.client.token.usage"): {"input": "input_gross", "output": "output"},
}  # fmt: skip
_COST_METRICS: Final[dict[tuple[Source, str], float]] = {
    (Source.CLAUDE_CODE, "cost.usage"): 1.0,
    (Source.AGENT_SDK, "cost.usage"): 1.0,
    (Source.COWORK, "cost.usage"): 1.0,
    (Source.OPENCODE, "cost.usage"): 1.0,
    (Source.CURSOR, "cost.usage"): 1.0,
    (Source.CODEX, "turn.cost_microusd"): 1e-6,
}
"""USD per unit of the metric that tells cost."""

_PRICED: Final = frozenset({Source.GEMINI_CLI, Source.GEN_AI})
"""Sources without a cost metric: their token points carry list prices."""


def unprefixed(name: str) -> str:
    """A metric's or event's name without its producer's prefix."""
    prefix = name[: name.find(".") + 1]
    return name[len(prefix) :] if prefix in PREFIXES else name


def measured(source: Source, metric: str, kind: str, model: str, time_us: int) -> tuple[str, float]:
    """What a point adds to, and USD per unit of its value.

    `cost`, or tokens: `input`, `output`, `cache_read`, `cache_creation`; `input_gross` includes cached tokens, which
    `cached` tells apart: input = input + input_gross - cached and cache_read = cache_read + cached, for sums of a
    producer. Prices are such that cost is simply the sum of value x unit cost.
    """
    name = unprefixed(metric)
    if (unit := _COST_METRICS.get((source, name))) is not None:
        return "cost", unit
    measure = _TOKEN_METRICS.get((source, name), {}).get(kind, "")
    if not measure or source not in _PRICED or not (rates := rates_of(model, time_us)):
        return measure, 0.0
    # Which tier each call was in is lost in a sum, so the ordinary price is taken.
    price = rates[0]
    per_unit = {
        "input": price.input,
        "input_gross": price.input,
        "output": price.output,
        "cached": price.cache_read - price.input,
    }
    return measure, per_unit.get(measure, 0.0)


def point_type(attributes: Attributes) -> str:
    """The attribute that splits a metric into kinds, under the name each producer gives it."""
    get = attributes.get
    for key in ("type", "token_type", "gen_ai.token.type", "cursor.token.type", "start_type"):
        if (found := get(key)) is not None:
            return label(found)
    # A decision's metric has no type, but who decided.
    return label(get("source")) if "decision" in attributes else ""
