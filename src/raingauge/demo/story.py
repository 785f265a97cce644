"""Who works on what, and what goes wrong. All people, repositories and products are made up.

Five things to find:

1. One prompt cost more than a hundred ordinary ones: it sent out twelve subagents over and over (`COSTLY_DAYS_AGO`).
2. The nightly bot lost its prompt cache, and its cost rose (`COLD_DAYS`).
3. The loops of `DIVERGING_WORKLOAD` stopped to converge (`DIVERGING_DAYS`).
4. A new version of one flag resolver is slow (`flags.RESOLVERS`).
5. A release of the product made a tool fail, the next one repaired it (`RELEASES`, `BROKEN_RELEASE`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

DAYS: Final = 30

OPUS: Final = "claude-opus-5"
SONNET: Final = "claude-sonnet-5"
HAIKU: Final = "claude-haiku-4-5"
CODEX: Final = "gpt-5.1-codex"
GEMINI: Final = "gemini-2.5-pro"


class Price(NamedTuple):
    """USD per million tokens, as a client that estimates its own cost knows them."""

    input: float
    output: float
    cache_read: float
    cache_creation: float


PRICES: Final = {
    OPUS: Price(5.0, 25.0, 0.5, 6.25),
    SONNET: Price(2.0, 10.0, 0.2, 2.5),
    HAIKU: Price(1.0, 5.0, 0.1, 1.25),
}


class Person(NamedTuple):
    """One of the team, or a bot. `starts_utc` is the hour at which the working day begins, in UTC.

    `tool` is the coding agent in use; for a bot the name of its service.
    """

    name: str
    team: str
    repository: str
    tool: str
    model: str
    starts_utc: int
    prompts_per_day: int

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.com"


TEAM: Final = (
    Person("Ada Acorn", "platform", "treehouse/platform", "claude_code", OPUS, 7, 14),
    Person("Ben Birch", "platform", "treehouse/platform", "claude_code", SONNET, 8, 9),
    Person("Cleo Cedar", "platform", "treehouse/infrastructure", "claude_code", SONNET, 7, 8),
    Person("Dov Dogwood", "platform", "treehouse/infrastructure", "codex", CODEX, 9, 8),
    Person("Eve Elm", "platform", "treehouse/platform", "claude_code", OPUS, 15, 6),
    Person("Finn Fir", "checkout", "treehouse/checkout", "claude_code", SONNET, 7, 11),
    Person("Gia Ginkgo", "checkout", "treehouse/checkout", "claude_code", SONNET, 8, 12),
    Person("Hugo Hazel", "checkout", "treehouse/checkout", "claude_code", OPUS, 8, 7),
    Person("Ida Ivy", "checkout", "treehouse/payments", "claude_code", SONNET, 9, 5),
    Person("Jan Juniper", "checkout", "treehouse/payments", "gemini_cli", GEMINI, 7, 7),
    Person("Kai Kapok", "search", "treehouse/search-index", "claude_code", OPUS, 8, 13),
    Person("Lea Larch", "search", "treehouse/search-index", "claude_code", SONNET, 14, 10),
    Person("Max Maple", "search", "treehouse/ranking", "claude_code", SONNET, 7, 8),
    Person("Nia Nutmeg", "search", "treehouse/ranking", "codex", CODEX, 8, 9),
    Person("Oli Oak", "search", "treehouse/search-index", "claude_code", HAIKU, 9, 6),
    Person("Pia Pine", "mobile", "treehouse/mobile-app", "claude_code", SONNET, 7, 10),
    Person("Quin Quince", "mobile", "treehouse/mobile-app", "claude_code", SONNET, 8, 7),
    Person("Rae Rowan", "mobile", "treehouse/mobile-app", "claude_code", OPUS, 16, 9),
    Person("Sam Spruce", "mobile", "treehouse/design-tokens", "gemini_cli", GEMINI, 8, 4),
    Person("Tia Teak", "mobile", "treehouse/mobile-app", "claude_code", SONNET, 9, 5),
    Person("Uma Umbra", "data", "treehouse/pipelines", "claude_code", OPUS, 7, 10),
    Person("Vic Vine", "data", "treehouse/pipelines", "claude_code", SONNET, 8, 8),
    Person("Wes Willow", "data", "treehouse/forecasts", "codex", CODEX, 7, 6),
    Person("Xia Xylem", "data", "treehouse/forecasts", "claude_code", SONNET, 13, 7),
    Person("Yuri Yew", "data", "treehouse/pipelines", "claude_code", HAIKU, 8, 3),
)
"""The 25 people, in the order of the alphabet."""

NIGHTLY_BOT: Final = Person("Nightly triage", "platform", "treehouse/platform", "nightly-triage", SONNET, 2, 12)
REVIEW_BOT: Final = Person("Review bot", "checkout", "treehouse/checkout", "review-bot", SONNET, 8, 16)
BOTS: Final = (NIGHTLY_BOT, REVIEW_BOT)
"""Programs built on the Agent SDK."""

COSTLY_DAYS_AGO: Final = 4
COSTLY_PERSON: Final = TEAM[10]
COLD_DAYS: Final = 9
"""Since so many days the nightly bot writes the time into its first line, so that no prompt begins like another."""

DIVERGING_WORKLOAD: Final = "invoice-extraction"
DIVERGING_DAYS: Final = 8

RELEASES: Final = ((DAYS + 90, "0.8.4"), (18, "0.9.0"), (6, "0.9.2"), (3, "0.9.3"))
"""Days ago and version of the product's releases, oldest first."""
BROKEN_RELEASE: Final = "0.9.2"


def days(now: datetime, count: int = DAYS) -> list[datetime]:
    """The beginnings of so many UTC days up to the present one, oldest first."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    return [today - timedelta(days=ago) for ago in range(count - 1, -1, -1)]


def days_ago(now: datetime, day: datetime) -> int:
    """How many UTC days lie between a day's beginning and the present day."""
    return (now.date() - day.date()).days


def seeded(*parts: object) -> Random:
    """A random source that gives the same numbers for the same parts, on every machine."""
    return Random(repr(parts))  # noqa: S311 - made-up data, no secret
