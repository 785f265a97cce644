"""The reads of the LoopGain dashboard, and the reset of a customer's loops."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import HttpMethod, Request, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler, route
from litestar.params import FromPath, RawBody

from raingauge.contract import Facts, Refused
from raingauge.contract import Scope as TokenScope
from raingauge.contracts.loopgain.intake import DIALECT, HEADERS, refuse_browsers
from raingauge.contracts.loopgain.members import read_json
from raingauge.contracts.loopgain.query import COUNTED, Scope, includes_calibration, limit, window
from raingauge.contracts.loopgain.stats import Number, Stats, read_stats
from raingauge.contracts.loopgain.tables import LOOP_EVENTS
from raingauge.contracts.loopgain.usual import Trajectory
from raingauge.errors import Reason

AnyRequest = Request[Any, Any, Any]
AnyConnection = ASGIConnection[Any, Any, Any, Any]
OPT: Final = {"dialect": DIALECT}
RESET_MAX_BYTES: Final = 65_536


class ProfileRow(msgspec.Struct, frozen=True):
    """A loop's gains. `timestamp_hour` is seconds since 1970."""

    id: int
    timestamp_hour: int
    workload_id: str | None
    framework: str | None
    loop_type: str | None
    team: str | None
    profile_min: Number | None
    profile_max: Number | None
    profile_median: Number | None
    profile_samples: int | None
    outcome: str
    iterations_used: Number
    gain_margin: Number | None


class EventRow(msgspec.Struct, frozen=True):
    """A loop's result. `rollback_triggered` is 0 or 1."""

    id: int
    timestamp_hour: int
    workload_id: str | None
    framework: str | None
    loop_type: str | None
    team: str | None
    outcome: str
    iterations_used: Number
    profile_max: Number | None
    savings_vs_fixed_cap: Number | None
    library_version: str
    best_index: Number | None
    rollback_triggered: int
    actual_dollars_saved: Number | None
    actual_dollars_spent: Number | None
    gain_margin: Number | None


class Detail(msgspec.Struct, frozen=True):
    """What is known about one loop besides its iterations. `received_at` is seconds since 1970."""

    id: int
    timestamp_hour: int
    workload_id: str | None
    framework: str | None
    loop_type: str | None
    team: str | None
    library_version: str
    outcome: str
    iterations_used: Number
    savings_vs_fixed_cap: Number | None
    rollback_triggered: int
    profile_min: Number | None
    profile_max: Number | None
    profile_median: Number | None
    profile_samples: int | None
    gain_margin: Number | None
    threshold_fast_converge: Number
    threshold_converging: Number
    threshold_stalling: Number
    threshold_oscillating_upper: Number
    smoothing_window: Number
    received_at: int


class StoredDetail(Detail, frozen=True):
    """As the store gives it: the iterations are JSON text, or empty."""

    per_iteration: str


class ServedDetail(Detail, frozen=True):
    """As the dashboard reads it."""

    per_iteration: Trajectory | None


class Profiles(msgspec.Struct, frozen=True):
    """Newest hour first. `workload_id` repeats the filter."""

    customer_id: str
    workload_id: str | None
    events: list[ProfileRow]


class Events(msgspec.Struct, frozen=True):
    """Newest hour first."""

    customer_id: str
    events: list[EventRow]


class OneEvent(msgspec.Struct, frozen=True):
    event: ServedDetail


class Reset(msgspec.Struct, frozen=True):
    reset: bool
    customer_id: str
    deleted: int


_SERVED_AS: Final = {
    "id": "e.message_id",
    "timestamp_hour": "toInt64(e.timestamp_hour)",
    "rollback_triggered": "toUInt8(e.rollback_triggered)",
    "received_at": "intDiv(e.message_id, 1000000)",
}
"""Columns that are served in another form than they are stored."""

MESSAGE_ID_END: Final = 2**53
_NUMBER: Final = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ALL_METHODS: Final = [
    HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE,
]  # fmt: skip
OTHER_THAN_GET: Final = [method for method in ALL_METHODS if method != HttpMethod.GET]
OTHER_THAN_POST: Final = [method for method in ALL_METHODS if method != HttpMethod.POST]


def _select(row: type[msgspec.Struct]) -> str:
    """The SELECT list for the members of `row`."""
    return ", ".join(f"{_SERVED_AS.get(name, f'e.{name}')} AS {name}" for name in row.__struct_fields__)


def _list(row: type[msgspec.Struct], scope: Scope) -> str:
    return (
        f"SELECT {_select(row)} FROM loop_events AS e WHERE {scope.where}"  # noqa: S608 - names only
        " ORDER BY e.timestamp_hour DESC, e.message_id DESC LIMIT {limit:UInt32}"
    )


def _list_scope(facts: Facts, query: Mapping[str, str], *more: str) -> Scope:
    calibration = () if includes_calibration(query) else (COUNTED,)
    return Scope(query, facts.now, window(query), *calibration, *more)


