"""Sums by hour, by prompt and by trace: one set per day, recomputed from the facts and replaced as a whole.

Every column can be merged with the same column of facts that came later: sums of whole numbers, least and greatest
values, sets. Money is in units of 10^-9 USD, so that no order of adding changes the last digit.
"""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Final

from raingauge.contract import Column, Rollup, Table
from raingauge.contracts.otlp.knobs import RETENTION_DAYS
from raingauge.contracts.otlp.tables import EVENTS, POINTS, SPANS, TOOL_DECISIONS

_NAME: Final = "LowCardinality(String)"
_SUM_CODEC: Final = "ZSTD(1)"
_ID_PAIRS: Final = "Array(Tuple(id String, parent String, agent String))"

WHERE: Final = "{where}"
"""What the spine puts its condition in the place of."""

DIMENSIONS: Final = ("source", "user", "repo", "team", "model", "effort", "query_source", "session")
"""What usage can be grouped and filtered by, besides its hour."""

TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
MEASURES: Final = (
    "cost_nano", "estimated_nano", *TOKENS, "requests", "errors", "prompts", "tool_calls", "session_starts", "active_ms",
)  # fmt: skip
"""What usage is made of; all are sums."""

_WHY: Final = {
    "cost_nano": "what it cost, in 10^-9 USD",
    "estimated_nano": "the part of the cost that comes from list prices",
    "requests": "finished model requests",
    "errors": "failed model requests and tool calls",
    "prompts": "prompts that a person or program gave",
    "tool_calls": "tool calls that ran",
    "session_starts": "sessions that began",
    "active_ms": "time the person or the agent was at work",
}
_HOUR: Final = Column("hour", "DateTime('UTC')", "hour in which it happened", "Delta(4), ZSTD(1)")
_DIMENSION_COLUMNS: Final = tuple(Column(name, _NAME, "as in the facts", _SUM_CODEC) for name in DIMENSIONS)


def _measure(name: str) -> Column:
    return Column(name, "Int128" if name.endswith("_nano") else "Int64", _WHY.get(name, "as in the facts"), _SUM_CODEC)


_PARTS: Final = {
    "where": "{where}",
    "dimensions": ", ".join(DIMENSIONS),
    "nano": "toInt128(round(f.cost_usd * 1e9))",
    # One absurd figure must not make the sum of all others undefined.
    "point_nano": "toInt128(round(least(greatest(f.value * f.unit_cost_usd, -1e9), 1e9) * 1e9))",
    "units": "toInt64(round(least(greatest(f.value, -1e15), 1e15)))",
    "tokens": ", ".join(f"sum(toInt64(f.{name})) AS {name}" for name in TOKENS),
    "spends": "(f.cost_source != 'none' OR f.input_tokens + f.output_tokens + f.cache_read_tokens + f.cache_creation_tokens > 0)",
    "event_failed": "(endsWith(f.name, 'api_error') OR f.name IN ('tool_result', 'tool_call') AND f.status = 'error')",
    "event_tool": "(f.name IN ('tool_result', 'tool_call'))",
    "span_failed": "(f.status NOT IN ('', 'ok') AND (f.model != '' OR endsWith(f.name, '.execution')))",
    "span_tool": "(f.tool != '' AND NOT endsWith(f.name, '.execution') AND NOT endsWith(f.name, '.blocked_on_user'))",
    # Logs and spans of any other service are facts, but no use of an agent.
    "of_agents": "f.source != 'other'",
    "active": "endsWith(f.metric, '.active_time.total')",
    "started": "(endsWith(f.metric, '.session.count') AND f.type != 'agents_view')",
    "adds": "f.kind IN ('sum', 'histogram', 'exponential_histogram') AND (f.measure != '' OR $active OR $started)",
    "zero_trace": "toFixedString('', 16)",
    "zero_span": "toFixedString('', 8)",
}


def _filled(text: str) -> str:
    while "$" in text:
        text = Template(text).substitute(_PARTS)
    return text


