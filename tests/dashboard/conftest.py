"""A real server with real data, and a real browser in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from tests.support.chromium import chromium
from tests.support.server import Server, running, until

BUILD = Path(__file__).parents[2] / "src" / "raingauge" / "web" / "static" / "dashboard"
OUTCOMES = ("converged", "converged", "converged", "stalled", "diverged")
WORKLOADS = ("rag-rewrite", "codegen-lint")
LOOPS = 20


def loop(number: int) -> dict[str, object]:
    """One finished loop as the library sends it, `number` hours ago."""
    hour = (datetime.now(UTC) - timedelta(hours=number + 1)).replace(minute=0, second=0, microsecond=0)
    gains = [0.6, 0.5, 0.4]
    return {
        "schema_version": 4,
        "library": "loopgain",
        "library_version": "0.6.5",
        "timestamp_hour": hour.isoformat(),
        "workload_id": WORKLOADS[number % 2],
        "framework": "langgraph",
        "loop_type": "rag_refine",
        "team": "search-prod",
        "loop": {
            "outcome": OUTCOMES[number % 5],
            "iterations_used": 4,
            "savings_vs_fixed_cap": 6,
            "rollback_triggered": number % 5 == 4,
            "best_index": 2,
            "convergence_profile_summary": {"min": 0.4, "max": 0.6, "median": 0.5, "samples": 3},
        },
        "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
        "smoothing_window": 3,
        "per_iteration": {
            "convergence_profile": gains, "error_history": [10, 6, 3, 1.2], "truncated": False, "cap": 256,
        },
        "actual_dollars_spent": 0.05,
        "actual_dollars_saved": 0.07,
    }  # fmt: skip


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that holds twenty loops and serves the built dashboard."""
    assert (BUILD / "index.html").exists(), "run `make dashboard` first"
    with running(tmp_path_factory.mktemp("dashboard") / "data") as server:
        with server.client() as http:
            for number in range(LOOPS):
                http.post("/v1/aggregate", json=loop(number)).raise_for_status()
            until(lambda: len(http.get("/v1/events").json()["events"]) == LOOPS)
        yield server


# Not for the whole session: while Playwright runs, its event loop is the main thread's and no other can be.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    # Generous: these tests share a machine, and a read may wait for others.
    expect.set_options(timeout=20_000)
    with chromium() as browser:
        yield browser


@dataclass
class Visit:
    """A signed-in page, and everything that went wrong on it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        self.page.locator("main h1, header h1").first.wait_for()
        return self.page

    def settled(self) -> None:
        """Wait until nothing is drawn in place of what is still being asked."""
        self.page.locator(".skeleton").first.wait_for(state="detached", timeout=20_000)
        self.page.locator('main[aria-busy="false"]').wait_for(timeout=20_000)

    def figure(self, label: str) -> str:
        """What a key figure says once it is known."""
        value = self.page.locator(f'[data-figure="{label}"] .value')
        value.wait_for()
        return value.inner_text().replace("\u202f", " ")


def signed_in(browser: Browser, server: Server, token: str = "", **options: object) -> tuple[BrowserContext, Visit]:
    """A browser context of its own with a session, as after signing in with a token: the first start's by default."""
    context = browser.new_context(accept_downloads=True, **options)  # type: ignore[arg-type]
    answer = context.request.post(
        f"{server.url}/api/session", data={"token": token or server.token},
        headers={"X-Raingauge-CSRF": "1", "Origin": server.url},
    )  # fmt: skip
    assert answer.ok, answer.text()
    return context, visit_of(context, server.url)


def visit_of(context: BrowserContext, url: str) -> Visit:
    """A page that notes errors of scripts, of the policy, and hosts that were asked."""
    page = context.new_page()
    visit = Visit(page, url)

    def requested(request: Request) -> None:
        visit.hosts.add(httpx.URL(request.url).netloc.decode() or httpx.URL(request.url).scheme)

    page.on("console", lambda message: visit.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.problems.append(str(error)))
    page.on("request", requested)
    return visit


@pytest.fixture
def visit(browser: Browser, served: Server) -> Iterator[Visit]:
    """A signed-in visit in the size of a laptop."""
    context, visit = signed_in(browser, served, viewport={"width": 1440, "height": 900})
    yield visit
    context.close()
