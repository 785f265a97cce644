"""A real queue in a directory of its own, with clocks that the test moves."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import TypeAlias

import pytest

from raingauge.queue import Appended, Message
from raingauge.queue.sqlite import SqliteQueue
from raingauge.settings import Settings
from raingauge.vault import Vault

START_SECONDS = 1_800_000_000.0


class Clock:
    """Both clocks of the queue; `now` is the wall, `running` never jumps."""

    def __init__(self) -> None:
        self.now = START_SECONDS
        self.running = 100.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.running += seconds


class Bench:
    """One data directory, whose queue can be opened, closed and opened again."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.clock = Clock()
        self.observed: list[tuple[str, float]] = []
        self._opened: list[SqliteQueue] = []

    def open(self, **values: str | float) -> SqliteQueue:
        queue = SqliteQueue.open(
            self.data_dir,
            Vault.open(self.data_dir, ""),
            Settings(values),
            clock=lambda: self.clock.now,
            monotonic=lambda: self.clock.running,
            observe=lambda name, value: self.observed.append((name, value)),
        )
        self._opened.append(queue)
        return queue

    def close(self) -> None:
        for queue in self._opened:
            queue.close()

    def content(self) -> bytes:
        """Every byte of every file, the way a thief would read them."""
        return b"\n".join(path.read_bytes() for path in sorted(self.data_dir.rglob("*")) if path.is_file())


Append: TypeAlias = Callable[..., Appended]
Busy: TypeAlias = Callable[[SqliteQueue], AbstractContextManager[None]]
MakeBench: TypeAlias = Callable[[], Bench]


def appended(queue: SqliteQueue, body: bytes = b"body", *, intake: str = "otlp.traces", **columns: str) -> Appended:
    """Append and wait for the answer; a refusal is raised."""
    answer: Future[Appended] = Future()

    def done(result: Appended | BaseException) -> None:
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    queue.append(Message(intake, columns.pop("customer", "cust_1"), body, **columns), done)
    return answer.result(20)


@contextmanager
def busy_writer(queue: SqliteQueue) -> Iterator[None]:
    """Hold the writer up in a callback, so that what is handed over meanwhile becomes one group."""
    reached, released = Event(), Event()

    def done(_result: object) -> None:
        reached.set()
        released.wait(20)

    queue.append(Message("otlp.traces", "first", b""), done)
    assert reached.wait(20)
    try:
        yield
    finally:
        released.set()


@pytest.fixture
def busy() -> Busy:
    return busy_writer


@pytest.fixture
def append() -> Append:
    return appended


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Gives benches that share nothing."""
    made: list[Bench] = []

    def make() -> Bench:
        made.append(Bench(tmp_path / str(len(made)) / "data"))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


@pytest.fixture
def queue(bench: Bench) -> SqliteQueue:
    return bench.open()
