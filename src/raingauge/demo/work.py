"""How coding agents work, as data: sessions of prompts, each a tree of model requests and tool calls.

    prompt ─┬─ call, tool, call, tool, …, call
            └─ a tool may be a subagent with calls and tools of its own

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from raingauge.demo import story
from raingauge.demo.story import Person

SECOND_US: Final = 1_000_000
_MS_US: Final = 1_000

_TOOLS: Final = {
    "Read": 30, "Bash": 27, "Edit": 18, "Grep": 12, "Glob": 4, "Write": 4, "WebFetch": 1, "mcp_tool": 2, "Agent": 2,
}  # fmt: skip
ASKED_FOR: Final = frozenset({"Bash", "Edit", "Write", "WebFetch", "mcp_tool"})
"""Tools that change something: a person may have to allow them."""
_AGENT_KINDS: Final = ("Explore", "Explore", "general-purpose", "Plan")
_ERRORS: Final = {"Bash": (0.09, "ShellError"), "Edit": (0.04, "Error:InputValidation"), "Read": (0.02, "Error:ENOENT")}
_SYSTEM_TOKENS: Final = 24_000
_CONTEXT_MAX: Final = 160_000


class Agent(NamedTuple):
    """A subagent. `parent_id` is empty when the main agent started it."""

    id: str
    kind: str
    parent_id: str


class Call(NamedTuple):
    """One model request. `error` is its class when it failed; `agent` is None for the main agent."""

    at_us: int
    duration_ms: int
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    request_id: str
    agent: Agent | None
    stop_reason: str
    error: str

    @property
    def cost_usd(self) -> float:
        """What the client thinks it cost; 0 for models that it has no price for."""
        price = story.PRICES.get(self.model)
        if price is None:
            return 0.0
        tokens = (self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_creation_tokens)
        return round(sum(count * usd for count, usd in zip(tokens, price, strict=True)) / 1e6, 6)

    @property
    def end_us(self) -> int:
        return self.at_us + self.duration_ms * _MS_US


class Tool(NamedTuple):
    """One tool call: the wait for a decision, then the run. `steps` are those of the subagent it started."""

    at_us: int
    name: str
    use_id: str
    wait_ms: int
    run_ms: int
    decision: str
    decided_by: str
    error: str
    agent: Agent | None
    steps: tuple[Step, ...]

    @property
    def end_us(self) -> int:
        return self.at_us + (self.wait_ms + self.run_ms) * _MS_US


Step: TypeAlias = Call | Tool


class Prompt(NamedTuple):
    id: str
    trace_id: str
    at_us: int
    end_us: int
    length: int
    steps: tuple[Step, ...]

    def walk(self) -> Iterator[Step]:
        """All steps of the prompt, those of subagents too, in no order."""
        waiting = [*self.steps]
        while waiting:
            step = waiting.pop()
            yield step
            if isinstance(step, Tool):
                waiting += step.steps


class Session(NamedTuple):
    id: str
    person: Person
    prompts: tuple[Prompt, ...]


def uuid(random: Random) -> str:
    return str(UUID(bytes=random.randbytes(16), version=4))


def sessions(now: datetime, day: datetime, scale: float) -> Iterator[Session]:
    """One day of the whole team and its bots, with the costly prompt on its day."""
    ago = story.days_ago(now, day)
    random = story.seeded("work", ago)
    for person in (*story.TEAM, *story.BOTS):
        for at, prompts in _day(random, person, day, scale):
            session = _session(random, person, at, prompts, now)
            if session.prompts:
                yield session
    if ago == story.COSTLY_DAYS_AGO:
        yield _costly(random, day + timedelta(hours=15, minutes=20))


def live_session(random: Random, now: datetime) -> Session:
    """One prompt of somebody that has just been answered."""
    person = random.choice(story.TEAM)
    prompt = _prompt(random, _Conversation(random, person.model), 0, random.randint(2, 5))
    shift_us = int(now.timestamp() * SECOND_US) - prompt.end_us - SECOND_US
    return Session(uuid(random), person, (_moved(prompt, shift_us),))


def _day(random: Random, person: Person, day: datetime, scale: float) -> Iterator[tuple[datetime, int]]:
    """When a person's sessions of a day begin, and of how many prompts they are."""
    if person is story.NIGHTLY_BOT:
        yield day + timedelta(hours=person.starts_utc), max(3, round(person.prompts_per_day * scale))
        return
    if day.weekday() >= 5 and random.random() < 0.93:
        return
    wanted = person.prompts_per_day * random.uniform(0.4, 1.2) * scale
    left = int(wanted) + (random.random() < wanted % 1)
    at = day + timedelta(hours=person.starts_utc, minutes=random.uniform(0, 90))
    while left > 0:
        prompts = min(left, random.randint(2, 6))
        yield at, prompts
        left -= prompts
        at += timedelta(minutes=random.uniform(60, 170))


