"""Looking after an installation in a browser: what arrived, dead letters, tokens, members, customers, people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from tests.dashboard import waterfall
from tests.dashboard.conftest import Visit, loop, signed_in
from tests.support.server import Server, running, until

from raingauge.demo import flags
from raingauge.queue import Message
from raingauge.queue.sqlite import SqliteQueue
from raingauge.settings import Settings
from raingauge.vault import Vault

STEPS = 1_000
PERSON = "ada@example.com"


def used(number: int, version: str, days_ago: int) -> dict[str, Any]:
    """One event of a product as its client sends it."""
    at = datetime.now(UTC).replace(hour=0, minute=10) - timedelta(days=days_ago)
    return {
        "schemaVersion": "analytics.v2", "eventId": f"00000000-0000-4000-8000-{number:012}",
        "eventName": "feature_used", "occurredAt": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "installationId": f"{number:024x}", "instanceId": f"{number:024x}", "deploymentMode": "docker",
        "commitHash": "abc1234", "appVersion": version, "platform": "linux", "sessionId": f"{number:024x}",
        "properties": {
            "module": "session", "ownerModule": "session", "executionKind": "user_session", "phase": "agent_loop",
            "loopStage": "loop_start", "outcome": "success",
        },
    }  # fmt: skip


def undecodable(server: Server, how_many: int) -> None:
    """Queue messages of a contract that is gone, in the directory of a stopped server."""
    queue = SqliteQueue.open(server.data_dir, Vault.open(server.data_dir, ""), Settings())
    for _ in range(how_many):
        queue.append(Message("gone.away", server.customer, b"nobody knows how to read this"), lambda _: None)
    queue.close()


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two dead letters, a prompt of a thousand steps, three releases of a product, and one resolver."""
    with running(tmp_path_factory.mktemp("operated") / "data") as server:
        server.stop()
        undecodable(server, 2)
        server.start()
        with server.client() as http:
            waterfall.send(http, STEPS)
            events = [used(1, "1.0.0", 12), used(2, "1.1.0", 5), used(3, "1.0.0", 4), used(4, "1.2.0", 1)]
            http.post("/collect", json=events).raise_for_status()
            http.post("/v1/aggregate", json=loop(0)).raise_for_status()
            told = flags.request(Random(1), flags.RESOLVERS[0], datetime.now(UTC))
            http.post(told.path, content=told.body, headers={"Content-Type": told.content_type}).raise_for_status()
        server.accounting()
        yield server


@pytest.fixture
def admin(browser: Browser, operated: Server) -> Iterator[Visit]:
    """A visit of somebody who may do everything."""
    context, visit = signed_in(browser, operated, viewport={"width": 1440, "height": 900})
    yield visit
    assert [] == visit.problems
    context.close()


def read(server: Server, path: str, **parameters: str) -> Any:
    """What the API answers to an admin."""
    with server.client() as http:
        return http.get(path, params=parameters).raise_for_status().json()


def card(page: Page, title: str) -> Locator:
    """The card with this title."""
    return page.locator(f'section.card[aria-label="{title}"]')


def confirm(page: Page, word: str, act: str) -> None:
    """Type what a dialog asks for; before that it lets nobody through."""
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=act)).to_be_disabled()
    dialog.get_by_role("textbox").fill(word)
    dialog.get_by_role("button", name=act).click()


# ---- what came in --------------------------------------------------------------------------------------------


def test_what_arrived_is_counted_by_kind(admin: Visit, operated: Server) -> None:
    """The overview's total and its list of kinds are the sums of the API's arrivals."""
    items = {row["title"]: 0 for row in read(operated, "/api/arrivals")["data"]}
    for row in read(operated, "/api/arrivals")["data"]:
        items[row["title"]] += row["items"]
    page = admin.open("/")
    assert f"{sum(items.values()):,}".replace(",", " ") == admin.figure("Arrived")
    for title, n in items.items():
        expect(card(page, "Kinds").get_by_role("row").filter(has_text=title)).to_contain_text(
            re.sub(r"\B(?=(\d{3})+$)", "\u202f", str(n))
        )


def test_times_of_the_data_path_are_those_of_the_server(admin: Visit, operated: Server) -> None:
    """Each step has a row with how often it was measured; a percentile beyond the scale is told from one that is unknown."""
    page = admin.open("/system")
    rows = card(page, "Times of the data path").locator("tbody tr")
    expect(rows).to_have_count(5)
    inserts = next(one for one in read(operated, "/api/system")["installation"]["timings"] if one["step"] == "insert")
    expect(rows.filter(has_text="Insert rows").locator("td").last).to_have_text(str(inserts["count"]))
    expect(rows.filter(has_text="Insert rows").locator("td").nth(2)).to_contain_text(re.compile("[≤>]"))


