"""What an operator looks at and does in a browser: dead letters, and the list of everything that is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from raingauge.auth.credential import Credential
from raingauge.contract import Column, Contract, Knob, Reason, Refused, Scope
from raingauge.privacy import SPINE_COLUMNS
from raingauge.queue import DeadLetter, Queue
from raingauge.settings import Settings
from raingauge.web.shape import credential_of

AnyRequest: TypeAlias = Request[Any, Any, Any]


class Letters(msgspec.Struct, frozen=True):
    """Newest first."""

    dead_letters: list[DeadLetter]


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters; null means all."""

    message_ids: list[int] | None


class Done(msgspec.Struct, frozen=True):
    messages: int


class StoredColumn(msgspec.Struct, frozen=True):
    name: str
    type: str
    why: str


class StoredTable(msgspec.Struct, frozen=True):
    """`retention_days` is null when rows stay for ever; `sums` marks daily sums, the others hold single facts."""

    contract: str
    title: str
    table: str
    sums: bool
    retention_days: int | None
    retention_setting: str
    columns: list[StoredColumn]


class Stored(msgspec.Struct, frozen=True):
    """Every column of every table, and those that each table of facts has besides."""

    tables: list[StoredTable]
    everywhere: list[StoredColumn]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What these routes ask of the running system. `operates` says who may look after the whole installation."""

    queue: Queue
    settings: Settings
    operates: Callable[[Credential], bool]


def handlers(contracts: Sequence[Contract], keeping: Keeping) -> list[HTTPRouteHandler]:
    """Dead letters are for operators; what is stored is for everybody who may read."""
    stored = Stored(
        tables=[table for contract in contracts for table in _tables(contract, keeping.settings)],
        everywhere=[StoredColumn(name, "", why) for name, why in SPINE_COLUMNS],
    )

    def operators_only(request: AnyRequest) -> None:
        if not keeping.operates(credential_of(request)):
            raise Refused(Reason.FORBIDDEN, "Only an operator of this installation may do this.")

    @get("/api/dead-letters", summary="Dead letters", tags=["operation"], sync_to_thread=True)
    def dead_letters(request: AnyRequest) -> Letters:
        """Messages that could not be stored, with every failed try."""
        operators_only(request)
        return Letters(keeping.queue.dead_letters())

    @post(
        "/api/dead-letters/retry",
        summary="Retry dead letters",
        tags=["operation"],
        status_code=200,
        sync_to_thread=True,
    )
    def retry(request: AnyRequest, data: JSONBody[Chosen]) -> Done:
        """Queue dead letters again with fresh tries."""
        operators_only(request)
        return Done(keeping.queue.retry_dead_letters(data.message_ids))

    @post(
        "/api/dead-letters/purge",
        summary="Delete dead letters",
        tags=["operation"],
        status_code=200,
        sync_to_thread=True,
    )
    def purge(request: AnyRequest, data: JSONBody[Chosen]) -> Done:
        """Delete dead letters for good."""
        operators_only(request)
        return Done(keeping.queue.purge_dead_letters(data.message_ids))

    @get("/api/stored", summary="What is stored", tags=["operation"])
    async def what_is_stored(request: AnyRequest) -> Stored:
        """Every stored column and why it is kept, made from the table definitions."""
        if not credential_of(request).may(Scope.READ):
            raise Refused(Reason.FORBIDDEN, "this token lacks the scope read")
        return stored

    return [dead_letters, retry, purge, what_is_stored]


def _tables(contract: Contract, settings: Settings) -> Iterator[StoredTable]:
    def table(name: str, columns: Sequence[Column], knob: Knob[int] | None, *, sums: bool) -> StoredTable:
        return StoredTable(
            contract=contract.name,
            title=contract.title,
            table=name,
            sums=sums,
            retention_days=settings[knob] if knob else None,
            retention_setting=knob.env if knob else "",
            columns=[StoredColumn(column.name, column.type, column.why) for column in columns],
        )

    for facts in contract.tables:
        yield table(facts.name, facts.columns, facts.retention_days, sums=False)
    for rollup in contract.rollups:
        yield table(rollup.table, rollup.columns, rollup.retention_days, sums=True)
    for numbering in contract.numberings:
        yield table(numbering.table, numbering.columns, None, sums=True)
