"""`raingauge token …`: issue, list, rotate and revoke credentials."""

from __future__ import annotations

from typing import Annotated

import typer

from raingauge.address import base_url
from raingauge.cli.control import (
    AsJson,
    control_data,
    duration,
    load_settings,
    now,
    print_json,
    print_table,
    shown,
    text,
)
from raingauge.cli.options import DataDir
from raingauge.contract import Scope
from raingauge.control import customers, tokens
from raingauge.control.customers import Tier
from raingauge.control.tokens import Issued, Token
from raingauge.settings import Settings

app = typer.Typer(name="token", help="Issue, list, rotate and revoke tokens.", no_args_is_help=True)

CustomerOption = Annotated[str | None, typer.Option("--customer", help="Customer id.", callback=text)]
TokenId = Annotated[str, typer.Argument(metavar="TOKEN_ID", help="Id of the token, as `token list` shows it.")]


@app.command("issue")
def issue(
    name: Annotated[str | None, typer.Option(help="Name of a new customer.", callback=text)] = None,
    email: Annotated[str | None, typer.Option(help="Where to reach the customer.", callback=text)] = None,
    tier: Annotated[Tier | None, typer.Option(help="LoopGain tier of the new customer.")] = None,
    customer: CustomerOption = None,
    label: Annotated[str | None, typer.Option(help="What the token is for.", callback=text)] = None,
    scope: Annotated[str, typer.Option(help="Comma-separated: ingest, read, admin.")] = "ingest,read",
    expires: Annotated[str | None, typer.Option(help="How long it is valid, such as 90d; else for ever.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a token for a new customer (--name) or an existing one (--customer), and print it once."""
    if (name is None) == (customer is None):
        raise typer.BadParameter("give either --name for a new customer or --customer for an existing one")
    if customer is not None and (email is not None or tier is not None):
        raise typer.BadParameter("--email and --tier belong to a new customer, not to --customer")
    scopes = _scopes(scope)
    at = now()
    expires_at = None
    if expires is not None:
        length = duration(expires, "--expires")
        if not length:
            raise typer.BadParameter("must be longer than 0", param_hint="--expires")
        expires_at = at + length
    with control_data(data_dir) as database, database.write() as db:
        if name is None:
            owner = customers.find(db, customer or "")
        else:
            owner = customers.create(db, name, contact_email=email or "", tier=tier, now=at)
        issued = tokens.issue(db, owner.customer_id, label=label or "", scopes=scopes, expires_at=expires_at, now=at)
    if as_json:
        print_json(_as_json(issued))
    else:
        _print_issued(issued, owner.tier, load_settings(data_dir))


@app.command("list")
def list_(customer: CustomerOption = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all tokens, or those of one customer. The tokens themselves are not kept and cannot be shown."""
    with control_data(data_dir) as database, database.read() as db:
        found = tokens.listed(db, customer)
    if as_json:
        print_json([_details(token) for token in found])
        return
    print_table(
        ("TOKEN ID", "CUSTOMER ID", "STATE", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "LABEL"),
        [
            (
                token.token_id,
                token.customer_id,
                token.state(now()),
                ",".join(tokens.in_order(token.scopes)),
                shown(token.created_at),
                shown(token.last_used_at),
                shown(token.expires_at),
                token.label,
            )
            for token in found
        ],
    )


@app.command("rotate")
def rotate(
    token_id: TokenId,
    grace: Annotated[str, typer.Option(help="How long the old token stays valid, 0s ends it now.")] = "1h",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put a new token in place of an old one, and print it once."""
    length = duration(grace, "--grace")
    at = now()
    with control_data(data_dir) as database, database.write() as db:
        issued = tokens.rotate(db, token_id, grace=length, now=at)
        tier = customers.find(db, issued.record.customer_id).tier
        old = tokens.find(db, token_id)
    if as_json:
        print_json(_as_json(issued) | {"replaces": old.token_id, "replaced_expires_at": old.expires_at})
    else:
        _print_issued(issued, tier, load_settings(data_dir))
        typer.echo(f"\nThe old token {old.token_id} is valid until {shown(old.expires_at)}.")


@app.command("revoke")
def revoke(token_id: TokenId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """End a token at once; a running server refuses it within a second."""
    with control_data(data_dir) as database, database.write() as db:
        token = tokens.revoke(db, token_id, now=now())
    if as_json:
        print_json(_details(token))
    else:
        typer.echo(f"Revoked: {token.token_id} of {token.customer_id}, {shown(token.revoked_at)}")


def _scopes(value: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(word.strip()) for word in value.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{value!r}: expected a comma-separated list of {', '.join(Scope)}", param_hint="--scope"
        ) from None


def _as_json(issued: Issued) -> dict[str, object]:
    return {
        "customer_id": issued.record.customer_id,
        "token": issued.text,
        "token_id": issued.record.token_id,
        "label": issued.record.label,
        "scopes": tokens.in_order(issued.record.scopes),
    }


def _details(token: Token) -> dict[str, object]:
    return {
        "token_id": token.token_id,
        "customer_id": token.customer_id,
        "label": token.label,
        "scopes": tokens.in_order(token.scopes),
        "state": token.state(now()),
        "created_at": token.created_at,
        "last_used_at": token.last_used_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "replaced_by": token.replaced_by or None,
    }


def _print_issued(issued: Issued, tier: str, settings: Settings) -> None:
    endpoint = base_url(settings)
    typer.echo(f"Customer ID:  {issued.record.customer_id}")
    if tier:
        typer.echo(f"Tier:         {tier}")
    typer.echo(f"Bearer Token: {issued.text}")
    typer.echo("\nThis is the only time the token is shown. Clients send it with every request:\n")
    typer.echo(f"  endpoint  {endpoint}")
    typer.echo(f"  header    Authorization: Bearer {issued.text}")
