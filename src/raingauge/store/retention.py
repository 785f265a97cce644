"""Deletes what is older than its table's retention.

Only partitions that hold something old are rewritten. None is dropped as a whole: a row that arrived between the look
and the drop would be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from raingauge.contract import Contract, Knob
from raingauge.rollup.runner import RollupRunner
from raingauge.settings import Settings
from raingauge.store import schema
from raingauge.store.client import Session
from raingauge.store.writer import Writer

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows of a table went."""

    table: str
    rows: int


class Retention:
    """One run at a time, and none while sums are being computed; `clock` gives the time as an aware datetime."""

    def __init__(
        self,
        session: Session,
        writer: Writer,
        sums: RollupRunner,
        contracts: Iterable[Contract],
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        contracts = tuple(contracts)
        self._session = session
        self._writer = writer
        self._sums = sums
        self._tables = schema.fact_tables(contracts)
        self._rollups = [rollup for contract in contracts for rollup in contract.rollups]
        self._settings = settings
        self._clock = clock

    def run(self, overrides: Mapping[str, Mapping[str, int]] | None = None) -> list[Deleted]:
        """Delete what arrived too long ago, and sums of days too long ago; tables that lost rows.

        Facts are summed up before they go, so a server that was away for long loses none of their sums.
        `overrides` maps table names to customers whose rows stay for another number of days.
        """
        self._sums.run()
        with self._writer.upkeep:
            done = [
                self._expire_facts(table.name, table.retention_days, (overrides or {}).get(table.name, {}))
                for table in self._tables
            ]
            for rollup in self._rollups:
                if rollup.retention_days is not None:
                    cutoff = self._before(self._settings[rollup.retention_days])
                    done.append(self._delete(rollup.table, "day < {day:Date}", {"day": cutoff.date()}))
        return [deleted for deleted in done if deleted.rows]

    def _expire_facts(self, table: str, knob: Knob[int] | None, overrides: Mapping[str, int]) -> Deleted:
        cutoffs = {customer: self._before(days) for customer, days in overrides.items()}
        default = _EPOCH if knob is None else self._before(self._settings[knob])
        latest = max((default, *cutoffs.values()))
        if latest == _EPOCH:
            return Deleted(table, 0)
        limit = "{limit:UInt64}"
        if cutoffs:
            limit = f"transform(customer, {{customers:Array(String)}}, {{limits:Array(UInt64)}}, {limit})"
        parameters: dict[str, object] = {
            "customers": list(cutoffs),
            "limits": [_microseconds(cutoff) for cutoff in cutoffs.values()],
            "limit": _microseconds(default),
        }
        # Noted before anything goes, so that no day is summed up anew from a part of its facts.
        self._session.command(
            "INSERT INTO retention_horizons SELECT {source:String}, {day:Date}",
            {"source": table, "day": latest.date()},
        )
        return self._delete(table, f"message_id < {limit}", parameters)

    def _delete(self, table: str, condition: str, parameters: Mapping[str, object]) -> Deleted:
        target = schema.name(table)
        bound = dict(parameters)
        answer = self._session.rows(
            f"SELECT _partition_id, countIf({condition}) AS old FROM {target} GROUP BY _partition_id HAVING old > 0",
            bound,
        )
        for partition, _ in answer:
            self._session.command(f"ALTER TABLE {target} DELETE IN PARTITION ID '{partition}' WHERE {condition}", bound)
            self._writer.deletions += 1
        return Deleted(table, sum(old for _, old in answer))

    def _before(self, days: int) -> datetime:
        return self._clock().astimezone(UTC) - timedelta(days=days)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