def test_what_is_stored_is_the_list_of_tables_and_columns(admin: Visit, operated: Server) -> None:
    """Every table has a row, and a click shows each of its columns with the reason for it."""
    stored = read(operated, "/api/stored")
    page = admin.open("/system")
    expect(card(page, "What is stored").locator("tbody tr")).to_have_count(len(stored["tables"]))
    page.get_by_role("link", name="loop_events").click()
    expected = next(table for table in stored["tables"] if table["table"] == "loop_events")["columns"]
    shown = card(page, "Columns of loop_events").locator("tbody tr")
    expect(shown).to_have_count(len(expected) + len(stored["everywhere"]))
    expect(shown.filter(has_text="workload_id")).to_contain_text(
        next(one["why"] for one in expected if one["name"] == "workload_id")
    )


def test_dead_letters_are_tried_again_and_deleted(admin: Visit, operated: Server) -> None:
    """They are listed with their reason, come back when they fail again, and go for good when that is confirmed."""
    page = admin.open("/system")
    letters = card(page, "Dead letters")
    rows = letters.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("gone.away")
    expect(rows.first).to_contain_text("Undecodable")
    rows.first.get_by_role("button", name="Retry").click()
    expect(letters).to_contain_text("1 queued again.")
    # Three tries before and three after: it has failed for good again.
    expect(rows.locator("td", has_text=re.compile("^6$"))).to_have_count(1, timeout=60_000)
    expect(rows).to_have_count(2)
    letters.get_by_role("button", name="Delete all").click()
    confirm(page, "delete", "Delete all")
    expect(letters).to_contain_text("2 deleted.")
    expect(letters).to_contain_text("None.")
    assert [] == read(operated, "/api/dead-letters")["dead_letters"]


# ---- charts --------------------------------------------------------------------------------------------------


def box_of(locator: Locator) -> FloatRect:
    """Where something stands on the page."""
    box = locator.bounding_box()
    assert box
    return box


def drag(page: Page, chart: Locator, start: float, end: float) -> None:
    """Brush over a part of a chart, as shares of its width, once nothing is being asked any more."""
    page.locator('main[aria-busy="false"]').wait_for()
    box = box_of(chart)
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], middle, steps=5)
    page.mouse.up()


def test_a_brushed_range_is_left_to_the_one_before(admin: Visit) -> None:
    """A brush narrows the range, a second one further; a double-click and the button lead back to where it began."""
    page = admin.open("/product?range=30d")
    chart = card(page, "Active installations").locator(".u-over")

    def hours() -> float:
        query = parse_qs(urlsplit(page.url).query)
        since, until_ = (datetime.fromisoformat(query[name][0]) for name in ("since", "until"))
        return (until_ - since) / timedelta(hours=1)

    drag(page, chart, 0.4, 0.9)
    page.wait_for_url("**since=**")
    first = hours()
    assert 300 < first < 400
    assert ["30d"] == parse_qs(urlsplit(page.url).query)["back"]
    before = page.url
    drag(page, chart, 0.2, 0.8)
    page.wait_for_function("before => location.href !== before", arg=before)
    assert hours() < first
    page.locator('main[aria-busy="false"]').wait_for()
    chart.dblclick()
    page.wait_for_url("**/product?range=30d")
    own = "since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z"
    page = admin.open(f"/product?{own}")
    drag(page, chart, 0.3, 0.95)
    page.wait_for_url("**back=**")
    page.get_by_role("button", name="Zoom out").click()
    page.wait_for_url(f"**/product?{own}")


def test_new_versions_are_marked_where_they_began(admin: Visit) -> None:
    """A chart over time names each version that appeared in its range, but not the one it began with."""
    page = admin.open("/product?range=30d")
    marks = card(page, "Active installations").locator(".marker")
    expect(marks).to_have_text(["1.1.0", "1.2.0"])
    first, second = (box_of(mark)["x"] for mark in marks.all())
    width = box_of(card(page, "Active installations").locator(".u-over"))["width"]
    assert 4 / 30 == pytest.approx((second - first) / width, abs=0.02)
    expect(card(page, "Active installations")).to_contain_text("New versions: 1.1.0 on")
    page = admin.open("/product?range=24h")
    expect(card(page, "Active installations").locator("canvas")).to_be_visible()
    expect(card(page, "Active installations").locator(".marker", has_text="1.1.0")).to_have_count(0)


def test_a_single_point_can_be_seen(admin: Visit) -> None:
    """A line of one point is drawn as a point."""
    page = admin.open("/flags?range=1h")
    canvas = card(page, "Error rate").locator("canvas")
    canvas.wait_for()
    coloured = """canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let n = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 128 && data[i + 2] - data[i] > 60) n++;
        return n;
    }"""
    until(lambda: canvas.evaluate(coloured) > 8)


