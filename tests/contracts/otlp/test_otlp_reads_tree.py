"""Trees of spans that are incomplete, deep or wrong."""

from __future__ import annotations

from raingauge.contracts.otlp.reads.nodes import Span, Tree, grown


def span(number: int, parent: int, start: int = 0, spans: int = 0) -> Span:
    """A tool's span that starts after `start` microseconds and takes one; parent 0 is none."""
    return Span(
        "t", f"{number:016x}", f"{parent:016x}", "claude_code.tool", "Bash", "", "", start, 1, "", "", 1, 0, 0, 0, 0.5, "0", spans
    )  # fmt: skip


def shape(tree: Tree) -> list[tuple[str, int]]:
    return [(node.id.lstrip("0"), node.depth) for node in tree.nodes]


def test_spans_without_their_parent_hang_under_a_synthetic_root() -> None:
    """Both orphans and what is below them are shown, and their cost is summed up."""
    tree = grown([span(1, 9), span(2, 1), span(3, 8), span(4, 0)], {})
    assert [("root", 0), ("1", 1), ("2", 2), ("3", 1), ("4", 0)] == shape(tree)
    assert (2, True, 1.5, 3) == (
        tree.orphans, tree.nodes[0].synthetic, tree.nodes[0].subtree_cost_usd, tree.nodes[0].subtree_tokens,
    )  # fmt: skip


def test_parents_in_a_circle_are_shown_once() -> None:
    """Spans that name each other as parents, or themselves, end nowhere."""
    assert [("root", 0), ("1", 1), ("2", 2), ("3", 1)] == shape(grown([span(1, 2), span(2, 1), span(3, 3)], {}))


def test_depth_has_no_limit() -> None:
    """A chain of 20,000 spans is a tree like any other."""
    tree = grown([span(number, number - 1) for number in range(1, 20_001)], {})
    assert (20_000, 19_999, 10_000.0) == (len(tree.nodes), tree.nodes[-1].depth, tree.nodes[0].subtree_cost_usd)


def test_a_cut_tree_says_so() -> None:
    """The answer tells how many spans there are when not all are shown."""
    tree = grown([span(1, 0, spans=7)], {})
    assert (7, True) == (tree.spans, tree.truncated)


def test_nothing_found_is_an_empty_tree() -> None:
    """An unknown id has no nodes and no start."""
    tree = grown([], {})
    assert ([], None, 0, False) == (tree.nodes, tree.started_at, tree.spans, tree.truncated)