@dataclass(frozen=True, slots=True)
class Usage:
    """What one signal tells of usage, and what rows of its rollup say.

    Of rows of the rollup, SQL `spends` holds for those that tell of spend, `does` for those that tell of something done,
    `is_active` for those that tell of any use.
    """

    signal: str
    rollup: Rollup
    spends: str
    does: str
    is_active: str


def _dimensions(table: Table) -> str:
    """What is selected of facts `f`. Points do not know their session."""
    return ", ".join(
        "'' AS session" if name == "session" and table is POINTS else f"f.{name} AS {name}" for name in DIMENSIONS
    )


def _usage(signal: str, table: Table, values: Mapping[str, str], of_use: str, **conditions: str) -> Usage:
    """`values` are SQL by measure, for one row `f` of the facts; `of_use` holds for facts that tell of usage at all."""
    filled = {name: _filled(values.get(name, "toInt64(0)")) for name in MEASURES}
    measured = ", ".join(f"sum({value}) AS {name}" for name, value in filled.items())
    rollup = Rollup(
        table=f"rollups_daily_{signal}",
        columns=(_HOUR, *_DIMENSION_COLUMNS, *map(_measure, MEASURES)),
        order=("hour", "user", "source"),
        source=table.name,
        select=f"""
    SELECT customer, day, toStartOfHour(f.time) AS hour, {_dimensions(table)}, {measured}
    FROM {table.name} AS f WHERE {{where}} AND {_filled(of_use)}
    GROUP BY customer, day, hour, {", ".join(DIMENSIONS)}
    """,
        retention_days=RETENTION_DAYS,
    )
    return Usage(signal, rollup, **conditions)


_DONE: Final = "requests + errors + prompts + tool_calls > 0"
_REQUEST: Final = {
    "cost_nano": "$nano",
    "estimated_nano": "if(f.cost_source = 'estimated', $nano, toInt128(0))",
    **{name: f"toInt64(f.{name})" for name in TOKENS},
    "requests": "toInt64($spends)",
}
USAGE_EVENTS: Final = _usage(
    "events",
    EVENTS,
    _REQUEST
    | {
        "errors": "toInt64($event_failed)",
        "prompts": "toInt64(f.name = 'user_prompt')",
        "tool_calls": "toInt64($event_tool)",
    },
    of_use="($of_agents OR $spends)",
    spends="requests > 0",
    does=_DONE,
    is_active=_DONE,
)
USAGE_SPANS: Final = _usage(
    "spans",
    SPANS,
    _REQUEST
    | {
        "errors": "toInt64($span_failed)",
        "prompts": "toInt64(endsWith(f.name, '.interaction'))",
        "tool_calls": "toInt64($span_tool)",
    },
    of_use="($of_agents OR $spends)",
    spends="requests > 0",
    does=_DONE,
    is_active=_DONE,
)


def _of_points(active: str, started: str) -> dict[str, str]:
    """Measures of a row of (measure, value, unit_cost_usd), where the value is an increase."""
    return {
        "cost_nano": "$point_nano",
        "estimated_nano": "if(f.measure = 'cost', toInt128(0), $point_nano)",
        "input_tokens": "multiIf(f.measure IN ('input', 'input_gross'), $units, f.measure = 'cached', -$units, 0)",
        "output_tokens": "if(f.measure = 'output', $units, 0)",
        "cache_read_tokens": "if(f.measure IN ('cache_read', 'cached'), $units, 0)",
        "cache_creation_tokens": "if(f.measure = 'cache_creation', $units, 0)",
        "session_starts": f"if({started}, $units, 0)",
        "active_ms": f"if({active}, toInt64(round(least(greatest(f.value, 0), 1e12) * 1000)), 0)",
    }


_POINTS_SPEND: Final = f"(cost_nano != 0 OR {' + '.join(TOKENS)} > 0)"
USAGE_POINTS: Final = _usage(
    "points",
    POINTS,
    _of_points("f.measure = '' AND $active", "f.measure = '' AND $started"),
    of_use="(f.temporality != 'cumulative' AND $adds)",
    spends=_POINTS_SPEND,
    does="false",
    is_active=f"session_starts + active_ms > 0 OR {_POINTS_SPEND}",
)
_OF_INCREASES: Final = _of_points("f.measure = 'active'", "f.measure = 'session'")
INCREASES: Final = ", ".join(f"sum({_filled(_OF_INCREASES.get(name, 'toInt64(0)'))}) AS {name}" for name in MEASURES)
"""Measures of usage from rows `f` of (measure, value, unit_cost_usd), where each value is an increase."""

