"""Every event counts once, however often and in whatever company it arrives."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_deliveries_are_counted_once(product: Any, usage: Any) -> None:
    """16 received events are 14 new ones, a duplicate and a quarantined one; again, 15 duplicates."""
    assert (14, 1, 0) == product.deliver(usage.worked())
    assert (0, 15, 0) == product.deliver(usage.worked())


def test_duplicates_are_found_after_months_and_in_any_order(product: Any, usage: Any) -> None:
    """A later event with a known id is a duplicate, a different one a conflict; the first stays."""
    first = usage.event(1, "2026-08-20T12:00:00.000Z", usage.ann, usage.chat("loop_start", outcome="success"))
    other = usage.event(1, "2026-11-20T12:00:00.000Z", usage.bob, usage.chat("loop_start", outcome="failed"))
    assert (1, 1, 1) == product.deliver([first, first, other])
    product.roll_up()
    assert (0, 1, 1) == product.deliver([other, first])
    assert [("success", 1)] == [(row["outcome"], row["events"]) for row in product.ask("funnel", until="2027-01-01")]


def test_retention_drops_events_and_not_the_promise(product: Any, usage: Any) -> None:
    """Once the events themselves are gone, copies are still duplicates, other contents conflicts, and sums unchanged."""
    product.deliver(usage.worked())
    product.roll_up()
    expected = product.ask("modules")
    assert 14 == product.expire()
    changed = {**usage.worked()[0], "appVersion": "9.9.9"}
    assert (0, 15, 1) == product.deliver([*usage.worked(), changed])
    assert expected == product.ask("modules")


ASKED = [
    ("active-users", {}),
    ("modules", {"view": "corrected"}),
    ("funnel", {}),
    ("funnel", {"view": "corrected"}),
    ("funnel", {"by": "session"}),
    ("errors", {"view": "corrected"}),
    ("sessions", {"by": "day"}),
    ("sessions", {"by": "stop_reason"}),
    ("retention", {}),
]
customers = count(1)


def answers(product: Any) -> list[Any]:
    """Everything that the reads say."""
    return [product.ask(read, **query) for read, query in ASKED]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_deliveries_of_the_same_events_give_the_same_answers(product: Any, usage: Any, data: st.DataObject) -> None:
    """Order, grouping and repetition of deliveries, and sums made in between, change no answer."""
    events = usage.worked()[:-1]
    product.customer = "cust_1"
    product.deliver(events)
    expected = answers(product)
    product.customer = f"cust_{next(customers) + 1}"
    places = st.integers(0, len(events) - 1)
    for batch in data.draw(st.lists(st.lists(places, min_size=1, max_size=20), max_size=3)):
        product.deliver([events[place] for place in batch])
    if data.draw(st.booleans()):
        product.roll_up()
    product.deliver(data.draw(st.permutations(events)))
    assert expected == answers(product)


AUDIENCES = {
    "ordinary": {"module": "session", "owner_module": "session", "execution_kind": "user_session"},
    "always_on": {"module": "session", "owner_module": "always_on"},
}


@pytest.mark.parametrize("summed", [0, 7, 14])
def test_an_audience_is_a_short_name_for_its_filters(product: Any, usage: Any, summed: int) -> None:
    """Every read says the same of it, summed up or not, although it finds the audience in smaller sums."""
    others = (
        usage.chat("loop_start", **other) for other in ({"ownerModule": "cron_job"}, {"executionKind": "subagent"})
    )
    events = [
        *(usage.event(40 + n, "2026-08-20T10:00:00.000Z", usage.bob, other) for n, other in enumerate(others)),
        *usage.worked()[:-1],
    ]
    product.deliver(events[:summed] or events[:1])
    product.roll_up()
    product.deliver(events)
    for read, query in (
        *ASKED,
        ("sessions", {"view": "corrected"}),
        ("funnel", {"by": "session", "view": "corrected"}),
    ):
        for audience, filters in AUDIENCES.items():
            assert product.ask(read, **query, **filters) == product.ask(read, **query, audience=audience)


def test_wire_behaviour_of_the_real_sender_changes_no_total(product: Any, usage: Any) -> None:
    """Reversed retries, refilled batches, three starts after crashes and old versions in between count nothing twice."""
    events = usage.worked()[:-1]
    product.customer = "cust_calm"
    product.deliver(events)
    expected = answers(product)
    product.customer = "cust_stormy"
    for batch in (events[:5], events[4::-1], events[:5], [*events[4::-1], *events[5:8]]):
        product.deliver(batch)  # an answer was lost each time: the client puts events back one by one, at the head
    for _ in range(3):
        product.deliver(events[3:12])  # restored from the queue file, which stays until a clean shutdown
    product.deliver([events[14], *events[:3]])  # a line of an old version left in the queue file
    product.roll_up()
    product.deliver(events[8:])
    assert expected == answers(product)


def scheduled(usage: Any, *, known: bool) -> list[Any]:
    """A turn that looks like ordinary chat; with `known`, the scheduler's own event names its run."""
    turn = [
        usage.event(31, "2026-08-20T23:59:59.000Z", usage.bob, usage.chat("loop_start", outcome="success", runId="c1")),
        usage.event(
            32,
            "2026-08-21T00:00:03.000Z",
            usage.bob,
            usage.chat("loop_end", outcome="success", runId="c1", stopReason="completed", turns=1),
        ),
    ]
    job = {"module": "cron_job", "ownerModule": "cron_job", "loopStage": "module_event", "outcome": "success"}
    done = usage.event(33, "2026-08-21T00:00:04.000Z", usage.bob, {**job, "phase": "cron_completed", "runId": "c1"})
    return [*turn, done] if known else turn


