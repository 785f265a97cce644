"""What all reads of agents share: filters, time ranges, and usage in which no spend counts twice."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Annotated, Any, Final

import msgspec
from litestar.di import Provide
from litestar.params import QueryParameter

from raingauge.contract import Facts, Window
from raingauge.contracts.otlp.rollups import (
    CUMULATIVE,
    DIMENSIONS,
    POINT_SUMS,
    PROMPTS,
    TOKENS,
    USAGE_EVENTS,
    USAGE_POINTS,
    USAGE_SPANS,
)
from raingauge.contracts.otlp.spend import FAMILY, SPEND_SIGNALS
from raingauge.contracts.otlp.tables import EVENTS, POINTS, SPANS

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
    """A time range in whole UTC hours: the hour of `since` belongs to it as a whole."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, window: Window) -> Range:
        since = _within(window.since).replace(minute=0, second=0, microsecond=0)
        return cls(since, max(_within(window.until), since + timedelta(hours=1)))

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
        return f"{column} >= {{{name}_since:DateTime64(6)}} AND {column} < {{{name}_until:DateTime64(6)}}"

    def parameters(self, name: str) -> dict[str, datetime]:
        return {f"{name}_since": self.since, f"{name}_until": self.until}


def _within(moment: datetime) -> datetime:
    return min(max(moment.astimezone(UTC), FIRST_MOMENT), _LAST_MOMENT)


def looked_at(*ranges: Range) -> dict[str, Any]:
    """Days for `Facts.rolled` that hold all of these ranges and the readings before them."""
    since = min(each.since for each in ranges) - LOOK_BACK
    until = max(each.until for each in ranges) - timedelta(microseconds=1)
    return {"since_day": since.date(), "until_day": until.date(), "look_back": since.replace(hour=0, minute=0)}


_DIMENSIONS: Final = ", ".join(DIMENSIONS)
_INCREASES: Final = f"""
    SELECT day, hour, {_DIMENSIONS}, {POINT_SUMS}
    FROM (
        SELECT day, hour, {_DIMENSIONS}, measure, unit_cost_usd,
            lagInFrame(reading, 1, 0) OVER series_of AS before,
            multiIf(
                row_number() OVER series_of > 1, if(reading >= before, reading - before, reading),
                start > toDateTime64(0, 6, 'UTC') AND start < {{look_back:DateTime64(6)}}, 0,
                reading
            ) AS value
        FROM (
            SELECT day, hour, {_DIMENSIONS}, measure, unit_cost_usd, series, start,
                arrayJoin(readings) AS one, one.1 AS at, one.2 AS reading
            FROM $cumulative
        )
        WINDOW series_of AS (PARTITION BY series, start ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    )
    GROUP BY day, hour, {_DIMENSIONS}
"""


_NEVER: Final = 9
_FAMILIES: Final = {str(source): str(family) for source, family in FAMILY.items() if source != family}
_FAMILY: Final = f"transform(toString(source), {list(_FAMILIES)}, {list(_FAMILIES.values())}, toString(source))"
_SIGNALS: Final = ("events", "spans", "points")
"""In the order in which they are believed about what was done."""

_MINE: Final = "customer = {customer:String} AND day BETWEEN {since_day:Date} AND {until_day:Date}"
_STORED: Final = (
    ("events", EVENTS.name, "1"),
    ("events", USAGE_EVENTS.table, "1"),
    ("spans", SPANS.name, "1"),
    ("spans", USAGE_SPANS.table, "1"),
    ("points", POINTS.name, "temporality != 'cumulative'"),
    ("points", USAGE_POINTS.table, "1"),
    ("cumulative", POINTS.name, "temporality = 'cumulative'"),
    ("cumulative", CUMULATIVE.table, "1"),
)
_PRESENT: Final = " UNION ALL ".join(
    f"SELECT '{told}' AS told FROM {table} WHERE {_MINE} AND {of_these} LIMIT 1" for told, table, of_these in _STORED
)
EVERYTHING: Final = frozenset(told for told, _, _ in _STORED)
"""What may tell of usage: `events`, `spans`, `points` (increases) and `cumulative` (points that count from a start)."""


class _Told(msgspec.Struct, frozen=True):
    told: str


async def present(facts: Facts, days: Mapping[str, object]) -> frozenset[str]:
    """Which of `EVERYTHING` the customer has on the days from `since_day` to `until_day`.

    Most customers send one or two of them, and analysing a statement over tables that hold nothing of theirs takes
    longer than reading the others.
    """
    found = await facts.rows(_PRESENT, _Told, since_day=days["since_day"], until_day=days["until_day"])
    return frozenset(row.told for row in found)


_ACTIVE_SESSIONS: Final = (
    "session IN (SELECT session FROM $prompts WHERE customer = {customer:String}"
    " AND session != '' AND hasAny(mapKeys(tools), {only_tool:Array(String)}))"
)


