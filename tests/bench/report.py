"""What every section prints with: tables of figures, each a spread over the rounds of this run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self


class Spread(NamedTuple):
    """One figure, measured several times: this machine may be doing other things."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def __str__(self) -> str:
        return f"{figure(self.median)} ({figure(self.least)}–{figure(self.most)})"


def figure(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: Spread, reference: Spread) -> str:
    return f"{figure(value.median / reference.median)}×"


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of the values that so large a part of them does not exceed (nearest rank)."""
    return sorted(values)[max(math.ceil(len(values) * part) - 1, 0)]


class Report:
    """Prints as it goes. `scratch` is a directory that all sections of the run share; `events` is how many are read."""

    def __init__(self, scratch: Path, events: int) -> None:
        self.scratch = scratch
        self.events = events

    def table(self, title: str, note: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A Markdown table under a title, with a sentence about how it was measured."""
        lines = [[str(cell) for cell in row] for row in (head, *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(f"\n## {title}\n\n{note}\n")
        for index, line in enumerate(lines):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
            if not index:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)
        print(flush=True)
