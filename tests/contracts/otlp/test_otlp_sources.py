"""Who sent it, who did it, where, and what it cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from raingauge.contracts.otlp.cost import ESTIMATED, NONE, REPORTED, cost_of
from raingauge.contracts.otlp.people import person_key
from raingauge.contracts.otlp.repository import normalised
from raingauge.contracts.otlp.sources import Origin, Source
from raingauge.contracts.otlp.spend import FAMILY, SPEND_SIGNALS, measured
from raingauge.contracts.otlp.tokens import NO_TOKENS, Tokens, tokens_of

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

SCOPE = "com.anthropic.claude_code"
NOW_US = 1_791_795_600_000_000


@pytest.mark.parametrize(
    ("resource", "scope", "name", "attributes", "expected"),
    [
        ({"service.name": "claude-code"}, SCOPE, "x", {}, Source.CLAUDE_CODE),
        ({"service.name": "claude-code-desktop", "process.owner": True}, SCOPE, "x", {}, Source.CLAUDE_CODE),
        ({}, "com.anthropic.claude_code.traces", "x", {}, Source.CLAUDE_CODE),
        ({}, "", "claude_code.interaction", {}, Source.CLAUDE_CODE),
        ({"service.name": "claude-code"}, "", "x", {"gen_ai.operation.name": "chat"}, Source.CLAUDE_CODE),
        ({"service.name": "codex-review-bot"}, SCOPE, "x", {}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"app.entrypoint": "sdk-ts"}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"app.entrypoint": "sdk-cli"}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"terminal.type": "non-interactive"}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"query_source": "sdk"}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"parent.source": "env"}, Source.AGENT_SDK),
        (
            {"service.name": "claude-code"},
            SCOPE,
            "x",
            {"app.entrypoint": "cli", "terminal.type": "non-interactive"},
            Source.CLAUDE_CODE,
        ),
        ({"service.name": "claude-code"}, SCOPE, "x", {"raingauge.source": "agent_sdk"}, Source.AGENT_SDK),
        ({"service.name": "claude-code"}, SCOPE, "x", {"raingauge.source": "nonsense"}, Source.CLAUDE_CODE),
        ({"service.name": "cowork"}, SCOPE, "x", {"terminal.type": "non-interactive"}, Source.COWORK),
        ({}, SCOPE, "claude_cowork.api_request", {}, Source.COWORK),
        ({}, SCOPE, "x", {"workspace.host_paths": True}, Source.COWORK),
        ({"service.name": "codex_cli_rs"}, "", "x", {}, Source.CODEX),
        ({}, "", "x", {"originator": "codex_vscode", "conversation.id": "c"}, Source.CODEX),
        ({"service.name": "gemini-cli"}, "", "gen_ai.x", {"gen_ai.operation.name": "llm_call"}, Source.GEMINI_CLI),
        ({"service.name": "opencode"}, "", "claude_code.cost.usage", {}, Source.OPENCODE),
        ({"service.name": "x"}, "cursor.telemetry", "x", {}, Source.CURSOR),
        ({"service.name": "bot"}, "", "chat", {"gen_ai.provider.name": "openai"}, Source.GEN_AI),
        ({"service.name": "shop", "process.owner": True}, "http", "GET /", {"query_source": "sdk"}, Source.OTHER),
        ({}, "", "", {}, Source.OTHER),
    ],
    ids=str,
)
def test_senders_are_told_apart(
    resource: dict[str, Any], scope: str, name: str, attributes: dict[str, Any], expected: Source
) -> None:
    """Scope and service names decide, then marks on the records."""
    whole = resource | attributes
    assert expected == Origin(resource, scope, [whole]).source(name, whole)


def test_one_mark_speaks_for_its_session(otlp: Otlp) -> None:
    """A headless session has one source, though only its model calls say that it is one."""
    logs = [otlp.log(session__id="a", query_source="sdk"), otlp.log(session__id="a"), otlp.log(session__id="b")]
    rows = otlp.rows(otlp.decode("logs", otlp.logs(*logs, resource={"service.name": "claude-code"})))["events"]
    assert ["agent_sdk", "agent_sdk", "claude_code"] == [row["source"] for row in rows]


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/Acme/Rocket.git",
        "https://github.com/acme/rocket/",
        "https://user:token@github.com/acme/rocket",
        "https://user:p@ss@github.com/acme/rocket.git?x=1#y",
        "ssh://git@github.com:22/acme/rocket.git",
        "git@github.com:acme/rocket.git",
        "github.com:acme/rocket",
        "acme/rocket",
        " ACME/ROCKET ",
    ],
)
def test_every_way_to_clone_is_one_repository(remote: str) -> None:
    """Machines that reach one remote by different protocols and credentials share its name."""
    assert "acme/rocket" == normalised(remote)


@pytest.mark.parametrize(
    "path",
    ["/home/ada/rocket", "file:///home/ada/rocket", "C:\\Users\\ada\\rocket", "c:/users/ada", "~/rocket", "./rocket",
     "../rocket", "\\\\host\\share", "acme/../../etc", "https:///x", "two words", "", "acme rocket/x"],
)  # fmt: skip
def test_local_paths_are_no_repositories(path: str) -> None:
    """Where a clone lies on somebody's disk is not kept."""
    assert "" == normalised(path)


