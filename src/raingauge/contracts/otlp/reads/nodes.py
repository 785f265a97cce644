"""Spans to a tree, whatever is missing of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["interaction", "llm", "tool", "waiting", "execution", "other"]

_ROOT: Final = "root"
_NO_SPAN: Final = "0" * 16
_KINDS: Final[dict[str, Kind]] = {
    "interaction": "interaction",
    "llm_request": "llm",
    "tool": "tool",
    "blocked_on_user": "waiting",
    "execution": "execution",
}


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One span. `start_ms` counts from the start of the tree; `waiting_ms` is time spent waiting for the user.

    A node of a tool includes the waiting of its call. `subtree_*` are sums over the node and all below it.
    """

    id: str
    parent: str | None
    depth: int
    name: str
    kind: Kind
    tool: str
    model: str
    agent: str
    start_ms: float
    duration_ms: float
    waiting_ms: float
    status: str
    error_class: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    cost_usd: float
    subtree_cost_usd: float
    subtree_tokens: int
    synthetic: bool


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes in pre-order. Spans whose parent never came hang under a synthetic root, `orphans` says how many.

    `spans` is how many there are, `truncated` whether some of them are left out of `nodes`: the latest ones.
    """

    nodes: list[Node]
    started_at: datetime | None
    duration_ms: float
    spans: int
    truncated: bool
    orphans: int
    prompt: str
    session: str
    user_name: str | None


class Span(msgspec.Struct, frozen=True, gc=False):
    """One stored span. `call` tells the model request or tool call; `spans` is how many there are in all."""

    trace: str
    id: str
    parent_id: str
    name: str
    tool: str
    model: str
    agent: str
    started_us: int
    duration_us: int
    status: str
    error_class: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    cost_usd: float
    call: str
    spans: int

    @property
    def kind(self) -> Kind:
        known = _KINDS.get(self.name.rpartition(".")[2])
        if known is not None:
            return known
        return "llm" if self.model and not self.tool else "tool" if self.tool else "other"

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_creation_tokens


class _Place(msgspec.Struct):
    """Where a span hangs, its own figures, and the sums below it."""

    span: Span
    kind: Kind
    cost_usd: float
    children: list[_Place] = []
    below_usd: float = 0.0
    below_tokens: int = 0
    waiting_us: int = 0


def grown(spans: Sequence[Span], costs: Mapping[str, float]) -> Tree:
    """The tree of spans that are in the order of time; `costs` are reported USD by model request.

    Takes time in proportion to the spans, however deep they nest. Parents that are missing, or that go round in a
    circle, make orphans.
    """
    places = {(span.trace, span.id): _Place(span, span.kind, span.cost_usd) for span in spans}
    _report_costs(places.values(), costs)
    roots: list[_Place] = []
    orphans: list[_Place] = []
    for place in places.values():
        above = places.get((place.span.trace, place.span.parent_id))
        if above is not None:
            above.children.append(place)
        else:
            (roots if place.span.parent_id == _NO_SPAN else orphans).append(place)
    reached = list(_pre_order([*roots, *orphans]))
    if len(reached) < len(places):
        orphans += _circles(places.values(), {id(place) for place, _, _ in reached})
    orphans.sort(key=lambda place: place.span.started_us)
    begin_us = min((span.started_us for span in spans), default=0)
    end_us = max((span.started_us + span.duration_us for span in spans), default=0)
    order = list(_pre_order([_adopted(orphans), *roots])) if orphans else reached
    for place, _, _ in reversed(order):
        _sum_up(place)
    nodes = [_node(place, parent, depth, begin_us) for place, parent, depth in order]
    total = spans[0].spans if spans else 0
    return Tree(
        nodes=nodes,
        started_at=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=begin_us) if spans else None,
        duration_ms=(end_us - begin_us) / 1000,
        spans=total,
        truncated=total > len(spans),
        orphans=len(orphans),
        prompt="",
        session="",
        user_name=None,
    )


def _report_costs(places: Iterable[_Place], costs: Mapping[str, float]) -> None:
    """What the sender reported for a request replaces what was estimated for its span, once."""
    left = dict(costs)
    for place in places:
        if place.kind == "llm" and (cost := left.pop(place.span.call, None)) is not None:
            place.cost_usd = cost


def _circles(places: Iterable[_Place], seen: set[int]) -> list[_Place]:
    """The earliest span of each circle, taken out of its parent's children. `seen` are the ids of all other places."""
    found: list[_Place] = []
    above = {id(child): place for place in places for child in place.children}
    for place in places:
        if id(place) not in seen:
            above[id(place)].children.remove(place)
            found.append(place)
            seen.update(id(below) for below, _, _ in _pre_order([place]))
    return found


def _pre_order(roots: Sequence[_Place]) -> Iterator[tuple[_Place, str | None, int]]:
    waiting: list[tuple[_Place, str | None, int]] = [(root, None, 0) for root in reversed(roots)]
    while waiting:
        place, parent, depth = waiting.pop()
        yield place, parent, depth
        if place.children:
            waiting.extend((child, place.span.id, depth + 1) for child in reversed(place.children))


def _adopted(orphans: list[_Place]) -> _Place:
    begin_us = orphans[0].span.started_us
    end_us = max(place.span.started_us + place.span.duration_us for place in orphans)
    span = Span("", _ROOT, _NO_SPAN, _ROOT, "", "", "", begin_us, end_us - begin_us, "", "", 0, 0, 0, 0, 0.0, "", 0)
    return _Place(span, "other", 0.0, orphans)


def _sum_up(place: _Place) -> None:
    place.below_usd, place.below_tokens = place.cost_usd, place.span.tokens
    for child in place.children:
        place.below_usd += child.below_usd
        place.below_tokens += child.below_tokens
    if place.kind == "waiting":
        place.waiting_us = place.span.duration_us
    elif place.kind == "tool":
        place.waiting_us = sum(child.span.duration_us for child in place.children if child.kind == "waiting")


def _node(place: _Place, parent: str | None, depth: int, begin_us: int) -> Node:
    span = place.span
    return Node(
        id=span.id,
        parent=parent,
        depth=depth,
        name=span.name,
        kind=place.kind,
        tool=span.tool,
        model=span.model,
        agent=span.agent,
        start_ms=(span.started_us - begin_us) / 1000,
        duration_ms=span.duration_us / 1000,
        waiting_ms=place.waiting_us / 1000,
        status=span.status,
        error_class=span.error_class,
        input_tokens=span.input_tokens,
        output_tokens=span.output_tokens,
        cache_read_tokens=span.cache_read_tokens,
        cache_creation_tokens=span.cache_creation_tokens,
        cost_usd=place.cost_usd,
        subtree_cost_usd=place.below_usd,
        subtree_tokens=place.below_tokens,
        synthetic=span.id == _ROOT,
    )
