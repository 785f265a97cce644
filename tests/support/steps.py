"""A small contract with one table and one roll-up: who walked how far."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from raingauge.contract import Column, Contract, Decoded, Rollup, Table

if TYPE_CHECKING:
    from tests.conftest import StoredFacts

AT: Final = datetime(2026, 11, 20, 11, tzinfo=UTC)
CUSTOMER: Final = "cust_0123456789abcdef"
STEPS: Final = Table(
    "steps", (Column("at", "DateTime", "when"), Column("user", "String", "who"), Column("metres", "UInt32", "far")),
    time="at", person="user",
)  # fmt: skip
DAILY: Final = Rollup(
    table="steps_daily",
    columns=(Column("user", "String", "who"), Column("metres", "UInt64", "far")),
    order=("user",),
    source="steps",
    select="SELECT customer, day, user, sum(metres) AS metres FROM steps WHERE {where} GROUP BY customer, day, user",
)
CONTRACT: Final = Contract("walks", "Walks", (), (STEPS,), (DAILY,))


def walk(walks: StoredFacts, metres: int, user: str = "ada") -> None:
    walks.insert(Decoded(1, {"steps": [(0, AT, user, metres)]}))
