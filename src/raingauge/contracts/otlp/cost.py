"""What it cost: the producer's own figure, else tokens times list price, and always which of the two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo

from raingauge.contracts.otlp.attributes import Attributes, number
from raingauge.contracts.otlp.tokens import NO_TOKENS, Tokens

REPORTED: Final = "reported"
ESTIMATED: Final = "estimated"
NONE: Final = "none"
_PER: Final = 1_000_000
_MICROSECONDS_PER_HOUR: Final = 3_600_000_000
_HOUR_MAX: Final = 24 * 365 * 130
_COST_MAX_USD: Final = 1_000_000_000.0
_SELLERS: Final = ("aws", "openrouter")
"""Who gives other makers' models names of its own, such as `us.anthropic.claude-…-v1:0` and `openai/gpt-5`."""


class Rates(NamedTuple):
    """USD per token for calls with more than `above` input tokens, cached ones included."""

    above: int
    input: float
    output: float
    cache_read: float
    cache_creation: float


def cost_of(attributes: Attributes, tokens: Tokens, model: str, time_us: int) -> tuple[float, str]:
    """USD and where the figure comes from: `reported`, `estimated`, or `none` when it is not known (USD is 0)."""
    # The micros are rounded, so the plain figure comes first.
    reported = number(attributes.get("cost_usd"))
    if reported is None and (micros := number(attributes.get("cost_usd_micros"))) is not None:
        reported = micros / _PER
    if reported is not None and 0 <= reported <= _COST_MAX_USD:
        return reported, REPORTED
    if tokens is NO_TOKENS or not model:
        return 0.0, NONE
    rates = rates_of(model, time_us)
    if not rates:
        return 0.0, NONE
    return min(_priced(rates, tokens), _COST_MAX_USD), ESTIMATED


def rates_of(model: str, time_us: int) -> tuple[Rates, ...]:
    """The list prices of a model at a time, lowest tier first; empty for an unknown model."""
    return _rates(model, min(max(time_us // _MICROSECONDS_PER_HOUR, 0), _HOUR_MAX))


def _priced(rates: Sequence[Rates], tokens: Tokens) -> float:
    whole_input = tokens.input + tokens.cache_read + tokens.cache_creation
    rate = rates[0]
    for tier in rates[1:]:
        if whole_input > tier.above:
            rate = tier
    return (
        tokens.input * rate.input
        + tokens.output * rate.output
        + tokens.cache_read * rate.cache_read
        + tokens.cache_creation * rate.cache_creation
    )


# Keyed by hour: a price may begin on a date or hold at times of the day. The library's own entry point takes 165 µs
# a call and remembers every model name it was ever asked for, so its tables are read once here instead.
@lru_cache(maxsize=4096)
def _rates(model: str, hour: int) -> tuple[Rates, ...]:
    found = _model(model)
    if found is None:
        return ()
    price = found.get_prices(datetime.fromtimestamp(hour * 3600, UTC))
    ordinary = price.input_mtok, price.output_mtok
    cached = [getattr(price, name, None) or price.input_mtok for name in ("cache_read_mtok", "cache_write_mtok")]
    prices = (*ordinary, *cached)
    starts = sorted({tier.start for each in prices for tier in getattr(each, "tiers", ())})
    return tuple(Rates(above, *(_per_token(each, above) for each in prices)) for above in (-1, *starts))


@lru_cache(maxsize=4096)
def _model(model: str) -> ModelInfo | None:
    reference = model.lower()
    providers = get_snapshot().providers
    makers = (one for one in providers if one.model_match is not None and one.model_match.is_match(reference))
    sellers = (one for one in providers if one.id in _SELLERS)
    found = (one.find_model(reference, all_providers=providers) for one in (*islice(makers, 1), *sellers))
    return next(filter(None, found), None)


def _per_token(price: Any, above: int) -> float:
    """USD per token in the tier that starts above so many input tokens."""
    if price is None:
        return 0.0
    usd = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if above >= tier.start:
            usd = tier.price
    return float(usd) / _PER
