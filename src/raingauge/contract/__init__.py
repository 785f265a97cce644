"""What a contract is: the types that its folder fills in and that the spine reads.

    request ──Intake.check──▶ queue ──Intake.decode──▶ Decoded ──rows──▶ Table
                 │ Dialect                                                 │
                 └ answers                      handlers ◀──Facts.rows──── ┘   Rollup

The types of the receive side are in `intake.py`, of the stored side in `tables.py`, of the read side in `reads.py`, and
names that all sides share in `names.py`. Everybody imports them from here.

A contract is a folder under `raingauge/contracts/` with the same file names in each: `wire.py` (types of the wire
format), `intake.py` (routes, checks, dialect), `decode.py` (bytes to rows, pure), `tables.py` (columns),
`rollups.py`, `reads.py` (HTTP reads). Of our own modules it imports only this one and `errors`. The spine knows
contracts only through `raingauge.contracts.CONTRACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raingauge.contract.intake import Answer, Check, Decode, Decoded, Dialect, Head, Intake, Person, Received, Reject
from raingauge.contract.names import Outcome, Scope
from raingauge.contract.reads import (
    Facts,
    Family,
    Kept,
    KeptT,
    Meta,
    Page,
    Parts,
    Prometheus,
    Sample,
    Window,
    label_text,
)
from raingauge.contract.tables import Column, Numbering, Rollup, Table
from raingauge.errors import Reason, Refused, Undecodable
from raingauge.settings import Knob, Settings

__all__ = [
    "Answer",
    "Check",
    "Column",
    "Connection",
    "Contract",
    "Decode",
    "Decoded",
    "Dialect",
    "Facts",
    "Family",
    "Forwarding",
    "Head",
    "Intake",
    "Kept",
    "KeptT",
    "Knob",
    "Meta",
    "Numbering",
    "Outcome",
    "Page",
    "Parts",
    "Person",
    "Prometheus",
    "Reason",
    "Received",
    "Refused",
    "Reject",
    "Rollup",
    "Sample",
    "Scope",
    "Settings",
    "Table",
    "Undecodable",
    "Window",
    "label_text",
]


@dataclass(frozen=True, slots=True)
class Connection:
    """How one client is pointed at this server: `raingauge connect <client>`.

    `snippet` takes the server's address (no slash at the end) and a token, and gives text to paste; what it prints
    is complete. `form` names its syntax for those who show it ("shell", "json", "toml", "python", "yaml").
    `family` names the client beside which the dashboard shows this one, as another way to connect the same thing.
    """

    client: str
    title: str
    form: str
    snippet: Callable[[str, str], str]
    scope: Scope = Scope.INGEST
    family: str = ""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """The knobs of a contract whose accepted messages may go on to another server with the same routes.

    `url` and `fallback_url` are base addresses, empty for none. `secret` is that server's credential.
    """

    url: Knob[str]
    fallback_url: Knob[str]
    secret: Knob[str]
    timeout_seconds: Knob[float]
    max_bytes: Knob[int]
    max_age_seconds: Knob[float]

    @property
    def knobs(self) -> tuple[Knob[Any], ...]:
        return (self.url, self.fallback_url, self.secret, self.timeout_seconds, self.max_bytes, self.max_age_seconds)


@dataclass(frozen=True, slots=True)
class Contract:
    """One wire contract: everything the spine needs, tied together.

    `handlers` are litestar route handlers; a handler parameter `facts: Facts` is the caller's view and
    `window: Window` the parsed `since`, `until`, `limit`. A handler's opt `dialect=<Dialect>` answers its errors,
    else they have the API's shape. The opt `scope=<Scope>` names what the caller needs, READ if it is absent. With
    `scope=Scope.ADMIN` and `customer=<name>` the facts are that reserved customer's instead of the caller's, for
    those alone who look after the installation: admins of its first customer. `health` are members that the contract's clients expect in the health answer.
    `prometheus` gives the contract's families for `GET /metrics`. `root_hint` is a sentence for clients of this contract
    that were given the bare address and post to `/`. `person_keys` takes what a person is called, a
    customer and the identity key (see Received), and gives the keyed hashes by which the facts may know the person.
    """

    name: str
    title: str
    intakes: tuple[Intake, ...]
    tables: tuple[Table, ...]
    rollups: tuple[Rollup, ...] = ()
    handlers: tuple[Any, ...] = ()
    knobs: tuple[Knob[Any], ...] = ()
    health: Mapping[str, object] = field(default_factory=dict)
    connections: tuple[Connection, ...] = ()
    prometheus: Prometheus | None = None
    root_hint: str = ""
    person_keys: Callable[[str, str, bytes], Iterable[str]] | None = None
    forwarding: Forwarding | None = None

    @property
    def numberings(self) -> tuple[Numbering, ...]:
        """Those of all rollups, each once."""
        return tuple(dict.fromkeys(numbering for rollup in self.rollups for numbering in rollup.numberings))
