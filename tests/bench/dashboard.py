"""The dashboard in a real browser: what a first visit loads, when it can be used, how long panels wait, a large prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page
from tests.bench.report import Report, Spread, figure, percentile
from tests.dashboard import waterfall
from tests.support.chromium import chromium
from tests.support.server import Server, running

from raingauge.demo import flags, story
from raingauge.demo.send import Client, post_all
from raingauge.demo.senders import SENDERS, day_requests
from raingauge.demo.wire import Request

ROUNDS: Final = 5
SCALE: Final = 0.2
SCREENS: Final = ("/", "/agents", "/loops", "/flags", "/product", "/system", "/settings")
_FRAMES: Final = 180

# The first idle moment after the heading, and the moment from which no panel waits any more.
_WATCH: Final = """
    window.seen = { tasks: [] };
    new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((one) => one.duration)))
        .observe({ type: "longtask", buffered: true });
    new MutationObserver(() => {
        const main = document.querySelector("main");
        if (!seen.usable && document.querySelector("header h1"))
            requestIdleCallback(() => (seen.usable ??= performance.now()));
        if (main?.children.length && main.getAttribute("aria-busy") === "false" && !main.querySelector(".skeleton"))
            seen.whole ??= performance.now();
        else delete seen.whole;
    }).observe(document, { subtree: true, childList: true, attributes: true });
"""
_RESOURCES: Final = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .map((one) => ({ name: one.name, kind: one.initiatorType, bytes: one.transferSize, ms: one.duration }))"""
_SCROLL: Final = """async ([frames, step]) => {
    const view = document.querySelector(".wf-view");
    const took = [];
    for (let last = performance.now(), left = frames; left > 0; left--) {
        view.scrollTop += step;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        took.push(now - last);
        last = now;
    }
    return took;
}"""
_ACT: Final = """async (act) => {
    const started = performance.now();
    document.querySelector(act).click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - started;
}"""


def run(report: Report) -> None:
    with running(report.scratch / "dashboard") as server:
        _fill(server)
        with chromium() as browser:
            _first_loads(report, browser, server)
            _large_prompt(report, browser, server)


def _fill(server: Server) -> None:
    """A fifth of the demo's month, through the routes it uses, summed up as it is after a quarter of an hour."""
    now = datetime.now(UTC)

    def month() -> Iterator[Request]:
        for day in story.days(now):
            yield from day_requests(now, day, SCALE)
        yield from flags.first_requests(now)

    tokens = dict.fromkeys(SENDERS, server.token)
    post_all(lambda: Client(server.url, tokens), month(), lambda _: None)
    with server.client() as http:
        waterfall.send(http)
    server.accounting()
    server.run("rollup", "run")


def _signed_in(browser: Browser, server: Server) -> tuple[BrowserContext, Page]:
    """A browser with nothing in its cache and a session."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    assert context.request.post(f"{server.url}/api/session", data={"token": server.token}).ok
    page = context.new_page()
    page.add_init_script(_WATCH)
    return context, page


def _opened(page: Page, url: str) -> dict[str, Any]:
    """Open a screen; when it could be used, when nothing was missing, and what was fetched."""
    page.goto(url)
    page.wait_for_function("() => seen.usable && seen.whole", timeout=120_000)
    page.wait_for_load_state("networkidle")
    found: dict[str, Any] = page.evaluate("seen")
    return {**found, "resources": page.evaluate(_RESOURCES)}


def _first_loads(report: Report, browser: Browser, server: Server) -> None:
    panels: Mapping[str, list[float]] = defaultdict(list)
    rows = []
    for screen in SCREENS:
        visits = []
        for _ in range(ROUNDS):
            context, page = _signed_in(browser, server)
            visits.append(_opened(page, server.url + screen))
            context.close()
        for visit in visits:
            for one in visit["resources"]:
                if one["kind"] == "fetch":
                    panels[urlsplit(one["name"]).path].append(one["ms"])
        own = [one for one in visits[0]["resources"] if one["kind"] != "fetch"]
        data = [one for one in visits[0]["resources"] if one["kind"] == "fetch"]
        rows.append((
            screen, figure(sum(one["bytes"] for one in own) / 1024), len(own),
            figure(sum(one["bytes"] for one in data) / 1024), len(data),
            Spread.of(visit["usable"] for visit in visits), Spread.of(visit["whole"] for visit in visits),
        ))  # fmt: skip
    report.table(
        "Dashboard: a first visit, nothing cached",
        f"{ROUNDS} visits each, {SCALE:g} of the demo's data. Usable: the first idle moment with the heading drawn; "
        f"whole: no panel waits any more. Reference: the health page takes {_reference(browser, server)} ms.",
        ("screen", "page KiB", "files", "data KiB", "reads", "usable ms", "whole ms"),
        rows,
    )
    report.table(
        "Dashboard: how long panels wait for their reads",
        "As the browser sees it, many at once on first visits.",
        ("read", "n", "ms", "p95 ms"),
        [
            (path, len(taken), Spread.of(taken), figure(percentile(taken, 0.95)))
            for path, taken in sorted(panels.items(), key=lambda one: -percentile(one[1], 0.95))
        ],
    )


def _reference(browser: Browser, server: Server) -> Spread:
    """Opening something that costs nothing, in the same browser."""
    taken = []
    for _ in range(ROUNDS):
        context, page = _signed_in(browser, server)
        page.goto(f"{server.url}/health")
        taken.append(page.evaluate("performance.getEntriesByType('navigation')[0].duration"))
        context.close()
    return Spread.of(taken)


def _large_prompt(report: Report, browser: Browser, server: Server) -> None:
    context, page = _signed_in(browser, server)
    visit = _opened(page, f"{server.url}/agents/prompt/{waterfall.PROMPT}")
    page.locator(".wf-row").first.wait_for()
    tree = next(one for one in visit["resources"] if "/api/spans/tree" in one["name"])
    opening_tasks = page.evaluate("seen.tasks.splice(0)")
    metrics = context.new_cdp_session(page)
    # CPU time of the page's main thread, whatever else the machine is doing.
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_ms() -> float:
        named = {one["name"]: one["value"] for one in metrics.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(named["TaskDuration"])

    frames = {}
    for step in (0, 28, 120, 5_000):
        before_ms = busy_ms()
        taken = page.evaluate(_SCROLL, [_FRAMES, step])
        frames[step] = taken, (busy_ms() - before_ms) / _FRAMES
    rows = [
        ("fetch the tree", figure(tree["ms"]), f"{tree['bytes'] / 1024:,.0f} KiB"),
        ("longest task while opening", figure(max(opening_tasks, default=0)), f"{len(opening_tasks)} over 50 ms"),
        *(
            (
                f"a frame, {step} px scrolled in it",
                Spread.of(taken),
                f"p95 {figure(percentile(taken, 0.95))}; {figure(cpu_ms)} ms of CPU",
            )
            for step, (taken, cpu_ms) in frames.items()
        ),
        ("fold below depth 1", figure(page.evaluate(_ACT, ".wf-depth button")), ""),
        ("unfold all", figure(page.evaluate(_ACT, ".wf-depth button:last-child")), ""),
        ("tasks over 50 ms since it was open", len(page.evaluate("seen.tasks")), ""),
    ]
    context.close()
    report.table(
        f"Dashboard: a prompt of {waterfall.STEPS:,} steps",
        f"{_FRAMES} frames each; those with 0 px are the reference. A screen of 60 Hz has a frame every 16.7 ms; "
        "CPU is the main thread's.",
        ("what", "ms", ""),
        rows,
    )
