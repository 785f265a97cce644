"""What the token and customer commands share: the database, checks of typed text, and output."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from sqlalchemy.exc import DBAPIError

from raingauge import settings
from raingauge.control.database import Database, reason
from raingauge.durations import parse_duration
from raingauge.errors import DataDirectoryError
from raingauge.settings import Settings

TEXT_MAX_CHARS: Final = 200

# Only these: a command on the control data must not fail because a setting of the server is wrong.
_KNOBS: Final = (
    settings.DATA_DIR, settings.DATABASE_URL, settings.HOST, settings.PORT, settings.PUBLIC_URL,
    settings.SIGNIN_LINK_SECONDS,
)  # fmt: skip

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_settings(data_dir: str | None) -> Settings:
    """The settings that these commands obey. Raises SettingError."""
    names = {knob.env for knob in _KNOBS}
    environment = {key: value for key, value in os.environ.items() if key in names}
    return settings.load(_KNOBS, {settings.DATA_DIR.name: data_dir}, environment)


@contextmanager
def control_data(data_dir: str | None) -> Iterator[Database]:
    """The control database, created if missing.

    Raises SettingError and DataDirectoryError; the latter also for what the database says while it is used.
    """
    loaded = load_settings(data_dir)
    database = Database.open(loaded, loaded.data_dir)
    try:
        yield database
    except DBAPIError as error:
        raise DataDirectoryError(f"control database: {reason(error)}") from None
    finally:
        database.close()


def text(value: str | None) -> str | None:
    """Callback of options that take free text: refuses a forgotten value, which would swallow the next option."""
    if value is None:
        return None
    value = value.strip()
    if not value:
        raise typer.BadParameter("must not be empty")
    if value.startswith("-"):
        raise typer.BadParameter(f"{value!r} looks like an option; is the value missing?")
    if len(value) > TEXT_MAX_CHARS:
        raise typer.BadParameter(f"at most {TEXT_MAX_CHARS} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise typer.BadParameter("must not contain control characters")
    return value


def duration(value: str, option: str) -> timedelta:
    """The parsed value of an option. Raises BadParameter naming it."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def now() -> datetime:
    return datetime.now(UTC)


def print_json(value: object) -> None:
    """ASCII only, so that it survives any locale: a token that could not be printed would be lost."""
    typer.echo(json.dumps(value, default=datetime.isoformat))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns two spaces apart, the same on a terminal and in a pipe."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def shown(moment: datetime | None) -> str:
    """A time for a table: UTC to the second, or a dash."""
    return "-" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
