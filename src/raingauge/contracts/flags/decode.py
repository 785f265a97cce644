"""From a flag log message to rows. Pure: bytes in, rows and rejects out.

    body ──▶ batches ──▶ telemetry deltas ──▶ flag_deltas       (a glued message holds several)
                    ├──▶ applies ──▶ flags ──▶ flag_exposures
                    └──▶ resolve statistics ──▶ flag_counts

Every one of these is an item and is parsed alone. The schemas of evaluation contexts are not kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError

from raingauge.contract import Decoded, Reason, Received, Reject, Undecodable
from raingauge.contracts.flags.encoding import MessageT, batches_of_json, batches_of_protobuf, is_json
from raingauge.contracts.flags.histogram import file_spans
from raingauge.contracts.flags.knobs import FLAGS_ITEMS_MAX, FLAGS_NAME_MAX_CHARS, FLAGS_PART_MAX_BYTES
from raingauge.contracts.flags.split import Malformed, TooManyParts
from raingauge.contracts.flags.tables import FLAG_COUNTS, FLAG_DELTAS, FLAG_EXPOSURES
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire

UNKNOWN_REASON: Final = 255
"""The one bin for resolve reasons outside the enum."""

ATTRIBUTE_MAX_CHARS: Final = 64
"""SDK names and versions are cut to this: losing the end of a name is better than losing the delta."""

END_OF_TIME_SECONDS: Final = 2**63 // 10**9
"""Nanoseconds from here on do not fit the time column."""

_REASONS: Final = frozenset(wire.ResolveReason.values())
_SDK_IDS: Final = {value.number: value.name for value in wire.SdkId.DESCRIPTOR.values}
_DEFAULT_REASONS: Final = {
    value.number: value.name for value in wire.DefaultAssignment.DefaultAssignmentReason.DESCRIPTOR.values
}


def decode(body: bytes, received: Received, *, wrapped: bool) -> Decoded:
    """Rows of one message; `wrapped` is for the ingest route, whose body wraps the batch.

    Raises Undecodable when the body is not a flag log message at all or has more items than allowed.
    """
    parts_max = received.settings[FLAGS_ITEMS_MAX]
    try:
        if is_json(received.content_type, body):
            part_max_bytes = received.settings[FLAGS_PART_MAX_BYTES]
            batches = batches_of_json(body, wrapped=wrapped, parts_max=parts_max, part_max_bytes=part_max_bytes)
        else:
            batches = batches_of_protobuf(body, wrapped=wrapped, parts_max=parts_max)
    except TooManyParts as problem:
        raise Undecodable(str(problem), Reason.TOO_LARGE) from None
    except Malformed as problem:
        raise Undecodable(f"not a flag log message: {problem}") from None
    decoder = _Decoder(received)
    for batch in batches:
        for raw in batch.telemetry:
            decoder.telemetry(raw)
        for raw in batch.assigned:
            decoder.apply(raw)
        for raw in batch.resolve_infos:
            decoder.resolve_info(raw)
    return decoder.decoded


decode_write = partial(decode, wrapped=False)
decode_ingest = partial(decode, wrapped=True)


def person_key(targeting_key: str, identity_key: bytes) -> str:
    """32 hexadecimal digits that stand for an end user, different on every installation."""
    return hashlib.blake2b(
        targeting_key.encode(), digest_size=16, key=identity_key, person=b"targeting key"
    ).hexdigest()


class _Unusable(Exception):
    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(field)
        self.reason = reason
        self.field = field


class _Decoder:
    """Collects the rows of one message; an item's index in the message is its row's position."""

    def __init__(self, received: Received) -> None:
        self.decoded = Decoded()
        self._received = received
        self._part_max_bytes = received.settings[FLAGS_PART_MAX_BYTES]
        self._items_max = received.settings[FLAGS_ITEMS_MAX]
        self._name_max_chars = received.settings[FLAGS_NAME_MAX_CHARS]

    def telemetry(self, raw: bytes) -> None:
        try:
            data = self._parsed(wire.TelemetryData, raw, "telemetryData")
        except _Unusable as problem:
            self._reject(problem)
        else:
            self._add(FLAG_DELTAS.name, _delta(self._received.token_label, data))

    def apply(self, raw: bytes) -> None:
        try:
            assigned = self._parsed(wire.FlagAssigned, raw, "flagAssigned")
        except _Unusable as problem:
            self._reject(problem)
            return
        for flag in assigned.flags:
            try:
                row = self._exposure(assigned, self._parsed(wire.AppliedFlag, flag, "flags"))
            except _Unusable as problem:
                self._reject(problem)
            else:
                self._add(FLAG_EXPOSURES.name, row)

    def resolve_info(self, raw: bytes) -> None:
        try:
            info = self._parsed(wire.FlagResolveInfo, raw, "flagResolveInfo")
            self._named(flag=info.flag)
        except _Unusable as problem:
            self._reject(problem)
            return
        for variant in info.variant_resolve_info:
            self._count(info.flag, "variant", "", variant.variant, variant.count)
        for rule in info.rule_resolve_info:
            self._count(info.flag, "rule", rule.rule, "", rule.count)
            for assignment in rule.assignment_resolve_info:
                self._count(info.flag, "assignment", rule.rule, assignment.assignment_id, assignment.count)

    def _count(self, flag: str, kind: str, rule: str, name: str, count: int) -> None:
        if count < 0:
            self._reject(_Unusable(Reason.INVALID_FIELD, "count"))
            return
        try:
            self._named(rule=rule, name=name)
        except _Unusable as problem:
            self._reject(problem)
        else:
            self._add(FLAG_COUNTS.name, (self._received.token_label, flag, kind, rule, name, count))

    def _exposure(self, assigned: wire.FlagAssigned, applied: wire.AppliedFlag) -> tuple[Any, ...]:
        if not applied.flag:
            raise _Unusable(Reason.MISSING_FIELD, "flag")
        assignment, default_reason = applied.assignment_info, ""
        if applied.HasField("default_assignment"):
            number = applied.default_assignment.reason
            default_reason = _DEFAULT_REASONS.get(number, "UNKNOWN")
        self._named(
            flag=applied.flag,
            rule=applied.rule,
            assignment_id=applied.assignment_id,
            segment=assignment.segment,
            variant=assignment.variant,
            targeting_key_selector=applied.targeting_key_selector,
            resolve_id=assigned.resolve_id,
            client_credential=assigned.client_info.client_credential,
        )
        for passed in applied.fallthrough_assignments:
            self._named(rule=passed.rule, assignment_id=passed.assignment_id)
        sdk, sdk_version = _sdk(assigned.client_info.sdk)
        return (
            self._received.token_label,
            sdk,
            sdk_version,
            self._applied_at_ns(applied),
            assigned.resolve_id,
            assigned.client_info.client_credential,
            applied.flag,
            self._keyed_hash(applied.targeting_key),
            applied.targeting_key_selector,
            applied.assignment_id,
            applied.rule,
            assignment.segment,
            assignment.variant,
            default_reason,
            [passed.rule for passed in applied.fallthrough_assignments],
            [passed.assignment_id for passed in applied.fallthrough_assignments],
        )

    def _applied_at_ns(self, applied: wire.AppliedFlag) -> int:
        """Nanoseconds since 1970. An exposure without a time gets its arrival: it cannot be told from another."""
        if not applied.HasField("apply_time"):
            return self._received.message_id * 1_000
        seconds, nanos = applied.apply_time.seconds, applied.apply_time.nanos
        if not (0 <= seconds < END_OF_TIME_SECONDS and 0 <= nanos < 10**9):
            raise _Unusable(Reason.INVALID_FIELD, "applyTime")
        return seconds * 10**9 + nanos

    def _keyed_hash(self, targeting_key: str) -> str:
        return person_key(targeting_key, self._received.identity_key) if targeting_key else ""

    def _parsed(self, kind: type[MessageT], raw: bytes, field: str) -> MessageT:
        if len(raw) > self._part_max_bytes:
            raise _Unusable(Reason.TOO_LARGE, field)
        try:
            return kind.FromString(raw)
        except DecodeError:
            raise _Unusable(Reason.INVALID_FIELD, field) from None

    def _named(self, **names: str) -> None:
        for field, name in names.items():
            if len(name) > self._name_max_chars:
                raise _Unusable(Reason.TOO_LARGE, field)

    def _add(self, table: str, values: Iterable[Any]) -> None:
        self.decoded.rows.setdefault(table, []).append((self._next_position(), *values))

    def _reject(self, problem: _Unusable) -> None:
        position = self._next_position()
        self.decoded.rejects.append(Reject(problem.reason, position, problem.field, quarantined=True))

    def _next_position(self) -> int:
        position = self.decoded.items
        if position >= self._items_max:
            raise Undecodable(f"more than {self._items_max} items", Reason.TOO_LARGE)
        self.decoded.items += 1
        return position


def _delta(token_label: str, data: wire.TelemetryData) -> tuple[Any, ...]:
    """One row of `flag_deltas`.

    A sender that merges glued messages before it sends them keeps all spans but only the last count: then the
    spans say how many there were, and the sum is a lower bound.
    """
    latency = data.resolve_latency
    filed = file_spans(latency.buckets, latency.ln_ratio)
    resolves: Counter[int] = Counter()
    for rate in data.resolve_rate:
        resolves[rate.reason if rate.reason in _REASONS else UNKNOWN_REASON] += rate.count
    dedup, flush, events = data.apply_dedup, data.flush, data.events
    return (
        token_label,
        *_sdk(data.sdk),
        data.resolver_version[:ATTRIBUTE_MAX_CHARS],
        latency.sum,
        max(latency.count, sum(filed.counts.values())),
        sorted(filed.counts.items()),
        filed.refused,
        sorted(resolves.items()),
        data.memory_bytes,
        data.state_age.last_state_update,
        sum(start.count for start in data.provider_init_rate),
        dedup.applies_total,
        dedup.applies_deduped,
        dedup.apply_dedup_overflow,
        dedup.sweeps,
        flush.succeeded,
        flush.failed,
        events.published,
        events.batches_succeeded,
        events.batches_failed,
        events.events_rejected,
        dedup.map_size,
        dedup.map_capacity,
    )


def _sdk(sdk: wire.Sdk) -> tuple[str, str]:
    """Name and version; no name when the sender does not know its own yet."""
    match sdk.WhichOneof("sdk"):
        case "id":
            name = _SDK_IDS.get(sdk.id, f"SDK_ID_{sdk.id}")
        case "custom_id":
            name = sdk.custom_id[:ATTRIBUTE_MAX_CHARS]
        case _:
            name = ""
    return name, sdk.version[:ATTRIBUTE_MAX_CHARS]
