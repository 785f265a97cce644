"""Which encoding a body has, and the JSON mapping rewritten as protobuf, so that there is one decoder.

JSON follows https://protobuf.dev/programming-guides/json/ (both spellings of a name, integers as text or number,
enums by name or number). A JSON item that cannot be understood becomes bytes that are no protobuf message either: the
decoder then rejects it in its place like any other damaged item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message

from raingauge.contracts.flags.split import Malformed, TooManyParts, fields
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire

MessageT = TypeVar("MessageT", bound=Message)
JsonObject: TypeAlias = dict[str, Any]

JSON_TYPE: Final = "application/json"
PROTOBUF_TYPES: Final = frozenset({"application/x-protobuf", "application/protobuf"})
UNKNOWN_ENUM: Final = -1
"""Stands for an enum name that this server does not know."""

COMMAS_PER_PART: Final = 16
"""Real items have fewer. A list has no more items than commas, so counting them bounds what is built from a body."""

UNREADABLE: Final = b"\xff"
"""No protobuf message starts with this byte: its last three bits are no wire type."""

_NULL: Final = b"null"
_ITEM_FIELDS: Final = (
    wire.FlagLogs.TELEMETRY_DATA_FIELD_NUMBER,
    wire.FlagLogs.FLAG_ASSIGNED_FIELD_NUMBER,
    wire.FlagLogs.FLAG_RESOLVE_INFO_FIELD_NUMBER,
)


class JsonMembers(msgspec.Struct):
    """The members that are read, in both spellings; all others are passed over without being kept."""

    batch: msgspec.Raw = msgspec.Raw(_NULL)
    telemetryData: msgspec.Raw = msgspec.Raw(_NULL)  # noqa: N815 - the wire's spelling
    telemetry_data: msgspec.Raw = msgspec.Raw(_NULL)
    flagAssigned: msgspec.Raw = msgspec.Raw(_NULL)  # noqa: N815
    flag_assigned: msgspec.Raw = msgspec.Raw(_NULL)
    flagResolveInfo: msgspec.Raw = msgspec.Raw(_NULL)  # noqa: N815
    flag_resolve_info: msgspec.Raw = msgspec.Raw(_NULL)


_MEMBERS: Final = msgspec.json.Decoder(JsonMembers)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(JsonObject)
_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Batch(NamedTuple):
    """The items of one batch as protobuf, each still to be parsed."""

    telemetry: Sequence[bytes]
    assigned: Sequence[bytes]
    resolve_infos: Sequence[bytes]


def is_json(content_type: str, body: bytes) -> bool:
    """Whether to read a body as JSON. A type that says neither leaves it to the first byte.

    No protobuf message of ours starts with a brace: it would be a group, which these messages do not have.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON_TYPE or media_type.endswith("+json"):
        return True
    return media_type not in PROTOBUF_TYPES and body[:1] == b"{"


def batches_of_protobuf(body: bytes, *, wrapped: bool, parts_max: int) -> list[Batch]:
    """The batches of a body. `wrapped` is for the ingest route. Raises Malformed, TooManyParts."""
    bodies = _contents(body, parts_max).get(wire.IngestFlagLogs.BATCH_FIELD_NUMBER, ()) if wrapped else (body,)
    found = [_contents(batch, parts_max) for batch in bodies]
    return [Batch(*(contents.get(number, ()) for number in _ITEM_FIELDS)) for contents in found]


def _contents(message: bytes, parts_max: int) -> dict[int, list[bytes]]:
    contents: dict[int, list[bytes]] = {}
    for count, (number, content) in enumerate(fields(message)):
        if count >= parts_max:
            raise TooManyParts(f"more than {parts_max} parts")
        contents.setdefault(number, []).append(content)
    return contents


def members_of_json(body: bytes, *, wrapped: bool) -> list[JsonMembers]:
    """The batches of a JSON body, members unparsed but known to be well-formed. Raises Malformed."""
    members = _members(body or b"{}")
    return [_members(batch) for batch in _values(members.batch)] if wrapped else [members]


