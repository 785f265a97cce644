"""The worked data set of seven loops, and every answer that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

LoopGain: TypeAlias = Any
MakeLoop: TypeAlias = Callable[..., dict[str, Any]]

# id, hour, workload, framework, loop type, team, outcome, iterations, savings, (min, max, median, samples), rolled
# back, best index, dollars spent, dollars saved
ROWS = (
    (51, 1795064400, "rag-rewrite", "langgraph", "rag_refine", "search-prod", "converged", 4, 6, (0.375, 0.4, 0.3875, 2), False, 3, 0.04, 0.06),
    (52, 1795150800, "rag-rewrite", "langgraph", "rag_refine", "search-prod", "converged", 1, 9, (None, None, None, 0), False, 0, None, None),
    (53, 1795154400, "codegen-lint", "crewai", "verify_revise", "search-prod", "diverged", 3, 7, (1.2, 1.35, 1.275, 2), True, 0, 0.03, 0.07),
    (54, 1795233600, "codegen-lint", "crewai", "verify_revise", "ml-team", "stalled", 6, 4, (0.9, 1, 0.97, 5), False, 2, None, None),
    (55, 1795237200, None, None, None, None, "max_iterations", 10, 0, (0.8, 0.96, 0.9, 9), False, 8, None, None),
    (56, 1795237200, "codegen-lint", "crewai", "verify_revise", "ml-team", "oscillating", 5, 5, (0.98, 1.04, 1.01, 4), True, 1, None, None),
    (57, 1795240800, "rag-rewrite", "langgraph", "rag_refine", "calibration", "converged", 10, 0, (0.2, 0.7, 0.4, 9), False, 4, None, None),
)  # fmt: skip
BASE = 1_795_245_738_000_000
"""Message ids are times of arrival in microseconds: the worked loops arrived at 1795245738 s, n microseconds in."""


@pytest.fixture
def worked(loopgain: LoopGain, make_loop: MakeLoop) -> LoopGain:
    """The routes with the seven loops stored; the loop called 51 has the id BASE + 51."""
    bodies = {}
    for number, hour, workload, framework, loop_type, team, outcome, used, saved, gains, back, best, spent, won in ROWS:
        summary = dict(zip(("min", "max", "median", "samples"), gains, strict=True))
        bodies[BASE + number] = make_loop(
            hour,
            workload_id=workload,
            framework=framework,
            loop_type=loop_type,
            team=team,
            loop__outcome=outcome,
            loop__iterations_used=used,
            loop__savings_vs_fixed_cap=saved,
            loop__convergence_profile_summary=summary,
            loop__rollback_triggered=back,
            loop__best_index=best,
            actual_dollars_spent=spent,
            actual_dollars_saved=won,
        )
    loopgain.store(bodies, loopgain_trajectories="keep")
    return loopgain


def numbers(answer: dict[str, Any]) -> list[int]:
    """The worked numbers of the loops in a list."""
    return [row["id"] - BASE for row in answer["events"]]


def test_stats_of_the_worked_loops(worked: LoopGain) -> None:
    """All sums, counts, menus and percentiles of the seven loops, without the calibration loop."""
    assert {
        "customer_id": "cust_a3f5b9c2d18e4710",
        "tier": "team",
        "window_days": 30,
        "since": 1792653738,
        "outcomes": [
            {"outcome": "converged", "count": 2},
            {"outcome": "diverged", "count": 1},
            {"outcome": "max_iterations", "count": 1},
            {"outcome": "oscillating", "count": 1},
            {"outcome": "stalled", "count": 1},
        ],
        "totals": {
            "event_count": 6,
            "total_iterations": 29,
            "total_savings": 31,
            "rollbacks": 2,
            "total_actual_dollars_saved": 0.13,
            "event_count_with_actual_savings": 2,
            "total_actual_dollars_spent": 0.07,
            "event_count_with_actual_spend": 2,
            "total_iterations_with_actual_spend": 7,
            "event_count_with_best_index": 6,
            "total_iterations_past_best": 9,
            "event_count_best_at_iter1": 2,
        },
        "workloads": [
            {"workload_id": "codegen-lint", "count": 3},
            {"workload_id": "rag-rewrite", "count": 2},
            {"workload_id": None, "count": 1},
        ],
        "frameworks": [{"value": "langgraph", "count": 3}, {"value": "crewai", "count": 3}],
        "loop_types": [{"value": "verify_revise", "count": 3}, {"value": "rag_refine", "count": 3}],
        "teams": [
            {"value": "search-prod", "count": 3},
            {"value": "ml-team", "count": 2},
            {"value": "calibration", "count": 1},
        ],
        "aggregates": {
            "ab_median": 1,
            "ab_p99": 1.35,
            "by_outcome": [
                {"outcome": "converged", "events": 2, "iterations_used": 5, "iterations_avoided": 15, "actual_dollars_saved": 0.06},
                {"outcome": "stalled", "events": 1, "iterations_used": 6, "iterations_avoided": 4, "actual_dollars_saved": None},
                {"outcome": "oscillating", "events": 1, "iterations_used": 5, "iterations_avoided": 5, "actual_dollars_saved": None},
                {"outcome": "max_iterations", "events": 1, "iterations_used": 10, "iterations_avoided": 0, "actual_dollars_saved": None},
                {"outcome": "diverged", "events": 1, "iterations_used": 3, "iterations_avoided": 7, "actual_dollars_saved": 0.07},
            ],
        },
        "calibration_excluded": 1,
        "calibration_included": False,
    } == worked.get("/v1/stats")  # fmt: skip


def test_calibration_loops_count_when_asked_for(worked: LoopGain) -> None:
    """`include_calibration=true` counts the deliberate overrun, and says so."""
    answer = worked.get("/v1/stats?include_calibration=true")
    totals = answer["totals"]
    assert (7, 39, 14) == (
        totals["event_count"],
        totals["total_iterations"],
        totals["total_iterations_past_best"],
    )
    assert (0.98, 1.35) == (answer["aggregates"]["ab_median"], answer["aggregates"]["ab_p99"])
    assert (0, True) == (answer["calibration_excluded"], answer["calibration_included"])


def test_asking_for_a_team_switches_the_calibration_rule_off(worked: LoopGain) -> None:
    """The calibration team's own loops are seen by naming that team."""
    answer = worked.get("/v1/stats?team=calibration")
    assert (1, 0) == (
        answer["totals"]["event_count"],
        answer["totals"]["event_count_with_actual_savings"],
    )
    assert (0.7, True) == (answer["aggregates"]["ab_median"], answer["calibration_included"])


