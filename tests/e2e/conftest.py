"""One running server for all tests of this folder that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.server import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings; tests keep apart by issuing customers of their own."""
    with running(Path(tmp_path_factory.mktemp("e2e")) / "data") as started:
        yield started
