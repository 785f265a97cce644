"""Snippets of `raingauge connect` as the dashboard shows them: one part for each shell or file, notes apart from what is pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from raingauge.contract import Connection


class Part(msgspec.Struct, frozen=True):
    """`text` is to be pasted, `notes` say where and why. `name` is a shell or the title of what is connected."""

    name: str
    notes: str
    text: str


_EXPORT: Final = re.compile(r"export (\w+)=(.*)", re.DOTALL)


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


_SHELLS: Final[Mapping[str, Callable[[str, str], str] | None]] = {
    "bash, zsh": None,
    "fish": _fish,
    "PowerShell": _powershell,
}
"""How each shell sets a variable; None for the one in which connections write. `#` begins a comment in all of them."""


def parts(family: Sequence[Connection], url: str, token: str) -> list[Part]:
    """What to paste, for each connection of a family and for each shell where it is shell text."""
    return [part for connection in family for part in _parts(connection, connection.snippet(url, token).strip())]


def _parts(connection: Connection, text: str) -> Iterator[Part]:
    if connection.form == "shell":
        for shell, assigned in _SHELLS.items():
            yield Part(shell, "", text if assigned is None else _rewritten(text, assigned))
    elif connection.form == "json":
        # JSON has no comments: what is said around it must not be pasted with it.
        notes, _, rest = text.partition("\n{")
        yield Part(connection.title, _uncommented(notes), "{" + rest.partition("\n}")[0] + "\n}")
    else:
        yield Part(connection.title, "", text)


def _rewritten(text: str, assigned: Callable[[str, str], str]) -> str:
    """Lines `export NAME=value` as another shell writes them; all others as they are."""
    lines = []
    for line in text.splitlines():
        found = _EXPORT.fullmatch(line)
        lines.append(assigned(found[1], "".join(shlex.split(found[2]))) if found else line)
    return "\n".join(lines)


def _uncommented(text: str) -> str:
    """Comment lines as text: sentences flow, indented lines stay lines of their own."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in text.splitlines()]
    flowing = ("\n" if line[:1] == " " or before[:1] == " " else " " for before, line in pairwise(lines))
    return lines[0] + "".join(gap + line.strip() for gap, line in zip(flowing, lines[1:], strict=True))
