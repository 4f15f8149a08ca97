"""The thread that talks to Triton, so that the one that makes frames never does.

Sending to 64 streams takes as long as a whole frame of all of them, and asking whether their callers are still there
nearly half of that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from adapters.triton.speech import FinishReason, Reply, to_int16
from tritone.errors import Cancelled

_POLL_SECONDS = 0.05
_Call = Callable[[Reply], None]


class Outlet:
    """The way out to one caller: what is given here is sent in order, soon, by the sender's thread."""

    def __init__(self, reply: Reply, enqueue: Callable[[Outlet, _Call, bool], None]) -> None:
        self.gone = False
        """Set by the sender's thread when nobody listens any more, and never cleared."""
        self.reply = reply
        """For the sender's thread alone."""
        self._enqueue = enqueue

    def open(self) -> None:
        """Ask from now on whether the caller is still there."""
        self._enqueue(self, lambda reply: None, False)

    def start(self) -> None:
        """Work on the request begins."""
        self._enqueue(self, Reply.start, False)

    def audio(self, samples: NDArray[np.float32]) -> None:
        """Send samples (n,), -1 to 1."""
        self._enqueue(self, lambda reply: reply.audio(to_int16(samples)), False)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream: all has been spoken."""
        finish = partial(Reply.finish, reason=reason, text_tokens=text_tokens, audio_frames=audio_frames)
        self._enqueue(self, finish, True)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""
        self._enqueue(self, lambda reply: reply.fail(error), True)


class Sender:
    """Sends on a thread of its own, and asks every 50 ms which callers have left; those it answers itself."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        """`on_gone` is called, in the sender's thread, after some outlet's `gone` has become true."""
        self._on_gone = on_gone
        self._calls: SimpleQueue[tuple[Outlet, _Call, bool] | None] = SimpleQueue()
        self._open: set[Outlet] = set()
        self._thread = threading.Thread(target=self._run, name="qwen3-tts-sender", daemon=True)
        self._thread.start()

    def outlet(self, reply: Reply) -> Outlet:
        """A way out over `reply`, which is the sender's from its first use on."""
        return Outlet(reply, lambda *call: self._calls.put(call))

    def close(self) -> None:
        """Return once all that was given has been sent."""
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

    def _send(self, outlet: Outlet, call: _Call, last: bool) -> None:
        if outlet.gone:
            return
        self._open.add(outlet)
        try:
            call(outlet.reply)
        except Exception as error:
            self._give_up(outlet, error)
        if last:
            outlet.gone = True
            self._open.discard(outlet)

    def _poll(self) -> None:
        gone = [outlet for outlet in self._open if self._has_left(outlet)]
        for outlet in gone:
            self._give_up(outlet, Cancelled("the caller has gone"))

    def _has_left(self, outlet: Outlet) -> bool:
        try:
            return outlet.reply.is_cancelled()
        except Exception:  # a sender that cannot even say so reaches nobody
            return True

    def _give_up(self, outlet: Outlet, error: BaseException) -> None:
        outlet.gone = True
        self._open.discard(outlet)
        outlet.reply.fail(error)
        self._on_gone()
