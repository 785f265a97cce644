"""Keep one server process alive: what `raingauge serve` calls.

    parent: listens, waits ──fork──▶ child: imports, starts, accepts
        SIGTERM, SIGINT ──SIGTERM──▶ finishes requests, drains, exits 0
        starts a new one ◀────────── dies (a crash in native code, the kernel short of memory, kill -9)

The parent imports next to nothing, so it has nothing that can fail. It holds the listening socket: clients that connect
while a new child starts wait in the kernel's backlog instead of being refused. On Linux a child never outlives its
parent.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

from raingauge.edge.ports import ASGIApp
from raingauge.errors import RaingaugeError, SettingError

START_FAILED: Final = 3
"""Exit code of a server that could not start; trying again would not help."""

STOP_SECONDS: Final = 9.0
BACK_OFF_SECONDS: Final = (0.2, 1.0, 5.0, 15.0, 30.0)
STEADY_SECONDS: Final = 60.0
BACKLOG: Final = 2048


def run(app_factory: Callable[[str], ASGIApp], host: str, port: int, *, stop_seconds: float = STOP_SECONDS) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Must run in the main thread, before other threads are started.

    `app_factory` is called in the server process with the address that clients on this machine can use
    (`http://127.0.0.1:4318`); it builds the application, which then gets ASGI lifespan events. A RaingaugeError from
    it ends with its message and exit code START_FAILED. A server that has not stopped after
    `stop_seconds` is killed, which costs nothing that was acknowledged. Port 0 takes a free port, which stays the same after a crash.
    Raises SettingError when host and port cannot be used.
    """
    listener = _listen(host, port)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, _ignore)
    crashes = 0
    while True:
        started = time.monotonic()
        pid = _fork(app_factory, listener, url_of(listener))
        code = _watch(pid, wake_read, listener, stop_seconds)
        if code in (None, 0, START_FAILED):
            return code or 0
        crashes = 0 if time.monotonic() - started > STEADY_SECONDS else crashes
        pause_seconds = BACK_OFF_SECONDS[min(crashes, len(BACK_OFF_SECONDS) - 1)]
        crashes += 1
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        _tell(f"the server {how}; starting it again in {pause_seconds:g} s")
        if _asked_to_stop(wake_read, pause_seconds):
            return 0


def url_of(listener: socket.socket) -> str:
    """The address by which clients on this machine reach a listening socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingError(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def _watch(pid: int, wake_read: int, listener: socket.socket, stop_seconds: float) -> int | None:
    """Wait for the end of the child: its exit code (negative for a signal), None when it was asked to stop."""
    stop_at: float | None = None
    while True:
        timeout_seconds = None if stop_at is None else max(0.0, stop_at - time.monotonic())
        asked = _asked_to_stop(wake_read, timeout_seconds)
        if asked and stop_at is None:
            stop_at = time.monotonic() + stop_seconds
            # From here on a connection must be refused, not wait for a server that is not coming back.
            listener.close()
            os.kill(pid, signal.SIGTERM)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return None if stop_at is not None else os.waitstatus_to_exitcode(status)
        if stop_at is not None and time.monotonic() >= stop_at:
            _tell(f"the server did not stop within {stop_seconds:g} s and was killed; what it acknowledged is on disk")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None


def _asked_to_stop(wake_read: int, timeout_seconds: float | None) -> bool:
    """Wait for a signal; whether it says stop (and not just that a child ended)."""
    readable, _, _ = select.select([wake_read], [], [], timeout_seconds)
    received = os.read(wake_read, 512) if readable else b""
    return signal.SIGTERM in received or signal.SIGINT in received


def _fork(app_factory: Callable[[str], ASGIApp], listener: socket.socket, url: str) -> int:
    """Start a child and return its id; in the child this never returns."""
    parent = os.getpid()
    held = {signal.SIGTERM, signal.SIGINT}
    # A signal between fork and the reset of the handlers would end in the parent's pipe.
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        return pid
    code = START_FAILED
    try:
        _leave_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Ctrl-C reaches both processes, and the parent forwards it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        code = _serve(app_factory, listener, url)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else START_FAILED
    except RaingaugeError as error:
        _tell(str(error))
    except BaseException:  # noqa: BLE001 - a forked process must end here, not in the caller's frames
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads that hang must not keep a server from stopping; the application has closed what it owns by now.
        os._exit(code)


def _serve(app_factory: Callable[[str], ASGIApp], listener: socket.socket, url: str) -> int:
    from raingauge.edge.http import serve  # noqa: PLC0415 - the parent stays small

    return serve(app_factory(url), listener, url)


def _leave_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 - the parent stays small

    pr_set_pdeathsig = 1  # prctl(2)
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _ignore(_number: int, _frame: object) -> None:
    """The wake-up descriptor tells; a handler must be there for it to work."""


def _tell(text: str) -> None:
    sys.stderr.write(f"raingauge: {text}\n")
    sys.stderr.flush()
