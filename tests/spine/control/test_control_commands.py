"""`raingauge token …` and `raingauge customer …`, as somebody at a terminal meets them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from raingauge.auth.directory import Directory
from raingauge.cli import customers as customer_commands
from raingauge.cli import tokens as token_commands
from raingauge.control.database import Database
from raingauge.errors import DataDirectoryError, NotFound
from raingauge.settings import DATABASE_URL, Settings

ISSUED = re.compile(r"Customer ID:  (cust_[0-9a-f]{16})\n(?:Tier:         (\w+)\n)?Bearer Token: (rgk_[\w-]{32})\n")


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Command = Callable[..., Run]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"RAINGAUGE_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def process(environment: dict[str, str]) -> Command:
    """Runs the real program in a process of its own."""

    def run(*arguments: str, **more: str) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "raingauge", *arguments],
            env=_clean_environment() | environment | more,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def command(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the same commands in this process, which is quicker."""
    for key in set(os.environ) - set(_clean_environment()):
        monkeypatch.delenv(key)
    app = typer.Typer()
    app.add_typer(token_commands.app)
    app.add_typer(customer_commands.app)

    def run(*arguments: str, answer: str = "") -> Run:
        done = CliRunner().invoke(app, arguments, env=environment, input=answer)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Run(done.exit_code, done.stdout, done.stderr)

    return run


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("RAINGAUGE_")}


# ---- the real program --------------------------------------------------------------------------------------


def test_the_program_changes_what_a_running_server_honours(
    process: Command, settings: Settings, tmp_path: Path
) -> None:
    """Issue, rotate, revoke and delete from another process count in a server that never restarts."""
    url = {DATABASE_URL.env: settings[DATABASE_URL]}
    first = process("token", "issue", "--name", "Ada", "--json", **url).json
    database = Database.open(settings, tmp_path / "data")
    directory = Directory(database, refresh_seconds=0.02)

    def wait_for(token: str, honoured: bool) -> None:
        while (directory.find(token) is not None) is not honoured:
            time.sleep(0.005)

    wait_for(first["token"], honoured=True)
    second = process("token", "rotate", first["token_id"], "--grace", "1h", "--json", **url).json
    wait_for(second["token"], honoured=True)
    wait_for(first["token"], honoured=True)
    assert process("token", "revoke", first["token_id"], **url).code == 0
    wait_for(first["token"], honoured=False)
    assert process("customer", "delete", first["customer_id"], "--yes", **url).code == 0
    wait_for(second["token"], honoured=False)
    directory.close()
    database.close()


def test_issuing_prints_the_token_once_with_labels(process: Command, tmp_path: Path) -> None:
    """The labelled lines can be cut out by a script; the token works and is nowhere on disk."""
    run = process("token", "issue", "--name", "Ada Lovelace", "--tier", "team", "--data-dir", str(tmp_path / "own"))
    found = ISSUED.match(run.out)
    assert found is not None, run
    assert (0, "", "team") == (run.code, run.err, found[2])
    assert f"Authorization: Bearer {found[3]}" in run.out
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or found[3].encode() not in file.read_bytes()


def test_an_unknown_id_fails_with_its_name(process: Command) -> None:
    """Exit code 1 and one line on stderr: nothing that a script could take for success."""
    run = process("token", "rotate", "tok_000000000000", "--json")
    assert (run.code, run.out) == (1, "")
    assert "no token tok_000000000000" in run.err
    assert run.err.count("\n") == 1


# ---- issue -------------------------------------------------------------------------------------------------


def test_json_has_exactly_the_promised_members(command: Command) -> None:
    """Programs rely on these five names."""
    issued = command("token", "issue", "--name", "Ada", "--label", "laptop", "--json").json
    assert set(issued) == {"customer_id", "token", "token_id", "label", "scopes"}
    assert (issued["label"], issued["scopes"]) == ("laptop", ["ingest", "read"])


def test_no_tier_line_without_a_tier(command: Command) -> None:
    """The line is there only when a tier was given."""
    run = command("token", "issue", "--name", "Ada")
    found = ISSUED.match(run.out)
    assert found is not None
    assert found[2] is None


def test_a_second_token_for_an_existing_customer(command: Command) -> None:
    """`--customer` adds a token and no customer."""
    first = command("token", "issue", "--name", "Ada", "--email", "ada@example.com", "--json").json
    second = command("token", "issue", "--customer", first["customer_id"], "--scope", "read, ingest", "--json").json
    assert second["customer_id"] == first["customer_id"]
    listed = command("token", "list", "--customer", first["customer_id"], "--json").json
    assert [token["token_id"] for token in listed] == [first["token_id"], second["token_id"]]
    (customer,) = command("customer", "list", "--json").json
    assert (customer["name"], customer["contact_email"], customer["tier"]) == ("Ada", "ada@example.com", None)


