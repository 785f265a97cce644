"""The shape in which the published library writes a loop, read by one typed pass: six times as fast.

It accepts less than `wire.parse_loop` and never anything else: plain ASCII without escapes, no member that is not
listed here, every number finite and within its limit. For whatever does not fit, `read_usual` gives None and the
lenient reading decides, which also knows how to say what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from raingauge.contracts.loopgain.members import SAFE_INTEGER

LABEL_MAX: Final = 200
SHORT_TEXT_MAX: Final = 64
SERIES_MAX: Final = 1_024
"""Text limits are UTF-16 code units, the other one entries."""

Label: TypeAlias = Annotated[str, msgspec.Meta(max_length=LABEL_MAX)]
ShortText: TypeAlias = Annotated[str, msgspec.Meta(max_length=SHORT_TEXT_MAX)]
Count: TypeAlias = Annotated[float, msgspec.Meta(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=SAFE_INTEGER)]
Samples: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=int(SAFE_INTEGER))]
Series: TypeAlias = Annotated[list[float | None], msgspec.Meta(max_length=SERIES_MAX)]


class Trajectory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of each iteration; None where the client's own number was infinite or undefined."""

    error_history: Series
    convergence_profile: Series
    truncated: bool
    cap: float


class Profile(msgspec.Struct, forbid_unknown_fields=True):
    min: float | None
    max: float | None
    median: float | None
    samples: Samples | None


class Result(msgspec.Struct, forbid_unknown_fields=True):
    outcome: ShortText
    iterations_used: Count
    savings_vs_fixed_cap: Count | None
    rollback_triggered: bool
    convergence_profile_summary: Profile
    best_index: Count | None = None
    gain_margin: float | None = None


class Thresholds(msgspec.Struct, forbid_unknown_fields=True):
    fast_converge: float
    converging: float
    stalling: float
    oscillating_upper: float


class Usual(msgspec.Struct, forbid_unknown_fields=True):
    """A body of `/v1/aggregate`."""

    schema_version: Literal[1, 2, 3, 4]
    library: Label
    library_version: ShortText
    timestamp_hour: ShortText
    loop: Result
    thresholds: Thresholds
    smoothing_window: float
    workload_id: Label | None = None
    framework: Label | None = None
    loop_type: Label | None = None
    team: Label | None = None
    actual_dollars_saved: Amount | None = None
    actual_dollars_spent: Amount | None = None
    per_iteration: Trajectory | None = None


_DECODER: Final = msgspec.json.Decoder(Usual)


def read_usual(body: bytes) -> Usual | None:
    """The loop in a body of the usual shape, None for any other body."""
    # In ASCII characters are UTF-16 code units, and without escapes nothing else can come out of the text.
    if not body.isascii() or b"\\" in body:
        return None
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
