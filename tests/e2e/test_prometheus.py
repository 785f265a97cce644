"""A real Prometheus scrapes a real server, and its queries give what was sent."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.test_grpc import ONE_RESOLVE, free_port
from tests.support.server import Server, running, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="needs the Debian package prometheus"),
]

FOUR_RESOLVES = bytes.fromhex(
    "1244120a08161a06302e31392e31221d08982a10041a060836120202011a05083a120101218584f66dba5fc03f2a04080310012a04080110"
    "0238808090014206302e32322e31"
)
"""1100, 1130, 1290 and 1880 µs; three matched."""
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: raingauge
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """A server of Prometheus that scrapes ours once a second."""

    def __init__(self, directory: Path, server: Server) -> None:
        (directory / "token").write_text(server.token)
        self.config = directory / "prometheus.yml"
        self.config.write_text(CONFIG.format(token=directory / "token", target=server.url.removeprefix("http://")))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = directory / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={self.config}", f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query; empty while Prometheus is not ready."""
        parameters = {"query": expression} if at is None else {"query": expression, "time": f"{at:.3f}"}
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params=parameters, trust_env=False)
        except httpx.TransportError:
            return []
        return answer.json()["data"]["result"] if answer.status_code == 200 else []

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The value of a query with one result."""
        found = self.query(expression, at)
        return float(found[0]["value"][1]) if found else None


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("scraped")) / "data", decode_workers=0) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, started: Server) -> Iterator[Prometheus]:
    scraper = Prometheus(tmp_path_factory.mktemp("prometheus"), started)
    yield scraper
    scraper.process.terminate()
    scraper.process.wait(20)


def send(server: Server, body: bytes, times: int = 1) -> None:
    """Flag logs, as a resolver sends them."""
    with server.client() as http:
        for _ in range(times):
            sent = {"content-type": "application/x-protobuf"}
            http.post("/v1/clientFlagLogs:write", content=body, headers=sent).raise_for_status()


def test_rates_and_quantiles_are_those_of_what_was_sent(started: Server, prometheus: Prometheus) -> None:
    """rate() is the slope between scrapes; histogram_quantile() falls into the bucket that the resolves fell into."""
    count = "confidence_resolve_latency_microseconds_count"
    send(started, FOUR_RESOLVES)
    until(lambda: prometheus.value(f"count_over_time({count}[8s])") == 8, 60, prometheus.log.read_text)
    assert 4 == prometheus.value(count)
    send(started, ONE_RESOLVE, times=10)
    until(lambda: prometheus.value(count) == 14, 20)
    [newest] = prometheus.query(f"{count}[1s]")
    at = float(newest["values"][-1][0])
    [samples] = prometheus.query(f"{count}[8s]", at)
    (first_at, first), *_, (last_at, last) = [(float(when), float(value)) for when, value in samples["values"]]
    assert (4, 14) == (first, last)
    slope = (last - first) / (last_at - first_at)
    assert slope == pytest.approx(prometheus.value(f"rate({count}[8s])", at), rel=0.01)
    matched = 'confidence_resolves_total{reason="RESOLVE_REASON_MATCH"}'
    assert slope == pytest.approx(prometheus.value(f"rate({matched}[8s])", at), rel=0.01)
    # All ten new resolves took 3 ms: half of them lie below the middle of that bucket, as far as one can know.
    bucket = "sum by (le) (rate(confidence_resolve_latency_microseconds_bucket[8s]))"
    assert (2782.559 + 3162.278) / 2 == pytest.approx(prometheus.value(f"histogram_quantile(0.5, {bucket})", at))
    mean = "rate(confidence_resolve_latency_microseconds_sum[8s]) / rate(confidence_resolve_latency_microseconds_count[8s])"
    assert 3000 == pytest.approx(prometheus.value(mean, at))


def test_the_other_contracts_totals_are_scraped_too(started: Server, prometheus: Prometheus) -> None:
    """Loops by outcome and product events stand on the same page, and a scrape of it is whole."""
    event = {
        "schemaVersion": "analytics.v2", "eventId": "0d6ad9a2-58f1-4f0b-8a63-0d1a04c7a001", "eventName": "feature_used",
        "occurredAt": "2026-11-20T12:00:00.000Z", "installationId": "a1a1a1a1a1a1a1a1a1a1a1a1",
        "instanceId": "111111111111111111111111", "deploymentMode": "source", "appVersion": "0.1.0",
        "platform": "linux", "properties": {"module": "session", "ownerModule": "session", "outcome": "success"},
    }  # fmt: skip
    with started.client() as http:
        example = http.get("/openapi.json").json()["paths"]["/v1/aggregate"]["post"]["requestBody"]["content"]
        body = example["application/json"]["example"]
        http.post("/v1/aggregate", json=body).raise_for_status()
        http.post("/collect", json=[event]).raise_for_status()
    until(lambda: prometheus.value('raingauge_loops_total{outcome="converged"}') == 1, 20)
    until(lambda: prometheus.value('raingauge_product_events_total{module="session",event="feature_used"}') == 1, 20)
    assert 1 == prometheus.value("raingauge_up")
    assert 1 == prometheus.value('up{job="raingauge"}')


@pytest.mark.parametrize("path", ["/metrics", "/metrics?buckets_per_decade=3", "/-/metrics"])
def test_promtool_finds_nothing_to_say_against_our_pages(started: Server, path: str) -> None:
    """Its check parses the text and knows the conventions; the resolvers' own names are not ours to change."""
    send(started, FOUR_RESOLVES)
    started.accounting()
    with started.client() as http:
        page = http.get(path).raise_for_status().text
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    complaints = [line for line in (checked.stdout + checked.stderr).splitlines() if not upstream(line)]
    assert [] == complaints


def upstream(line: str) -> bool:
    """Whether a complaint is about a unit that the resolvers chose."""
    return line.startswith("confidence_resolve_latency_microseconds ") and "base unit" in line


def test_the_scrape_configuration_we_print_is_valid(started: Server, tmp_path: Path) -> None:
    """`raingauge connect prometheus` is pasted as it is."""
    printed = started.run("connect", "prometheus").stdout
    config = tmp_path / "prometheus.yml"
    config.write_text(printed[printed.index("scrape_configs:") :])
    checked = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True, check=False)
    assert (0, "") == (checked.returncode, checked.stderr), json.dumps(printed)
