"""Prompts and traces put together from a few of their rows. Says the same as the statements of `work`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from raingauge.contracts.otlp.reads.query import Filters
from raingauge.contracts.otlp.reads.standing import COUNTS, MONEY, Row, Told
from raingauge.contracts.otlp.reads.work import Relation, Work, counts_of, relations_of, texts_of


class _Column(NamedTuple):
    """How a column is made of another of the rows: their values become one, and so does the only one of most."""

    name: str
    of: str
    merge: Callable[[list[Any]], Any]
    alone: Callable[[Any], Any] | None = None


Columns: TypeAlias = tuple[_Column, ...]


def works(told: Told, filters: Filters, since_us: int, until_us: int) -> list[Work]:
    """Those that begin in the time given, in microseconds since 1970, and that the filters keep."""
    named_traces = {trace for row in told.prompts for trace in texts_of(row["row_traces"])}
    named_prompts = {row["row_id"] for row in told.prompts}
    nameless = [
        row
        for row in told.traces
        if row["row_id"] not in named_traces and not (row["row_prompt"] and row["row_prompt"] in named_prompts)
    ]
    named_rows = [row for row in told.traces if row["row_id"] in named_traces]
    traces = {row["id"]: row for row in _merged(named_rows, _TRACE_OF_PROMPT)}
    found = [Work(True, row, traces) for row in _merged(told.prompts, _PROMPT)]
    found += [
        Work(False, row, {})
        for row in _merged(nameless, _TRACE)
        if row["sum_requests"] > 0 or row["sum_tool_calls"] > 0
    ]
    found = [work for work in found if since_us <= work.row["begun_us"] < until_us]
    return [work for work in found if _kept(work.row, filters)] if filters.restrict else found


_FILTERED: Final = {"user": "of_user", "repo": "of_repo", "source": "of_source", "session": "of_session"}


def _kept(row: Row, filters: Filters) -> bool:
    alone = ((getattr(filters, name), {row[column]}) for name, column in _FILTERED.items())
    lists = ((filters.model, row["models"]), (filters.tool, row["all_tools"]))
    return all(not wanted or not values.isdisjoint(wanted) for wanted, values in alone) and all(
        not wanted or any(one in values for one in wanted) for wanted, values in lists
    )


def _merged(rows: Iterable[Row], columns: Columns) -> Iterator[dict[str, Any]]:
    """One row for each id."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["row_id"]].append(row)
    for one, group in groups.items():
        if len(group) == 1:
            row = group[0]
            found = {name: alone(row[of]) if alone else row[of] for name, of, _, alone in columns}
        else:
            found = {name: merge([row[of] for row in group]) for name, of, merge, _ in columns}
        found["id"] = one
        yield found


def _texts(lists: Iterable[str]) -> set[str]:
    return {one for text in lists for one in texts_of(text)}


def _traces(lists: Iterable[str]) -> list[str]:
    return sorted(_texts(lists))


def _nested(hosts: Iterable[str]) -> int:
    return max(len(_texts(hosts)), 1) - 1


def _relations(lists: Iterable[str]) -> list[Relation]:
    return sorted({one for text in lists for one in relations_of(text)})


def _added(maps: Iterable[str]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in maps:
        for name, count in counts_of(one).items():
            sums[name] = sums.get(name, 0) + count
    return sums


_SEEN: Final[Columns] = (
    _Column("begun_us", "row_started_us", min),
    _Column("over_us", "row_ended_us", max),
    _Column("relations", "row_agents", _relations, lambda text: _relations([text])),
)
_BOTH: Final[Columns] = (
    *_SEEN,
    _Column("of_session", "row_session", max),
    _Column("of_user", "row_user", max),
    _Column("of_repo", "row_repo", max),
    _Column("of_source", "row_source", min),
    _Column("models", "row_models", _texts, texts_of),
    _Column("all_tools", "row_tools", _added, counts_of),
    _Column("agent_nano", "row_agent_nano", _added, counts_of),
    *(_Column(f"sum_{name}", f"row_{name}", sum) for name in (*MONEY, *COUNTS)),
)
_NESTED: Final = _Column("nested", "row_hosts", _nested, lambda text: _nested([text]))
_PROMPT: Final[Columns] = (*_BOTH, _Column("trace_ids", "row_traces", _traces, lambda text: _traces([text])))
_TRACE: Final[Columns] = (*_BOTH, _NESTED, _Column("of_prompt", "row_prompt", max))
_TRACE_OF_PROMPT: Final[Columns] = (*_SEEN, _NESTED)