def test_a_filter_narrows_sums_and_menus(worked: LoopGain) -> None:
    """A framework's numbers are its own, in the menus too."""
    answer = worked.get("/v1/stats?framework=crewai")
    totals = answer["totals"]
    assert (3, 14, 16, 2) == tuple(
        totals[name] for name in ("event_count", "total_iterations", "total_savings", "rollbacks")
    )
    assert 1.04 == answer["aggregates"]["ab_median"]
    assert [{"value": "ml-team", "count": 2}, {"value": "search-prod", "count": 1}] == answer["teams"]


def test_an_empty_filter_means_the_empty_text(worked: LoopGain) -> None:
    """No loop has an empty workload, so everything is empty, and the counts of values are null."""
    answer = worked.get("/v1/stats?workload_id=")
    totals = answer["totals"]
    assert [] == answer["outcomes"] == answer["workloads"] == answer["teams"]
    assert {0} == {totals[name] for name in ("event_count", "total_iterations", "total_savings", "rollbacks")}
    assert {None} == {
        totals[name]
        for name in (
            "event_count_with_actual_savings",
            "event_count_with_actual_spend",
            "event_count_with_best_index",
            "event_count_best_at_iter1",
        )
    }
    assert {"ab_median": None, "ab_p99": None, "by_outcome": []} == answer["aggregates"]


