"""What a command line may ask of a data directory, whoever owns it at the moment.

A running server owns its directory and answers on a Unix socket in it; without one, the command opens the
directory itself. Either way the same function does the work:

    raingauge dlq retry ─┬─ socket answers ──▶ server ──┐
                         └─ no server ──▶ System.open ──┴──▶ Operations.call("dlq.retry", …)
"""

from __future__ import annotations

import os
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from raingauge.errors import DataDirectoryError, RaingaugeError
from raingauge.settings import Settings

if TYPE_CHECKING:
    from raingauge.queue import DeadLetter
    from raingauge.system import System

SOCKET_NAME = "raingauge.sock"
log = structlog.get_logger()


class OperationFailed(RaingaugeError):
    """The owner of the data directory could not do what was asked."""


class Ask(msgspec.Struct):
    name: str
    arguments: dict[str, Any]


class Told(msgspec.Struct):
    result: Any = None
    error: str = ""


class Operations:
    """The operations over an open system. Results are JSON values."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._table: Mapping[str, Callable[..., Any]] = {
            "dlq.list": self.dlq_list,
            "dlq.show": self.dlq_show,
            "dlq.retry": self.dlq_retry,
            "dlq.purge": self.dlq_purge,
            "rollup.run": self.rollup_run,
            "retention.run": self.retention_run,
            "customer.erase": self.customer_erase,
            "people.forget": self.people_forget,
            "doctor.look": self.doctor_look,
            "doctor.round_trip": self.doctor_round_trip,
        }

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Raises OperationFailed for an unknown name, and whatever the operation raises."""
        operation = self._table.get(name)
        if operation is None:
            raise OperationFailed(f"{name}: this server does not know that operation; is it an older version?")
        return operation(**arguments)

    def dlq_list(self) -> list[dict[str, Any]]:
        return [_letter(letter) for letter in self._system.queue.dead_letters()]

    def dlq_show(self, message_id: int, body: bool = False) -> dict[str, Any]:
        found = [letter for letter in self._system.queue.dead_letters() if letter.message_id == message_id]
        if not found:
            raise OperationFailed(f"{message_id}: no such dead letter")
        shown = _letter(found[0])
        if body:
            content = self._system.queue.dead_letter_body(message_id) or b""
            shown["body"] = content.decode("utf-8", "backslashreplace")
        return shown

    def dlq_retry(self, message_ids: list[int] | None = None) -> int:
        return self._system.queue.retry_dead_letters(message_ids)

    def dlq_purge(self, message_ids: list[int] | None = None) -> int:
        return self._system.queue.purge_dead_letters(message_ids)

    def rollup_run(self, since: str | None = None) -> Any:
        return msgspec.to_builtins(self._system.store.rollups.run(date.fromisoformat(since) if since else None))

    def retention_run(self) -> Any:
        return msgspec.to_builtins(self._system.run_retention())

    def customer_erase(self, customer: str) -> dict[str, int]:
        """Delete a customer's facts from every table; how many rows of each."""
        return self._system.erase_customer(customer)

    def people_forget(self, person: str, customer: str | None = None, facts: bool = False) -> dict[str, Any]:
        """Forget a person at one customer or, without one, at all of them."""
        if not (name := person.strip()):
            raise OperationFailed("name the person: an e-mail address, an id that was sent, or a keyed hash")
        known = [one.customer_id for one in self._system.directory.customers()]
        if customer is not None and customer not in known:
            raise OperationFailed(f"{customer}: no such customer")
        forgotten = self._system.forget(name, known if customer is None else [customer], facts)
        return {"names": forgotten.names, "rows": forgotten.rows}

    def doctor_look(self) -> dict[str, Any]:
        """What only the owner of the directory can see."""
        depth = self._system.queue.depth()
        now = datetime.now(UTC)
        return {
            "problems": self._system.problems(),
            "queue_messages": depth.messages,
            "dead_letters": depth.dead_letters,
            "clock": now.isoformat(),
            "newest_message_ahead_seconds": self._system.queue.last_id / 1_000_000 - now.timestamp(),
        }

    def doctor_round_trip(self) -> dict[str, bool]:
        """Send each contract's example through the queue into the store; which arrived."""
        return self._system.round_trip()


def _letter(letter: DeadLetter) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(letter)
    return shown


def ask(settings: Settings, name: str, **arguments: Any) -> Any:
    """Have an operation done by the owner of the data directory, or by this process when nobody owns it.

    Raises OperationFailed with the owner's words, DataDirectoryError when the directory cannot be used.
    """
    if not settings.data_dir.is_dir():
        raise DataDirectoryError(f"{settings.data_dir}: no such data directory; `raingauge serve` makes one")
    told = _ask_owner(settings.data_dir / SOCKET_NAME, Ask(name, arguments))
    if told is None:
        from raingauge.system import System  # noqa: PLC0415 - opening the store is only needed without a server

        with System.open(settings) as system:
            return msgspec.json.decode(msgspec.json.encode(Operations(system).call(name, arguments)))
    if told.error:
        raise OperationFailed(told.error)
    return told.result


def _ask_owner(path: Path, question: Ask) -> Told | None:
    with socket(AF_UNIX, SOCK_STREAM) as connection:
        try:
            with _short(path) as short:
                connection.connect(short)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        connection.sendall(msgspec.json.encode(question) + b"\n")
        with connection.makefile("rb") as answer:
            return msgspec.json.decode(answer.readline(), type=Told)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket that fits into the 107 bytes the kernel allows, however deep its directory lies."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        through_proc = Path(f"/proc/self/fd/{directory}")
        yield str((through_proc if through_proc.exists() else path.parent) / path.name)
    finally:
        os.close(directory)


class OperationsServer:
    """Answers operations on the socket of the data directory, a thread per caller."""

    def __init__(self, data_dir: Path, operations: Operations) -> None:
        self._path = data_dir / SOCKET_NAME

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    question = msgspec.json.decode(self.rfile.readline(), type=Ask)
                    told = Told(result=operations.call(question.name, question.arguments))
                except (RaingaugeError, msgspec.DecodeError, TypeError, ValueError) as error:
                    told = Told(error=str(error))
                except Exception as error:
                    log.exception("an operation failed", action="operation.failed")
                    told = Told(error=f"failed: {type(error).__name__}; see the server's log")
                with suppress(BrokenPipeError):
                    self.wfile.write(msgspec.json.encode(told) + b"\n")

        # A socket left behind by a killed owner: the directory's lock says that nobody listens on it.
        self._path.unlink(missing_ok=True)
        with _short(self._path) as short:
            self._server = socketserver.ThreadingUnixStreamServer(short, Handler)
        self._server.daemon_threads = True
        self._path.chmod(0o600)
        self._thread = threading.Thread(target=self._server.serve_forever, name="operations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._path.unlink(missing_ok=True)
