"""The limits and lifetimes of this contract."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from raingauge.contract import Forwarding, Knob

MIB: Final = 1024 * 1024


def _positive(value: float) -> str | None:
    return None if value > 0 else "must be greater than 0"


def _address(value: str) -> str | None:
    url = urlsplit(value)
    return (
        None if not value or (url.scheme in ("http", "https") and url.netloc) else "must be an http:// or https:// URL"
    )


FLAGS_RETENTION_DAYS = Knob(
    "flags_retention_days", 90, "How long single flag telemetry rows are kept; totals stay.", "days", _positive
)
FLAGS_PART_MAX_BYTES = Knob(
    "flags_part_max_bytes",
    MIB,
    "Largest single item of a flag log message (one apply, one telemetry delta); a larger one is rejected.",
    "bytes",
    _positive,
)
FLAGS_ITEMS_MAX = Knob(
    "flags_items_max", 200_000, "Most items in one flag log message; one with more is dead-lettered.", "", _positive
)
FLAGS_NAME_MAX_CHARS = Knob(
    "flags_name_max_chars",
    512,
    "Longest name of a flag, rule, variant or segment; an item with a longer one is rejected.",
    "characters",
    _positive,
)

FLAGS_FORWARDING: Final = Forwarding(
    url=Knob(
        "flags_forward_url",
        "",
        "Where accepted flag logs go on to, byte for byte, for example https://resolver.confidence.dev; empty is nowhere.",
        check=_address,
    ),
    fallback_url=Knob(
        "flags_forward_fallback_url", "", "Where they go when the first address does not take them.", check=_address
    ),
    secret=Knob(
        "flags_forward_secret",
        "",
        "The client secret that these addresses want; the tokens of this server mean nothing to them.",
        secret=True,
    ),
    timeout_seconds=Knob("flags_forward_timeout_seconds", 10.0, "Longest wait for their answer.", "seconds", _positive),
    max_bytes=Knob(
        "flags_forward_max_bytes",
        256 * MIB,
        "Most that may wait to go on, compressed; beyond it the oldest are dropped and counted.",
        "bytes",
        _positive,
    ),
    max_age_seconds=Knob(
        "flags_forward_max_age_seconds", 86_400.0, "Longest that a flag log waits to go on.", "seconds", _positive
    ),
)

FLAGS_KNOBS: Final[tuple[Knob[Any], ...]] = (
    FLAGS_RETENTION_DAYS,
    FLAGS_PART_MAX_BYTES,
    FLAGS_ITEMS_MAX,
    FLAGS_NAME_MAX_CHARS,
    *FLAGS_FORWARDING.knobs,
)
