from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys
import structlog
from raingauge import log
from raingauge.settings import Settings
log.configure(Settings({"log_format": sys.argv[1], "log_level": sys.argv[2]}))
ours = structlog.get_logger("ours")
ours.debug("detail")
ours.info("request", route="/v1/traces", status=200)
ours.warning("the disk is slow", action="disk.slow", seconds=2)
def fail(text):
    raise ValueError(text)
try:
    fail("a prompt that somebody wrote")
except ValueError:
    ours.exception("request.failed")
theirs = logging.getLogger("a.library")
theirs.info("nobody needs this")
theirs.warning("cannot read %s", "a prompt that somebody wrote")
theirs.warning("cannot read a prompt that somebody wrote")
try:
    fail("a prompt that somebody wrote")
except ValueError:
    theirs.exception("failed with %s", "a prompt that somebody wrote")
"""


def run(form: str, level: str = "info") -> str:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, level], capture_output=True, text=True, check=True, timeout=60
    )
    assert "" == finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("auto").splitlines()]


def test_every_line_is_json_with_action_level_and_time(lines: list[dict[str, Any]]) -> None:
    """Off a terminal a machine can read every line, whoever wrote it."""
    assert ["request", "disk.slow", "request.failed", "a.library", "a.library", "a.library"] == [
        line["action"] for line in lines
    ]
    assert ["info", "warning", "error", "warning", "warning", "error"] == [line["level"] for line in lines]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert ("/v1/traces", 200) == (lines[0]["route"], lines[0]["status"])
    assert "the disk is slow" == lines[1]["event"]


def test_exceptions_are_told_by_type_and_place(lines: list[dict[str, Any]]) -> None:
    """A mistake can be found without the message, which may quote what a client sent."""
    assert "ValueError" == lines[2]["error"] == lines[5]["error"]
    assert lines[2]["places"][-1].endswith(" fail")


def test_content_of_arguments_and_messages_stays_out(lines: list[dict[str, Any]]) -> None:
    """Neither our lines nor those of libraries quote data."""
    assert "prompt" not in json.dumps(lines)
    assert "cannot read %s" == lines[3]["event"]
    assert "prompt" not in run("text")


def test_level_and_form_follow_the_settings() -> None:
    """Debug adds our details; text is for people."""
    assert "detail" == json.loads(run("json", "debug").splitlines()[0])["action"]
    assert 3 == len(run("json", "error").splitlines()) + 1
    assert "route=/v1/traces" in run("text")
