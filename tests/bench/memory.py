"""Resident memory of all processes of a server: just started, and after reading a million loops.

The reference is a Python that has only imported what a small web service imports.
"""

from __future__ import annotations

import subprocess
import sys

from tests.bench.million import filled
from tests.bench.processes import family, resident_bytes
from tests.bench.report import Report, figure

MIB = 1024 * 1024


def plain_python() -> tuple[int, int]:
    program = "import asyncio, sqlite3, uvicorn, msgspec, sys; print('up', flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    found = resident_bytes(process.pid)
    process.communicate(b"")
    return found


def run(report: Report) -> None:
    million = filled(report.scratch, report.events)
    server = million.server.start()
    try:
        with server.client() as http:
            for _ in range(3):
                http.get("/v1/stats").raise_for_status()
        busy = {pid: resident_bytes(pid) for pid in family(server.pids[0])}
    finally:
        server.stop()
    plain = plain_python()
    rows = []
    for name, found in (
        ("idle, empty", list(million.idle_resident.values())),
        (f"after reads of {million.events:,} loops", list(busy.values())),
        ("reference: Python with uvicorn", [plain]),
    ):
        resident, share = (sum(values) for values in zip(*found, strict=True))
        each = " + ".join(figure(one / MIB) for one, _ in found)
        rows.append((name, figure(resident / MIB), figure(share / MIB), each, f"{figure(share / plain[1])}×"))
    report.table(
        "Memory: MiB of all server processes",
        "Resident counts shared pages once per process, the share counts them once in all.",
        ("when", "resident", "share", "each process", "of reference"),
        rows,
    )
