"""Who is spoken next: many requests share one network, a part at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from adapters.kokoro.speaker import Piece, Speaker
from adapters.triton.speech import Reply, SpeechRequest, check_room, to_int16
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import Cancelled, Overloaded


@dataclass(eq=False)
class _Utterance:
    """One request under way."""

    reply: Reply
    pieces: deque[Piece]
    text_tokens: int
    frames: int = 0
    seconds: float = 0.0
    first_audio: float | None = None

    def credit(self, now: float) -> float:
        """Seconds of audio that the listener still has; none yet: less than anybody's."""
        return float("-inf") if self.first_audio is None else self.seconds - (now - self.first_audio)


class KokoroEngine:
    """Speaks requests on a thread of its own: first parts before all else, then for whoever runs dry first."""

    def __init__(self, speaker: Speaker, *, max_requests: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.description: SpeechDescription = speaker.description
        self._speaker = speaker
        self._max_requests = max_requests
        self._clock = clock
        self._open: list[_Utterance] = []  # in order of arrival
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="kokoro", daemon=True)
        self._thread.start()

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        """Take a request; raises `InvalidInput` where there is nothing to speak, `Overloaded` when full."""
        pieces = deque(self._speaker.pieces(request))
        with self._changed:
            check_room(len(self._open), self._max_requests, closing=self._closing)
            self._open.append(_Utterance(reply, pieces, sum(len(piece.tokens) for piece in pieces)))
            self._changed.notify()

    def close(self) -> None:
        """Take no more; what is open fails after the part in work."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait_for_work():
            for utterance in self._snapshot():
                if utterance.reply.is_cancelled():
                    self._fail(utterance, Cancelled("the caller has gone"))
            now = self._clock()
            if waiting := self._snapshot():
                self._step(min(waiting, key=lambda utterance: utterance.credit(now)))
        for utterance in self._snapshot():
            self._fail(utterance, Overloaded("the model is shutting down; try another server"))

    def _wait_for_work(self) -> bool:
        """True once there is a request to speak, False once the engine closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._closing)
            return not self._closing

    def _snapshot(self) -> list[_Utterance]:
        with self._changed:
            return list(self._open)

    def _step(self, utterance: _Utterance) -> None:
        """Speak the next part of one request."""
        try:
            utterance.reply.start()
            spoken = self._speaker.speak(utterance.pieces.popleft())
            utterance.frames += spoken.frames
            if len(spoken.audio):
                utterance.reply.audio(to_int16(spoken.audio))
                utterance.seconds += len(spoken.audio) / SPEECH_RATE
                if utterance.first_audio is None:
                    utterance.first_audio = self._clock()
            if not utterance.pieces:
                self._remove(utterance)
                utterance.reply.finish("stop", text_tokens=utterance.text_tokens, audio_frames=utterance.frames)
        except Exception as error:
            self._fail(utterance, error)

    def _fail(self, utterance: _Utterance, error: Exception) -> None:
        self._remove(utterance)
        utterance.reply.fail(error)

    def _remove(self, utterance: _Utterance) -> None:
        with self._changed:
            if utterance in self._open:
                self._open.remove(utterance)
