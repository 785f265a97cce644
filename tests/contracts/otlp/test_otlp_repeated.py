"""What is derived once for many records: none of them is given what belongs to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contracts.otlp.attributes import ALLOWED, INDIVIDUAL
from raingauge.contracts.otlp.decode.repeated import REMEMBERED_MAX
from raingauge.contracts.otlp.wire import JSON, PROTOBUF

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

SETTINGS = {"otlp_repository_attribute": "call_id", "otlp_team_attribute": "request_id"}
SERVICES = ("claude-code", "codex", "bot")

# Few values, some of which Python takes for equal: they must meet often, and not be taken for each other.
VALUES = (
    {"stringValue": "1"}, {"stringValue": "true"}, {"stringValue": "codex"}, {"intValue": "1"}, {"intValue": "0"},
    {"doubleValue": 1.0}, {"doubleValue": 0.5}, {"boolValue": True}, {"boolValue": False},
)  # fmt: skip
USUAL = {"decision": "accept", "tool_name": "mcp__wiki__search", "vcs.owner.name": "acme", "model": "claude-sonnet-5"}

values = st.sampled_from(VALUES)
names = st.sampled_from(["work", "claude_code.tool_result", "gen_ai.chat"])
key_sets = st.lists(st.sampled_from(sorted(ALLOWED)), max_size=4, unique=True)


def attributes(keys: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Pairs with these keys."""
    return st.tuples(*(st.fixed_dictionaries({"key": st.just(key), "value": values}) for key in keys)).map(list)


records = st.lists(key_sets, min_size=1, max_size=2).flatmap(
    lambda kinds: st.lists(
        st.tuples(names, st.sampled_from([0, 1, 2, 17]), st.sampled_from(kinds).flatmap(attributes)),
        min_size=2,
        max_size=6,
    )
)


def request(otlp: Otlp, signal: str, service: str, *numbered: tuple[int, Any]) -> dict[str, Any]:
    """Spans or log records that differ in their ids and times, too."""
    resource = {"service.name": service}
    if signal == "traces":
        return otlp.spans(
            *(
                otlp.span(number) | {"name": name, "status": {"code": code}, "attributes": pairs}
                for number, (name, code, pairs) in numbered
            ),
            resource=resource,
        )
    return otlp.logs(
        *(
            {"timeUnixNano": f"{1_791_795_600 + number}000000000", "eventName": name, "severityNumber": code,
             "attributes": pairs}
            for number, (name, code, pairs) in numbered
        ),
        resource=resource,
    )  # fmt: skip


def assert_alike(otlp: Otlp, signal: str, media_type: str, drawn: list[Any]) -> None:
    """The rows of one request with all records are those of requests with one record each."""
    numbered = list(enumerate(drawn, 1))
    whole = [request(otlp, signal, service, *numbered) for service in SERVICES]
    member = next(iter(whole[0]))
    together = otlp.decode(signal, {member: [one for each in whole for one in each[member]]}, media_type, **SETTINGS)
    alone = [
        otlp.decode(signal, request(otlp, signal, service, one), media_type, **SETTINGS)
        for service in SERVICES
        for one in numbered
    ]
    expected = {
        table: [(position, *row[1:]) for position, one in enumerate(alone) for row in one.rows[table]]
        for table in together.rows
    }
    # Python takes 1 and True for equal.
    assert repr(expected) == repr(together.rows)
    assert {person for one in alone for person in one.people} == set(together.people)


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("signal", ["traces", "logs"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=records)
def test_records_beside_each_other_become_what_they_become_alone(
    otlp: Otlp, signal: str, media_type: str, drawn: list[Any]
) -> None:
    """No record is given anything of a neighbour's, however alike they are."""
    assert_alike(otlp, signal, media_type, drawn)


@pytest.mark.parametrize("signal", ["traces", "logs"])
@pytest.mark.parametrize("key", sorted(ALLOWED))
def test_records_that_differ_in_one_attribute_are_told_apart(otlp: Otlp, signal: str, key: str) -> None:
    """Whichever attribute it is that neighbours differ in, each has its own."""
    usual = [{"key": other, "value": {"stringValue": value}} for other, value in USUAL.items() if other != key]
    assert_alike(otlp, signal, JSON, [("work", 0, [*usual, {"key": key, "value": value}]) for value in VALUES])


def test_more_kinds_of_records_than_are_remembered_are_all_told_apart(otlp: Otlp) -> None:
    """A request whose records have nothing in common gives each of them what is its own."""
    sessions = [f"session-{number}" for number in range(2 * REMEMBERED_MAX + 1)] * 2
    spans = [otlp.span(number, session__id=session) for number, session in enumerate(sessions, 1)]
    assert sessions == [row["session"] for row in otlp.rows(otlp.decode("traces", otlp.spans(*spans)))["spans"]]


def test_only_what_is_read_can_be_individual() -> None:
    """The list of what tells single records apart names no key that is not read."""
    assert set() == INDIVIDUAL - ALLOWED
