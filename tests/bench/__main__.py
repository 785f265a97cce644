"""`make bench`, or `python -m tests.bench [section …]`: figures of this machine.

A section is a file of this folder with a function `run(report)`. Every figure is measured in this run, next to a
reference that is measured in the same run: on a shared machine the ratios mean more than the figures.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from pathlib import Path

from tests.bench.report import Report


def sections() -> list[str]:
    """All sections by name."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if "\ndef run(report: Report) -> None:" in file.read_text()]


def main() -> None:
    known = sections()
    given = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    given.add_argument("section", nargs="*", help=f"one of {', '.join(known)}; all of them when none is named")
    given.add_argument("--events", type=int, default=1_000_000, help="loops in the filled data directory")
    options = given.parse_args()
    if unknown := set(options.section) - set(known):
        given.error(f"no such section: {', '.join(sorted(unknown))}. There are: {', '.join(known)}")
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start. Figures: median (least–most) of the rounds."
    )
    with tempfile.TemporaryDirectory(prefix="raingauge-bench-") as scratch:
        for section in options.section or known:
            importlib.import_module(f"tests.bench.{section}").run(Report(Path(scratch), options.events))


if __name__ == "__main__":
    main()
