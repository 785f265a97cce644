"""The recorded bodies of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def protobuf() -> Callable[[str], bytes]:
    return lambda name: bytes.fromhex((SAMPLES / f"{name}.hex").read_text())


@pytest.fixture(scope="session")
def json_body() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / f"{name}.json").read_bytes()
