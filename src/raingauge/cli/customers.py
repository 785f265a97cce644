"""`raingauge customer …`: list, delete and re-tier customers."""

from __future__ import annotations

from typing import Annotated

import typer

from raingauge.cli.control import AsJson, control_data, print_json, print_table, shown
from raingauge.cli.options import DataDir, settings_from
from raingauge.control import customers
from raingauge.control.customers import Customer, Tier
from raingauge.operations import ask
from raingauge.owner import LOCK_NAME

app = typer.Typer(name="customer", help="List, delete and re-tier customers.", no_args_is_help=True)

CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="Id of the customer.")]


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all customers."""
    with control_data(data_dir) as database, database.read() as db:
        found = customers.listed(db)
    if as_json:
        print_json([_details(customer) for customer in found])
        return
    print_table(
        ("CUSTOMER ID", "TIER", "CREATED", "LAST SEEN", "EMAIL", "NAME"),
        [
            (
                customer.customer_id,
                customer.tier or "-",
                shown(customer.created_at),
                shown(customer.last_seen_at),
                customer.contact_email or "-",
                customer.name,
            )
            for customer in found
        ],
    )


@app.command("delete")
def delete(
    customer_id: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Delete a customer: its tokens, the names of its people and all its facts. There is no way back."""
    with control_data(data_dir) as database:
        with database.read() as db:
            customer = customers.find(db, customer_id)
        if not yes:
            typer.confirm(f"Delete {customer.customer_id} ({customer.name})?", abort=True, err=True)
        with database.write() as db:
            deleted = customers.delete(db, customer_id)
    settings = settings_from(data_dir)
    # Where no server has ever owned the directory there are no facts to delete.
    owned = (settings.data_dir / LOCK_NAME).exists()
    rows = sum(ask(settings, "customer.erase", customer=customer_id).values()) if owned else 0
    if as_json:
        print_json({"customer_id": customer_id, "deleted": True, "tokens": deleted, "rows": rows})
    else:
        typer.echo(f"Deleted: {customer_id}, {deleted} of its tokens and {rows} rows of its facts")


@app.command("set-tier")
def set_tier(customer_id: CustomerId, tier: Tier, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Change the LoopGain tier of a customer."""
    with control_data(data_dir) as database, database.write() as db:
        customer = customers.set_tier(db, customer_id, tier)
    if as_json:
        print_json(_details(customer))
    else:
        typer.echo(f"Tier:         {customer.tier}")


def _details(customer: Customer) -> dict[str, object]:
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "contact_email": customer.contact_email,
        "tier": customer.tier or None,
        "created_at": customer.created_at,
        "last_seen_at": customer.last_seen_at,
    }