def test_an_end_can_be_given(command: Command) -> None:
    """`--expires 90d` ends the token 90 days after it was made."""
    command("token", "issue", "--name", "Ada", "--expires", "90d")
    (token,) = command("token", "list", "--json").json
    lasts = datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["created_at"])
    assert lasts == timedelta(days=90)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--name"),
        (("--name", "--json"), "looks like an option"),
        (("--name", "-x"), "looks like an option"),
        (("--name=--json",), "looks like an option"),
        (("--name", "A", "--label", "--json"), "looks like an option"),
        (("--name", "A", "--email", "--tier"), "looks like an option"),
        (("--name",), "requires an argument"),
        (("--name", "  "), "empty"),
        (("--name", "a\x1b[2Jb"), "control characters"),
        (("--name", "a\udcffb"), "control characters"),
        (("--name", "a" * 201), "200 characters"),
        (("--name", "A", "--tier", "pro"), "'individual', 'team', 'enterprise'"),
        (("--name", "A", "--tier"), "requires an argument"),
        (("--name", "A", "--scope", "write"), "ingest, read, admin"),
        (("--name", "A", "--scope", ""), "ingest, read, admin"),
        (("--name", "A", "--expires", "soon"), "not a duration"),
        (("--name", "A", "--expires", "0d"), "longer than 0"),
        (("--name", "A", "--customer", "cust_0000000000000000"), "either --name"),
        (("--customer", "cust_0000000000000000", "--tier", "team"), "belong to a new customer"),
    ],
    ids=str,
)
def test_a_mistyped_issue_changes_nothing(command: Command, arguments: tuple[str, ...], complaint: str) -> None:
    """Exit code 2, a reason on stderr, and neither a customer nor a token."""
    run = command("token", "issue", *arguments)
    assert (run.code, run.out) == (2, "")
    assert complaint in run.err
    assert command("customer", "list", "--json").json == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "issue", "--customer", "cust_0000000000000000"),
        ("token", "list", "--customer", "cust_0000000000000000"),
        ("token", "revoke", "tok_000000000000"),
        ("customer", "delete", "cust_0000000000000000", "--yes"),
        ("customer", "set-tier", "cust_0000000000000000", "team"),
    ],
    ids=" ".join,
)
def test_no_command_takes_an_unknown_id_for_success(command: Command, arguments: tuple[str, ...]) -> None:
    """Each command that is given an id says when nothing has it."""
    with pytest.raises(NotFound, match=r"no (customer cust_0000000000000000|token tok_000000000000)"):
        command(*arguments)


# ---- the others --------------------------------------------------------------------------------------------


def test_rotation_prints_the_new_token_and_the_old_ones_end(command: Command) -> None:
    """Without `--grace` the old token stays valid for an hour, and both say what became of them."""
    old = command("token", "issue", "--name", "Ada", "--label", "laptop", "--json").json
    new = command("token", "rotate", old["token_id"], "--json").json
    assert set(new) == {"customer_id", "token", "token_id", "label", "scopes", "replaces", "replaced_expires_at"}
    before, after = command("token", "list", "--json").json
    assert (before["replaced_by"], before["state"], after["state"]) == (new["token_id"], "valid", "valid")
    assert before["expires_at"] == new["replaced_expires_at"]
    grace = datetime.fromisoformat(before["expires_at"]) - datetime.fromisoformat(after["created_at"])
    assert grace == timedelta(hours=1)
    assert ISSUED.match(command("token", "rotate", new["token_id"], "--grace", "0s").out)
    assert [token["state"] for token in command("token", "list", "--json").json] == ["valid", "expired", "valid"]


def test_revocation_shows_in_the_list(command: Command) -> None:
    """A revoked token stays in the list as revoked."""
    issued = command("token", "issue", "--name", "Ada", "--json").json
    assert command("token", "revoke", issued["token_id"], "--json").json["state"] == "revoked"
    assert "Revoked" in command("token", "revoke", issued["token_id"]).out
    assert " revoked " in command("token", "list").out


def test_lists_are_tables_with_a_header(command: Command) -> None:
    """One line per token or customer, columns in line, no token in sight."""
    issued = command("token", "issue", "--name", "Zoë", "--label", "CI", "--tier", "individual", "--json").json
    header, row = command("token", "list").out.splitlines()
    assert row.startswith(issued["token_id"])
    assert row.index("CI") == header.index("LABEL")
    assert issued["token"] not in row
    header, row = command("customer", "list").out.splitlines()
    assert row.index("Zoë") == header.index("NAME")
    assert row.index("individual") == header.index("TIER")


def test_deleting_asks_first(command: Command) -> None:
    """Without `--yes` a person has to agree; anything else leaves the customer alone."""
    issued = command("token", "issue", "--name", "Ada", "--json").json
    assert command("customer", "delete", issued["customer_id"], answer="n\n").code == 1
    assert command("customer", "delete", issued["customer_id"]).code == 1
    assert len(command("customer", "list", "--json").json) == 1
    deleted = command("customer", "delete", issued["customer_id"], "--json", answer="y\n")
    assert json.loads(deleted.out.splitlines()[-1]) == {
        "customer_id": issued["customer_id"],
        "deleted": True,
        "tokens": 1,
        "rows": 0,
    }
    assert command("customer", "list", "--json").json == command("token", "list", "--json").json == []


def test_the_tier_can_be_set(command: Command) -> None:
    """`customer set-tier` changes it, and refuses tiers that do not exist."""
    issued = command("token", "issue", "--name", "Ada", "--json").json
    assert command("customer", "set-tier", issued["customer_id"], "team", "--json").json["tier"] == "team"
    assert command("customer", "set-tier", issued["customer_id"], "gold").code == 2
    assert command("customer", "list", "--json").json[0]["tier"] == "team"


def test_other_settings_of_the_server_do_not_matter(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token can be revoked although the server would not start with its present settings."""
    monkeypatch.setenv("RAINGAUGE_QUEUE_TRIES", "-1")
    assert command("token", "list", "--json").json == []


def test_a_failing_database_is_reported(command: Command, tmp_path: Path) -> None:
    """What the database refuses while it is used becomes one clear error."""
    database = Database.open(Settings(), tmp_path / "data")
    with database.write() as db:
        db.exec_driver_sql("ALTER TABLE tokens RENAME TO elsewhere")
    database.close()
    with pytest.raises(DataDirectoryError, match="tokens"):
        command("token", "list")
