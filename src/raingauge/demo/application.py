"""The demo inside the server process: the ordinary application, and a sender process beside it.

    start ▶ an empty data directory? tokens for the senders ▶ python -m raingauge.demo ──HTTP──▶ this server
    stop  ▶ end the sender ▶ the ordinary stop

The sender is a process of its own, started afresh (not forked): it must not take time from the server, and it can only
reach it as any client does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from raingauge.app import Application
from raingauge.contract import Scope
from raingauge.control import customers, links, tokens
from raingauge.control.database import Database
from raingauge.control.sessions import Owner
from raingauge.demo import job
from raingauge.demo.senders import SENDERS
from raingauge.edge.ports import Event, Receive, Send
from raingauge.edge.ports import Scope as AsgiScope
from raingauge.errors import NotFound
from raingauge.settings import SIGNIN_LINK_SECONDS, Settings

STOP_SECONDS: Final = 2.0


class DemoApplication:
    """Serves as the given application does, and runs a sender while it serves."""

    def __init__(self, application: Application, settings: Settings, url: str, base_url: str, scale: float) -> None:
        """`url` reaches this server from this machine, `base_url` is for people; `scale` is 1 for the whole story."""
        self._application = application
        self._settings = settings
        self._url = url
        self._base_url = base_url
        self._scale = scale
        self.answer_whole = application.answer_whole
        self._sender: subprocess.Popen[bytes] | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        empty = not any(_entries(self._settings.data_dir))

        async def receiving() -> Event:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._stop)
            return event

        async def sending(event: Event) -> None:
            if event["type"] == "lifespan.startup.complete":
                await asyncio.to_thread(self._start, empty)
            await send(event)

        await self._application(scope, receiving, sending)

    def _start(self, empty: bool) -> None:
        """Start the sender, but not on a data directory with somebody's own data."""
        path = self._settings.data_dir / job.STATE_NAME
        database = Database.open(self._settings, self._settings.data_dir)
        try:
            if empty and not path.exists():
                state = _issue(database)
                if state is not None:
                    job.write(path, state)
            if not path.exists():
                _say(
                    f"{self._settings.data_dir} is no empty data directory: the demo adds nothing to it and just serves."
                )
                return
            code = _link(database, job.read(path).token_id, self._settings[SIGNIN_LINK_SECONDS])
        except NotFound:
            _say("the demo's own token is gone: nothing is sent, just served.")
            return
        finally:
            database.close()
        told = job.Job(
            url=self._url,
            state_path=str(path),
            link=links.address(self._base_url, code),
            link_minutes=self._settings[SIGNIN_LINK_SECONDS] / 60,
            scale=self._scale,
        )
        self._sender = subprocess.Popen([sys.executable, "-m", "raingauge.demo"], stdin=subprocess.PIPE)
        # The pipe stays open: when this process dies, its end tells the sender to leave.
        if self._sender.stdin is not None:
            self._sender.stdin.write(msgspec.json.encode(told) + b"\n")
            self._sender.stdin.flush()

    def _stop(self) -> None:
        if self._sender is None:
            return
        self._sender.terminate()
        try:
            self._sender.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()


def _entries(data_dir: Path) -> list[Path]:
    return list(data_dir.iterdir()) if data_dir.is_dir() else []


def _issue(database: Database) -> job.State | None:
    """Tokens for a demo, or None when there is more than the customer of a first start."""
    now = datetime.now(UTC)
    with database.write() as db:
        found = customers.listed(db)
        if len(found) != 1:
            return None
        customer = found[0].customer_id
        operator = tokens.issue(db, customer, label=job.OPERATOR, scopes=list(Scope), now=now)
        issued = {
            label: tokens.issue(db, customer, label=label, scopes=[Scope.INGEST], now=now).text for label in SENDERS
        }
    return job.State(operator.record.token_id, {job.OPERATOR: operator.text, **issued})


def _link(database: Database, token_id: str, seconds: float) -> str:
    """The code of a one-time link that signs in with the demo's token. Raises NotFound."""
    now = datetime.now(UTC)
    with database.write() as db:
        if tokens.find(db, token_id).state(now) != "valid":
            raise NotFound(f"token {token_id} is no longer valid")
        return links.issue(db, Owner(token_id=token_id), lifetime=timedelta(seconds=seconds), now=now)


def _say(text: str) -> None:
    sys.stdout.write(f"\nDemo: {text}\n\n")
    sys.stdout.flush()
