"""A team's day through HTTP to the real server, against its totals on every route, before and after it is summed up."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.e2e.team_day import (
    COWORK,
    DECISIONS,
    OTHERS,
    PER_SEAT,
    PROMPTS,
    REQUESTS,
    SEATS,
    TEAM,
    TOOLS,
    WAIT_SECONDS,
    Day,
    Seat,
    decided,
    failed,
    things,
)
from tests.support.server import Server, balanced, running

from raingauge.contracts.otlp.wire import JSON, PROTOBUF

pytestmark = pytest.mark.e2e

MILLI_USD = sum(seat.milli_usd * seat.count(REQUESTS) for seat in TEAM)
ASKED = 14 + 14 + 2
"""Decisions that people made: one yes and one no of every 60, and one in 600 for good."""
REFUSED = 14
FAILED = [failed(number) for number in range(DECISIONS)].count(True)
RECORDS = PROMPTS + REQUESTS + 2 * DECISIONS - REFUSED + sum(OTHERS.values())


class Team:
    """The stored day of a team."""

    def __init__(self, server: Server, day: Day) -> None:
        self.server = server
        self.day = day
        self.keys = {row["user_name"]: row["user"] for row in self.ask("active-users")["users"]}

    def ask(self, path: str, **query: str) -> Any:
        window = {"since": self.day.begin.isoformat(), "until": self.day.end.isoformat()}
        with self.server.client() as http:
            return http.get(f"/api/{path}", params={**window, **query}).raise_for_status().json()["data"]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A server that got yesterday: most of it as JSON, two seats' as protobuf, every other message with gzip."""
    day = Day(datetime.now(UTC) - timedelta(days=1))
    with running(tmp_path_factory.mktemp("team") / "data") as server, server.client() as http:
        for number, (signal, request, seat) in enumerate(day.messages()):
            media_type = PROTOBUF if seat % 10 == 3 else JSON
            body, headers = day.body(signal, request, media_type), {"Content-Type": media_type}
            if number % 2:
                body, headers = gzip.compress(body, 1), {**headers, "Content-Encoding": "gzip"}
            for _ in range(2 if number % 10 == 0 else 1):  # some answers are lost, and the message comes again
                assert 200 == http.post(f"/v1/{signal}", content=body, headers=headers).status_code
        server.accounting()
        yield Team(server, day)


@pytest.fixture(scope="module", params=["as it came", "summed up"])
def team(request: pytest.FixtureRequest, sent: Team) -> Team:
    """The same day before and after `raingauge rollup run`."""
    if request.param == "summed up":
        sent.server.run("rollup", "run", "--since", sent.day.begin.date().isoformat())
    return sent


def summed(key: Callable[[Seat], str], value: Callable[[Seat], int]) -> dict[str, int]:
    """Sums over the seats by what `key` says of them."""
    found: defaultdict[str, int] = defaultdict(int)
    for seat in TEAM:
        found[key(seat)] += value(seat)
    return dict(found)


def spent(seat: Seat) -> int:
    """Thousandths of a dollar."""
    return seat.milli_usd * seat.count(REQUESTS)


def milli(usd: float) -> float:
    return round(usd * 1000, 6)


def test_everything_is_accounted_for(sent: Team) -> None:
    """Every record, span and point was stored once; what came again was known to be a copy."""
    counted = sent.server.accounting()["otlp"]
    told_by_tools = COWORK * PER_SEAT
    spans = told_by_tools + sum(
        seat.count(REQUESTS) + 3 * seat.count(DECISIONS) - len(refused(seat)) for seat in TEAM[:COWORK]
    )
    points = told_by_tools * 11 + COWORK
    assert RECORDS + spans + points == counted["stored"]
    assert counted["duplicate"] > 0
    assert balanced(counted)


def refused(seat: Seat) -> list[int]:
    mine = things(DECISIONS, seat.prompts.start, seat.prompts.stop)
    return [number for number in mine if decided(number)[0] == "reject"]


@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("user", lambda seat: seat.email),
        ("repo", lambda seat: seat.repo),
        ("model", lambda seat: seat.model),
        ("source", lambda seat: seat.source),
        ("effort", lambda seat: seat.effort),
        ("team", lambda seat: seat.team),
    ],
)
def test_cost_trend(team: Team, by: str, key: Callable[[Seat], str]) -> None:
    """Spend is split by anything without a cent more or less; what is not known is shown as unattributed."""
    trend = team.ask("cost-trend", by=by)
    expected = summed(lambda seat: key(seat) or "unattributed", spent)
    assert expected == {row["label"]: milli(row["cost_usd"]) for row in trend["totals"]}
    assert (MILLI_USD, expected.get("unattributed", 0), 0, 0) == tuple(
        milli(trend[name]) for name in ("total_usd", "unattributed_usd", "estimated_usd", "previous_total_usd")
    )
    assert pytest.approx(1.0) == sum(row["share"] for row in trend["totals"])
    assert pytest.approx(MILLI_USD / 1000 * 30 / 7) == trend["run_rate_usd"]


