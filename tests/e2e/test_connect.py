"""What `raingauge connect` prints works as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import httpx
from tests.support.server import Server

from raingauge.contracts import CONTRACTS


def test_loopgain_reports_with_exactly_what_is_printed(server: Server) -> None:
    """The exported variables and the command below them are all a user needs."""
    printed = server.run("connect", "loopgain", "--endpoint", server.url, "--customer", server.customer).stdout
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
    server.honoured(exported["LOOPGAIN_TELEMETRY_TOKEN"])
    *_, command = printed.splitlines()
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env={**os.environ, **exported},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_clients_are_listed_without_an_argument(server: Server) -> None:
    """A newcomer sees what there is."""
    names = {line.split()[0] for line in server.run("connect").stdout.splitlines()}
    assert {"loopgain", "confidence", "prometheus"} <= names


def test_an_unknown_client_is_an_error(server: Server) -> None:
    """With the names of those that are known."""
    refused = server.run("connect", "teapot", check=False)
    assert refused.returncode == 1
    assert "loopgain" in refused.stderr


def test_product_events_arrive_with_exactly_what_is_printed(server: Server) -> None:
    """The address that is printed carries the token, and takes what the application posts to it."""
    printed = server.run("connect", "analytics", "--endpoint", server.url, "--customer", server.customer).stdout
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
    base_url = exported["ANALYTICS_BASE_URL"]
    server.honoured(base_url.rpartition("/")[2])
    events = next(intake.example for c in CONTRACTS for intake in c.intakes if intake.name == "analytics.collect")
    assert (
        httpx.post(f"{base_url}/collect", content=events, headers={"Content-Type": "application/json"}).status_code
        == 202
    )
