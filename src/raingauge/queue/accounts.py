"""The accounting: how many items ended where, since the data directory was made."""

from __future__ import annotations

import sqlite3

from raingauge.contract import Outcome
from raingauge.queue import Counts, Tally

_ADD = """
INSERT INTO accounting VALUES (?, ?, ?, ?)
ON CONFLICT (contract, outcome, reason) DO UPDATE SET items = items + excluded.items
"""


def add(db: sqlite3.Connection, counts: Counts) -> None:
    """Part of the transaction that is open."""
    db.executemany(_ADD, [(*tally, items) for tally, items in counts.items()])


def read(db: sqlite3.Connection) -> dict[Tally, int]:
    """Every tally that is not zero."""
    rows = db.execute("SELECT contract, outcome, reason, items FROM accounting WHERE items != 0")
    return {Tally(contract, Outcome(outcome), reason): items for contract, outcome, reason, items in rows}


def quarantined(contract: str, reason: str, items: int = 1) -> Counts:
    """A message that ends as a dead letter, or is taken back with `items` -1."""
    return {Tally(contract, Outcome.RECEIVED): items, Tally(contract, Outcome.QUARANTINED, reason): items}


def duplicate(contract: str) -> Counts:
    """A message whose idempotency key had been seen."""
    return {Tally(contract, Outcome.RECEIVED): 1, Tally(contract, Outcome.DUPLICATE): 1}
