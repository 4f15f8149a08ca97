"""A process shows that it has initialized its model, and only it does."""

from __future__ import annotations

import subprocess
import sys

from tritone.initialized import is_initialized


def test_process_has_its_sign_once_it_is_marked() -> None:
    marked = "from tritone.initialized import mark_initialized; input(); mark_initialized(); print(); input()"
    with subprocess.Popen([sys.executable, "-c", marked], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert not is_initialized(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert is_initialized(process.pid)
    assert not is_initialized(process.pid)
