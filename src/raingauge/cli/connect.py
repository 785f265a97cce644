"""`raingauge connect`: settings to paste into a client."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from raingauge.address import base_url
from raingauge.cli.options import DataDir, settings_from
from raingauge.contract import Connection
from raingauge.control import customers, tokens
from raingauge.control.database import Database
from raingauge.errors import NotFound
from raingauge.settings import Settings


def connections() -> dict[str, Connection]:
    """Every client that a contract can tell how to connect, by name."""
    from raingauge.contracts import CONTRACTS  # noqa: PLC0415 - see options.all_knobs

    return {connection.client: connection for contract in CONTRACTS for connection in contract.connections}


def command(
    client: Annotated[str, typer.Argument(help="Which client; without one, all are listed.")] = "",
    endpoint: Annotated[str, typer.Option(help="Address clients use, when it is not this server's own.")] = "",
    token: Annotated[str, typer.Option(help="A token you have; without one, a new one is issued.")] = "",
    customer: Annotated[str, typer.Option(help="Whose token to issue, when there are several customers.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Print the settings or snippet for a client, with the real endpoint and a token."""
    known = connections()
    if not client:
        for name, connection in known.items():
            print(f"{name:14} {connection.title}")
        return
    if client not in known:
        raise NotFound(f"no client {client}: one of {', '.join(known)}")
    settings = settings_from(data_dir)
    chosen = known[client]
    url = endpoint.rstrip("/") or base_url(settings)
    print(chosen.snippet(url, token or _issued(settings, chosen, customer)))


def _issued(settings: Settings, connection: Connection, customer: str) -> str:
    database = Database.open(settings, settings.data_dir)
    try:
        with database.write() as db:
            issued = tokens.issue(
                db,
                customer or _only_customer([one.customer_id for one in customers.listed(db)]),
                label=f"connect {connection.client}",
                scopes=[connection.scope],
                now=datetime.now(UTC),
            )
    finally:
        database.close()
    print(f"issued {issued.record.token_id} for {issued.record.customer_id}, shown only now", file=sys.stderr)
    return issued.text


def _only_customer(ids: list[str]) -> str:
    if not ids:
        raise NotFound("no customer yet: start `raingauge serve` once, or `raingauge token issue --name my-team`")
    if len(ids) > 1:
        raise NotFound(f"which customer? say --customer, one of: {', '.join(ids)}")
    return ids[0]