def batches_of_json(body: bytes, *, wrapped: bool, parts_max: int, part_max_bytes: int) -> list[Batch]:
    """The same for JSON. Items above `part_max_bytes` are passed on unread. Raises Malformed, TooManyParts."""
    if body.count(b",") > COMMAS_PER_PART * parts_max:
        raise TooManyParts(f"more than {parts_max} parts")
    read = _ItemReader(part_max_bytes)
    return [
        Batch(
            [*map(read.telemetry, _values(members.telemetryData, members.telemetry_data))],
            [*map(read.assigned, _items(members.flagAssigned, members.flag_assigned))],
            [*map(read.resolve_info, _items(members.flagResolveInfo, members.flag_resolve_info))],
        )
        for members in members_of_json(body, wrapped=wrapped)
    ]


def _members(raw: bytes) -> JsonMembers:
    try:
        return _MEMBERS.decode(raw)
    except _NOT_JSON:
        raise Malformed("JSON object") from None


def _values(*spellings: msgspec.Raw) -> Iterator[bytes]:
    for spelling in spellings:
        raw = bytes(spelling)
        if raw != _NULL:
            yield raw


def _items(*spellings: msgspec.Raw) -> Iterator[bytes]:
    for raw in _values(*spellings):
        try:
            yield from map(bytes, _ITEMS.decode(raw))
        except _NOT_JSON:
            yield raw


class _ItemReader:
    """Rewrites single items."""

    def __init__(self, part_max_bytes: int) -> None:
        self._part_max_bytes = part_max_bytes

    def assigned(self, raw: bytes) -> bytes:
        """The applied flags of one apply are items of their own, so they are rewritten one by one."""
        loaded = self._loads(raw)
        flags = loaded.pop("flags", None) if loaded else None
        if loaded is None or not isinstance(flags, list | None):
            return UNREADABLE + raw
        _settle_sdk(loaded.get("clientInfo", loaded.get("client_info")))
        message = _message(wire.FlagAssigned, loaded)
        if message is None:
            return UNREADABLE + raw
        message.flags.extend(_rewritten(wire.AppliedFlag, b"", flag) for flag in flags or [])
        return message.SerializeToString()

    def telemetry(self, raw: bytes) -> bytes:
        loaded = self._loads(raw)
        if loaded is not None:
            _settle_sdk(loaded)
            _settle_reasons(loaded.get("resolveRate", loaded.get("resolve_rate")))
        return _rewritten(wire.TelemetryData, raw, loaded)

    def resolve_info(self, raw: bytes) -> bytes:
        return _rewritten(wire.FlagResolveInfo, raw, self._loads(raw))

    def _loads(self, raw: bytes) -> JsonObject | None:
        if len(raw) > self._part_max_bytes:
            return None
        try:
            return _OBJECT.decode(raw)
        except _NOT_JSON:
            return None


def _settle_sdk(holder: object) -> None:
    """Keep the name of an SDK that is newer than our list: the library would silently read it as 0."""
    sdk = holder.get("sdk") if isinstance(holder, dict) else None
    if isinstance(sdk, dict) and _is_unknown(sdk.get("id"), wire.SdkId.keys()):
        sdk["customId"] = sdk.pop("id")


def _settle_reasons(rates: object) -> None:
    """The same for reasons, which would all be counted as 0."""
    for rate in rates if isinstance(rates, list) else ():
        if isinstance(rate, dict) and _is_unknown(rate.get("reason"), wire.ResolveReason.keys()):
            rate["reason"] = UNKNOWN_ENUM


def _is_unknown(value: object, names: list[str]) -> bool:
    return isinstance(value, str) and value not in names and not value.lstrip("-").isdecimal()


def _rewritten(kind: type[Message], raw: bytes, loaded: object) -> bytes:
    message = _message(kind, loaded)
    return UNREADABLE + raw if message is None else message.SerializeToString()


def _message(kind: type[MessageT], loaded: object) -> MessageT | None:
    if not isinstance(loaded, dict):
        return None
    try:
        return json_format.ParseDict(loaded, kind(), ignore_unknown_fields=True)
    except (json_format.Error, ValueError, TypeError, AttributeError, RecursionError):
        return None
