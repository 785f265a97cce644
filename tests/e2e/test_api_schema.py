"""Requests made from our own OpenAPI document: no answer is a crash, and every success has the documented shape."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance
from tests.support.server import Server


def test_reads_answer_as_documented(server: Server) -> None:
    """Whatever parameters come, each read gives a documented answer."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").include(method="GET")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 5
    for operation in operations:
        exercise(operation, server)


def exercise(operation: Any, server: Server) -> None:
    """A few made-up requests for one route."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"})
        checks = [response_schema_conformance] if response.status_code == 200 else []
        case.validate_response(response, checks=[not_a_server_error, *checks])

    ask()
