"""Nothing private gets past decoding, whatever the client let through."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raingauge.contracts.analytics import privacy

AT_THE_START = ["\\x", "//host/share", "/help", "/v1/chat"]
DROPPED = [
    "/Users/a/x", " /tmp/x", "C:\\x", "C:/x", "D:\\a b\\c", "\\\\srv\\share\\f", "\\\\?\\C:\\x",     "~/x", "~ann/x", "file:///etc/x", "./x", "..\\x", "see /etc/passwd",
    "error at /home/me/p.py:3", "in (/Volumes/d)", "at='C:\\Users\\a'", "a/../b", "data:text/plain,x",
    "Bearer abcdef", "eyJhbGciOi.eyJzdWIi.c2ln", "sk-proj-0123456789", "ghp_0123456789", "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN PRIVATE KEY-----", "0123456789abcdef0123456789abcdef", "call?X-Amz-Signature=1", "api_key=1",
    "ann@example.com", "user:password@host", "https://u:p/w@h/x", "https://[::1/x", "two\nlines", "x" * 201,
]  # fmt: skip
KEPT = {
    "C:foo": "C:foo",
    "src/foo.ts": "src/foo.ts",
    "openai/gpt-4": "openai/gpt-4",
    "and/or": "and/or",
    "mcp__fs__read": "mcp__fs__read",
    "claude-3-5-sonnet@20240620": "claude-3-5-sonnet@20240620",
    "https://api.openai.com/v1": "https://api.openai.com/v1",
    "https://u:p@h/x?sig=1": "https://h/x",
    "https://h:8443/v1?key=abc#part": "https://h:8443/v1",
    "s3://bucket/key?X-Amz-Signature=1": "s3://bucket/key",
    "always-on/discovery": "always-on/discovery",
}
LISTED = sorted({name for names in privacy.LISTED.values() for name in names} | privacy.ATTRIBUTION)
STAGES = sorted(privacy.LISTED)


@pytest.mark.parametrize("value", DROPPED + AT_THE_START)
def test_private_value_is_dropped(value: str) -> None:
    """Paths, secrets, addresses and oversized text are not kept, not even in part."""
    assert privacy.text(value) is None


@pytest.mark.parametrize(("value", "expected"), KEPT.items())
def test_harmless_value_is_kept(value: str, expected: str) -> None:
    """Names stay as they are and URLs lose user, query and fragment."""
    assert expected == privacy.text(value)


@pytest.mark.parametrize("key", ["filePath", "projectRoot", "cwd", "redirect", "/home/x", "message", "stack", "title"])
def test_unlisted_property_is_dropped_and_counted(usage: Any, key: str) -> None:
    """A property that is not on the list is gone, whatever its value."""
    row = usage.kept(usage.chat("loop_end", outcome="success", **{key: "harmless"}))
    assert (1, "") == (row["dropped"], row["details"])


def test_prompt_in_a_task_title_is_not_stored(usage: Any) -> None:
    """The title of a scheduled task is a user's prompt."""
    row = usage.kept(
        {
            "module": "cron_job", "loopStage": "module_event", "outcome": "success", "phase": "cron_started",
            "runId": "run", "taskId": "task", "title": "write to mother",
        }
    )  # fmt: skip
    assert "mother" not in repr(row)
    assert "task" not in row["details"]


def test_base_url_loses_its_credentials(usage: Any) -> None:
    """The raw base URL of a memory request is stored without user and query."""
    row = usage.kept(
        {
            "module": "memory", "loopStage": "model_request", "outcome": "success",
            "providerBaseUrl": "https://me:pw@llm.example/v1?key=k",
        }
    )  # fmt: skip
    assert '{"providerBaseUrl":"https://llm.example/v1"}' == row["details"]


@pytest.mark.parametrize("version", ["analytics.v1", "analytics.v2", "analytics.v9"])
@pytest.mark.parametrize("name", ["feature_used", "error_occurred", "app_started", "session_active"])
@settings(max_examples=30, deadline=None)
@given(
    private=st.sampled_from([value for value in DROPPED if value.strip("x")]),
    place=st.sampled_from(["before", "after", "alone"]),
    stage=st.sampled_from(STAGES),
    keys=st.sets(st.sampled_from([*LISTED, "title", "message", "stack", "note", "channel"]), min_size=1),
)
@example(private="see /etc/passwd", place="after", stage=("session", "loop_end"), keys={"code"})
def test_no_private_value_is_stored_under_any_key(
    usage: Any, version: str, name: str, private: str, place: str, stage: tuple[str, str], keys: set[str]
) -> None:
    """No column of any event holds a private value, wherever the client put it."""
    value = {"before": f"{private} again", "after": f"again {private}", "alone": private}[place]
    properties = {"module": stage[0], "loopStage": stage[1], **dict.fromkeys(keys, value)}
    labels = dict.fromkeys(("deploymentMode", "appVersion", "platform", "sessionId", "projectPath"), value)
    row = usage.kept(properties, eventName=name, schemaVersion=version, **labels)
    held = {column: stored for column, stored in row.items() if isinstance(stored, str)}
    assert {} == {column: stored for column, stored in held.items() if private.strip() in stored}


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("aZ1:/\\.~@?=&#-_ ste"), max_size=30))
def test_what_is_kept_is_kept_again(value: str) -> None:
    """Cleaning twice gives what cleaning once gives."""
    once = privacy.text(value)
    if once is not None:
        assert once == privacy.text(once)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_session_is_always_a_hash(value: str) -> None:
    """No session key is stored in the clear."""
    assert re.fullmatch("[0-9a-f]{24}", privacy.session(value))


@pytest.mark.parametrize("value", [None, [], {}, ["a"], {"a": "b"}, 2**53, -(2**60), 10**40])
def test_nested_and_absurd_values_are_dropped(usage: Any, value: Any) -> None:
    """A listed property holds one name, number or flag, nothing else."""
    row = usage.kept(usage.chat("tool_prepare", outcome="success", toolCount=value))
    assert (1, "") == (row["dropped"], row["details"])
