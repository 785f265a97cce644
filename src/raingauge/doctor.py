"""Looks at an installation and says what to do: `raingauge doctor`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import httpx

from raingauge.address import base_url
from raingauge.control import tokens
from raingauge.control.database import Database
from raingauge.errors import RaingaugeError
from raingauge.operations import OperationFailed, ask
from raingauge.owner import holder
from raingauge.settings import MIB, Settings

FREE_BYTES_WANTED = 512 * MIB
CLOCK_SECONDS_ALLOWED = 1.0


class Finding(NamedTuple):
    """One thing that was looked at. `advice` is empty when there is nothing to do."""

    what: str
    good: bool
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All findings. Stops early when there is no data directory to look into."""
    directory = _directory(settings)
    return [directory] if not directory.good else [directory, *_inside(settings)]


def _directory(settings: Settings) -> Finding:
    path = settings.data_dir
    if not path.is_dir():
        return Finding("data directory", False, f"{path} does not exist", "start `raingauge serve` once")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding("data directory", False, f"{path} is not writable", "run as its owner")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("data directory", False, f"{path} is open to others ({mode:o})", f"chmod 700 {path}")
    free = os.statvfs(path)
    free_bytes = free.f_bavail * free.f_frsize
    enough = free_bytes > FREE_BYTES_WANTED
    advice = "" if enough else "make room; a full disk answers 503"
    return Finding("data directory", enough, f"{path}, {free_bytes // MIB} MiB free", advice)


def _inside(settings: Settings) -> Iterator[Finding]:
    pid = holder(settings.data_dir)
    yield Finding("server", True, f"running as process {pid}" if pid else "not running; looking by myself")
    yield _credentials(settings)
    if pid:
        yield _reachable(settings)
    try:
        seen = ask(settings, "doctor.look")
    except RaingaugeError as error:
        yield Finding("queue and store", False, str(error), "see the server's log")
        return
    problems = seen["problems"]
    yield Finding("queue and store", not problems, "; ".join(problems) or f"{seen['queue_messages']} messages waiting")
    dead = seen["dead_letters"]
    yield Finding("dead letters", not dead, str(dead), "see `raingauge dlq list`" if dead else "")
    apart = abs((datetime.now(UTC) - datetime.fromisoformat(seen["clock"])).total_seconds())
    ahead = seen["newest_message_ahead_seconds"]
    clock = apart < CLOCK_SECONDS_ALLOWED and ahead < CLOCK_SECONDS_ALLOWED
    advice = (
        "" if clock else "the clock was set back: new messages are stamped after the newest old one until it catches up"
    )
    yield Finding("clock", clock, f"newest message {max(0.0, ahead):.1f} s in the future", advice)
    yield _round_trip(settings)


def _credentials(settings: Settings) -> Finding:
    try:
        database = Database.open(settings, settings.data_dir)
    except RaingaugeError as error:
        return Finding("credentials", False, str(error))
    try:
        with database.read() as db:
            valid = [token for token in tokens.listed(db) if token.state(datetime.now(UTC)) == "valid"]
    finally:
        database.close()
    return Finding(
        "credentials",
        bool(valid),
        f"{len(valid)} valid tokens",
        "" if valid else "raingauge token issue --name my-team",
    )


def _reachable(settings: Settings) -> Finding:
    url = base_url(settings)
    try:
        answer = httpx.get(f"{url}/-/ready", timeout=5)
    except httpx.HTTPError as error:
        advice = "can this machine reach that address? see RAINGAUGE_PUBLIC_URL"
        return Finding("address", False, f"{url}: {type(error).__name__}", advice)
    return Finding("address", answer.status_code == 200, f"{url} answers {answer.status_code}")


def _round_trip(settings: Settings) -> Finding:
    started = time.monotonic()
    try:
        stored = ask(settings, "doctor.round_trip")
    except OperationFailed as error:
        return Finding("round trip", False, str(error), "see the server's log")
    took = time.monotonic() - started
    good = all(stored.values())
    detail = ", ".join(f"{name} {'stored' if ok else 'NOT stored'}" for name, ok in stored.items())
    return Finding("round trip", good, f"{detail}, in {took:.1f} s", "" if good else "see `raingauge dlq list`")
