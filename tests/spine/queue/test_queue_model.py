"""Any sequence of calls against a model that fits on one page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from raingauge.contract import Outcome, Reason
from raingauge.queue import Tally
from raingauge.queue.sqlite import BACK_OFF_SECONDS, SqliteQueue

if TYPE_CHECKING:
    from tests.spine.queue.conftest import Append, Bench, MakeBench


GIB = 1024**3
INTAKES = st.sampled_from(["otlp.traces", "otlp.logs", "flags.write"])
FEW = st.integers(1, 4)


@dataclass
class Waiting:
    """What the model knows of a message."""

    intake: str
    body: bytes
    tries: int = 0
    due: float = 0.0
    taken_back: bool = False
    reason: Reason = Reason.UNDECODABLE


class QueueMachine(RuleBasedStateMachine):
    """Each rule does one thing to the queue and the same to the model."""

    def __init__(self, bench: Bench, appended: Append) -> None:
        super().__init__()
        self.bench = bench
        self.appended = appended
        self.queue = self.open()
        self.waiting: dict[int, Waiting] = {}
        self.held: set[int] = set()
        self.dead: dict[int, Waiting] = {}
        self.counts: Counter[Tally] = Counter()
        self.keys: dict[tuple[str, str], int] = {}
        self.last_id = 0

    def open(self) -> SqliteQueue:
        return self.bench.open(queue_key_seconds=30.0, queue_max_age_seconds=1e9)

    def teardown(self) -> None:
        self.bench.close()

    def contract(self, message: Waiting) -> str:
        return message.intake.split(".")[0]

    def due(self) -> list[int]:
        now = self.bench.clock.running
        return sorted(one for one, known in self.waiting.items() if one not in self.held and known.due <= now)

    @rule(intake=INTAKES, body=st.binary(max_size=50), key=st.sampled_from(["", "", "a", "b"]))
    def append(self, intake: str, body: bytes, key: str) -> None:
        answer = self.appended(self.queue, body, intake=intake, idempotency_key=key)
        if key and (intake, key) in self.keys:
            assert (self.keys[intake, key], False) == answer
            self.counts[Tally(intake.split(".", maxsplit=1)[0], Outcome.RECEIVED)] += 1
            self.counts[Tally(intake.split(".", maxsplit=1)[0], Outcome.DUPLICATE)] += 1
            return
        assert answer.new
        assert self.last_id < answer.message_id
        self.last_id = answer.message_id
        self.waiting[answer.message_id] = Waiting(intake, body)
        if key:
            self.keys[intake, key] = answer.message_id

    @rule(most=FEW)
    def lease(self, most: int) -> None:
        due = self.due()
        assert bool(due) == self.queue.wait(0)
        leased = self.queue.lease(most, GIB)
        assert min(most, len(due)) == len(leased)
        for one in leased:
            known = self.waiting[one.message_id]
            assert (known.intake, known.body, known.tries) == (one.message.intake, one.message.body, one.tries)
        ids = [one.message_id for one in leased]
        assert set(ids) <= set(due)
        in_order = [one for one in ids if not self.waiting[one].taken_back]
        assert in_order == [one for one in due if not self.waiting[one].taken_back][: len(in_order)]
        self.held.update(ids)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.held)), unique=True))
        counts = Counter(Tally(self.contract(self.waiting[one]), Outcome.STORED) for one in ids)
        self.queue.acknowledge(ids, counts).result(20)
        self.counts += counts
        for one in ids:
            self.held.remove(one)
            del self.waiting[one]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.sampled_from([Reason.UNDECODABLE, Reason.DECODER_TIMEOUT]))
    def retry(self, data: st.DataObject, reason: Reason) -> None:
        one = data.draw(st.sampled_from(sorted(self.held)))
        self.held.remove(one)
        known = self.waiting[one]
        known.tries += 1
        dead = self.queue.retry(one, reason, "").result(20)
        assert (known.tries == 3) == dead
        if dead:
            self.dead[one] = self.waiting.pop(one)
            self.count_dead(known, reason, 1)
            known.reason = reason
        else:
            known.due = self.bench.clock.running + BACK_OFF_SECONDS[known.tries - 1]

    def count_dead(self, known: Waiting, reason: Reason, items: int) -> None:
        self.counts[Tally(self.contract(known), Outcome.RECEIVED)] += items
        self.counts[Tally(self.contract(known), Outcome.QUARANTINED, reason)] += items

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        ids = data.draw(st.none() | st.lists(st.sampled_from(sorted(self.dead)))) if self.dead else None
        chosen = set(self.dead if ids is None else ids)
        assert len(chosen) == self.queue.retry_dead_letters(ids)
        for one in chosen:
            known = self.waiting[one] = self.dead.pop(one)
            self.count_dead(known, known.reason, -1)
            known.tries, known.due, known.taken_back = 0, 0.0, True

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.dead)), unique=True))
        assert len(ids) == self.queue.purge_dead_letters(ids)
        for one in ids:
            del self.dead[one]

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 60.0]))
    def advance(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, 3600]))
    def set_the_clock(self, seconds: float) -> None:
        self.bench.clock.now += seconds

    @rule()
    def housekeep(self) -> None:
        self.queue.housekeep()

    @rule()
    def restart(self) -> None:
        self.queue.close()
        self.queue = self.open()
        self.held.clear()
        for known in self.waiting.values():
            known.due = 0.0

    @invariant()
    def everything_adds_up(self) -> None:
        depth = self.queue.depth()
        by_contract = Counter(self.contract(known) for known in self.waiting.values())
        assert (len(self.waiting), by_contract, len(self.dead)) == (
            depth.messages, depth.by_contract, depth.dead_letters,
        )  # fmt: skip
        assert {tally: items for tally, items in self.counts.items() if items} == self.queue.accounting()
        assert set(self.dead) == {letter.message_id for letter in self.queue.dead_letters()}
        assert all(known.body == self.queue.dead_letter_body(one) for one, known in self.dead.items())
        oldest = min(self.waiting, default=2**53)
        assert (True, oldest == 2**53) == (self.queue.drained(oldest - 1), self.queue.drained(oldest))


def test_any_sequence_of_calls_does_what_the_model_does(make_bench: MakeBench, append: Append) -> None:
    """Whatever is called in whatever order, restarts included, the queue and the model tell the same."""

    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(make_bench(), append)

    run_state_machine_as_test(Machine, settings=settings(max_examples=15, stateful_step_count=40, deadline=None))
