"""One step of the engine: requests that leave, requests that join, and a step for the row of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from adapters.f5_tts.checkpoint import Vocoder
from adapters.f5_tts.stepper import FlowStepper, Row
from adapters.f5_tts.stream import Stream
from adapters.inflight.scheduler import Scheduler
from adapters.inflight.stream_loop import StreamLoop
from adapters.triton.samples import check_finite


class FlowLoop(StreamLoop[Stream]):
    """Advances all requests by one step. For one thread, which alone uses the network.

    An error of one request ends it. An error of a batch ends all requests in it, because the state of each is unknown.
    """

    def __init__(
        self,
        scheduler: Scheduler[Stream],
        stepper: FlowStepper,
        vocoder: Vocoder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(scheduler, clock)
        self._stepper = stepper
        self._vocoder = vocoder

    def step(self) -> None:
        """Evict and admit requests, take a step of each row, and send the audio of those that are done."""
        self._evict()
        while stream := self._scheduler.admit_next():
            stream.sink.start()
            self._try(stream, self._open_next)
        streams = {stream.row: stream for stream in self._scheduler.decodable_streams() if stream.row}
        for rows in self._stepper.plan(list(streams)):
            self._advance(rows, [streams[row] for row in rows])

    def _advance(self, rows: tuple[Row, ...], streams: list[Stream]) -> None:
        try:
            self._stepper.advance(rows)
        except Exception as error:
            for stream in streams:
                self.fail(stream, error)
            return
        self._count_batch(len(rows))
        for stream, row in zip(streams, rows, strict=True):
            stream.steps += 1
            if row.is_done:
                self._try(stream, self._end_part)

    def _try(self, stream: Stream, work: Callable[[Stream], None]) -> None:
        try:
            work(stream)
        except Exception as error:
            self.fail(stream, error)

    def _open_next(self, stream: Stream) -> None:
        """Make the row of a request's next part."""
        assert stream.voice
        part = stream.parts.popleft()
        stream.text_tokens += len(part.tokens)
        stream.row = self._stepper.open(stream.voice.mel, part.tokens, part.frames, stream.params)
        stream.params = replace(stream.params, seed=stream.params.seed + 1)  # no two parts begin with the same noise

    def _end_part(self, stream: Stream) -> None:
        """Send the audio of a part, and go on with the next one, if there is one."""
        assert stream.voice
        assert stream.row
        frames = stream.voice.frames
        # The package begins with the reference's last frame, which it keeps as it was.
        last = stream.voice.mel[frames:].to(stream.row.state.device)
        mel = torch.cat([last, stream.row.state[frames + 1 :]])
        samples = self._vocoder.decode(mel).cpu().numpy() * stream.voice.gain
        check_finite(samples)
        stream.row = None
        stream.audio_frames += len(mel)
        audio = stream.joins.add(samples, last=not stream.parts)
        if len(audio):
            stream.sink.audio(audio)
        if stream.parts:
            self._open_next(stream)
        else:
            self._free(stream)
            stream.sink.finish("stop", text_tokens=stream.text_tokens, audio_frames=stream.audio_frames)

    def _release(self, stream: Stream) -> None:
        stream.row = None
