"""What is stored of a loop and of an adoption event: the whole allow-list, column by column."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Knob, Table

TRAJECTORIES: Final = Knob(
    "loopgain_trajectories",
    "drop",
    "What happens to the per-iteration numbers of a loop: drop them before storing, or keep them.",
    check=lambda value: None if value in ("drop", "keep") else "must be one of: drop, keep",
)
RETENTION_DAYS: Final = Knob(
    "loopgain_retention_days",
    365,
    "How long loops and adoption events are kept.",
    "days",
    lambda value: None if value > 0 else "must be greater than 0",
)

LABEL: Final = "LowCardinality(Nullable(String))"
NUMBER: Final = "Float64"
NUMBER_OR_NULL: Final = "Nullable(Float64)"
HOUR: Final = "DateTime64(0, 'UTC')"

LOOP_EVENTS: Final = Table(
    name="loop_events",
    time="timestamp_hour",
    retention_days=RETENTION_DAYS,
    tier_retention_days={"individual": 7},
    columns=(
        Column("timestamp_hour", HOUR, "The hour in which the loop ran; minutes are cut off here."),
        Column("workload_id", LABEL, "A label chosen by the sender to group its loops."),
        Column("framework", LABEL, "A label chosen by the sender: the agent framework."),
        Column("loop_type", LABEL, "A label chosen by the sender: the kind of loop."),
        Column("team", LABEL, "A label chosen by the sender: the team."),
        Column("library_version", "LowCardinality(String)", "Version of the library that sent the loop."),
        Column("outcome", "LowCardinality(String)", "How the loop ended, for example converged or diverged."),
        Column("iterations_used", NUMBER, "How many iterations the loop took."),
        Column("savings_vs_fixed_cap", NUMBER_OR_NULL, "Iterations saved against a fixed cap."),
        Column("rollback_triggered", "Bool", "Whether the loop went back to its best output."),
        Column("best_index", NUMBER_OR_NULL, "Which iteration gave the best output, counted from 0."),
        Column("profile_min", NUMBER_OR_NULL, "Smallest loop gain that was measured."),
        Column("profile_max", NUMBER_OR_NULL, "Largest loop gain that was measured."),
        Column("profile_median", NUMBER_OR_NULL, "Median of the measured loop gains."),
        Column("profile_samples", "Nullable(Int64)", "How many loop gains were measured."),
        Column("gain_margin", NUMBER_OR_NULL, "Distance to instability, as old versions of the library send it."),
        Column("threshold_fast_converge", NUMBER, "Setting of the loop: the loop gain that counts as fast."),
        Column("threshold_converging", NUMBER, "Setting of the loop: the loop gain that counts as converging."),
        Column("threshold_stalling", NUMBER, "Setting of the loop: the loop gain that counts as stalling."),
        Column("threshold_oscillating_upper", NUMBER, "Setting of the loop: the loop gain that counts as diverging."),
        Column("smoothing_window", NUMBER, "Setting of the loop: over how many iterations gains are smoothed."),
        Column("actual_dollars_saved", NUMBER_OR_NULL, "Money saved, if the sender measured it."),
        Column("actual_dollars_spent", NUMBER_OR_NULL, "Money spent, if the sender measured it."),
        Column(
            "per_iteration",
            "String",
            "Error magnitude and loop gain of each iteration as JSON; empty unless RAINGAUGE_LOOPGAIN_TRAJECTORIES=keep.",
            codec="ZSTD(3)",
        ),
    ),
)

FUNNEL_EVENTS: Final = Table(
    name="funnel_events",
    time="ts_hour",
    retention_days=RETENTION_DAYS,
    columns=(
        Column("ts_hour", HOUR, "The hour of the event; minutes are cut off here."),
        Column("event", "LowCardinality(String)", "What happened: first_init, first_observe or session."),
        Column("instance_id", "String", "A random number of one installation, made by the library."),
        Column("library_version", "LowCardinality(String)", "Version of the library."),
        Column("python", LABEL, "Version of Python."),
        Column("os", LABEL, "Name of the operating system."),
        Column("adapter", LABEL, "The agent framework in use."),
        Column("session_seq", "Nullable(Int64)", "How many sessions this installation has had."),
        Column("outcomes", "String", "How many loops of the session ended how, as JSON; empty when not sent."),
    ),
)
