"""What a person sees and does, in a real browser on a real server."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from tests.dashboard.conftest import LOOPS, Visit, loop, signed_in, visit_of
from tests.support.server import Server

SCREENS = ("/", "/agents", "/loops", "/flags", "/product", "/system", "/settings")


def events(server: Server) -> list[dict[str, object]]:
    """The loops as the API gives them."""
    with server.client() as http:
        found: list[dict[str, object]] = http.get("/v1/events?since_hours=169").json()["events"]
        return found


def test_a_pasted_token_signs_in(browser: Browser, served: Server) -> None:
    """Who has no session sees the sign-in page, and a token opens the dashboard."""
    context = browser.new_context()
    visit = visit_of(context, served.url)
    visit.page.goto(served.url)
    visit.page.get_by_label("Token").fill("rgk_wrong")
    visit.page.get_by_role("button", name="Sign in").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("unknown")
    visit.page.get_by_label("Token").fill(served.token)
    visit.page.get_by_role("button", name="Sign in").click()
    expect(visit.page.get_by_role("heading", name="Overview")).to_be_visible()
    assert "" == visit.page.evaluate("document.cookie")
    context.close()


def test_figures_are_those_of_the_api(visit: Visit, served: Server) -> None:
    """The key figures of the loops are the sums over what the API answers."""
    found = events(served)
    visit.open("/loops")
    converged = sum(one["outcome"] == "converged" for one in found)
    assert str(LOOPS) == str(len(found)) == visit.figure("Loops")
    assert f"{100 * converged / len(found):.1f} %" == visit.figure("Converged")
    assert str(sum(int(str(one["rollback_triggered"])) for one in found)) == visit.figure("Rollbacks")
    assert f"${sum(float(str(one['actual_dollars_saved'])) for one in found):.2f}" == visit.figure("Saved")


def test_accounting_is_that_of_the_api(visit: Visit, served: Server) -> None:
    """What was received is shown as the server counts it, and whether it balances."""
    counted = served.accounting()["loopgain"]
    page = visit.open("/system")
    row = page.get_by_role("row").filter(has_text="loopgain").filter(has_text="balanced")
    expect(row).to_contain_text(str(counted["received"]))


def test_a_filter_is_a_chip_and_part_of_the_address(visit: Visit, served: Server) -> None:
    """A click on a breakdown filters; the address reproduces the view; the chip takes the filter away."""
    page = visit.open("/loops")
    page.get_by_role("button", name=re.compile("^diverged, ")).click()
    diverged = sum(one["outcome"] == "diverged" for one in events(served))
    expect(page.locator(".chip")).to_contain_text("diverged")
    assert {"outcome": ["diverged"]} == parse_qs(urlsplit(page.url).query)
    assert str(diverged) == visit.figure("Loops")
    page.reload()
    assert str(diverged) == visit.figure("Loops")
    page.get_by_role("button", name="Remove the filter Outcome").click()
    expect(page.locator('[data-figure="Loops"] .value')).to_have_text(str(LOOPS))


def test_a_link_opens_a_loop_beside_its_list(visit: Visit, served: Server) -> None:
    """A loop has an address of its own; the arrow keys move on and Esc closes."""
    ids = [one["id"] for one in events(served)]
    page = visit.open(f"/loops/{ids[0]}?range=30d")
    side = page.get_by_role("dialog")
    expect(side).to_contain_text("langgraph")
    expect(side.get_by_role("button", name="Next")).to_be_enabled()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(f"{served.url}/loops/{ids[1]}?range=30d")
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{served.url}/loops?range=30d")
    expect(side).to_have_count(0)


def test_a_table_leaves_as_csv(visit: Visit, served: Server, tmp_path: Path) -> None:
    """The list of loops can be taken along, one line per loop."""
    page = visit.open("/loops")
    with page.expect_download() as download:
        page.get_by_role("region", name="Loops", exact=True).first.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "loops.csv")
    with (tmp_path / "loops.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(str(one["id"]) for one in events(served)) == sorted(row["id"] for row in rows)


def test_every_chart_has_a_table(visit: Visit) -> None:
    """The numbers of a chart can be read without seeing it."""
    page = visit.open("/loops")
    card = page.get_by_role("region", name="Outcomes over time").first
    expect(card.locator("canvas")).to_be_visible()
    card.get_by_role("button", name="Show as table").click()
    expect(card.get_by_role("columnheader", name="converged")).to_be_visible()


def test_the_command_palette_goes_places(visit: Visit) -> None:
    """Control-K, a few letters and Enter."""
    page = visit.open("/")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("loops")
    page.keyboard.press("Enter")
    page.wait_for_url("**/loops")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/system")


def test_the_theme_is_kept(visit: Visit) -> None:
    """A chosen theme stays after loading the page again."""
    page = visit.open("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch to the dark theme").click()
    page.reload()
    assert "dark" == page.evaluate("document.documentElement.dataset.theme")
    assert before != page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_a_client_is_connected_by_copy_and_paste(visit: Visit, served: Server) -> None:
    """The settings shown carry the real address and a token that works; the line turns green by itself."""
    page = visit.open("/settings")
    card = page.get_by_role("region", name="LoopGain").first
    card.get_by_role("button", name="Show settings").click()
    snippet = card.locator("pre")
    expect(snippet).to_contain_text(served.url)
    expect(card.get_by_role("status")).to_contain_text("Waiting for the first event")
    token = next(
        word
        for word in snippet.inner_text().replace('"', " ").replace("'", " ").replace("=", " ").split()
        if word.startswith("rgk_")
    )
    with served.client(token) as http:
        http.post("/v1/aggregate", json=loop(0) | {"team": "calibration"}).raise_for_status()
    expect(card.get_by_role("status")).to_contain_text("The first event arrived", timeout=30_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_screens_are_accessible_and_quiet(browser: Browser, served: Server, scheme: str) -> None:
    """No screen has serious accessibility findings, script errors, or requests to other hosts."""
    context, visit = signed_in(browser, served, viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    found = []
    for path in SCREENS:
        visit.open(path)
        visit.settled()
        results = Axe().run(visit.page)
        found += [
            (path, one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in results.response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert [] == found
    assert [] == visit.problems
    assert {httpx.URL(served.url).netloc.decode()} == visit.hosts


def test_everything_fits_on_a_phone(browser: Browser, served: Server) -> None:
    """At 390 pixels no screen scrolls sideways."""
    context, visit = signed_in(browser, served, viewport={"width": 390, "height": 844})
    for path in SCREENS:
        page = visit.open(path)
        visit.settled()
        assert (path, True) == (path, page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    context.close()


def test_what_can_be_done_with_a_row_is_in_reach_on_a_phone(browser: Browser, served: Server) -> None:
    """The buttons of a token can be seen at 390 pixels although its columns are wider than the screen."""
    context, visit = signed_in(browser, served, viewport={"width": 390, "height": 844})
    page = visit.open("/settings")
    visit.settled()
    table = page.get_by_role("region", name="Tokens").locator(".table-wrap")
    assert table.evaluate("wrap => wrap.scrollWidth > wrap.clientWidth")
    expect(table.get_by_role("button", name="Revoke").first).to_be_in_viewport(ratio=1)
    context.close()