@given(st.text(max_size=400))
def test_a_repository_is_a_plain_name(remote: str) -> None:
    """Whatever was sent, what is stored is a short name without credentials."""
    found = normalised(remote)
    assert not set(found) & set("@:?#\\ \n")
    assert len(found) <= 256


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"vcs.owner.name": "acme", "vcs.repository.name": "rocket"}, "acme/rocket"),
        ({"vcs.owner.name": "acme", "vcs.repository.name": "acme/rocket"}, "acme/rocket"),
        ({"vcs.repository.url.full": "https://a:b@git.acme.io/acme/rocket.git"}, "acme/rocket"),
        ({"vcs.repository.name": "rocket"}, "rocket"),
        ({"team.repo": "git@github.com:acme/own.git", "vcs.repository.name": "rocket"}, "acme/own"),
        ({}, None),
    ],
    ids=str,
)
def test_the_repository_is_found_in_the_attributes(
    otlp: Otlp, attributes: dict[str, Any], expected: str | None
) -> None:
    """The operator's attribute comes first, then owner and name, then the remote."""
    request = otlp.spans(otlp.span(**attributes))
    (row,) = otlp.rows(otlp.decode("traces", request, otlp_repository_attribute="team.repo"))["spans"]
    assert expected == row.get("repo")


def user(otlp: Otlp, **attributes: Any) -> tuple[str | None, list[str]]:
    request = otlp.spans(otlp.span(**attributes), resource={"service.name": "claude-code"})
    decoded = otlp.decode("traces", request)
    return otlp.rows(decoded)["spans"][0].get("user"), [person.name for person in decoded.people]


def test_a_person_is_the_address_else_the_account_else_the_install(otlp: Otlp) -> None:
    """The strongest identity that was sent decides, and it alone."""

    def key(value: str) -> str:
        return person_key(otlp.identity_key, otlp.customer, value)

    everything = {
        "user__email": " Ada@Example.com",
        "user__account_uuid": "u",
        "user__account_id": "i",
        "user__id": "x",
    }
    assert (key("ada@example.com"), ["ada@example.com"]) == user(otlp, **everything)
    del everything["user__email"]
    assert (key("u"), []) == user(otlp, **everything)
    assert (key("x"), []) == user(otlp, user__id="x")
    assert (None, []) == user(otlp)


def test_keys_of_people_differ_between_customers_and_installations() -> None:
    """A key says nothing to another customer or another server."""
    keys = {person_key(key, customer, "ada@example.com") for key in (b"a" * 32, b"b" * 32) for customer in ("x", "y")}
    assert 4 == len(keys)
    assert {32} == {len(key) for key in keys}


def test_readable_names_can_be_switched_off(otlp: Otlp) -> None:
    """With names off, only the keyed hash is left of an address."""
    request = otlp.spans(otlp.span(user__email="ada@example.com"), resource={"service.name": "claude-code"})
    assert [] == otlp.decode("traces", request, otlp_people_names=False).people


def test_customers_of_other_services_are_nobody(otlp: Otlp) -> None:
    """A shop that traces its visitors does not fill the list of people who use agents."""
    decoded = otlp.decode("traces", otlp.spans(otlp.span(user__email="shopper@example.com")))
    assert ([], False) == (decoded.people, "user" in otlp.rows(decoded)["spans"][0])


