"""Who is spoken next: one thread speaks, and takes together those that wait and can share the package's batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.qwen3_tts.synthesizer import Spoken, Synthesizer
from adapters.qwen3_tts.utterance import Utterance
from adapters.triton.speech import Reply, SpeechRequest, check_room, to_int16
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import Cancelled, Overloaded


@dataclass(frozen=True, eq=False)
class _Job:
    """One request, until its reply has ended."""

    utterance: Utterance
    reply: Reply


class QwenEngine:
    """Speaks requests in batches on a thread of its own. Audio comes when the whole batch is spoken."""

    def __init__(self, synthesizer: Synthesizer, *, max_requests: int, max_batch: int) -> None:
        self.description: SpeechDescription = synthesizer.description
        self._synthesizer = synthesizer
        self._max_requests = max_requests
        self._max_batch = max_batch
        self._waiting: list[_Job] = []  # in order of arrival
        self._speaking: list[_Job] = []
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="qwen3-tts", daemon=True)
        self._thread.start()

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        """Take a request; raises `InvalidInput` for what this checkpoint cannot speak, `Overloaded` when full."""
        job = _Job(self._synthesizer.utterance(request), reply)
        with self._changed:
            check_room(len(self._waiting) + len(self._speaking), self._max_requests, closing=self._closing)
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Take no more; what is open fails after the frame in work."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                break
            self._drop_cancelled()
            if batch := self._take():
                self._speak(batch)
                with self._changed:
                    self._speaking = []
        for job in self._waiting:
            job.reply.fail(Overloaded("the model is shutting down; try again"))

    def _take(self) -> list[_Job]:
        """The request that waits longest, and those that can be spoken with it."""
        with self._changed:
            if self._waiting:
                sampling = self._waiting[0].utterance.sampling
                together = [job for job in self._waiting if job.utterance.sampling == sampling]
                self._speaking = together[: self._max_batch if sampling.shares else 1]
                self._waiting = [job for job in self._waiting if job not in self._speaking]
            return self._speaking

    def _speak(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            job.reply.start()
        try:
            spoken = self._synthesizer.speak([job.utterance for job in batch], lambda: self._gone(batch))
        except (Cancelled, Overloaded) as error:
            for job in batch:
                job.reply.fail(error)
        except Exception as error:
            if len(batch) > 1:  # one of them may have broken it, or it was too large
                for job in batch:
                    self._speak([job])
            else:
                batch[0].reply.fail(error)
        else:
            for job, result in zip(batch, spoken, strict=True):
                _answer(job, result)

    def _gone(self, batch: Sequence[_Job]) -> list[bool]:
        """Which callers have left; raises where nobody waits any more, or we are to stop."""
        if self._closing:
            raise Overloaded("the model is shutting down; try again")
        self._drop_cancelled()
        gone = [job.reply.is_cancelled() for job in batch]
        if all(gone):
            raise Cancelled("the caller has gone")
        return gone

    def _drop_cancelled(self) -> None:
        with self._changed:
            dropped = [job for job in self._waiting if job.reply.is_cancelled()]
            self._waiting = [job for job in self._waiting if job not in dropped]
        for job in dropped:
            job.reply.fail(Cancelled("the caller has gone"))


def _answer(job: _Job, spoken: Spoken) -> None:
    try:
        if job.reply.is_cancelled():
            raise Cancelled("the caller has gone")
        audio = to_int16(spoken.audio)
        for start in range(0, len(audio), SPEECH_RATE):  # a second at a time: the gateway encodes while we send
            job.reply.audio(audio[start : start + SPEECH_RATE])
        job.reply.finish(spoken.reason, text_tokens=job.utterance.text_tokens, audio_frames=spoken.frames)
    except Exception as error:
        job.reply.fail(error)
