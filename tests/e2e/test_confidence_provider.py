"""The Confidence provider as it is published, resolving flags and logging over gRPC to a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_grpc import free_port
from tests.support.server import Server, balanced, running

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).with_name("confidence_client.py")
CACHE = Path(__file__).parents[2] / ".cache"
VERSIONS = ("0.11.1", "0.15.3")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("provider")) / "data", grpc_port=port) as server:
        yield server


def interpreter(version: str) -> Path:
    """A Python with that provider. It needs another protobuf than we do, so it lives apart, and is kept for next time."""
    home = CACHE / f"confidence-openfeature-provider-{version}"
    ready = home / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        wanted = ["install", "--quiet", f"confidence-openfeature-provider=={version}"]
        subprocess.run([home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *wanted], check=True)
        ready.touch()
    return home / "bin" / "python"


def families(text: str) -> dict[str, list[str]]:
    """The lines of each family, in order."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            lines = found.setdefault(line.split()[2], [])
        lines.append(line)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_our_metrics_are_those_of_the_provider_itself(started: Server, port: int, version: str) -> None:
    """Every family of the provider's own Prometheus text stands in ours, line by line the same."""
    label = f"provider-{version}"
    token = started.issue("--name", label, "--label", label)["token"]
    ran = subprocess.run(
        [interpreter(version), CLIENT, f"127.0.0.1:{port}", token],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    # Five users and one of them again get the flag; the archived and the unknown one give the default.
    assert (version, [12, 12, 12, 12, 12, -1, -1, 12, False]) == (told["version"], told["values"])
    assert balanced(started.accounting()["flags"])
    with started.client(token) as http:
        ours = families(http.get("/metrics").raise_for_status().text)
        exposures = http.get("/api/flags/resolves", params={"since": "1h"}).raise_for_status().json()["data"]
    theirs = families(told["metrics"].replace('resolver_id="0"', f'resolver_id="{label}"'))
    assert {"confidence_resolve_latency_microseconds", "confidence_resolves_total"} <= theirs.keys()
    assert theirs == {name: ours[name] for name in theirs}
    assert exposures
