"""Bodies captured from published releases of the library, and the rows they become.

`samples/loop-<version>.json` and `samples/funnel-<version>.json` are what the client sent; the `.rows.json` next to
each holds the rows as objects by column name, times in ISO 8601. The captures ran the same loop: errors 10, 4, 1.5
and 0.3 with a target of 0.5, unless their name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from raingauge.contract import Decode, Received, Settings, Table
from raingauge.contracts.loopgain.decode import decode_aggregate, decode_funnel
from raingauge.contracts.loopgain.tables import FUNNEL_EVENTS, LOOP_EVENTS

SAMPLES = Path(__file__).parent / "samples"
ARRIVAL = datetime(2026, 11, 21, 10, 39, tzinfo=UTC)


class Sample(NamedTuple):
    body: Path
    decode: Decode
    table: Table

    def __str__(self) -> str:
        return self.body.stem


def captured() -> list[Sample]:
    bodies = [path for path in sorted(SAMPLES.glob("*.json")) if not path.name.endswith(".rows.json")]
    return [
        Sample(path, decode_funnel, FUNNEL_EVENTS)
        if path.name.startswith("funnel")
        else Sample(path, decode_aggregate, LOOP_EVENTS)
        for path in bodies
    ]


def rows_of(sample: Sample) -> list[dict[str, Any]]:
    """The decoded rows by column name, as JSON values; trajectories are kept."""
    settings = Settings({"loopgain_trajectories": "keep"})
    received = Received(int(ARRIVAL.timestamp() * 1_000_000), "cust_1", settings=settings)
    decoded = sample.decode(sample.body.read_bytes(), received)
    names = ["position", *(column.name for column in sample.table.columns)]
    rows = [dict(zip(names, row, strict=True)) for row in decoded.rows[sample.table.name]]
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(rows))
    return found


@pytest.mark.parametrize("sample", captured(), ids=str)
def test_a_captured_body_becomes_the_rows_on_file(sample: Sample) -> None:
    """A body captured from a published client decodes to exactly the saved rows."""
    saved = sample.body.with_suffix(".rows.json").read_bytes()
    assert msgspec.json.decode(saved) == rows_of(sample)


def test_every_schema_version_was_captured(json_members: Callable[[Path], dict[str, Any]]) -> None:
    """The captures cover all four versions that the health answer promises."""
    loops = [sample.body for sample in captured() if sample.table is LOOP_EVENTS]
    assert {1, 2, 3, 4} == {json_members(path)["schema_version"] for path in loops}


@pytest.fixture
def json_members() -> Callable[[Path], dict[str, Any]]:
    return lambda path: dict(msgspec.json.decode(path.read_bytes()))
