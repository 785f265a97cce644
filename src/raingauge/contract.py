"""What a contract is: the types that its folder fills in and that the spine reads.

    request ──Intake.check──▶ queue ──Intake.decode──▶ Decoded ──rows──▶ Table
                 │ Dialect                                                 │
                 └ answers                      handlers ◀──Facts.rows──── ┘   Rollup

A contract is a folder under `raingauge/contracts/` with the same file names in each: `wire.py` (types of the wire
format), `intake.py` (routes, checks, dialect), `decode.py` (bytes to rows, pure), `tables.py` (columns),
`rollups.py`, `reads.py` (HTTP reads). Of our own modules it imports only this one and `errors`. The spine knows
contracts only through `raingauge.contracts.CONTRACTS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from raingauge.errors import Reason, Refused, Undecodable
from raingauge.settings import Knob, Settings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Answer", "Column", "Connection", "Contract", "Decoded", "Dialect", "Facts", "Family", "Forwarding", "Head", "Intake", "Knob", "Meta", "Numbering",
    "Outcome", "Page", "Parts", "Person", "Prometheus", "Reason", "Received", "Refused", "Reject", "Rollup", "Sample", "Scope",
    "Settings", "Table", "Undecodable", "Window", "label_text",
]  # fmt: skip

RowT = TypeVar("RowT")


class Outcome(StrEnum):
    """Where an item ended. received = stored + duplicate + rejected + quarantined once the queue is empty."""

    RECEIVED = "received"
    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class Scope(StrEnum):
    """What a credential may do. `ADMIN` includes the other two."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


# ---- the receive side --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Header names are lower case; the path has no `/k/<token>` in front."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case without its parameters, or the empty string."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response. The server adds Content-Length and the headers that every answer carries."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


class Dialect(Protocol):
    """How one contract says yes and no on its ingest routes."""

    def accepted(self, head: Head, body: bytes) -> Answer:
        """The 2xx, sent after the message is on disk. `body` is decompressed."""
        ...

    def refused(self, head: Head, refusal: Refused) -> Answer:
        """The error. The server adds Retry-After from `refusal.retry_after_seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class Received:
    """What is known about a queued message besides its bytes.

    `message_id` is the time of arrival in microseconds since 1970, made unique and ascending by the queue; it
    stays below 2^53, so a JSON reader keeps it exact. `received_at` is the same time as an aware UTC datetime.
    `token_label` names the credential that sent it. `identity_key` is 32 secret bytes of this installation, for
    keyed hashes of people. `settings` are the server's.
    """

    message_id: int
    customer: str
    content_type: str = ""
    token_label: str = ""
    idempotency_key: str = ""
    identity_key: bytes = b""
    settings: Settings = field(default_factory=Settings)

    @property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(self.message_id // 1_000_000, UTC) + timedelta(
            microseconds=self.message_id % 1_000_000
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """An item that is counted but not stored.

    `position` is the item's index in its message; `field` names the offending member of the wire format, never
    its value. `quarantined` marks items that were accepted from the sender but found unusable.
    """

    reason: Reason
    position: int
    field: str = ""
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A readable name for a keyed hash; kept only in the encrypted people table."""

    key: str
    name: str


@dataclass(slots=True)
class Decoded:
    """What one message became.

    `rows` maps a table's name to tuples `(position, *values in the order of Table.columns)`. `items` is how many
    items the message carried; each of them is either one row in a table with `counts` or one reject.
    """

    items: int = 0
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)


Check: TypeAlias = Callable[[Head, bytes], None]
"""The cheap look at a body before it is queued; raises Refused."""

Decode: TypeAlias = Callable[[bytes, Received], Decoded]
"""Pure: no clock, no disk, no socket. Raises Undecodable when the whole message is unusable."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One ingest route.

    `name` is written into the queue (`loopgain.aggregate`): never rename it. `admit` runs before the body is read
    and before the credential is looked at; it may raise Refused. `public` intakes need no credential: their rows
    belong to `public_customer` whatever is presented, or if that is empty to the customer of the credential, else to
    the setting `RAINGAUGE_PUBLIC_CUSTOMER`, else they are refused with 401. `body_max_bytes` narrows the server's own cap.
    `daily_cap` gives the most messages a customer of this tier may send in 24 hours, or None; `daily_table` names the
    table in which a start counts what the last 24 hours brought.
    `preflight` False hands OPTIONS to `admit` like any other method.
    `lost_answer_seconds` is for clients that retry without an identity: when a client went away before its answer
    was sent, the same body of the same credential within this time is answered but not queued again.
    `example` is a small valid JSON body: the API documentation shows it and `raingauge doctor` sends it around.
    `grpc_method` names the unary method (`/package.Service/Method`) that takes the same message in protobuf; the body
    of the accepted answer, in the dialect's protobuf, is then the response message.
    """

    name: str
    path: str
    check: Check
    decode: Decode
    dialect: Dialect
    methods: tuple[str, ...] = ("POST",)
    admit: Callable[[Head], None] | None = None
    public: bool = False
    public_customer: str = ""
    body_max_bytes: int | None = None
    daily_cap: Callable[[str], int | None] | None = None
    daily_table: str = ""
    preflight: bool = True
    lost_answer_seconds: float = 0.0
    example: bytes = b""
    grpc_method: str = ""


