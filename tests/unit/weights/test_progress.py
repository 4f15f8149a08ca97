from __future__ import annotations

import io

import pytest

from supervisor.weights import Progress, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_EVERY_S", 0.0)
    stream = Terminal()
    shown = Progress(stream)
    shown.bytes("model.bin", 1_000_000, 2_000_000)
    shown.bytes("model.bin", 2_000_000, 2_000_000)
    assert "\n" not in stream.getvalue()
    shown.info("done")
    assert stream.getvalue().split("\r")[-1] == "done\n"


def test_another_stream_gets_a_plain_line_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    shown = Progress(stream)
    for done in range(1000):
        shown.bytes("model.bin", done, 1000)
    assert len(stream.getvalue().splitlines()) <= 1
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.0)
    shown.bytes("model.bin", 1_000_000, 2_000_000)
    assert stream.getvalue().splitlines()[-1] == "model.bin: 1.0 of 2.0 MB"
