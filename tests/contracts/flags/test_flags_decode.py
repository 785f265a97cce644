"""Flag log messages become rows."""

import math
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raingauge.contract import Decoded, Reason, Received, Reject, Settings, Undecodable
from raingauge.contracts.flags import FLAGS
from raingauge.contracts.flags.decode import decode_ingest, decode_write
from raingauge.contracts.flags.histogram import BUCKETS, LN_RATIO, bucket_of
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire
from raingauge.store.arrow import build

Body = Callable[[str], bytes]
Row = dict[str, Any]
RECEIVED = Received(message_id=1_795_000_000_000_000, customer="cust_1", token_label="edge-1", identity_key=b"k" * 32)
TABLES = {table.name: table for table in FLAGS.tables}


def rows(decoded: Decoded, table: str) -> list[Row]:
    names = ["position", *(column.name for column in TABLES[table].columns)]
    return [dict(zip(names, row, strict=True)) for row in decoded.rows.get(table, [])]


def told(row: Row) -> Row:
    """A row without its zeros and blanks."""
    return {name: value for name, value in row.items() if value}


def totals(*decoded: Decoded) -> dict[str, Any]:
    """What the store makes of deltas: sums by bucket and by reason."""
    buckets, reasons, plain = Counter[int](), Counter[int](), Counter[str]()
    for delta in (row for one in decoded for row in rows(one, "flag_deltas")):
        buckets.update(dict(delta["latency_buckets"]))
        reasons.update(dict(delta["resolves"]))
        plain.update({name: delta[name] for name in ("latency_sum_us", "latency_count", "observations_refused")})
    return {"buckets": +buckets, "reasons": +reasons, **plain}


def test_a_request_through_the_worker_becomes_one_delta(protobuf: Body) -> None:
    """Latency, reason, SDK and versions of the sender stand in one row under the label of its credential."""
    decoded = decode_write(protobuf("one_match"), RECEIVED)
    assert decoded.items == 1
    assert [
        {
            "resolver_id": "edge-1",
            "sdk": "SDK_ID_CLOUDFLARE_RESOLVER",
            "sdk_version": "0.14.1",
            "resolver_version": "0.22.1",
            "latency_sum_us": 3000,
            "latency_count": 1,
            "latency_buckets": [(62, 1)],
            "resolves": [(1, 1)],
        }
    ] == [told(row) for row in rows(decoded, "flag_deltas")]


def test_an_sdk_flush_becomes_delta_exposure_and_counts(protobuf: Body) -> None:
    """Everything that one flush carries is kept, the user's id only as a keyed hash."""
    decoded = decode_write(protobuf("local_sdk"), RECEIVED)
    delta, exposure = rows(decoded, "flag_deltas")[0], rows(decoded, "flag_exposures")[0]
    assert {54: 2, 55: 1, 58: 1} == dict(delta["latency_buckets"])
    assert (5400, 4, 2359296) == (delta["latency_sum_us"], delta["latency_count"], delta["memory_bytes"])
    assert {
        "position": 1,
        "resolver_id": "edge-1",
        "sdk": "SDK_ID_JS_LOCAL_SERVER_PROVIDER",
        "sdk_version": "0.19.1",
        "applied_at": 1_795_245_602_375_798_000,
        "resolve_id": "BFRVDylJnxaZ2Gn6DrbPK8GqriRCRjAP",
        "client_credential": "clients/c1/clientCredentials/k1",
        "flag": "flags/demo",
        "targeting_key_selector": "targeting_key",
        "assignment_id": "flags/demo/variants/on",
        "rule": "flags/demo/rules/r1",
        "segment": "segments/all",
        "variant": "flags/demo/variants/on",
    } == {name: value for name, value in told(exposure).items() if name != "targeting_key"}
    assert 32 == len(exposure["targeting_key"])
    assert "user-1" not in str(decoded)
    assert [
        ("flags/demo", "variant", "", "flags/demo/variants/on", 3),
        ("flags/demo", "variant", "", "", 1),
        ("flags/demo", "rule", "flags/demo/rules/r1", "", 3),
        ("flags/demo", "assignment", "flags/demo/rules/r1", "flags/demo/variants/on", 3),
    ] == [row[2:] for row in decoded.rows["flag_counts"]]
    assert (6, []) == (decoded.items, decoded.rejects)


