"""Prompts and traces put together from a few of their rows. Says the same as the statements of `work`. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from raingauge.contracts.otlp.reads.query import Filters
from raingauge.contracts.otlp.reads.standing import COUNTS, MONEY, Row, Told
from raingauge.contracts.otlp.reads.work import Work, counts_of, relations_of, texts_of


def works(told: Told, filters: Filters, since_us: int, until_us: int) -> list[Work]:
    """Those that begin in the time given, in microseconds since 1970, and that the filters keep."""
    named_traces = {trace for row in told.prompts for trace in texts_of(row["row_traces"])}
    named_prompts = {row["row_id"] for row in told.prompts}
    nameless = [
        row
        for row in told.traces
        if row["row_id"] not in named_traces and not (row["row_prompt"] and row["row_prompt"] in named_prompts)
    ]
    traces = {row["id"]: row for row in _merged(told.traces)}
    found = [Work(True, row, traces) for row in _merged(told.prompts)]
    found += [Work(False, row, {}) for row in _merged(nameless) if row["sum_requests"] > 0 or row["sum_tool_calls"] > 0]
    return [work for work in found if since_us <= work.row["begun_us"] < until_us and _kept(work.row, filters)]


_FILTERED: Final = {"user": "of_user", "repo": "of_repo", "source": "of_source", "session": "of_session"}


def _kept(row: Row, filters: Filters) -> bool:
    alone = ((getattr(filters, name), {row[column]}) for name, column in _FILTERED.items())
    lists = ((filters.model, row["models"]), (filters.tool, row["all_tools"]))
    return all(not wanted or not values.isdisjoint(wanted) for wanted, values in alone) and all(
        not wanted or any(one in values for one in wanted) for wanted, values in lists
    )


def _merged(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """One row for each id."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["row_id"]].append(row)
    return (_one(group) for group in groups.values())


def _one(rows: Sequence[Row]) -> dict[str, Any]:
    def all_of(name: str) -> Iterator[Any]:
        return (row[f"row_{name}"] for row in rows)

    def lists(name: str, decoded: Callable[[str], Iterable[Any]] = texts_of) -> set[Any]:
        return {one for text in all_of(name) for one in decoded(text)}

    prompt = "row_traces" in rows[0]
    own = (
        {"trace_ids": sorted(lists("traces"))}
        if prompt
        else {"of_prompt": max(all_of("prompt")), "nested": max(len(lists("hosts")), 1) - 1}
    )
    return own | {
        "id": rows[0]["row_id"],
        "of_session": max(all_of("session")),
        "of_user": max(all_of("user")),
        "of_repo": max(all_of("repo")),
        "of_source": min(all_of("source")),
        "begun_us": min(all_of("started_us")),
        "over_us": max(all_of("ended_us")),
        "models": lists("models"),
        "relations": sorted(lists("agents", relations_of)),
        "all_tools": _added(all_of("tools")),
        "agent_nano": _added(all_of("agent_nano")),
        **{f"sum_{name}": sum(all_of(name)) for name in (*MONEY, *COUNTS)},
    }


def _added(maps: Iterable[str]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in maps:
        sums.update(counts_of(one))
    return sums
