"""Flag logs of four resolvers, as their SDKs flush them every 15 seconds.

The messages carry no time: what a resolver reports belongs to the minute in which it arrives.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from raingauge.demo import story
from raingauge.demo.wire import JSON, PROTOBUF, Request

_PATH: Final = "/v1/clientFlagLogs:write"
_LN_RATIO: Final = math.log(10) / 18
"""Width of a latency bucket of these resolvers."""

_MATCH, _NO_MATCH, _ARCHIVED, _KEY_ERROR, _ERROR = 1, 2, 4, 5, 6
_REASON_NAMES: Final = {
    _MATCH: "RESOLVE_REASON_MATCH",
    _NO_MATCH: "RESOLVE_REASON_NO_SEGMENT_MATCH",
    _ARCHIVED: "RESOLVE_REASON_FLAG_ARCHIVED",
    _KEY_ERROR: "RESOLVE_REASON_TARGETING_KEY_ERROR",
    _ERROR: "RESOLVE_REASON_ERROR",
}
_FLAGS: Final = {
    "flags/new-checkout": ("on", "off"),
    "flags/ranking-model": ("control", "small", "large"),
    "flags/free-shipping-banner": ("shown", "hidden"),
}


class Resolver(NamedTuple):
    """`median_us` and `spread` shape its latency; `per_second` is how often it resolves.

    `sdk` is a number of the wire format: 22 the JavaScript provider, 24 the Rust provider, 25 the Cloudflare worker.
    """

    label: str
    sdk: int
    version: str
    core: str
    median_us: float
    spread: float
    per_second: int


CLOUDFLARE: Final = 25
RESOLVERS: Final = (
    Resolver("edge-worker", CLOUDFLARE, "0.14.1", "0.22.1", 420, 0.6, 9),
    Resolver("checkout-web", 22, "0.18.3", "0.21.0", 240, 0.5, 14),
    Resolver("checkout-web-canary", 22, "0.19.1", "0.22.1", 5_200, 0.9, 5),
    Resolver("ranking-service", 24, "0.4.0", "0.22.1", 95, 0.4, 22),
)
FLUSH_SECONDS: Final = 15


def first_requests(now: datetime) -> Iterator[Request]:
    """What the resolvers have to tell when they are first heard of: the last minute."""
    random = story.seeded("flags")
    for resolver in RESOLVERS:
        yield request(random, resolver, now, 60)


def request(random: Random, resolver: Resolver, now: datetime, seconds: int = FLUSH_SECONDS) -> Request:
    """One flush: latencies, reasons, which variants were given, and a few exposures."""
    resolves = max(1, int(resolver.per_second * seconds * random.uniform(0.8, 1.2)))
    latencies = [
        max(1, int(random.lognormvariate(math.log(resolver.median_us), resolver.spread))) for _ in range(resolves)
    ]
    weights = (90, 7, 1, 0.3, 0.2)
    reasons = Counter(random.choices(tuple(_REASON_NAMES), weights, k=resolves))
    variants = {
        flag: Counter(random.choices(names, k=reasons[_MATCH] // len(_FLAGS))) for flag, names in _FLAGS.items()
    }
    if resolver.sdk == CLOUDFLARE:
        body = msgspec.json.encode(_json(resolver, latencies, reasons, variants))
        return Request(resolver.label, _PATH, body, 1, JSON, credential="ClientSecret")
    body = _protobuf(random, resolver, now, latencies, reasons, variants)
    return Request(resolver.label, _PATH, body, 1, PROTOBUF, credential="ClientSecret")


def _buckets(latencies: Iterable[int]) -> dict[int, int]:
    return dict(sorted(Counter(int(math.log(latency) / _LN_RATIO) for latency in latencies).items()))


# ---- JSON, as the Cloudflare worker sends it -----------------------------------------------------------------


def _json(
    resolver: Resolver, latencies: list[int], reasons: Counter[int], variants: dict[str, Counter[str]]
) -> dict[str, Any]:
    spans = [{"offset": index, "counts": [count]} for index, count in _buckets(latencies).items()]
    return {
        "telemetryData": {
            "sdk": {"version": resolver.version, "id": "SDK_ID_CLOUDFLARE_RESOLVER"},
            "resolveLatency": {
                "sum": sum(latencies), "count": len(latencies), "buckets": spans, "lnRatio": _LN_RATIO,
            },
            "resolveRate": [{"count": count, "reason": _REASON_NAMES[reason]} for reason, count in reasons.items()],
            "resolverVersion": resolver.core,
        },
        "flagResolveInfo": [
            {
                "flag": flag,
                "variantResolveInfo": [
                    {"variant": f"{flag}/variants/{name}", "count": str(count)} for name, count in counts.items()
                ],
            }
            for flag, counts in variants.items()
        ],
    }  # fmt: skip


# ---- protobuf, as the other SDKs send it: `src/raingauge/contracts/flags/wire/flag_logs.proto` names the fields ---


def _protobuf(
    random: Random, resolver: Resolver, now: datetime, latencies: list[int], reasons: Counter[int],
    variants: dict[str, Counter[str]],
) -> bytes:  # fmt: skip
    sdk = _field(1, resolver.sdk) + _field(3, resolver.version)
    spans = b"".join(
        _field(3, _field(1, index) + _field(2, _varint(count))) for index, count in _buckets(latencies).items()
    )
    latency = _field(1, sum(latencies)) + _field(2, len(latencies)) + spans + _double(4, _LN_RATIO)
    telemetry = (
        _field(2, sdk)
        + _field(4, latency)
        + b"".join(_field(5, _field(1, count) + _field(2, reason)) for reason, count in reasons.items())
        + _field(6, _field(1, int(now.timestamp() * 1000) - random.randint(1_000, 30_000)))
        + _field(7, random.randint(18, 24) * 131_072)
        + _field(8, resolver.core)
        + _field(11, _field(1, 1))
    )
    infos = b"".join(
        _field(4, _field(1, flag) + b"".join(
            _field(2, _field(1, f"{flag}/variants/{name}") + _field(3, count)) for name, count in counts.items()
        ))
        for flag, counts in variants.items()
    )  # fmt: skip
    exposures = b"".join(_field(1, _exposure(random, sdk, now)) for _ in range(3))
    return exposures + _field(2, telemetry) + infos


def _exposure(random: Random, sdk: bytes, now: datetime) -> bytes:
    """One flag that was shown to one made-up customer within the last seconds."""
    flag = random.choice(list(_FLAGS))
    variant = f"{flag}/variants/{random.choice(_FLAGS[flag])}"
    at = now.timestamp() - random.uniform(0.1, FLUSH_SECONDS)
    applied = (
        _field(1, flag)
        + _field(2, f"shopper-{random.randint(1, 40_000)}")
        + _field(3, "targeting_key")
        + _field(4, _field(1, "segments/everybody") + _field(2, variant))
        + _field(6, variant)
        + _field(7, f"{flag}/rules/main")
        + _field(9, _field(1, int(at)) + _field(2, int(at % 1 * 1e9)))
    )
    client = _field(1, "clients/shop") + _field(2, "clients/shop/clientCredentials/web") + _field(3, sdk)
    return _field(3, client) + _field(10, random.randbytes(16).hex()) + _field(15, applied)


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of the protobuf wire format: a whole number, text, or bytes (messages and packed numbers too)."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
