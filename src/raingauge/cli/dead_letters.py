"""`raingauge dlq`: list, show, retry and purge what could not be decoded."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from raingauge.cli.options import DataDir, settings_from
from raingauge.errors import RaingaugeError
from raingauge.operations import ask

app = typer.Typer(no_args_is_help=True)

Ids = Annotated[list[int] | None, typer.Argument(metavar="[MESSAGE_ID]...", help="Message ids from `dlq list`.")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class NothingNamed(RaingaugeError):
    """Neither ids nor --all were given."""


@app.command("list")
def list_letters(data_dir: DataDir = None, as_json: Json = False) -> None:
    """One line per dead letter, newest first."""
    letters: list[dict[str, Any]] = ask(settings_from(data_dir), "dlq.list")
    if as_json:
        print(json.dumps(letters))
        return
    for letter in letters:
        last = letter["failures"][-1] if letter["failures"] else {"reason": "", "detail": ""}
        print(
            f"{letter['message_id']}  {letter['intake']}  {letter['customer']}  {letter['size_bytes']} bytes  "
            f"{len(letter['failures'])} tries  {last['reason']}: {last['detail']}  expires {letter['expires_at']}"
        )
    if not letters:
        print("no dead letters")


@app.command()
def show(
    message_id: int,
    body: Annotated[bool, typer.Option("--body", help="Also the message itself, as it was sent.")] = False,
    data_dir: DataDir = None,
) -> None:
    """One dead letter with the history of its tries."""
    print(json.dumps(ask(settings_from(data_dir), "dlq.show", message_id=message_id, body=body), indent=2))


@app.command()
def retry(message_ids: Ids = None, every: All = False, data_dir: DataDir = None) -> None:
    """Queue dead letters again with fresh tries."""
    _act("dlq.retry", "queued again", message_ids, every, data_dir)


@app.command()
def purge(message_ids: Ids = None, every: All = False, data_dir: DataDir = None) -> None:
    """Delete dead letters for good."""
    _act("dlq.purge", "deleted", message_ids, every, data_dir)


def _act(operation: str, done: str, message_ids: list[int] | None, every: bool, data_dir: str | None) -> None:
    if bool(message_ids) == every:
        raise NothingNamed("name message ids, or say --all")
    count = ask(settings_from(data_dir), operation, message_ids=None if every else message_ids)
    print(f"{done}: {count}")
