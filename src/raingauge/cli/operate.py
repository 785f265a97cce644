"""Commands that look after a data directory: roll-ups, retention, doctor, privacy."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, cast

import typer

from raingauge import __version__
from raingauge.cli.control import AsJson
from raingauge.cli.options import DataDir, settings_from
from raingauge.operations import ask

rollup = typer.Typer(no_args_is_help=True)
retention = typer.Typer(no_args_is_help=True)

Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="First UTC day, such as 2026-11-01.")]


@rollup.callback()
def _rollup() -> None:
    """Daily sums, recomputed from the facts."""


@rollup.command("run")
def run_rollup(since: Since = None, data_dir: DataDir = None) -> None:
    """Recompute today, yesterday and every day that late data changed; with --since, all days from then on."""
    print(json.dumps(ask(settings_from(data_dir), "rollup.run", since=since)))


@retention.callback()
def _retention() -> None:
    """How long facts are kept."""


@retention.command("run")
def run_retention(data_dir: DataDir = None) -> None:
    """Delete what is past its retention now instead of within the hour."""
    print(json.dumps(ask(settings_from(data_dir), "retention.run")))


def doctor(data_dir: DataDir = None) -> None:
    """Check the data directory, the queue, the store, credentials, the clock and a round trip."""
    from raingauge.doctor import examine  # noqa: PLC0415

    findings = examine(settings_from(data_dir))
    for finding in findings:
        print(f"{'ok  ' if finding.good else 'FAIL'} {finding.what}: {finding.detail}")
        if finding.advice:
            print(f"     {finding.advice}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


def forget(
    person: Annotated[str, typer.Argument(metavar="EMAIL|KEY", help="As it was sent, or as reads show the person.")],
    customer: Annotated[str | None, typer.Option("--customer", help="Only at this customer; else at all.")] = None,
    facts: Annotated[bool, typer.Option("--facts", help="Also delete every row about this person.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Forget a person's name at once: what is stored is about nobody in particular then. There is no way back."""
    told = ask(settings_from(data_dir), "people.forget", person=person, customer=customer, facts=facts)
    if as_json:
        print(json.dumps(told))
        return
    rows = ", ".join(f"{count} of {table}" for table, count in told["rows"].items())
    print(f"names: {told['names']}" + (f"\nrows:  {rows or 0}" if facts else ""))


def privacy() -> None:
    """Print what is stored, made from the table definitions."""
    from raingauge.contracts import CONTRACTS  # noqa: PLC0415
    from raingauge.privacy import page  # noqa: PLC0415

    print(page(CONTRACTS), end="")


def openapi() -> None:
    """Print the OpenAPI document as a server of this version answers it on /openapi.json."""
    print(asyncio.run(_served("/openapi.json")))


async def _served(path: str) -> str:
    """What a server on an empty data directory answers; its log does not mix with it."""
    import structlog  # noqa: PLC0415

    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from httpx import ASGITransport, AsyncClient  # noqa: PLC0415

    from raingauge.app import build  # noqa: PLC0415
    from raingauge.settings import DATA_DIR, Settings  # noqa: PLC0415
    from raingauge.system import System  # noqa: PLC0415

    base_url = "http://localhost"
    with (
        TemporaryDirectory() as data_dir,
        ThreadPoolExecutor(1) as executor,
        System.open(Settings({DATA_DIR.name: data_dir})) as system,
    ):
        edge = ASGITransport(cast("Any", build(system, executor, base_url)))
        async with AsyncClient(transport=edge, base_url=base_url) as http:
            return (await http.get(path)).raise_for_status().text


def version() -> None:
    """Print the version."""
    print(__version__)
