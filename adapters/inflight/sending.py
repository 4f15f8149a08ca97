"""The sending thread: the only thread that calls Triton's response senders.

Sending to 64 streams takes as long as a whole step of all of them, and polling them for cancellation nearly half as
long. The stepping thread does neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from adapters.triton.errors import client_left

_POLL_SECONDS = 0.05


class Reply(Protocol):
    """The responses to one request."""

    def is_cancelled(self) -> bool:
        """Return whether the client has cancelled the request."""

    def fail(self, error: BaseException) -> None:
        """End it with an error. Never raises."""


R = TypeVar("R", bound=Reply)


class Sink(Generic[R]):
    """The responses to one client, as other threads see them.

    Calls are queued, and made in order by the sending thread. A subclass has a method for each kind of response.
    """

    def __init__(self, reply: R, enqueue: Callable[[Sink[R], Callable[[R], None], bool], None]) -> None:
        """`enqueue`: that of the sending thread. Only that thread uses `reply` from then on."""
        self.closed = False
        """Set by the sending thread once the stream has ended or its client has disconnected. Never reset."""
        self.reply = reply
        """For the sending thread only."""
        self._enqueue = enqueue

    def open(self) -> None:
        """Start polling for cancellation."""
        self.call(lambda reply: None)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""
        self.call(lambda reply: reply.fail(error), last=True)

    def call(self, call: Callable[[R], None], *, last: bool = False) -> None:
        """Queue a call of the reply; the `last` one ends the stream."""
        self._enqueue(self, call, last)


class SendingThread:
    """Sends responses, and polls every 50 ms for cancelled requests. It ends their streams itself."""

    def __init__(self, on_closed: Callable[[], None], name: str = "sender") -> None:
        """`on_closed` is called on the sending thread after a client has disconnected."""
        self._on_closed = on_closed
        self._calls: SimpleQueue[tuple[Sink[Any], Callable[[Any], None], bool] | None] = SimpleQueue()
        self._open: set[Sink[Any]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def enqueue(self, sink: Sink[Any], call: Callable[[Any], None], last: bool) -> None:
        """Queue a call of a sink's reply, which only the sending thread uses."""
        self._calls.put((sink, call, last))

    def close(self) -> None:
        """Send all that is queued, then stop."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        poll_at = time.monotonic() + _POLL_SECONDS
        while True:
            try:
                call = self._calls.get(timeout=max(0.0, poll_at - time.monotonic()) if self._open else None)
            except Empty:
                pass
            else:
                if call is None:
                    return
                self._send(*call)
            if time.monotonic() >= poll_at:
                self._poll()
                poll_at = time.monotonic() + _POLL_SECONDS

    def _send(self, sink: Sink[Any], call: Callable[[Any], None], last: bool) -> None:
        if sink.closed:
            return
        self._open.add(sink)
        try:
            call(sink.reply)
        except Exception as error:
            self._close_with(sink, error)
        if last:
            sink.closed = True
            self._open.discard(sink)

    def _poll(self) -> None:
        cancelled = [sink for sink in self._open if _is_cancelled(sink)]
        for sink in cancelled:
            self._close_with(sink, client_left())

    def _close_with(self, sink: Sink[Any], error: BaseException) -> None:
        sink.closed = True
        self._open.discard(sink)
        sink.reply.fail(error)
        self._on_closed()


def _is_cancelled(sink: Sink[Any]) -> bool:
    try:
        return bool(sink.reply.is_cancelled())
    except Exception:  # a response sender that cannot be polled reaches no client either
        return True
