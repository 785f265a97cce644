"""The one success shape, the one error shape, and CSV of the first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from raingauge.auth.credential import Credential
from raingauge.contract import Answer, Dialect, Head, Page
from raingauge.errors import Conflict, NotFound, QueryError, Reason, Refused

log = structlog.get_logger()

REASON_OF_STATUS = {
    400: Reason.INVALID_PARAMETER,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    413: Reason.PAYLOAD_TOO_LARGE,
    415: Reason.UNSUPPORTED_MEDIA_TYPE,
    429: Reason.RATE_LIMITED,
}


def error_body(refusal: Refused) -> bytes:
    """`{"error": code, "detail": sentence, …extra}`."""
    body: dict[str, object] = {"error": refusal.code}
    if refusal.detail:
        body["detail"] = refusal.detail
    return msgspec.json.encode(body | refusal.extra)


class ApiDialect:
    """How `/api` and the spine's own routes say no."""

    def accepted(self, head: Head, body: bytes) -> Answer:  # noqa: ARG002 - the dialect's signature
        return Answer(200, b"{}", (("Content-Type", "application/json"),))

    def refused(self, head: Head, refusal: Refused) -> Answer:  # noqa: ARG002
        return Answer(refusal.status, error_body(refusal), (("Content-Type", "application/json"),))


API_DIALECT = ApiDialect()


class ApiResponse(Response[Any]):
    """A response that turns a page into CSV when the request asks with `format=csv`."""

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        request: Request[Any, Any, Any] = kwargs["request"] if "request" in kwargs else args[1]
        wanted = request.query_params.get("format", "json")
        if isinstance(self.content, Page) and wanted != "json":
            if wanted != "csv":
                raise Refused(Reason.INVALID_PARAMETER, "format: must be json or csv")
            self.content = to_csv(self.content.data)
            self.media_type = "text/csv"  # litestar adds the charset
            kwargs["media_type"] = self.media_type
            name = request.url.path.strip("/").replace("/", "-")
            self.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return super().to_asgi_response(*args, **kwargs)


def to_csv(data: object) -> str:
    """RFC 4180 text with a header line.

    `data` is a list of structs, or a struct whose first list member holds the rows. Nested values are written as
    JSON. Text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    rows = _rows(data)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    header = list(rows[0]) if rows else []
    if header:
        writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in header])
    return out.getvalue()


def _rows(data: object) -> list[dict[str, object]]:
    plain = msgspec.to_builtins(data)
    if isinstance(plain, dict):
        lists = [value for value in plain.values() if isinstance(value, list)]
        plain = lists[0] if lists else [plain]
    return [row if isinstance(row, dict) else {"value": row} for row in plain]


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def credential_of(request: ASGIConnection[Any, Any, Any, Any]) -> Credential:
    """The caller. Raises Refused when there is none, with the edge's reason if it has one, else UNAUTHORIZED."""
    state = request.scope["state"]
    credential: Credential | None = state.get("credential")
    if credential is None:
        raise state.get("refusal") or Refused(Reason.UNAUTHORIZED)
    return credential


def head_of(request: Request[Any, Any, Any]) -> Head:
    """The request as dialects see it."""
    return Head(
        request.method,
        request.scope["path"],
        request.scope["query_string"].decode("latin-1"),
        {key.lower(): value for key, value in request.headers.items()},
    )


def refusal_of(error: Exception) -> Refused:
    """Any exception as the refusal that the client sees; unexpected ones are logged and tell nothing."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotFound):
        return Refused(Reason.NOT_FOUND, str(error))
    if isinstance(error, Conflict):
        return Refused(Reason.CONFLICT, str(error))
    if isinstance(error, QueryError):
        if error.reason is Reason.INTERNAL:
            log.error("a read failed", action="read.failed", error=type(error).__name__)
        return Refused(error.reason, "the read ran past its limits" if error.reason is Reason.QUERY_LIMIT else "")
    if isinstance(error, HTTPException) and error.status_code < 500:
        reason = REASON_OF_STATUS.get(error.status_code, Reason.INVALID_PARAMETER)
        return Refused(reason, _validation(error) if error.status_code == 400 else "")
    log.error("a handler failed", action="handler.failed", exc_info=error)
    return Refused(Reason.INTERNAL)


def _validation(error: HTTPException) -> str:
    """Names of the parameters that did not fit, never their values."""
    extra = error.extra if isinstance(error.extra, Iterable) else ()
    keys = sorted({str(item["key"]) for item in extra if isinstance(item, dict) and "key" in item})
    return f"not valid: {', '.join(keys)}" if keys else "a parameter or the body is not valid"


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The error in the dialect of the route that was asked."""
    refusal = refusal_of(error)
    handler = request.scope.get("route_handler")
    dialect: Dialect = (handler.opt.get("dialect") if handler is not None else None) or API_DIALECT
    answer = dialect.refused(head_of(request), refusal)
    headers = dict(answer.headers)
    if refusal.retry_after_seconds is not None:
        headers.setdefault("Retry-After", str(refusal.retry_after_seconds))
    media_type = headers.pop("Content-Type", MediaType.JSON)
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=media_type)