def test_cost_trend_by_kind_of_request_and_hour(team: Team) -> None:
    """One request of every prompt is a subagent's; two seats work in every hour."""
    subagents = sum(seat.milli_usd * PER_SEAT for seat in TEAM[:COWORK])
    cowork = sum(map(spent, TEAM[COWORK:]))
    points = team.ask("cost-trend", by="query_source", step="hour")["points"]
    by_kind: defaultdict[str, float] = defaultdict(float)
    by_hour: defaultdict[str, float] = defaultdict(float)
    for point in points:
        by_kind[point["key"]] += milli(point["cost_usd"])
        by_hour[point["bucket"]] += milli(point["cost_usd"])
    assert {"subagent": subagents, "": cowork, "main": MILLI_USD - subagents - cowork} == by_kind
    assert {
        f"{team.day.begin.date()}T{8 + pair:02d}:00:00Z": spent(TEAM[2 * pair]) + spent(TEAM[2 * pair + 1])
        for pair in range(SEATS // 2)
    } == by_hour


def test_cache_hit(team: Team) -> None:
    """The share of seat s is (s + 1) / (s + 3), and none is outside 0 to 1."""
    found = team.ask("cache-hit")
    assert {seat.email: pytest.approx((seat.number + 1) / (seat.number + 3)) for seat in TEAM} == {
        row["label"]: row["rate"] for row in found["rows"]
    }
    read = sum(seat.tokens["cacheRead"] * seat.count(REQUESTS) for seat in TEAM)
    rate = pytest.approx(read / (read + 200 * REQUESTS))
    assert (100 * REQUESTS, read, 100 * REQUESTS, rate) == tuple(
        found["total"][name] for name in ("input_tokens", "cache_read_tokens", "cache_creation_tokens", "rate")
    )
    assert [(team.day.begin.date().isoformat(), rate)] == [(each["bucket"], each["rate"]) for each in found["points"]]


def test_rollups(team: Team) -> None:
    """The sums of the day, and of each seat."""
    rows = team.ask("rollups")
    assert {team.day.begin.date().isoformat()} == {row["day"] for row in rows}
    names = ("requests", "prompts", "tool_calls", "errors", "input_tokens", "output_tokens", "active_seconds")
    assert (
        REQUESTS, PROMPTS, DECISIONS - REFUSED, OTHERS["api_error"] + FAILED, 100 * REQUESTS, 50 * REQUESTS,
        30 * PER_SEAT * COWORK,
    ) == tuple(sum(row[name] for row in rows) for name in names)  # fmt: skip
    cost: defaultdict[str, float] = defaultdict(float)
    calls: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        cost[row["user_name"]] += milli(row["cost_usd"])
        calls[row["user_name"]] += row["tool_calls"]
    assert summed(lambda seat: seat.email, spent) == cost
    assert summed(lambda seat: seat.email, lambda seat: seat.count(DECISIONS) - len(refused(seat))) == calls


def test_tool_decisions(team: Team) -> None:
    """Few decisions are people's, and only these make the rate."""
    found = team.ask("tool-decisions")
    names = ("decisions", "accepted", "rejected", "automatic", "human_accepted", "human_rejected", "human_rate")
    assert (
        DECISIONS, DECISIONS - REFUSED, REFUSED, DECISIONS - ASKED, ASKED - REFUSED, REFUSED, (ASKED - REFUSED) / ASKED,
    ) == tuple(found["total"][name] for name in names)  # fmt: skip
    assert {TOOLS[rest]: len(range(rest, DECISIONS, 3)) for rest in range(3)} == {
        row["key"]: row["decisions"] for row in found["rows"]
    }
    assert {
        "config": (DECISIONS - ASKED, 0), "user_temporary": (14, 0), "user_permanent": (2, 0), "user_reject": (0, 14),
    } == {row["decision_source"]: (row["accepted"], row["rejected"]) for row in found["by_source"]}  # fmt: skip
    for by, key in (("user", lambda seat: seat.email), ("source", lambda seat: seat.source)):
        rows = team.ask("tool-decisions", by=by)["rows"]
        expected = summed(key, lambda seat: seat.count(DECISIONS))
        assert expected == {row["label"]: row["decisions"] for row in rows}


def test_active_users(team: Team) -> None:
    """Everybody was there once, in one session, with five prompts."""
    found = team.ask("active-users")
    assert (20, 20, 20, 0, 0, 0) == tuple(
        found[name] for name in ("dau", "wau", "mau", "previous_dau", "previous_wau", "previous_mau")
    )
    assert {seat.email: (1, 1, PER_SEAT, spent(seat)) for seat in TEAM} == {
        row["user_name"]: (row["days"], row["sessions"], row["prompts"], milli(row["cost_usd"]))
        for row in found["users"]
    }


def test_top_prompts(team: Team) -> None:
    """All hundred prompts, costliest first, each with its own cost, calls, length and subagents."""
    rows = team.ask("top-prompts")
    costs = [row["cost_usd"] for row in rows]
    assert costs == sorted(costs, reverse=True)
    expected = {}
    for seat in TEAM:
        for prompt in seat.prompts:
            requests, decisions = things(REQUESTS, prompt, prompt + 1), things(DECISIONS, prompt, prompt + 1)
            ran = [number for number in decisions if decided(number)[0] == "accept"]
            tools = {tool: sum(TOOLS[number % 3] == tool for number in ran) for tool in TOOLS}
            cowork = seat.source == "cowork"
            seconds = (20 + len(decisions)) if cowork else 60
            expected[f"prompt-{prompt}"] = (
                seat.milli_usd * len(requests), len(requests), len(ran), 1000.0 * seconds, int(not cowork),
                int(not cowork), tools, seat.repo, 150 * len(requests),
            )  # fmt: skip
    assert expected == {
        row["prompt"]: (
            milli(row["cost_usd"]), row["requests"], row["tool_calls"], row["duration_ms"], row["subagents"], row["depth"],
            {each["tool"]: each["calls"] for each in row["tools"]}, row["repo"], row["input_tokens"] + row["output_tokens"],
        )
        for row in rows
    }  # fmt: skip


def test_subagent_stats(team: Team) -> None:
    """One subagent for each prompt of CLI and SDK, none in Cowork."""
    found = team.ask("subagent-stats")
    assert [(0, PROMPTS - 90), (1, 90)] == [(each["depth"], each["prompts"]) for each in found["depth_histogram"]]
    prompts = summed(lambda seat: seat.repo, lambda seat: PER_SEAT)
    agents = summed(lambda seat: seat.repo, lambda seat: PER_SEAT if seat.repo else 0)
    cost = summed(lambda seat: seat.repo, lambda seat: PER_SEAT * seat.milli_usd if seat.repo else 0)
    assert {repo: (prompts[repo], agents[repo], cost[repo]) for repo in prompts} == {
        row["key"]: (row["prompts"], row["subagents"], milli(row["cost_usd"])) for row in found["rows"]
    }
    (explore,) = [row for row in team.ask("subagent-stats", by="agent")["rows"] if row["key"] == "Explore"]
    assert (90, 90, sum(cost.values())) == (explore["prompts"], explore["subagents"], milli(explore["cost_usd"]))


@pytest.mark.parametrize("asked", ["prompt", "trace", "session"])
def test_tree(team: Team, asked: str) -> None:
    """Every span under its parent, with cost from the events and the time that the person let it wait."""
    seat = TEAM[7]
    prompts = seat.prompts if asked == "session" else seat.prompts[3:4]
    ids = {"prompt": f"prompt-{prompts[0]}", "trace": team.day.trace(prompts[0]), "session": "session-7"}
    tree = team.ask("spans/tree", **{asked: ids[asked]})
    requests = things(REQUESTS, prompts[0], prompts[-1] + 1)
    decisions = things(DECISIONS, prompts[0], prompts[-1] + 1)
    human = [number for number in decisions if decided(number)[1].startswith("user")]
    no = [number for number in decisions if decided(number)[0] == "reject"]
    shape: defaultdict[tuple[str, int], int] = defaultdict(int)
    for node in tree["nodes"]:
        shape[node["kind"], node["depth"]] += 1
    assert {
        ("interaction", 0): len(prompts), ("llm", 1): len(requests), ("tool", 1): len(decisions),
        ("waiting", 2): len(decisions), ("execution", 2): len(decisions) - len(no),
    } == shape  # fmt: skip
    roots = [node for node in tree["nodes"] if node["depth"] == 0]
    assert seat.milli_usd * len(requests) == sum(milli(root["subtree_cost_usd"]) for root in roots)
    assert sum(seat.tokens.values()) * len(requests) == sum(root["subtree_tokens"] for root in roots)
    assert 1000.0 * WAIT_SECONDS * len(human) == sum(n["waiting_ms"] for n in tree["nodes"] if n["kind"] == "tool")
    assert (0, False, "session-7", seat.email) == tuple(
        tree[name] for name in ("orphans", "truncated", "session", "user_name")
    )


def test_filters(team: Team) -> None:
    """A restriction takes the same part of every read."""
    seat = TEAM[3]
    assert spent(seat) == milli(team.ask("cost-trend", user=team.keys[seat.email])["total_usd"])
    assert spent(seat) == sum(milli(row["cost_usd"]) for row in team.ask("top-prompts", session="session-3"))
    assert sum(map(spent, TEAM[COWORK:])) == milli(team.ask("cost-trend", source="cowork")["total_usd"])
