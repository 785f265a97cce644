"""`raingauge signin-link` and `raingauge member …`: who may sign in."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import Connection

from raingauge.address import base_url
from raingauge.cli.control import AsJson, control_data, load_settings, now, print_json, print_table, shown
from raingauge.cli.options import DataDir
from raingauge.control import customers, links, members
from raingauge.control.members import Member, Role
from raingauge.control.sessions import Owner
from raingauge.errors import Conflict, NotFound
from raingauge.settings import SIGNIN_LINK_SECONDS

app = typer.Typer(name="member", help="Add, list and remove members.", no_args_is_help=True)


def email(value: str) -> str:
    """Callback of e-mail addresses."""
    try:
        return members.normalised(value)
    except ValueError:
        raise typer.BadParameter("expected an e-mail address") from None


CustomerOption = Annotated[str, typer.Option("--customer", help="Customer id, when there are several customers.")]
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", callback=email)]


def signin_link(
    address: Annotated[str, typer.Option("--email", help="Who signs in with it.", callback=email)],
    customer: CustomerOption = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print a link that signs a member in once. The first member of a customer is made its admin by this."""
    settings = load_settings(data_dir)
    lifetime = timedelta(seconds=settings[SIGNIN_LINK_SECONDS])
    at = now()
    with control_data(data_dir) as database, database.write() as db:
        member = _member_or_first(db, address, customer)
        code = links.issue(db, Owner(email=member.email), lifetime=lifetime, now=at)
    url = links.address(base_url(settings), code)
    if as_json:
        details = {"customer_id": member.customer_id, "email": member.email, "role": str(member.role)}
        print_json({"url": url, "expires_at": at + lifetime, **details})
    else:
        typer.echo(url)
        typer.echo(f"Works once, until {shown(at + lifetime)}, for {member.email} ({member.role}).", err=True)


@app.command("add")
def add(
    address: EmailArgument,
    role: Annotated[Role, typer.Option(help="An admin also manages tokens and members.")] = Role.MEMBER,
    customer: CustomerOption = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let somebody sign in. An address belongs to one customer."""
    with control_data(data_dir) as database, database.write() as db:
        member = members.add(db, _customer(db, customer), address, role, now=now())
    _print(member, as_json=as_json)


@app.command("list")
def list_(customer: CustomerOption = "", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all members, or those of one customer."""
    with control_data(data_dir) as database, database.read() as db:
        if customer:
            customers.find(db, customer)
        found = members.listed(db, customer or None)
    if as_json:
        print_json([_details(member) for member in found])
        return
    print_table(
        ("EMAIL", "ROLE", "CUSTOMER ID", "CREATED"),
        [(member.email, member.role, member.customer_id, shown(member.created_at)) for member in found],
    )


@app.command("set-role")
def set_role(address: EmailArgument, role: Role, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Make a member an admin, or an admin a member. A running server follows within a second."""
    with control_data(data_dir) as database, database.write() as db:
        member = members.set_role(db, members.find(db, address).customer_id, address, role)
    _print(member, as_json=as_json)


@app.command("remove")
def remove(address: EmailArgument, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Take a member away; its sessions end within a second."""
    with control_data(data_dir) as database, database.write() as db:
        member = members.find(db, address)
        members.remove(db, member.customer_id, address)
    if as_json:
        print_json({"email": member.email, "removed": True})
    else:
        typer.echo(f"Removed: {member.email} from {member.customer_id}")


def _member_or_first(db: Connection, address: str, customer: str) -> Member:
    """The member with this address; for a customer that has no members yet, a new admin.

    Raises NotFound for somebody who would have to be added first, Conflict for a member of another customer.
    """
    try:
        member = members.find(db, address)
    except NotFound:
        customer_id = _customer(db, customer)
        if members.listed(db, customer_id):
            raise NotFound(f"{address} is not a member: `raingauge member add {address}` first") from None
        return members.add(db, customer_id, address, Role.ADMIN, now=now())
    if customer and member.customer_id != customer:
        raise Conflict(f"{address} is a member of {member.customer_id}")
    return member


def _customer(db: Connection, chosen: str) -> str:
    """The customer that is meant. Raises NotFound when it is unknown or not clear."""
    if chosen:
        return customers.find(db, chosen).customer_id
    ids = [customer.customer_id for customer in customers.listed(db)]
    if not ids:
        raise NotFound("no customer yet: start `raingauge serve` once, or `raingauge token issue --name my-team`")
    if len(ids) > 1:
        raise NotFound(f"which customer? say --customer, one of: {', '.join(ids)}")
    return ids[0]


def _details(member: Member) -> dict[str, object]:
    return {
        "email": member.email,
        "role": str(member.role),
        "customer_id": member.customer_id,
        "created_at": member.created_at,
    }


def _print(member: Member, *, as_json: bool) -> None:
    if as_json:
        print_json(_details(member))
    else:
        typer.echo(f"Member: {member.email}, {member.role} of {member.customer_id}")