_MEASURED: Final = "multiIf(f.measure != '', toString(f.measure), $active, 'active', 'session')"

CUMULATIVE: Final = Rollup(
    table="rollups_daily_cumulative",
    columns=(
        _HOUR,
        *_DIMENSION_COLUMNS,
        Column("measure", _NAME, "what the series adds to"),
        Column("unit_cost_usd", "Float64", "what one unit costs", _SUM_CODEC),
        Column("series", "UInt64", "keyed hash of the series", _SUM_CODEC),
        Column("start", "DateTime64(6, 'UTC')", "when the series began to count", _SUM_CODEC),
        Column(
            "readings",
            "Array(Tuple(at DateTime64(6, 'UTC'), value Float64))",
            "what was read in this hour; the increase is only known with the reading before, maybe of another day",
            _SUM_CODEC,
        ),
    ),
    order=("series", "start", "hour"),
    source=POINTS.name,
    select=_filled(f"""
    SELECT customer, day, toStartOfHour(f.time) AS hour, {_dimensions(POINTS)}, {_MEASURED} AS measured, unit_cost_usd,
        series, start, groupArray((f.time, f.value)) AS readings
    FROM points AS f WHERE {{where}} AND f.temporality = 'cumulative' AND $adds
    GROUP BY customer, day, hour, $dimensions, measured, unit_cost_usd, series, start
    """),
    retention_days=RETENTION_DAYS,
)

_GROUPS: Final = (
    Column("session", _NAME, "the session"),
    Column("user", _NAME, "whose it was"),
    Column("repo", _NAME, "in which repository"),
    Column("source", _NAME, "which tool sent it"),
    Column("started_us", "Int64", "begin, in microseconds since 1970", _SUM_CODEC),
    Column("ended_us", "Int64", "end, in microseconds since 1970", _SUM_CODEC),
    Column("models", f"Array({_NAME})", "models that were asked"),
    Column("tools", "Map(LowCardinality(String), UInt64)", "calls by tool"),
    Column("agents", _ID_PAIRS, "random ids and kinds of subagents, and who started them"),
    Column("agent_nano", "Map(LowCardinality(String), Int64)", "cost by kind of subagent, in 10^-9 USD"),
    _measure("cost_nano"),
    _measure("estimated_nano"),
    *map(_measure, TOKENS),
    _measure("requests"),
    Column("priced", "Int64", "requests whose cost is known", _SUM_CODEC),
    _measure("errors"),
    _measure("tool_calls"),
)
_SAME: Final = {
    "session": "max(CAST(f.session AS String))",
    "user": "max(CAST(f.user AS String))",
    "repo": "max(CAST(f.repo AS String))",
    "source": "min(CAST(f.source AS String))",
    "started_us": "min(toUnixTimestamp64Micro(f.time) - $before)",
    "ended_us": "max(toUnixTimestamp64Micro(f.time) + $after)",
    "models": "groupUniqArrayIf(CAST(f.model AS String), f.model != '')",
    "tools": "sumMapIf(map(CAST(f.tool AS String), toUInt64(1)), f.tool != '' AND $ran)",
    "agents": "groupUniqArrayIf((CAST(f.agent_id AS String), CAST(f.parent_agent_id AS String), CAST(f.agent AS String)), f.agent_id != '')",
    "agent_nano": "sumMapIf(map(CAST(f.agent AS String), toInt64($nano)), f.agent_id != '' OR f.query_source = 'subagent')",
    "cost_nano": "sum($nano)",
    "estimated_nano": "sumIf($nano, f.cost_source = 'estimated')",
    **{name: f"sum(toInt64(f.{name}))" for name in TOKENS},
    "requests": "toInt64(countIf($spends))",
    "priced": "toInt64(countIf(f.cost_source != 'none'))",
    "errors": "toInt64(countIf($failed))",
    "tool_calls": "toInt64(countIf($ran))",
}