@pytest.mark.parametrize("name", ["one_match", "local_sdk", "damaged"])
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "", "text/plain"])
def test_json_and_protobuf_give_the_same_rows(protobuf: Body, json_body: Body, name: str, content_type: str) -> None:
    """The encoding leaves no trace, and a missing content type is worked out from the body."""
    as_json = msgspec.structs.replace(RECEIVED, content_type=content_type)
    assert decode_write(protobuf(name), RECEIVED) == decode_write(json_body(name), as_json)


def test_the_ingest_route_unwraps_the_same_batch(protobuf: Body, json_body: Body) -> None:
    """A batch means the same with and without the account around it."""
    expected = decode_write(protobuf("one_match"), RECEIVED)
    assert expected == decode_ingest(protobuf("ingest"), RECEIVED)
    assert expected == decode_ingest(b'{"accountId":"acct","batch":' + json_body("one_match") + b"}", RECEIVED)
    assert Decoded() == decode_ingest(b'{"accountId":"acct","batch":null}', RECEIVED)


def test_glued_messages_count_both_deltas(protobuf: Body) -> None:
    """Two flushes in one body are two rows whose sums are the sums of both."""
    glued = decode_write(protobuf("glued"), RECEIVED)
    assert 2 == glued.items
    apart = [decode_write(protobuf(name), RECEIVED) for name in ("one_match", "local_sdk")]
    assert totals(*apart) == totals(glued)
    assert 7230 == totals(decode_write(protobuf("crashed"), RECEIVED))["latency_sum_us"]


def test_a_merged_delta_counts_what_its_spans_say() -> None:
    """When a sender merged glued messages itself only the spans still know how many resolves there were."""
    spans = [wire.BucketSpan(offset=54, counts=[2]), wire.BucketSpan(offset=66, counts=[1])]
    data = wire.TelemetryData(resolve_latency=wire.ResolveLatency(sum=5000, count=1, buckets=spans))
    assert (5000, 3) == (
        (delta := rows(decode_write(telemetry(data), RECEIVED), "flag_deltas")[0])["latency_sum_us"],
        delta["latency_count"],
    )


def telemetry(*data: wire.TelemetryData) -> bytes:
    return wire.FlagLogs(telemetry_data=[one.SerializeToString() for one in data]).SerializeToString()


def test_damaged_spans_are_counted_while_sum_and_count_stay(protobuf: Body) -> None:
    """Of 23 claimed observations the 2 that have a bucket are taken, 21 are noted as refused."""
    assert {
        "buckets": {172: 1, 173: 1},
        "reasons": {6: 2},
        "latency_sum_us": 4_294_967_295,
        "latency_count": 2,
        "observations_refused": 21,
    } == totals(decode_write(protobuf("damaged"), RECEIVED))


@pytest.mark.parametrize("reason", [12, 99, 255, 256, -1, 2**31 - 1, -(2**31)])
def test_reasons_outside_the_enum_share_one_bin(reason: int) -> None:
    """No reason number can ask for memory or collide with a real reason."""
    rate = wire.ResolveRate(count=3)
    raw = rate.SerializeToString() + b"\x10" + varint(reason)
    body = telemetry(wire.TelemetryData.FromString(b"\x2a" + bytes([len(raw)]) + raw))
    assert {255: 3} == totals(decode_write(body, RECEIVED))["reasons"]


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_names_newer_than_this_server_are_not_read_as_zero() -> None:
    """An unknown reason goes to the unknown bin and an unknown SDK keeps its name."""
    body = b"""{"telemetryData": {"sdk": {"id": "SDK_ID_ZIG_PROVIDER"},
        "resolveRate": [{"count": 2, "reason": "RESOLVE_REASON_NEW"}, {"count": 5}]}}"""
    delta = rows(decode_write(body, RECEIVED), "flag_deltas")[0]
    assert ("SDK_ID_ZIG_PROVIDER", [(0, 5), (255, 2)]) == (delta["sdk"], delta["resolves"])
    numbered = telemetry(wire.TelemetryData.FromString(b"\x12\x02\x08\x63"))
    assert "SDK_ID_99" == rows(decode_write(numbered, RECEIVED), "flag_deltas")[0]["sdk"]


def test_another_ratio_is_filed_into_our_buckets() -> None:
    """A sender with half as many buckets lands where its buckets' middles lie."""
    latency = wire.ResolveLatency(
        sum=20, count=2, ln_ratio=2 * LN_RATIO, buckets=[wire.BucketSpan(offset=27, counts=[1, 1])]
    )
    found = totals(decode_write(telemetry(wire.TelemetryData(resolve_latency=latency)), RECEIVED))
    assert {55: 1, 57: 1} == found["buckets"]


