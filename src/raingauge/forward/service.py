"""The outboxes of a data directory: one for each contract whose messages are passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from raingauge.contract import Contract, Forwarding
from raingauge.forward.forwarder import Forwarder
from raingauge.forward.outbox import DIRECTORY, Level, Outbox
from raingauge.queue import Leased
from raingauge.settings import QUEUE_KEY_SECONDS, Settings
from raingauge.vault import Vault


@dataclass(frozen=True, slots=True)
class State:
    """What waits in one contract's outbox, and why it waits."""

    contract: str
    level: Level
    max_bytes: int
    problem: str


@dataclass(slots=True)
class _Lane:
    contract: Contract
    forwarding: Forwarding
    outbox: Outbox
    forwarder: Forwarder | None = None


class Forwards:
    """Takes stored messages and passes them on. An outbox exists where an address is set, or was once set."""

    def __init__(
        self,
        data_dir: Path,
        vault: Vault,
        settings: Settings,
        contracts: Sequence[Contract],
        customer_exists: Callable[[str], bool],
    ) -> None:
        """`customer_exists` keeps the examples back that `raingauge doctor` sends around."""
        self._settings = settings
        self._customer_exists = customer_exists
        self._origin = vault.subkey("forward").hex()[:16]
        self._lanes: list[_Lane] = []
        with ExitStack() as opened:
            for contract in contracts:
                forwarding = contract.forwarding
                directory = data_dir / DIRECTORY / contract.name
                if forwarding is None or not (settings[forwarding.url] or directory.exists()):
                    continue
                outbox = Outbox.open(
                    directory,
                    vault,
                    max_bytes=settings[forwarding.max_bytes],
                    max_age_seconds=settings[forwarding.max_age_seconds],
                    key_seconds=settings[QUEUE_KEY_SECONDS],
                )
                opened.callback(outbox.close)
                self._lanes.append(_Lane(contract, forwarding, outbox))
            self._opened = opened.pop_all()

    def start(self) -> None:
        """Begin to deliver."""
        for lane in self._lanes:
            urls = [self._settings[knob] for knob in (lane.forwarding.url, lane.forwarding.fallback_url)]
            if urls[0]:
                lane.forwarder = Forwarder(
                    lane.outbox,
                    urls=[url for url in urls if url],
                    paths={intake.name: intake.path for intake in lane.contract.intakes},
                    secret=self._settings[lane.forwarding.secret],
                    origin=self._origin,
                    timeout_seconds=self._settings[lane.forwarding.timeout_seconds],
                )
                self._opened.callback(lane.forwarder.close)

    def put(self, stored: Sequence[Leased]) -> None:
        """Keep those messages that are to be passed on; when this returns they are on disk."""
        for lane in self._lanes:
            if self._settings[lane.forwarding.url]:
                names = {intake.name for intake in lane.contract.intakes}
                lane.outbox.put(
                    [
                        item
                        for item in stored
                        if item.message.intake in names and self._customer_exists(item.message.customer)
                    ]
                )

    def erase(self, customer: str) -> None:
        """Forget what waits of a customer."""
        for lane in self._lanes:
            lane.outbox.erase(customer)

    def states(self) -> list[State]:
        return [
            State(
                lane.contract.name,
                lane.outbox.level(),
                self._settings[lane.forwarding.max_bytes],
                lane.forwarder.problem if lane.forwarder else "no address is set",
            )
            for lane in self._lanes
        ]

    def housekeep(self) -> None:
        for lane in self._lanes:
            lane.outbox.housekeep()

    def close(self) -> None:
        self._opened.close()
