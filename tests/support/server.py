"""A real `raingauge serve` in processes of its own, for tests and measurements."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

T = TypeVar("T")
START_SECONDS = 60.0


class Server:
    """One data directory and the process that serves it. The address stays the same over restarts."""

    command: tuple[str, ...] = ("serve",)
    ready = r"Listening on \S+"
    """What its output says when it is ready."""
    start_seconds = START_SECONDS

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAINGAUGE_")},
            **{f"RAINGAUGE_{name.upper()}": str(value) for name, value in settings.items()},
            "RAINGAUGE_DATA_DIR": str(data_dir),
        }
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.url = ""
        self.token = ""
        self.customer = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and wait until it is ready. Raises AssertionError with its output when it does not."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        port = self.url.rpartition(":")[2] or "0"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "raingauge", *self.command, "--port", port],
                env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        until(lambda: self._said(offset, self.ready), self.start_seconds, self.log.read_text)
        self.url = str(self._said(offset, r"Listening on \S+")).split()[-1]
        if token := self._said(0, r"Bearer Token: \S+"):
            self.token = token.split()[-1]
            self.customer = str(self._said(0, r"Customer ID:  \S+")).split()[-1]
        return self

    def _said(self, offset: int, pattern: str) -> str | None:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log.read_text()}")
        found = re.search(pattern, self.log.read_bytes()[offset:].decode())
        return found[0] if found else None

    @property
    def pids(self) -> list[int]:
        """The supervising parent first, then what it started."""
        assert self._process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        return [self._process.pid, *map(int, children.stdout.split())]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL for every process of the server at once, as a power cut would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line on this data directory."""
        return subprocess.run(
            [sys.executable, "-m", "raingauge", *arguments],
            env=self.environment, capture_output=True, text=True, check=check,
        )  # fmt: skip

    def issue(self, *arguments: str) -> dict[str, Any]:
        """A new token, as the command line prints it with --json, once the server honours it."""
        issued: dict[str, Any] = json.loads(self.run("token", "issue", "--json", *arguments).stdout)
        self.honoured(issued["token"])
        return issued

    def honoured(self, token: str) -> None:
        """Wait until the server knows a new token."""
        with self.client(token) as http:
            until(lambda: http.get("/v1/stats").status_code != 401)

    def client(self, token: str | None = None) -> httpx.Client:
        """An HTTP client that presents a token; the first start's by default."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token or self.token}"}, timeout=30, trust_env=False
        )

    def accounting(self) -> dict[str, dict[str, int]]:
        """Items by contract and outcome, once the queue is empty."""

        def settled() -> list[dict[str, Any]] | None:
            with self.client() as http:
                installation = http.get("/api/system").raise_for_status().json()["installation"]
            return installation["accounting"] if installation["queue_messages"] == 0 else None

        counted: dict[str, dict[str, int]] = {}
        for line in until(settled, 60):
            outcomes = counted.setdefault(line["contract"], {})
            outcomes[line["outcome"]] = outcomes.get(line["outcome"], 0) + line["items"]
        return counted


@contextmanager
def running(data_dir: Path, **settings: object) -> Iterator[Server]:
    """A started server, stopped in the end."""
    server = Server(data_dir, **settings).start()
    try:
        yield server
    finally:
        server.stop()


def until(
    look: Callable[[], T | None], seconds: float = 10.0, explain: Callable[[], str] = lambda: "it did not happen"
) -> T:
    """What `look` gives once it gives something, asked again and again. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(explain())
        time.sleep(0.05)
    return found


def balanced(outcomes: Mapping[str, int]) -> bool:
    """Whether received = stored + duplicate + rejected + quarantined."""
    ended = sum(outcomes.get(name, 0) for name in ("stored", "duplicate", "rejected", "quarantined"))
    return outcomes.get("received", 0) == ended
