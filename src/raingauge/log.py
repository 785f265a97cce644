"""One line per event, each with a stable `action`: JSON for machines, text on a terminal.

No content, no address and no token is ever logged. That is why an exception is logged by its type and the places it
went through, never by its message: messages quote what they choke on.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from raingauge.settings import LOG_FORMAT, LOG_LEVEL, Settings

FRAMES: Final = 8
FLUSH_SECONDS: Final = 0.05
"""How long a request's line may wait for others before it is written."""


def configure(settings: Settings) -> None:
    """Set up logging of the process; the standard library's loggers (of other packages) join from WARNING on."""
    level = logging.getLevelNamesMapping()[settings[LOG_LEVEL].upper()]
    wanted = settings[LOG_FORMAT]
    text = wanted == "text" or (wanted == "auto" and sys.stdout.isatty())
    _requests.bulk = not text and level <= logging.INFO
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_action,
        _exception_to_places,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), event_key="action", pad_event_to=16)
        if text
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_keep_template_only, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            use_get_message=False,
            pass_foreign_args=True,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


class RequestLine(msgspec.Struct, gc=False):
    """One answered request. The order of the members is the order in the line."""

    timestamp: datetime
    level: str
    action: str
    method: str
    route: str
    status: int
    duration_ms: float
    bytes_in: int
    customer: str
    reason: str


class _Requests:
    """Writes the lines of requests, in JSON many at a time: encoding and writing each would cost more than the rest."""

    def __init__(self) -> None:
        self.bulk = False
        self._encoder = msgspec.json.Encoder()
        self._log = structlog.get_logger("request")
        self._waiting: list[RequestLine] = []

    def write(self, line: RequestLine) -> None:
        if not self.bulk:
            fields = msgspec.structs.asdict(line)
            del fields["timestamp"], fields["level"], fields["action"]
            self._log.info(line.action, **fields)
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._waiting.append(line)

    def flush(self) -> None:
        lines, self._waiting = self._waiting, []
        sys.stdout.write(self._encoder.encode_lines(lines).decode())
        sys.stdout.flush()


_requests = _Requests()


def request(
    *, method: str, route: str, status: int, duration_ms: float, bytes_in: int, customer: str, reason: str
) -> None:
    """Log one answered request; only on an event loop."""
    now = datetime.now(UTC)
    _requests.write(RequestLine(now, "info", "request", method, route, status, duration_ms, bytes_in, customer, reason))


def flush() -> None:
    """Write the lines that wait for others; for the end of the process."""
    _requests.flush()


def places(error: BaseException) -> list[str]:
    """The innermost places an exception went through, as `file:line function`, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def error_fields(error: BaseException) -> dict[str, Any]:
    """What a line says of an exception that is not being handled just now."""
    return {"error": type(error).__name__, "places": places(error)}


def _exception_to_places(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    found = line.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        line.update(error_fields(error))
    return line


def _name_action(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Without an `action` of its own a line's first argument is its action."""
    if "action" not in line:
        line["action"] = line.pop("event")
    return line


def _keep_template_only(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Of another package's line keep who, where and its template; a text without arguments may quote anything."""
    record = cast(logging.LogRecord, line["_record"])
    line["action"] = record.name
    line["place"] = f"{record.filename}:{record.lineno} {record.funcName}"
    if not line.pop("positional_args", None):
        del line["event"]
    return line


def _json(line: EventDict, **_kwargs: Any) -> str:
    first = {key: line.pop(key) for key in ("timestamp", "level", "action")}
    return msgspec.json.encode({**first, **line}, enc_hook=str).decode()
