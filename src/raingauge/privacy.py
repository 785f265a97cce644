"""The privacy page, made from the columns themselves: what is not listed there is not stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raingauge.contract import Column, Contract, Table
from raingauge.store.schema import identity_columns

SPINE_COLUMNS = (
    ("customer", "whose credential sent it"),
    ("day", "UTC day of the event, for fast reads"),
    ("received_at", "when it arrived"),
    ("message_id", "which request it came in, to count retries once"),
    ("position", "where in that request it stood, for the same reason"),
    ("batch", "which insert wrote it, so that roll-ups miss nothing"),
)


def page(contracts: Sequence[Contract]) -> str:
    """Markdown: every stored column of every contract and why it is kept."""
    return "\n".join(_lines(contracts)) + "\n"


def _lines(contracts: Sequence[Contract]) -> Iterator[str]:
    yield "# What is stored"
    yield ""
    yield "This page is made from the table definitions: a value that no column below is for is not kept anywhere"
    yield "once its message is decoded. Until then the message waits encrypted in the queue, under a key that is"
    yield "destroyed when everything written under it has drained. IP addresses are used to limit rates and are"
    yield "never written. Tokens are stored as SHA-256 only. Where messages are passed on to another server, they"
    yield "wait for that in an outbox, encrypted in the same way, for a bounded time."
    yield ""
    yield "Every table also has these columns:"
    yield ""
    yield from _table(SPINE_COLUMNS)
    for contract in contracts:
        yield ""
        yield f"## {contract.title}"
        for table in contract.tables:
            kept = f"{table.retention_days.default} days after arrival" if table.retention_days else "no limit"
            setting = f" (`{table.retention_days.env}`)" if table.retention_days else ""
            yield ""
            yield f"### `{table.name}`"
            yield ""
            yield f"Kept: {kept}{setting}.{_kept_longer(table)}"
            yield ""
            yield from _table(_pairs(table.columns))
        for rollup in contract.rollups:
            yield ""
            yield f"### `{rollup.table}` (sums per day)"
            yield ""
            yield from _table(_pairs(rollup.columns))
        for numbering in contract.numberings:
            yield ""
            yield f"### `{numbering.table}` (numbers in the sums)"
            yield ""
            yield "Kept without limit, until the customer is erased."
            yield ""
            yield from _table(_pairs(numbering.columns))


def _kept_longer(table: Table) -> str:
    if not table.keep_identity:
        return ""
    names = ", ".join(f"`{column}`" for column in identity_columns(table))
    return f" Without limit, until the customer is erased: {names}, to recognise copies."


def _pairs(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, column.why) for column in columns]


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "| Column | Why |"
    yield "|---|---|"
    for name, why in rows:
        yield f"| `{name}` | {why} |"
