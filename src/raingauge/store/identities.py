"""The identities of a table's rows, remembered for longer than the rows: `Table.keep_identity`.

    facts       ██████████ batch 7 │ ██████ batch 8 │ ████ batch 9
    identities  ██████████ batch 7 │ ██████ batch 8 │ ◀── catch_up copies these from the facts

Facts are written first and their identities copied from them, so no identity is known whose row was never stored. What
a crash or an error left out is copied before anything is looked up again, and a table that held rows before it kept
identities is caught up in the same way. Only the last copied insert can be incomplete, so a new process begins with
that one; what is copied twice is merged into one row, and does no harm until then.
"""

from __future__ import annotations

from raingauge.contract import Table
from raingauge.store import schema
from raingauge.store.client import Session


class Identities:
    """The remembered identities of one table. Used by the writer alone, under its lock."""

    def __init__(self, session: Session, table: Table, last_insert: int) -> None:
        """Copy what the facts, which end with insert `last_insert`, have more."""
        self._session = session
        self._facts = schema.name(table.name)
        self._columns = schema.names((*schema.identity_columns(table), "batch"))
        self.name = schema.name(schema.identities_of(table))
        ((newest,),) = session.rows(f"SELECT max(batch) FROM {self.name}")
        self._copied = max(newest - 1, 0)
        self._stored = max(last_insert, newest)
        self.catch_up()

    def storing(self, insert: int) -> None:
        """Rows of this insert may be stored from now on."""
        self._stored = insert

    def catch_up(self) -> None:
        """Copy the identities of all stored rows that have not been copied."""
        if self._copied == self._stored:
            return
        # By insert, so that a long copy that is cut short has a beginning and no holes.
        self._session.command(
            f"INSERT INTO {self.name} ({self._columns}) SELECT {self._columns} FROM {self._facts}"
            " WHERE batch > {copied:UInt64} ORDER BY batch",
            {"copied": self._copied},
        )
        self._copied = self._stored

    def forget(self, customer: str) -> None:
        """Erase a customer's identities."""
        self._session.delete(self.name, "customer = {customer:String}", {"customer": customer})
