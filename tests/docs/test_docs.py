"""The docs say what the code does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.docs import generate

from raingauge.cli.options import all_knobs
from raingauge.settings import Knob


def test_generated_pages_are_current() -> None:
    """Nobody reads a page that an older version wrote."""
    assert [] == generate.stale()


@pytest.mark.parametrize("knob", all_knobs(), ids=lambda knob: knob.name)
def test_every_setting_has_a_line_in_the_docs(knob: Knob[Any]) -> None:
    """Nobody has to read the source to find a setting."""
    assert f"`{knob.env}`" in (generate.DOCS / "settings.md").read_text()