@pytest.mark.parametrize("ratio", [math.nan, math.inf, -math.inf, -1.0, 5e-324, 1e300])
def test_an_impossible_ratio_refuses_the_buckets_only(ratio: float) -> None:
    """No ratio raises or files observations outside the buckets."""
    latency = wire.ResolveLatency(
        sum=7, count=3, ln_ratio=ratio, buckets=[wire.BucketSpan(offset=2**31 - 1, counts=[3])]
    )
    found = totals(decode_write(telemetry(wire.TelemetryData(resolve_latency=latency)), RECEIVED))
    assert (7, 3) == (found["latency_sum_us"], found["latency_count"])
    assert set(found["buckets"]) <= set(range(BUCKETS))
    assert 3 == sum(found["buckets"].values()) + found["observations_refused"]


def test_newer_members_are_kept_and_unknown_ones_ignored(protobuf: Body) -> None:
    """Provider starts, de-duplication, flush and event counts are stored; a member of tomorrow harms nothing."""
    data = wire.TelemetryData(
        provider_init_rate=[wire.ProviderInitRate(count=1)],
        apply_dedup=wire.ApplyDedup(
            applies_total=9, applies_deduped=4, apply_dedup_overflow=2, sweeps=1, map_size=5, map_capacity=100_000
        ),
        flush=wire.Flush(succeeded=3, failed=1),
        events=wire.Events(published=8, batches_succeeded=2, batches_failed=1, events_rejected=6),
        state_age=wire.StateAge(last_state_update=1_795_245_602_000),
    )
    body = telemetry(wire.TelemetryData.FromString(data.SerializeToString() + b"\xfa\x06\x03abc")) + b"\xfa\x06\x01x"
    assert {
        "resolver_id": "edge-1", "provider_inits": 1, "applies": 9, "applies_deduped": 4, "applies_overflowed": 2,
        "dedup_sweeps": 1, "flushes_succeeded": 3, "flushes_failed": 1, "events_published": 8,
        "event_batches_succeeded": 2, "event_batches_failed": 1, "events_rejected": 6, "dedup_map_size": 5,
        "dedup_map_capacity": 100_000, "state_updated_ms": 1_795_245_602_000,
    } == told(rows(decode_write(body, RECEIVED), "flag_deltas")[0])  # fmt: skip
    beat = rows(decode_write(protobuf("heartbeat"), RECEIVED), "flag_deltas")[0]
    assert ("SDK_ID_PYTHON_PROVIDER", 1) == (beat["sdk"], beat["flushes_succeeded"])
    assert "" == rows(decode_write(protobuf("first_heartbeat"), RECEIVED), "flag_deltas")[0]["sdk"]


def test_one_damaged_item_leaves_its_neighbours_alone(protobuf: Body) -> None:
    """What cannot be parsed is one reject each; the good delta and the good exposure beside it are stored."""
    good = wire.FlagLogs.FromString(protobuf("local_sdk"))
    assigned = wire.FlagAssigned.FromString(good.flag_assigned[0])
    assigned.flags.extend([b"\x0a\xff", wire.AppliedFlag(rule="rules/without-flag").SerializeToString()])
    logs = wire.FlagLogs(
        telemetry_data=[b"\x22\xff", good.telemetry_data[0]],
        flag_assigned=[assigned.SerializeToString(), b"\xff"],
        flag_resolve_info=[wire.FlagResolveInfo(
            flag="f", variant_resolve_info=[wire.VariantResolveInfo(count=-1), wire.VariantResolveInfo(count=2**63 - 1)]
        ).SerializeToString()],
    )  # fmt: skip
    decoded = decode_write(logs.SerializeToString(), RECEIVED)
    assert [
        Reject(Reason.INVALID_FIELD, 0, "telemetryData", quarantined=True),
        Reject(Reason.INVALID_FIELD, 3, "flags", quarantined=True),
        Reject(Reason.MISSING_FIELD, 4, "flag", quarantined=True),
        Reject(Reason.INVALID_FIELD, 5, "flagAssigned", quarantined=True),
        Reject(Reason.INVALID_FIELD, 6, "count", quarantined=True),
    ] == decoded.rejects
    assert {"flag_deltas": 1, "flag_exposures": 1, "flag_counts": 1} == {n: len(r) for n, r in decoded.rows.items()}
    assert 2**63 - 1 == decoded.rows["flag_counts"][0][-1]
    assert decoded.items == len(decoded.rejects) + 3