def test_scheduled_turns_are_no_ordinary_use(product: Any, usage: Any) -> None:
    """The corrected view leaves out turns that the scheduler reports, across midnight and however late it does."""
    product.deliver(scheduled(usage, known=False))
    product.roll_up()
    ask = {"audience": "ordinary", "since": "2026-08-20", "until": "2026-08-21"}
    assert [1] == [row["turns"] for row in product.ask("sessions", view="corrected", **ask)]
    product.deliver(scheduled(usage, known=True))
    assert [] == product.ask("sessions", view="corrected", **ask)
    assert [1] == [row["turns"] for row in product.ask("sessions", view="contract", **ask)]
    assert [] == product.ask("funnel", view="corrected", **ask)


def test_whoever_also_acts_unscheduled_stays(product: Any, usage: Any) -> None:
    """A session with a scheduled turn and one of its own is counted, also when only its sums remain to be corrected."""
    alone = ("c7" * 12, "7" * 24, "a7" * 12)
    own = [
        usage.event(41, "2026-08-20T12:00:00.000Z", usage.bob, usage.chat("loop_start", outcome="success", runId="o1")),
        usage.event(42, "2026-08-20T13:00:00.000Z", alone, usage.chat("loop_start", outcome="success", runId="c1")),
    ]
    product.deliver(own)
    product.roll_up()
    product.deliver(scheduled(usage, known=True))
    expected = {"contract": (2, 2), "corrected": (1, 1)}
    for _ in range(2):
        for view, (sessions, installations) in expected.items():
            (row,) = product.ask("sessions", view=view)
            assert (sessions, installations) == (row["sessions"], row["installations"])
            funnel = product.ask("funnel", by="session", steps="loop_start,loop_end", view=view)
            assert sessions == funnel[0]["sessions"]
        product.roll_up()


def test_shared_installations_are_told_apart(product: Any, usage: Any) -> None:
    """Containers that all report one id count as one installation, beside the sessions behind it."""
    docker = "099a0cc69a6a6cdd3a21c9da"
    who = [(docker, "446daa4dea1143ae682dcdc3", session * 12) for session in ("a1", "b2", "c3")]
    at = "2026-08-20T10:00:00.000Z"
    product.deliver([usage.event(n, at, one, usage.chat("loop_start", outcome="success")) for n, one in enumerate(who)])
    product.deliver([usage.event(9, at, usage.ann, usage.chat("loop_start", outcome="success"))])
    assert [("2026-08-20", 2, 2, 2, 1, 3, 2)] == [tuple(row.values()) for row in product.ask("active-users")]


def test_cohorts_come_back(product: Any, usage: Any) -> None:
    """A cohort is named by the week of its first event, even when that lies before the window."""
    days = {usage.ann: ("07-28", "08-04", "08-18"), usage.bob: ("08-04", "08-12")}
    product.deliver(
        [
            usage.event(10 * n + k, f"2026-{day}T10:00:00.000Z", who, usage.chat("loop_start", outcome="success"))
            for n, (who, seen) in enumerate(days.items())
            for k, day in enumerate(seen)
        ]
    )
    assert [("2026-08-03", 0, 1, 1, 1), ("2026-08-03", 1, 1, 1, 1)] == [
        tuple(row.values()) for row in product.ask("retention", since="2026-08-03")
    ]
    assert [0, 1, 3, 0, 1] == [row["week"] for row in product.ask("retention", since="2026-07-27")]


def test_error_takes_provider_and_model_from_its_twin(product: Any, usage: Any) -> None:
    """The corrected view names what only the failed twin knows, and finds failures that no error reported."""
    at = "2026-08-20T10:00:00.000Z"
    failed = {"errorCategory": "model_request_error", "code": "judge_timeout"}
    judge = {"module": "router", "ownerModule": "router", "executionKind": "router_judge", "phase": "judge"}
    lost = {"module": "memory", "ownerModule": "memory", "loopStage": "loop_end", "outcome": "failed"}
    product.deliver(
        [
            usage.event(1, at, usage.ann, {**judge, **failed, "loopStage": "model_request"}),
            usage.event(
                2,
                at,
                usage.ann,
                {**judge, **failed, "loopStage": "model_request", "outcome": "failed", "provider": "p", "model": "m"},
            ),
            usage.event(3, at, usage.ann, {**lost, "errorCategory": "loop_error", "phase": "capture"}),
        ]
    )
    assert [("judge_timeout", "", "", 1)] == errors_of(product, "contract")
    assert [("", "", "", 1), ("judge_timeout", "p", "m", 1)] == errors_of(product, "corrected")


def errors_of(product: Any, view: str) -> list[Any]:
    """Code, provider, model and number of the errors."""
    return [(row["code"], row["provider"], row["model"], row["errors"]) for row in product.ask("errors", view=view)]
