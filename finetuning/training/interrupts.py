"""Ctrl-C: at once where nothing can break, else after the work that must not be cut."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Raises `KeyboardInterrupt` for SIGINT and SIGTERM, but not inside `held`. A context manager."""

    def __init__(self) -> None:
        self._held = False
        self._pending = False

    def __enter__(self) -> Interrupts:
        self._former = {}
        if threading.current_thread() is threading.main_thread():  # others may not set handlers, and get no signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back until the block has ended."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        else:
            raise KeyboardInterrupt
