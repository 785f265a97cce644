"""What an operator does, with the real commands on a running and on a stopped server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import Server, balanced, until

from raingauge.contracts import CONTRACTS
from raingauge.queue import Message
from raingauge.queue.sqlite import SqliteQueue
from raingauge.settings import Settings
from raingauge.vault import Vault

LOOP = next(intake.example for c in CONTRACTS for intake in c.intakes if intake.name == "loopgain.aggregate")


def put_in_queue(data_dir: Path, message: Message) -> None:
    """Queue a message in the directory of a stopped server."""
    queue = SqliteQueue.open(data_dir, Vault.open(data_dir, ""), Settings())
    refused: list[BaseException] = []
    queue.append(message, lambda found: refused.append(found) if isinstance(found, BaseException) else None)
    queue.close()
    assert not refused


def test_a_message_of_a_contract_that_is_gone_becomes_a_dead_letter(tmp_path: Path) -> None:
    """It is tried, listed with its reason, shown, queued again, and purged; a good neighbour is stored meanwhile."""
    server = Server(tmp_path / "data").start()
    server.stop()
    put_in_queue(server.data_dir, Message("gone.away", server.customer, b"a secret body"))
    put_in_queue(server.data_dir, Message("loopgain.aggregate", server.customer, LOOP))
    server.start()

    def letters() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(server.run("dlq", "list", "--json").stdout)
        return found

    (letter,) = until(letters, 60)
    assert (letter["intake"], len(letter["failures"])) == ("gone.away", 3)
    assert {failure["reason"] for failure in letter["failures"]} == {"undecodable"}
    message_id = str(letter["message_id"])
    assert "secret" not in server.run("dlq", "show", message_id).stdout
    assert "a secret body" in server.run("dlq", "show", message_id, "--body").stdout
    accounting = server.accounting()
    assert accounting["gone"] == {"received": 1, "quarantined": 1}
    assert accounting["loopgain"] == {"received": 1, "stored": 1}
    assert server.run("dlq", "retry", message_id).stdout == "queued again: 1\n"
    until(letters, 60)
    assert server.run("dlq", "purge", "--all").stdout == "deleted: 1\n"
    assert letters() == []
    server.stop()
    assert server.run("dlq", "list").stdout == "no dead letters\n"
    assert "secret" not in server.log.read_text()


def test_a_deleted_customer_leaves_nothing(server: Server) -> None:
    """Tokens end, rows go, and other customers keep theirs."""
    gone, kept = server.issue("--name", "gone"), server.issue("--name", "kept")
    for account in (gone, kept):
        with server.client(account["token"]) as http:
            assert http.post("/v1/aggregate", content=LOOP).status_code == 202
    done = json.loads(server.run("customer", "delete", gone["customer_id"], "--yes", "--json").stdout)
    assert (done["tokens"], done["rows"]) == (1, 1)
    with server.client(kept["token"]) as http:
        assert len(http.get("/v1/events", params={"since_hours": 100_000}).json()["events"]) == 1
    with server.client(gone["token"]) as http:
        until(lambda: http.get("/v1/events").status_code == 401)


def test_doctor_is_content_with_a_running_and_a_stopped_server(tmp_path: Path) -> None:
    """Every check passes, the round trip through queue and store included."""
    server = Server(tmp_path / "data").start()
    server.environment["RAINGAUGE_PORT"] = server.url.rpartition(":")[2]
    running = server.run("doctor")
    assert "round trip: loopgain.aggregate stored" in running.stdout
    assert "otlp.traces stored, otlp.metrics stored, otlp.logs stored" in running.stdout
    assert "FAIL" not in running.stdout
    server.stop()
    stopped = server.run("doctor")
    assert "not running" in stopped.stdout
    assert "FAIL" not in stopped.stdout


def test_a_second_server_on_the_same_directory_is_refused(server: Server) -> None:
    """The message names the process that has it."""
    second = server.run("serve", "--port", "0", check=False)
    assert second.returncode != 0
    assert "in use by process" in second.stdout + second.stderr


def test_a_bad_setting_stops_the_start_and_is_named(server: Server) -> None:
    """Exit code 2, the key and the value."""
    refused = server.run("serve", "--queue-max-bytes", "-5", check=False)
    assert (refused.returncode, refused.stderr) == (
        2,
        "raingauge: RAINGAUGE_QUEUE_MAX_BYTES=-5: must be greater than 0\n",
    )


@pytest.mark.parametrize("command", [("rollup", "run"), ("retention", "run")])
def test_cron_jobs_run_by_hand(server: Server, command: tuple[str, ...]) -> None:
    """They answer with what they did."""
    assert json.loads(server.run(*command).stdout) is not None


def test_the_accounting_holds(server: Server) -> None:
    """Received = stored + duplicate + rejected + quarantined for every contract."""
    assert [] == [name for name, outcomes in server.accounting().items() if not balanced(outcomes)]


def test_operation_pages_answer(server: Server) -> None:
    """Readiness, our own metrics, the API's document and page, the front page for people and for machines."""
    assert httpx.get(f"{server.url}/-/ready").json() == {"ready": True, "problems": []}
    metrics = httpx.get(f"{server.url}/-/metrics")
    assert "raingauge_queue_messages" in metrics.text
    assert metrics.headers["content-type"].count("charset") == 1
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert {"/v1/aggregate", "/v1/stats", "/api/system"} <= set(document["paths"])
    page = httpx.get(f"{server.url}/docs").text
    assert "/v1/stats" in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert httpx.get(server.url, headers={"Accept": "text/html"}).text.startswith("<!doctype html>")
    assert httpx.get(server.url).json()["status"] == "ok"


def test_a_client_without_a_path_hears_where_to_send(server: Server) -> None:
    """POST to the bare address is no success; every other method still gets the health answer."""
    body = b'{"resourceSpans": []}'
    answer = httpx.post(server.url, content=body, headers={"Content-Type": "application/json"})
    assert (404, "not_found") == (answer.status_code, answer.json()["error"])
    assert "/v1/traces" in answer.json()["detail"]
    others = ("GET", "PUT", "PATCH", "DELETE")
    assert {200} == {httpx.request(method, server.url, content=b"").status_code for method in others}


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/aggregate"), ("POST", "/v1/traces"), ("GET", "/v1/stats")])
def test_a_missing_credential_is_named(server: Server, method: str, path: str) -> None:
    """Every 401 says which kind of credential it wants, whoever answers."""
    answer = httpx.request(method, server.url + path, content=b"{}", headers={"Content-Type": "application/json"})
    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])


def test_system_report_hides_other_customers(server: Server) -> None:
    """A token without the scope admin sees its own clients only."""
    account = server.issue("--name", "reader", "--label", "laptop")
    with server.client(account["token"]) as http:
        report = http.get("/api/system").json()
    assert report["installation"] is None
    assert [client["label"] for client in report["clients"]] == ["laptop"]


def test_privacy_lists_every_stored_column(server: Server) -> None:
    """The page that people read is made from the tables."""
    text = server.run("privacy").stdout
    columns = [column.name for contract in CONTRACTS for table in contract.tables for column in table.columns]
    assert [] == [name for name in columns if f"`{name}`" not in text]
