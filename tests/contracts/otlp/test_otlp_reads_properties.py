"""What holds for every answer, however its facts arrived: order, copies, batches and temporality change nothing."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.contracts.otlp.otlp_reads import CUSTOMER, Agents

from raingauge.contract import Received
from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

Message = tuple[str, bytes, str]
"""Signal, body and media type."""

SAMPLES = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "samples").glob("*.json"))]
TABLES = {table.name: table for table in OTLP.tables}
DAY = {"since": "2026-10-12T00:00:00", "until": "2026-10-13T00:00:00"}
DAY_NS = 1_791_763_200_000_000_000
HOUR_NS = 3_600_000_000_000
QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("rollups", {}), ("cost-trend", {"by": "user", "step": "hour"}), ("cost-trend", {"by": "source"}), ("cache-hit", {}),
    ("tool-decisions", {}), ("active-users", {}), ("top-prompts", {}), ("subagent-stats", {"by": "agent"}),
    ("spans/tree", {"prompt": "5e5e5e5e-0000-4000-8000-000000000011"}),
)  # fmt: skip


def times(examples: int) -> settings:
    """Every example asks the store, so there are few, and each holds much."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )


class Team(Agents):
    """A customer whose people have the same keys as everybody's, so that answers of two customers can be compared."""

    _numbers = itertools.count(1)

    def __init__(self, store: Store) -> None:
        number = next(self._numbers)
        super().__init__(store, f"cust_{number:016x}")
        self._store = store
        self._ids = itertools.count(DAY_NS // 1000 + number * 1_000_000)

    def deliver_together(self, messages: Sequence[Message]) -> None:
        """One batch of the pipeline."""
        parts: dict[str, list[pa.RecordBatch]] = {}
        for signal, body, media_type in messages:
            message_id = next(self._ids)
            intake = next(intake for intake in OTLP.intakes if intake.name == f"otlp.{signal}")
            decoded = intake.decode(body, Received(message_id, CUSTOMER, media_type, identity_key=bytes(range(32))))
            self.people |= {person.key: person.name for person in decoded.people}
            for name, rows in decoded.rows.items():
                parts.setdefault(name, []).append(build(TABLES[name], self.customer, message_id, rows))
        self._store.writer.insert(InsertBatch({name: pa.Table.from_batches(found) for name, found in parts.items()}))

    def answers(self) -> dict[str, Any]:
        return {f"{path} {query}": self.ask(path, **DAY, **query) for path, query in QUESTIONS}


@pytest.fixture
def store(open_store: Any) -> Store:
    opened: Store = open_store(OTLP)
    return opened


def messages(otlp: Otlp) -> list[Message]:
    """What every known sender sends, half of it as JSON. The samples share ids, which no two senders would."""
    found: list[Message] = []
    for number, sample in enumerate(SAMPLES):
        written = re.sub(r'"3f0c1a52-0000', f'"{number:08x}-0000', json.dumps(sample["request"]))
        request = json.loads(re.sub(r'("(?:trace|span|parentSpan)Id": ")..', rf"\g<1>{number:02x}", written))
        media_type = (JSON, PROTOBUF)[number % 2]
        found.append((sample["signal"], otlp.body(sample["signal"], request, media_type), media_type))
    return found


def test_arrival_changes_no_answer(otlp: Otlp, store: Store) -> None:
    """Messages in any order, any of them several times, in any batches, summed up at any moment: all reads agree."""
    sent = messages(otlp)
    reference = Team(store)
    reference.deliver_together(sent)
    expected = reference.answers()
    assert expected["rollups {}"]

    @times(2)
    @given(
        order=st.permutations(range(len(sent))),
        again=st.lists(st.integers(0, len(sent) - 1), max_size=20),
        batches=st.integers(1, 6),
        summed_up=st.integers(0, 6),
    )
    def holds(order: list[int], again: list[int], batches: int, summed_up: int) -> None:
        team = Team(store)
        arriving = [sent[number] for number in [*order, *again]]
        for number, begin in enumerate(range(0, len(arriving), -(-len(arriving) // batches))):
            team.deliver_together(arriving[begin : begin + -(-len(arriving) // batches)])
            if number == summed_up:
                team.roll_up()
        assert expected == team.answers()

    holds()


def test_who_asked_before_is_told_the_same(otlp: Otlp, store: Store) -> None:
    """Nothing that is kept between two reads is out of date, whether newer facts were looked at as they came or later."""
    sent = messages(otlp)

    @times(2)
    @given(order=st.permutations(range(len(sent))), summed_up=st.integers(0, 2), keep_up=st.booleans())
    def holds(order: list[int], summed_up: int, keep_up: bool) -> None:
        team = Team(store)
        arriving = [sent[number] for number in order]
        third = -(-len(arriving) // 3)
        for number, begin in enumerate(range(0, len(arriving), third)):
            team.deliver_together(arriving[begin : begin + third])
            if keep_up:
                store.reader.newer.keep_up({name: [team.customer] for name in TABLES})
            if number == summed_up:
                team.roll_up()
            newcomer = Team(store)
            newcomer.deliver_together(arriving[: begin + third])
            assert newcomer.answers() == team.answers()

    holds()


@st.composite
def counters(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Runs of a program: for each, minutes of the day and what was spent until then since the reading before."""
    minutes = sorted(draw(st.sets(st.integers(1, 1439), min_size=1, max_size=8)))
    steps = [(minute, draw(st.integers(0, 1000))) for minute in minutes]
    cuts = sorted(draw(st.sets(st.integers(1, len(steps)), max_size=2)))
    return [steps[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(steps)]) if begin < end]


def readings(otlp: Otlp, runs: list[list[tuple[int, int]]], temporality: int) -> Iterator[Message]:
    """The same spend, told by increases (1) or by what the run has counted so far (2). A unit is 1/1024 USD."""
    for number, run in enumerate(runs):
        began = run[0][0] - 1
        last, total = began, 0
        for minute, step in run:
            total += step
            value = (step if temporality == 1 else total) / 1024
            metric = otlp.sum("claude_code.cost.usage", value, temporality, user__email="ada@example.com", run=number)
            metric["sum"]["dataPoints"][0] |= {
                "startTimeUnixNano": str(DAY_NS + (last if temporality == 1 else began) * HOUR_NS // 60),
                "timeUnixNano": str(DAY_NS + minute * HOUR_NS // 60),
            }
            last = minute
            yield (
                "metrics",
                otlp.body("metrics", otlp.metrics(metric, resource={"service.name": "claude-code"}), JSON),
                JSON,
            )


@times(4)
@given(runs=counters(), random=st.randoms(use_true_random=False), summed_up=st.booleans())
def test_cumulative_is_delta(otlp: Otlp, store: Store, runs: Any, random: Any, summed_up: bool) -> None:
    """Any spend is the same by hour, whichever temporality tells it, in whatever order the readings come."""
    found = []
    for temporality in (1, 2):
        told = list(readings(otlp, runs, temporality))
        random.shuffle(told)
        team = Team(store)
        team.deliver_together(told[::2])
        if summed_up:
            team.roll_up()
        team.deliver_together(told[1::2] or told)
        points = team.ask("cost-trend", step="hour", **DAY)["points"]
        found.append({point["bucket"]: point["cost_usd"] for point in points})
    expected: dict[str, int] = {}
    for minute, step in itertools.chain.from_iterable(runs):
        hour = f"2026-10-12T{minute // 60:02d}:00:00Z"
        expected[hour] = expected.get(hour, 0) + step
    spent = {hour: pytest.approx(units / 1024, abs=1e-8) for hour, units in expected.items() if units}
    assert [spent, spent] == found


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(0, 5), st.floats(), st.sampled_from(["7", "-1", "1e300", "", "NaN"])
)
SPENDING = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "cost_usd", "input_token_count",
    "cached_token_count", "cached_content_token_count", "gen_ai__usage__input_tokens",
    "gen_ai__usage__cache_read__input_tokens", "gen_ai__usage__cache_creation__input_tokens",
)  # fmt: skip


@times(2)
@given(data=st.data())
def test_rates_lie_between_nothing_and_all(otlp: Otlp, store: Store, data: st.DataObject) -> None:
    """Whatever figures are sent, contradictory ones too, every share in every answer is one."""
    team = Team(store)
    sent: list[Message] = []
    services = st.sampled_from(["claude-code", "cowork", "codex_cli_rs", "gemini-cli", "bot"])
    deciders = st.sampled_from(["config", "hook", "user_temporary", "user_reject", "somebody"])
    for number in range(20):
        resource = {"service.name": data.draw(services)}
        spent = data.draw(st.dictionaries(st.sampled_from(SPENDING), numbers, max_size=6))
        log = otlp.log(
            event__name=data.draw(st.sampled_from(["api_request", "sse_event", "api_response", "tool_decision"])),
            session__id="s", event__sequence=number, prompt__id="p", user__email=f"{number % 5}@example.com", model="gpt-4o",
            decision=data.draw(st.sampled_from(["accept", "reject", "modify", "perhaps"])), source=data.draw(deciders),
            agent_id=data.draw(st.sampled_from(["", "a"])), **{key: _finite(value) for key, value in spent.items()},
        )  # fmt: skip
        kind = data.draw(st.sampled_from(["input", "output", "cacheRead", "cache", "cached_input", "tool"]))
        name = data.draw(
            st.sampled_from(["claude_code.token.usage", "gemini_cli.token.usage", "codex.turn.token_usage"])
        )
        metric = otlp.sum(
            name,
            0.0,
            data.draw(st.sampled_from([1, 2])),
            type=kind,
            model="gemini-2.5-pro",
            user__email=f"{number % 7}@example.com",
        )
        metric["sum"]["dataPoints"][0]["asDouble"] = _json(data.draw(numbers))
        sent.append(("logs", otlp.body("logs", otlp.logs(log, resource=resource), JSON), JSON))
        sent.append(("metrics", otlp.body("metrics", otlp.metrics(metric, resource=resource), JSON), JSON))
    team.deliver_together(sent)
    outside = [
        (path, name, rate)
        for path, query in QUESTIONS[1:8]
        for name, rate in _rates(team.ask(path, **DAY, **query))
        if rate is not None and not 0 <= rate <= 1
    ]
    assert [] == outside


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and value * 0 != 0 else value


def _finite(value: Any) -> Any:
    return {"doubleValue": _json(value)} if isinstance(value, float) else value


def _rates(answer: Any) -> Iterator[tuple[str, float | None]]:
    """Everything that is called a rate or a share."""
    if isinstance(answer, dict):
        yield from ((name, value) for name, value in answer.items() if name in {"rate", "human_rate", "share"})
    for inner in answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ():
        yield from _rates(inner)