@pytest.mark.parametrize(
    ("source", "attributes", "expected"),
    [
        (Source.CLAUDE_CODE, {"input_tokens": 10, "cache_read_tokens": 100}, Tokens(10, 0, 100, 0)),
        (Source.CODEX, {"input_token_count": "110", "cached_token_count": 100}, Tokens(10, 0, 100, 0)),
        (
            Source.GEMINI_CLI,
            {"input_token_count": 110, "cached_content_token_count": 100, "output_token_count": 3,
             "thoughts_token_count": 4, "tool_token_count": 5},
            Tokens(15, 7, 100, 0),
        ),
        (
            Source.GEN_AI,
            {"gen_ai.usage.input_tokens": 117, "gen_ai.usage.cache_read.input_tokens": 100,
             "gen_ai.usage.cache_creation.input_tokens": 7, "gen_ai.usage.output_tokens": 3},
            Tokens(10, 3, 100, 7),
        ),
        (Source.GEN_AI, {"gen_ai.usage.input_tokens": 5, "gen_ai.operation.name": "invoke_agent"}, NO_TOKENS),
        (Source.GEN_AI, {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.cache_read.input_tokens": 9}, Tokens(0, 0, 9, 0)),
        (Source.OTHER, {}, NO_TOKENS),
    ],
)  # fmt: skip
def test_tokens_follow_one_schema(source: Source, attributes: dict[str, Any], expected: Tokens) -> None:
    """Input never includes cached tokens, whichever way the producer counts."""
    assert expected == tokens_of(source, attributes)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"cost_usd": 0.5, "cost_usd_micros": 500_001}, (0.5, REPORTED)),
        ({"cost_usd_micros": "500001"}, (0.500001, REPORTED)),
        ({"cost_usd": "0"}, (0.0, REPORTED)),
        ({"cost_usd": 2}, (2.0, REPORTED)),
    ],
    ids=str,
)
def test_a_reported_cost_wins(attributes: dict[str, Any], expected: tuple[float, str]) -> None:
    """The producer's own figure is taken, the exact one before the rounded one."""
    assert expected == cost_of(attributes, Tokens(1, 1), "claude-sonnet-4-5", NOW_US)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5-20250929", "claude-opus-4-1", "gpt-5.1-codex", "gemini-2.5-pro"])
@pytest.mark.parametrize("tokens", [Tokens(10, 20, 30, 0), Tokens(150_000, 9, 40_000, 0), Tokens(250_000, 1, 9, 0)])
def test_an_estimate_is_the_price_list_times_tokens(model: str, tokens: Tokens) -> None:
    """Estimates agree with the price library itself, in every tier."""
    usage = Usage(
        input_tokens=tokens.input + tokens.cache_read, output_tokens=tokens.output, cache_read_tokens=tokens.cache_read
    )
    expected = calc_price(usage, model).total_price
    usd, kind = cost_of({}, tokens, model, NOW_US)
    assert (ESTIMATED, expected) == (kind, Decimal(usd).quantize(expected))


@pytest.mark.parametrize(
    ("model", "seller"),
    [("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"), ("anthropic/claude-sonnet-4.5", "openrouter")],
)
def test_names_that_sellers_give_are_priced_by_their_lists(model: str, seller: str) -> None:
    """A model reached through Bedrock or OpenRouter has a cost, though its maker does not know the name."""
    expected = calc_price(Usage(input_tokens=1000, output_tokens=100), model, provider_id=seller).total_price
    usd, kind = cost_of({}, Tokens(1000, 100), model, NOW_US)
    assert (ESTIMATED, expected) == (kind, Decimal(usd).quantize(expected))


@pytest.mark.parametrize("model", ["", "no-such-model", "claude-"])
def test_an_unknown_model_has_no_cost(model: str) -> None:
    """Not known is not zero: the row says which it is."""
    assert (0.0, NONE) == cost_of({}, Tokens(1, 1), model, NOW_US)


@given(st.text(max_size=60), st.integers(-(2**63), 2**63 - 1))
def test_no_model_name_and_no_time_breaks_the_estimate(model: str, time_us: int) -> None:
    """Prices are looked up for whatever was sent."""
    assert cost_of({}, Tokens(1, 1), model, time_us)[1] in {ESTIMATED, NONE}


def test_every_source_says_where_its_spend_counts() -> None:
    """For each source the signals are ranked, each at most once, so a total can take exactly one."""
    assert set(Source) == set(SPEND_SIGNALS) == set(FAMILY)
    assert all(len(set(signals)) == len(signals) > 0 for signals in SPEND_SIGNALS.values())
    assert "points" not in SPEND_SIGNALS[Source.COWORK]


def test_a_dollar_of_a_metric_counts_in_one_measure() -> None:
    """Tokens of a producer that reports cost carry no price, so cost is not counted by both metrics."""
    assert ("cost", 1.0) == measured(Source.CLAUDE_CODE, "claude_code.cost.usage", "", "claude-opus-4-1", NOW_US)
    assert ("input", 0.0) == measured(Source.CLAUDE_CODE, "claude_code.token.usage", "input", "claude-opus-4-1", NOW_US)
    assert ("", 0.0) == measured(Source.GEMINI_CLI, "gen_ai.client.token.usage", "input", "gemini-2.5-pro", NOW_US)


def test_priced_points_add_up_to_the_price_of_the_call() -> None:
    """Summing value times unit cost over a producer's token points gives what the call costs."""
    parts = {"input": 2000, "cache": 1500, "tool": 10, "output": 100, "thought": 40}
    units = {
        kind: measured(Source.GEMINI_CLI, "gemini_cli.token.usage", kind, "gemini-2.5-pro", NOW_US)[1] for kind in parts
    }
    expected, _ = cost_of({}, Tokens(510, 140, 1500, 0), "gemini-2.5-pro", NOW_US)
    assert pytest.approx(expected) == sum(value * units[kind] for kind, value in parts.items())
