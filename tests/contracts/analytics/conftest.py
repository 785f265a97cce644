"""The worked data set: two installations, every trap of the real client once, and its expected numbers in the tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from raingauge.contract import Decoded, Received
from raingauge.contracts.analytics.decode import decode
from raingauge.contracts.analytics.tables import EVENTS

Event: TypeAlias = dict[str, Any]

ANN = ("a1" * 12, "1" * 24, "d4" * 12)
BOB = ("b2" * 12, "1" * 24, "e5" * 12)
NIGHT = ("a1" * 12, "2" * 24, "f6" * 12)
OLD = ("c3" * 12, "3" * 24, "")


def event(number: int, at: str, who: tuple[str, str, str], properties: dict[str, Any], **changed: Any) -> Event:
    """One event as the client writes it; `changed` replaces members of the envelope, None leaves them out."""
    installation, instance, session = who
    made: Event = {
        "schemaVersion": "analytics.v2",
        "eventId": f"00000000-0000-4000-8000-{number:012}",
        "eventName": "feature_used" if "outcome" in properties else "error_occurred",
        "occurredAt": at,
        "installationId": installation,
        "instanceId": instance,
        "deploymentMode": "docker",
        "commitHash": "abc1234",
        "appVersion": "0.1.0",
        "platform": "linux",
        "properties": properties,
        "sessionId": session or None,
        **changed,
    }
    return {key: value for key, value in made.items() if value is not None}


def chat(stage: str, **properties: Any) -> dict[str, Any]:
    """Properties of an ordinary user's session."""
    return {
        "module": "session", "ownerModule": "session", "executionKind": "user_session", "loopStage": stage,
        **properties,
    }  # fmt: skip


def worked() -> list[Event]:
    """16 received events: 13 of version 2, one of version 1, one duplicate, one that cannot be kept."""
    tool_error = {"errorCategory": "tool_runtime_error", "code": "ENOENT", "toolName": "bash"}
    loop_error = {"errorCategory": "loop_error", "code": "model_error"}
    night = {"ownerModule": "always_on", "executionKind": "always_on", "phase": "discovery"}
    model = chat("model_request", outcome="success", runId="r1", provider="openai", model="m1")
    call = {"runId": "r1", "toolName": "bash", "toolCallId": "t1"}
    ended = {"loopStage": "loop_end", "outcome": "success"}
    evening, morning = "2026-08-20T23:59:", "2026-08-21T09:00:"
    return [
        event(
            1,
            evening + "58.000Z",
            ANN,
            chat("loop_start", outcome="success", runId="r1", channelKey="cli", permissionMode="default"),
        ),
        event(2, evening + "58.500Z", ANN, model),
        event(3, evening + "59.000Z", ANN, chat("tool_call", outcome="success", **call)),
        event(
            4,
            evening + "59.400Z",
            ANN,
            chat("tool_call", outcome="failed", errorCategory="tool_runtime_error", success=False, **call),
        ),
        event(5, evening + "59.410Z", ANN, chat("tool_call", **tool_error)),
        event(6, evening + "59.410Z", ANN, chat("tool_call", outcome="failed", **tool_error)),
        event(
            7,
            "2026-08-21T00:00:02.000Z",
            ANN,
            chat("loop_end", outcome="success", runId="r1", stopReason="completed", turns=2),
        ),
        event(2, evening + "58.500Z", ANN, model),
        event(
            8,
            morning + "00.000Z",
            BOB,
            chat("loop_start", outcome="success", runId="r2", channelKey="feishu", permissionMode="default"),
        ),
        event(9, morning + "05.000Z", BOB, chat("loop_end", **loop_error)),
        event(10, morning + "05.000Z", BOB, chat("loop_end", outcome="failed", **loop_error)),
        event(
            11,
            morning + "05.001Z",
            BOB,
            chat("loop_end", outcome="success", runId="r2", stopReason="model_error", turns=1),
        ),
        event(
            12,
            "2026-08-20T12:00:00.000Z",
            (*NIGHT[:2], ""),
            {
                **night,
                "module": "always_on",
                "loopStage": "module_event",
                "outcome": "no_plan",
                "event": "no_plan",
                "runId": "ao1",
            },
        ),
        event(
            13,
            "2026-08-20T12:00:01.000Z",
            NIGHT,
            {**night, **ended, "module": "session", "runId": "ao1.discover", "stopReason": "completed", "turns": 4},
        ),
        event(
            14,
            "2026-08-21T10:00:00.000Z",
            OLD,
            {"channel": "gateway", "projectRoot": "/home/x/p"},
            schemaVersion="analytics.v1",
            eventName="app_started",
            projectPath="/home/x/p",
        ),
        event(15, "not-a-date", BOB, chat("loop_start", outcome="success")),
    ]


ARRIVED = datetime(2026, 8, 22, tzinfo=UTC)


def decoded(events: list[Any] | bytes) -> Decoded:
    """The events as they come out of decoding."""
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    return decode(body, Received(int(ARRIVED.timestamp()) * 1_000_000, "cust_1"))


def stored(events: list[Any] | bytes) -> list[dict[str, Any]]:
    """The decoded rows as dicts by column name."""
    names = ["position", *(column.name for column in EVENTS.columns)]
    return [dict(zip(names, row, strict=True)) for row in decoded(events).rows[EVENTS.name]]


class Usage:
    """What the tests of this folder build events with and look at them through."""

    ann, bob = ANN, BOB
    event = staticmethod(event)
    chat = staticmethod(chat)
    worked = staticmethod(worked)
    decoded = staticmethod(decoded)
    stored = staticmethod(stored)

    def kept(self, properties: Any, **changed: Any) -> dict[str, Any]:
        """The row that one event with these properties becomes."""
        return stored([event(1, "2026-08-20T12:00:00.000Z", ANN, properties, **changed)])[0]


@pytest.fixture(scope="session")
def usage() -> Usage:
    return Usage()
