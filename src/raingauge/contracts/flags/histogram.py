"""The latency histogram of Confidence resolvers: 18 buckets per factor of ten, 174 of them for all of uint32.

Bucket i holds values of [exp(i·r), exp((i+1)·r)) microseconds with r = ln(10)/18; bucket 0 holds 0 as well. All
functions take and give bucket indexes, never bounds, so that nothing is rounded twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

LN_RATIO: Final = math.log(10) / 18
BUCKETS: Final = 174
BUCKETS_PER_DECADE: Final = 18
RATIO_TOLERANCE: Final = 1e-12


class Span(Protocol):
    """Consecutive buckets from `offset` on, as they come over the wire."""

    @property
    def offset(self) -> int: ...

    @property
    def counts(self) -> Iterable[int]: ...


class Filed(NamedTuple):
    """Observations by bucket index, and how many had to be left out because no bucket can hold them."""

    counts: dict[int, int]
    refused: int


def bucket_of(value_us: int) -> int:
    """The index of the bucket that holds `value_us` microseconds."""
    if value_us <= 0:
        return 0
    return min(int(math.log(value_us) / LN_RATIO), BUCKETS - 1)


def upper_bound_us(index: int) -> float:
    """The exclusive upper end of a bucket in microseconds."""
    return math.exp((index + 1) * LN_RATIO)


def file_spans(spans: Iterable[Span], ln_ratio: float) -> Filed:
    """The observations of all spans in our buckets.

    `ln_ratio` is the sender's; 0 means that it did not say and uses the usual one. With another ratio each bucket
    moves to the one that holds its geometric middle. A span that starts outside the buckets is refused as a whole,
    one that runs past the last bucket from there on.
    """
    usual = ln_ratio == 0 or math.isclose(ln_ratio, LN_RATIO, rel_tol=0, abs_tol=RATIO_TOLERANCE)
    scale = 1.0 if usual else ln_ratio / LN_RATIO
    counts: dict[int, int] = {}
    refused = 0
    for span in spans:
        for index, count in enumerate(span.counts, span.offset):
            middle = (index + 0.5) * scale
            if span.offset < 0 or not (scale > 0 and middle < BUCKETS):
                refused += count
            elif count:
                target = int(middle)
                counts[target] = counts.get(target, 0) + count
    return Filed(counts, refused)


def quantile_us(counts: Mapping[int, int], quantile: float) -> float | None:
    """The value below which the share `quantile` of the observations lies, or None without observations.

    Within a bucket the observations are taken to be spread evenly on the logarithmic scale of the buckets.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank = quantile * total
    seen = 0
    for index in sorted(counts):
        share = (rank - seen) / counts[index]
        seen += counts[index]
        if seen >= rank:
            return math.exp((index + share) * LN_RATIO)
    return upper_bound_us(max(counts))
