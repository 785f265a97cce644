"""From accepted bodies to rows: what is kept, what is cut off, and that nothing else gets in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from raingauge.contract import Decoded, Head, Reason, Received, Refused, Settings
from raingauge.contracts.loopgain.decode import decode_aggregate, decode_funnel
from raingauge.contracts.loopgain.intake import AGGREGATE, FUNNEL
from raingauge.contracts.loopgain.tables import FUNNEL_EVENTS, LOOP_EVENTS
from raingauge.store.arrow import build

MakeLoop: TypeAlias = Callable[..., dict[str, Any]]

NOW = datetime(2026, 11, 21, 7, 22, 18, tzinfo=UTC)
MESSAGE_ID = int(NOW.timestamp() * 1_000_000)
KEEP = Received(MESSAGE_ID, "cust_1", settings=Settings({"loopgain_trajectories": "keep"}))
DROP = Received(MESSAGE_ID, "cust_1")
HEAD = Head("POST", "/", "", {})


def row(body: dict[str, Any], received: Received = KEEP) -> dict[str, Any]:
    """The one row of a loop by column name."""
    decoded = decode_aggregate(json.dumps(body).encode(), received)
    (values,) = decoded.rows[LOOP_EVENTS.name]
    return dict(zip(["position", *(column.name for column in LOOP_EVENTS.columns)], values, strict=True))


def funnel_row(**changed: Any) -> dict[str, Any]:
    """The one row of a funnel event by column name."""
    event = {
        "event": "session",
        "instance_id": "F51215FA18A64438A843A9130284D6DB",
        "ts_hour": "2026-11-21T07:15:59+00:00",
        "library_version": "0.6.5",
        **changed,
    }
    body = json.dumps({"schema_version": 1, "library": "loopgain", "events": [event]}).encode()
    (values,) = decode_funnel(body, DROP).rows[FUNNEL_EVENTS.name]
    return dict(zip(["position", *(column.name for column in FUNNEL_EVENTS.columns)], values, strict=True))


def test_times_are_cut_to_the_hour(make_loop: MakeLoop) -> None:
    """No row says in which minute a loop ran, whatever the client sent; a time without a zone is UTC."""
    hour = datetime(2026, 11, 21, 7, tzinfo=UTC)
    for stamp in ("2026-11-21T07:15:59.9Z", "2026-11-21T12:45:00+05:30", "2026-11-21T07:15"):
        assert hour == row(make_loop(timestamp_hour=stamp))["timestamp_hour"]
    assert hour == funnel_row()["ts_hour"]


def test_zone_names_and_offsets_are_obeyed(make_loop: MakeLoop) -> None:
    """The text form of a JavaScript date means the time that it meant there."""
    stamp = "Sat Nov 21 2026 07:00:00 GMT+0530 (India Standard Time)"
    assert datetime(2026, 11, 21, 1, tzinfo=UTC) == row(make_loop(timestamp_hour=stamp))["timestamp_hour"]


def test_series_are_dropped_by_default(make_loop: MakeLoop) -> None:
    """Without the operator's wish the numbers of single iterations do not reach the store."""
    assert "" == row(make_loop(), DROP)["per_iteration"]


def test_only_the_known_members_of_series_are_kept(make_loop: MakeLoop) -> None:
    """A prompt hidden among the numbers is not stored."""
    body = make_loop(per_iteration__prompt="secret", per_iteration__error_history=[1, None])
    assert {
        "error_history": [1, None],
        "convergence_profile": [0.4, 0.3875],
        "truncated": False,
        "cap": 256,
    } == json.loads(row(body)["per_iteration"])


def test_absent_options_are_null(make_loop: MakeLoop) -> None:
    """Bodies of the first version have no labels, no dollars, no best index and perhaps no workload."""
    absent = dict.fromkeys(
        ("workload_id", "framework", "loop_type", "team", "actual_dollars_saved", "actual_dollars_spent"), ...
    )
    found = row(make_loop(**absent, loop__best_index=..., per_iteration=..., schema_version=1))
    assert {None} == {found[name] for name in (*absent, "best_index", "gain_margin")}
    assert "" == found["per_iteration"]


def test_a_best_index_that_is_no_number_is_null(make_loop: MakeLoop) -> None:
    """Text never takes the place of a number."""
    found = row(make_loop(loop__best_index="3", loop__gain_margin="<b>"))
    assert (None, None) == (found["best_index"], found["gain_margin"])


def test_half_surrogate_pairs_are_replaced(make_loop: MakeLoop) -> None:
    """Text that no database can hold is stored with replacement characters."""
    assert "a\N{REPLACEMENT CHARACTER}" == row(make_loop(workload_id="a\ud800"))["workload_id"]


def test_instances_are_compared_in_lower_case() -> None:
    """One installation is one, however its id is written."""
    assert "f51215fa18a64438a843a9130284d6db" == funnel_row()["instance_id"]


