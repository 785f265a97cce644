"""`raingauge demo`: the real command, a twentieth of its usual amount, read back through the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import Server, balanced, until

from raingauge.demo import story
from raingauge.demo.senders import day_requests

SCALE = 0.05


class Demo(Server):
    """A server started by `raingauge demo`."""

    command = ("demo", "--demo-scale", str(SCALE))
    ready = "The demo is ready|the demo adds nothing"
    start_seconds = 120.0

    def said(self) -> str:
        return self.log.read_text()

    def read(self, path: str, **parameters: str) -> Any:
        """The `data` of a read."""
        with self.client() as http:
            return http.get(path, params=parameters).raise_for_status().json()["data"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A filled and running demo."""
    started = Demo(Path(tmp_path_factory.mktemp("demo")) / "data").start()
    try:
        yield started
    finally:
        assert started.stop() == 0


def test_the_same_day_is_made_up_alike_every_time() -> None:
    """What was seen in one demo is found in the next one."""
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    day = story.days(now)[-3]
    assert list(day_requests(now, day, SCALE)) == list(day_requests(now, day, SCALE))


def test_everything_that_was_sent_is_stored(demo: Demo) -> None:
    """Nothing is rejected or lost, and each contract has something."""
    accounting = demo.accounting()
    assert {"loopgain", "otlp", "flags", "analytics"} == set(accounting)
    assert [] == [name for name, outcomes in accounting.items() if not balanced(outcomes)]
    assert set() == {outcome for outcomes in accounting.values() for outcome in outcomes} - {"received", "stored"}


def test_the_link_signs_in(demo: Demo) -> None:
    """A person gets from the terminal to the dashboard."""
    link = next(line.split()[-1] for line in demo.said().splitlines() if line.startswith("Sign in (once"))
    with httpx.Client(trust_env=False) as browser:
        assert browser.get(link).status_code == 303
        assert browser.get(f"{demo.url}/api/me").status_code == 200
        assert browser.get(link).status_code == 410


def test_commands_work_beside_it(demo: Demo) -> None:
    """A token that is issued while the demo runs is honoured at once, and one that is revoked no more."""
    assert demo.customer in demo.run("customer", "list").stdout
    made = demo.issue("--customer", demo.customer)
    demo.run("token", "revoke", made["token_id"])
    with demo.client(made["token"]) as http:
        until(lambda: http.get("/v1/stats").status_code == 401)


def test_one_prompt_leads_by_far(demo: Demo) -> None:
    """The costly prompt comes first, with its twelve subagents and the person behind it."""
    first, second = demo.read("/api/top-prompts", since="30d", limit="2")
    assert (story.COSTLY_PERSON.email, 12) == (first["user_name"], first["subagents"])
    assert first["cost_usd"] > 4 * second["cost_usd"]


def test_the_nightly_bot_lost_its_cache(demo: Demo) -> None:
    """No token of the last week came from the cache, while the weeks before look like everybody's."""
    repository = {"repo": story.NIGHTLY_BOT.repository, "source": "agent_sdk"}
    (cold,) = demo.read("/api/cache-hit", since="7d", group_by="repo", **repository)["rows"]
    until_then = (datetime.now(UTC) - timedelta(days=story.COLD_DAYS + 1)).isoformat()
    (warm,) = demo.read("/api/cache-hit", since="30d", until=until_then, group_by="repo", **repository)["rows"]
    assert cold["rate"] == 0
    assert warm["rate"] > 0.7


def test_one_workload_diverges(demo: Demo) -> None:
    """Most loops that diverge are of one workload."""
    with demo.client() as http:
        events = http.get("/v1/events").raise_for_status().json()["events"]
    diverged = Counter(event["workload_id"] for event in events if event["outcome"] == "diverged")
    assert story.DIVERGING_WORKLOAD == diverged.most_common(1)[0][0]


def test_one_resolver_version_is_slow(demo: Demo) -> None:
    """Of two versions of one SDK the newer one takes ten times as long."""
    median_us = {row["key"]: row["p50_us"] for row in demo.read("/api/flags/latency", since="1h", by="version")}
    old, new = (median_us[f"SDK_ID_JS_LOCAL_SERVER_PROVIDER {version}"] for version in ("0.18.3", "0.19.1"))
    assert new > 10 * old


def test_a_release_made_a_tool_fail(demo: Demo) -> None:
    """The errors of the broken release are of a kind that no other release has."""
    by_version = {
        version: {row["code"] for row in demo.read("/api/analytics/errors", since="30d", version=version)}
        for _, version in story.RELEASES
    }
    assert {story.BROKEN_RELEASE} == {version for version, codes in by_version.items() if "patch_parse_failed" in codes}


def test_a_second_start_fills_nothing_again(demo: Demo) -> None:
    """The loops are as many as before, but for those that happen while it runs; the past is what it was."""
    before = demo.read("/api/top-prompts", since="30d", limit="3")
    yesterday = datetime.now(UTC).replace(hour=0, minute=0).isoformat()
    active = demo.read("/api/analytics/active-users", since="7d", until=yesterday)
    assert demo.stop() == 0
    demo.start()
    assert "This demo was filled before: nothing is sent twice." in demo.said()
    assert before == demo.read("/api/top-prompts", since="30d", limit="3")
    assert active == demo.read("/api/analytics/active-users", since="7d", until=yesterday)
    assert [] == [name for name, outcomes in demo.accounting().items() if not balanced(outcomes)]


def test_somebodys_own_data_directory_is_left_alone(tmp_path: Path) -> None:
    """On a directory that another command made, the demo serves and adds nothing."""
    own = Demo(tmp_path / "data")
    own.run("token", "issue", "--name", "mine")
    own.start()
    assert own.stop() == 0
    assert "is no empty data directory" in own.said()
    assert not (own.data_dir / "demo.json").exists()