# ---- a prompt's steps ------------------------------------------------------------------------------------------


def test_only_the_steps_that_are_seen_are_drawn(admin: Visit) -> None:
    """A prompt of a thousand steps has some dozens of rows, which follow scrolling, folding and searching."""
    page = admin.open(f"/agents/prompt/{waterfall.PROMPT}")
    rows = page.get_by_role("treeitem")
    rows.first.wait_for()
    assert "1 000" == admin.figure("Steps")
    expect(page.get_by_text("1\u202f000 of 1\u202f000 steps shown")).to_be_visible()
    assert rows.count() < 60
    page.locator(".wf-view").evaluate("view => { view.scrollTop = view.scrollHeight }")
    expect(page.locator(f"#wf-{STEPS - 1}")).to_be_visible()
    page.get_by_title("Fold below depth 1").click()
    expect(page.get_by_text("3 of 1\u202f000 steps shown")).to_be_visible()
    page.get_by_placeholder("Search steps").fill("blocked")
    expect(page.get_by_text("249 of 1\u202f000 steps shown")).to_be_visible()


def test_one_step_fills_the_axis(admin: Visit) -> None:
    """The key z stretches the time of the chosen step over the whole width and back."""
    page = admin.open(f"/agents/prompt/{waterfall.PROMPT}")
    bar = page.locator("#wf-1 .lane i").first
    bar.wait_for()
    share = "bar => bar.offsetWidth / bar.parentElement.offsetWidth"
    assert 0.49 == pytest.approx(bar.evaluate(share), abs=0.02)
    page.locator(".wf-view").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Whole prompt")).to_be_visible()
    assert 1.0 == pytest.approx(bar.evaluate(share), abs=0.02)
    page.keyboard.press("z")
    until(lambda: bar.evaluate(share) < 0.6)


# ---- tokens, members, customers --------------------------------------------------------------------------------


def refused(server: Server, token: str) -> bool:
    """Whether the server knows the token no more."""
    with server.client(token) as http:
        return http.get("/api/me").status_code == 401


def shown_token(page: Page) -> str:
    """The token that the page shows once."""
    snippet = card(page, "Tokens").locator("pre")
    snippet.wait_for()
    return snippet.inner_text().strip()


def test_a_token_is_issued_rotated_and_revoked(admin: Visit, operated: Server) -> None:
    """It ends when it should, its successor works, and after a confirmed revocation neither does."""
    page = admin.open("/settings")
    page.get_by_role("button", name="New token").click()
    page.get_by_label("Label").fill("laptop")
    page.get_by_label("read").check()
    page.get_by_label("Ends").select_option(label="after 30 days")
    page.get_by_role("button", name="Issue", exact=True).click()
    first = shown_token(page)
    assert not refused(operated, first)
    (issued,) = (one for one in read(operated, "/api/tokens") if one["label"] == "laptop")
    lasts = datetime.fromisoformat(issued["expires_at"]) - datetime.fromisoformat(issued["created_at"])
    assert timedelta(days=30) == lasts
    row = card(page, "Tokens").get_by_role("row").filter(has_text=issued["token_id"])
    expect(row).to_contain_text("until")
    row.get_by_role("button", name="Rotate").click()
    expect(card(page, "Tokens").locator("pre")).not_to_have_text(first)
    second = shown_token(page)
    assert not refused(operated, second)
    successor = next(one for one in read(operated, "/api/tokens") if one["token_id"] == issued["token_id"])[
        "replaced_by"
    ]
    card(page, "Tokens").get_by_role("row").filter(has_text=successor).get_by_role("button", name="Revoke").click()
    confirm(page, "laptop", "Revoke")
    expect(card(page, "Tokens").get_by_role("row").filter(has_text=successor)).to_contain_text("revoked")
    assert refused(operated, second)


def test_a_member_comes_and_goes(admin: Visit, operated: Server) -> None:
    """Added, made an admin beside the one who stays, signed in by a link, and after removal signed out."""
    with operated.client() as http:
        http.post("/api/members", json={"email": "boss@example.com", "role": "admin"}).raise_for_status()
    page = admin.open("/settings")
    members = card(page, "Members")
    members.get_by_label("E-mail").fill("grace@example.com")
    members.get_by_role("button", name="Add member").click()
    row = members.get_by_role("row").filter(has_text="grace@example.com")
    row.get_by_label("Role of grace@example.com").select_option("admin")
    until(lambda: "admin" == {one["email"]: one["role"] for one in read(operated, "/api/members")}["grace@example.com"])
    row.get_by_role("button", name="Sign-in link").click()
    members.locator("pre").wait_for()
    with httpx.Client(base_url=operated.url) as browser:
        assert 303 == browser.get(urlsplit(members.locator("pre").inner_text().strip()).path).status_code
        assert ("grace@example.com", "admin") == tuple(browser.get("/api/me").json()[key] for key in ("email", "role"))
        row.get_by_role("button", name="Remove").click()
        confirm(page, "grace@example.com", "Remove")
        expect(row).to_have_count(0)
        assert 401 == browser.get("/api/me").status_code