# ---- the stored side ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One stored column: the allow-list of what is kept. `why` is its line on the privacy page.

    `type` is a ClickHouse type; `codec` an optional compression codec.
    """

    name: str
    type: str
    why: str
    codec: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One fact table.

    The spine adds to each: `customer`, `day` (Date of `time`, a time outside 2020–2099 goes to 1970-01-01),
    `received_at`, `message_id`, `position` and `batch` (ascending number of the insert that wrote the row).

    `time` names the DateTime column of the event's own time, or is empty for the time of arrival.
    `identity` names the columns that identify an item for its customer: a second row with the same identity is a
    duplicate and is not stored; the first one stays. Empty means (message_id, position).
    `identity_days` False looks for duplicates on all days, True only on the row's own day.
    `keep_identity` remembers identities for ever in a table of their own, sorted by identity: rows that retention has
    deleted are still recognised, and looking up on all days reads little. Only erasing a customer forgets them.
    `fingerprint` names a column that differs when a duplicate is not a true copy (a conflict).
    `duplicate_label` names a column whose value is noted with each duplicate.
    `person` names the column with the keyed hash of whoever a row is about: `raingauge forget` goes by it. Rollups of
    this table have that column under the same name, or sums in which nobody can be told apart.
    `counts` is True for the table that holds exactly one row per stored item.
    `series` names the column that tells one stream of numbers from another, and `series_limit` the knob for how many
    different ones a customer may bring on one UTC day of arrival: rows of further ones are rejected as SERIES_LIMIT.
    `order` names columns to sort by after customer and day, before the identity.
    `retention_days` is the knob for how long rows stay after arrival, None for ever; `tier_retention_days` gives
    another number of days to customers of a tier.
    `indexes` are ClickHouse skip-index clauses, written as in CREATE TABLE.
    """

    name: str
    columns: tuple[Column, ...]
    time: str = ""
    identity: tuple[str, ...] = ()
    identity_days: bool = True
    keep_identity: bool = False
    fingerprint: str = ""
    duplicate_label: str = ""
    person: str = ""
    counts: bool = True
    series: str = ""
    series_limit: Knob[int] | None = None
    order: tuple[str, ...] = ()
    retention_days: Knob[int] | None = None
    tier_retention_days: Mapping[str, int] = field(default_factory=dict, hash=False)
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers 1, 2, 3, … for the different values of something, so that sets of them can be summed up as bitmaps.

    The spine creates `table` with `customer`, `value` and `number`. Before facts are summed up, every
    value of theirs without a number gets the next one of its customer. `value` is an SQL expression over a row of the
    rollup's source, a hash that includes the customer. A number never changes, and stays until the customer's facts are
    erased. Facts that are newer than a rollup can have values without a number. `why` says what the value is.
    """

    table: str
    value: str
    why: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is stored of each value."""
        return Column("value", "UInt64", self.why, "NONE"), Column("number", "UInt32", "its number", "NONE")


@dataclass(frozen=True, slots=True)
class Rollup:
    """Daily sums that are recomputed and replaced as a whole, one day at a time.

    The spine creates `table` with `customer`, `day`, the columns and `generation`, sorted by customer, day and
    `order`. `select` is `SELECT customer, day, <columns in order> FROM <source> WHERE {where} GROUP BY customer,
    day, …` with `{where}` left in the text. The runner fills it with one day and every insert up to a batch number,
    which becomes the generation; `Facts.rolled` fills it with the inserts that came later, so a read of both is
    complete and counts nothing twice. Columns must therefore be mergeable: sums, or aggregate-function states.
    `numberings` are the numbers that `select` joins with.
    """

    table: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    source: str
    select: str
    retention_days: Knob[int] | None = None
    numberings: tuple[Numbering, ...] = ()


# ---- the read side -----------------------------------------------------------------------------------------


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
    and both are of one moment: take them from one call.
    """

    sums: str
    newer: str


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