@dataclass(frozen=True, slots=True)
class Groups:
    """Facts of one prompt or trace together: how to make each column, and the rollup that is made so.

    `values` are SQL by column; `source` is `<facts> AS f WHERE {where} AND …` and `by` what groups are told apart by.
    """

    rollup: Rollup
    values: Mapping[str, str]
    source: str
    by: str


def _groups(
    name: str, table: Table, columns: tuple[Column, ...], own: Mapping[str, str], where: str, by: str, **words: str
) -> Groups:
    values = {column: _filled(_with(text, words)) for column, text in {**own, **_SAME}.items()}
    source, by = _filled(f"{table.name} AS f WHERE {{where}} AND {where}"), f"customer, day, {by}"
    told = ", ".join(f"{text} AS {column}" if text != column else column for column, text in values.items())
    rollup = Rollup(
        table=name,
        columns=(*columns, *_GROUPS),
        order=(columns[0].name,),
        source=table.name,
        select=f"SELECT customer, day, {told} FROM {source} GROUP BY {by}",
        retention_days=RETENTION_DAYS,
    )
    return Groups(rollup, values, source, by)


def _with(text: str, words: Mapping[str, str]) -> str:
    return Template(text).safe_substitute(words)


PROMPTS: Final = _groups(
    "prompts",
    EVENTS,
    (
        Column("prompt", _NAME, "the tool's random id of the prompt"),
        Column("traces", "Array(FixedString(16))", "random ids of the prompt's traces"),
    ),
    {"prompt": "prompt", "traces": "groupUniqArrayIf(trace_id, trace_id != $zero_trace)"},
    "$of_agents AND (f.prompt != '' OR f.session != '')",
    "prompt, if(f.prompt = '', f.session, '')",
    # An event is written when its work is over.
    before="toInt64(least(f.duration_us, 86400000000))",
    after="0",
    ran="$event_tool",
    failed="$event_failed",
)
TRACES: Final = _groups(
    "traces",
    SPANS,
    (
        Column("trace_id", "FixedString(16)", "random id of the trace"),
        Column("prompt", _NAME, "the prompt, when the spans say it"),
        Column("spans", "Int64", "how many spans", _SUM_CODEC),
        Column("hosts", "Array(FixedString(8))", "random ids of the spans that requests and tool calls hang under"),
    ),
    {
        "trace_id": "trace_id",
        "prompt": "max(CAST(f.prompt AS String))",
        "spans": "toInt64(count())",
        "hosts": "groupUniqArrayIf(parent_span_id, parent_span_id != $zero_span AND (f.model != '' OR $span_tool))",
    },
    "$of_agents",
    "trace_id",
    before="0",
    after="toInt64(least(f.duration_us, 31536000000000))",
    ran="$span_tool",
    failed="$span_failed",
)
DECISIONS: Final = Rollup(
    table="rollups_daily_decisions",
    columns=(
        _HOUR,
        *(Column(name, _NAME, "as in the facts") for name in ("source", "user", "repo", "model", "tool", "session")),
        Column("decision", _NAME, "accept or reject"),
        Column("decision_source", _NAME, "who decided"),
        Column("decisions", "Int64", "how many", _SUM_CODEC),
    ),
    order=("hour", "user", "tool"),
    source=TOOL_DECISIONS.name,
    select="""
    SELECT customer, day, toStartOfHour(time) AS hour, source, user, repo, model, tool, session, decision,
        decision_source, toInt64(count()) AS decisions
    FROM tool_decisions WHERE {where}
    GROUP BY customer, day, hour, source, user, repo, model, tool, session, decision, decision_source
    """,
    retention_days=RETENTION_DAYS,
)

ROLLUPS: Final = (
    USAGE_EVENTS.rollup,
    USAGE_SPANS.rollup,
    USAGE_POINTS.rollup,
    CUMULATIVE,
    PROMPTS.rollup,
    TRACES.rollup,
    DECISIONS,
)
