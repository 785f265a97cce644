"""Made-up LoopGain messages: small differences everywhere, so that nothing compresses or groups better than real data."""

from __future__ import annotations

import json
import random
import time
from typing import Any

DAYS = 28


def loop(made: random.Random, number: int) -> dict[str, Any]:
    """A message as version 0.6.5 of the library sends it."""
    iterations = made.randint(1, 12)
    gains = sorted(round(made.uniform(0.05, 1.2), 12) for _ in range(3))
    hour = time.gmtime(time.time() - made.randrange(DAYS * 24) * 3600)
    return {
        "schema_version": 4, "library": "loopgain", "library_version": "0.6.5", "workload_id": f"w{number % 40:08d}",
        "timestamp_hour": time.strftime("%Y-%m-%dT%H:00:00+00:00", hour), "framework": made.choice(FRAMEWORKS),
        "loop_type": made.choice(("agent", "rewrite", None)), "team": f"team-{made.randrange(8)}",
        "actual_dollars_spent": round(made.uniform(0, 2), 6), "actual_dollars_saved": None, "smoothing_window": 3,
        "loop": {
            "outcome": made.choice(OUTCOMES), "iterations_used": iterations, "savings_vs_fixed_cap": 12 - iterations,
            "rollback_triggered": made.random() < 0.2, "best_index": made.randrange(iterations),
            "convergence_profile_summary": {"min": gains[0], "median": gains[1], "max": gains[2], "samples": iterations},
        },
        "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
        "per_iteration": {
            "error_history": [round(10 * 0.5**step, 6) for step in range(iterations)],
            "convergence_profile": gains, "truncated": False, "cap": 256,
        },
    }  # fmt: skip


FRAMEWORKS = ("langgraph", "crewai", "autogen", None)
OUTCOMES = ("converged", "fast_converged", "stalled", "oscillating", "diverged", "cap_reached")


def body(made: random.Random, number: int) -> bytes:
    return json.dumps(loop(made, number)).encode()
