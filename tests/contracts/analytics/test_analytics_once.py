"""Every event counts once, however often and in whatever company it arrives."""

from __future__ import annotations

from typing import Any


def test_deliveries_are_counted_once(product: Any, usage: Any) -> None:
    """16 received events are 14 new ones, a duplicate and a quarantined one; again, 15 duplicates."""
    assert (14, 1, 0) == product.deliver(usage.worked())
    assert (0, 15, 0) == product.deliver(usage.worked())


def test_duplicates_are_found_after_months_and_in_any_order(product: Any, usage: Any) -> None:
    """A later event with a known id is a duplicate, a different one a conflict; the first stays."""
    first = usage.event(1, "2026-08-20T12:00:00.000Z", usage.ann, usage.chat("loop_start", outcome="success"))
    other = usage.event(1, "2026-11-20T12:00:00.000Z", usage.bob, usage.chat("loop_start", outcome="failed"))
    assert (1, 1, 1) == product.deliver([first, first, other])
    product.roll_up()
    assert (0, 1, 1) == product.deliver([other, first])
    assert [("success", 1)] == [(row["outcome"], row["events"]) for row in product.ask("funnel", until="2027-01-01")]
