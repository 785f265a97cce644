"""The read side: what a handler may ask of the facts, and what it answers with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from raingauge.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Window:
    """The time range of a read, `since` inclusive and `until` exclusive, aware UTC."""

    since: datetime
    until: datetime
    limit: int

    @property
    def days(self) -> tuple[date, date]:
        """First and last UTC day that the window touches."""
        return self.since.date(), (self.until - timedelta(microseconds=1)).date()


class Meta(msgspec.Struct, frozen=True):
    """What every API answer says about itself."""

    since: str
    until: str
    fresh_as_of: str
    rows_read: int
    elapsed_ms: float


class Page(msgspec.Struct, Generic[RowT], frozen=True):
    """The success shape of every `/api` read."""

    data: RowT
    meta: Meta


class Parts(NamedTuple):
    """What `Facts.rolled` joins, for reads that ask for each part by a statement of its own: several short statements
    at the same time are answered sooner than one long one.

    `sums` is `<rollup table> WHERE …` with all sums that count. `newer` is a condition for the facts that are newer, to
    be used on the rollup's source, and empty when there are none. Both name `{since_day:Date}` and `{until_day:Date}`,
    and both are of one moment: take them from one call. `table` is the rollup's; `since` and `newest` say for
    `Facts.newer` the same as `newer` without the days: what newer facts have in common, and the number of the last
    insert that belongs to them, None when it cannot be known.
    """

    sums: str
    newer: str
    table: str = ""
    since: str = ""
    newest: int | None = None


class Kept(Protocol):
    """What was made of the results of statements, to be kept in memory: `nbytes` is what it takes there.

    `looked` is how many stored rows were looked at for it.
    """

    @property
    def nbytes(self) -> int: ...

    @property
    def looked(self) -> int: ...


KeptT = TypeVar("KeptT", bound=Kept)


@runtime_checkable
class Facts(Protocol):
    """The stored facts of one customer, as a read sees them.

    Every statement must name `{customer:String}`; it is bound to the caller's customer and nothing else.
    """

    customer: str
    tier: str
    now: datetime
    settings: Settings

    async def rows(self, sql: str, row: type[RowT], /, **parameters: object) -> list[RowT]:
        """Run a SELECT; each result row becomes a `row` (a msgspec Struct, matched by column name).

        Raises QueryError when a limit of time, rows or memory is hit.
        """
        ...

    async def page(self, window: Window, sql: str, row: type[RowT], /, **parameters: object) -> Page[list[RowT]]:
        """`rows` with `since`, `until` (DateTime64(6)), `since_day`, `until_day` (Date) and `limit` bound from the window, in the API's envelope."""
        ...

    def rolled(self, table: str) -> str:
        """A parenthesised subquery over a rollup table plus whatever is newer than it, for use after FROM.

        Same columns as the rollup (`customer`, `day`, …), restricted to the customer and to the days from
        `{since_day:Date}` to `{until_day:Date}`, which `page` binds and callers of `rows` bind themselves.
        """
        ...

    def parts(self, table: str) -> Parts:
        """The two parts of `rolled`."""
        ...

    async def columns(
        self, window: Window, statements: Mapping[str, str], /, **parameters: object
    ) -> Page[dict[str, pa.Table]]:
        """Run SELECTs with the parameters of `page` at the same time; each result as columns, under its statement's name.

        Statements read only what `rolled` and `parts` name: results are kept until the texts or the parameters change.
        Column `looked` of a result, where there is one, counts the stored rows that were looked at.
        """
        ...

    async def newer(self, parts: Parts, select: str) -> list[pa.Table]:
        """What a rollup would hold of the facts that are newer than its sums, of all days; `select` names what is read.

        Facts are looked at once, after they came, and what was found is kept until they are summed up: so a group may
        be in several rows. Nothing when there are no newer facts.
        """
        ...

    async def derived(
        self,
        window: Window,
        statements: Mapping[str, str],
        make: Callable[[dict[str, pa.Table]], KeptT],
        name: Hashable,
        /,
        **parameters: object,
    ) -> Page[KeptT]:
        """What `make` gives for the results of `columns`, kept in their place; it is called in a thread.

        `name` tells what is made from what else may be made of the same statements. What is kept must not be changed.
        """
        ...

    async def names(self, keys: Sequence[str]) -> dict[str, str]:
        """Readable names for keyed hashes of people; hashes without one are left out."""
        ...

    async def erase(self, table: str) -> int:
        """Delete the customer's rows of a table, those still waiting in the queue included; how many rows."""
        ...


class Sample(NamedTuple):
    """One line of Prometheus text.

    `labels` is the text between the braces, as `label_text` writes it. `suffix` is only for histograms: `_bucket`,
    `_sum` or `_count`.
    """

    labels: str
    value: int | float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of the Prometheus text with all its samples.

    `name` is without the `_total` of counters, which the text adds. Labels must come from lists with a documented
    cap. A family without samples is left out. `samples` may be a generator: it is read once.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[Sample]


def label_text(**labels: str) -> str:
    """Labels as Prometheus text, in the order given: `a="x",b="y"`."""
    return ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in labels.items())


_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})

Prometheus: TypeAlias = Callable[[Facts, int], Awaitable[Sequence[Family]]]
"""The families that one contract shows on `GET /metrics` for one customer: totals since the beginning.

The number is how many histogram buckets per factor of ten the reader wants, 1 to 18; without histograms ignore it.
"""
