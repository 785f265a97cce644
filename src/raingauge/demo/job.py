"""What the server process tells the sender process, and what a demo's data directory remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

STATE_NAME: Final = "demo.json"

OPERATOR: Final = "demo"
"""Label of the token that signs in and looks after the queue; it may do everything."""


class Job(msgspec.Struct, frozen=True):
    """One line of JSON on the sender's standard input. `link` is where to sign in, for `link_minutes`."""

    url: str
    state_path: str
    link: str
    link_minutes: float
    scale: float


class State(msgspec.Struct):
    """Marks a data directory as a demo's: its token's id, the senders' tokens by label, and how far it came.

    A directory whose filling was begun and not completed holds a part of the story; it is never begun again.
    """

    token_id: str
    tokens: dict[str, str]
    filled: Literal["not yet", "begun", "completely"] = "not yet"


def read(path: Path) -> State:
    return msgspec.json.decode(path.read_bytes(), type=State)


def write(path: Path, state: State) -> None:
    """Replace the file as a whole; only its owner may read the tokens in it."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    new.replace(path)
