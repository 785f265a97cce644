"""The one success shape, the one error shape, and CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, get
from litestar.params import FromQuery
from litestar.testing import TestClient, create_test_client

from raingauge.contract import Meta, Page
from raingauge.errors import QueryError, Reason, Refused
from raingauge.web.parameters import window
from raingauge.web.shape import ApiResponse, answer_error, to_csv

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
META = Meta("2026-11-14T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z", 2, 1.5)


class Row(msgspec.Struct):
    name: str
    cost: float | None
    tags: list[str]


@get("/page")
async def page() -> Page[list[Row]]:
    return Page([Row("a", 1.5, []), Row("b,c", None, ["x"])], META)


@get("/refused")
async def refused() -> None:
    raise Refused(Reason.RATE_LIMITED, "slow down", retry_after_seconds=3)


@get("/limit")
async def limit() -> None:
    raise QueryError("somebody's secret text", Reason.QUERY_LIMIT)


@get("/bug")
async def bug() -> None:
    raise RuntimeError("somebody's secret text")


@get("/number")
async def number(wanted: FromQuery[int]) -> int:
    return wanted


def client() -> TestClient[Litestar]:
    """An API of a few routes with our shapes."""
    return create_test_client(
        [page, refused, limit, bug, number],
        response_class=ApiResponse,
        exception_handlers={Exception: answer_error},
        logging_config=None,
        raise_server_exceptions=False,
    )


def test_success_has_data_and_meta() -> None:
    """Every read answers in the same envelope."""
    with client() as http:
        answer = http.get("/page")
    assert (answer.status_code, sorted(answer.json())) == (200, ["data", "meta"])
    assert answer.json()["data"][1] == {"name": "b,c", "cost": None, "tags": ["x"]}


def test_csv_has_a_header_and_the_same_rows() -> None:
    """`format=csv` gives what a spreadsheet opens."""
    with client() as http:
        answer = http.get("/page", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="page.csv"'
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["name", "cost", "tags"],
        ["a", "1.5", "[]"],
        ["b,c", "", '["x"]'],
    ]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/refused", 429, "rate_limited"),
        ("/limit", 503, "query_limit"),
        ("/bug", 500, "internal_error"),
        ("/number?wanted=many", 400, "invalid_parameter"),
        ("/nowhere", 404, "not_found"),
        ("/page?format=xml", 400, "invalid_parameter"),
    ],
)
def test_every_failure_has_one_shape_and_a_stable_code(path: str, status: int, code: str) -> None:
    """A client can branch on `error` and show `detail`; nothing inside leaks out."""
    with client() as http:
        answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert set(answer.json()) <= {"error", "detail"}
    assert "secret" not in answer.text


def test_a_refusal_that_may_be_retried_says_when() -> None:
    """Retry-After comes from the refusal."""
    with client() as http:
        assert http.get("/refused").headers["retry-after"] == "3"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@cmd", "\t=1"])
def test_csv_text_is_never_a_formula(text: str) -> None:
    """A spreadsheet must not run what a client sent."""
    assert to_csv([{"label": text}]).splitlines()[1].lstrip('"').startswith("'")


@given(st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.integers()})))
def test_any_csv_can_be_read_back(rows: list[dict[str, object]]) -> None:
    """Quotes, line breaks and commas in values do not break the table."""
    found = list(csv.DictReader(io.StringIO(to_csv(rows), newline="")))
    assert [int(row["b"]) for row in found] == [row["b"] for row in rows]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("7d", "", (NOW - timedelta(days=7), NOW)),
        ("24h", "1h", (NOW - timedelta(hours=24), NOW - timedelta(hours=1))),
        ("2026-11-01", "2026-11-02T00:00:00Z", (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))),
        ("2026-11-01T02:00:00+02:00", "", (datetime(2026, 11, 1, tzinfo=UTC), NOW)),
    ],
)
def test_windows_are_times_or_ages(since: str, until: str, expected: tuple[datetime, datetime]) -> None:
    """ISO 8601 with or without a zone, or an age."""
    found = window(NOW, 100, since, until, 10)
    assert (found.since, found.until) == expected


@pytest.mark.parametrize(
    ("since", "until", "limit"),
    [("soon", "", 1), ("1h", "2h", 1), ("7d", "", 0), ("7d", "", 101), ("0001-01-01", "", 1)],
)
def test_a_window_that_cannot_be_is_refused(since: str, until: str, limit: int) -> None:
    """The error is a 400, not an empty answer."""
    with pytest.raises(Refused) as caught:
        window(NOW, 100, since, until, limit)
    assert caught.value.reason is Reason.INVALID_PARAMETER
