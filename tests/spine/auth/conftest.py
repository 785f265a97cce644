"""A control database in a file, for tests of who may come in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raingauge.control.database import Database
from raingauge.settings import Settings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(Settings(), tmp_path)
    yield opened
    opened.close()
