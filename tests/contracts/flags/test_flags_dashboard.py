"""The Grafana dashboard and the text that it is drawn from belong together."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raingauge.contracts.flags.exposition import REASON_NAMES, ResolverTotals, exposed
from raingauge.contracts.flags.reads import ERRORS
from raingauge.web.prometheus import UP, lines

DASHBOARD = json.loads((Path(__file__).parents[3] / "docs" / "grafana" / "confidence-flags.json").read_text())
PROMTOOL = shutil.which("promtool")
TOTALS = ResolverTotals(
    resolver_id="r", latency_sum_us=3000, latency_count=1, latency_buckets={62: 1}, observations_refused=1,
    resolves=dict.fromkeys(REASON_NAMES, 1), memory=(1, 5), dedup_map=(1, 2, 3), provider_inits=1, applies=1,
    applies_deduped=1, applies_overflowed=1, dedup_sweeps=1, flushes_succeeded=1, flushes_failed=1, events_published=1,
    event_batches_succeeded=1, event_batches_failed=1, events_rejected=1,
)  # fmt: skip
PAGE = "".join(lines([*exposed([TOTALS], 18), UP], openmetrics=False))


def expressions() -> list[str]:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_every_panel_reads_series_that_exist(expression: str) -> None:
    """A panel asks only for series that a fully fed page has, so none stays empty for its name's sake."""
    series = set(re.findall(r"\b(?:confidence|raingauge)_\w+", expression))
    assert series
    assert set() == series - set(re.findall(r"^(\w+)[{ ]", PAGE, re.MULTILINE))


def test_the_error_rate_is_that_of_the_api() -> None:
    """Dashboard and API call the same reasons errors."""
    rate = next(expression for expression in expressions() if "reason=~" in expression)
    pattern = re.findall('reason=~"(.*?)"', rate)[0]
    assert ERRORS == {number for number, name in REASON_NAMES.items() if re.fullmatch(pattern, name)}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with the package `prometheus`")
def test_prometheus_itself_accepts_the_page() -> None:
    """The checker of Prometheus reads every family; its one remark is about the unit in a resolver's own name."""
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=PAGE, capture_output=True, text=True, check=False
    )
    assert ['confidence_resolve_latency_microseconds use base unit "seconds" instead of "microseconds"'] == (
        checked.stderr.splitlines()
    )


@pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with the package `prometheus`")
def test_prometheus_itself_accepts_the_expressions(tmp_path: Path) -> None:
    """Every panel's expression is valid PromQL once Grafana has filled in its variables."""
    filled = [one.replace("$__rate_interval", "5m").replace("$resolver", ".*") for one in expressions()]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    checked = subprocess.run([str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (0, "") == (checked.returncode, checked.stderr)
