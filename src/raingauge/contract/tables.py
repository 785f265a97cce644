"""The stored side: which columns there are, what makes a row the same as another, and what is summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raingauge.settings import Knob


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