def test_percentiles_are_exact(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """The median averages two middle ranks; the 99th percentile is the nearest rank."""
    expected = {1: (1, 1), 2: (1.5, 2), 100: (50.5, 99), 101: (51, 100), 200: (100.5, 198)}
    loopgain.store(
        {
            BASE + 1_000 * count + value: make_loop(framework=str(count), loop__convergence_profile_summary__max=value)
            for count in expected
            for value in range(1, count + 1)
        }
    )
    found = {count: loopgain.get(f"/v1/stats?framework={count}")["aggregates"] for count in expected}
    assert expected == {count: (numbers["ab_median"], numbers["ab_p99"]) for count, numbers in found.items()}


def test_huge_gains_do_not_overflow_the_median(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """Gains near the largest double still have a number as their median."""
    body = make_loop(loop__convergence_profile_summary__max=1.7e308)
    loopgain.store({BASE + 1: body, BASE + 2: body})
    assert 1.7e308 == loopgain.get("/v1/stats")["aggregates"]["ab_median"]


def test_profiles_of_one_workload(worked: LoopGain) -> None:
    """Gains of single loops with their columns in order, newest hour first, without the calibration loop."""
    answer = worked.get("/v1/profiles?workload_id=rag-rewrite")
    assert ("cust_a3f5b9c2d18e4710", "rag-rewrite") == (answer["customer_id"], answer["workload_id"])
    newest, oldest = answer["events"]
    assert [
        ("id", BASE + 52), ("timestamp_hour", 1795150800), ("workload_id", "rag-rewrite"), ("framework", "langgraph"),
        ("loop_type", "rag_refine"), ("team", "search-prod"), ("profile_min", None), ("profile_max", None),
        ("profile_median", None), ("profile_samples", 0), ("outcome", "converged"), ("iterations_used", 1),
        ("gain_margin", None),
    ] == list(newest.items())  # fmt: skip
    assert (0.375, 0.4, 0.3875, 2) == tuple(
        oldest[name] for name in ("profile_min", "profile_max", "profile_median", "profile_samples")
    )


def test_events_with_rollback(worked: LoopGain) -> None:
    """Results of single loops with their columns in order; the rollback flag is a number."""
    answer = worked.get("/v1/events?rollbacks_only=true")
    assert [56, 53] == numbers(answer)
    assert [
        ("id", BASE + 53), ("timestamp_hour", 1795154400), ("workload_id", "codegen-lint"), ("framework", "crewai"),
        ("loop_type", "verify_revise"), ("team", "search-prod"), ("outcome", "diverged"), ("iterations_used", 3),
        ("profile_max", 1.35), ("savings_vs_fixed_cap", 7), ("library_version", "0.6.5"), ("best_index", 0),
        ("rollback_triggered", 1), ("actual_dollars_saved", 0.07), ("actual_dollars_spent", 0.03),
        ("gain_margin", None),
    ] == list(answer["events"][1].items())  # fmt: skip
    assert 1 == answer["events"][1]["rollback_triggered"]
    assert answer["events"][1]["rollback_triggered"] is not True


SIX = [56, 55, 54, 53, 52, 51]
LISTED = {
    "": SIX,
    "?since_hours=3": [56, 55],
    "?since_hours=1e3": [],
    "?since_hours=0": SIX,
    "?since_hours=-1": SIX,
    "?since_hours=soon": SIX,
    "?since_hours=": SIX,
    "?since_hours=999999999999": SIX,
    "?limit=2x": [56, 55],
    "?limit=0": SIX,
    "?limit=-3": SIX,
    "?team=": [],
    "?team=calibration": [57],
    "?team=Search-prod": [],
    "?framework=crewai&framework=langgraph": [56, 54, 53],
    "?include_calibration=true": [57, *SIX],
    "?include_calibration=1": SIX,
    "?since_hours=1&team=calibration": [],
}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/profiles"])
def test_lists_of_the_worked_loops(worked: LoopGain, path: str) -> None:
    """Both lists read the same parameters alike: newest hour first, the later of one hour first."""
    assert LISTED == {query: numbers(worked.get(path + query)) for query in LISTED}


def test_rollbacks_only_is_exact(worked: LoopGain) -> None:
    """Anything but `true` does not filter."""
    assert [56, 55, 54, 53, 52, 51] == numbers(worked.get("/v1/events?rollbacks_only=1"))


def test_one_event(worked: LoopGain) -> None:
    """One loop with its thresholds, the second it arrived, and its iterations."""
    assert {
        "event": {
            "id": BASE + 51,
            "timestamp_hour": 1795064400,
            "workload_id": "rag-rewrite",
            "framework": "langgraph",
            "loop_type": "rag_refine",
            "team": "search-prod",
            "library_version": "0.6.5",
            "outcome": "converged",
            "iterations_used": 4,
            "savings_vs_fixed_cap": 6,
            "rollback_triggered": 0,
            "profile_min": 0.375,
            "profile_max": 0.4,
            "profile_median": 0.3875,
            "profile_samples": 2,
            "gain_margin": None,
            "threshold_fast_converge": 0.3,
            "threshold_converging": 0.85,
            "threshold_stalling": 0.95,
            "threshold_oscillating_upper": 1.05,
            "smoothing_window": 3,
            "received_at": 1795245738,
            "per_iteration": {
                "error_history": [10, 4, 1.5, 0.3],
                "convergence_profile": [0.4, 0.3875],
                "truncated": False,
                "cap": 256,
            },
        }
    } == worked.get(f"/v1/event/{BASE + 51}")


def test_a_calibration_loop_is_found_by_its_id(worked: LoopGain) -> None:
    """The calibration rule is for lists and sums only."""
    assert "calibration" == worked.get(f"/v1/event/{BASE + 57}")["event"]["team"]


def test_ids_may_be_written_with_a_point(worked: LoopGain) -> None:
    """`51.0` is 51, as the dashboard's language has it."""
    assert BASE + 51 == worked.get(f"/v1/event/{BASE + 51}.0")["event"]["id"]


def test_trajectories_are_dropped_unless_kept(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """Without the operator's wish no numbers of single iterations are stored."""
    loopgain.store({BASE: make_loop()})
    assert loopgain.get(f"/v1/event/{BASE}")["event"]["per_iteration"] is None


def test_infinite_gains_are_served_as_null(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """The nulls that the library writes for infinite gains come back as nulls."""
    series = {"error_history": [5e-324, 1.0], "convergence_profile": [None], "truncated": False, "cap": 256}
    loopgain.store({BASE: make_loop(per_iteration=series)}, loopgain_trajectories="keep")
    assert series == loopgain.get(f"/v1/event/{BASE}")["event"]["per_iteration"]


def test_an_empty_tenant_has_empty_answers(loopgain: LoopGain) -> None:
    """No loops are no error; a tenant without a tier has none."""
    assert [] == loopgain.get("/v1/events")["events"] == loopgain.get("/v1/profiles")["events"]
    stats = loopgain.get("/v1/stats", token="other")
    assert (0, 0, None) == (stats["totals"]["event_count"], stats["calibration_excluded"], stats["tier"])


def test_a_customer_sees_only_its_own_loops(worked: LoopGain) -> None:
    """Another customer's token finds neither rows nor sums nor the id."""
    assert 0 == worked.get("/v1/stats", token="other")["totals"]["event_count"]
    assert [] == worked.get("/v1/events", token="other")["events"]
    assert 404 == worked.ask(f"/v1/event/{BASE + 51}", token="other").status_code


def test_an_old_gain_margin_is_served(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """What old versions of the library send as gain margin is kept."""
    loopgain.store({BASE: make_loop(schema_version=1, loop__gain_margin=0.25)})
    assert [0.25, 0.25, 0.25] == [
        loopgain.get("/v1/profiles")["events"][0]["gain_margin"],
        loopgain.get("/v1/events")["events"][0]["gain_margin"],
        loopgain.get(f"/v1/event/{BASE}")["event"]["gain_margin"],
    ]


def test_an_old_loop_is_reachable(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """Old loops are outside the usual window, and within a window that goes back far enough."""
    loopgain.store({BASE: make_loop(timestamp_hour="1950")})
    assert [] == loopgain.get("/v1/events")["events"]
    assert [-631152000] == [row["timestamp_hour"] for row in loopgain.get("/v1/events?since_hours=750000")["events"]]
