"""What all reads of agents share: filters, time ranges, labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from litestar.di import Provide
from litestar.params import QueryParameter

from raingauge.contract import Facts, Meta, Window

LOOK_BACK: Final = timedelta(days=7)
"""How far before a window the last reading of a cumulative series is looked for."""

FIRST_MOMENT: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Times before it are those of broken clocks."""

_LAST_MOMENT: Final = datetime(2100, 1, 1, tzinfo=UTC)
UNATTRIBUTED: Final = "unattributed"
"""Label of the empty key."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Restrictions of a read, each a list of alternatives; an empty one restricts nothing."""

    user: Sequence[str]
    repo: Sequence[str]
    model: Sequence[str]
    source: Sequence[str]
    tool: Sequence[str]
    session: Sequence[str]

    @property
    def restrict(self) -> bool:
        """Whether there is any restriction."""
        return any(getattr(self, name) for name in _FILTERS)

    @property
    def parameters(self) -> dict[str, Sequence[str]]:
        """Values for the parameters that the conditions name."""
        return {f"only_{name}": getattr(self, name) for name in _FILTERS}

    def condition(self, *names: str, **columns: str) -> str:
        """SQL that holds for rows to keep. `names` are columns of the same name, `columns` expressions."""
        chosen = {name: name for name in names} | columns
        return " AND ".join(["1", *(self._one(name, column) for name, column in chosen.items() if getattr(self, name))])

    def _one(self, name: str, column: str) -> str:
        return f"{column} IN {{only_{name}:Array(String)}}"

    def any_of(self, **columns: str) -> str:
        """Like `condition` for expressions that are lists, of which one member must be wanted."""
        return " AND ".join(
            [
                "1",
                *(
                    f"hasAny({column}, {{only_{name}:Array(String)}})"
                    for name, column in columns.items()
                    if getattr(self, name)
                ),
            ]
        )


_FILTERS: Final = ("user", "repo", "model", "source", "tool", "session")


async def _filters(
    user: Annotated[str, QueryParameter(description="Keyed hashes of people, separated by commas.")] = "",
    repo: Annotated[str, QueryParameter(description="Repositories as owner/name.")] = "",
    model: Annotated[str, QueryParameter(description="Models.")] = "",
    source: Annotated[str, QueryParameter(description="claude_code, agent_sdk, cowork, codex, …")] = "",
    tool: Annotated[str, QueryParameter(description="Tools: what belongs to sessions or prompts that used one.")] = "",
    session: Annotated[str, QueryParameter(description="Session ids.")] = "",
) -> Filters:
    return Filters(*(_listed(given) for given in (user, repo, model, source, tool, session)))


def _listed(given: str) -> list[str]:
    return [part for part in map(str.strip, given.split(",")) if part]


FILTERS: Final = {"filters": Provide(_filters)}
"""The dependency that gives a handler its `filters: Filters`."""


@dataclass(frozen=True, slots=True)
class Range:
    """A time range in whole UTC hours: those of `since` and of the last moment belong to it as a whole."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, window: Window) -> Range:
        since = _hour(_within(window.since))
        last = _hour(_within(window.until) - timedelta(microseconds=1))
        return cls(since, max(last, since) + timedelta(hours=1))

    @classmethod
    def days(cls, window: Window) -> Range:
        """The window in whole days, first and last included."""
        since = _within(window.since).replace(hour=0, minute=0, second=0, microsecond=0)
        last = _within(window.until) - timedelta(microseconds=1)
        return cls(since, last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))

    @property
    def before(self) -> Range:
        """The range of the same length that ends where this one begins."""
        return Range(max(self.since - (self.until - self.since), FIRST_MOMENT), self.since)

    def condition(self, name: str, column: str = "hour") -> str:
        return f"{column} >= {{{name}_since:DateTime('UTC')}} AND {column} < {{{name}_until:DateTime('UTC')}}"

    def parameters(self, name: str) -> dict[str, str]:
        return {f"{name}_since": f"{self.since:%Y-%m-%d %H:%M:%S}", f"{name}_until": f"{self.until:%Y-%m-%d %H:%M:%S}"}


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _within(moment: datetime) -> datetime:
    return min(max(moment.astimezone(UTC), FIRST_MOMENT), _LAST_MOMENT)


def looked_at(*ranges: Range) -> dict[str, Any]:
    """Days for `Facts.rolled` that hold all of these ranges and the readings before them."""
    since = min(each.since for each in ranges) - LOOK_BACK
    until = max(each.until for each in ranges) - timedelta(microseconds=1)
    return {"since_day": since.date(), "until_day": until.date(), "look_back": since.replace(hour=0, minute=0)}


def joined(first: Meta, *more: Meta) -> Meta:
    """What an answer that took several steps says of itself: as fresh as the first one."""
    each = (first, *more)
    return msgspec.structs.replace(
        first, rows_read=sum(one.rows_read for one in each), elapsed_ms=round(sum(one.elapsed_ms for one in each), 1)
    )


async def labels(facts: Facts, by: str, keys: Iterable[str]) -> dict[str, str]:
    """What a key is called: a person's name where one is known, else the key itself."""
    wanted = sorted({key for key in keys if key})
    names = await facts.names(wanted) if by == "user" else {}
    return {"": UNATTRIBUTED, **{key: names.get(key) or key for key in wanted}}


def usd(nano: int | Decimal) -> float:
    return int(nano) / 1_000_000_000


def usd_of(nano: pa.ChunkedArray) -> list[float]:
    """The same for a column of decimals."""
    found: list[float] = pc.divide(nano.cast(pa.float64()), 1e9).to_pylist()
    return found
