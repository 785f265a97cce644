"""One token schema for all producers: input excludes what came from or went into the prompt cache."""

from __future__ import annotations

from typing import Final, NamedTuple

from raingauge.contracts.otlp.attributes import COUNT_MAX, Attributes, count
from raingauge.contracts.otlp.sources import Source


class Tokens(NamedTuple):
    """Tokens of one model call. The four parts do not overlap."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_creation: int = 0


NO_TOKENS: Final = Tokens()
_AGGREGATES: Final = frozenset({"invoke_agent", "invoke_workflow", "create_agent", "agent_call"})


def tokens_of(source: Source, attributes: Attributes) -> Tokens:
    """What a record says it used, normalised; no tokens when it says nothing.

    The Claude family and opencode report input without cached tokens. The GenAI conventions, Codex and Gemini count
    cached tokens as part of input. Gemini reports thinking beside output and tool results beside input; the others
    report them inside (and Codex calls the total of a call its tool tokens).
    """
    get = attributes.get
    if "input_tokens" in attributes or "output_tokens" in attributes:
        return Tokens(
            count(get("input_tokens")),
            count(get("output_tokens")),
            count(get("cache_read_tokens")),
            count(get("cache_creation_tokens")),
        )
    if "input_token_count" in attributes or "output_token_count" in attributes:
        cached = count(get("cached_token_count")) or count(get("cached_content_token_count"))
        whole_input, output = count(get("input_token_count")), count(get("output_token_count"))
        if source is Source.GEMINI_CLI:
            whole_input += count(get("tool_token_count"))
            output += count(get("thoughts_token_count"))
        return _inclusive(whole_input, output, cached, 0)
    if "gen_ai.usage.input_tokens" in attributes or "gen_ai.usage.output_tokens" in attributes:
        # An agent's span repeats the sum of the model calls below it.
        if get("gen_ai.operation.name") in _AGGREGATES:
            return NO_TOKENS
        return _inclusive(
            count(get("gen_ai.usage.input_tokens")),
            count(get("gen_ai.usage.output_tokens")),
            count(get("gen_ai.usage.cache_read.input_tokens")),
            count(get("gen_ai.usage.cache_creation.input_tokens")),
        )
    return NO_TOKENS


def _inclusive(whole_input: int, output: int, cache_read: int, cache_creation: int) -> Tokens:
    exclusive = max(0, whole_input - cache_read - cache_creation)
    return Tokens(min(exclusive, COUNT_MAX), min(output, COUNT_MAX), cache_read, cache_creation)
