"""Runs an SDK's session of an agent against a server, and knows every figure that must be read back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.server import Server

TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


def printed(server: Server, client: str) -> str:
    """What `raingauge connect` prints for a client."""
    return server.run("connect", client, "--endpoint", server.url, "--token", server.token).stdout


def exported(text: str) -> dict[str, str]:
    """The variables of a shell form."""
    return dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.MULTILINE))


@dataclass(frozen=True)
class Session:
    """What a program told under a name, once all of it is stored."""

    server: Server
    name: str
    turn: str
    shop: str

    def ask(self, path: str, **query: str) -> Any:
        with self.server.client() as http:
            return http.get(f"/api/{path}", params=query).raise_for_status().json()["data"]

    def arrived(self, source: str = "claude_code") -> str:
        """Check that all three signals did: metrics cost, spans and events of one prompt, a trace of any service.

        Returns the person's key.
        """
        (person,) = [row for row in self.ask("active-users")["users"] if row["user_name"] == f"{self.name}@example.com"]
        assert (0.75, 1, 1) == (person["cost_usd"], person["sessions"], person["prompts"])
        trend = self.ask("cost-trend", by="source", user=person["user"])
        assert [(source, 0.75)] == [(row["key"], row["cost_usd"]) for row in trend["totals"]]
        assert [
            ("interaction", 0, 10_000, 0.75, 120), ("llm", 1, 1_000, 0.75, 120), ("tool", 1, 5_000, 0, 0),
            ("waiting", 2, 3_000, 0, 0), ("execution", 2, 2_000, 0, 0),
        ] == [
            (node["kind"], node["depth"], node["duration_ms"], node["subtree_cost_usd"], node["subtree_tokens"])
            for node in self.ask("spans/tree", prompt=f"{self.name}-prompt")["nodes"]
        ]  # fmt: skip
        assert [("GET /basket", 0, 40, "error"), ("SELECT", 1, 15, "")] == [
            (node["name"], node["depth"], node["duration_ms"], node["status"])
            for node in self.ask("spans/tree", trace=self.shop)["nodes"]
        ]
        return str(person["user"])

    def read_back(self) -> None:
        """Check every read: exactly what the session did and what it cost, once."""
        user = self.arrived()
        cache = self.ask("cache-hit", user=user)["total"]
        assert (10, 60, 30, 0.6) == tuple(
            cache[name] for name in ("input_tokens", "cache_read_tokens", "cache_creation_tokens", "rate")
        )
        usage = self.ask("rollups", user=user)
        assert {"cost_usd": 0.75, "estimated_usd": 0, "input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 60,
                "cache_creation_tokens": 30, "requests": 1, "errors": 0, "prompts": 1, "tool_calls": 1,
                "active_seconds": 12.5} == {
            name: sum(row[name] for row in usage)
            for name in usage[0] if isinstance(usage[0][name], (int, float)) and name != "sessions"
        }  # fmt: skip
        decisions = self.ask("tool-decisions", user=user)["total"]
        assert (2, 1, 1, 0, 1.0) == tuple(
            decisions[name] for name in ("decisions", "automatic", "human_accepted", "human_rejected", "human_rate")
        )
        assert [(f"{self.name}-prompt", self.turn, 0.75, 1, 1, 10_000)] == [
            tuple(row[name] for name in ("prompt", "trace", "cost_usd", "requests", "tool_calls", "duration_ms"))
            for row in self.ask("top-prompts", user=user)
        ]
        assert [{"depth": 0, "prompts": 1}] == self.ask("subagent-stats", user=user)["depth_histogram"]


def told(server: Server, program: list[str], name: str, environment: Mapping[str, str]) -> Session:
    """Run a program with no variables but these. It must have nothing to complain about."""
    done = subprocess.run(
        [*program, name], env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    server.accounting()
    return Session(server, name, **json.loads(done.stdout))