def test_json_items_are_rejected_alone_too() -> None:
    """A wrong type, a number that does not fit and a foreign value each cost one item."""
    body = b"""{"flag_assigned": [3, {"flags": [{"flag": "flags/a"}, {"flag": 4}, 5]}, {"flags": "x"}],
        "telemetry_data": {"memory_bytes": "-1"}, "clientResolveInfo": 7, "somethingNew": {},
        "flagResolveInfo": [{"flag": "f", "variantResolveInfo": [{"count": 99999999999999999999}]}, null]}"""
    decoded = decode_write(body, RECEIVED)
    assert [
        "telemetryData",
        "flagAssigned",
        "flags",
        "flags",
        "flagAssigned",
        "flagResolveInfo",
        "flagResolveInfo",
    ] == [reject.field for reject in decoded.rejects]
    assert ["flags/a"] == [row["flag"] for row in rows(decoded, "flag_exposures")]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"telemetryData":{}', b"\xff", b"\x12\x7f", b"{" * 5000, b"\x0b", b"\x00"]
)
def test_what_is_no_message_is_undecodable(body: bytes) -> None:
    """A body that is neither encoding is refused as a whole and its content is not repeated."""
    with pytest.raises(Undecodable, match=r"^not a flag log message: (JSON object|protobuf message)$"):
        decode_write(body, RECEIVED)


def test_limits_are_the_settings() -> None:
    """A name or a part that is too large is rejected; too many items make the message undecodable."""
    limits = Settings({"flags_part_max_bytes": 40, "flags_items_max": 3, "flags_name_max_chars": 9})
    received = msgspec.structs.replace(RECEIVED, settings=limits)
    flags = [wire.AppliedFlag(flag=name).SerializeToString() for name in ("f" * 9, "f" * 10)]
    assigned = [wire.FlagAssigned(flags=flags), wire.FlagAssigned(resolve_id="r" * 40)]
    logs = wire.FlagLogs(flag_assigned=[one.SerializeToString() for one in assigned])
    decoded = decode_write(logs.SerializeToString(), received)
    assert [(Reason.TOO_LARGE, "flag"), (Reason.TOO_LARGE, "flagAssigned")] == [
        (reject.reason, reject.field) for reject in decoded.rejects
    ]
    logs.telemetry_data.append(b"")
    with pytest.raises(Undecodable, match="more than 3 items") as caught:
        decode_write(logs.SerializeToString(), received)
    assert Reason.TOO_LARGE == caught.value.reason


def test_an_exposure_without_a_time_gets_its_arrival() -> None:
    """Two such exposures in two messages stay two: nothing shows that one is a retry of the other."""
    body = wire.FlagLogs(
        flag_assigned=[wire.FlagAssigned(flags=[wire.AppliedFlag(flag="f").SerializeToString()]).SerializeToString()]
    ).SerializeToString()
    assert [RECEIVED.message_id * 1000] == [
        row["applied_at"] for row in rows(decode_write(body, RECEIVED), "flag_exposures")
    ]


@pytest.mark.parametrize("time", ["1969-12-31T23:59:59Z", "2263-01-01T00:00:00Z"])
def test_an_exposure_with_an_impossible_time_is_rejected(time: str) -> None:
    """A time that no column holds cannot push a whole message out of the store."""
    body = b'{"flagAssigned":[{"flags":[{"flag":"f","applyTime":"%s"}]}]}' % time.encode()
    assert ["applyTime"] == [reject.field for reject in decode_write(body, RECEIVED).rejects]


def nested(*tags: int, content: bytes) -> bytes:
    """Content in a length-delimited field in a field …, the outermost first."""
    for tag in reversed(tags):
        content = bytes([tag]) + varint(len(content)) + content
    return content