def _rank(signal: str) -> str:
    """SQL of the place that a signal has among those that tell the spend of a source."""
    ranks = {str(source): signals.index(signal) for source, signals in SPEND_SIGNALS.items() if signal in signals}
    return f"transform(toString(source), {list(ranks)}, {list(ranks.values())}, {_NEVER})"


def usage(facts: Facts, filters: Filters, stored: frozenset[str]) -> tuple[list[tuple[str, str]], str]:
    """All of `stored` that tells of usage by hour, as pairs of signal and subquery, and the filters as a condition.

    A subquery has the columns day, hour, the dimensions and the measures. Points do not know their session, so they
    are left out when it is asked for.
    """
    condition = filters.condition("user", "repo", "model", "source", "session")
    if filters.tool:
        condition += f" AND {_ACTIVE_SESSIONS.replace('$prompts', facts.rolled(PROMPTS.table))}"
    told = []
    if "spans" in stored:
        told.append(("spans", facts.rolled(USAGE_SPANS.table)))
    if "points" in stored and not (filters.session or filters.tool):
        told.append(("points", facts.rolled(USAGE_POINTS.table)))
    if "cumulative" in stored and not (filters.session or filters.tool):
        told.append(("points", f"({Template(_INCREASES).substitute(cumulative=facts.rolled(CUMULATIVE.table))})"))
    if "events" in stored or not told:
        told.append(("events", facts.rolled(USAGE_EVENTS.table)))
    return told, condition


_SPENDS: Final = f"(requests > 0 OR cost_nano != 0 OR {' + '.join(TOKENS)} > 0)"
_DOES: Final = "(requests + errors + prompts + tool_calls > 0)"


def best(
    facts: Facts,
    filters: Filters,
    keys: Mapping[str, str],
    within: str,
    spend: Mapping[str, str],
    done: Mapping[str, str] | None = None,
    told: Mapping[str, str] | None = None,
    stored: frozenset[str] = EVERYTHING,
) -> str:
    """Sums of usage by keys, in which nothing counts twice although tools tell the same by several signals.

    Per day, person and family of tools, `spend` is taken from the family's best signal that tells any, `done` from
    events or else spans, `told` from all. Values are SQL by the name of the result's column; `$kept` in them stands
    for the filters, which take no part in the choice of the signal. `within` restricts the hours, `stored` is what
    `present` found.
    """
    sources, condition = usage(facts, filters, stored)
    done, told = done or {}, told or {}
    values = {name: Template(text).substitute(kept="wanted") for name, text in {**spend, **done, **told}.items()}
    given = "".join(f", {text} AS {name}" for name, text in {**keys, **values}.items())
    names = ", ".join(keys)
    outer = [f"sumIf(inner_usage.{name}, spending) AS {name}" for name in spend]
    outer += [f"sumIf(inner_usage.{name}, doing) AS {name}" for name in done]
    outer += [f"sum(inner_usage.{name}) AS {name}" for name in told]
    rows = " UNION ALL ".join(
        f"""
        SELECT day AS usage_day, user AS person, {_FAMILY} AS usage_family, {_rank(signal)} AS usage_rank,
            {_SIGNALS.index(signal)} AS usage_signal, max({_SPENDS}) AS spent, max({_DOES}) AS did,
            max(wanted) AS kept{given}
        FROM (SELECT *, {condition} AS wanted FROM {source} WHERE {within}) GROUP BY usage_day, person, usage_family, usage_rank, {names}"""
        for signal, source in sources
    )
    return f"""
        SELECT {names}, {", ".join(outer)} FROM (
            SELECT *, usage_rank = min(if(spent, usage_rank, {_NEVER})) OVER chosen AS spending,
                usage_signal = min(if(did, usage_signal, {_NEVER})) OVER chosen AS doing
            FROM ({rows})
            WINDOW chosen AS (PARTITION BY usage_day, person, usage_family)
        ) AS inner_usage
        WHERE kept GROUP BY {names}
    """


def any_usage(facts: Facts, filters: Filters, columns: str, condition: str, stored: frozenset[str]) -> str:
    """A subquery of these columns of all rows of usage, whichever signal tells it, that meet a condition."""
    sources, kept = usage(facts, filters, stored)
    return " UNION ALL ".join(
        f"SELECT DISTINCT {columns} FROM {source} WHERE {kept} AND {condition}" for _, source in sources
    )


async def labels(facts: Facts, by: str, keys: Iterable[str]) -> dict[str, str]:
    """What a key is called: a person's name where one is known, else the key itself."""
    wanted = sorted({key for key in keys if key})
    names = await facts.names(wanted) if by == "user" else {}
    return {"": UNATTRIBUTED, **{key: names.get(key) or key for key in wanted}}


def usd(nano: int) -> float:
    return nano / 1_000_000_000
