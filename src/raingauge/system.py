"""Composition root: everything that is open on one data directory, built by hand, in order.

owner ▶ vault ▶ database ▶ directory ▶ queue ▶ store ▶ pipeline ▶ periodic work ▶ socket     (close: backwards)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from raingauge.auth.directory import Directory
from raingauge.contract import Outcome
from raingauge.contracts import CONTRACTS
from raingauge.control.database import Database
from raingauge.control.people import People
from raingauge.decoding import open_decoder
from raingauge.forward.service import Forwards
from raingauge.metrics import Metrics
from raingauge.operations import Operations, OperationsServer
from raingauge.owner import Owner
from raingauge.periodic import Periodic
from raingauge.pipeline import Pipeline
from raingauge.queue import Appended, Message, Tally
from raingauge.queue.sqlite import SqliteQueue
from raingauge.settings import DECODE_WORKERS, DRAIN_SECONDS, MASTER_KEY, ROLLUP_SECONDS, SESSION_IDLE_DAYS, Settings
from raingauge.store.schema import fact_tables
from raingauge.store.store import Store
from raingauge.vault import Vault

HOUSEKEEPING_SECONDS = 60.0
RETENTION_SECONDS = 3_600.0
ROUND_TRIP_SECONDS = 30.0


def utc_now() -> datetime:
    return datetime.now(UTC)


def _settle(future: Future[Appended], found: Appended | BaseException) -> None:
    if isinstance(found, BaseException):
        future.set_exception(found)
    else:
        future.set_result(found)


@dataclass(slots=True)
class Forgotten:
    """How many names, and how many rows of which tables, were deleted."""

    names: int = 0
    rows: dict[str, int] = field(default_factory=dict)


class System:
    """An open data directory. `start` sets it to work; without it, it can only be looked at and maintained."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        data_dir = settings.data_dir
        self.settings = settings
        self._stack = stack
        self.metrics = Metrics()
        stack.enter_context(Owner(data_dir))
        self.vault = Vault.open(data_dir, settings[MASTER_KEY])
        self.database = Database.open(settings, data_dir)
        stack.callback(self.database.close)
        self.people = People(self.database, self.vault.subkey("people"))
        self.directory = Directory(self.database, session_idle=timedelta(days=settings[SESSION_IDLE_DAYS]))
        stack.callback(self.directory.close)
        self.queue = SqliteQueue.open(data_dir, self.vault, settings, observe=self._observe)
        stack.callback(self.queue.close)
        self.metrics.watch(self.queue)
        self.store = Store.open(settings, data_dir, CONTRACTS)
        stack.callback(self.store.close)
        self.forwards = Forwards(data_dir, self.vault, settings, CONTRACTS, self.directory.customer_exists)
        stack.callback(self.forwards.close)
        self._pipeline: Pipeline | None = None

    @classmethod
    def open(cls, settings: Settings) -> System:
        """Open everything or nothing. Raises DataDirectoryError or SettingError with what to do."""
        with ExitStack() as stack:
            system = cls(settings, stack)
            system._stack = stack.pop_all()
            return system

    def _observe(self, name: str, value: float) -> None:
        commits = {"commit_seconds": self.metrics.commit_seconds, "commit_messages": self.metrics.commit_messages}
        commits[name].observe(value)

    def start(self) -> None:
        """Begin to store what is queued, to keep house, and to answer operations."""
        identity_key = self.vault.subkey("identity")
        decoders = [open_decoder(self.settings, identity_key) for _ in range(max(1, self.settings[DECODE_WORKERS]))]
        pipeline = Pipeline(
            queue=self.queue,
            writer=self.store.writer,
            people=self.people,
            decoders=decoders,
            contracts=CONTRACTS,
            metrics=self.metrics,
            restart_boundary=self.queue.last_id,
            forward=self.forwards.put,
            keep_up=self.store.reader.newer.keep_up,
        )
        self.forwards.start()
        pipeline.start()
        self._stack.callback(lambda: pipeline.stop(self.settings[DRAIN_SECONDS]))
        self._pipeline = pipeline
        self._stack.callback(Periodic("housekeeping", HOUSEKEEPING_SECONDS, self.housekeep).close)
        self._stack.callback(Periodic("retention", RETENTION_SECONDS, self.run_retention).close)
        if self.settings[ROLLUP_SECONDS]:
            self._stack.callback(Periodic("rollup", self.settings[ROLLUP_SECONDS], self.store.rollups.run).close)
        server = OperationsServer(self.settings.data_dir, Operations(self))
        self._stack.callback(server.close)

    def housekeep(self) -> None:
        """Expire what waited too long and destroy keys that nothing needs any more."""
        self.queue.housekeep()
        self.forwards.housekeep()

    def run_retention(self) -> Any:
        """Delete what is past its retention, with the shorter times of customers' tiers."""
        tiers = {one.customer_id: one.tier for one in self.directory.customers()}
        return self.store.retention.run(
            {
                table.name: {
                    customer: table.tier_retention_days[tier]
                    for customer, tier in tiers.items()
                    if tier in table.tier_retention_days
                }
                for contract in CONTRACTS
                for table in contract.tables
            }
        )

    def erase_customer(self, customer: str) -> dict[str, int]:
        """Delete all facts of a customer, those still waiting in the queue too; how many rows of each table."""
        self._store_waiting()
        self.forwards.erase(customer)
        return {table.name: self.store.writer.erase(table.name, customer) for table in fact_tables(CONTRACTS)}

    def forget(self, person: str, customers: Sequence[str], facts: bool) -> Forgotten:
        """Delete the readable name of a person, and with `facts` every row about this person.

        `person` is an e-mail address, another id that was sent, or the keyed hash that reads show. Messages that are
        still waiting count too.
        """
        self._store_waiting()
        identity_key = self.vault.subkey("identity")
        found = Forgotten()
        for customer in customers:
            keys = {person}.union(
                *(one.person_keys(person, customer, identity_key) for one in CONTRACTS if one.person_keys)
            )
            found.names += sum(self.people.forget(customer, key) for key in sorted(keys))
            if facts:
                for table in fact_tables(CONTRACTS):
                    if table.person and (rows := self.store.writer.erase(table.name, customer, sorted(keys))):
                        found.rows[table.name] = found.rows.get(table.name, 0) + rows
        return found

    def _store_waiting(self) -> None:
        """Wait until what is queued now is stored, so that it does not appear after a deletion."""
        if self._pipeline is None and self.queue.depth().messages:
            self.start()
        self._until_stored(self.queue.last_id)

    def round_trip(self) -> dict[str, bool]:
        """Send each intake's example through the queue into the store and take it out again; which arrived."""
        if self._pipeline is None:
            self.start()
        customer = f"doctor_{secrets.token_hex(8)}"
        arrived: dict[str, bool] = {}
        for contract in CONTRACTS:
            for intake in contract.intakes:
                # Two paths may share a name and an example; the second copy would be a duplicate.
                if intake.example and intake.name not in arrived:
                    before = self._stored(contract.name)
                    self._send(Message(intake.name, customer, intake.example, "application/json"))
                    arrived[intake.name] = self._stored(contract.name) > before
        self.erase_customer(customer)
        return arrived

    def _send(self, message: Message) -> None:
        """Queue a message and wait until it is stored or given up."""
        done: Future[Appended] = Future()
        self.queue.append(message, lambda found: _settle(done, found))
        self._until_stored(done.result(ROUND_TRIP_SECONDS).message_id)

    def _until_stored(self, message_id: int) -> None:
        """Wait until no message up to this one waits any more, but not for ever."""
        deadline = time.monotonic() + ROUND_TRIP_SECONDS
        while not self.queue.drained(message_id) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _stored(self, contract: str) -> int:
        return self.queue.accounting().get(Tally(contract, Outcome.STORED), 0)

    def problems(self) -> list[str]:
        """Why this system cannot do its whole work right now; empty when it can."""
        found = []
        if self.queue.full():
            found.append("the queue is full")
        if self._pipeline is not None and not self._pipeline.alive():
            found.append("nothing is taken from the queue")
        if not self.store.healthy():
            found.append("the store does not answer")
        return found

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
