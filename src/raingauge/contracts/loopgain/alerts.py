"""The alert routes as far as this server has them: the lists are empty, and nothing can be written.

The dashboard asks for both lists on its alert screen; without them the screen shows an error.
"""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import HttpMethod, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler, route
from litestar.params import FromPath

from raingauge.contract import Facts, Refused
from raingauge.contracts.loopgain.intake import HEADERS
from raingauge.contracts.loopgain.reads import (
    ALL_METHODS,
    OPT,
    OTHER_THAN_GET,
    OTHER_THAN_POST,
    AnyRequest,
    positive_integer,
)
from raingauge.errors import Reason


class Rules(msgspec.Struct, frozen=True):
    rules: list[None] = []


class Deliveries(msgspec.Struct, frozen=True):
    deliveries: list[None] = []


@get("/v1/alerts/rules", opt=OPT, response_headers=HEADERS)
async def rules(facts: NamedDependency[Facts]) -> Rules:  # noqa: ARG001 - the credential is asked for
    """Always empty."""
    return Rules()


@get("/v1/alerts/deliveries", opt=OPT, response_headers=HEADERS)
async def deliveries(facts: NamedDependency[Facts]) -> Deliveries:  # noqa: ARG001
    """Always empty."""
    return Deliveries()


@route("/v1/alerts/rules", http_method=[HttpMethod.POST], opt=OPT, include_in_schema=False)
async def rule_creation(facts: NamedDependency[Facts]) -> None:  # noqa: ARG001
    raise _not_available()


@route(
    "/v1/alerts/rules",
    http_method=[HttpMethod.HEAD, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE],
    opt=OPT,
    include_in_schema=False,
)
async def rules_by_other_methods(facts: NamedDependency[Facts]) -> None:  # noqa: ARG001
    raise Refused(Reason.METHOD_NOT_ALLOWED)


@route("/v1/alerts/rules/{rule_id:str}", http_method=ALL_METHODS, opt=OPT, include_in_schema=False)
async def rule_change(request: AnyRequest, rule_id: FromPath[str], facts: NamedDependency[Facts]) -> None:  # noqa: ARG001
    _check_id(rule_id)
    raise _not_available() if request.method in ("PUT", "DELETE") else Refused(Reason.METHOD_NOT_ALLOWED)


@route("/v1/alerts/rules/{rule_id:str}/test", http_method=[HttpMethod.POST], opt=OPT, include_in_schema=False)
async def rule_trial(rule_id: FromPath[str], facts: NamedDependency[Facts]) -> None:  # noqa: ARG001
    _check_id(rule_id)
    raise _not_available()


@route("/v1/alerts/rules/{rule_id:str}/test", http_method=OTHER_THAN_POST, opt=OPT, include_in_schema=False)
async def rule_trial_by_other_methods(rule_id: FromPath[str]) -> None:  # noqa: ARG001
    raise Refused(Reason.METHOD_NOT_ALLOWED)


@route("/v1/alerts/deliveries", http_method=OTHER_THAN_GET, opt=OPT, include_in_schema=False)
async def deliveries_by_other_methods() -> None:
    raise Refused(Reason.METHOD_NOT_ALLOWED)


def _check_id(rule_id: str) -> None:
    if positive_integer(rule_id) is None:
        raise Refused(Reason.INVALID_PARAMETER, "the id of a rule is a positive integer", code="invalid_rule_id")


def _not_available() -> Refused:
    return Refused(Reason.NOT_AVAILABLE, "this server has no alert rules")


ALERTS: Final[tuple[HTTPRouteHandler, ...]] = (
    rules,
    deliveries,
    rule_creation,
    rules_by_other_methods,
    rule_change,
    rule_trial,
    rule_trial_by_other_methods,
    deliveries_by_other_methods,
)
