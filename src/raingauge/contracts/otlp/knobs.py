"""Settings of this contract."""

from __future__ import annotations

from typing import Any, Final

from raingauge.contract import Knob


def _positive(value: float) -> str | None:
    return None if value > 0 else "must be greater than 0"


SPAN_RETENTION_DAYS = Knob("otlp_span_retention_days", 30, "How long spans are kept.", "days", _positive)
RETENTION_DAYS = Knob(
    "otlp_retention_days", 90, "How long events, tool decisions, points and daily sums are kept.", "days", _positive
)
PEOPLE_NAMES = Knob(
    "otlp_people_names", True, "Keep e-mail addresses, encrypted, so that reads can show who is behind a keyed hash."
)
REPOSITORY_ATTRIBUTE = Knob(
    "otlp_repository_attribute", "", "Attribute that names the repository, where senders have one besides vcs.*."
)
TEAM_ATTRIBUTE = Knob(
    "otlp_team_attribute", "team.id", "Attribute that names the team, as senders have it in OTEL_RESOURCE_ATTRIBUTES."
)
TYPED_NAMES = Knob(
    "otlp_typed_names",
    False,
    "Keep names of MCP tools and subagents, which a person may have typed, instead of mcp_tool and custom.",
)
SERIES_PER_MESSAGE = Knob(
    "otlp_series_per_message",
    5_000,
    "Most different series in one metrics message; points of further ones are rejected as series_limit.",
    "",
    _positive,
)
SERIES_PER_DAY = Knob(
    "otlp_series_per_day",
    200_000,
    "Most different series of one customer that arrive on one UTC day; points of further ones are rejected as "
    "series_limit.",
    "",
    _positive,
)
BUCKETS_PER_POINT = Knob(
    "otlp_buckets_per_point", 1_024, "Most filled buckets in one histogram point.", "buckets", _positive
)
LATE_SECONDS = Knob(
    "otlp_late_seconds", 86_400.0, "Data older than this on arrival is marked late (and kept).", "seconds", _positive
)
FUTURE_SECONDS = Knob(
    "otlp_future_seconds", 300.0, "Data this far ahead of our clock is marked future (and kept).", "seconds", _positive
)

KNOBS: Final[tuple[Knob[Any], ...]] = (
    SPAN_RETENTION_DAYS, RETENTION_DAYS, PEOPLE_NAMES, REPOSITORY_ATTRIBUTE, TEAM_ATTRIBUTE, TYPED_NAMES,
    SERIES_PER_MESSAGE, SERIES_PER_DAY, BUCKETS_PER_POINT, LATE_SECONDS, FUTURE_SECONDS,
)  # fmt: skip