def _session(random: Random, person: Person, at: datetime, prompts: int, now: datetime) -> Session:
    """A session that began at `at`, with those of its prompts that ended before `now`."""
    cold = person is story.NIGHTLY_BOT and story.days_ago(now, at) < story.COLD_DAYS
    conversation = _Conversation(random, person.model, cold=cold)
    at_us, now_us = (int(moment.timestamp() * SECOND_US) for moment in (at, now))
    session_id = uuid(random)
    done = []
    for _ in range(prompts):
        prompt = _prompt(random, conversation, at_us, min(30, 1 + int(random.lognormvariate(1.45, 0.6))))
        if prompt.end_us < now_us:
            done.append(prompt)
        pause_seconds = 5 if person in story.BOTS else random.uniform(40, 700)
        at_us = prompt.end_us + int(pause_seconds * SECOND_US)
    return Session(session_id, person, tuple(done))


def _prompt(random: Random, conversation: _Conversation, at_us: int, calls: int) -> Prompt:
    steps, end_us = conversation.run(at_us + 30 * _MS_US, calls)
    ids = uuid(random), random.randbytes(16).hex()
    return Prompt(*ids, at_us, end_us + 5 * _MS_US, random.randint(12, 900), steps)


def _costly(random: Random, at: datetime) -> Session:
    """One prompt that sends twelve subagents through the whole repository, three at a time."""
    person = story.COSTLY_PERSON
    main = _Conversation(random, story.OPUS)
    at_us = start_us = int(at.timestamp() * SECOND_US)
    steps: list[Step] = []
    for _ in range(4):
        call = main.ask(at_us, "tool_use")
        tools = [main.delegate(call.end_us + 40 * _MS_US, "general-purpose", 42) for _ in range(3)]
        steps += [call, *tools]
        at_us = max(tool.end_us for tool in tools) + 60 * _MS_US
    last = main.ask(at_us, "end_turn")
    ids = uuid(random), random.randbytes(16).hex()
    prompt = Prompt(*ids, start_us, last.end_us, 61, (*steps, last))
    return Session(uuid(random), person, (prompt,))


