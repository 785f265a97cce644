"""Writes the pages of the docs that are made from code: `python -m tests.docs.generate [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from raingauge import metrics, privacy
from raingauge.contracts import CONTRACTS
from raingauge.settings import CORE_KNOBS

DOCS = Path(__file__).parents[2] / "docs"


def settings_page() -> str:
    """Every setting with its unit, default and sentence."""
    lines = [
        "# Settings",
        "",
        "Each setting is an option of `raingauge serve` and an environment variable; the option wins. Values are",
        "read once at start. A value that cannot work, or a `RAINGAUGE_` variable that is not listed here, stops the",
        "start with a message that names it.",
    ]
    groups = [("Server", CORE_KNOBS)] + [(contract.title, contract.knobs) for contract in CONTRACTS if contract.knobs]
    for title, knobs in groups:
        lines += ["", f"## {title}", "", "| Option | Variable | Default | Unit | Meaning |", "|---|---|---|---|---|"]
        for knob in knobs:
            default = f"`{knob.default}`" if knob.default != "" else "–"
            lines.append(f"| `{knob.option}` | `{knob.env}` | {default} | {knob.unit or '–'} | {knob.help} |")
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics.page,
    "privacy.md": lambda: privacy.page(CONTRACTS),
}


def stale() -> list[str]:
    """Pages on disk that differ from what the code says."""
    return [name for name, page in PAGES.items() if not _same(DOCS / name, page())]


def _same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text() == text


def main() -> None:
    if "--check" in sys.argv[1:]:
        if found := stale():
            sys.exit(f"stale, run `make docs`: {', '.join(found)}")
        return
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
