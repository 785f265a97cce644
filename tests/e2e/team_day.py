"""A working day of a team, as its tools would send it, in numbers that can be summed up with pencil and paper.

Twenty seats give five prompts each. What else happens is in the proportions that were counted in real sessions: of every
50 prompts come 423 model requests, 396 decisions about tools and 1,228 runs of hooks, told at start and end. The n-th of N
such things belongs to prompt ⌊100 n / N⌋.

A request of seat s costs s + 1 thousandths of a dollar and takes 100 tokens fresh, 100 x (s + 1) from the cache, 100 into
it, and gives 50. Seats 0 to 14 use the CLI, 15 to 17 the SDK, both telling everything three times (points, events, spans);
18 and 19 use Cowork, which sends events alone and knows no repository, team, effort or kind of request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.contracts.otlp.conftest import Otlp

SEATS: Final = 20
SDK: Final = 15
COWORK: Final = 18
PER_SEAT: Final = 5
PROMPTS: Final = SEATS * PER_SEAT
REQUESTS: Final = 2 * 423
DECISIONS: Final = 2 * 396
OTHERS: Final = {
    "hook_execution_start": 2 * 1228, "hook_execution_complete": 2 * 1228, "at_mention": 2 * 18, "internal_error": 2 * 5,
    "api_error": 2 * 3, "skill_activated": 2 * 2,
}  # fmt: skip
MODELS: Final = ("claude-sonnet-5", "claude-opus-4-6")
TOOLS: Final = ("Bash", "Edit", "Read")
EVERY_MINUTES: Final = 6
"""From one prompt to the next: seat 0 begins at eight, two seats work in every hour."""
WAIT_SECONDS: Final = 5
MINUTE_SECONDS: Final = 60
SCOPE: Final = "com.anthropic.claude_code"

Message = tuple[str, dict[str, Any], int]
"""Signal, request, and the seat that sends it."""


def things(total: int, first: int, last: int) -> range:
    """Which of `total` things belong to the prompts from `first` to before `last`."""
    return range(-(-first * total // PROMPTS), -(-last * total // PROMPTS))


def decided(number: int) -> tuple[str, str]:
    """Decision and who made it: of 60 decisions one is a person's yes and one a no, one in 600 is for good."""
    if number % 600 == 2:
        return "accept", "user_permanent"
    return {0: ("accept", "user_temporary"), 1: ("reject", "user_reject")}.get(number % 60, ("accept", "config"))


def failed(number: int) -> bool:
    """Whether the tool that was decided about failed."""
    return number % 100 == 50


@dataclass(frozen=True)
class Seat:
    """One person at work."""

    number: int

    @property
    def email(self) -> str:
        return f"seat{self.number}@example.com"

    @property
    def source(self) -> str:
        return "cowork" if self.number >= COWORK else "agent_sdk" if self.number >= SDK else "claude_code"

    @property
    def model(self) -> str:
        return MODELS[self.number % 2]

    @property
    def repo(self) -> str:
        return "" if self.source == "cowork" else f"acme/r{self.number % 4}"

    @property
    def team(self) -> str:
        return "" if self.source == "cowork" else f"team{self.number % 5}"

    @property
    def effort(self) -> str:
        return "" if self.source == "cowork" else ("low", "high")[self.number % 2]

    @property
    def prompts(self) -> range:
        return range(self.number * PER_SEAT, (self.number + 1) * PER_SEAT)

    @property
    def milli_usd(self) -> int:
        """What one request costs."""
        return self.number + 1

    @property
    def tokens(self) -> dict[str, int]:
        """What one request takes and gives."""
        return {"input": 100, "output": 50, "cacheRead": 100 * (self.number + 1), "cacheCreation": 100}

    def count(self, total: int) -> int:
        """How many of `total` things are this seat's."""
        return len(things(total, self.prompts.start, self.prompts.stop))


TEAM: Final = tuple(map(Seat, range(SEATS)))


