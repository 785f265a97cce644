"""Where clients reach the server of a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from raingauge.settings import HOST, PORT, PUBLIC_URL, Settings

FILE: Final = "server.url"


def base_url(settings: Settings) -> str:
    """The address for links and snippets, without a slash at the end.

    The setting `public_url` if there is one, else what the running server said, else where it would listen.
    """
    if public := settings[PUBLIC_URL].rstrip("/"):
        return public
    try:
        return (settings.data_dir / FILE).read_text()
    except OSError:
        return f"http://{settings[HOST]}:{settings[PORT]}"


def announce(data_dir: Path, url: str) -> None:
    """Let commands know where the server that owns this directory listens."""
    (data_dir / FILE).write_text(url)


def withdraw(data_dir: Path) -> None:
    """The server listens no more."""
    (data_dir / FILE).unlink(missing_ok=True)
