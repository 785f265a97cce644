"""What each known sender sends, release by release, against the rows on file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.store.arrow import build

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

ENCODINGS = (JSON, PROTOBUF)

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))


@pytest.fixture(params=SAMPLES, ids=lambda path: path.stem)
def sample(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


@pytest.mark.parametrize("media_type", ENCODINGS)
def test_sample_becomes_the_rows_on_file(otlp: Otlp, sample: dict[str, Any], media_type: str) -> None:
    """A request of a known sender gives exactly the saved rows, in JSON as in protobuf."""
    decoded = otlp.decode(sample["signal"], sample["request"], media_type)
    assert sample["rows"] == otlp.rows(decoded)
    assert (sample["items"], []) == (decoded.items, decoded.rejects)
    assert sample["people"] == sorted(person.name for person in decoded.people)


def test_sample_fits_the_stored_columns(otlp: Otlp, sample: dict[str, Any]) -> None:
    """Every row has a value of the right type for every column of its table."""
    decoded = otlp.decode(sample["signal"], sample["request"])
    for table in OTLP.tables:
        rows = decoded.rows.get(table.name, [])
        assert len(rows) == build(table, otlp.customer, otlp.arrived_us, rows).num_rows


def test_no_sample_leaves_content_in_a_row(otlp: Otlp, sample: dict[str, Any]) -> None:
    """Everything that the samples carry as content says so, and none of it is stored."""
    decoded = otlp.decode(sample["signal"], sample["request"])
    stored = repr([decoded.rows, decoded.people])
    assert [] == [word for word in ("private", "secret", "/Users", "REDACTED", "ENOENT:", "shopper") if word in stored]
