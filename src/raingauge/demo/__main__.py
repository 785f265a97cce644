"""The sender process: `python -m raingauge.demo`, told by one line of JSON on its standard input what to do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from io import RawIOBase
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from raingauge.demo import flags, job, live, story
from raingauge.demo.job import OPERATOR, Job
from raingauge.demo.send import Client, Unwelcome, post_all
from raingauge.demo.senders import day_requests
from raingauge.demo.wire import Request
from raingauge.errors import RaingaugeError
from raingauge.operations import ask
from raingauge.settings import DATA_DIR, Settings

_LOOK_SECONDS: Final = 0.2

_STORIES: Final = f"""\
Things to find in it:
  Agents   one prompt, {story.COSTLY_DAYS_AGO} days ago, cost more than a hundred ordinary ones
  Agents   the nightly bot lost its prompt cache {story.COLD_DAYS} days ago
  Loops    {story.DIVERGING_WORKLOAD} began to diverge {story.DIVERGING_DAYS} days ago
  Flags    the new version of one resolver is slow
  Product  release {story.BROKEN_RELEASE} broke a tool, the next one repaired it
Messages of flag resolvers carry no time, so their history begins now; it grows while this runs.
"""


def run(told: Job, console: Console) -> None:
    """Fill what is empty, say that it is ready, and keep a little going until SIGTERM. Raises Unwelcome."""
    path = Path(told.state_path)
    state = job.read(path)
    client = partial(Client, told.url, state.tokens)
    mine = client()
    # Until the server has noticed the new tokens; they were issued a moment ago.
    while mine.get("/api/system", OPERATOR)[0] == HTTPStatus.UNAUTHORIZED:
        time.sleep(_LOOK_SECONDS)
    match state.filled:
        case "not yet":
            state.filled = "begun"
            job.write(path, state)
            _fill(client, told.scale, console)
            state.filled = "completely"
            job.write(path, state)
            threading.Thread(target=_sum_up, args=(path.parent,), daemon=True).start()
        case "begun":
            console.print("This demo was stopped while it was filled: it shows a part of the story.")
            console.print(f"For the whole of it, stop, delete {path.parent} and start again.")
        case "completely":
            console.print("This demo was filled before: nothing is sent twice.")
    _say_ready(console, told)
    live.run(mine)


def _fill(client: Callable[[], Client], scale: float, console: Console) -> None:
    """Send a month, day by day, and wait until all of it can be read."""
    now = datetime.now(UTC)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[items]:,} items"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"Sending {story.DAYS} days", total=story.DAYS + 1, items=0)
        items = 0

        def sent(request: Request) -> None:
            nonlocal items
            items += request.items
            progress.update(bar, items=items)

        post_all(client, _month(now, scale, progress, bar), sent)
        mine = client()
        while mine.get("/api/system", OPERATOR)[1]["installation"]["queue_messages"]:
            time.sleep(_LOOK_SECONDS)
        progress.advance(bar)


def _sum_up(data_dir: Path) -> None:
    """Have the month summed up now, not at the next quarter of an hour: until then panels look through every fact."""
    with suppress(RaingaugeError):
        ask(Settings({DATA_DIR.name: str(data_dir)}), "rollup.run")


def _month(now: datetime, scale: float, progress: Progress, bar: TaskID) -> Iterator[Request]:
    for day in story.days(now):
        yield from day_requests(now, day, scale)
        progress.advance(bar)
    yield from flags.first_requests(now)


def _say_ready(console: Console, told: Job) -> None:
    console.print(f"\n{_STORIES}", highlight=False)
    console.print("The demo is ready; a little goes on happening. Ctrl-C stops it.", highlight=False)
    console.print(
        f"Sign in (once, within {told.link_minutes:g} minutes):  {told.link}\n", highlight=False, soft_wrap=True
    )


def _leave_with(server: RawIOBase) -> None:
    """End this process when the server's end of the pipe closes, however the server ended."""

    def wait() -> None:
        server.read(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _leave(_number: int, _frame: object) -> None:
    """Unwind, so that the terminal's cursor comes back."""
    sys.exit(0)


def main() -> None:
    # Unbuffered: a thread that waits inside a buffer would hold its lock when Python ends.
    server = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - open to the end
    told = msgspec.json.decode(server.readline(), type=Job)
    signal.signal(signal.SIGTERM, _leave)
    _leave_with(server)
    try:
        run(told, Console())
    except Unwelcome as refused:
        sys.exit(f"raingauge: the demo sends no more: {refused}")


if __name__ == "__main__":
    main()
