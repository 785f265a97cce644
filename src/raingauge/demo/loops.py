"""Finished agent loops, as `loopgain` 0.6 reports them: one request each."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from raingauge.demo import story
from raingauge.demo.wire import Request

SENDER: Final = "loops"
LOOPS_PER_DAY: Final = 140
CAP: Final = 10

_OUTCOMES: Final = ("converged", "stalled", "oscillating", "diverged", "max_iterations")
_LAST_ERROR: Final = 0.5
_SMOOTHING: Final = 3


class Workload(NamedTuple):
    """`share` of all loops; `outcomes` are weights in the order of `_OUTCOMES`; `gain` is that of a good loop."""

    name: str
    framework: str
    loop_type: str
    team: str
    share: int
    gain: float
    outcomes: tuple[int, ...]
    iteration_usd: float


WORKLOADS: Final = (
    Workload("rag-rewrite", "langgraph", "rag_refine", "search", 30, 0.38, (88, 6, 2, 1, 3), 0.011),
    Workload("query-expansion", "langgraph", "self_critique", "search", 14, 0.45, (84, 8, 3, 1, 4), 0.006),
    Workload("code-repair", "claude-agent-sdk", "test_repair", "platform", 22, 0.52, (78, 9, 5, 2, 6), 0.064),
    Workload("release-notes", "openai-agents", "draft_review", "platform", 8, 0.41, (90, 7, 0, 0, 3), 0.018),
    Workload("sql-from-text", "langchain", "validator_loop", "data", 12, 0.48, (82, 8, 4, 1, 5), 0.009),
    Workload(story.DIVERGING_WORKLOAD, "crewai", "extract_verify", "checkout", 20, 0.44, (86, 6, 3, 2, 3), 0.021),
)
_DIVERGING: Final = (30, 7, 8, 51, 4)

_LEAST_PER_DAY: Final = 20
"""With fewer, a small demo would not show which workload diverges."""


def requests(now: datetime, day: datetime, scale: float) -> Iterator[Request]:
    """The loops of one day that ended before `now`; fewer at weekends."""
    random = story.seeded("loops", story.days_ago(now, day))
    busy = 0.35 if day.weekday() >= 5 else random.uniform(0.85, 1.15)
    for _ in range(max(_LEAST_PER_DAY, round(LOOPS_PER_DAY * busy * scale))):
        at = day + timedelta(hours=min(23.0, max(0.0, random.gauss(12, 4))))
        if at < now:
            yield request(random, at, now)


def request(random: Random, at: datetime, now: datetime) -> Request:
    """One loop that ended at `at`."""
    workload = random.choices(WORKLOADS, [one.share for one in WORKLOADS])[0]
    broken = workload.name == story.DIVERGING_WORKLOAD and story.days_ago(now, at) < story.DIVERGING_DAYS
    outcome = random.choices(_OUTCOMES, _DIVERGING if broken else workload.outcomes)[0]
    errors = _errors(random, outcome, workload.gain)
    used = len(errors)
    body: dict[str, Any] = {
        "schema_version": 4,
        "library": "loopgain",
        "library_version": "0.6.5" if story.days_ago(now, at) < 20 else "0.6.1",
        "workload_id": workload.name,
        "timestamp_hour": at.replace(minute=0, second=0, microsecond=0).isoformat(),
        "framework": workload.framework,
        "loop_type": workload.loop_type,
        "team": workload.team,
        "actual_dollars_spent": round(used * workload.iteration_usd * random.uniform(0.8, 1.2), 4),
        "actual_dollars_saved": round(max(0, CAP - used) * workload.iteration_usd, 4),
        "loop": _loop(outcome, errors),
        "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
        "smoothing_window": _SMOOTHING,
        "per_iteration": {
            "error_history": errors,
            "convergence_profile": _profile(errors),
            "truncated": False,
            "cap": 256,
        },
    }
    return Request(SENDER, "/v1/aggregate", msgspec.json.encode(body), 1)


def _errors(random: Random, outcome: str, gain: float) -> list[float]:
    """Magnitudes of the error after each iteration, of a loop that ends like this."""
    step, length = {
        "converged": (gain, 12),
        "stalled": (0.92, random.randint(4, 7)),
        "oscillating": (1.0, random.randint(4, 7)),
        "diverged": (1.3, random.randint(2, 5)),
        "max_iterations": (0.87, CAP),
    }[outcome]
    errors = [random.uniform(4.0, 20.0)]
    while len(errors) < length and not (outcome == "converged" and errors[-1] < _LAST_ERROR):
        swing = 1.0 if outcome != "oscillating" else (1.25, 0.8)[len(errors) % 2]
        errors.append(errors[-1] * step * swing * random.uniform(0.9, 1.1))
    return [round(error, 4) for error in errors]


def _profile(errors: list[float]) -> list[float]:
    """The loop gain of each iteration from the second on, the first of which is not told."""
    return [round(after / before, 4) for before, after in pairwise(errors[1:])]


def _loop(outcome: str, errors: list[float]) -> dict[str, Any]:
    profile = _profile(errors)
    summary = {
        "min": min(profile, default=None),
        "max": max(profile, default=None),
        "median": statistics.median(profile) if profile else None,
        "samples": len(profile),
    }
    return {
        "outcome": outcome,
        "iterations_used": len(errors),
        "savings_vs_fixed_cap": max(0, CAP - len(errors)),
        "convergence_profile_summary": summary,
        "rollback_triggered": outcome in ("oscillating", "diverged"),
        "best_index": errors.index(min(errors)),
    }
