"""The recordings of cloned voices: a request names one by its key, and need not carry it again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.triton.instance import Instance
from tritone.contract import SpeechOptions
from tritone.errors import InvalidInput, UnknownVoice
from tritone.forgotten_voices import ForgottenVoices
from tritone.metrics import VoiceResult
from tritone.samples import check_ref_audio
from tritone.settings import VOICE_KEY_MB, VOICE_KEY_SECONDS
from tritone.voice_key import audio_digest, voice_key

_SWEEP_SECONDS: Final = 1.0
"""Between two looks for recordings to drop, while any are held."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A recording to clone. An engine may keep what it computes from it as long as this object lives, and no longer."""

    key: str
    """The content's hash, see `tritone.voice_key`."""
    samples: NDArray[np.float32]
    """Mono samples (n,) at `SPEECH_RATE`."""
    text: str
    """The words of the recording, as in the option `ref_text`."""
    x_vector_only: bool

    @classmethod
    def of(cls, samples: NDArray[np.float32], text: str = "", *, x_vector_only: bool = False) -> Reference:
        """Return the reference with its key."""
        return cls(voice_key(audio_digest(samples), text, x_vector_only=x_vector_only), samples, text, x_vector_only)


class ReferenceCache:
    """The references that were used last, up to `max_bytes`, each at most `seconds` after it was sent. Thread-safe.

    A voice that `forgotten` lists is dropped at the next use of the cache, and within a second without one.
    """

    def __init__(
        self,
        forgotten: ForgottenVoices,
        *,
        max_bytes: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        on_use: Callable[[VoiceResult], object] = lambda result: None,
    ) -> None:
        """`on_use` is told of each request with a reference."""
        self._on_use = on_use
        self._forgotten = forgotten
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._held: OrderedDict[str, tuple[Reference, float]] = OrderedDict()
        """Key -> the reference and the end of its time; the least recently used comes first."""
        self._closing = False
        self._changed = threading.Condition()
        self._sweeping: threading.Thread | None = None

    @classmethod
    def of_instance(cls, instance: Instance, on_use: Callable[[VoiceResult], object]) -> ReferenceCache:
        """Return an empty cache with the limits of the settings."""
        forgotten = ForgottenVoices(instance.run_folder)
        most = VOICE_KEY_MB.read() << 20
        return cls(forgotten, max_bytes=most, seconds=VOICE_KEY_SECONDS.read(), on_use=on_use)

    def resolve(self, options: SpeechOptions, ref_audio: NDArray[np.float32] | None) -> Reference | None:
        """Return the reference of a request, and keep it if the request carries it; None for a request without one.

        Raises `InvalidInput` for a recording that cannot be cloned or a key that is not its own, `UnknownVoice` for a
        key alone whose voice is not held.
        """
        if ref_audio is not None:
            stored = self._store(options, ref_audio)
            self._on_use("sent")
            return stored
        if not options.voice_key:
            return None
        for name in ("ref_text", "x_vector_only"):
            if getattr(options, name):
                raise InvalidInput(name, "it belongs to ref_audio; with voice_key alone, leave it out")
        try:
            found = self._find(options.voice_key)
        except UnknownVoice:
            self._on_use("miss")
            raise
        self._on_use("hit")
        return found

    def __len__(self) -> int:
        with self._changed:
            self._sweep()
            return len(self._held)

    def close(self) -> None:
        """Drop all."""
        with self._changed:
            self._closing = True
            self._held.clear()
            self._changed.notify_all()
        if self._sweeping:
            self._sweeping.join()

    def _store(self, options: SpeechOptions, ref_audio: NDArray[np.float32]) -> Reference:
        check_ref_audio(ref_audio)
        # A copy: the request's samples are in shared memory.
        text = "" if options.x_vector_only else options.ref_text
        reference = Reference.of(ref_audio.copy(), text, x_vector_only=options.x_vector_only)
        if options.voice_key not in ("", reference.key):
            raise InvalidInput("voice_key", "it is not the key of this ref_audio and ref_text, see docs/contract.md")
        with self._changed:
            self._sweep()
            held, _ = self._held.pop(reference.key, (reference, 0.0))  # what was computed from it stays with it
            self._held[held.key] = held, self._clock() + self._seconds
            while sum(each.samples.nbytes for each, _ in self._held.values()) > self._max_bytes:
                self._held.popitem(last=False)
            if self._sweeping is None and not self._closing:
                self._sweeping = threading.Thread(target=self._keep_sweeping, name="references", daemon=True)
                self._sweeping.start()
            self._changed.notify_all()
            return held

    def _find(self, key: str) -> Reference:
        with self._changed:
            self._sweep()
            if key not in self._held:
                raise UnknownVoice("no voice is held under this voice_key; send ref_audio with it")
            self._held.move_to_end(key)
            return self._held[key][0]

    def _keep_sweeping(self) -> None:
        with self._changed:
            while not self._closing:
                self._changed.wait(_SWEEP_SECONDS if self._held else None)
                self._sweep()

    def _sweep(self) -> None:
        for key in self._forgotten.new():
            self._held.pop(key, None)
        now = self._clock()
        for key in [key for key, (_, until) in self._held.items() if until <= now]:
            del self._held[key]
