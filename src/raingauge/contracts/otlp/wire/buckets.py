"""Explicit and exponential histograms in one form that merges by adding up counts under equal bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raingauge.contracts.otlp.wire import Buckets


def explicit(bounds: Sequence[float], counts: Sequence[int]) -> Buckets | None:
    """Buckets `(bounds[i-1], bounds[i]]`, the last one up to infinity. None when the lengths do not fit."""
    if not counts:
        return ([], []) if not bounds else None
    if len(counts) != len(bounds) + 1 or list(bounds) != sorted(bounds) or not all(map(math.isfinite, bounds)):
        return None
    filled = [(bound, held) for bound, held in zip((*bounds, math.inf), counts, strict=True) if held]
    return [bound for bound, _ in filled], [held for _, held in filled]


def exponential(
    scale: int, zero: tuple[float, int], positive: tuple[int, Sequence[int]], negative: tuple[int, Sequence[int]]
) -> Buckets | None:
    """Buckets `(base^i, base^(i+1)]` with `base = 2^(2^-scale)`, given as (offset, counts) on both sides of zero.

    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

    Bounds of a coarse scale are also bounds of every finer one, to the bit, so different scales merge.
    """
    threshold, zero_count = zero
    if not -64 <= scale <= 64 or not math.isfinite(threshold):
        return None
    filled: list[tuple[float, int]] = []
    offset, counts = negative
    filled += [(-_power(offset + i, scale), held) for i, held in enumerate(counts) if held][::-1]
    if zero_count:
        filled.append((threshold, zero_count))
    offset, counts = positive
    filled += [(_power(offset + i + 1, scale), held) for i, held in enumerate(counts) if held]
    return [bound for bound, _ in filled], [held for _, held in filled]


def _power(index: int, scale: int) -> float:
    """base^index; infinity beyond what a double holds."""
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf if index > 0 else 0.0
