"""What is left after the process was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("crash_writer.py")
ROWS = 20


@pytest.mark.parametrize("acknowledged_before_kill", [1, 7])
def test_sigkill_loses_no_returned_insert_and_replay_completes_the_rest(
    tmp_path: Path, acknowledged_before_kill: int
) -> None:
    """Every insert that returned before SIGKILL is readable, and a replay makes each row exactly one."""
    command = [sys.executable, str(PROGRAM), str(tmp_path)]
    with subprocess.Popen([*command, "write"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(acknowledged_before_kill):
            process.stdout.readline()
        process.kill()
        acknowledged = acknowledged_before_kill + len(process.stdout.read().splitlines())
    sent = acknowledged + 1
    replay = subprocess.run([*command, "replay", str(sent)], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(replay.stdout)
    for rows, distinct in found["before"]:
        assert rows == distinct
        assert acknowledged * ROWS <= rows
    assert 3 * sent * ROWS == found["stored"]
    assert [[sent * ROWS, sent * ROWS]] * 3 == found["after"]
    assert [] == list((tmp_path / "tmp").iterdir())