def test_a_clock_that_was_set_back_loses_nothing_quietly(make_loop: MakeLoop) -> None:
    """A loop that lies in the future of its own arrival is counted with a reason, not dropped."""
    decoded = decode_aggregate(json.dumps(make_loop()).encode(), Received(MESSAGE_ID - 86_400_000_000, "cust_1"))
    (reject,) = decoded.rejects
    assert (1, {}, Reason.INVALID_TIMESTAMP, True) == (
        decoded.items,
        decoded.rows,
        reject.reason,
        reject.quarantined,
    )


# ---- for all bodies ----------------------------------------------------------------------------------------

texts = st.text(st.characters(codec=None), max_size=70)
numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.just(10**400))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


MEMBERS = (
    "schema_version", "library", "library_version", "timestamp_hour", "workload_id", "framework", "loop_type", "team",
    "actual_dollars_saved", "actual_dollars_spent", "smoothing_window", "loop__outcome", "loop__iterations_used",
    "loop__savings_vs_fixed_cap", "loop__rollback_triggered", "loop__best_index", "loop__gain_margin",
    "loop__convergence_profile_summary__min", "loop__convergence_profile_summary__max",
    "loop__convergence_profile_summary__median", "loop__convergence_profile_summary__samples",
    "thresholds__fast_converge", "thresholds__converging", "thresholds__stalling", "thresholds__oscillating_upper",
    "per_iteration__error_history", "per_iteration__convergence_profile", "per_iteration__truncated",
    "per_iteration__cap", "prompt", "loop__prompt", "per_iteration__prompt",
)  # fmt: skip
series = st.lists(st.one_of(numbers, st.none()), max_size=5)
changes = st.dictionaries(st.sampled_from(MEMBERS), st.one_of(numbers, texts, series, anything), max_size=3)
rubbish = st.one_of(st.binary(max_size=200), anything.map(lambda value: json.dumps(value).encode()))


def accepted(body: bytes, intake: Any) -> bool:
    with time_machine.travel(NOW, tick=False):
        try:
            intake.check(HEAD, body)
        except Refused:
            return False
        return True


def storable(decoded: Decoded, table: Any) -> None:
    """Every row fits the table's columns, and every number is finite."""
    rows = decoded.rows.get(table.name, [])
    assert decoded.items == len(rows) + len(decoded.rejects)
    build(table, "cust_1", MESSAGE_ID, rows)
    assert all(math.isfinite(value) for values in rows for value in values if isinstance(value, float))


@settings(deadline=None)
@given(changed=changes)
def test_whatever_is_accepted_becomes_one_row(make_loop: MakeLoop, changed: dict[str, Any]) -> None:
    """An accepted loop is exactly one storable row; one that is not accepted is one reject; nothing ever raises."""
    body = json.dumps(make_loop(**changed)).encode()
    decoded = decode_aggregate(body, KEEP)
    storable(decoded, LOOP_EVENTS)
    assert accepted(body, AGGREGATE) is bool(decoded.rows)
    assert 1 == decoded.items
    for values in decoded.rows.get(LOOP_EVENTS.name, []):
        assert {"error_history", "convergence_profile", "truncated", "cap"} == set(json.loads(values[-1]))


@settings(deadline=None)
@given(rubbish)
def test_rubbish_is_refused(body: bytes) -> None:
    """What is no loop is neither accepted nor stored, and nothing raises."""
    for intake, decode in ((AGGREGATE, decode_aggregate), (FUNNEL, decode_funnel)):
        assert not accepted(body, intake)
        assert ({}, 1) == (decode(body, KEEP).rows, len(decode(body, KEEP).rejects))


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """Bodies of the funnel whose members are mostly right."""
    event = st.fixed_dictionaries(
        {
            "event": st.one_of(texts, st.just("session")),
            "instance_id": st.one_of(texts, st.from_regex("[0-9a-fA-F]{32}", fullmatch=True)),
            "ts_hour": st.one_of(texts, st.just("2026-11-21T07:00:00Z")),
            "library_version": texts,
        },
        optional={
            "python": anything,
            "session_seq": st.one_of(numbers, anything),
            "outcomes": st.one_of(st.dictionaries(texts, numbers, max_size=3), anything),
            "hostname": anything,
        },
    )
    events = draw(st.lists(st.one_of(event, event, anything), max_size=3))
    return json.dumps({"schema_version": 1, "library": "loopgain", "events": events}).encode()


@settings(deadline=None)
@given(batches())
def test_whatever_the_funnel_accepts_becomes_a_row_each(body: bytes) -> None:
    """An accepted batch is as many storable rows as it has events."""
    decoded = decode_funnel(body, KEEP)
    storable(decoded, FUNNEL_EVENTS)
    assert accepted(body, FUNNEL) is not bool(decoded.rejects)
    if not decoded.rejects:
        assert len(json.loads(body)["events"]) == decoded.items
