"""The worked data set through the reads: every number that is expected of it."""

from __future__ import annotations

from typing import Any

import pytest


def columns(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    """These columns of each row, as tuples."""
    return [tuple(row[name] for name in names) for row in rows]


def test_active_users_by_day(worked_product: Any) -> None:
    """Both contract numbers and those that allow for shared ids, per UTC day."""
    assert [
        ("2026-08-20", 1, 2, 2, 1, 0, 1),
        ("2026-08-21", 2, 1, 2, 2, 0, 3),
    ] == [tuple(row.values()) for row in worked_product.ask("active-users")]


@pytest.mark.parametrize(
    ("period", "begins"), [("week", "2026-08-17"), ("month", "2026-08-01"), ("window", "2026-08-02")]
)
def test_active_users_of_longer_periods(worked_product: Any, period: str, begins: str) -> None:
    """Somebody active on two days of a period counts once."""
    assert [(begins, 2, 2, 3, 2, 0, 3)] == [
        tuple(row.values()) for row in worked_product.ask("active-users", period=period, since="2026-08-02")
    ]


def test_versions_begin_on_their_first_day(worked_product: Any) -> None:
    """Each release with the first of its two days, wherever the window lies."""
    assert [("0.1.0", "2026-08-20")] == [
        tuple(row.values()) for row in worked_product.ask("versions", since="2026-09-01", until="2026-09-02")
    ]


def test_modules(worked_product: Any) -> None:
    """Feature rows, errors and installations of each module."""
    assert [("session", 10, 2, 2), ("always_on", 1, 0, 1)] == [
        tuple(row.values()) for row in worked_product.ask("modules")
    ]


def test_modules_without_repeated_errors(worked_product: Any) -> None:
    """The corrected view leaves out the two failed rows that repeat an error."""
    assert [("session", 8), ("always_on", 1)] == columns(
        worked_product.ask("modules", view="corrected"), "module", "events"
    )


def test_what_background_modules_did(worked_product: Any) -> None:
    """Business rows of Always-On by phase, event and outcome."""
    assert [("always_on", "discovery", "no_plan", "no_plan", 1)] == [
        tuple(row.values()) for row in worked_product.ask("modules", by="event")
    ]


def test_contract_funnel(worked_product: Any) -> None:
    """Outcomes by module and stage; an unknown outcome shows as itself and is no failure."""
    assert [
        ("always_on", "module_event", "no_plan", 1, 1, 0),
        ("session", "loop_start", "success", 2, 2, 0),
        ("session", "model_request", "success", 1, 1, 0),
        ("session", "tool_call", "failed", 2, 3, 2 / 3),
        ("session", "tool_call", "success", 1, 3, 2 / 3),
        ("session", "loop_end", "failed", 1, 4, 0.25),
        ("session", "loop_end", "success", 3, 4, 0.25),
    ] == [tuple(row.values()) for row in worked_product.ask("funnel")]


def test_contract_funnel_of_ordinary_users(worked_product: Any) -> None:
    """The ready-made audience leaves out background turns."""
    assert {("loop_start", 0), ("model_request", 0), ("tool_call", 2 / 3), ("loop_end", 1 / 3)} == set(
        columns(worked_product.ask("funnel", audience="ordinary"), "loop_stage", "error_rate")
    )


def test_corrected_funnel_of_ordinary_users(worked_product: Any) -> None:
    """One failed tool call and one failed turn of two are counted as such."""
    assert [
        ("model_request", "failed", 0, 1, 0),
        ("model_request", "success", 1, 1, 0),
        ("tool_call", "failed", 1, 1, 1),
        ("tool_call", "success", 0, 1, 1),
        ("loop_end", "failed", 1, 2, 0.5),
        ("loop_end", "success", 1, 2, 0.5),
    ] == columns(
        worked_product.ask("funnel", audience="ordinary", view="corrected"),
        "loop_stage", "outcome", "events", "stage_events", "error_rate",
    )  # fmt: skip


def test_session_funnel(worked_product: Any) -> None:
    """Sessions that came through each step in order, beside those that had it at all."""
    assert [
        (1, "loop_start", 2, 2, 1),
        (2, "model_request", 1, 1, 0.5),
        (3, "tool_call", 1, 1, 0.5),
        (4, "loop_end", 1, 2, 0.5),
    ] == [tuple(row.values()) for row in worked_product.ask("funnel", by="session", audience="ordinary")]


def test_session_funnel_of_chosen_steps(worked_product: Any) -> None:
    """The steps and their order can be chosen."""
    rows = worked_product.ask("funnel", by="session", audience="ordinary", steps="loop_end,tool_call")
    assert [("loop_end", 2, 1), ("tool_call", 1, 0.5)] == columns(rows, "loop_stage", "sessions", "conversion")


@pytest.mark.parametrize("view", ["contract", "corrected"])
def test_errors_are_not_added_to_their_twins(worked_product: Any, view: str) -> None:
    """Two errors, although each came with a failed row."""
    assert [("loop_error", "model_error", 1), ("tool_runtime_error", "ENOENT", 1)] == columns(
        worked_product.ask("errors", view=view), "error_category", "code", "errors"
    )


def test_ordinary_sessions(worked_product: Any) -> None:
    """Turns, sessions and users of ordinary chat, judged by stop reason and by outcome."""
    (naive,) = worked_product.ask("sessions", audience="ordinary")
    (right,) = worked_product.ask("sessions", audience="ordinary", view="corrected")
    same = ("events", "sessions", "installations", "turns", "completed_sessions", "error_sessions")
    assert [(11, 2, 2, 2, 1, 2)] * 2 == columns([naive, right], *same)
    judged = ("ended", "completed", "success_rate", "tool_calls", "tool_errors", "tool_error_rate")
    assert [(3, 2, 2 / 3, 3, 2, 2 / 3), (2, 1, 0.5, 1, 1, 1)] == columns([naive, right], *judged)
    assert (5.001, 5.001) == (right["seconds_p95"], right["seconds_p50"])


def test_turn_over_midnight_counts_on_its_end(worked_product: Any) -> None:
    """A day without an ended turn has no rate rather than a bad one."""
    rows = worked_product.ask("sessions", audience="ordinary", view="corrected", by="day")
    assert [("2026-08-20", 1, 0, None), ("2026-08-21", 1, 2, 0.5)] == columns(
        rows, "key", "turns", "ended", "success_rate"
    )


def test_background_turns_by_phase(worked_product: Any) -> None:
    """Health of Always-On by phase."""
    rows = worked_product.ask("sessions", audience="always_on", view="corrected", by="phase")
    assert [("discovery", 1, 1, 1, 1)] == columns(rows, "key", "events", "ended", "completed", "success_rate")


def test_stop_reasons(worked_product: Any) -> None:
    """Why turns ended."""
    rows = worked_product.ask("sessions", by="stop_reason")
    assert [("completed", 2, 2 / 3), ("model_error", 1, 1 / 3)] == [tuple(row.values()) for row in rows]


def test_tools(worked_product: Any) -> None:
    """One call that failed is one call in the corrected view and three rows in the contract's."""
    rows = [worked_product.ask("sessions", by="tool", view=view)[0] for view in ("contract", "corrected")]
    assert [("bash", 3, 2), ("bash", 1, 1)] == columns(rows, "tool_name", "calls", "errors")


def test_first_week_of_a_cohort(worked_product: Any) -> None:
    """Everybody is active in the week in which they are first seen."""
    assert [("2026-08-17", 0, 2, 2, 1)] == [tuple(row.values()) for row in worked_product.ask("retention")]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"module": "always_on"}, 1), ({"owner_module": "session"}, 2), ({"execution_kind": "always_on"}, 1),
        ({"phase": "discovery"}, 1), ({"version": "0.1.0"}, 2), ({"version": "0.2.0"}, None),
        ({"platform": "linux"}, 2), ({"deployment_mode": "docker"}, 2), ({"deployment_mode": "desktop"}, None),
        ({"audience": "ordinary"}, 2), ({"audience": "always_on", "module": "router"}, None),
    ],
)  # fmt: skip
def test_filters_restrict(worked_product: Any, filters: dict[str, str], expected: int | None) -> None:
    """Each filter keeps what matches it; filters add up."""
    assert [expected] * (expected is not None) == [
        row["installations"] for row in worked_product.ask("active-users", period="window", **filters)
    ]


def test_turns_are_of_the_session_module(worked_product: Any) -> None:
    """Asking for that module is asking for all turns; another has none."""
    everything = worked_product.ask("sessions", view="corrected")
    assert everything == worked_product.ask("sessions", view="corrected", module="session")
    assert [] == worked_product.ask("sessions", view="corrected", module="router")


def test_totals_for_prometheus(worked_product: Any) -> None:
    """Events of version 2 by module; duplicates and older versions are not in them."""
    assert {
        'module="always_on",event="feature_used"': 1,
        'module="always_on",event="error_occurred"': 0,
        'module="session",event="feature_used"': 10,
        'module="session",event="error_occurred"': 2,
    } == worked_product.totals()


def test_copies_are_counted_by_installation(product: Any, usage: Any) -> None:
    """Whoever sends events again is named with the number of copies and of those that differ."""
    product.deliver(usage.worked())
    product.deliver([*usage.worked()[:3], {**usage.worked()[8], "platform": "win32"}])
    ann, bob = usage.ann[0], usage.bob[0]
    assert [(ann, 4, 0), (bob, 1, 1)] == [tuple(row.values()) for row in product.ask("active-users", by="duplicates")]
