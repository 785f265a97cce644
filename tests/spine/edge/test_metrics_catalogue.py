from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raingauge import metrics
from raingauge.contract import Outcome
from raingauge.metrics import CATALOGUE, Metrics, Series
from raingauge.queue import Depth, Tally

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


class SomeQueue:
    """A queue with something in it."""

    def depth(self) -> Depth:
        return Depth(3, 4096, datetime.now(UTC) - timedelta(minutes=1), 2, {"otlp": 3})

    def accounting(self) -> dict[Tally, int]:
        return {
            Tally("otlp", Outcome.STORED): 10,
            Tally("otlp", Outcome.RECEIVED): 11,
            Tally("otlp", Outcome.REJECTED, "missing_field"): 1,
        }


@pytest.fixture
def scrape() -> str:
    """What Prometheus reads once every series was used."""
    used = Metrics()
    used.watch(SomeQueue())
    used.requests.labels("otlp", "/v1/traces", "200").inc()
    used.refused.labels("otlp", "queue_full").inc()
    used.repeated.labels("otlp").inc()
    used.received_bytes.labels("otlp").inc(5)
    body, content_type = used.render()
    assert content_type.startswith("text/plain; version=0.0.4")
    return body.decode()


def test_catalogue_is_exactly_what_is_rendered(scrape: str) -> None:
    """Every series that exists is in the catalogue with its type, labels and sentence, and the other way round."""
    found = {}
    for family in text_string_to_metric_families(scrape):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        found[name] = (family.type, labels, family.documentation)
    assert {series.name: (series.kind, set(series.labels), series.help) for series in CATALOGUE} == found


def test_queue_is_read_at_each_scrape(scrape: str) -> None:
    """Depth, age, dead letters and the accounting come from the queue itself."""
    lines = scrape.splitlines()
    for line in (
        "raingauge_queue_messages 3.0",
        "raingauge_queue_bytes 4096.0",
        "raingauge_dead_letters 2.0",
        'raingauge_items_total{contract="otlp",outcome="rejected",reason="missing_field"} 1.0',
        'raingauge_items_total{contract="otlp",outcome="stored",reason=""} 10.0',
    ):
        assert line in lines
    (oldest,) = [line for line in lines if line.startswith("raingauge_queue_oldest_seconds ")]
    assert float(oldest.split()[1]) >= 60


@pytest.mark.parametrize("series", CATALOGUE, ids=lambda series: series.name)
def test_every_series_has_a_line_in_the_docs(series: Series) -> None:
    """Nobody has to read the source to understand a metric."""
    assert f"| `{series.name}` | {series.kind} |" in PAGE.read_text()
    assert series.help.endswith(".")


def test_docs_page_is_what_the_catalogue_says() -> None:
    """The page was written by the program and not changed since."""
    assert metrics.page() == PAGE.read_text()
