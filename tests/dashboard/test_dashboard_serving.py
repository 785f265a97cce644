"""How the built dashboard is served."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.support.server import Server

from raingauge.web.dashboard import Dashboard

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize("path", ["/", "/agents", "/agents/prompt/1", "/loops/17", "/system", "/settings"])
def test_addresses_of_the_page_give_the_page(served: Server, path: str) -> None:
    """Every address that the page makes can be opened directly."""
    answer = httpx.get(served.url + path, headers=HTML)
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert '<div id="app">' in answer.text


def test_policy_forbids_inline_scripts_and_other_hosts(served: Server) -> None:
    """The page's own files are all that may run or be loaded."""
    policy = httpx.get(served.url, headers=HTML).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_programs_still_get_the_health_answer(served: Server) -> None:
    """A client that does not ask for a page gets what it always got."""
    assert "ok" == httpx.get(served.url).json()["status"]


def test_hashed_files_are_kept_for_ever_and_come_compressed(served: Server) -> None:
    """A second visit loads nothing but data."""
    page = httpx.get(served.url, headers=HTML).text
    script = re.findall(r'src="(/assets/[^"]+\.js)"', page)[0]
    answer = httpx.get(served.url + script, headers={"Accept-Encoding": "gzip"})
    assert "gzip" == answer.headers["content-encoding"]
    assert "import" in answer.text
    assert "immutable" in answer.headers["cache-control"]
    assert "nosniff" == answer.headers["x-content-type-options"]


def test_large_answers_come_compressed(served: Server) -> None:
    """What repeats its names a thousand times is sent small to those who can read it so; small answers are sent as they are."""
    with served.client() as http:
        plain = http.get("/openapi.json", headers={"Accept-Encoding": "identity"})
        packed = http.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in http.get("/api/me", headers={"Accept-Encoding": "gzip"}).headers
    assert "content-encoding" not in plain.headers
    assert "gzip" == packed.headers["content-encoding"]
    assert plain.json() == packed.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


def test_the_page_is_not_sent_again_when_it_has_not_changed(served: Server) -> None:
    """An unchanged page costs one empty answer."""
    etag = httpx.get(served.url, headers=HTML).headers["etag"]
    assert 304 == httpx.get(served.url, headers=HTML | {"If-None-Match": etag}).status_code


@pytest.mark.parametrize("path", ["/assets/nothing.js", "/assets/..%2f..%2fdashboard.py", "/loops/17"])
def test_what_is_no_file_is_not_found(served: Server, path: str) -> None:
    """Nothing but the files of the build is served, and screens only to those who ask for a page."""
    assert 404 == httpx.get(served.url + path).status_code


def test_without_a_build_there_is_no_page(tmp_path: object) -> None:
    """A checkout that was never built says so instead of failing."""
    assert not Dashboard.load(tmp_path).built  # type: ignore[arg-type]
