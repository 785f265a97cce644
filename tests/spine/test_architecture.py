"""The shape of the source tree, kept by reading its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "raingauge"
CONTRACTS = sorted(path.name for path in (SOURCE / "contracts").iterdir() if (path / "__init__.py").is_file())


def imported(file: Path) -> Iterator[str]:
    """Names of our own modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("raingauge"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("raingauge"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_imports_only_the_contract_types_and_errors(contract: str) -> None:
    """The seam is rows: a contract can be read, tested and replayed without the spine."""
    allowed = ("raingauge.contract.", "raingauge.errors.", f"raingauge.contracts.{contract}.")
    strangers = {
        f"{file.name}: {name}"
        for file in (SOURCE / "contracts" / contract).rglob("*.py")
        for name in imported(file)
        if not f"{name}.".startswith(allowed)
    }
    assert set() == strangers


def test_the_spine_knows_contracts_only_through_the_list() -> None:
    """Adding a contract is adding a folder and one name."""
    spine = [file for file in SOURCE.rglob("*.py") if "contracts" not in file.relative_to(SOURCE).parts]
    strangers = {
        f"{file.relative_to(SOURCE)}: {name}"
        for file in spine
        for name in imported(file)
        if name.startswith("raingauge.contracts.") and name != "raingauge.contracts.CONTRACTS"
    }
    assert set() == strangers


def test_the_edge_does_not_know_the_store() -> None:
    """The receive path reads and writes no facts."""
    assert not [name for file in (SOURCE / "edge").glob("*.py") for name in imported(file) if "store" in name]
