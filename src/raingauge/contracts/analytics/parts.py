"""What the SQL of the daily sums is made of."""

from __future__ import annotations

from string import Template
from typing import Final

from raingauge.contract import Column, Knob, Numbering
from raingauge.contracts.analytics.tables import EVENTS, positive

ROLLUP_DAYS: Final = Knob(
    "analytics_rollup_days",
    1_100,
    "How long daily sums of product usage are kept; they hold numbers of installations, not their ids.",
    "days",
    positive,
)

SHARED_INSTALLATIONS: Final = (
    "099a0cc69a6a6cdd3a21c9da",  # linux:x64:/root, every Docker container on x64
    "64666a7c9ea6fcff11968cc3",  # linux:arm64:/root
    "a614484a90d95151c5de2052",  # linux:x64:/home/node
    "e425ff892bd8758a616fd779",  # linux:x64:/home/ubuntu
    "1be15793b7f61c06d4b7e86b",  # linux:arm64:/home/ubuntu
    "ad2e82b359627feb047805cf",  # win32:x64:unknown-home
    "d42812b22021e4a095e6be4a",  # win32:arm64:unknown-home
    "f2ef07518691d2d6746b6705",  # linux:x64:unknown-home
    "58ed82271e1655de344ad319",  # darwin:arm64:unknown-home
)
"""Installation ids that many machines report: hashes of a platform and a home directory instead of a token."""

STAGES: Final = (
    "module_event", "loop_start", "model_request", "model_response", "tool_prepare", "tool_call",
    "permission_check", "loop_end",
)  # fmt: skip
"""Steps of the agent loop; a step's place, counted from 1, is its bit in columns called `stages`."""

DIMENSIONS: Final = (
    "module", "owner_module", "execution_kind", "phase", "app_version", "platform", "deployment_mode",
)  # fmt: skip
"""What reads can be restricted to."""

AUDIENCES: Final = {
    "ordinary": "module = 'session' AND owner_module = 'session' AND execution_kind = 'user_session'",
    "always_on": "module = 'session' AND owner_module = 'always_on'",
}
"""Ready-made audiences: no event is of more than one."""

# With the customer in the hash, a value alone is enough to join by. Joining by both would let the optimizer join the
# numbers with each other by their customer first.
INSTALLATIONS: Final = Numbering(
    "product_installation_numbers", "sipHash64(customer, installation_id)", "hash of an installation id"
)
INSTANCES: Final = Numbering("product_instance_numbers", "sipHash64(customer, instance_id)", "hash of an instance id")
PAIRS: Final = Numbering(
    "product_pair_numbers",
    "sipHash64(customer, installation_id, instance_id)",
    "hash of an installation and an instance id",
)
SESSIONS: Final = Numbering("product_session_numbers", "sipHash64(customer, session_id)", "hash of a session id")

PACKED: Final = "ZSTD(1)"
BITMAPS: Final = "AggregateFunction(groupBitmap, UInt32)"
"""For few large sets: thousands of numbers are united at once."""
LISTS: Final = "Array(UInt32)"
"""For many small sets: reading a bitmap costs more than a microsecond, however little is in it."""
SET_OF: Final = {BITMAPS: "groupBitmapState", LISTS: "groupUniqArray"}
"""How a set is made from its members; append `If` to choose them."""

# What has no number yet, because it is newer than the last roll-up, gets one for this statement, above all others.
_NUMBERED: Final = """
    INNER JOIN (
        SELECT found.value AS value, if(
            known.number > 0, known.number, toUInt32(2147483647 + row_number() OVER (PARTITION BY known.number = 0))
        ) AS number
        FROM (SELECT DISTINCT $value AS value FROM $events WHERE {where}) AS found
        LEFT JOIN (
            SELECT value, number FROM $table WHERE value IN (SELECT $value FROM $events WHERE {where})
        ) AS known ON known.value = found.value
    ) AS $name ON $name.value = e.${name}_value
"""


def _numbered(name: str, numbering: Numbering) -> str:
    """A join that gives each `<name>_value` of `e` its number, as `<name>.number`."""
    return Template(_NUMBERED).substitute(
        name=name, value=numbering.value, table=numbering.table, events=EVENTS.name
    )  # fmt: skip


_NAMES: Final = {
    "dimensions": ", ".join(DIMENSIONS),
    "audience": f"multiIf({', '.join(sql + f', {name!r}' for name, sql in AUDIENCES.items())}, '')",
    "counted": "schema_version = 'analytics.v2' AND event_name IN ('feature_used', 'error_occurred')",
    "used": "event_name = 'feature_used'",
    "raised": "event_name = 'error_occurred'",
    # A failed row that repeats an error of the same millisecond has its code; the row after a tool call has `success`.
    "failed": "event_name = 'feature_used' AND outcome = 'failed' AND error_category != '' AND success = -1",
    "ended": "event_name = 'feature_used' AND loop_stage = 'loop_end' AND stop_reason != ''",
    "call_worked": (
        "event_name = 'feature_used' AND loop_stage = 'tool_call'"
        " AND (success = 1 OR execution_kind = 'subagent' AND outcome = 'success')"
    ),
    "shared": ", ".join(f"'{installation}'" for installation in SHARED_INSTALLATIONS),
    "stages": ", ".join(f"'{stage}'" for stage in STAGES),
    "bad": "'failed', 'aborted', 'timeout', 'denied'",
    "events": EVENTS.name,
    "installation": INSTALLATIONS.value,
    "instance": INSTANCES.value,
    "pair": PAIRS.value,
    "session": SESSIONS.value,
    "numbered_installation": _numbered("installation", INSTALLATIONS),
    "numbered_instance": _numbered("instance", INSTANCES),
    "numbered_pair": _numbered("pair", PAIRS),
    "numbered_session": _numbered("session", SESSIONS),
}


def select(text: str, **names: str) -> str:
    """SQL with names filled in, those of this file and `names`; the values of `names` may use names of this file."""
    return Template(Template(text).safe_substitute(names)).substitute(_NAMES)


AUDIENCE: Final = Column("audience", "LowCardinality(String)", "ready-made audience of the event, or empty", PACKED)


def names(*columns: str) -> tuple[Column, ...]:
    return tuple(Column(column, "LowCardinality(String)", "as in product_events", PACKED) for column in columns)


def flags(**why: str) -> tuple[Column, ...]:
    return tuple(Column(column, "UInt8", text, PACKED) for column, text in why.items())


def sets(kind: str, **why: str) -> tuple[Column, ...]:
    """Sets of numbers, as `BITMAPS` or `LISTS`."""
    return tuple(Column(column, kind, text, PACKED) for column, text in why.items())


def counts(**why: str) -> tuple[Column, ...]:
    return tuple(Column(column, "UInt32", text, PACKED) for column, text in why.items())
