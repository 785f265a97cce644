"""What makes two series, or two log records, different ones, whichever encoding tells them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contracts.otlp.wire import JSON, PROTOBUF

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.builds(lambda v: {"stringValue": v}, text),
    st.builds(lambda v: {"intValue": str(v)}, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: {"doubleValue": v}, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(lambda v: {"boolValue": v}, st.booleans()),
    st.builds(lambda v: {"bytesValue": base64.b64encode(v).decode()}, st.binary(max_size=8)),
    st.just({}),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.builds(lambda found: {"arrayValue": {"values": found}}, st.lists(inner, max_size=3))
        | st.builds(
            lambda found: {"kvlistValue": {"values": [{"key": key, "value": value} for key, value in found.items()]}},
            st.dictionaries(text, inner, max_size=3),
        )
    ),
    max_leaves=6,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def identities(otlp: Otlp, value: dict[str, Any], media_type: str, scope: dict[str, Any] | None = None) -> list[int]:
    """The series, and the ids of two log records, that have the value as an attribute or a body."""
    requests = {
        "metrics": otlp.metrics(otlp.sum("queue.depth", 1.0, where=value)),
        "logs": otlp.logs(otlp.log(where=value), otlp.log() | {"body": value}),
    }
    found = []
    for signal, request in requests.items():
        (envelope,) = next(iter(request.values()))
        next(each for name, each in envelope.items() if name != "resource")[0]["scope"] |= scope or {}
        decoded = otlp.decode(signal, request, media_type)
        assert [] == decoded.rejects
        found += [row[1] for rows in decoded.rows.values() for row in rows]
    return found


@quick
@given(value=values)
def test_any_value_means_the_same_in_both_encodings(otlp: Otlp, value: dict[str, Any]) -> None:
    """Lists, maps and bytes tell series and records apart in JSON just as they do in protobuf."""
    assert identities(otlp, value, JSON) == identities(otlp, value, PROTOBUF)


def listed(*found: dict[str, Any]) -> dict[str, Any]:
    return {"arrayValue": {"values": list(found)}}


def mapped(**found: dict[str, Any]) -> dict[str, Any]:
    return {"kvlistValue": {"values": [{"key": key, "value": value} for key, value in found.items()]}}


A, B = {"stringValue": "a"}, {"stringValue": "b"}
DIFFERENT: tuple[dict[str, Any], ...] = (
    {}, A, B, listed(), listed(A), listed(B), listed(A, B), listed(B, A), listed(listed(A)), mapped(), mapped(a=A),
    mapped(a=B), mapped(b=A), mapped(a=listed(A)), {"bytesValue": "YQ=="}, {"bytesValue": "Yg=="},
    {"intValue": str(2**60)}, {"intValue": str(2**60 + 1)}, {"doubleValue": 0.5}, listed({"intValue": "1"}),
    {"stringValue": "['a']"}, {"stringValue": "1"}, {"intValue": "1"},
)  # fmt: skip


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
def test_different_values_are_different_series_and_records(otlp: Otlp, media_type: str) -> None:
    """Nothing is taken for a copy of what merely looks alike."""
    series, attributes, bodies = zip(*(identities(otlp, value, media_type) for value in DIFFERENT), strict=True)
    assert {len(DIFFERENT)} == {len(set(series)), len(set(attributes)), len(set(bodies))}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"intValue": "5"}, {"doubleValue": 5.0}),
        ({"intValue": 5}, {"intValue": "5"}),
        (mapped(a=A, b=B), mapped(b=B, a=A)),
        (listed({"intValue": 5}), listed({"doubleValue": 5})),
        ({"bytesValue": "-_8="}, {"bytesValue": "+/8"}),
    ],
    ids=str,
)
def test_equal_values_are_equal_in_every_spelling(otlp: Otlp, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Relays write the same value in different ways; that makes no new series."""
    assert identities(otlp, one, JSON) == identities(otlp, other, JSON)


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
def test_values_count_down_to_a_depth(otlp: Otlp, media_type: str) -> None:
    """What is nested absurdly deep is stored like any other record, and cannot be told from what is deeper still."""
    found = []
    for depth in (31, 32, 33, 40):
        value = A
        for _ in range(depth):
            value = listed(value)
        found.append(identities(otlp, value, media_type))
    assert found[0] != found[1] != found[2]
    assert found[2] == found[3]


def test_the_deepest_readable_nesting_hurts_nobody(otlp: Otlp) -> None:
    """A record that fills the parser's own limit costs the message nothing."""
    for depth in range(40, 260, 50):
        value = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
        logs = f'{{"body":{value},"attributes":[{{"key":"a","value":{value}}}]}},{{"timeUnixNano":"1"}}'
        decoded = otlp.decode_body("logs", f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{logs}]}}]}}]}}'.encode())
        assert (2, []) == (decoded.items, decoded.rejects)


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("scope", [{"version": "2"}, {"attributes": [{"key": "shard", "value": A}]}], ids=str)
def test_scopes_differ_by_version_and_attributes(otlp: Otlp, media_type: str, scope: dict[str, Any]) -> None:
    """Two meters of one name count apart."""
    plain, scoped = identities(otlp, A, media_type), identities(otlp, A, media_type, scope)
    assert set() == set(plain) & set(scoped)


@given(
    value=st.recursive(st.none() | st.integers() | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner))
)
@settings(quick, max_examples=25)
def test_garbage_instead_of_a_list_or_map_hurts_nobody(otlp: Otlp, value: Any) -> None:
    """Whatever stands in the place of nested values, the point and the records beside it are stored."""
    for garbled in ({"arrayValue": value}, {"kvlistValue": {"values": value}}, {"bytesValue": value}, listed(value)):
        assert 3 == len(identities(otlp, garbled, JSON))
