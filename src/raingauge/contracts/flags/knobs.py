"""The limits and lifetimes of this contract."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Knob

MIB: Final = 1024 * 1024


def _positive(value: int) -> str | None:
    return None if value > 0 else "must be greater than 0"


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

FLAGS_KNOBS: Final[tuple[Knob[int], ...]] = (
    FLAGS_RETENTION_DAYS,
    FLAGS_PART_MAX_BYTES,
    FLAGS_ITEMS_MAX,
    FLAGS_NAME_MAX_CHARS,
)
