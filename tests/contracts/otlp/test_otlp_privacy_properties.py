"""No private word reaches anything that the running server writes, whoever sends it and however badly."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.contracts.otlp.test_otlp_properties import MARK, SERVICES, leaking
from tests.support.server import Server, balanced, running

from raingauge.contracts.otlp.wire import JSON, PROTOBUF

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

pytestmark = pytest.mark.e2e

EMAIL = "pers0n@example.com"
EVERY_TABLE = """
import sys
from pathlib import Path
from raingauge.settings import Settings
from raingauge.store import client

facts = client.connect(Settings(), Path(sys.argv[1]), {})
for (table,) in facts.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
    print(table, facts.text(f"SELECT * FROM `{table}`", {}, "JSONEachRow").decode())
"""


def damaged() -> dict[str, Any]:
    """A request whose second envelope, metric and record cannot be read, with content around and inside of them."""
    log = {"attributes": [{"key": MARK, "value": MARK}], "body": {"stringValue": MARK}}
    return {
        "resourceLogs": [{"scopeLogs": [{"logRecords": [log, MARK, {"traceId": [MARK]}]}]}, {"scopeLogs": MARK}],
        MARK: MARK,
    }


def send_everything(otlp: Otlp, server: Server) -> None:
    now = str(time.time_ns())
    with server.client() as http:

        def post(path: str, body: bytes, media_type: str, **query: str) -> int:
            return http.post(path, content=body, headers={"Content-Type": media_type}, params=query).status_code

        for service in SERVICES:
            for signal, request in leaking(otlp, service):
                for media_type in (JSON, PROTOBUF):
                    assert 200 == post(f"/v1/{signal}", otlp.body(signal, request, media_type), media_type)
        known = otlp.log(user__email=EMAIL, event__name="user_prompt", event__sequence=1, session__id="s") | {
            "timeUnixNano": now
        }
        about = otlp.logs(known, resource={"service.name": "claude-code"})
        assert 200 == post("/v1/logs", otlp.body("logs", about, JSON), JSON, prompt=MARK)
        assert 200 == post("/v1/logs", msgspec.json.encode(damaged()), JSON)
        assert 400 == post("/v1/logs", f'{{"prompt": "{MARK}'.encode(), JSON)
        assert 400 == post("/v1/traces", MARK.encode(), PROTOBUF)
        assert 404 == post(f"/v1/{MARK}", b"{}", JSON)
        assert 415 == post("/v1/logs", b"{}", MARK)


def test_no_private_word_is_in_any_row_or_file(otlp: Otlp, tmp_path: Path) -> None:
    """Rows, reasons of rejects, dead letters, the log and every other file of the data directory are free of it."""
    data_dir = tmp_path / "data"
    with running(data_dir) as server:
        send_everything(otlp, server)
        counted = server.accounting()["otlp"]
        assert balanced(counted)
        assert counted["quarantined"] >= 3
        with server.client() as http:
            assert EMAIL in http.get("/api/active-users").text
    done = subprocess.run(
        [sys.executable, "-c", EVERY_TABLE, str(data_dir)], capture_output=True, text=True, check=True
    )
    assert "api_request" in done.stdout
    written = {"every table": done.stdout.encode(), "log": server.log.read_bytes()}
    written |= {str(path): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    assert [] == [name for name, content in written.items() if MARK.encode() in content or EMAIL.encode() in content]
