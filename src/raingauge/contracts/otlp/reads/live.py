"""Usage of facts that are newer than the sums: the same rows as the statements of `usage` make of the sums. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contracts.otlp.reads.choice import Asked
from raingauge.contracts.otlp.reads.query import Filters, Range
from raingauge.contracts.otlp.rollups import DIMENSIONS, MEASURES, Usage


def selected(usage: Usage) -> str:
    """What is read of newer facts: everything that any panel may ask for."""
    measures = ", ".join(f"toDecimal128({name}, 0) AS {name}" if "_nano" in name else name for name in MEASURES)
    return (
        f"day, toUInt32(hour) AS hour, {', '.join(DIMENSIONS)}, {measures}, cityHash64(day, user) AS person_day,"
        f" cityHash64(session) AS session_number, toBool({usage.spends}) AS spent, toBool({usage.does}) AS did,"
        f" toBool({usage.is_active}) AS active"
    )


def later(
    asked: Asked, filters: Filters, sessions_with_tool: Collection[str], tables: Iterable[pa.Table], like: pa.Schema
) -> pa.Table:
    """Rows with the columns of `like`, of tables of what `selected` names."""
    rows = within(pa.concat_tables(tables), asked.hours)
    if asked.only_people:
        rows = rows.filter(pc.not_equal(rows["user"], ""))
    rows = rows.combine_chunks()
    keep = [
        (name, getattr(filters, name))
        for name in ("user", "repo", "model", "source", "session")
        if getattr(filters, name)
    ]
    if filters.tool:
        keep.append(("session", sessions_with_tool))
    counted = pc.greater_equal(rows["day"], pa.scalar(asked.since)) if asked.since else None
    columns = {name: rows[name] for name in rows.column_names}
    columns["looked"] = pa.repeat(1, rows.num_rows)
    for name, measures in asked.values.items():
        value = reduce(pc.add, (rows[measure] for measure in measures))
        columns[name] = value if counted is None else pc.if_else(counted, value, pa.scalar(0).cast(value.type))
    if asked.edges is not None:
        columns["moment"] = _moments(rows["hour"], asked.edges)
    if asked.sessions:
        listed = pc.not_equal(rows["session"], "")
        if asked.sessions == "active":
            listed = pc.and_(listed, rows["active"])
        if counted is not None:
            listed = pc.and_(listed, counted)
        columns["sessions"] = _lists(rows["session_number"], listed)
    if keep:
        columns["kept"] = reduce(pc.and_, (_any_of(rows[name], values) for name, values in keep))
    return pa.table({field.name: columns[field.name].cast(field.type) for field in like})


def within(rows: pa.Table, hours: Range) -> pa.Table:
    """The rows whose `hour`, in seconds since 1970, belongs to these."""
    since, until = (int(moment.timestamp()) for moment in (hours.since, hours.until))
    return rows.filter(pc.and_(pc.greater_equal(rows["hour"], since), pc.less(rows["hour"], until)))


def wanted(rows: pa.Table, filters: Filters, *names: str) -> pa.Table:
    """The rows that the filters on these columns keep."""
    for name in names:
        if values := getattr(filters, name):
            rows = rows.filter(_any_of(rows[name], values))
    return rows


def _any_of(column: pa.ChunkedArray, values: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(values, pa.string()))


def _moments(hours: pa.ChunkedArray, edges: Sequence[int]) -> pa.ChunkedArray:
    """The last edge up to each hour, or the hour itself."""
    if not edges:
        return hours
    return pa.chunked_array([[edges[bisect_right(edges, hour) - 1] for hour in hours.to_pylist()]], pa.uint32())


def _lists(values: pa.ChunkedArray, listed: pa.ChunkedArray) -> pa.Array:
    """For each value a list of it, or an empty one."""
    ends = pc.cumulative_sum(listed.cast(pa.int32())).combine_chunks()
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, values.filter(listed).combine_chunks())