class _Conversation:
    """One agent's growing context and what of it lies in the prompt cache."""

    def __init__(self, random: Random, model: str, agent: Agent | None = None, *, cold: bool = False) -> None:
        self._random = random
        self._model = model
        self._agent = agent
        self._cold = cold
        # What every session begins with is often in the cache already, from a colleague's or an earlier one.
        self._context = _SYSTEM_TOKENS
        self._cached = _SYSTEM_TOKENS if random.random() < 0.7 else 0

    def run(self, at_us: int, calls: int) -> tuple[tuple[Step, ...], int]:
        """Model requests with tool calls between them; the steps and when they end."""
        steps: list[Step] = []
        for number in range(calls):
            call = self.ask(at_us, "tool_use" if number + 1 < calls else "end_turn")
            steps.append(call)
            at_us = call.end_us
            if call.error:
                continue
            if call.stop_reason == "tool_use":
                tool = self._tool(at_us + 20 * _MS_US)
                steps.append(tool)
                at_us = tool.end_us + 30 * _MS_US
        return tuple(steps), at_us

    def ask(self, at_us: int, stop_reason: str) -> Call:
        """A model request over the whole context, which grows by what is new and by the answer."""
        random = self._random
        output = int(random.lognormvariate(5.6, 0.8))
        duration_ms = int(700 + output * random.uniform(11, 19))
        request_id = f"req_{random.randbytes(12).hex()}"
        if random.random() < 0.006:
            return Call(at_us, 30_000, self._model, 0, 0, 0, 0, request_id, self._agent, "", "server_overload")
        if self._context > _CONTEXT_MAX:  # compacted
            self._context = self._cached = _SYSTEM_TOKENS + 6_000
        self._context += int(random.lognormvariate(7.6, 0.9))
        read = 0 if self._cold else self._cached
        fresh = random.randint(3, 40)
        created = self._context - read
        self._cached = self._context
        self._context += output
        tokens = fresh, output, read, created
        return Call(at_us, duration_ms, self._model, *tokens, request_id, self._agent, stop_reason, "")

    def delegate(self, at_us: int, kind: str, calls: int) -> Tool:
        """A tool call that is a subagent's whole work."""
        random = self._random
        parent = self._agent.id if self._agent else ""
        agent = Agent(f"a{random.randbytes(6).hex()}", kind, parent)
        model = story.HAIKU if kind == "Explore" and self._model == story.SONNET else self._model
        steps, end_us = _Conversation(random, model, agent, cold=self._cold).run(at_us + 50 * _MS_US, calls)
        run_ms = (end_us - at_us) // _MS_US
        return Tool(at_us, "Agent", self._use_id(), 1, run_ms, "accept", "config", "", self._agent, steps)

    def _tool(self, at_us: int) -> Tool:
        random = self._random
        name = random.choices(list(_TOOLS), list(_TOOLS.values()))[0]
        if name == "Agent":
            if self._agent is None:
                return self.delegate(at_us, random.choice(_AGENT_KINDS), random.randint(3, 9))
            name = "Grep"
        decision, decided_by, wait_ms = self._decided(name)
        chance, error = _ERRORS.get(name, (0.0, ""))
        run_ms = max(2, int(random.lognormvariate(7.2 if name == "Bash" else 3.4, 1.2)))
        if decision == "reject":
            run_ms, chance = 0, 0.0
        failed = error if random.random() < chance else ""
        return Tool(at_us, name, self._use_id(), wait_ms, run_ms, decision, decided_by, failed, self._agent, ())

    def _decided(self, name: str) -> tuple[str, str, int]:
        """Decision, who decided, and how many milliseconds that took."""
        random = self._random
        chance = random.random()
        if name not in ASKED_FOR or chance < 0.82:
            return "accept", "config", random.randint(1, 4)
        wait_ms = int(random.lognormvariate(9.2, 0.9))
        if chance < 0.955:
            return "accept", "user_temporary", wait_ms
        return ("accept", "user_permanent", wait_ms) if chance < 0.97 else ("reject", "user_reject", wait_ms)

    def _use_id(self) -> str:
        return f"toolu_{self._random.randbytes(12).hex()}"


def _moved(prompt: Prompt, by_us: int) -> Prompt:
    return prompt._replace(
        at_us=prompt.at_us + by_us,
        end_us=prompt.end_us + by_us,
        steps=tuple(_step(step, by_us) for step in prompt.steps),
    )


def _step(step: Step, by_us: int) -> Step:
    if isinstance(step, Call):
        return step._replace(at_us=step.at_us + by_us)
    return step._replace(at_us=step.at_us + by_us, steps=tuple(_step(inner, by_us) for inner in step.steps))
