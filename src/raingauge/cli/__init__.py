"""The `raingauge` command. Each subcommand calls one function; heavy imports happen inside them."""

from __future__ import annotations

import sys

import typer

from raingauge.cli import connect, customers, dead_letters, demo, members, operate, serve, tokens
from raingauge.errors import RaingaugeError, SettingError

app = typer.Typer(
    name="raingauge",
    help="A self-hosted telemetry receiver for AI agents and developer tools.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.command)
app.command("demo")(demo.command)
app.add_typer(tokens.app, name="token", help="Issue, list, rotate and revoke tokens.")
app.add_typer(customers.app, name="customer", help="List and delete customers.")
app.add_typer(members.app, name="member", help="Say who may sign in.")
app.command("signin-link")(members.signin_link)
app.add_typer(dead_letters.app, name="dlq", help="Messages that could not be decoded.")
app.add_typer(operate.rollup, name="rollup", help="Recompute roll-ups.")
app.add_typer(operate.retention, name="retention", help="Delete what is past its retention.")
app.command("connect")(connect.command)
app.command("doctor")(operate.doctor)
app.command("forget")(operate.forget)
app.command("privacy")(operate.privacy)
app.command("openapi")(operate.openapi)
app.command("version")(operate.version)


def main() -> None:
    """Run the command line. Exit code 2 for a wrong setting, 1 for anything else that failed."""
    try:
        app()
    except SettingError as error:
        print(f"raingauge: {error}", file=sys.stderr)
        sys.exit(2)
    except RaingaugeError as error:
        print(f"raingauge: {error}", file=sys.stderr)
        sys.exit(1)
