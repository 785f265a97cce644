"""The fast reading of a loop says the same as the lenient one, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from raingauge.contract import Refused
from raingauge.contracts.loopgain.usual import read_usual
from raingauge.contracts.loopgain.wire import Loop, parse_loop, read_loop

MakeLoop: TypeAlias = Callable[..., dict[str, Any]]
Reading: TypeAlias = Callable[[bytes, datetime], Loop]

NOW = datetime(2026, 11, 21, 7, 22, 18, tzinfo=UTC)
MEMBERS = (
    "schema_version", "library", "library_version", "timestamp_hour", "workload_id", "team", "smoothing_window",
    "actual_dollars_saved", "actual_dollars_spent", "loop", "loop__outcome", "loop__iterations_used",
    "loop__savings_vs_fixed_cap", "loop__rollback_triggered", "loop__best_index", "loop__gain_margin",
    "loop__convergence_profile_summary__min", "loop__convergence_profile_summary__samples", "thresholds",
    "thresholds__fast_converge", "per_iteration", "per_iteration__error_history", "per_iteration__truncated",
    "per_iteration__cap", "prompt", "loop__prompt", "per_iteration__prompt",
)  # fmt: skip
# Written into the text of the JSON as they are, so that forms a JSON writer would not choose occur as well.
literals = st.one_of(
    st.sampled_from([
        "null", "true", "0", "-0", "-0.0", "1", "4.0", "1e0", "3E+2", "1e999", "-1e999", "1e-999", "1.7976931348623159e308",
        "9007199254740992", "9007199254740993", "-9007199254740993", "NaN", "Infinity", "01", "1.", "+1", "{}", "[]",
        '"2026-11-21T07"', '"Nov 21 2026"', '"3000-01-01"', '"a\\u0041"', '"\x01"', '"\x7f"', '"\N{DROPLET}"', '"\\ud800"',
        f'"{"x" * 64}"', f'"{"x" * 65}"', f'"{"x" * 200}"', f'"{"x" * 201}"', f"[{'1,' * 1023}1]", f"[{'1,' * 1024}1]",
        "[null,1e999]", "[true]", '["1"]',
    ]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(max_size=80).map(json.dumps),
)  # fmt: skip


def reading(read: Reading, body: bytes) -> Loop | tuple[str, dict[str, str | int]]:
    """The loop, or the refusal as the client would see it."""
    try:
        return read(body, NOW)
    except Refused as refusal:
        return refusal.code, refusal.extra


@settings(deadline=None, max_examples=300)
@given(
    changes=st.dictionaries(st.sampled_from(MEMBERS), literals, max_size=2),
    prefix=st.sampled_from(["", " \n", "\ufeff", "\x00", "[", '{"loop": 1}']),
    suffix=st.sampled_from(["", "\n", ",", "\x00", " {}"]),
)
def test_both_readings_agree_on_every_body(
    make_loop: MakeLoop, changes: dict[str, str], prefix: str, suffix: str
) -> None:
    """Whether a body takes the fast way changes neither what is stored nor what is answered."""
    # Inner members first: an object that is replaced as a whole has none.
    inner_first = sorted(changes, key=lambda name: name.count("__"), reverse=True)
    marks = {name: f"@{number}@" for number, name in enumerate(inner_first)}
    text = json.dumps(make_loop(**marks))
    for name, mark in marks.items():
        text = text.replace(f'"{mark}"', changes[name])
    body = (prefix + text + suffix).encode("utf-8", "surrogatepass")
    assert repr(reading(read_loop, body)) == repr(reading(parse_loop, body))


def test_a_repeated_member_counts_as_its_last_value_either_way(make_loop: MakeLoop) -> None:
    """Two equal keys in one object are no way to be checked as one thing and stored as another."""
    body = json.dumps(make_loop()).replace('"smoothing_window"', '"smoothing_window": 7, "smoothing_window"').encode()
    assert read_usual(body)
    assert read_loop(body, NOW) == parse_loop(body, NOW)


def test_what_the_library_sends_takes_the_fast_way(make_loop: MakeLoop) -> None:
    """A body as the published library writes it is read in one typed pass."""
    assert read_usual(json.dumps(make_loop()).encode())