@get("/v1/stats", opt=OPT, response_headers=HEADERS)
async def stats(request: AnyRequest, facts: NamedDependency[Facts]) -> Stats:
    """Sums over the last 30 days. Filters: `framework`, `loop_type`, `team`, `workload_id`, `include_calibration`."""
    return await read_stats(facts, first_values(request))


@get("/v1/profiles", opt=OPT, response_headers=HEADERS)
async def profiles(request: AnyRequest, facts: NamedDependency[Facts]) -> Profiles:
    """Loop gains of single loops. Filters as for `/v1/stats`, and `since_hours`, `limit`."""
    query = first_values(request)
    scope = _list_scope(facts, query)
    rows = await facts.rows(_list(ProfileRow, scope), ProfileRow, limit=limit(query), **scope.parameters)
    return Profiles(facts.customer, query.get("workload_id"), rows)


@get("/v1/events", opt=OPT, response_headers=HEADERS)
async def events(request: AnyRequest, facts: NamedDependency[Facts]) -> Events:
    """Results of single loops. Filters as for `/v1/profiles`, and `rollbacks_only=true`."""
    query = first_values(request)
    rollbacks = ("e.rollback_triggered",) if query.get("rollbacks_only") == "true" else ()
    scope = _list_scope(facts, query, *rollbacks)
    rows = await facts.rows(_list(EventRow, scope), EventRow, limit=limit(query), **scope.parameters)
    return Events(facts.customer, rows)


@get("/v1/event/{event_id:path}", opt=OPT, response_headers=HEADERS)
async def event(event_id: FromPath[str], facts: NamedDependency[Facts]) -> OneEvent:
    """One loop by the `id` that the lists give. Of any age, calibration or not."""
    wanted = positive_integer(event_id.removeprefix("/"))
    if wanted is None:
        raise Refused(Reason.INVALID_PARAMETER, "the id of an event is a positive integer", code="invalid_event_id")
    sql = (
        f"SELECT {_select(StoredDetail)} FROM loop_events AS e"  # noqa: S608 - names only
        " WHERE e.customer = {customer:String} AND e.message_id = {id:UInt64} LIMIT 1"
    )
    found = await facts.rows(sql, StoredDetail, id=wanted) if wanted < MESSAGE_ID_END else []
    if not found:
        raise Refused(Reason.NOT_FOUND)
    stored = msgspec.structs.asdict(found[0])
    text = stored.pop("per_iteration")
    trajectory = msgspec.json.decode(text, type=Trajectory) if text else None
    return OneEvent(ServedDetail(**stored, per_iteration=trajectory))


@route(
    ["/v1/stats", "/v1/profiles", "/v1/events", "/v1/event/{event_id:path}"],
    http_method=OTHER_THAN_GET,
    opt=OPT,
    include_in_schema=False,
)
async def reads_only() -> None:
    """Reads are read: decided before the credential is looked at."""
    raise Refused(Reason.METHOD_NOT_ALLOWED)


def no_browsers(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Runs before the credential is looked at, like on `/v1/aggregate`. Raises Refused(BROWSER_REFUSED)."""
    refuse_browsers(connection.headers)


@post(
    "/v1/aggregate/reset",
    guards=[no_browsers],
    opt=OPT | {"scope": TokenScope.INGEST},
    request_max_body_size=RESET_MAX_BYTES,
    response_headers=HEADERS,
    status_code=200,
)
async def reset(facts: NamedDependency[Facts], body: RawBody) -> Reset:
    """Delete all loops of the caller. The body must be `{"confirm": "reset"}`."""
    payload = read_json(body)
    if not isinstance(payload, dict) or payload.get("confirm") != "reset":
        raise Refused(Reason.INVALID_PAYLOAD, 'send {"confirm": "reset"} to delete all loops', code="confirm_required")
    return Reset(reset=True, customer_id=facts.customer, deleted=await facts.erase(LOOP_EVENTS.name))


@route("/v1/aggregate/reset", http_method=OTHER_THAN_POST, opt=OPT, include_in_schema=False)
async def reset_by_post_only() -> None:
    raise Refused(Reason.METHOD_NOT_ALLOWED)


def first_values(request: AnyRequest) -> dict[str, str]:
    """The query parameters; of a repeated one the first."""
    return {name: request.query_params.getall(name)[0] for name in request.query_params}


def positive_integer(text: str) -> int | None:
    """The positive whole number that a text writes in decimal, `1e1` and `1.0` included; else None."""
    value = float(text) if _NUMBER.fullmatch(text) else 0.0
    return int(value) if value > 0 and value.is_integer() else None


READS: Final[tuple[HTTPRouteHandler, ...]] = (stats, profiles, events, event, reads_only, reset, reset_by_post_only)
