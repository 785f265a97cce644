"""Product usage as PilotDeck's client reports it: batches of at most 20 events of one installation.

The doubled rows of the real client are here too: an error comes with a failed twin of the same millisecond, and a
failed turn ends three times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from raingauge.demo import story
from raingauge.demo.wire import Request
from raingauge.demo.work import uuid

SENDER: Final = "product"
INSTALLATIONS: Final = 5_000
CONTAINERS: Final = 200
"""Containers besides: all of them report one and the same installation id."""
_CONTAINER_ID: Final = "099a0cc69a6a6cdd3a21c9da"
_CONTAINER_INSTANCE: Final = "446daa4dea1143ae682dcdc3"
_BATCH: Final = 20

_BROKEN_TOOL: Final = "edit_file"
_BROKEN_CODE: Final = "patch_parse_failed"
_TOOLS: Final = {"read_file": 30, "bash": 24, _BROKEN_TOOL: 28, "grep": 13, "web_search": 5}
_FAILURES: Final = {
    "bash": (0.05, "ENOENT", "tool_runtime_error"),
    _BROKEN_TOOL: (0.03, "invalid_argument", "tool_param_error"),
    "web_search": (0.06, "ETIMEDOUT", "tool_runtime_error"),
}
_BROKEN: Final = (0.8, _BROKEN_CODE, "tool_result_parse_error")
_MODELS: Final = (
    ("anthropic", story.SONNET),
    ("anthropic", story.OPUS),
    ("openai", "gpt-5.1"),
    ("google", story.GEMINI),
)
_ORDINARY: Final = {"module": "session", "ownerModule": "session", "executionKind": "user_session"}
_MEMORY: Final = {"module": "memory", "ownerModule": "memory", "executionKind": "memory", "phase": "retrieve"}


class Installation(NamedTuple):
    """`first_ago` is the day of first use, `habit` how likely a later day is one of use.

    `lag` is how many days it takes to update.
    """

    id: str
    instance: str
    deployment: str
    platform: str
    first_ago: int
    habit: float
    lag: int
    model: int
    channel: str


def requests(now: datetime, day: datetime, scale: float) -> Iterator[Request]:
    """What all installations report of one day before `now`."""
    ago = story.days_ago(now, day)
    random = story.seeded("usage", ago)
    quiet = 0.5 if day.weekday() >= 5 else 1.0
    for installation in _installations(scale):
        since = installation.first_ago - ago
        # Most people who try it come back for some days and then less and less.
        chance = installation.habit * quiet * (0.3 + 0.7 * math.exp(-since / 6)) if since > 0 else float(since == 0)
        if random.random() < chance:
            at = day + timedelta(hours=min(23.5, max(0.0, random.gauss(13, 4.5))))
            if at + timedelta(minutes=30) < now:
                yield from session_requests(random, installation, at, ago)


def live_requests(random: Random, now: datetime) -> Iterator[Request]:
    """A session of some installation that has just ended."""
    yield from session_requests(random, random.choice(_installations(1.0)), now - timedelta(minutes=3), 0)


def session_requests(random: Random, installation: Installation, at: datetime, ago: int) -> Iterator[Request]:
    """One session in the batches in which it is sent."""
    events = _Session(random, installation, at, ago).events()
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        yield Request(SENDER, "/collect", msgspec.json.encode(batch), len(batch), credential="path")


@lru_cache(maxsize=2)
def _installations(scale: float) -> tuple[Installation, ...]:
    random = story.seeded("installations")
    everybody = [_installation(random) for _ in range(max(10, round(INSTALLATIONS * scale)))]
    containers = [
        _installation(random)._replace(
            id=_CONTAINER_ID, instance=_CONTAINER_INSTANCE, deployment="docker", platform="linux"
        )
        for _ in range(max(2, round(CONTAINERS * scale)))
    ]
    return (*everybody, *containers)


def _installation(random: Random) -> Installation:
    platform = random.choices(("darwin", "linux", "win32"), (50, 30, 20))[0]
    deployment = random.choices(("desktop_installer", "curl_installer", "npm_binary", "source"), (45, 25, 25, 5))[0]
    # Those who used it before this month show up in its first days.
    first_ago = story.DAYS - 1 - (random.randrange(5) if random.random() < 0.5 else random.randrange(story.DAYS))
    return Installation(
        id=random.randbytes(12).hex(),
        instance=random.randbytes(12).hex(),
        deployment=deployment,
        platform=platform,
        first_ago=first_ago,
        habit=random.betavariate(1.1, 7),
        lag=random.choice((0, 0, 1, 1, 2, 4)),
        model=random.choices(range(len(_MODELS)), (5, 2, 3, 1))[0],
        channel=random.choice(("cli", "tui", "web", "slack")),
    )


def _version(installation: Installation, ago: int) -> str:
    """The newest release that the installation has had time to update to."""
    return [version for released, version in story.RELEASES if released - ago >= installation.lag][-1]


class _Session:
    """Builds the events of one session in the order of time."""

    def __init__(self, random: Random, installation: Installation, at: datetime, ago: int) -> None:
        self._random = random
        self._at = at
        self._events: list[dict[str, Any]] = []
        self._provider, self._model = _MODELS[installation.model]
        self._channel = installation.channel
        self._broken = (version := _version(installation, ago)) == story.BROKEN_RELEASE
        self._common = {
            "schemaVersion": "analytics.v2", "installationId": installation.id, "instanceId": installation.instance,
            "deploymentMode": installation.deployment, "commitHash": "unknown", "appVersion": version,
            "platform": installation.platform, "sessionId": random.randbytes(12).hex(),
        }  # fmt: skip

    def events(self) -> list[dict[str, Any]]:
        if self._random.random() < 0.25:
            self._used(_MEMORY, "loop_start", "success")
            self._used(_MEMORY, "loop_end", "success", injected=self._random.random() < 0.6)
        for _ in range(self._random.choices((1, 2, 3), (70, 20, 10))[0]):
            self._turn()
        return self._events

    def _turn(self) -> None:
        random = self._random
        run = {"runId": uuid(random)}
        mode = {"permissionMode": "default", "channelKey": self._channel}
        self._used(_ORDINARY, "loop_start", "success", **run, **mode)
        calls = random.choices((1, 2, 3, 4), (40, 35, 18, 7))[0]
        asked = {"provider": self._provider, "model": self._model}
        for number in range(1, calls + 1):
            self._used(_ORDINARY, "model_request", "success", **run, **asked, **mode)
            if random.random() < 0.006:
                self._failed("model_request", "model_request_error", "server_overload", asked)
                self._failed("loop_end", "loop_error", "model_error")
                self._used(_ORDINARY, "loop_end", "success", **run, stopReason="model_error", turns=number)
                return
            self._used(_ORDINARY, "model_response", "success", **run)
            if number < calls:
                self._tool(run)
        self._used(_ORDINARY, "loop_end", "success", **run, stopReason="completed", turns=calls)

    def _tool(self, run: dict[str, str]) -> None:
        random = self._random
        tool = random.choices(list(_TOOLS), list(_TOOLS.values()))[0]
        call = {**run, "toolName": tool, "toolCallId": f"call_{random.randbytes(6).hex()}"}
        self._used(_ORDINARY, "tool_call", "success", **call)
        chance, code, category = (
            _BROKEN if self._broken and tool == _BROKEN_TOOL else _FAILURES.get(tool, (0.0, "", ""))
        )
        if random.random() < chance:
            self._used(_ORDINARY, "tool_call", "failed", **call, success=False, errorCategory=category)
            self._failed("tool_call", category, code, {"toolName": tool})
        else:
            self._used(_ORDINARY, "tool_call", "success", **call, success=True)

    def _used(self, who: dict[str, str], stage: str, outcome: str, **about: object) -> None:
        self._at += timedelta(milliseconds=self._random.randint(40, 2_500))
        self._add("feature_used", {**who, "loopStage": stage, "outcome": outcome, **about})

    def _failed(self, stage: str, category: str, code: str, asked: dict[str, str] | None = None) -> None:
        """An error and its failed twin, which alone names the provider and the model."""
        about = {**_ORDINARY, "loopStage": stage, "errorCategory": category, "code": code}
        tool = {"toolName": asked["toolName"]} if asked and "toolName" in asked else {}
        self._at += timedelta(milliseconds=self._random.randint(1, 30))
        self._add("error_occurred", {**about, **tool})
        self._add("feature_used", {**about, "outcome": "failed", **(asked or {})})

    def _add(self, name: str, properties: dict[str, object]) -> None:
        occurred = self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._events.append({
            **self._common, "eventId": uuid(self._random), "eventName": name, "occurredAt": occurred,
            "properties": properties,
        })  # fmt: skip
