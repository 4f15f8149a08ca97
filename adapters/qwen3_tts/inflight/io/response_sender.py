"""The sending thread: the only thread that calls Triton's response senders.

Sending to 64 streams takes as long as a whole frame of all of them, and polling them for cancellation nearly half as
long. The stepping thread does neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from adapters.triton.errors import client_left
from adapters.triton.response_stream import FinishReason, ResponseStream
from adapters.triton.samples import to_int16

_POLL_SECONDS = 0.05
_Call = Callable[[ResponseStream], None]


class ResponseSink:
    """The audio sink of one client. Calls are queued, and made in order by the sending thread."""

    def __init__(self, reply: ResponseStream, enqueue: Callable[[ResponseSink, _Call, bool], None]) -> None:
        self.closed = False
        """Set by the sending thread once the stream has ended or its client has disconnected. Never reset."""
        self.reply = reply
        """For the sending thread only."""
        self._enqueue = enqueue

    def open(self) -> None:
        """Start polling for cancellation."""
        self._enqueue(self, lambda reply: None, False)

    def start(self) -> None:
        """Report that work on the request begins."""
        self._enqueue(self, ResponseStream.start, False)

    def audio(self, samples: NDArray[np.float32]) -> None:
        """Send samples (n,), -1 to 1."""
        self._enqueue(self, lambda reply: reply.audio(to_int16(samples)), False)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream after its last audio."""
        finish = partial(ResponseStream.finish, reason=reason, text_tokens=text_tokens, audio_frames=audio_frames)
        self._enqueue(self, finish, True)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""
        self._enqueue(self, lambda reply: reply.fail(error), True)


class SendingThread:
    """Sends responses, and polls every 50 ms for cancelled requests. It ends their streams itself."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        """`on_closed` is called on the sending thread after a client has disconnected."""
        self._on_closed = on_closed
        self._calls: SimpleQueue[tuple[ResponseSink, _Call, bool] | None] = SimpleQueue()
        self._open: set[ResponseSink] = set()
        self._thread = threading.Thread(target=self._run, name="qwen3-tts-sender", daemon=True)
        self._thread.start()

    def sink_for(self, reply: ResponseStream) -> ResponseSink:
        """Return a sink that sends through `reply`. Only the sending thread uses `reply` from then on."""
        return ResponseSink(reply, lambda *call: self._calls.put(call))

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

    def _send(self, sink: ResponseSink, call: _Call, last: bool) -> None:
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

    def _close_with(self, sink: ResponseSink, error: BaseException) -> None:
        sink.closed = True
        self._open.discard(sink)
        sink.reply.fail(error)
        self._on_closed()


def _is_cancelled(sink: ResponseSink) -> bool:
    try:
        return sink.reply.is_cancelled()
    except Exception:  # a response sender that cannot be polled reaches no client either
        return True
