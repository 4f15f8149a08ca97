"""One step of the engine: windows that leave, windows that join, a part of the prompts, and a token for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from adapters.inflight.chunked_prefill import plan_prefill
from adapters.inflight.scheduler import Scheduler
from adapters.inflight.stream_loop import StreamLoop
from adapters.qwen2_5_omni.stepper import Drawn, TokenStepper
from adapters.qwen2_5_omni.stream import Stream
from adapters.qwen2_5_omni.text import TokenBytes
from adapters.triton.response_stream import FinishReason


class TokenLoop(StreamLoop[Stream]):
    """Advances all windows by one token per `step`. For one thread, which alone uses the model.

    An error of one window ends it. An error of a batch ends all windows in it, because the state of each is unknown.
    """

    def __init__(
        self,
        scheduler: Scheduler[Stream],
        stepper: TokenStepper,
        token_bytes: TokenBytes,
        ends: frozenset[int],
        *,
        prefill_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ends`: the tokens that end a text; `prefill_tokens`: prompt tokens to prefill between two steps."""
        self.tokens = 0
        """Tokens of all windows so far."""
        super().__init__(scheduler, clock)
        self._stepper = stepper
        self._token_bytes = token_bytes
        self._ends = ends
        self._prefill_tokens = prefill_tokens

    def step(self) -> None:
        """Evict and admit windows, prefill a part of the prompts, and draw a token for each complete one."""
        self._evict()
        self._admit()
        self._prefill()
        if running := self._scheduler.decodable_streams():
            self._advance(running, lambda: self._stepper.step([stream.slot for stream in running]))
            self._count_batch(len(running))

    def _admit(self) -> None:
        while stream := self._scheduler.admit_next():
            assert stream.prompt is not None
            stream.sink.start()
            self._stepper.open(stream.slot, stream.prompt, stream.params)
            stream.unprefilled = self._stepper.unprefilled(stream.slot)

    def _prefill(self) -> None:
        """Prefill a part of the prompts; windows whose prompt is complete get their first token by it."""
        streams = self._scheduler.active_streams()
        unprefilled = [(stream, stream.unprefilled) for stream in streams if stream.unprefilled]
        alone = not any(stream.can_decode for stream in streams)
        planned = plan_prefill(unprefilled, self._prefill_tokens, alone=alone)
        for stream, tokens in planned.items():
            stream.unprefilled -= tokens
            slot, count = stream.slot, tokens
            self._advance([stream], lambda: self._stepper.prefill({slot: count}))  # noqa: B023 - it is called at once

    def _advance(self, streams: list[Stream], draw: Callable[[], Mapping[int, Drawn]]) -> None:
        """Draw tokens for some windows, and take those that were drawn."""
        try:
            drawn = draw()
        except Exception as error:
            for stream in streams:
                self.fail(stream, error)
            return
        for stream in streams:
            if stream.slot in drawn:
                try:
                    self._take(stream, drawn[stream.slot])
                except Exception as error:
                    self.fail(stream, error)

    def _take(self, stream: Stream, drawn: Drawn) -> None:
        self.tokens += 1
        if drawn.token in self._ends:
            return self._finish(stream, "stop")
        content = self._token_bytes.of(drawn.token)
        stream.drawn.append(drawn)
        stream.token_texts.append(content)
        self._send(stream, stream.text.add(content))
        if stream.repetition.add(drawn.token):
            self._finish(stream, "runaway")
        elif len(stream.drawn) >= stream.limit:
            self._finish(stream, "length")
        return None

    def _finish(self, stream: Stream, reason: FinishReason) -> None:
        self._send(stream, stream.text.add(b"", last=True))
        stream.sink.finish(stream.transcript(), seconds=stream.window.seconds, reason=reason)
        self._free(stream)

    def _send(self, stream: Stream, delta: str) -> None:
        if delta and stream.window.options.partial_text:
            stream.sink.text(delta)

    def _release(self, stream: Stream) -> None:
        self._stepper.release(stream.slot)
