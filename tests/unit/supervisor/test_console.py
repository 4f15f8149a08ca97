from __future__ import annotations

import errno
import io
import sys

import pytest

from supervisor import console


class Writes(io.StringIO):
    """A stream that keeps what each call writes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return len(text)


@pytest.mark.parametrize(("write", "stream"), [(console.info, "stdout"), (console.error, "stderr")])
def test_a_line_and_its_end_are_one_write(monkeypatch: pytest.MonkeyPatch, write: object, stream: str) -> None:
    writes = Writes()
    monkeypatch.setattr(sys, stream, writes)
    assert callable(write)
    write("building")
    assert writes.calls == ["building\n"]


def test_output_to_a_full_disk_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk(io.StringIO):
        full = True

        def flush(self) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")

    disk = Disk()
    monkeypatch.setattr(sys, "stdout", disk)
    console.info("one")
    disk.full = False
    console.info("two")
    assert disk.getvalue().endswith("two\n")