MANY = 1 << 17


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"\x12\xff\xff\xff\xff\x07", id="a part of 2 GiB"),
        pytest.param(nested(0x12, 0x22, 0x1A, 0x12, content=b"\x01" * MANY), id="one endless span"),
        pytest.param(nested(0x12, 0x22, content=b"\x1a\x00" * MANY), id="empty spans"),
        pytest.param(nested(0x12, content=b"\x2a\x00" * MANY), id="empty rates"),
        pytest.param(nested(0x0A, content=b"\x7a\x00" * MANY), id="empty flags"),
        pytest.param(b"\x0a\x00" * MANY, id="empty applies"),
        pytest.param(nested(0x22, content=b"\x12\x00" * MANY), id="empty counts"),
        pytest.param(b'{"flagAssigned":[' + b"0," * MANY * 2 + b"0]}", id="JSON numbers"),
    ],
)
def test_no_message_buys_much_memory(hostile: bytes) -> None:
    """Claimed lengths and counts reserve nothing; Python memory stays in proportion to the body."""
    received = msgspec.structs.replace(RECEIVED, settings=Settings({"flags_items_max": 10_000}))
    tracemalloc.start()
    try:
        decode_write(hostile, received)
    except Undecodable:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * len(hostile) + 4_000_000


@settings(deadline=None)
@given(body=st.binary(max_size=200) | st.binary(max_size=100).map(lambda raw: b"\x12" + varint(len(raw)) + raw))
def test_no_bytes_crash_the_decoder(body: bytes) -> None:
    """Whatever arrives ends in rows, rejects or one clear refusal, and rows always fit their columns."""
    for decode in (decode_write, decode_ingest):
        try:
            decoded = decode(body, RECEIVED)
        except Undecodable:
            continue
        for name, found in decoded.rows.items():
            build(TABLES[name], "cust_1", RECEIVED.message_id, found)
        assert decoded.items == sum(map(len, decoded.rows.values())) + len(decoded.rejects)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["flags", "flag", "sdk", "id", "resolveRate", "reason", "count", "applyTime", "buckets",
                         "resolveLatency", "offset", "counts", "lnRatio", "clientInfo", "variantResolveInfo"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(
    batch=st.dictionaries(
        st.sampled_from(["flagAssigned", "flag_assigned", "telemetryData", "flagResolveInfo", "batch"]), json_values
    )
)
def test_no_json_crashes_the_decoder(batch: dict[str, Any]) -> None:
    """JSON of any shape is rows and rejects, never an exception."""
    import json

    body = json.dumps(batch, allow_nan=False, default=str) if _finite(batch) else "{}"
    for decode in (decode_write, decode_ingest):
        try:
            decoded = decode(body.encode("utf-8", "surrogatepass"), RECEIVED)
        except Undecodable:
            continue
        assert decoded.items == sum(map(len, decoded.rows.values())) + len(decoded.rejects)


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


latencies = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30)


@settings(deadline=None)
@given(values=latencies, data=st.data())
def test_any_split_of_observations_gives_the_same_totals(values: list[int], data: st.DataObject) -> None:
    """However resolves are grouped into flushes, glued and ordered, the totals are the same."""
    order = data.draw(st.permutations(values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    groups = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    deltas = [_delta(group) for group in groups if sum(group) < 2**32]
    kept = [value for group in groups if sum(group) < 2**32 for value in group]
    glued = data.draw(st.integers(0, len(deltas)))
    bodies = [telemetry(*deltas[:glued]), *map(telemetry, deltas[glued:])]
    assert {
        "buckets": Counter(map(bucket_of, kept)),
        "reasons": Counter({1: len(kept)} if kept else {}),
        "latency_sum_us": sum(kept),
        "latency_count": len(kept),
        "observations_refused": 0,
    } == {"latency_sum_us": 0, "latency_count": 0, "observations_refused": 0} | totals(
        *(decode_write(body, RECEIVED) for body in bodies)
    )


def _delta(values: list[int]) -> wire.TelemetryData:
    spans = [wire.BucketSpan(offset=index, counts=[n]) for index, n in Counter(map(bucket_of, values)).items()]
    return wire.TelemetryData(
        resolve_latency=wire.ResolveLatency(sum=sum(values), count=len(values), buckets=spans, ln_ratio=LN_RATIO),
        resolve_rate=[wire.ResolveRate(count=len(values), reason=wire.RESOLVE_REASON_MATCH)],
    )


def test_the_usual_ratio_is_the_senders() -> None:
    """Our constant has the eight bytes that resolvers send."""
    assert "8584f66dba5fc03f" == struct.pack("<d", LN_RATIO).hex()
    assert [0, 0, 18, 54, 72, 173] == [bucket_of(value) for value in (0, 1, 10, 1000, 10_000, 2**32 - 1)]