def test_a_customer_is_added_and_deleted(admin: Visit, operated: Server) -> None:
    """Its first admin gets a link; its deletion takes everything along; the own customer cannot be deleted."""
    page = admin.open("/settings")
    customers = card(page, "Customers")
    customers.get_by_label("Name").fill("acme")
    customers.get_by_label("E-mail").fill("boss@acme.example")
    customers.get_by_role("button", name="Add customer").click()
    customers.locator("pre").wait_for()
    with httpx.Client(base_url=operated.url) as browser:
        browser.get(urlsplit(customers.locator("pre").inner_text().strip()).path)
        assert "acme" == browser.get("/api/me").json()["customer_name"]
        expect(customers.get_by_role("button", name=re.compile("^Delete"))).to_have_count(1)
        customers.get_by_role("button", name="Delete acme").click()
        confirm(page, "acme", "Delete")
        expect(customers).to_contain_text("acme: 0 tokens and 0 rows deleted.")
        assert 401 == browser.get("/api/me").status_code
    assert ["default"] == [one["name"] for one in read(operated, "/api/customers")]


def test_who_never_sent_anything_is_told_how(browser: Browser, operated: Server) -> None:
    """A customer that only looks, with a token of any label, sees how to connect clients until something arrives."""
    issued = operated.issue("--name", "fresh", "--label", "laptop", "--scope", "ingest,read,admin")
    context, visit = signed_in(browser, operated, token=issued["token"])
    with operated.client(issued["token"]) as http:
        until(lambda: all(one["last_used_at"] for one in http.get("/api/system").json()["clients"]), 30)
    page = visit.open("/")
    expect(page.get_by_text("Nothing has arrived yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Show settings").first).to_be_visible()
    with operated.client(issued["token"]) as http:
        http.post("/v1/aggregate", json=loop(0)).raise_for_status()
        until(lambda: http.get("/api/arrivals").json()["data"])
    page.reload()
    expect(card(page, "What arrived")).to_be_visible()
    expect(page.get_by_text("Nothing has arrived yet.")).to_have_count(0)
    context.close()


@pytest.mark.parametrize(
    ("tab", "expected"),
    [
        ("Settings file", '"CLAUDE_CODE_ENABLE_TELEMETRY": "1"'),
        ("bash, zsh", "export CLAUDE_CODE_ENABLE_TELEMETRY=1"),
        ("fish", "set -gx CLAUDE_CODE_ENABLE_TELEMETRY '1'"),
        ("PowerShell", "$env:CLAUDE_CODE_ENABLE_TELEMETRY = '1'"),
    ],
)
def test_settings_come_for_each_shell(admin: Visit, tab: str, expected: str) -> None:
    """One card gives the file for managed machines and the lines for each shell."""
    page = admin.open("/settings")
    claude = page.locator("section.card").filter(has_text="Claude Code").last
    claude.get_by_role("button", name="Show settings").click()
    claude.get_by_role("button", name=tab).click()
    expect(claude.locator("pre")).to_contain_text(expected)


# ---- last, since it deletes: people ----------------------------------------------------------------------------


def test_a_person_is_forgotten_with_all_rows(admin: Visit, operated: Server) -> None:
    """Their name goes from the list and their rows from the store; who is unknown is said to be so."""
    rows: Callable[[], int] = lambda: sum(  # noqa: E731
        one["rows"] for one in read(operated, "/api/system")["installation"]["storage"] if one["table"] == "spans"
    )
    page = admin.open("/system")
    people = card(page, "People")
    field = people.get_by_label("Name, address or hash")
    field.fill("nobody@example.com")
    people.get_by_role("button", name="Forget “nobody@example.com”").click()
    confirm(page, "nobody@example.com", "Forget")
    expect(people).to_contain_text("Nothing is kept under that name or hash.")
    assert STEPS == rows()
    field.fill("ada")
    people.get_by_role("button", name=f"Forget {PERSON}").click()
    page.get_by_label("Also delete every row about this person").check()
    confirm(page, PERSON, "Forget")
    expect(people).to_contain_text("1 name and")
    expect(people).to_contain_text("No readable name is kept.")
    assert [] == read(operated, "/api/people")["people"]
    assert 0 == read(operated, "/api/spans/tree", prompt=waterfall.PROMPT)["data"]["spans"]