class Day:
    """Every message of one day: for each prompt one of spans, one of logs and one of metrics."""

    def __init__(self, day: datetime) -> None:
        self._otlp = Otlp()
        self.begin = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.end = self.begin + timedelta(days=1)

    def starts(self, prompt: int) -> datetime:
        return self.begin + timedelta(hours=8, minutes=EVERY_MINUTES * prompt)

    def messages(self) -> Iterator[Message]:
        for seat in TEAM:
            for prompt in seat.prompts:
                if seat.source != "cowork":
                    yield "traces", self._spans(seat, prompt), seat.number
                    yield "metrics", self._metrics(seat, prompt), seat.number
                yield "logs", self._logs(seat, prompt), seat.number

    def body(self, signal: str, request: dict[str, Any], media_type: str) -> bytes:
        return self._otlp.body(signal, request, media_type)

    @staticmethod
    def trace(prompt: int) -> str:
        return f"{prompt + 1:032x}"

    def _ns(self, prompt: int, seconds: float) -> str:
        return str(int(self.starts(prompt).timestamp()) * 1_000_000_000 + int(seconds * 1_000_000_000))

    def _who(self, seat: Seat) -> dict[str, Any]:
        found = {"user__email": seat.email, "session__id": f"session-{seat.number}", "terminal__type": "vscode"}
        if seat.source == "cowork":
            return found
        owner, name = seat.repo.split("/")
        found |= {"vcs__owner__name": owner, "vcs__repository__name": name, "team__id": seat.team}
        return found | ({"app__entrypoint": "sdk-ts"} if seat.source == "agent_sdk" else {})

    def _resource(self, seat: Seat) -> dict[str, Any]:
        return {"service.name": "cowork" if seat.source == "cowork" else "claude-code", "service.version": "2.1.329"}

    def _asked(self, seat: Seat, prompt: int) -> list[tuple[int, dict[str, Any]]]:
        """Requests of a prompt, by number, and what both events and spans say of each; the last is a subagent's."""
        numbers = things(REQUESTS, prompt, prompt + 1)
        taken = seat.tokens
        said: dict[str, Any] = {
            "model": seat.model, "input_tokens": taken["input"], "output_tokens": taken["output"],
            "cache_read_tokens": taken["cacheRead"], "cache_creation_tokens": taken["cacheCreation"],
        }  # fmt: skip
        found = []
        for number in numbers:
            one = {**said, "request_id": f"req_{number}"}
            if seat.source != "cowork" and number == numbers[-1]:
                one["agent_id"] = f"agent-{prompt}"
            found.append((number, one))
        return found

    def _spans(self, seat: Seat, prompt: int) -> dict[str, Any]:
        spans: list[dict[str, Any]] = []

        def add(name: str, parent: int, begin: float, seconds: float, **attributes: Any) -> int:
            number = prompt * 1000 + len(spans) + 1
            made = self._otlp.span(number, **{**self._who(seat), **attributes}) | {
                "traceId": self.trace(prompt), "name": f"claude_code.{name}", "startTimeUnixNano": self._ns(prompt, begin),
                "endTimeUnixNano": self._ns(prompt, begin + seconds), "kind": 1, "flags": 257,
            }  # fmt: skip
            spans.append(made | ({"parentSpanId": f"{parent:016x}"} if parent else {}))
            return number

        root = add("interaction", 0, 0, MINUTE_SECONDS, interaction__sequence=1)
        for at, (_, one) in enumerate(self._asked(seat, prompt)):
            add("llm_request", root, at, 1, success=True, **one)
        for at, number in enumerate(things(DECISIONS, prompt, prompt + 1), 20):
            decision, decided_by = decided(number)
            waits = WAIT_SECONDS if decided_by.startswith("user") else 0
            call = {"tool_use_id": f"call_{number}"}
            tool = add("tool", root, at, waits + 1, tool_name=TOOLS[number % 3], **call)
            add("tool.blocked_on_user", tool, at, waits, decision=decision, source=decided_by)
            if decision == "accept":
                add("tool.execution", tool, at + waits, 1, success=not failed(number), **call)
        return self._otlp.spans(*spans, resource=self._resource(seat), scope=f"{SCOPE}.tracing")

    def _logs(self, seat: Seat, prompt: int) -> dict[str, Any]:
        logs: list[dict[str, Any]] = []
        prefix = "claude_cowork" if seat.source == "cowork" else "claude_code"

        def add(name: str, second: float, **attributes: Any) -> None:
            said = {"event__name": name, "event__sequence": prompt * 1000 + len(logs), "prompt__id": f"prompt-{prompt}"}
            logs.append(self._otlp.log(**self._who(seat), **said, **attributes) | {
                "timeUnixNano": self._ns(prompt, second), "body": {"stringValue": f"{prefix}.{name}"},
                "traceId": self.trace(prompt),
            })  # fmt: skip

        add("user_prompt", 0, prompt_length="42", prompt="what nobody must read")
        for name, total in OTHERS.items():
            for _ in things(total, prompt, prompt + 1):
                add(name, 0.5, **({"status_code": 529, "model": seat.model} if name == "api_error" else {}))
        for at, (_, one) in enumerate(self._asked(seat, prompt), 1):
            more = {"effort": seat.effort, "query_source": "repl_main_thread"}
            if "agent_id" in one:
                more |= {"query_source": "agent:builtin:Explore", "agent__name": "Explore"}
            more = {} if seat.source == "cowork" else more
            add("api_request", at, cost_usd=seat.milli_usd / 1000, duration_ms=1000, **one, **more)
        for at, number in enumerate(things(DECISIONS, prompt, prompt + 1), 20):
            decision, decided_by = decided(number)
            call = {"tool_name": TOOLS[number % 3], "tool_use_id": f"call_{number}"}
            add("tool_decision", at, decision=decision, source=decided_by, **call)
            if decision == "accept":
                add("tool_result", at + 1, success=str(not failed(number)).lower(), duration_ms="1000", **call)
        return self._otlp.logs(*logs, resource=self._resource(seat), scope=f"{SCOPE}.events")

    def _metrics(self, seat: Seat, prompt: int) -> dict[str, Any]:
        """Sums of the minute: the last request apart, which was a subagent's."""
        requests = len(things(REQUESTS, prompt, prompt + 1))
        metrics = []
        for query_source, count in (("main", requests - 1), ("subagent", 1)):
            said = {**self._who(seat), "model": seat.model, "effort": seat.effort, "query_source": query_source}
            metrics.append(self._otlp.sum("claude_code.cost.usage", count * seat.milli_usd / 1000, **said))
            metrics += [
                self._otlp.sum("claude_code.token.usage", float(count * tokens), **said, type=kind)
                for kind, tokens in seat.tokens.items()
            ]
        metrics.append(self._otlp.sum("claude_code.active_time.total", 30.0, **self._who(seat), type="cli"))
        if prompt == seat.prompts.start:
            metrics.append(self._otlp.sum("claude_code.session.count", 1.0, **self._who(seat), start_type="fresh"))
        for metric in metrics:
            metric["sum"]["dataPoints"][0] |= {
                "startTimeUnixNano": self._ns(prompt, 0), "timeUnixNano": self._ns(prompt, MINUTE_SECONDS),
            }  # fmt: skip
        return self._otlp.metrics(*metrics, resource=self._resource(seat), scope=SCOPE)
